/* visible.c - see visible.h.  SPDX-License-Identifier: MIT */
#include "base/visible.h"

#include "base/utf8.h"

#include <stdio.h>

/* First and last, in order. */
static const struct {
    uint32_t from, to;
} unseen[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x061c, 0x061c},
    {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

bool ps_is_unseen(uint32_t character)
{
    size_t low = 0, high = sizeof unseen / sizeof *unseen;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (character > unseen[middle].to)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof unseen / sizeof *unseen && character >= unseen[low].from;
}

size_t ps_visible_next(const char *text, size_t left, char to[PS_VISIBLE_MAX + 1], size_t *ret_len)
{
    size_t n = ps_utf8_length(text, left);
    uint32_t character = n == 0 ? (unsigned char)text[0] : ps_utf8_decode(text, n);
    if (n > 0 && !ps_is_unseen(character)) {
        ps_copy(to, text, n);
        to[ *ret_len = n] = '\0';
        return n;
    }
    const char *form = n == 0 ? "\\x%02x" : character > 0xffff ? "\\U%08x" : "\\u%04x";
    *ret_len = (size_t)snprintf(to, PS_VISIBLE_MAX + 1, form, character);
    return n == 0 ? 1 : n;
}

int ps_visible_append(struct ps_buf *out, struct ps_str text)
{
    char shown[PS_VISIBLE_MAX + 1];
    size_t len;
    for (size_t i = 0; i < text.len;) {
        i += ps_visible_next(text.ptr + i, text.len - i, shown, &len);
        ps_buf_append(out, shown, len);
    }
    return out->failed;
}

size_t ps_visible(char *to, size_t room, struct ps_str text)
{
    char shown[PS_VISIBLE_MAX + 1];
    size_t len, at = 0;
    for (size_t i = 0; i < text.len;) {
        i += ps_visible_next(text.ptr + i, text.len - i, shown, &len);
        if (at + len >= room)
            break;
        ps_copy(to + at, shown, len);
        at += len;
    }
    to[at] = '\0';
    return at;
}

size_t ps_json_escape(char to[PS_VISIBLE_MAX + 3], uint32_t character)
{
    if (character <= 0xffff)
        return (size_t)snprintf(to, PS_VISIBLE_MAX + 3, "\\u%04x", character);
    character -= 0x10000;
    return (size_t)snprintf(to, PS_VISIBLE_MAX + 3, "\\u%04x\\u%04x", 0xd800 + (character >> 10),
                            0xdc00 + (character & 0x3ff));
}

int ps_visible_json(struct ps_buf *out, struct ps_str json)
{
    size_t plain = 0; /* start of what is not written yet */
    for (size_t i = 0; i < json.len;) {
        size_t n = ps_utf8_length(json.ptr + i, json.len - i);
        uint32_t character = n > 1 ? ps_utf8_decode(json.ptr + i, n) : 0;
        if (n == 1 || (n > 1 && !ps_is_unseen(character))) {
            i += n;
            continue;
        }
        char escape[PS_VISIBLE_MAX + 3];
        size_t len = ps_json_escape(escape, n == 0 ? 0xfffd : character);
        ps_buf_append(out, json.ptr + plain, i - plain);
        ps_buf_append(out, escape, len);
        plain = i += n == 0 ? 1 : n;
    }
    return ps_buf_append(out, json.ptr + plain, json.len - plain);
}
