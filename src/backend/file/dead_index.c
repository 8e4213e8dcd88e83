/* dead_index.c - which letters live, in memory, by position; see dead_file.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/file/dead_file.h"
#include "base/check.h"

#include <stdlib.h>

size_t ps_dead_lower_bound(const struct ps_dead *d, uint64_t position)
{
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->entries[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct ps_dead_entry *ps_dead_find(const struct ps_dead *d, uint64_t position)
{
    size_t i = ps_dead_lower_bound(d, position);
    return i < d->count && d->entries[i].position == position && d->entries[i].len > 0
               ? &d->entries[i]
               : NULL;
}

static int make_room(struct ps_dead *d)
{
    if (d->count < d->cap)
        return 0;
    size_t cap = d->cap == 0 ? 16 : d->cap * 2;
    struct ps_dead_entry *entries = realloc(d->entries, cap * sizeof *entries);
    if (entries == NULL)
        return PS_ENOMEM;
    d->entries = entries;
    d->cap = cap;
    return 0;
}

/* Letters come in queue order, nearly always at the end. */
int ps_dead_add(struct ps_dead *d, struct ps_dead_entry entry)
{
    size_t i = ps_dead_lower_bound(d, entry.position);
    PS_ASSERT(entry.why < PS_REJECT_COUNT && entry.len > 0);
    if (i == d->count || d->entries[i].position != entry.position) {
        if (make_room(d) < 0)
            return PS_ENOMEM;
        memmove(&d->entries[i + 1], &d->entries[i], (d->count - i) * sizeof *d->entries);
        d->count++;
    }
    d->entries[i] = entry;
    d->bytes += entry.len;
    d->live++;
    d->by_reason[entry.why]++;
    return 0;
}

void ps_dead_remove(struct ps_dead *d, struct ps_dead_entry *entry)
{
    size_t kept = 0;
    d->bytes -= entry->len;
    d->live--;
    d->by_reason[entry->why]--;
    entry->len = 0;
    if (d->live * 2 > d->count)
        return;
    for (size_t i = 0; i < d->count; i++)
        if (d->entries[i].len > 0)
            d->entries[kept++] = d->entries[i];
    d->count = kept;
}
