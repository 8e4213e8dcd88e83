/* decode.c - see decode.h.
 *
 * A wrong type does not end the object: the rest is still checked, so that an array can go on
 * behind it, and the first one found that costs the event is the reason given. What was left out
 * is noted and told only when the object turns out to be well-formed: of a line that is cut off,
 * the next one may be read as its continuation first.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/decode.h"

#include "core/decimal.h"
#include "core/json_scan.h"

enum key {
    KEY_OTHER,
    KEY_ID,
    KEY_TIMESTAMP,
    KEY_PATH,
    KEY_METHOD,
    KEY_STATUS,
    KEY_RESPONSE_TIME,
    KEY_RESPONSE_BYTES,
    KEY_CLIENT_IP,
    KEY_CLIENT_IP_HASH,
    KEY_USER_AGENT,
    KEY_COUNTRY,
    KEY_IS_ERROR,
    KEY_REQUEST_ID,
};

static bool is_key(struct ps_str key, struct ps_str name)
{
    return ps_bytes_compare(key.ptr, name.ptr, name.len) == 0;
}

/* By length first: one comparison decides, two at the most. */
static enum key find_key(struct ps_str key)
{
    switch (key.len) {
    case 4: return is_key(key, PS_STR("path")) ? KEY_PATH : KEY_OTHER;
    case 6:
        return is_key(key, PS_STR("method"))   ? KEY_METHOD
               : is_key(key, PS_STR("status")) ? KEY_STATUS
                                               : KEY_OTHER;
    case 7:
        return is_key(key, PS_STR("country"))   ? KEY_COUNTRY
               : is_key(key, PS_STR("isError")) ? KEY_IS_ERROR
                                                : KEY_OTHER;
    case 8: return is_key(key, PS_STR("clientIp")) ? KEY_CLIENT_IP : KEY_OTHER;
    case 9:
        return is_key(key, PS_STR("timestamp"))   ? KEY_TIMESTAMP
               : is_key(key, PS_STR("userAgent")) ? KEY_USER_AGENT
               : is_key(key, PS_STR("requestId")) ? KEY_REQUEST_ID
                                                  : KEY_OTHER;
    case 12:
        return is_key(key, PS_STR("responseTime"))   ? KEY_RESPONSE_TIME
               : is_key(key, PS_STR("idempotentId")) ? KEY_ID
               : is_key(key, PS_STR("clientIpHash")) ? KEY_CLIENT_IP_HASH
                                                     : KEY_OTHER;
    case 13: return is_key(key, PS_STR("responseBytes")) ? KEY_RESPONSE_BYTES : KEY_OTHER;
    default: return KEY_OTHER;
    }
}

static enum ps_reject take_text(enum ps_json_kind kind, struct ps_str text, struct ps_str *ret,
                                enum ps_reject wrong_type)
{
    *ret = kind == PS_JSON_STRING ? text : PS_STR_NONE;
    return kind == PS_JSON_STRING || kind == PS_JSON_NULL ? PS_REJECT_NONE : wrong_type;
}

static enum ps_reject take_timestamp(enum ps_json_kind kind, struct ps_str text,
                                     struct ps_raw_event *ret)
{
    ret->timestamp_ms = PS_ABSENT;
    if (kind != PS_JSON_NUMBER)
        return kind == PS_JSON_NULL ? PS_REJECT_NONE : PS_REJECT_TIMESTAMP_TYPE;
    /* a negative one must not look absent */
    ret->timestamp_ms = text.ptr[0] == '-' ? 0 : ps_decimal_int64(text, 0, PS_TRUNCATE, NULL);
    return PS_REJECT_NONE;
}

static bool is_number(enum ps_json_kind kind, struct ps_str text)
{
    return kind == PS_JSON_NUMBER || (kind == PS_JSON_STRING && ps_json_is_number(text));
}

static enum ps_reject take_status(enum ps_json_kind kind, struct ps_str text,
                                  struct ps_raw_event *ret)
{
    bool whole = false;
    ret->status = PS_ABSENT;
    if (kind == PS_JSON_NULL)
        return PS_REJECT_NONE;
    int64_t value =
        is_number(kind, text) ? ps_decimal_int64(text, 0, PS_TRUNCATE, &whole) : PS_ABSENT;
    if (!whole)
        return PS_REJECT_STATUS_TYPE;
    /* out of range, and never taken for absent */
    ret->status = value < 0 || value > PS_STATUS_MAX ? PS_STATUS_MAX + 1 : (int32_t)value;
    return PS_REJECT_NONE;
}

static enum ps_reject take_response_time(enum ps_json_kind kind, struct ps_str text,
                                         struct ps_raw_event *ret)
{
    ret->response_us = PS_ABSENT;
    if (kind == PS_JSON_NULL)
        return PS_REJECT_NONE;
    if (!is_number(kind, text))
        return PS_REJECT_RESPONSE_TIME_TYPE;
    int64_t us = ps_decimal_int64(text, 3, PS_ROUND_HALF_UP, NULL);
    ret->response_us = us < 0 ? INT64_MAX : us; /* out of range, not taken for absent */
    return PS_REJECT_NONE;
}

static enum ps_reject take_response_bytes(enum ps_json_kind kind, struct ps_str text,
                                          struct ps_raw_event *ret)
{
    bool whole = false;
    ret->response_bytes = PS_ABSENT;
    if (kind == PS_JSON_NULL)
        return PS_REJECT_NONE;
    int64_t bytes =
        is_number(kind, text) ? ps_decimal_int64(text, 0, PS_TRUNCATE, &whole) : PS_ABSENT;
    if (!whole)
        return PS_REJECT_RESPONSE_BYTES_TYPE;
    ret->response_bytes = bytes < 0 ? INT64_MAX : bytes; /* out of range, not taken for absent */
    return PS_REJECT_NONE;
}

static enum ps_reject take_is_error(enum ps_json_kind kind, struct ps_raw_event *ret)
{
    ret->is_error = PS_ABSENT;
    switch (kind) {
    case PS_JSON_NULL: return PS_REJECT_NONE;
    case PS_JSON_TRUE: ret->is_error = 1; return PS_REJECT_NONE;
    case PS_JSON_FALSE: ret->is_error = 0; return PS_REJECT_NONE;
    default: return PS_REJECT_IS_ERROR_TYPE;
    }
}

static enum ps_reject take_member(enum key key, enum ps_json_kind kind, struct ps_str text,
                                  struct ps_raw_event *ret)
{
    switch (key) {
    case KEY_ID: return take_text(kind, text, &ret->id, PS_REJECT_ID_TYPE);
    case KEY_TIMESTAMP: return take_timestamp(kind, text, ret);
    case KEY_PATH: return take_text(kind, text, &ret->path, PS_REJECT_PATH_TYPE);
    case KEY_METHOD: return take_text(kind, text, &ret->method, PS_REJECT_METHOD_TYPE);
    case KEY_STATUS: return take_status(kind, text, ret);
    case KEY_RESPONSE_TIME: return take_response_time(kind, text, ret);
    case KEY_RESPONSE_BYTES: return take_response_bytes(kind, text, ret);
    case KEY_CLIENT_IP: return take_text(kind, text, &ret->client_ip, PS_REJECT_CLIENT_TYPE);
    case KEY_CLIENT_IP_HASH:
        return take_text(kind, text, &ret->client_ip_hash, PS_REJECT_CLIENT_TYPE);
    case KEY_USER_AGENT: return take_text(kind, text, &ret->user_agent, PS_REJECT_USER_AGENT_TYPE);
    case KEY_COUNTRY: return take_text(kind, text, &ret->country, PS_REJECT_COUNTRY_TYPE);
    case KEY_IS_ERROR: return take_is_error(kind, ret);
    case KEY_REQUEST_ID: return take_text(kind, text, &ret->request_id, PS_REJECT_REQUEST_ID_TYPE);
    case KEY_OTHER: return PS_REJECT_UNKNOWN_FIELD;
    }
    return PS_REJECT_NONE;
}

enum { NOTES_MAX = 24 }; /* of one event; more are not told of */

struct decoding {
    struct ps_json_scan scan;
    struct ps_raw_event raw;
    enum ps_reject wrong; /* the first that costs the event */
    bool mended;          /* in any member so far; the scan's is of this one */
    unsigned notes;
    struct {
        struct ps_str field;
        enum ps_reject why;
    } note[NOTES_MAX];
};

static void note(struct decoding *d, struct ps_str field, enum ps_reject why)
{
    if (!ps_reject_costs_field(why)) {
        d->wrong = d->wrong == PS_REJECT_NONE ? why : d->wrong;
    } else if (d->notes < NOTES_MAX) {
        d->note[d->notes].field = field;
        d->note[d->notes++].why = why;
    }
}

/* Told of fields whose text is used: an id is refused, and nobody reads what is unknown. */
static void note_mended(struct decoding *d, enum key key, struct ps_str field)
{
    d->scan.mended = false;
    d->mended = true;
    if (key != KEY_OTHER && key != KEY_ID && key != KEY_REQUEST_ID)
        note(d, field, PS_REJECT_JSON_UTF8);
}

/* "key" : value, with its effect. */
static enum ps_reject decode_member(struct decoding *d)
{
    struct ps_json_scan *s = &d->scan;
    struct ps_str name, text = PS_STR_NONE;
    enum ps_json_kind kind;
    if (s->at == s->end || *s->at != '"')
        return PS_REJECT_JSON_SYNTAX;
    enum ps_reject why = ps_json_string(s, &name);
    if (why != PS_REJECT_NONE)
        return why;
    ps_json_space(s);
    if (s->at == s->end || *s->at != ':')
        return PS_REJECT_JSON_SYNTAX;
    s->at++;
    ps_json_space(s);
    why = ps_json_value(s, 1, &kind, &text);
    if (why != PS_REJECT_NONE)
        return why;
    enum key key = find_key(name);
    why = take_member(key, kind, text, &d->raw);
    if (why != PS_REJECT_NONE)
        note(d, name, why);
    if (s->mended)
        note_mended(d, key, name);
    return PS_REJECT_NONE;
}

static enum ps_reject decode_object(struct decoding *d)
{
    struct ps_json_scan *s = &d->scan;
    s->at++;
    ps_json_space(s);
    if (s->at < s->end && *s->at == '}') {
        s->at++;
        return PS_REJECT_NONE;
    }
    for (;;) {
        enum ps_reject why = decode_member(d);
        if (why != PS_REJECT_NONE)
            return why;
        ps_json_space(s);
        if (s->at == s->end || (*s->at != ',' && *s->at != '}'))
            return PS_REJECT_JSON_SYNTAX;
        if (*s->at++ == '}')
            return PS_REJECT_NONE;
        ps_json_space(s);
    }
}

static void tell(const struct decoding *d, struct ps_warnings *warnings)
{
    for (unsigned i = 0; i < d->notes; i++)
        ps_warnings_add(warnings, d->note[i].field, d->note[i].why);
}

enum ps_reject ps_event_from_json(const char *text, size_t len, char *scratch,
                                  struct ps_warnings *warnings, struct ps_raw_event *ret,
                                  size_t *ret_used)
{
    struct decoding d;
    struct ps_str skipped;
    enum ps_json_kind kind;
    enum ps_reject why;
    d.scan = (struct ps_json_scan){text, text + len, scratch, true, false};
    d.wrong = PS_REJECT_NONE;
    d.mended = false;
    d.notes = 0;
    ps_raw_event_init(&d.raw);
    ps_json_space(&d.scan);
    const char *start = d.scan.at;
    if (d.scan.at < d.scan.end && *d.scan.at == '{') {
        why = decode_object(&d);
    } else {
        why = ps_json_value(&d.scan, 0, &kind, &skipped);
        d.wrong = PS_REJECT_NOT_AN_OBJECT;
    }
    *ret_used = (size_t)(d.scan.at - text);
    if (why != PS_REJECT_NONE)
        return why;
    tell(&d, warnings);
    if (d.wrong != PS_REJECT_NONE)
        return d.wrong;
    if (d.scan.at - start > PS_EVENT_JSON_MAX)
        return PS_REJECT_TOO_LARGE;
    d.raw.mended = d.mended;
    *ret = d.raw;
    return PS_REJECT_NONE;
}
