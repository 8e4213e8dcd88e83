/* hours.c - see hours.h.  SPDX-License-Identifier: MIT */
#include "flow/hours.h"

#include "base/check.h"
#include "core/hash.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 64 };

size_t ps_hour_limit(size_t own_rows, bool has_other, size_t configured)
{
    return own_rows > 0 && (has_other || own_rows > configured) ? own_rows : configured;
}

void ps_hour_init(struct ps_hour *h, int32_t hour)
{
    *h = (struct ps_hour){.hour = hour, .limit = SIZE_MAX};
}

void ps_hour_done(struct ps_hour *h)
{
    free(h->slots);
    free(h->heap);
    ps_losers_done(&h->losers);
    ps_hour_init(h, h->hour);
}

size_t ps_hour_memory(const struct ps_hour *h)
{
    return sizeof *h + (h->slot_count + (h->heap != NULL ? h->count : 0)) * sizeof(uint64_t) +
           ps_losers_memory(&h->losers);
}

static uint64_t key_of(uint64_t path_hash)
{
    return path_hash == 0 ? 1 : path_hash;
}

/* The slot of the key, or the empty slot where it would go. */
static size_t find_slot(const struct ps_hour *h, uint64_t key)
{
    size_t mask = h->slot_count - 1, at = (size_t)key & mask;
    while (h->slots[at] != 0 && h->slots[at] != key)
        at = (at + 1) & mask;
    return at;
}

static bool grow(struct ps_hour *h)
{
    struct ps_hour bigger = *h;
    bigger.slot_count = h->slot_count == 0 ? FIRST_SLOTS : h->slot_count * 2;
    bigger.slots = calloc(bigger.slot_count, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < h->slot_count; i++)
        if (h->slots[i] != 0)
            bigger.slots[find_slot(&bigger, h->slots[i])] = h->slots[i];
    free(h->slots);
    *h = bigger;
    return true;
}

/* Closes the gap, so that no probe sequence is cut (Knuth, TAOCP 3, 6.4 R). */
static void remove_key(struct ps_hour *h, uint64_t key)
{
    size_t mask = h->slot_count - 1, gap = find_slot(h, key);
    for (size_t at = (gap + 1) & mask; h->slots[at] != 0; at = (at + 1) & mask) {
        size_t home = (size_t)h->slots[at] & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            h->slots[gap] = h->slots[at];
            gap = at;
        }
    }
    h->slots[gap] = 0;
}

static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= heap[at])
            return;
        uint64_t swap = heap[child];
        heap[child] = heap[at];
        heap[at] = swap;
    }
}

static bool build_heap(struct ps_hour *h)
{
    h->heap = malloc(h->count * sizeof *h->heap);
    if (h->heap == NULL)
        return false;
    for (size_t i = 0, n = 0; i < h->slot_count; i++)
        if (h->slots[i] != 0)
            h->heap[n++] = h->slots[i];
    for (size_t i = h->count / 2; i-- > 0;)
        sift_down(h->heap, h->count, i);
    return true;
}

int ps_hour_admit(struct ps_hour *h, uint64_t path_hash, uint64_t *ret_loser)
{
    uint64_t key = key_of(path_hash);
    PS_ASSERT(h->limit > 0);
    if ((h->count + 1) * 4 > h->slot_count * 3 && !grow(h))
        return PS_ENOMEM;
    size_t at = find_slot(h, key);
    if (h->slots[at] == key)
        return PS_ADMIT_KNOWN;
    if (h->count < h->limit) {
        h->slots[at] = key;
        h->count++;
        return PS_ADMIT_NEW;
    }
    if (h->heap == NULL && !build_heap(h))
        return PS_ENOMEM;
    if (key > h->heap[0])
        return PS_ADMIT_OTHER;
    *ret_loser = h->heap[0];
    remove_key(h, h->heap[0]);
    h->heap[0] = key;
    sift_down(h->heap, h->count, 0);
    h->slots[find_slot(h, key)] = key;
    return PS_ADMIT_SWAP;
}

/* --- from and to the rows --- */

struct loading {
    struct ps_hour *hour;
    bool has_other;
};

static int load_row(void *ctx, const struct ps_stat_row *row)
{
    struct loading *loading = ctx;
    uint64_t loser;
    if (ps_str_equal(row->path, PS_OTHER_PATH)) {
        loading->has_other = true;
        return 0;
    }
    int r = ps_hour_admit(loading->hour, ps_hash64(row->path.ptr, row->path.len, 0), &loser);
    return r < 0 ? r : 0;
}

int ps_hour_load(struct ps_hour *h, struct ps_store *store, int32_t hour, size_t configured_limit,
                 struct ps_err *e)
{
    struct loading loading = {.hour = h};
    struct ps_stats_query q = {.from_hour = hour, .to_hour = hour, .brief = true};
    ps_hour_init(h, hour);
    int r = ps_store_stats(store, &q, load_row, &loading, e);
    if (r == PS_ENOMEM)
        ps_fail(e, r, "no memory for the paths of an hour");
    if (r < 0)
        ps_hour_done(h);
    h->limit = ps_hour_limit(h->count, loading.has_other, configured_limit);
    return r;
}

/* The PS_LOSERS_MAXth largest hash, or 0 when there are fewer. */
static int find_threshold(const struct ps_hour *h, uint64_t *ret)
{
    *ret = 0;
    if (h->count <= PS_LOSERS_MAX)
        return 0;
    uint64_t *heap = malloc(h->count * sizeof *heap);
    if (heap == NULL)
        return PS_ENOMEM;
    memcpy(heap, h->heap, h->count * sizeof *heap);
    size_t left = h->count;
    for (size_t i = 1; i < PS_LOSERS_MAX; i++) {
        heap[0] = heap[--left];
        sift_down(heap, left, 0);
    }
    *ret = heap[0];
    free(heap);
    return 0;
}

int ps_hour_loser_path(struct ps_hour *h, struct ps_store *store, uint64_t loser,
                       struct ps_str *ret, struct ps_err *e)
{
    uint64_t threshold;
    PS_ASSERT(h->heap != NULL);
    if (ps_losers_find(&h->losers, loser, ret))
        return 0;
    int r = find_threshold(h, &threshold);
    if (r < 0)
        return ps_fail(e, r, "no memory for the paths of an hour");
    /* Those above it have lost already, though their rows may still be there. */
    r = ps_losers_read(&h->losers, store, h->hour, threshold, loser, e);
    if (r == 0 && !ps_losers_find(&h->losers, loser, ret))
        r = ps_fail(e, PS_ECORRUPT, "an aggregate of hour %d is missing; run `pathstats verify`",
                    (int)h->hour);
    return r;
}
