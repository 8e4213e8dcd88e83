/* json.c - see json.h.  SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <string.h>

void ps_json_init(struct ps_json *w, struct ps_buf *out)
{
    *w = (struct ps_json){.out = out};
}

static void begin_value(struct ps_json *w)
{
    if (w->comma)
        ps_buf_append(w->out, ",", 1);
    w->comma = true;
}

void ps_json_open(struct ps_json *w, char bracket)
{
    begin_value(w);
    ps_buf_append(w->out, &bracket, 1);
    w->comma = false;
}

void ps_json_close(struct ps_json *w, char bracket)
{
    ps_buf_append(w->out, &bracket, 1);
    w->comma = true;
}

/* Length of the UTF-8 sequence at `s`, or 0 where it is not one (RFC 3629). */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static void put_escape(struct ps_buf *out, unsigned char c)
{
    switch (c) {
    case '"': ps_buf_append(out, "\\\"", 2); return;
    case '\\': ps_buf_append(out, "\\\\", 2); return;
    case '\n': ps_buf_append(out, "\\n", 2); return;
    case '\r': ps_buf_append(out, "\\r", 2); return;
    case '\t': ps_buf_append(out, "\\t", 2); return;
    default: ps_buf_format(out, "\\u%04x", c); return;
    }
}

static void put_string(struct ps_buf *out, const char *ptr, size_t len)
{
    const unsigned char *s = (const unsigned char *)ptr;
    size_t plain = 0; /* start of the run not written yet */
    ps_buf_append(out, "\"", 1);
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length(s + i, len - i);
        if (n > 0 && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' && s[i] != 0x7f) {
            i += n;
            continue;
        }
        ps_buf_append(out, ptr + plain, i - plain);
        if (n == 0)
            ps_buf_append(out, "\xef\xbf\xbd", 3);
        else
            put_escape(out, s[i]);
        plain = ++i;
    }
    ps_buf_append(out, ptr + plain, len - plain);
    ps_buf_append(out, "\"", 1);
}

void ps_json_key(struct ps_json *w, const char *key)
{
    begin_value(w);
    put_string(w->out, key, strlen(key));
    ps_buf_append(w->out, ":", 1);
    w->comma = false;
}

void ps_json_str(struct ps_json *w, struct ps_str s)
{
    if (s.ptr == NULL) {
        ps_json_null(w);
        return;
    }
    begin_value(w);
    put_string(w->out, s.ptr, s.len);
}

void ps_json_text(struct ps_json *w, const char *text)
{
    ps_json_str(w, (struct ps_str){text, text == NULL ? 0 : strlen(text)});
}

void ps_json_int(struct ps_json *w, int64_t value)
{
    begin_value(w);
    ps_buf_format(w->out, "%lld", (long long)value);
}

void ps_json_uint(struct ps_json *w, uint64_t value)
{
    begin_value(w);
    ps_buf_format(w->out, "%llu", (unsigned long long)value);
}

void ps_json_bool(struct ps_json *w, bool value)
{
    begin_value(w);
    ps_buf_text(w->out, value ? "true" : "false");
}

void ps_json_null(struct ps_json *w)
{
    begin_value(w);
    ps_buf_text(w->out, "null");
}

void ps_json_us_as_ms(struct ps_json *w, int64_t us)
{
    char text[32];
    begin_value(w);
    size_t n = ps_format_u64(text, (uint64_t)us / 1000);
    unsigned rest = (unsigned)((uint64_t)us % 1000);
    if (rest != 0) {
        text[n++] = '.';
        for (unsigned scale = 100; rest != 0; rest %= scale, scale /= 10)
            text[n++] = (char)('0' + rest / scale);
    }
    ps_buf_append(w->out, text, n);
}

void ps_json_double(struct ps_json *w, double value, int decimals)
{
    begin_value(w);
    ps_buf_format(w->out, "%.*f", decimals, value);
}
