/* percent.c - see percent.h.  SPDX-License-Identifier: MIT */
#include "core/percent.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986, 2.3 */
static bool is_unreserved(int c)
{
    int lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* The byte that the three characters at `at` stand for, or -1 when they are no encoding. */
static int encoded_byte(struct ps_str path, size_t at)
{
    if (path.len - at < 3 || hex_value(path.ptr[at + 1]) < 0 || hex_value(path.ptr[at + 2]) < 0)
        return -1;
    return hex_value(path.ptr[at + 1]) * 16 + hex_value(path.ptr[at + 2]);
}

static size_t find_percent(struct ps_str path, size_t from)
{
    while (from < path.len && path.ptr[from] != '%')
        from++;
    return from;
}

/* Does what is before `at` end in the beginning of an encoding that is none, as in "100%"? A
 * character decoded there would make it one. */
static bool follows_stray(const char *text, size_t at)
{
    return (at >= 1 && text[at - 1] == '%') || (at >= 2 && text[at - 2] == '%');
}

/* The first encoding that is not in its normal form, or the end. */
static size_t normal_prefix(struct ps_str path)
{
    size_t at = find_percent(path, 0);
    for (; at < path.len; at = find_percent(path, at + 1)) {
        int byte = encoded_byte(path, at);
        bool decodes = is_unreserved(byte) && !follows_stray(path.ptr, at);
        if (byte >= 0 && (decodes || path.ptr[at + 1] >= 'a' || path.ptr[at + 2] >= 'a'))
            break;
    }
    return at;
}

struct ps_str ps_percent_normal(struct ps_str path, char *to)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t at = normal_prefix(path), out = at;
    if (at == path.len)
        return path;
    __builtin_memmove(to, path.ptr, at);
    while (at < path.len) {
        int byte = path.ptr[at] == '%' ? encoded_byte(path, at) : -1;
        if (byte < 0) {
            to[out++] = path.ptr[at++];
            continue;
        }
        at += 3;
        if (is_unreserved(byte) && !follows_stray(to, out)) {
            to[out++] = (char)byte;
        } else {
            to[out++] = '%';
            to[out++] = hex[byte >> 4];
            to[out++] = hex[byte & 15];
        }
    }
    return (struct ps_str){to, out};
}
