/* case_tools.h - what a runner without a libc needs: memory, text out, a generator, row hashes.
 *
 * The arena only grows: a case is short. Its newest block can grow in place, which is what the
 * arrays of an aggregate mostly do.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TESTS_CASES_CASE_TOOLS_H
#define PS_TESTS_CASES_CASE_TOOLS_H

#include "core/aggregate.h"

size_t ps_case_arena_mark(void);
/* Forgets all blocks taken since the mark; 0: all. */
void ps_case_arena_rewind(size_t mark);
/* Zeroed; panics when the arena is full. */
void *ps_case_take(size_t bytes);
/* The arena as the core wants it. */
extern const struct ps_alloc ps_case_alloc;

struct ps_case_out {
    char *text;
    size_t len, max;
};

void ps_case_put(struct ps_case_out *o, struct ps_str s);
void ps_case_put_u64(struct ps_case_out *o, struct ps_str label, uint64_t value);
void ps_case_put_hex(struct ps_case_out *o, struct ps_str label, uint64_t value);
/* " requests=... sketch=...\n": the counts, percentiles and hashes of a row. Also packs, unpacks
 * and packs again: an "error" line follows when the bytes differ. */
void ps_case_put_row(struct ps_case_out *o, struct ps_aggregate *a);

/* XXH64 over every column of the packed row. */
uint64_t ps_case_row_hash(struct ps_aggregate *a, uint64_t seed);

/* Knuth's MMIX generator; the high half is returned. */
uint32_t ps_case_random(uint64_t *state);
/* 0 <= value < bound. */
uint32_t ps_case_below(uint64_t *state, uint32_t bound);

#endif
