/* sample.c - see sample.h.
 *
 * Below capacity the items lie in order of arrival; at PS_SAMPLE_MAX they become a max-heap by
 * (key, us), whose top is the next to go. The pair is compared whole, so equal keys of different
 * events leave no room for the order of arrival (I2).
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/sample.h"

#include "base/check.h"
#include "base/err.h"

enum { FIRST_ITEMS = 4 };

static bool less(struct ps_sample_item a, struct ps_sample_item b)
{
    return a.key != b.key ? a.key < b.key : a.us < b.us;
}

int ps_sample_reserve(struct ps_sample *s, size_t more, const struct ps_alloc *alloc)
{
    size_t want = s->len + more;
    if (want > PS_SAMPLE_MAX)
        want = PS_SAMPLE_MAX;
    if (want <= s->cap)
        return 0;
    size_t cap = s->cap == 0 ? FIRST_ITEMS : s->cap;
    while (cap < want)
        cap *= 2;
    if (cap > PS_SAMPLE_MAX)
        cap = PS_SAMPLE_MAX;
    void *items =
        alloc->resize(alloc->ctx, s->items, s->cap * sizeof *s->items, cap * sizeof *s->items);
    if (items == NULL)
        return PS_ENOMEM;
    s->items = items;
    s->cap = (uint32_t)cap;
    return 0;
}

static void sift_down(struct ps_sample_item *items, size_t count, size_t at)
{
    struct ps_sample_item item = items[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && less(items[child], items[child + 1]))
            child++;
        if (!less(item, items[child]))
            break;
        items[at] = items[child];
    }
    items[at] = item;
}

void ps_sample_heapify(struct ps_sample *s)
{
    if (s->len < PS_SAMPLE_MAX)
        return;
    for (size_t i = s->len / 2; i-- > 0;)
        sift_down(s->items, s->len, i);
}

void ps_sample_put(struct ps_sample *s, struct ps_sample_item item)
{
    if (s->len < PS_SAMPLE_MAX) {
        PS_ASSERT(s->len < s->cap);
        s->items[s->len++] = item;
        ps_sample_heapify(s); /* does something once, when it fills up */
    } else if (less(item, s->items[0])) {
        s->items[0] = item;
        sift_down(s->items, s->len, 0);
    }
}

/* Most paths have few events an hour; below this, moving beats the heap's jumping about. */
enum { FEW_ITEMS = 48 };

static void sort_few(struct ps_sample_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct ps_sample_item item = items[i];
        size_t at = i;
        for (; at > 0 && less(item, items[at - 1]); at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

void ps_sample_sort(struct ps_sample *s)
{
    if (s->len <= FEW_ITEMS) {
        sort_few(s->items, s->len);
        return;
    }
    for (size_t i = s->len / 2; i-- > 0;)
        sift_down(s->items, s->len, i);
    for (size_t n = s->len; n > 1; n--) {
        struct ps_sample_item top = s->items[0];
        s->items[0] = s->items[n - 1];
        s->items[n - 1] = top;
        sift_down(s->items, n - 1, 0);
    }
}

static void sift_down_u64(uint64_t *v, size_t count, size_t at)
{
    uint64_t value = v[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && v[child] < v[child + 1])
            child++;
        if (value >= v[child])
            break;
        v[at] = v[child];
    }
    v[at] = value;
}

void ps_sort_u64(uint64_t *values, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down_u64(values, count, i);
    for (size_t n = count; n > 1; n--) {
        uint64_t top = values[0];
        values[0] = values[n - 1];
        values[n - 1] = top;
        sift_down_u64(values, n - 1, 0);
    }
}
