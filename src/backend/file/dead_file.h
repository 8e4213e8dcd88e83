/* dead_file.h - the dead letters from the inside: the index (dead_index.c), and reading a file
 * into it (dead_load.c). A frame's payload:
 *
 *     u8 kind, u64 position                                       LEAVES
 *     u8 kind, u64 position, i64 time, u16 why, u16 text length, text, record     ENTERS
 *
 * Integers little-endian. `why` is an enum ps_reject: its numbers are part of this format, so new
 * reasons go at its end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_FILE_DEAD_FILE_H
#define PS_BACKEND_FILE_DEAD_FILE_H

#include "backend/file/dead.h"
#include "backend/file/segment.h"

#include <endian.h>
#include <string.h>

enum {
    DEAD_ENTERS = 1,
    DEAD_LEAVES = 2,
    DEAD_LEAVES_BYTES = 9,
    DEAD_ENTERS_BYTES = 21,
    DEAD_TEXT_MAX = 1024,
};
_Static_assert(DEAD_ENTERS_BYTES + DEAD_TEXT_MAX + PS_RECORD_BYTES_MAX <= (int)PS_FRAME_PAYLOAD_MAX,
               "a letter is a frame");

#define DEAD_FILE "dead-letters"

static inline uint64_t dead_number(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return le64toh(v);
}

static inline uint64_t dead_position(const uint8_t *payload)
{
    return dead_number(payload + 1, 8);
}

/* The number of the first entry at or after the position. */
size_t ps_dead_lower_bound(const struct ps_dead *d, uint64_t position);
/* NULL: there is none. */
struct ps_dead_entry *ps_dead_find(const struct ps_dead *d, uint64_t position);
/* PS_ENOMEM. There is none with its position. */
int ps_dead_add(struct ps_dead *d, struct ps_dead_entry entry);
/* Entries may move. */
void ps_dead_remove(struct ps_dead *d, struct ps_dead_entry *entry);

/* Fills the index from d->fd; sets size, cut_bytes and damaged. */
int ps_dead_load(struct ps_dead *d, struct ps_err *e);

#endif
