/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A pool's picture (haul_pool_info) as a message of the admin service, and back: the sidecar packs,
 * the command line unpacks and prints the same picture that it would have taken itself.
 *
 * Both directions copy, so neither side borrows from the other. Any thread; no state. What comes in
 * a message is another process's word: counts are bounded before memory is taken for them.
 *
 * The protobuf-c messages made here are built by hand in memory of their own, tables as one array,
 * and so must be freed here and not with the generated free functions.
 */

#include "tools/info_message.h"

#include <stdlib.h>
#include <string.h>

/* ---- Picture to message -------------------------------------------------------------------- */

struct class_messages {
    Shorthaul__V1__ClassInfo info;
    Shorthaul__V1__ClassCounters counters;
    uint64_t requested[HAUL_HISTOGRAM_BUCKETS];
};

/* The message with everything that it points to. */
struct message {
    Shorthaul__V1__PoolInfo base;
    char name[HAUL_POOL_NAME_MAX + 1];
    uint8_t uuid[16];
    struct class_messages *classes;
    Shorthaul__V1__ParticipantInfo *participants;
    char (*names)[HAUL_PARTICIPANT_NAME_MAX + 1];
};

static size_t trimmed_buckets(const uint64_t requested[HAUL_HISTOGRAM_BUCKETS])
{
    size_t n = HAUL_HISTOGRAM_BUCKETS;
    while (n > 0 && requested[n - 1] == 0) {
        n--;
    }
    return n;
}

static void fill_class(struct class_messages *out, const haul_class_info *cls)
{
    memcpy(out->requested, cls->requested, sizeof(out->requested));
    out->counters = (Shorthaul__V1__ClassCounters)SHORTHAUL__V1__CLASS_COUNTERS__INIT;
    out->counters.allocations = cls->allocations;
    out->counters.releases = cls->releases;
    out->counters.spills = cls->spills;
    out->counters.grows = cls->grows;
    out->counters.waits = cls->waits;
    out->counters.exhaustions = cls->exhaustions;
    out->counters.reaps = cls->reaps;
    out->counters.expirations = cls->expirations;
    out->counters.n_requested = trimmed_buckets(out->requested);
    out->counters.requested = out->requested;

    out->info = (Shorthaul__V1__ClassInfo)SHORTHAUL__V1__CLASS_INFO__INIT;
    out->info.size_bytes = cls->size_bytes;
    out->info.max_count = cls->n_max;
    out->info.initial_count = cls->n_initial;
    out->info.count = cls->n_free + cls->n_owned + cls->n_shared + cls->n_given + cls->n_retired;
    out->info.free = cls->n_free;
    out->info.owned = cls->n_owned;
    out->info.shared = cls->n_shared;
    out->info.given = cls->n_given;
    out->info.retired = cls->n_retired;
    out->info.absent = cls->n_absent;
    out->info.changing = cls->n_changing;
    out->info.huge = cls->n_huge;
    out->info.high_water = cls->high_water;
    out->info.bytes = cls->bytes;
    out->info.counters = &out->counters;
}

static void fill_participant(Shorthaul__V1__ParticipantInfo *out,
                             char name[HAUL_PARTICIPANT_NAME_MAX + 1],
                             const haul_participant_info *participant)
{
    memcpy(name, participant->name, sizeof(participant->name));
    *out = (Shorthaul__V1__ParticipantInfo)SHORTHAUL__V1__PARTICIPANT_INFO__INIT;
    out->slot = participant->slot;
    out->pid = participant->pid;
    out->name = name;
    out->alive = participant->alive;
    out->owned = participant->n_owned;
    out->held = participant->n_held;
    out->bytes_owned = participant->bytes_owned;
    out->bytes_held = participant->bytes_held;
}

static void fill_pool(struct message *m, const haul_pool_info *info)
{
    m->base = (Shorthaul__V1__PoolInfo)SHORTHAUL__V1__POOL_INFO__INIT;
    memcpy(m->name, info->name, sizeof(m->name));
    memcpy(m->uuid, info->uuid, sizeof(m->uuid));
    m->base.name = m->name;
    m->base.uuid = (ProtobufCBinaryData){.len = sizeof(m->uuid), .data = m->uuid};
    m->base.pool_id = info->id;
    m->base.budget_bytes = info->budget_bytes;
    m->base.total_bytes = info->bytes;
    m->base.control_bytes = info->control_bytes;
    m->base.slots = info->n_slots;
    m->base.mode = info->mode;
}

haul_status info_to_message(const haul_pool_info *info, Shorthaul__V1__PoolInfo **out_message)
{
    size_t n_classes = info->n_classes;
    size_t n_participants = info->n_participants;
    struct message *m = calloc(1, sizeof(*m));
    if (!m) {
        return HAUL_NOMEM;
    }
    fill_pool(m, info);
    /* One element more, so that an empty table is not taken for a failed allocation. */
    m->classes = calloc(n_classes + 1, sizeof(*m->classes));
    m->base.classes = calloc(n_classes + 1, sizeof(Shorthaul__V1__ClassInfo *));
    m->participants = calloc(n_participants + 1, sizeof(*m->participants));
    m->names = calloc(n_participants + 1, sizeof(*m->names));
    m->base.participants = calloc(n_participants + 1, sizeof(Shorthaul__V1__ParticipantInfo *));
    if (!m->classes || !m->base.classes || !m->participants || !m->names || !m->base.participants) {
        info_message_free(&m->base);
        return HAUL_NOMEM;
    }
    for (size_t i = 0; i < n_classes; i++) {
        fill_class(&m->classes[i], &info->classes[i]);
        m->base.classes[i] = &m->classes[i].info;
    }
    for (size_t i = 0; i < n_participants; i++) {
        fill_participant(&m->participants[i], m->names[i], &info->participants[i]);
        m->base.participants[i] = &m->participants[i];
    }
    m->base.n_classes = n_classes;
    m->base.n_participants = n_participants;
    *out_message = &m->base;
    return HAUL_OK;
}

void info_message_free(Shorthaul__V1__PoolInfo *message)
{
    if (!message) {
        return;
    }
    struct message *m = (struct message *)message;
    free(m->base.classes);
    free(m->base.participants);
    free(m->classes);
    free(m->participants);
    free(m->names);
    free(m);
}

/* ---- Message to picture -------------------------------------------------------------------- */

static void copy_name(char *out, size_t out_size, const char *name)
{
    size_t n = strnlen(name, out_size - 1);
    memcpy(out, name, n);
    out[n] = '\0';
}

static void read_counters(haul_class_info *out, const Shorthaul__V1__ClassCounters *counters)
{
    out->allocations = counters->allocations;
    out->releases = counters->releases;
    out->spills = counters->spills;
    out->grows = counters->grows;
    out->waits = counters->waits;
    out->exhaustions = counters->exhaustions;
    out->reaps = counters->reaps;
    out->expirations = counters->expirations;
    size_t n = counters->n_requested;
    for (size_t i = 0; i < n && i < HAUL_HISTOGRAM_BUCKETS; i++) {
        out->requested[i] = counters->requested[i];
    }
}

static void read_class(haul_class_info *out, const Shorthaul__V1__ClassInfo *cls)
{
    out->size_bytes = cls->size_bytes;
    out->n_max = cls->max_count;
    out->n_initial = cls->initial_count;
    out->n_free = cls->free;
    out->n_owned = cls->owned;
    out->n_shared = cls->shared;
    out->n_given = cls->given;
    out->n_retired = cls->retired;
    out->n_absent = cls->absent;
    out->n_changing = cls->changing;
    out->n_huge = cls->huge;
    out->high_water = cls->high_water;
    out->bytes = cls->bytes;
    read_counters(out, cls->counters);
}

static void read_participant(haul_participant_info *out,
                             const Shorthaul__V1__ParticipantInfo *participant)
{
    out->slot = participant->slot;
    out->pid = participant->pid;
    out->alive = participant->alive != 0;
    copy_name(out->name, sizeof(out->name), participant->name);
    out->n_owned = participant->owned;
    out->n_held = participant->held;
    out->bytes_owned = participant->bytes_owned;
    out->bytes_held = participant->bytes_held;
}

static bool is_complete(const Shorthaul__V1__PoolInfo *message)
{
    for (size_t i = 0; i < message->n_classes; i++) {
        if (!message->classes[i]->counters) {
            return false;
        }
    }
    return message->uuid.len == 16;
}

haul_status info_from_message(const Shorthaul__V1__PoolInfo *message, haul_pool_info **out_info)
{
    if (!is_complete(message)) {
        return HAUL_PROTOCOL;
    }
    size_t n_classes =
        message->n_classes < HAUL_CLASSES_MAX ? message->n_classes : HAUL_CLASSES_MAX;
    size_t n_participants = message->n_participants < HAUL_PARTICIPANTS_MAX
                                ? message->n_participants
                                : HAUL_PARTICIPANTS_MAX;
    haul_pool_info *info = calloc(1, sizeof(*info));
    if (!info) {
        return HAUL_NOMEM;
    }
    info->classes = calloc(n_classes + 1, sizeof(*info->classes));
    info->participants = calloc(n_participants + 1, sizeof(*info->participants));
    if (!info->classes || !info->participants) {
        info_copy_free(info);
        return HAUL_NOMEM;
    }
    copy_name(info->name, sizeof(info->name), message->name);
    memcpy(info->uuid, message->uuid.data, sizeof(info->uuid));
    info->id = message->pool_id;
    info->mode = message->mode;
    info->n_slots = message->slots;
    info->budget_bytes = message->budget_bytes;
    info->bytes = message->total_bytes;
    info->control_bytes = message->control_bytes;
    for (size_t i = 0; i < n_classes; i++) {
        read_class(&info->classes[i], message->classes[i]);
    }
    for (size_t i = 0; i < n_participants; i++) {
        read_participant(&info->participants[i], message->participants[i]);
    }
    info->n_classes = (uint32_t)n_classes;
    info->n_participants = (uint32_t)n_participants;
    *out_info = info;
    return HAUL_OK;
}

void info_copy_free(haul_pool_info *info)
{
    if (!info) {
        return;
    }
    free(info->classes);
    free(info->participants);
    free(info);
}
