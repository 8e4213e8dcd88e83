/* statuses.c - see statuses.h.  SPDX-License-Identifier: MIT */
#include "core/statuses.h"

#include "base/check.h"
#include "base/err.h"
#include "core/text.h"

enum { FIRST_CODES = 4 };

int ps_statuses_reserve(struct ps_statuses *s, size_t more, const struct ps_alloc *alloc)
{
    size_t want = s->len + more;
    if (want > PS_STATUSES_MAX)
        want = PS_STATUSES_MAX;
    if (want <= s->cap)
        return 0;
    size_t cap = s->cap == 0 ? FIRST_CODES : s->cap;
    while (cap < want)
        cap *= 2;
    if (cap > PS_STATUSES_MAX)
        cap = PS_STATUSES_MAX;
    void *items =
        alloc->resize(alloc->ctx, s->items, s->cap * sizeof *s->items, cap * sizeof *s->items);
    if (items == NULL)
        return PS_ENOMEM;
    s->items = items;
    s->cap = (uint32_t)cap;
    return 0;
}

void ps_statuses_put(struct ps_statuses *s, uint32_t code, uint64_t count)
{
    uint32_t i = s->len;
    PS_ASSERT(code >= PS_STATUS_MIN && code <= PS_STATUS_MAX && count > 0);
    while (i > 0 && s->items[i - 1].code > code)
        i--;
    if (i > 0 && s->items[i - 1].code == code) {
        s->items[i - 1].count += count;
        return;
    }
    PS_ASSERT(s->len < s->cap);
    __builtin_memmove(s->items + i + 1, s->items + i, (s->len - i) * sizeof *s->items);
    s->items[i] = (struct ps_status_count){count, code};
    s->len++;
}

size_t ps_statuses_format(const struct ps_statuses *s, char *to)
{
    size_t len = 0;
    for (uint32_t i = 0; i < s->len; i++) {
        if (i > 0)
            to[len++] = ',';
        len += ps_format_u64(to + len, s->items[i].code);
        to[len++] = ':';
        len += ps_format_u64(to + len, s->items[i].count);
    }
    return len;
}

int ps_statuses_parse(struct ps_str text, uint64_t max, const struct ps_alloc *alloc,
                      struct ps_statuses *ret)
{
    const char *at = text.ptr, *end = at + text.len;
    PS_ASSERT(ret->len == 0);
    for (uint64_t last = PS_STATUS_MIN - 1; at < end;) {
        uint64_t code, count;
        if (ret->len > 0 && *at++ != ',')
            return PS_ECORRUPT;
        if (!ps_text_take_count(&at, end, PS_STATUS_MAX, &code) || code <= last || at == end ||
            *at++ != ':' || !ps_text_take_count(&at, end, max, &count))
            return PS_ECORRUPT;
        int r = ps_statuses_reserve(ret, 1, alloc);
        if (r < 0)
            return r;
        ps_statuses_put(ret, (uint32_t)code, count);
        max -= count;
        last = code;
    }
    return 0;
}
