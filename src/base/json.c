/* json.c - see json.h.  SPDX-License-Identifier: MIT */
#include "base/json.h"

#include "base/utf8.h"
#include "base/visible.h"

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

static void put_escape(struct ps_buf *out, uint32_t c)
{
    char escape[PS_VISIBLE_MAX + 3];
    switch (c) {
    case '"': ps_buf_append(out, "\\\"", 2); return;
    case '\\': ps_buf_append(out, "\\\\", 2); return;
    case '\n': ps_buf_append(out, "\\n", 2); return;
    case '\r': ps_buf_append(out, "\\r", 2); return;
    case '\t': ps_buf_append(out, "\\t", 2); return;
    default: ps_buf_append(out, escape, ps_json_escape(escape, c)); return;
    }
}

static bool goes_as_it_is(const char *s, size_t length)
{
    if (length > 1)
        return !ps_is_unseen(ps_utf8_decode(s, length));
    unsigned char c = (unsigned char)*s;
    return length == 1 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static void put_string(struct ps_buf *out, const char *s, size_t len)
{
    size_t plain = 0; /* start of the run not written yet */
    ps_buf_append(out, "\"", 1);
    for (size_t i = 0; i < len;) {
        size_t n = ps_utf8_length(s + i, len - i);
        if (goes_as_it_is(s + i, n)) {
            i += n;
            continue;
        }
        ps_buf_append(out, s + plain, i - plain);
        if (n == 0)
            ps_buf_append(out, "\xef\xbf\xbd", 3);
        else
            put_escape(out, ps_utf8_decode(s + i, n));
        plain = i += n == 0 ? 1 : n;
    }
    ps_buf_append(out, s + plain, len - plain);
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
