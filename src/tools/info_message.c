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
    char (*participant_names)[HAUL_PARTICIPANT_NAME_MAX + 1];
    Shorthaul__V1__NamedBuffer *names;
    char (*texts)[HAUL_BUF_NAME_MAX + 1];
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
    out->counters.waited_ns = cls->waited_ns;
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
    out->info.waiting = cls->n_waiting;
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

static void fill_name(Shorthaul__V1__NamedBuffer *out, char text[HAUL_BUF_NAME_MAX + 1],
                      const haul_name_info *name)
{
    memcpy(text, name->name, sizeof(name->name));
    *out = (Shorthaul__V1__NamedBuffer)SHORTHAUL__V1__NAMED_BUFFER__INIT;
    out->name = text;
    out->persistent = name->persistent;
    out->owner = name->owner;
    out->index = name->index;
    out->length = name->len;
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
    m->base.quota_bytes = info->quota_bytes;
    m->base.total_bytes = info->bytes;
    m->base.control_bytes = info->control_bytes;
    m->base.slots = info->n_slots;
    m->base.mode = info->mode;
}

/* One element more, so that an empty table is not taken for a failed allocation. */
static void *table_of(size_t n, size_t element_bytes)
{
    return calloc(n + 1, element_bytes);
}

static bool make_tables(struct message *m, const haul_pool_info *info)
{
    size_t n_participants = info->n_participants;
    m->classes = table_of(info->n_classes, sizeof(*m->classes));
    m->base.classes = table_of(info->n_classes, sizeof(Shorthaul__V1__ClassInfo *));
    m->participants = table_of(n_participants, sizeof(*m->participants));
    m->participant_names = table_of(n_participants, sizeof(*m->participant_names));
    m->base.participants = table_of(n_participants, sizeof(Shorthaul__V1__ParticipantInfo *));
    m->names = table_of(info->n_names, sizeof(*m->names));
    m->texts = table_of(info->n_names, sizeof(*m->texts));
    m->base.names = table_of(info->n_names, sizeof(Shorthaul__V1__NamedBuffer *));
    return m->classes && m->base.classes && m->participants && m->participant_names &&
           m->base.participants && m->names && m->texts && m->base.names;
}

static void fill_tables(struct message *m, const haul_pool_info *info)
{
    for (size_t i = 0; i < info->n_classes; i++) {
        fill_class(&m->classes[i], &info->classes[i]);
        m->base.classes[i] = &m->classes[i].info;
    }
    for (size_t i = 0; i < info->n_participants; i++) {
        fill_participant(&m->participants[i], m->participant_names[i], &info->participants[i]);
        m->base.participants[i] = &m->participants[i];
    }
    for (size_t i = 0; i < info->n_names; i++) {
        fill_name(&m->names[i], m->texts[i], &info->names[i]);
        m->base.names[i] = &m->names[i];
    }
    m->base.n_classes = info->n_classes;
    m->base.n_participants = info->n_participants;
    m->base.n_names = info->n_names;
}

haul_status info_to_message(const haul_pool_info *info, Shorthaul__V1__PoolInfo **out_message)
{
    struct message *m = calloc(1, sizeof(*m));
    if (!m) {
        return HAUL_NOMEM;
    }
    fill_pool(m, info);
    if (!make_tables(m, info)) {
        info_message_free(&m->base);
        return HAUL_NOMEM;
    }
    fill_tables(m, info);
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
    free(m->base.names);
    free(m->classes);
    free(m->participants);
    free(m->participant_names);
    free(m->names);
    free(m->texts);
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
    out->waited_ns = counters->waited_ns;
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
    out->n_waiting = cls->waiting;
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

static void read_name(haul_name_info *out, const Shorthaul__V1__NamedBuffer *name)
{
    copy_name(out->name, sizeof(out->name), name->name);
    out->persistent = name->persistent != 0;
    out->owner = name->owner;
    out->index = name->index;
    out->len = name->length;
}

static void read_pool(haul_pool_info *out, const Shorthaul__V1__PoolInfo *message)
{
    copy_name(out->name, sizeof(out->name), message->name);
    memcpy(out->uuid, message->uuid.data, sizeof(out->uuid));
    out->id = message->pool_id;
    out->mode = message->mode;
    out->n_slots = message->slots;
    out->budget_bytes = message->budget_bytes;
    out->quota_bytes = message->quota_bytes;
    out->bytes = message->total_bytes;
    out->control_bytes = message->control_bytes;
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

static uint32_t at_most(size_t n, uint32_t limit)
{
    return n < limit ? (uint32_t)n : limit;
}

haul_status info_from_message(const Shorthaul__V1__PoolInfo *message, haul_pool_info **out_info)
{
    if (!is_complete(message)) {
        return HAUL_PROTOCOL;
    }
    haul_pool_info *info = calloc(1, sizeof(*info));
    if (!info) {
        return HAUL_NOMEM;
    }
    info->n_classes = at_most(message->n_classes, HAUL_CLASSES_MAX);
    info->n_participants = at_most(message->n_participants, HAUL_PARTICIPANTS_MAX);
    info->n_names = at_most(message->n_names, HAUL_NAMES_MAX);
    info->classes = table_of(info->n_classes, sizeof(*info->classes));
    info->participants = table_of(info->n_participants, sizeof(*info->participants));
    info->names = table_of(info->n_names, sizeof(*info->names));
    if (!info->classes || !info->participants || !info->names) {
        info_copy_free(info);
        return HAUL_NOMEM;
    }
    read_pool(info, message);
    for (size_t i = 0; i < info->n_classes; i++) {
        read_class(&info->classes[i], message->classes[i]);
    }
    for (size_t i = 0; i < info->n_participants; i++) {
        read_participant(&info->participants[i], message->participants[i]);
    }
    for (size_t i = 0; i < info->n_names; i++) {
        read_name(&info->names[i], message->names[i]);
    }
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
    free(info->names);
    free(info);
}
