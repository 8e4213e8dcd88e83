/* address.c - see address.h.
 *
 * Dotted decimal is taken strictly: four numbers without leading zeros, which some read as octal.
 * Where a text could mean two things (an IPv6 address with a port needs its brackets), it is no
 * address and stays what it is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/address.h"

enum { GROUPS = 8, V4_GROUPS = 2, PORT_DIGITS_MAX = 5, PORT_MAX = 65535 };

static unsigned digit_of(char c)
{
    return (unsigned)(uint8_t)c - '0';
}

/* Four numbers up to `end` or to what is no part of them: where they end, or NULL. */
static const char *parse_v4(const char *at, const char *end, uint8_t to[4])
{
    for (int part = 0; part < 4; part++) {
        const char *from = at;
        unsigned value = 0;
        for (; at < end && digit_of(*at) <= 9 && value <= 255; at++)
            value = value * 10 + digit_of(*at);
        if (at == from || value > 255 || (*from == '0' && at - from > 1))
            return NULL;
        to[part] = (uint8_t)value;
        if (part < 3 && (at == end || *at++ != '.'))
            return NULL;
    }
    return at;
}

static int hex_of(char c)
{
    unsigned letter = ((unsigned)(uint8_t)c | 0x20) - 'a';
    return digit_of(c) <= 9 ? (int)digit_of(c) : letter < 6 ? (int)letter + 10 : -1;
}

/* One to four hex digits. NULL when there are none, or more. */
static const char *parse_group(const char *at, const char *end, uint16_t *ret)
{
    const char *from = at;
    unsigned value = 0;
    for (; at < end && at - from < 5 && hex_of(*at) >= 0; at++)
        value = value << 4 | (unsigned)hex_of(*at);
    *ret = (uint16_t)value;
    return at == from || at - from > 4 ? NULL : at;
}

/* Moves what was read behind "::" to the end. */
static bool spread(uint16_t groups[GROUPS], int count, int gap)
{
    if (gap < 0)
        return count == GROUPS;
    if (count == GROUPS)
        return false; /* "::" stands for one group at least */
    for (int i = count - 1, to = GROUPS - 1; i >= gap; i--, to--) {
        groups[to] = groups[i];
        groups[i] = 0;
    }
    return true;
}

/* RFC 4291, 2.2: all of the text is one IPv6 address. */
static bool parse_v6(const char *at, const char *end, uint16_t groups[GROUPS])
{
    int count = 0, gap = -1;
    uint8_t v4[4];
    for (int i = 0; i < GROUPS; i++)
        groups[i] = 0;
    if (end - at >= 2 && at[0] == ':' && at[1] == ':') {
        gap = 0;
        at += 2;
    }
    while (at < end && count < GROUPS) {
        if (count <= GROUPS - V4_GROUPS && parse_v4(at, end, v4) == end) {
            groups[count++] = (uint16_t)(v4[0] << 8 | v4[1]);
            groups[count++] = (uint16_t)(v4[2] << 8 | v4[3]);
            return spread(groups, count, gap);
        }
        at = parse_group(at, end, &groups[count]);
        if (at == NULL)
            return false;
        count++;
        if (at == end)
            break;
        if (*at++ != ':' || at == end)
            return false;
        if (*at == ':') {
            if (gap >= 0)
                return false;
            gap = count;
            at++;
        }
    }
    return at == end && spread(groups, count, gap);
}

/* --- writing --- */

static size_t put_v4(char *to, const uint8_t v4[4])
{
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            to[n++] = '.';
        n += ps_format_u64(to + n, v4[i]);
    }
    return n;
}

/* The longest run of zero groups, of two at least; of equals the first (RFC 5952, 4.2). */
static int longest_gap(const uint16_t groups[GROUPS], int *ret_len)
{
    int best = -1, best_len = 1;
    for (int i = 0; i < GROUPS; i++) {
        int len = 0;
        while (i + len < GROUPS && groups[i + len] == 0)
            len++;
        if (len > best_len) {
            best = i;
            best_len = len;
        }
        i += len;
    }
    *ret_len = best_len;
    return best;
}

static size_t put_group(char *to, unsigned group)
{
    size_t n = 0;
    for (int shift = 12; shift >= 0; shift -= 4)
        if (n > 0 || shift == 0 || group >> shift != 0)
            to[n++] = "0123456789abcdef"[group >> shift & 15];
    return n;
}

static size_t put_v6(char *to, const uint16_t groups[GROUPS])
{
    size_t n = 0;
    int gap_len, gap = longest_gap(groups, &gap_len);
    for (int i = 0; i < GROUPS;) {
        if (i == gap) {
            to[n++] = ':';
            to[n++] = ':';
            i += gap_len;
            continue;
        }
        if (i > 0 && to[n - 1] != ':')
            to[n++] = ':';
        n += put_group(to + n, groups[i++]);
    }
    return n;
}

static bool is_mapped(const uint16_t groups[GROUPS])
{
    for (int i = 0; i < 5; i++)
        if (groups[i] != 0)
            return false;
    return groups[5] == 0xffff;
}

static size_t put_address(char *to, const uint16_t groups[GROUPS])
{
    const uint8_t v4[4] = {(uint8_t)(groups[6] >> 8), (uint8_t)groups[6], (uint8_t)(groups[7] >> 8),
                           (uint8_t)groups[7]};
    return is_mapped(groups) ? put_v4(to, v4) : put_v6(to, groups);
}

/* --- what is around an address --- */

/* Nothing, or a colon and a port. */
static bool is_port(const char *at, const char *end)
{
    unsigned value = 0;
    if (at == end)
        return true;
    if (*at++ != ':' || at == end || end - at > PORT_DIGITS_MAX)
        return false;
    for (; at < end; at++) {
        if (digit_of(*at) > 9)
            return false;
        value = value * 10 + digit_of(*at);
    }
    return value <= PORT_MAX;
}

static struct ps_str trim(struct ps_str s)
{
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static const char *find(const char *at, const char *end, char c)
{
    while (at < end && *at != c)
        at++;
    return at;
}

/* [address], [address]:port, address%zone: what is inside, or absent when it is none of these. */
static struct ps_str unwrap(struct ps_str s)
{
    const char *at = s.ptr, *end = s.ptr + s.len;
    if (at < end && *at == '[') {
        const char *close = find(++at, end, ']');
        if (close == end || !is_port(close + 1, end))
            return PS_STR_NONE;
        end = close;
    }
    end = find(at, end, '%');
    return (struct ps_str){at, (size_t)(end - at)};
}

struct ps_str ps_address_canonical(struct ps_str given, char to[PS_ADDRESS_MAX])
{
    struct ps_str s = trim(given);
    uint8_t v4[4];
    uint16_t groups[GROUPS];
    const char *end = parse_v4(s.ptr, s.ptr + s.len, v4);
    if (end != NULL && is_port(end, s.ptr + s.len))
        return (struct ps_str){s.ptr, (size_t)(end - s.ptr)}; /* that form is the canonical one */
    s = unwrap(s);
    if (s.ptr == NULL)
        return given;
    end = parse_v4(s.ptr, s.ptr + s.len, v4);
    if (end != NULL && end == s.ptr + s.len)
        return s;
    if (!parse_v6(s.ptr, s.ptr + s.len, groups))
        return given;
    return (struct ps_str){to, put_address(to, groups)};
}
