/* json_scan.c - see json_scan.h.
 *
 * The string loop looks at eight bytes at a time for the four things that end a plain run: quote,
 * backslash, control byte, byte >= 0x80 (the classic "has zero byte" word tricks; Warren, Hacker's
 * Delight, 6-1).
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/json_scan.h"

#include "core/limits.h"
#include "core/text.h"

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

enum { REPLACEMENT = 0xfffd };

void ps_json_space(struct ps_json_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static uint64_t zero_bytes(uint64_t word)
{
    return (word - ONES) & ~word & HIGHS;
}

/* The first byte at or after `p` that is not plain. */
static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        __builtin_memcpy(&word, p, sizeof word);
        uint64_t stop = (word & HIGHS) | zero_bytes(word ^ ONES * '"') |
                        zero_bytes(word ^ ONES * '\\') | ((word - ONES * 0x20) & ~word & HIGHS);
        if (stop != 0)
            return p + (__builtin_ctzll(stop) >> 3);
        p += 8;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 &&
           (unsigned char)*p < 0x80)
        p++;
    return p;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int32_t take_hex4(struct ps_json_scan *s)
{
    int32_t value = 0;
    if (s->end - s->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(s->at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    s->at += 4;
    return value;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

static bool is_low(int32_t c)
{
    return c >= 0xdc00 && c <= 0xdfff;
}

/* The other half of a surrogate pair, or -1: then nothing was taken. */
static int32_t take_low(struct ps_json_scan *s)
{
    const char *at = s->at;
    if (s->end - at < 2 || at[0] != '\\' || at[1] != 'u')
        return -1;
    s->at += 2;
    int32_t low = take_hex4(s);
    if (is_low(low))
        return low;
    s->at = at;
    return -1;
}

/* After "\u"; a surrogate must come in its pair. NULL when it does not. */
static char *take_unicode(struct ps_json_scan *s, char *to)
{
    int32_t high = take_hex4(s);
    if (high < 0)
        return NULL;
    if (high < 0xd800 || high > 0xdfff)
        return put_utf8(to, (uint32_t)high);
    int32_t low = is_low(high) ? -1 : take_low(s);
    if (low >= 0)
        return put_utf8(to,
                        0x10000u + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
    if (!s->mend)
        return NULL;
    s->mended = true;
    return put_utf8(to, REPLACEMENT);
}

static char *take_escape(struct ps_json_scan *s, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    s->at++; /* the backslash */
    if (s->at == s->end)
        return NULL;
    char c = *s->at++;
    if (c == 'u')
        return take_unicode(s, to);
    for (int i = 0; from[i] != '\0'; i++)
        if (from[i] == c) {
            *to++ = into[i];
            return to;
        }
    return NULL;
}

enum ps_reject ps_json_string(struct ps_json_scan *s, struct ps_str *ret)
{
    const char *start = ++s->at, *plain = start;
    char *copy = NULL, *out = NULL; /* set once something had to be rewritten */
    for (;;) {
        s->at = skip_plain(s->at, s->end);
        if (s->at == s->end || (unsigned char)*s->at < 0x20)
            return PS_REJECT_JSON_SYNTAX;
        if (*s->at == '"')
            break;
        if (*s->at != '\\') {
            size_t n = ps_utf8_length(s->at, (size_t)(s->end - s->at));
            if (n == 0 && !s->mend)
                return PS_REJECT_JSON_UTF8;
            s->mended |= n == 0;
            s->at += n > 0 ? n : 1;
            continue;
        }
        if (copy == NULL)
            copy = out = s->scratch;
        ps_copy(out, plain, (size_t)(s->at - plain));
        out = take_escape(s, out + (s->at - plain));
        if (out == NULL)
            return PS_REJECT_JSON_SYNTAX;
        plain = s->at;
    }
    if (copy == NULL) {
        *ret = (struct ps_str){start, (size_t)(s->at - start)};
    } else {
        ps_copy(out, plain, (size_t)(s->at - plain));
        out += s->at - plain;
        *ret = (struct ps_str){copy, (size_t)(out - copy)};
        s->scratch = out;
    }
    s->at++;
    return PS_REJECT_NONE;
}

static bool take_digits(struct ps_json_scan *s)
{
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

static enum ps_reject take_number(struct ps_json_scan *s, struct ps_str *ret)
{
    const char *start = s->at;
    if (*s->at == '-')
        s->at++;
    if (s->at < s->end && *s->at == '0')
        s->at++;
    else if (!take_digits(s))
        return PS_REJECT_JSON_SYNTAX;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!take_digits(s))
            return PS_REJECT_JSON_SYNTAX;
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        if (!take_digits(s))
            return PS_REJECT_JSON_SYNTAX;
    }
    *ret = (struct ps_str){start, (size_t)(s->at - start)};
    return PS_REJECT_NONE;
}

static enum ps_reject take_word(struct ps_json_scan *s, struct ps_str word)
{
    if ((size_t)(s->end - s->at) < word.len || ps_bytes_compare(s->at, word.ptr, word.len) != 0)
        return PS_REJECT_JSON_SYNTAX;
    s->at += word.len;
    return PS_REJECT_NONE;
}

static enum ps_reject skip_member_key(struct ps_json_scan *s)
{
    struct ps_str key;
    if (s->at == s->end || *s->at != '"')
        return PS_REJECT_JSON_SYNTAX;
    enum ps_reject why = ps_json_string(s, &key);
    if (why != PS_REJECT_NONE)
        return why;
    ps_json_space(s);
    if (s->at == s->end || *s->at != ':')
        return PS_REJECT_JSON_SYNTAX;
    s->at++;
    ps_json_space(s);
    return PS_REJECT_NONE;
}

static enum ps_reject skip_container(struct ps_json_scan *s, unsigned depth)
{
    bool object = *s->at == '{';
    char close = object ? '}' : ']';
    enum ps_json_kind kind;
    struct ps_str text;
    if (depth >= PS_JSON_DEPTH_MAX)
        return PS_REJECT_JSON_DEPTH;
    s->at++;
    ps_json_space(s);
    if (s->at < s->end && *s->at == close) {
        s->at++;
        return PS_REJECT_NONE;
    }
    for (;;) {
        enum ps_reject why = object ? skip_member_key(s) : PS_REJECT_NONE;
        if (why == PS_REJECT_NONE)
            why = ps_json_value(s, depth + 1, &kind, &text);
        if (why != PS_REJECT_NONE)
            return why;
        ps_json_space(s);
        if (s->at == s->end || (*s->at != ',' && *s->at != close))
            return PS_REJECT_JSON_SYNTAX;
        if (*s->at++ == close)
            return PS_REJECT_NONE;
        ps_json_space(s);
    }
}

bool ps_json_is_number(struct ps_str text)
{
    struct ps_json_scan s = {.at = text.ptr, .end = text.ptr + text.len};
    struct ps_str number;
    return text.len > 0 && take_number(&s, &number) == PS_REJECT_NONE && s.at == s.end;
}

enum ps_reject ps_json_value(struct ps_json_scan *s, unsigned depth, enum ps_json_kind *ret_kind,
                             struct ps_str *ret_text)
{
    if (s->at == s->end)
        return PS_REJECT_JSON_SYNTAX;
    switch (*s->at) {
    case '"': *ret_kind = PS_JSON_STRING; return ps_json_string(s, ret_text);
    case 't': *ret_kind = PS_JSON_TRUE; return take_word(s, PS_STR("true"));
    case 'f': *ret_kind = PS_JSON_FALSE; return take_word(s, PS_STR("false"));
    case 'n': *ret_kind = PS_JSON_NULL; return take_word(s, PS_STR("null"));
    case '{':
    case '[': *ret_kind = PS_JSON_CONTAINER; return skip_container(s, depth);
    default: break;
    }
    if (*s->at != '-' && (*s->at < '0' || *s->at > '9'))
        return PS_REJECT_JSON_SYNTAX;
    *ret_kind = PS_JSON_NUMBER;
    return take_number(s, ret_text);
}
