/* dict.h - byte strings to numbers, in memory: a bounded cache of what a table knows.
 *
 * Threads: one at a time. When it is full it starts again from nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_SQLITE_DICT_H
#define PS_BACKEND_SQLITE_DICT_H

#include "base/buf.h"
#include "base/str.h"

enum { PS_DICT_ENTRIES_MAX = 1 << 17, PS_DICT_BYTES_MAX = 16 << 20 /* of texts */ };

struct dict_entry {
    uint64_t hash;
    uint32_t number; /* 0: an empty slot */
    uint32_t len;
    size_t at; /* in bytes */
};

struct dict {
    struct dict_entry *slots;
    size_t slot_count, count;
    struct ps_buf bytes;
};

void ps_dict_init(struct dict *d);
void ps_dict_done(struct dict *d);
/* 0 when it is not known. `hash` is of the text, always by the same function. */
uint32_t ps_dict_find(const struct dict *d, struct ps_str text, uint64_t hash);
/* `number` is not 0. Returns 0 or PS_ENOMEM. */
int ps_dict_put(struct dict *d, struct ps_str text, uint64_t hash, uint32_t number);

#endif
