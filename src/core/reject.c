/* reject.c - see reject.h.  SPDX-License-Identifier: MIT */
#include "core/reject.h"

#include "base/check.h"

enum cost { EVENT, FIELD };

static const struct {
    const char *name, *text;
    enum cost cost;
} reasons[] = {
    [PS_REJECT_NONE] = {"none", "accepted", EVENT},
    [PS_REJECT_JSON_SYNTAX] = {"json_syntax", "this is not valid JSON (RFC 8259)", EVENT},
    [PS_REJECT_JSON_UTF8] = {"json_utf8", "characters that are not valid became U+FFFD", FIELD},
    [PS_REJECT_JSON_DEPTH] = {"json_depth", "values are nested deeper than 32 levels", EVENT},
    [PS_REJECT_NOT_AN_OBJECT] = {"not_an_object", "an event is a JSON object: {\"path\":…}", EVENT},
    [PS_REJECT_TOO_LARGE] = {"too_large", "an event has at most 65536 bytes", EVENT},
    [PS_REJECT_ID_TYPE] = {"id_type", "idempotentId must be a string", EVENT},
    [PS_REJECT_ID_INVALID] = {"id_invalid",
                              "idempotentId must be 1 to 128 visible ASCII characters", EVENT},
    [PS_REJECT_TIMESTAMP_MISSING] = {"timestamp_missing",
                                     "timestamp is required: milliseconds since 1970", EVENT},
    [PS_REJECT_TIMESTAMP_TYPE] = {"timestamp_type",
                                  "timestamp must be a number: milliseconds since 1970", EVENT},
    [PS_REJECT_TIMESTAMP_RANGE] = {"timestamp_range",
                                   "timestamp must be milliseconds since 1970, from the year 2000 "
                                   "to 9999",
                                   EVENT},
    [PS_REJECT_TIMESTAMP_FUTURE] = {"timestamp_future",
                                    "timestamp is more than 5 minutes ahead of this server's clock",
                                    EVENT},
    [PS_REJECT_PATH_MISSING] = {"path_missing", "path is required", EVENT},
    [PS_REJECT_PATH_TYPE] = {"path_type", "path must be a string", EVENT},
    [PS_REJECT_METHOD_TYPE] = {"method_type", "method must be a string", FIELD},
    [PS_REJECT_METHOD_INVALID] = {"method_invalid",
                                  "method must be an HTTP token of at most 16 characters", FIELD},
    [PS_REJECT_STATUS_TYPE] = {"status_type", "status must be a whole number", FIELD},
    [PS_REJECT_STATUS_RANGE] = {"status_range", "status must be 100 to 999", FIELD},
    [PS_REJECT_RESPONSE_TIME_TYPE] = {"response_time_type",
                                      "responseTime must be a number of milliseconds", FIELD},
    [PS_REJECT_RESPONSE_TIME_RANGE] = {"response_time_range",
                                       "responseTime must be 0 to 86400000 milliseconds", FIELD},
    [PS_REJECT_CLIENT_TYPE] = {"client_type", "clientIp and clientIpHash must be strings", FIELD},
    [PS_REJECT_CLIENT_INVALID] = {"client_invalid",
                                  "clientIp and clientIpHash have at most 255 bytes", FIELD},
    [PS_REJECT_USER_AGENT_TYPE] = {"user_agent_type", "userAgent must be a string", FIELD},
    [PS_REJECT_COUNTRY_TYPE] = {"country_type", "country must be a string", FIELD},
    [PS_REJECT_COUNTRY_INVALID] = {"country_invalid",
                                   "country must be 1 to 8 visible ASCII characters", FIELD},
    [PS_REJECT_IS_ERROR_TYPE] = {"is_error_type", "isError must be true or false", FIELD},
    [PS_REJECT_REQUEST_ID_TYPE] = {"request_id_type", "requestId must be a string", EVENT},
    [PS_REJECT_REQUEST_ID_INVALID] = {"request_id_invalid",
                                      "requestId must be 1 to 128 visible ASCII characters", EVENT},
    [PS_REJECT_LINE_SYNTAX] = {"line_syntax", "the line is not in common or combined log format",
                               EVENT},
    [PS_REJECT_CLOSED_DAY] = {"closed_day",
                              "the day was archived and is closed: restore it, then "
                              "replay the dead letters",
                              EVENT},
    [PS_REJECT_TOO_MANY_DAYS] = {"too_many_days",
                                 "the store could not hold this many days: it can now, replay the "
                                 "dead letters",
                                 EVENT},
    [PS_REJECT_STORE] = {"store", "the store refuses this event, alone, again and again", EVENT},
    [PS_REJECT_RECORD] = {"record", "the queue record does not decode as an event", EVENT},
    [PS_REJECT_TIMESTAMP_SECONDS] = {"timestamp_seconds",
                                     "timestamp looks like seconds instead of milliseconds: "
                                     "multiply it by 1000",
                                     EVENT},
    [PS_REJECT_TIMESTAMP_MICROSECONDS] = {"timestamp_microseconds",
                                          "timestamp looks like microseconds: divide it by 1000, "
                                          "milliseconds are expected",
                                          EVENT},
    [PS_REJECT_TIMESTAMP_NANOSECONDS] = {"timestamp_nanoseconds",
                                         "timestamp looks like nanoseconds: divide it by 1000000, "
                                         "milliseconds are expected",
                                         EVENT},
    [PS_REJECT_UNKNOWN_FIELD] = {"unknown_field", "unknown field", FIELD},
    [PS_REJECT_RESPONSE_BYTES_TYPE] = {"response_bytes_type",
                                       "responseBytes must be a whole number of bytes", FIELD},
    [PS_REJECT_RESPONSE_BYTES_RANGE] = {"response_bytes_range",
                                        "responseBytes must be 0 to 9007199254740991", FIELD},
};

_Static_assert(PS_COUNT_OF(reasons) == PS_REJECT_COUNT, "every reason has a name and a text");

const char *ps_reject_name(enum ps_reject why)
{
    PS_ASSERT((unsigned)why < PS_REJECT_COUNT);
    return reasons[why].name;
}

enum ps_reject ps_reject_find(const char *name, size_t len)
{
    for (int why = PS_REJECT_NONE + 1; why < PS_REJECT_COUNT; why++) {
        size_t i = 0;
        while (i < len && reasons[why].name[i] != '\0' && reasons[why].name[i] == name[i])
            i++;
        if (i == len && reasons[why].name[i] == '\0')
            return (enum ps_reject)why;
    }
    return PS_REJECT_NONE;
}

const char *ps_reject_text(enum ps_reject why)
{
    PS_ASSERT((unsigned)why < PS_REJECT_COUNT);
    return reasons[why].text;
}

bool ps_reject_costs_field(enum ps_reject why)
{
    PS_ASSERT((unsigned)why < PS_REJECT_COUNT);
    return reasons[why].cost == FIELD;
}
