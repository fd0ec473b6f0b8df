/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Prints the tables of docs/shm-layout.md from the structs themselves, so that the document cannot
 * say anything else than the code. scripts/layout-doc.sh puts them in place, a test compares. */

#include <inttypes.h>
#include <stdio.h>

#include "pool/geometry.h"
#include "pool/word.h"

typedef struct field {
    const char *name;
    size_t offset, bytes;
} field;

#define FIELD(type, name)                                                                          \
    {                                                                                              \
#name, offsetof(type, name), sizeof(((type *)NULL)->name)                                  \
    }
#define TABLE(title, type, fields)                                                                 \
    print_table(title, sizeof(type), fields, sizeof(fields) / sizeof((fields)[0]))

static const field header[] = {
    FIELD(haul__header, magic),        FIELD(haul__header, layout_version),
    FIELD(haul__header, header_bytes), FIELD(haul__header, fingerprint),
    FIELD(haul__header, uuid),         FIELD(haul__header, total_bytes),
    FIELD(haul__header, budget_bytes), FIELD(haul__header, quota_bytes),
    FIELD(haul__header, n_slots),      FIELD(haul__header, n_classes),
    FIELD(haul__header, n_names),      FIELD(haul__header, mode),
    FIELD(haul__header, classes),      FIELD(haul__header, state),
    FIELD(haul__header, wake),         FIELD(haul__header, next_ticket),
    FIELD(haul__header, waiters),
};
static const field class_geometry[] = {
    FIELD(haul__class_geometry, size_bytes),
    FIELD(haul__class_geometry, n_initial),
    FIELD(haul__class_geometry, n_max),
};
static const field slot[] = {
    FIELD(haul__slot, pid),
    FIELD(haul__slot, joins),
    FIELD(haul__slot, joined_ns),
    FIELD(haul__slot, name),
};
static const field class_hints[] = {
    FIELD(haul__class, fresh),
    FIELD(haul__class, n_used),
    FIELD(haul__class, high_water),
};
static const field name_entry[] = {
    FIELD(haul__name, state), FIELD(haul__name, ticket),     FIELD(haul__name, length),
    FIELD(haul__name, index), FIELD(haul__name, generation), FIELD(haul__name, name),
};
static const field counters[] = {
    FIELD(haul__counters, spills),       FIELD(haul__counters, grows),
    FIELD(haul__counters, waits),        FIELD(haul__counters, waited_ns),
    FIELD(haul__counters, exhaustions),  FIELD(haul__counters, reaped_buffers),
    FIELD(haul__counters, reaped_holds), FIELD(haul__counters, expirations),
    FIELD(haul__counters, requested),
};
static const field record[] = {
    FIELD(haul__record, state),       FIELD(haul__record, ticket),   FIELD(haul__record, length),
    FIELD(haul__record, deadline_ns), FIELD(haul__record, capacity), FIELD(haul__record, born),
    FIELD(haul__record, run),         FIELD(haul__record, group),
};

static void print_table(const char *title, size_t bytes, const field *fields, size_t n)
{
    (void)printf("\n### %s: %zu bytes\n\n| offset | bytes | field |\n|---|---|---|\n", title,
                 bytes);
    for (size_t i = 0; i < n; i++) {
        (void)printf("| %zu | %zu | %s |\n", fields[i].offset, fields[i].bytes, fields[i].name);
    }
}

int main(void)
{
    (void)printf("\n| constant | value |\n|---|---|\n");
    (void)printf("| magic | 0x%016" PRIx64 " |\n", HAUL__MAGIC);
    (void)printf("| layout version | %u |\n", HAUL__LAYOUT_VERSION);
    (void)printf("| fingerprint | 0x%016" PRIx64 " |\n", haul__layout_fingerprint());
    (void)printf("| line | %u |\n", HAUL__LINE);
    (void)printf("| page | %u |\n", HAUL__PAGE_BYTES);
    (void)printf("| classes at most | %d |\n", HAUL_CLASSES_MAX);
    (void)printf("| buckets of the histogram | %d |\n", HAUL_HISTOGRAM_BUCKETS);
    (void)printf("| lock byte: admin | %u |\n", HAUL__LOCK_ADMIN);
    (void)printf("| lock byte: keeper | %u |\n", HAUL__LOCK_KEEPER);
    (void)printf("| phases | ABSENT %d, CREATING %d, FREE %d, OWNED %d, SHARED %d, GIVEN %d, "
                 "RETIRED %d, TRIMMING %d, KEPT %d, RETIRING %d |\n",
                 HAUL__ABSENT, HAUL__CREATING, HAUL__FREE, HAUL__OWNED, HAUL__SHARED, HAUL__GIVEN,
                 HAUL__RETIRED, HAUL__TRIMMING, HAUL__KEPT, HAUL__RETIRING);
    (void)printf("| phases of a name | FREE %d, WRITING %d, PUBLISHED %d |\n", HAUL__NAME_FREE,
                 HAUL__NAME_WRITING, HAUL__NAME_PUBLISHED);
    (void)printf("| flags | USED %d, HUGE %d |\n", HAUL__FLAG_USED, HAUL__FLAG_HUGE);
    (void)printf("| pool states | INIT %d, READY %d, REMOVING %d, REMOVED %d |\n", HAUL__POOL_INIT,
                 HAUL__POOL_READY, HAUL__POOL_REMOVING, HAUL__POOL_REMOVED);
    TABLE("Header", haul__header, header);
    TABLE("Class in the header", haul__class_geometry, class_geometry);
    TABLE("Slot", haul__slot, slot);
    TABLE("Class hints", haul__class, class_hints);
    TABLE("Name", haul__name, name_entry);
    TABLE("Counters", haul__counters, counters);
    TABLE("Record, before its holder words", haul__record, record);
    (void)printf("\n");
    return 0;
}
