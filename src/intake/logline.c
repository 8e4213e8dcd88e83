/* logline.c - one access-log line to one raw event. See logline.h.
 *
 * A cursor walks the line once from left to right:
 *
 *     host ident user [time] "request" status bytes ["referer" "agent"] [more]
 *
 * Everything up to `bytes` has to be there; what follows is optional, because servers add fields
 * and disks cut lines. Quoted fields without a backslash, which is nearly all of them, are views
 * into the line. Others are undone into `scratch`, which cannot overflow: an escape is never
 * shorter than what it stands for, and each byte of the line is undone at most once.
 *
 * A request that names no path (a TLS handshake on the plain port, "-", an empty line) rejects the
 * line; the caller keeps it as a dead letter. What is merely odd (HTTP/0.9, a proxy's absolute URL,
 * a space in the path) is taken.
 *
 * The only state is a per-thread memo of the last date, which changes once a day while lines come
 * by the million.
 *
 * SPDX-License-Identifier: MIT
 */
#include "intake/logline.h"

#include "base/check.h"
#include "base/time.h"
#include "core/hash.h"

#include <endian.h>
#include <string.h>

enum {
    DAY_LEN = 11,  /* 17/May/2015 */
    TIME_LEN = 26, /* 17/May/2015:10:05:03 +0000 */
    STATUS_DIGITS_MAX = 9,
    TIME_DIGITS_MAX = 12, /* of seconds or microseconds: far over any limit, far from overflow */
    US_DIGITS = 6,
};

struct cursor {
    const char *at, *end;
    char *scratch; /* where the next undone field goes */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_dash(struct ps_str s)
{
    return s.len == 1 && s.ptr[0] == '-';
}

static struct ps_str between(const char *from, const char *to)
{
    return (struct ps_str){from, (size_t)(to - from)};
}

static bool skip_byte(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* Up to the next space, which is left, or to the end. May be empty. */
static struct ps_str take_word(struct cursor *c)
{
    const char *from = c->at;
    while (c->at < c->end && *c->at != ' ')
        c->at++;
    return between(from, c->at);
}

/* --- time ------------------------------------------------------------------------------------ */

static int two_digits(const char *p)
{
    return is_digit(p[0]) && is_digit(p[1]) ? (p[0] - '0') * 10 + (p[1] - '0') : -1;
}

/* "17/May/2015" by way of "2015-05-17", whose parser knows the calendar. */
static bool parse_day(const char *text, int32_t *ret)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char date[PS_DATE_LEN];
    int month = 0;
    while (month < 12 && memcmp(months + month * 3, text + 3, 3) != 0)
        month++;
    if (month == 12 || text[2] != '/' || text[6] != '/')
        return false;
    memcpy(date, text + 7, 4);
    date[4] = date[7] = '-';
    date[5] = (char)('0' + (month + 1) / 10);
    date[6] = (char)('0' + (month + 1) % 10);
    memcpy(date + 8, text, 2);
    return ps_time_parse_date(date, sizeof(date), ret);
}

static bool find_day(const char *text, int32_t *ret)
{
    static _Thread_local char last_text[DAY_LEN];
    static _Thread_local int32_t last_day;
    if (memcmp(last_text, text, DAY_LEN) != 0) {
        if (!parse_day(text, &last_day)) {
            last_text[0] = '\0';
            return false;
        }
        memcpy(last_text, text, DAY_LEN);
    }
    *ret = last_day;
    return true;
}

static bool parse_time(const char *text, int64_t *ret_ms)
{
    int32_t day;
    if (text[DAY_LEN] != ':' || text[14] != ':' || text[17] != ':' || text[20] != ' ' ||
        (text[21] != '+' && text[21] != '-') || !find_day(text, &day))
        return false;
    int hour = two_digits(text + 12), minute = two_digits(text + 15),
        second = two_digits(text + 18);
    int zone_hours = two_digits(text + 22), zone_minutes = two_digits(text + 24);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 ||
        zone_hours < 0 || zone_hours > 23 || zone_minutes < 0 || zone_minutes > 59)
        return false; /* :60 is a leap second; it falls on the next minute, as in POSIX */
    int64_t zone_s = (zone_hours * 60 + zone_minutes) * 60;
    int64_t seconds = (int64_t)(hour * 60 + minute) * 60 + second;
    seconds += text[21] == '+' ? -zone_s : zone_s;
    *ret_ms = (int64_t)day * PS_MS_PER_DAY + seconds * 1000;
    return true;
}

/* `host ident user [time] `. A user name may hold spaces and brackets, so the time is the first
 * bracket that holds one. */
static bool take_prefix(struct cursor *c, struct ps_raw_event *raw)
{
    struct ps_str host = take_word(c);
    if (host.len == 0 || !skip_byte(c, ' '))
        return false;
    struct ps_str ident = take_word(c);
    if (ident.len == 0 || !skip_byte(c, ' '))
        return false;
    /* "vhost:80 1.2.3.4 - user [" is another format, and the host there is not the client. */
    if (c->end - c->at > 2 && c->at[0] == '-' && c->at[1] == ' ' && c->at[2] != '[')
        return false;
    for (;;) {
        const char *open = memchr(c->at, '[', (size_t)(c->end - c->at));
        if (open == NULL || c->end - open < TIME_LEN + 2)
            return false;
        c->at = open + 1;
        if (open[TIME_LEN + 1] == ']' && open[-1] == ' ' &&
            parse_time(open + 1, &raw->timestamp_ms))
            break;
    }
    c->at += TIME_LEN + 1;
    if (!is_dash(host))
        raw->client_ip = host;
    return skip_byte(c, ' ');
}

/* --- quoted fields ---------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte after a backslash at `p`; 0 for what is no escape. Apache writes these for control
 * bytes. */
static char plain_of(char escape)
{
    switch (escape) {
    case '"': return '"';
    case '\\': return '\\';
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'v': return '\v';
    default: return '\0';
    }
}

/* Undoes one escape at the backslash `p`; returns where it ended. What is no escape stays. */
static const char *undo_escape(const char *p, const char *end, char *to)
{
    if (end - p >= 4 && p[1] == 'x' && hex_value(p[2]) >= 0 && hex_value(p[3]) >= 0) {
        *to = (char)(hex_value(p[2]) * 16 + hex_value(p[3]));
        return p + 4;
    }
    if (end - p >= 2 && plain_of(p[1]) != '\0') {
        *to = plain_of(p[1]);
        return p + 2;
    }
    *to = '\\';
    return p + 1;
}

/* A quote closes the field where a space or the end follows: old servers do not escape those
 * inside. */
static bool closes(const char *quote, const char *end)
{
    return quote + 1 == end || quote[1] == ' ';
}

static void undo_field(struct cursor *c, const char *from, struct ps_str *ret)
{
    char *start = c->scratch;
    const char *p = from;
    while (p < c->end && !(*p == '"' && closes(p, c->end))) {
        if (*p == '\\')
            p = undo_escape(p, c->end, c->scratch);
        else
            *c->scratch = *p++;
        c->scratch++;
    }
    *ret = between(start, c->scratch);
    c->at = p < c->end ? p + 1 : c->end;
}

/* A quoted field. Without a closing quote it is what there is: the line was cut. */
static bool take_quoted(struct cursor *c, struct ps_str *ret)
{
    if (!skip_byte(c, '"'))
        return false;
    const char *from = c->at, *quote = from;
    do {
        quote = memchr(quote, '"', (size_t)(c->end - quote));
    } while (quote != NULL && !closes(quote, c->end) && ++quote);
    const char *stop = quote != NULL ? quote : c->end;
    if (memchr(from, '\\', (size_t)(stop - from)) != NULL) {
        undo_field(c, from, ret);
        return true;
    }
    *ret = between(from, stop);
    c->at = quote != NULL ? quote + 1 : c->end;
    return true;
}

/* --- the request ------------------------------------------------------------------------------ */

/* RFC 9110 token: what tells a method from the bytes of a handshake. */
static bool is_token(struct ps_str s)
{
    if (s.len == 3 && memcmp(s.ptr, "GET", 3) == 0)
        return true; /* nearly always */
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], lower = c | 0x20;
        if (!(lower >= 'a' && lower <= 'z') && !is_digit(c) &&
            (c <= ' ' || c > '~' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return s.len > 0;
}

/* HTTP/1.1, and RTSP/1.0 or SIP/2.0 from scanners. */
static bool is_protocol(struct ps_str s)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')
        i++;
    return i > 0 && i + 1 < s.len && s.ptr[i] == '/' && is_digit(s.ptr[i + 1]);
}

/* The path of `http://host/path`; the target as it is when it has no scheme. */
static struct ps_str path_of(struct ps_str target)
{
    const char *p = target.ptr, *end = target.ptr + target.len;
    while (p < end && ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'))
        p++;
    if (p == target.ptr || end - p < 3 || memcmp(p, "://", 3) != 0)
        return target;
    const char *slash = p + 1;
    for (p += 3; p < end && *p != '/' && *p != '?' && *p != '#'; p++)
        ;
    /* `http://host?q` asks for "/": the scheme's own slash serves, as views stay in the line. */
    return p < end && *p == '/' ? between(p, end) : (struct ps_str){slash, 1};
}

static struct ps_str without_spaces(const char *from, const char *to)
{
    while (from < to && *from == ' ')
        from++;
    while (from < to && to[-1] == ' ')
        to--;
    return between(from, to);
}

static bool parse_request(struct ps_str request, struct ps_raw_event *raw)
{
    const char *end = request.ptr + request.len;
    const char *first = request.len > 0 ? memchr(request.ptr, ' ', request.len) : NULL;
    if (first == NULL)
        return false;
    struct ps_str method = between(request.ptr, first);
    const char *last = end - 1;
    while (*last != ' ')
        last--;
    bool has_protocol = is_protocol(between(last + 1, end));
    if (has_protocol && last == first) /* "GET HTTP/1.1" */
        return false;
    struct ps_str target = without_spaces(first + 1, has_protocol ? last : end);
    if (target.len == 0 || !is_token(method))
        return false;
    if (!has_protocol && target.ptr[0] != '/') /* words, not a request */
        return false;
    raw->method = method;
    raw->path = path_of(target);
    return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static bool parse_status(struct ps_str word, int32_t *ret)
{
    int32_t value = 0;
    if (word.len == 0 || word.len > STATUS_DIGITS_MAX)
        return false;
    if (is_dash(word))
        return true;
    for (size_t i = 0; i < word.len; i++) {
        if (!is_digit(word.ptr[i]))
            return false;
        value = value * 10 + (word.ptr[i] - '0');
    }
    if (value != 0) /* nginx writes 000 when the client left first */
        *ret = value;
    return true;
}

/* Digits, or "-" for none. A number too large for a size costs the field. */
static bool parse_size(struct ps_str word, int64_t *ret)
{
    int64_t value = 0;
    if (is_dash(word))
        return true;
    for (size_t i = 0; i < word.len; i++) {
        if (!is_digit(word.ptr[i]))
            return false;
        if (value <= PS_RESPONSE_BYTES_MAX)
            value = value * 10 + (word.ptr[i] - '0');
    }
    if (value <= PS_RESPONSE_BYTES_MAX)
        *ret = value;
    return word.len > 0;
}

/* "0.123" seconds or "123" microseconds. */
static bool parse_taken(struct ps_str word, int64_t *ret_us, bool *ret_seconds)
{
    int64_t value = 0;
    size_t i = 0;
    for (; i < word.len && i <= TIME_DIGITS_MAX && is_digit(word.ptr[i]); i++)
        value = value * 10 + (word.ptr[i] - '0');
    if (i == 0 || i > TIME_DIGITS_MAX)
        return false;
    *ret_seconds = i < word.len;
    if (*ret_seconds) {
        if (word.ptr[i++] != '.' || i == word.len)
            return false;
        for (int n = 0; n < US_DIGITS; n++)
            value = value * 10 + (i < word.len && is_digit(word.ptr[i]) ? word.ptr[i++] - '0' : 0);
        while (i < word.len && is_digit(word.ptr[i]))
            i++; /* below a microsecond */
        if (i != word.len)
            return false;
    }
    *ret_us = value;
    return true;
}

/* What follows the agent. The first field with a decimal point is the time in seconds. One of
 * digits alone is microseconds only when no other number is there: Apache's combinedio ends in two
 * byte counts. */
static bool take_trailing(struct cursor *c, struct ps_raw_event *raw)
{
    int64_t seconds_us = PS_ABSENT, digits_us = PS_ABSENT;
    int words = 0;
    while (skip_byte(c, ' ')) {
        struct ps_str field;
        int64_t us;
        bool is_seconds;
        if (c->at < c->end && *c->at == '"') {
            take_quoted(c, &field);
            continue;
        }
        field = take_word(c);
        if (field.len == 0)
            continue;
        words++;
        if (!parse_taken(field, &us, &is_seconds))
            continue;
        if (!is_seconds)
            digits_us = us;
        else if (seconds_us == PS_ABSENT)
            seconds_us = us;
    }
    if (seconds_us != PS_ABSENT)
        raw->response_us = seconds_us;
    else if (words == 1)
        raw->response_us = digits_us;
    return c->at == c->end;
}

static bool parse_fields(struct cursor *c, struct ps_raw_event *raw)
{
    struct ps_str request, skipped, agent;
    if (!take_prefix(c, raw) || !take_quoted(c, &request) || !skip_byte(c, ' ') ||
        !parse_request(request, raw))
        return false;
    if (!parse_status(take_word(c), &raw->status) || !skip_byte(c, ' ') ||
        !parse_size(take_word(c), &raw->response_bytes))
        return false;
    if (c->end - c->at >= 2 && c->at[1] == '"') { /* combined */
        if (!skip_byte(c, ' ') || !take_quoted(c, &skipped))
            return false;
        if (skip_byte(c, ' ') && take_quoted(c, &agent) && !is_dash(agent))
            raw->user_agent = agent; /* without one the line was cut after what matters */
    }
    return take_trailing(c, raw);
}

static size_t without_return(const char *line, size_t len)
{
    return len > 0 && line[len - 1] == '\r' ? len - 1 : len;
}

enum ps_reject ps_logline_parse(const char *line, size_t len, char *scratch,
                                struct ps_raw_event *ret)
{
    struct cursor c = {line, line, scratch};
    struct ps_raw_event raw;
    ps_raw_event_init(&raw);
    c.end += without_return(line, len);
    if (!parse_fields(&c, &raw))
        return PS_REJECT_LINE_SYNTAX;
    *ret = raw;
    return PS_REJECT_NONE;
}

/* Little endian on every machine: ids are for good. */
static void put_u64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof(value));
}

uint64_t ps_logline_hash(const char *line, size_t len)
{
    return ps_hash64(line, without_return(line, len), 0);
}

void ps_logline_identify(struct ps_raw_event *raw, uint64_t line_hash, struct ps_str source,
                         struct ps_occurrences *seen)
{
    uint32_t occurrence;
    uint8_t key[24];
    int r = ps_occurrences_next(seen, line_hash, &occurrence);
    PS_ASSERT(r == 0); /* its memory was reserved at open */
    put_u64(key, line_hash);
    put_u64(key + 8, ps_hash64(source.ptr, source.len, 0));
    put_u64(key + 16, occurrence);
    raw->has_id_hash = true;
    raw->id_hash = ps_hash64(key, sizeof(key), 0);
}

enum ps_reject ps_logline_event(const char *line, size_t len, struct ps_str source,
                                struct ps_occurrences *seen, char *scratch,
                                struct ps_raw_event *ret)
{
    enum ps_reject why = ps_logline_parse(line, len, scratch, ret);
    if (why == PS_REJECT_NONE)
        ps_logline_identify(ret, ps_logline_hash(line, len), source, seen);
    return why;
}
