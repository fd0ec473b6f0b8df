/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_METADATA_H
#define SHORTHAUL_TRANSPORT_METADATA_H

/*
 * Metadata that Shorthaul's two sides tell each other, beside the messages. docs/wire.md describes
 * it for implementations in other languages.
 *
 *   shorthaul-accept   request   "<pool id, 16 hex digits>.<slot>": answers may be given to that
 *                                participant. Sent once the lane is proven.
 *   shorthaul-path     trailing  "request=<path> response=<path>"; none, shm, inline or mixed
 *   shorthaul-lane     trailing  16 hex digits drawn when the server was created: while it stays
 * the same, what was proven stays proven shorthaul-refused  trailing  "key": the request held a key
 * that could not be attached, and no handler has seen it
 */
#define HAUL__MD_ACCEPT  "shorthaul-accept"
#define HAUL__MD_PATH    "shorthaul-path"
#define HAUL__MD_LANE    "shorthaul-lane"
#define HAUL__MD_REFUSED "shorthaul-refused"

/* "<16 hex>.<10 digits>" and the terminator. */
#define HAUL__ACCEPT_TEXT_BYTES 28
#define HAUL__LANE_TEXT_BYTES   17

#endif
