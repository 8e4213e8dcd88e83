/* occurrences.c - how often an identical log line was seen before. See logline.h.
 *
 * Two requests of one client for one path in one second write the same bytes twice, and both must
 * count (I1), while importing the file again must count neither. So the occurrence number goes into
 * the id, and this file keeps it: two generations of an open-addressing table from line hash to
 * count. When the young one is full it becomes the old one and the old one is forgotten. Identical
 * lines carry the same second, so they sit close together and never span two whole generations.
 *
 * All address space is reserved at open: running out half-way would give the second copy of a line
 * the id of the first, which is an event lost in silence. A table uses the first 2^bits slots of
 * its space and doubles when half full, so a small file touches little memory. A slot belongs to
 * its table only while their epochs agree, so forgetting a generation touches no memory either.
 *
 * Whoever writes into our log knows XXH64 and could aim at one slot, making every probe long. So
 * the slot depends on a random multiplier too; where a count is kept never changes what it is.
 *
 * The 64-bit hash stands for the line. Two different lines share it once in 2^64 pairs.
 *
 * Threads: one thread at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "intake/logline.h"

#include "base/check.h"
#include "base/pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    GENERATION_LINES_MAX = PS_OCCURRENCES_MAX / 2,
    FIRST_BITS = 12,
    LAST_BITS = 20, /* half full at most: short probes */
    /* Doubling parks the lines behind the doubled table: half of the table before. */
    GENERATION_SLOTS = (1 << LAST_BITS) + (1 << (LAST_BITS - 2)),
};

_Static_assert(GENERATION_LINES_MAX * 2 == 1 << LAST_BITS, "a full generation is half full");

struct slot {
    uint64_t hash;
    uint32_t times; /* how often seen */
    uint32_t epoch; /* of the table when written; anything else means empty */
};

struct generation {
    struct slot *slots;
    uint32_t lines, bits;
    uint32_t epoch; /* never 0: that is what fresh memory holds */
    uint64_t multiplier;
};

enum { GENERATION_BYTES = GENERATION_SLOTS * sizeof(struct slot) };

struct ps_occurrences {
    struct generation young, old;
};

static void forget(struct generation *g)
{
    g->lines = 0;
    g->bits = FIRST_BITS;
    g->epoch++;
    /* Long before it wraps, when stale slots would look alive; doubling takes LAST_BITS at most. */
    if (g->epoch > UINT32_MAX - LAST_BITS) {
        memset(g->slots, 0, GENERATION_SLOTS * sizeof(struct slot));
        g->epoch = 1;
    }
}

static size_t first_slot(const struct generation *g, uint64_t hash)
{
    return (size_t)(hash * g->multiplier >> (64 - g->bits));
}

/* The slot that holds `hash`, or the empty one where it would go. */
static struct slot *find_slot(const struct generation *g, uint64_t hash)
{
    size_t mask = ((size_t)1 << g->bits) - 1;
    size_t i = first_slot(g, hash);
    while (g->slots[i].epoch == g->epoch && g->slots[i].hash != hash)
        i = (i + 1) & mask;
    return &g->slots[i];
}

static void add_line(struct generation *g, uint64_t hash, uint32_t times)
{
    *find_slot(g, hash) = (struct slot){hash, times, g->epoch};
    g->lines++;
}

static void double_slots(struct generation *g)
{
    struct slot *parked = g->slots + ((size_t)2 << g->bits);
    size_t n = 0;
    for (size_t i = 0; i < (size_t)1 << g->bits; i++)
        if (g->slots[i].epoch == g->epoch)
            parked[n++] = g->slots[i];
    PS_ASSERT(n == g->lines);
    g->lines = 0;
    g->bits++;
    g->epoch++;
    for (size_t i = 0; i < n; i++)
        add_line(g, parked[i].hash, parked[i].times);
}

struct ps_occurrences *ps_occurrences_open(void)
{
    struct ps_occurrences *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return NULL;
    uint64_t multiplier = UINT64_C(0x9e3779b97f4a7c15);
    if (getrandom(&multiplier, sizeof(multiplier), GRND_NONBLOCK) < 0)
        multiplier ^= (uint64_t)(uintptr_t)o; /* too early in the boot: the address will do */
    multiplier |= 1;
    struct slot *young = ps_pages_alloc(GENERATION_BYTES);
    struct slot *old = ps_pages_alloc(GENERATION_BYTES);
    o->young = (struct generation){young, 0, FIRST_BITS, 1, multiplier};
    o->old = (struct generation){old, 0, FIRST_BITS, 1, multiplier};
    if (o->young.slots == NULL || o->old.slots == NULL) {
        ps_occurrences_close(o);
        return NULL;
    }
    return o;
}

void ps_occurrences_close(struct ps_occurrences *o)
{
    if (o == NULL)
        return;
    ps_pages_free(o->young.slots, GENERATION_BYTES);
    ps_pages_free(o->old.slots, GENERATION_BYTES);
    free(o);
}

void ps_occurrences_reset(struct ps_occurrences *o)
{
    forget(&o->young);
    forget(&o->old);
}

void ps_occurrences_prefetch(const struct ps_occurrences *o, uint64_t line_hash)
{
    __builtin_prefetch(&o->young.slots[first_slot(&o->young, line_hash)]);
    __builtin_prefetch(&o->old.slots[first_slot(&o->old, line_hash)]);
}

int ps_occurrences_next(struct ps_occurrences *o, uint64_t line_hash, uint32_t *ret)
{
    PS_ASSERT(o != NULL);
    struct slot *young = find_slot(&o->young, line_hash);
    if (young->epoch == o->young.epoch) {
        *ret = young->times++;
        return 0;
    }
    const struct slot *old = find_slot(&o->old, line_hash);
    uint32_t seen = old->epoch == o->old.epoch ? old->times : 0;
    if (o->young.lines == GENERATION_LINES_MAX) {
        struct generation full = o->young;
        o->young = o->old;
        o->old = full;
        forget(&o->young);
    } else if (o->young.lines == 1u << (o->young.bits - 1)) {
        double_slots(&o->young);
    }
    add_line(&o->young, line_hash, seen + 1);
    *ret = seen;
    return 0;
}
