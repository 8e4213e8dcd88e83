/* methods.c - see methods.h.  SPDX-License-Identifier: MIT */
#include "core/methods.h"

#include "core/text.h"

/* The order is part of the stored form; the last one takes what is not named. */
static const struct ps_str names[PS_METHODS_COUNT] = {
    {"GET", 3},   {"HEAD", 4},   {"POST", 4},    {"PUT", 3},
    {"PATCH", 5}, {"DELETE", 6}, {"OPTIONS", 7}, {"other", 5},
};

void ps_methods_put(struct ps_methods *m, struct ps_str method)
{
    size_t i = 0;
    if (method.ptr == NULL)
        return;
    while (i < PS_METHODS_COUNT - 1 && !ps_str_equal(method, names[i]))
        i++;
    m->counts[i]++;
}

void ps_methods_merge(struct ps_methods *dst, const struct ps_methods *src)
{
    for (size_t i = 0; i < PS_METHODS_COUNT; i++)
        dst->counts[i] += src->counts[i];
}

size_t ps_methods_format(const struct ps_methods *m, char *to)
{
    size_t len = 0;
    for (size_t i = 0; i < PS_METHODS_COUNT; i++) {
        if (m->counts[i] == 0)
            continue;
        if (len > 0)
            to[len++] = ',';
        ps_copy(to + len, names[i].ptr, names[i].len);
        len += names[i].len;
        to[len++] = ':';
        len += ps_format_u64(to + len, m->counts[i]);
    }
    return len;
}

static bool take_name(const char **at, const char *end, size_t first, size_t *ret)
{
    for (size_t i = first; i < PS_METHODS_COUNT; i++) {
        size_t len = names[i].len;
        if ((size_t)(end - *at) <= len || (*at)[len] != ':' ||
            ps_bytes_compare(*at, names[i].ptr, len) != 0)
            continue;
        *at += len + 1;
        *ret = i;
        return true;
    }
    return false;
}

bool ps_methods_parse(struct ps_str text, uint64_t max, struct ps_methods *ret)
{
    struct ps_methods m = {{0}};
    const char *at = text.ptr, *end = at + text.len;
    for (size_t i = 0, first = 0; at < end; first = i + 1) {
        if (first > 0 && *at++ != ',')
            return false;
        if (!take_name(&at, end, first, &i) || !ps_text_take_count(&at, end, max, &m.counts[i]))
            return false;
        max -= m.counts[i];
    }
    *ret = m;
    return true;
}

struct ps_str ps_methods_top(const struct ps_methods *m)
{
    size_t top = 0;
    for (size_t i = 1; i < PS_METHODS_COUNT; i++)
        if (m->counts[i] > m->counts[top])
            top = i;
    return m->counts[top] > 0 ? names[top] : PS_STR_NONE;
}
