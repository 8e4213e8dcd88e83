/* archive_line.c - see archive_line.h.  SPDX-License-Identifier: MIT */
#include "core/archive_line.h"

#include "base/check.h"
#include "base/err.h"
#include "base/time.h"
#include "core/decimal.h"
#include "core/json_scan.h"
#include "core/text.h"

/* --- writing --- */

struct out {
    char *at;
};

static void put(struct out *o, const char *text, size_t n)
{
    ps_copy(o->at, text, n);
    o->at += n;
}

#define PUT(o, literal) put((o), (literal), sizeof(literal) - 1)

static void put_number(struct out *o, int64_t value)
{
    o->at += ps_format_u64(o->at, (uint64_t)value);
}

static void put_null(struct out *o)
{
    PUT(o, "null");
}

static void put_escaped(struct out *o, unsigned char c)
{
    char code[6] = {'\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
    char mark[2] = {'\\', (char)c};
    if (c == '"' || c == '\\')
        put(o, mark, sizeof mark);
    else
        put(o, code, sizeof code);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_text(struct out *o, struct ps_str s)
{
    if (s.ptr == NULL) {
        put_null(o);
        return;
    }
    PUT(o, "\"");
    for (size_t i = 0; i < s.len;) {
        size_t run = i;
        while (run < s.len && is_plain((unsigned char)s.ptr[run]))
            run++;
        put(o, s.ptr + i, run - i);
        i = run;
        if (i == s.len)
            break;
        size_t n = (unsigned char)s.ptr[i] < 0x80 ? 0 : ps_utf8_length(s.ptr + i, s.len - i);
        if (n > 0)
            put(o, s.ptr + i, n);
        else if ((unsigned char)s.ptr[i] < 0x80)
            put_escaped(o, (unsigned char)s.ptr[i]);
        else
            PUT(o, "\xef\xbf\xbd");
        i += n > 0 ? n : 1;
    }
    PUT(o, "\"");
}

static void put_ms(struct out *o, int64_t us)
{
    if (us == PS_ABSENT) {
        put_null(o);
        return;
    }
    put_number(o, us / 1000);
    unsigned rest = (unsigned)(us % 1000);
    if (rest == 0)
        return;
    char digits[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                      (char)('0' + rest % 10)};
    size_t n = 4;
    while (digits[n - 1] == '0')
        n--;
    put(o, digits, n);
}

static void put_small(struct out *o, int32_t value)
{
    if (value == PS_ABSENT)
        put_null(o);
    else
        put_number(o, value);
}

size_t ps_archive_line_write(const struct ps_event *event, char *to)
{
    struct out o = {to};
    char date[PS_DATE_LEN + 1], hash[16];
    PUT(&o, "{\"id\":");
    put_text(&o, event->id);
    PUT(&o, ",\"path\":");
    put_text(&o, event->path);
    PUT(&o, ",\"method\":");
    put_text(&o, event->method);
    PUT(&o, ",\"status\":");
    put_small(&o, event->status);
    PUT(&o, ",\"response_time\":");
    put_ms(&o, event->response_us);
    PUT(&o, ",\"client_ip_hash\":");
    ps_format_hex64(hash, event->client_hash);
    put_text(&o, event->has_client ? (struct ps_str){hash, sizeof hash} : PS_STR_NONE);
    PUT(&o, ",\"timestamp\":");
    put_number(&o, event->timestamp_ms);
    PUT(&o, ",\"event_date\":\"");
    ps_time_format_date(date, ps_time_day(event->timestamp_ms));
    put(&o, date, PS_DATE_LEN);
    PUT(&o, "\",\"user_agent\":");
    put_text(&o, event->user_agent);
    PUT(&o, ",\"country\":");
    put_text(&o, event->country);
    PUT(&o, ",\"is_error\":");
    put_small(&o, event->is_error);
    PUT(&o, ",\"response_bytes\":");
    if (event->response_bytes == PS_ABSENT)
        put_null(&o);
    else
        put_number(&o, event->response_bytes);
    PUT(&o, "}\n");
    return (size_t)(o.at - to);
}

/* --- reading: by name --- */

struct in {
    struct ps_json_scan scan;
    bool bad;
};

static bool skip_byte(struct in *in, char wanted)
{
    ps_json_space(&in->scan);
    if (in->bad || in->scan.at == in->scan.end || *in->scan.at != wanted)
        return false;
    in->scan.at++;
    return true;
}

/* The next value, of kind `wanted` or null. False: absent, or bad. */
static bool take(struct in *in, enum ps_json_kind wanted, struct ps_str *ret)
{
    enum ps_json_kind kind = PS_JSON_NULL;
    *ret = PS_STR_NONE;
    if (ps_json_value(&in->scan, 1, &kind, ret) != PS_REJECT_NONE ||
        (kind != wanted && kind != PS_JSON_NULL))
        in->bad = true;
    if (in->bad || kind == PS_JSON_NULL)
        *ret = PS_STR_NONE;
    return !in->bad && kind == wanted;
}

static int64_t take_number(struct in *in, int decimals, int64_t max)
{
    struct ps_str text;
    bool exact = true;
    if (!take(in, PS_JSON_NUMBER, &text))
        return PS_ABSENT;
    int64_t value = ps_decimal_int64(text, decimals, PS_TRUNCATE, &exact);
    in->bad = in->bad || !exact || value < 0 || value > max;
    return value;
}

static void take_client(struct in *in, struct ps_event *event)
{
    struct ps_str text;
    if (!take(in, PS_JSON_STRING, &text))
        return;
    event->has_client = ps_hex64_parse(text, &event->client_hash);
    in->bad = in->bad || !event->has_client;
}

/* A column of a later version. */
static void skip_value(struct in *in)
{
    enum ps_json_kind kind;
    struct ps_str text;
    in->bad = in->bad || ps_json_value(&in->scan, 1, &kind, &text) != PS_REJECT_NONE;
}

static bool take_text_column(struct in *in, struct ps_str name, struct ps_event *event)
{
    const struct {
        struct ps_str name;
        struct ps_str *to;
    } columns[] = {
        {PS_STR("id"), &event->id},           {PS_STR("path"), &event->path},
        {PS_STR("method"), &event->method},   {PS_STR("user_agent"), &event->user_agent},
        {PS_STR("country"), &event->country},
    };
    for (size_t i = 0; i < PS_COUNT_OF(columns); i++)
        if (ps_str_equal(name, columns[i].name)) {
            take(in, PS_JSON_STRING, columns[i].to);
            return true;
        }
    return false;
}

/* event_date follows from the timestamp, so it is skipped like a column nobody knows. */
static void take_column(struct in *in, struct ps_str name, struct ps_event *event)
{
    if (take_text_column(in, name, event))
        return;
    if (ps_str_equal(name, PS_STR("status")))
        event->status = (int32_t)take_number(in, 0, PS_STATUS_MAX);
    else if (ps_str_equal(name, PS_STR("response_time")))
        event->response_us = take_number(in, 3, PS_RESPONSE_US_MAX);
    else if (ps_str_equal(name, PS_STR("response_bytes")))
        event->response_bytes = take_number(in, 0, PS_RESPONSE_BYTES_MAX);
    else if (ps_str_equal(name, PS_STR("client_ip_hash")))
        take_client(in, event);
    else if (ps_str_equal(name, PS_STR("timestamp")))
        event->timestamp_ms = take_number(in, 0, PS_TIMESTAMP_MAX_MS);
    else if (ps_str_equal(name, PS_STR("is_error")))
        event->is_error = (int8_t)take_number(in, 0, 1);
    else
        skip_value(in);
}

static void take_columns(struct in *in, struct ps_event *event)
{
    struct ps_str name;
    if (!skip_byte(in, '{'))
        in->bad = true;
    while (!in->bad) {
        ps_json_space(&in->scan);
        in->bad = in->scan.at == in->scan.end || *in->scan.at != '"' ||
                  ps_json_string(&in->scan, &name) != PS_REJECT_NONE || !skip_byte(in, ':');
        ps_json_space(&in->scan);
        if (!in->bad)
            take_column(in, name, event);
        if (skip_byte(in, '}'))
            return;
        in->bad = in->bad || !skip_byte(in, ',');
    }
}

static bool fits(const struct ps_event *e)
{
    return e->id.len >= 1 && e->id.len <= PS_ID_MAX && e->path.ptr != NULL &&
           e->path.len <= PS_PATH_MAX && e->method.len <= PS_METHOD_MAX &&
           e->user_agent.len <= PS_USER_AGENT_MAX && e->country.len <= PS_COUNTRY_MAX &&
           e->timestamp_ms >= PS_TIMESTAMP_MIN_MS &&
           (e->status == PS_ABSENT || e->status >= PS_STATUS_MIN);
}

int ps_archive_line_parse(const char *line, size_t len, char *scratch, struct ps_event *ret)
{
    struct in in = {.scan = {.at = line, .end = line + len, .scratch = scratch}};
    struct ps_event event = {.timestamp_ms = PS_ABSENT,
                             .response_us = PS_ABSENT,
                             .response_bytes = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
    take_columns(&in, &event);
    if (in.bad || in.scan.at != in.scan.end || !fits(&event))
        return PS_ECORRUPT;
    *ret = event;
    return 0;
}
