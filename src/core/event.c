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
#include "core/percent.h"
#include "core/text.h"

enum { ID_MS_DIGITS = 13 }; /* from 2001-09-09 to 2286-11-20 */

void ps_raw_event_init(struct ps_raw_event *raw)
{
    *raw = (struct ps_raw_event){.timestamp_ms = PS_ABSENT,
                                 .response_us = PS_ABSENT,
                                 .response_bytes = PS_ABSENT,
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

static struct ps_str clean(struct ps_str s, char *to, size_t max, bool mend)
{
    return mend ? ps_text_mend(s, to, max) : ps_text_clean(s, to, max);
}

struct ps_str ps_path_cut(struct ps_str path, char *to, bool mend)
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
    return clean(path, to, PS_PATH_MAX, mend);
}

/* One more than the digit's value; 0 is no digit. A table, because every event's id is read. */
static const uint8_t hex_digits[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
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

bool ps_hex64_parse(struct ps_str text, uint64_t *ret)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= 'A' && text.ptr[i] <= 'F')
            return false;
    return ps_client_hash_parse(text, ret);
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
    return ps_hex64_parse(hex, ret_number); /* in capitals it is another id */
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

/* --- what an event cannot do without --- */

/* A time of this millennium in another unit says which. */
static enum ps_reject unit_of(int64_t time)
{
    const int64_t thousand = 1000, million = 1000000;
    if (time >= PS_TIMESTAMP_MIN_MS / thousand && time <= PS_TIMESTAMP_MAX_MS / thousand)
        return PS_REJECT_TIMESTAMP_SECONDS;
    if (time >= PS_TIMESTAMP_MIN_MS * thousand && time <= PS_TIMESTAMP_MAX_MS * thousand)
        return PS_REJECT_TIMESTAMP_MICROSECONDS;
    if (time >= PS_TIMESTAMP_MIN_MS * million && time < INT64_MAX) /* which is "beyond" */
        return PS_REJECT_TIMESTAMP_NANOSECONDS;
    return PS_REJECT_TIMESTAMP_RANGE;
}

static enum ps_reject check_timestamp(int64_t ms, int64_t now_ms)
{
    if (ms == PS_ABSENT)
        return PS_REJECT_TIMESTAMP_MISSING;
    if (ms < PS_TIMESTAMP_MIN_MS || ms > PS_TIMESTAMP_MAX_MS)
        return unit_of(ms);
    return ms > now_ms + PS_FUTURE_MAX_MS ? PS_REJECT_TIMESTAMP_FUTURE : PS_REJECT_NONE;
}

enum ps_reject ps_event_check(const struct ps_raw_event *raw, int64_t now_ms)
{
    enum ps_reject why = check_timestamp(raw->timestamp_ms, now_ms);
    if (why != PS_REJECT_NONE)
        return why;
    if (raw->path.len == 0 || raw->path.ptr[0] == '?' || raw->path.ptr[0] == '#')
        return PS_REJECT_PATH_MISSING; /* "?q=1": nothing before the query */
    if (raw->id.ptr != NULL && (raw->id.len > PS_ID_MAX || !ps_is_visible_ascii(raw->id)))
        return PS_REJECT_ID_INVALID;
    if (raw->request_id.ptr != NULL &&
        (raw->request_id.len > PS_REQUEST_ID_MAX || !ps_is_visible_ascii(raw->request_id)))
        return PS_REJECT_REQUEST_ID_INVALID;
    return PS_REJECT_NONE;
}

/* --- what it can do without --- */

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

static void warn(const struct ps_normal *with, struct ps_str field, enum ps_reject why)
{
    ps_warnings_add(with->warnings, field, why);
}

static struct ps_str usable_method(struct ps_str method, const struct ps_normal *with)
{
    if (method.len == 0)
        return PS_STR_NONE;
    if (method.len <= PS_METHOD_MAX && is_token(method))
        return method;
    warn(with, PS_STR("method"), PS_REJECT_METHOD_INVALID);
    return PS_STR_NONE;
}

static struct ps_str usable_country(struct ps_str country, const struct ps_normal *with)
{
    if (country.len == 0)
        return PS_STR_NONE;
    if (country.len <= PS_COUNTRY_MAX && ps_is_visible_ascii(country))
        return country;
    warn(with, PS_STR("country"), PS_REJECT_COUNTRY_INVALID);
    return PS_STR_NONE;
}

static int32_t usable_status(int32_t status, const struct ps_normal *with)
{
    if (status == PS_ABSENT || (status >= PS_STATUS_MIN && status <= PS_STATUS_MAX))
        return status;
    warn(with, PS_STR("status"), PS_REJECT_STATUS_RANGE);
    return PS_ABSENT;
}

static int64_t usable_response(int64_t us, const struct ps_normal *with)
{
    if (us >= PS_ABSENT && us <= PS_RESPONSE_US_MAX)
        return us;
    warn(with, PS_STR("responseTime"), PS_REJECT_RESPONSE_TIME_RANGE);
    return PS_ABSENT;
}

static int64_t usable_size(int64_t bytes, const struct ps_normal *with)
{
    if (bytes >= PS_ABSENT && bytes <= PS_RESPONSE_BYTES_MAX)
        return bytes;
    warn(with, PS_STR("responseBytes"), PS_REJECT_RESPONSE_BYTES_RANGE);
    return PS_ABSENT;
}

/* --- the client --- */

static bool is_client(struct ps_str s)
{
    return s.len > 0 && s.len <= PS_CLIENT_IP_MAX;
}

void ps_event_sender(const struct ps_raw_event *raw, char to[PS_ADDRESS_MAX], struct ps_sender *ret)
{
    *ret = (struct ps_sender){.text = PS_STR_NONE};
    if (is_client(raw->client_ip_hash)) {
        ret->present = true;
        ret->is_hash = ps_client_hash_parse(raw->client_ip_hash, &ret->hash);
        if (!ret->is_hash)
            ret->text = ps_address_canonical(raw->client_ip_hash, to);
    } else if (is_client(raw->client_ip)) {
        ret->present = true;
        ret->text = ps_address_canonical(raw->client_ip, to);
    }
}

static void warn_of_clients(const struct ps_raw_event *raw, const struct ps_normal *with)
{
    if (raw->client_ip.len > PS_CLIENT_IP_MAX)
        warn(with, PS_STR("clientIp"), PS_REJECT_CLIENT_INVALID);
    if (raw->client_ip_hash.len > PS_CLIENT_IP_MAX)
        warn(with, PS_STR("clientIpHash"), PS_REJECT_CLIENT_INVALID);
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

bool ps_event_needs_fresh(const struct ps_raw_event *raw)
{
    return raw->id.ptr == NULL && !raw->has_id_hash && raw->request_id.ptr == NULL;
}

static struct ps_str or_absent(struct ps_str s)
{
    return s.len == 0 ? PS_STR_NONE : s;
}

void ps_event_make(const struct ps_raw_event *raw, const struct ps_normal *with, char *scratch,
                   struct ps_event *ret)
{
    char *path_to = scratch, *agent_to = path_to + PS_PATH_MAX,
         *id_to = agent_to + PS_USER_AGENT_MAX;
    int32_t status = usable_status(raw->status, with);
    *ret = (struct ps_event){
        .path = ps_path_cut(raw->path, path_to, raw->mended),
        .method = usable_method(raw->method, with),
        .user_agent = or_absent(clean(raw->user_agent, agent_to, PS_USER_AGENT_MAX, raw->mended)),
        .country = usable_country(raw->country, with),
        .timestamp_ms = raw->timestamp_ms,
        .response_us = usable_response(raw->response_us, with),
        .response_bytes = usable_size(raw->response_bytes, with),
        .client_hash = with->has_client ? with->client_hash : 0,
        .has_client = with->has_client,
        .status = status,
        .is_error = status != PS_ABSENT ? status >= 400 : raw->is_error,
    };
    warn_of_clients(raw, with);
    if (raw->id.ptr != NULL)
        ret->id = raw->id;
    else
        make_id(raw, with, ret, id_to);
    /* Not before the id is made, so that a changed rule counts no retry twice. */
    if (!with->percent_as_is)
        ret->path = ps_percent_normal(ret->path, path_to);
}

enum ps_reject ps_event_normalise(const struct ps_raw_event *raw, const struct ps_normal *with,
                                  char *scratch, struct ps_event *ret)
{
    enum ps_reject why = ps_event_check(raw, with->now_ms);
    if (why == PS_REJECT_NONE)
        ps_event_make(raw, with, scratch, ret);
    return why;
}
