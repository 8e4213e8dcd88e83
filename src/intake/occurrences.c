/* occurrences.c - how often an identical log line was seen before. See logline.h.
 *
 * Two requests of one client for one path in one second write the same bytes twice, and both must
 * count (I1), while importing the file again must count neither. So the occurrence number goes into
 * the id, and this file keeps it: two generations of an open-addressing table from line hash to
 * count. When the young one is full it becomes the old one and the old one is forgotten. Identical
 * lines carry the same second, so they sit close together and never span two whole generations.
 *
 * All memory is reserved at open: running out half-way would give the second copy of a line the id
 * of the first, which is an event lost in silence. A slot belongs to its table only while their
 * epochs agree, so forgetting a generation touches no memory.
 *
 * The 64-bit hash stands for the line. Two different lines share it once in 2^64 pairs.
 *
 * Threads: one thread at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "intake/logline.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    GENERATION_LINES_MAX = PS_OCCURRENCES_MAX / 2,
    GENERATION_SLOTS = PS_OCCURRENCES_MAX, /* half full at most: short probes */
};

struct slot {
    uint64_t hash;
    uint32_t times; /* how often seen */
    uint32_t epoch; /* of the table when written; anything else means empty */
};

struct generation {
    struct slot *slots;
    uint32_t lines;
    uint32_t epoch; /* never 0: that is what fresh memory holds */
};

struct ps_occurrences {
    struct generation young, old;
};

static void forget(struct generation *g)
{
    g->lines = 0;
    g->epoch++;
    if (g->epoch == 0) { /* once in 2^32 generations stale slots could look alive */
        memset(g->slots, 0, GENERATION_SLOTS * sizeof(struct slot));
        g->epoch = 1;
    }
}

/* The slot that holds `hash`, or the empty one where it would go. */
static struct slot *find_slot(const struct generation *g, uint64_t hash)
{
    size_t i = hash & (GENERATION_SLOTS - 1);
    while (g->slots[i].epoch == g->epoch && g->slots[i].hash != hash)
        i = (i + 1) & (GENERATION_SLOTS - 1);
    return &g->slots[i];
}

struct ps_occurrences *ps_occurrences_open(void)
{
    struct ps_occurrences *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return NULL;
    o->young = (struct generation){calloc(GENERATION_SLOTS, sizeof(struct slot)), 0, 1};
    o->old = (struct generation){calloc(GENERATION_SLOTS, sizeof(struct slot)), 0, 1};
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
    free(o->young.slots);
    free(o->old.slots);
    free(o);
}

void ps_occurrences_reset(struct ps_occurrences *o)
{
    forget(&o->young);
    forget(&o->old);
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
        young = find_slot(&o->young, line_hash);
    }
    *young = (struct slot){line_hash, seen + 1, o->young.epoch};
    o->young.lines++;
    *ret = seen;
    return 0;
}
