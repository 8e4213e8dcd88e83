/* event.c - see event.h: what makes a raw event an event.
 *
 * The made id hashes each field with its length before it, so no two different field lists give the
 * same bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/event.h"

#include "base/check.h"
#include "base/time.h"
#include "core/hash.h"
#include "core/text.h"

enum { ID_MS_DIGITS = 13 }; /* from 2001-09-09 to 2286-11-20 */

void ps_raw_event_init(struct ps_raw_event *raw)
{
    *raw = (struct ps_raw_event){.timestamp_ms = PS_ABSENT,
                                 .response_us = PS_ABSENT,
                                 .status = PS_ABSENT,
                                 .is_error = PS_ABSENT};
}

/* The high bit of each byte of `w` that is `c`, and perhaps of bytes above one that is. */
static uint64_t bytes_equal(uint64_t w, char c)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t x = w ^ ones * (uint8_t)c;
    return (x - ones) & ~x & ones * 0x80;
}

struct ps_str ps_path_cut(struct ps_str path, char *to)
{
    size_t i = 0;
    for (uint64_t w; i + sizeof w <= path.len; i += sizeof w) { /* eight at a time */
        __builtin_memcpy(&w, path.ptr + i, sizeof w);
        if ((bytes_equal(w, '?') | bytes_equal(w, '#')) != 0)
            break;
    }
    for (; i < path.len; i++)
        if (path.ptr[i] == '?' || path.ptr[i] == '#') {
            path.len = i;
            break;
        }
    if (ps_str_equal(path, PS_OTHER_PATH))
        return PS_STR("%28other%29");
    return ps_text_clean(path, to, PS_PATH_MAX);
}

/* One more than the digit's value; 0 is no digit. A table, because every event's id is read. */
static const uint8_t hex_digits[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

bool ps_client_hash_parse(struct ps_str text, uint64_t *ret)
{
    uint64_t value = 0;
    bool valid = text.len == 16;
    for (size_t i = 0; i < 16 && valid; i++) {
        uint8_t digit = hex_digits[(uint8_t)text.ptr[i]];
        valid = digit != 0;
        value = value << 4 | (uint64_t)(digit - 1);
    }
    if (valid)
        *ret = value;
    return valid;
}

int64_t ps_id_leading_ms(struct ps_str id)
{
    int64_t ms = 0;
    if (id.len <= ID_MS_DIGITS || id.ptr[ID_MS_DIGITS] != '-')
        return PS_ABSENT;
    for (size_t i = 0; i < ID_MS_DIGITS; i++) {
        if (id.ptr[i] < '0' || id.ptr[i] > '9')
            return PS_ABSENT;
        ms = ms * 10 + (id.ptr[i] - '0');
    }
    return ms;
}

bool ps_event_id_is_dated(const struct ps_event *event)
{
    return (event->prepared && event->id_is_made) ||
           ps_id_leading_ms(event->id) == event->timestamp_ms;
}

static bool is_made(const struct ps_event *event, uint64_t *ret_number)
{
    if (ps_id_leading_ms(event->id) != event->timestamp_ms || event->id.ptr[0] == '0')
        return false;
    struct ps_str hex = {event->id.ptr + ID_MS_DIGITS + 1, event->id.len - ID_MS_DIGITS - 1};
    return ps_client_hash_parse(hex, ret_number);
}

bool ps_event_id_is_made(const struct ps_event *event, uint64_t *ret_number)
{
    if (!event->prepared)
        return is_made(event, ret_number);
    if (event->id_is_made)
        *ret_number = event->id_number;
    return event->id_is_made;
}

uint64_t ps_event_id_hash(const struct ps_event *event)
{
    return event->prepared ? event->id_hash : ps_hash64(event->id.ptr, event->id.len, 0);
}

uint64_t ps_event_path_hash(const struct ps_event *event)
{
    return event->prepared ? event->path_hash : ps_hash64(event->path.ptr, event->path.len, 0);
}

uint64_t ps_event_user_agent_hash(const struct ps_event *event)
{
    return event->prepared ? event->user_agent_hash
                           : ps_hash64(event->user_agent.ptr, event->user_agent.len, 0);
}

void ps_event_prepare(struct ps_event *event)
{
    event->prepared = false;
    if (!event->id_is_made) /* else it was made just now */
        event->id_is_made = is_made(event, &event->id_number);
    event->id_hash = ps_event_id_hash(event);
    event->path_hash = ps_event_path_hash(event);
    event->user_agent_hash = ps_event_user_agent_hash(event);
    event->prepared = true;
}

/* --- checks, in the order of the fields --- */

static enum ps_reject check_timestamp(int64_t ms, int64_t now_ms)
{
    if (ms == PS_ABSENT)
        return PS_REJECT_TIMESTAMP_MISSING;
    if (ms < PS_TIMESTAMP_MIN_MS || ms > PS_TIMESTAMP_MAX_MS)
        return PS_REJECT_TIMESTAMP_RANGE;
    return ms > now_ms + PS_FUTURE_MAX_MS ? PS_REJECT_TIMESTAMP_FUTURE : PS_REJECT_NONE;
}

/* A token of RFC 9110, 5.6.2. */
static bool is_token(struct ps_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool mark = false;
        for (const char *m = "!#$%&'*+-.^_`|~"; *m != '\0' && !alnum; m++)
            mark |= c == *m;
        if (!alnum && !mark)
            return false;
    }
    return true;
}

static enum ps_reject check_fields(const struct ps_raw_event *raw)
{
    if (raw->id.ptr != NULL && (raw->id.len > PS_ID_MAX || !ps_is_visible_ascii(raw->id)))
        return PS_REJECT_ID_INVALID;
    if (raw->path.ptr == NULL || raw->path.len == 0)
        return PS_REJECT_PATH_MISSING;
    if (raw->method.ptr != NULL && (raw->method.len > PS_METHOD_MAX || !is_token(raw->method)))
        return PS_REJECT_METHOD_INVALID;
    if (raw->status != PS_ABSENT && (raw->status < PS_STATUS_MIN || raw->status > PS_STATUS_MAX))
        return PS_REJECT_STATUS_RANGE;
    if (raw->response_us != PS_ABSENT &&
        (raw->response_us < 0 || raw->response_us > PS_RESPONSE_US_MAX))
        return PS_REJECT_RESPONSE_TIME_RANGE;
    if (raw->client_ip.len > PS_CLIENT_IP_MAX || raw->client_ip_hash.len > PS_CLIENT_IP_MAX)
        return PS_REJECT_CLIENT_INVALID;
    if (raw->country.len > 0 &&
        (raw->country.len > PS_COUNTRY_MAX || !ps_is_visible_ascii(raw->country)))
        return PS_REJECT_COUNTRY_INVALID;
    if (raw->request_id.ptr != NULL &&
        (raw->request_id.len == 0 || raw->request_id.len > PS_REQUEST_ID_MAX))
        return PS_REJECT_REQUEST_ID_INVALID;
    return PS_REJECT_NONE;
}

/* --- the id --- */

enum { ID_BYTES_MAX = 8 + 3 * 4 + PS_METHOD_MAX + PS_PATH_MAX + PS_REQUEST_ID_MAX };

static size_t put_field(char *to, struct ps_str s)
{
    uint32_t len = (uint32_t)s.len;
    __builtin_memcpy(to, &len, sizeof len);
    ps_copy(to + sizeof len, s.ptr, s.len);
    return sizeof len + s.len;
}

static uint64_t hash_of_fields(const struct ps_event *event, struct ps_str request_id)
{
    char bytes[ID_BYTES_MAX];
    uint64_t client = event->has_client ? event->client_hash : 0;
    size_t n = sizeof client;
    __builtin_memcpy(bytes, &client, sizeof client);
    n += put_field(bytes + n, event->method);
    n += put_field(bytes + n, event->path);
    n += put_field(bytes + n, request_id);
    return ps_hash64(bytes, n, 0);
}

static void make_id(const struct ps_raw_event *raw, const struct ps_normal *with,
                    struct ps_event *event, char *to)
{
    uint64_t hash = raw->has_id_hash              ? raw->id_hash
                    : raw->request_id.ptr != NULL ? hash_of_fields(event, raw->request_id)
                                                  : with->fresh;
    size_t n = ps_format_u64(to, (uint64_t)event->timestamp_ms);
    to[n++] = '-';
    ps_format_hex64(to + n, hash);
    event->id = (struct ps_str){to, n + 16};
    event->id_number = hash;
    event->id_is_made = n == ID_MS_DIGITS + 1;
}

static struct ps_str or_absent(struct ps_str s)
{
    return s.len == 0 ? PS_STR_NONE : s;
}

enum ps_reject ps_event_normalise(const struct ps_raw_event *raw, const struct ps_normal *with,
                                  char *scratch, struct ps_event *ret)
{
    char *path_to = scratch, *agent_to = path_to + PS_PATH_MAX,
         *id_to = agent_to + PS_USER_AGENT_MAX;
    enum ps_reject why = check_timestamp(raw->timestamp_ms, with->now_ms);
    if (why == PS_REJECT_NONE)
        why = check_fields(raw);
    if (why != PS_REJECT_NONE)
        return why;
    struct ps_event event = {
        .path = ps_path_cut(raw->path, path_to),
        .method = or_absent(raw->method),
        .user_agent = or_absent(ps_text_clean(raw->user_agent, agent_to, PS_USER_AGENT_MAX)),
        .country = or_absent(raw->country),
        .timestamp_ms = raw->timestamp_ms,
        .response_us = raw->response_us,
        .client_hash = with->has_client ? with->client_hash : 0,
        .has_client = with->has_client,
        .status = raw->status,
        .is_error = raw->status != PS_ABSENT ? raw->status >= 400 : raw->is_error,
    };
    if (event.path.len == 0) /* "?q=1": nothing before the query */
        return PS_REJECT_PATH_MISSING;
    if (raw->id.ptr != NULL)
        event.id = raw->id;
    else
        make_id(raw, with, &event, id_to);
    *ret = event;
    return PS_REJECT_NONE;
}
