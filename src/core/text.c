/* text.c - see text.h.  SPDX-License-Identifier: MIT */
#include "core/text.h"

bool ps_is_visible_ascii(struct ps_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x21 || s.ptr[i] > 0x7e)
            return false;
    return s.len > 0;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Leading bytes, eight at a time, that are printable ASCII: the high bit of a byte is set below
 * when it is over 0x7f, under 0x20, or 0x7f (the tests of "Bit Twiddling Hacks", S. E. Anderson).
 */
static size_t ascii_prefix(struct ps_str s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    size_t i = 0;
    while (i + 8 <= s.len) {
        uint64_t w;
        __builtin_memcpy(&w, s.ptr + i, sizeof w);
        uint64_t deleted = w ^ ones * 0x7f;
        if (((w | (w - ones * 0x20) | (deleted - ones)) & high) != 0)
            break;
        i += 8;
        if (i < s.len && i + 8 > s.len) /* the last eight, some of them again */
            i = s.len - 8;
        else if (i == s.len)
            break;
    }
    return i;
}

/* Bytes from the start that can stay as they are. */
static size_t clean_prefix(struct ps_str s, size_t max)
{
    size_t i = ascii_prefix(s);
    if (i > max)
        return max;
    while (i < s.len) {
        size_t n = ps_utf8_length(s.ptr + i, s.len - i);
        if (n == 0 || is_control(s.ptr[i]) || i + n > max)
            break;
        i += n;
    }
    return i;
}

static void put_escaped(char *to, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    to[0] = '%';
    to[1] = hex[c >> 4];
    to[2] = hex[c & 15];
}

/* What takes the place of a byte has three of them, escaped or U+FFFD. */
static struct ps_str clean(struct ps_str s, char *to, size_t max, bool mend)
{
    size_t i = clean_prefix(s, max), out = i;
    if (i == s.len)
        return s;
    ps_copy(to, s.ptr, i);
    while (i < s.len) {
        size_t n = ps_utf8_length(s.ptr + i, s.len - i);
        bool plain = n > 0 && !is_control(s.ptr[i]);
        size_t bytes = plain ? n : 3;
        if (out + bytes > max)
            break;
        if (plain)
            ps_copy(to + out, s.ptr + i, n);
        else if (n == 0 && mend)
            ps_copy(to + out, "\xef\xbf\xbd", 3);
        else
            put_escaped(to + out, (unsigned char)s.ptr[i]);
        out += bytes;
        i += plain ? n : 1;
    }
    return (struct ps_str){to, out};
}

struct ps_str ps_text_clean(struct ps_str s, char *to, size_t max)
{
    return clean(s, to, max, false);
}

struct ps_str ps_text_mend(struct ps_str s, char *to, size_t max)
{
    return clean(s, to, max, true);
}

bool ps_text_take_count(const char **at, const char *end, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (*at == end || **at == '0')
        return false;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return value > 0;
}
