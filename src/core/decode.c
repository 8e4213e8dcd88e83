/* decode.c - see decode.h.
 *
 * A wrong type does not end the object: the rest is still checked, so that an array can go on
 * behind it, and the first wrong type found is the reason given.
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
    default: return KEY_OTHER;
    }
}

static enum ps_reject take_text(enum ps_json_kind kind, struct ps_str text, struct ps_str *ret,
                                enum ps_reject wrong_type)
{
    if (kind == PS_JSON_NULL)
        *ret = PS_STR_NONE;
    else if (kind == PS_JSON_STRING)
        *ret = text;
    else
        return wrong_type;
    return PS_REJECT_NONE;
}

static enum ps_reject take_timestamp(enum ps_json_kind kind, struct ps_str text,
                                     struct ps_raw_event *ret)
{
    if (kind != PS_JSON_NUMBER && kind != PS_JSON_NULL)
        return PS_REJECT_TIMESTAMP_TYPE;
    if (kind == PS_JSON_NULL)
        ret->timestamp_ms = PS_ABSENT;
    else /* a negative one must not look absent */
        ret->timestamp_ms = text.ptr[0] == '-' ? 0 : ps_decimal_int64(text, 0, PS_TRUNCATE, NULL);
    return PS_REJECT_NONE;
}

static enum ps_reject take_status(enum ps_json_kind kind, struct ps_str text,
                                  struct ps_raw_event *ret)
{
    bool whole = true;
    int64_t value = PS_ABSENT;
    if (kind == PS_JSON_NUMBER) {
        value = ps_decimal_int64(text, 0, PS_TRUNCATE, &whole);
        if (value < 0 || value > PS_STATUS_MAX)
            value = PS_STATUS_MAX + 1; /* out of range, and never taken for absent */
    } else if (kind != PS_JSON_NULL) {
        whole = false;
    }
    if (!whole)
        return PS_REJECT_STATUS_TYPE;
    ret->status = (int32_t)value;
    return PS_REJECT_NONE;
}

static enum ps_reject take_response_time(enum ps_json_kind kind, struct ps_str text,
                                         struct ps_raw_event *ret)
{
    if (kind == PS_JSON_NULL) {
        ret->response_us = PS_ABSENT;
        return PS_REJECT_NONE;
    }
    if (kind != PS_JSON_NUMBER)
        return PS_REJECT_RESPONSE_TIME_TYPE;
    int64_t us = ps_decimal_int64(text, 3, PS_ROUND_HALF_UP, NULL);
    ret->response_us = us < 0 ? INT64_MAX : us; /* refused as out of range, not taken for absent */
    return PS_REJECT_NONE;
}

static enum ps_reject take_is_error(enum ps_json_kind kind, struct ps_raw_event *ret)
{
    switch (kind) {
    case PS_JSON_NULL: ret->is_error = PS_ABSENT; return PS_REJECT_NONE;
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
    case KEY_CLIENT_IP: return take_text(kind, text, &ret->client_ip, PS_REJECT_CLIENT_TYPE);
    case KEY_CLIENT_IP_HASH:
        return take_text(kind, text, &ret->client_ip_hash, PS_REJECT_CLIENT_TYPE);
    case KEY_USER_AGENT: return take_text(kind, text, &ret->user_agent, PS_REJECT_USER_AGENT_TYPE);
    case KEY_COUNTRY: return take_text(kind, text, &ret->country, PS_REJECT_COUNTRY_TYPE);
    case KEY_IS_ERROR: return take_is_error(kind, ret);
    case KEY_REQUEST_ID: return take_text(kind, text, &ret->request_id, PS_REJECT_REQUEST_ID_TYPE);
    case KEY_OTHER: break;
    }
    return PS_REJECT_NONE;
}

/* "key" : value, with its effect; *wrong keeps the first wrong type. */
static enum ps_reject decode_member(struct ps_json_scan *s, struct ps_raw_event *ret,
                                    enum ps_reject *wrong)
{
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
    enum ps_reject type = take_member(find_key(name), kind, text, ret);
    if (*wrong == PS_REJECT_NONE)
        *wrong = type;
    return PS_REJECT_NONE;
}

static enum ps_reject decode_object(struct ps_json_scan *s, struct ps_raw_event *ret,
                                    enum ps_reject *wrong)
{
    s->at++;
    ps_json_space(s);
    if (s->at < s->end && *s->at == '}') {
        s->at++;
        return PS_REJECT_NONE;
    }
    for (;;) {
        enum ps_reject why = decode_member(s, ret, wrong);
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

enum ps_reject ps_event_from_json(const char *text, size_t len, char *scratch,
                                  struct ps_raw_event *ret, size_t *ret_used)
{
    struct ps_json_scan s = {text, text + len, scratch};
    struct ps_raw_event raw;
    struct ps_str skipped;
    enum ps_json_kind kind;
    enum ps_reject wrong = PS_REJECT_NONE, why;
    ps_raw_event_init(&raw);
    ps_json_space(&s);
    const char *start = s.at;
    if (s.at < s.end && *s.at == '{') {
        why = decode_object(&s, &raw, &wrong);
    } else {
        why = ps_json_value(&s, 0, &kind, &skipped);
        wrong = PS_REJECT_NOT_AN_OBJECT;
    }
    *ret_used = (size_t)(s.at - text);
    if (why != PS_REJECT_NONE)
        return why;
    if (wrong != PS_REJECT_NONE)
        return wrong;
    if (s.at - start > PS_EVENT_JSON_MAX)
        return PS_REJECT_TOO_LARGE;
    *ret = raw;
    return PS_REJECT_NONE;
}
