/* hours.c - see hours.h.  SPDX-License-Identifier: MIT */
#include "flow/hours.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

void ps_hour_init(struct ps_hour *h, int32_t hour)
{
    *h = (struct ps_hour){.hour = hour};
}

void ps_hour_done(struct ps_hour *h)
{
    free(h->slots);
    free(h->heap);
    ps_hour_init(h, h->hour);
}

size_t ps_hour_memory(const struct ps_hour *h)
{
    return sizeof *h + (h->slot_count + (h->heap != NULL ? h->count : 0)) * sizeof(uint64_t);
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

bool ps_hour_knows(const struct ps_hour *h, uint64_t path_hash)
{
    return h->slot_count > 0 && h->slots[find_slot(h, key_of(path_hash))] != 0;
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

int ps_hour_admit(struct ps_hour *h, uint64_t path_hash, size_t max, uint64_t *ret_loser)
{
    uint64_t key = key_of(path_hash);
    PS_ASSERT(max > 0);
    if ((h->count + 1) * 4 > h->slot_count * 3 && !grow(h))
        return PS_ENOMEM;
    size_t at = find_slot(h, key);
    if (h->slots[at] == key)
        return PS_ADMIT_KNOWN;
    if (h->count < max) {
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
