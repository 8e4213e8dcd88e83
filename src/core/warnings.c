/* warnings.c - see warnings.h.
 *
 * A name is squashed before it is compared: small letters, and nothing but letters and digits, so
 * response_time, Response-Time and responseTime are one. Then come words that others use for the
 * same thing, then names that are a slip of the finger away.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/warnings.h"

#include "base/check.h"
#include "base/near.h"

enum { LIKE_MAX = 12 };

/* Each field, its name squashed, and the squashed names that others have for it. */
static const struct {
    struct ps_str field;
    const char *like[LIKE_MAX];
} known[] = {
    {{"path", sizeof "path" - 1},
     {"path", "url", "uri", "requesturi", "requestpath", "route", "endpoint", "pathname",
      "requesturl", "urlpath"}},
    {{"timestamp", sizeof "timestamp" - 1},
     {"timestamp", "time", "ts", "date", "datetime", "timestampms", "eventtime", "createdat",
      "timems", "at"}},
    {{"status", sizeof "status" - 1},
     {"status", "statuscode", "code", "httpstatus", "responsestatus", "responsecode",
      "httpstatuscode"}},
    {{"responseTime", sizeof "responseTime" - 1},
     {"responsetime", "responsetimems", "latency", "latencyms", "duration", "durationms", "elapsed",
      "elapsedms", "requesttime", "took", "timetaken", "processingtime"}},
    {{"responseBytes", sizeof "responseBytes" - 1},
     {"responsebytes", "bytes", "size", "bodybytes", "bytessent", "bodybytessent", "responsesize",
      "contentlength"}},
    {{"method", sizeof "method" - 1}, {"method", "verb", "httpmethod", "requestmethod"}},
    {{"clientIp", sizeof "clientIp" - 1},
     {"clientip", "ip", "remoteaddr", "remoteip", "ipaddress", "clientaddress", "client",
      "remoteaddress", "userip", "sourceip", "remotehost", "addr"}},
    {{"clientIpHash", sizeof "clientIpHash" - 1},
     {"clientiphash", "iphash", "clienthash", "hashedip"}},
    {{"userAgent", sizeof "userAgent" - 1},
     {"useragent", "ua", "agent", "httpuseragent", "browser"}},
    {{"country", sizeof "country" - 1},
     {"country", "countrycode", "geo", "geocountry", "ipcountry"}},
    {{"isError", sizeof "isError" - 1}, {"iserror", "error", "failed", "haserror"}},
    {{"requestId", sizeof "requestId" - 1},
     {"requestid", "reqid", "traceid", "correlationid", "xrequestid"}},
    {{"idempotentId", sizeof "idempotentId" - 1},
     {"idempotentid", "id", "eventid", "uuid", "idempotencykey", "idempotencyid", "messageid",
      "idempotentkey"}},
};

/* With its NUL; false when it is longer than any name of ours could be. */
static bool squash(struct ps_str name, char to[PS_NEAR_WORD_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
            continue;
        if (n == PS_NEAR_WORD_MAX - 1)
            return false;
        to[n++] = c;
    }
    to[n] = '\0';
    return n > 0;
}

static bool is_same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* Of a short name fewer letters may be wrong: too much is near to it. */
static size_t slips_allowed(const char *word)
{
    size_t n = 0;
    while (word[n] != '\0')
        n++;
    return n < 4 ? 0 : n < 7 ? 1 : 2;
}

struct ps_str ps_field_near(struct ps_str name)
{
    char word[PS_NEAR_WORD_MAX];
    struct ps_str best = PS_STR_NONE;
    struct ps_near near;
    if (!squash(name, word))
        return PS_STR_NONE;
    ps_near_init(&near, word);
    for (size_t i = 0; i < PS_COUNT_OF(known); i++) {
        for (size_t j = 0; j < LIKE_MAX && known[i].like[j] != NULL; j++)
            if (is_same(word, known[i].like[j]))
                return known[i].field;
        size_t fewest = near.fewest;
        ps_near_try(&near, known[i].like[0]);
        if (near.fewest < fewest)
            best = known[i].field;
    }
    return near.fewest <= slips_allowed(word) ? best : PS_STR_NONE;
}

/* --- the list --- */

static struct ps_warning *find(struct ps_warnings *w, struct ps_str field, enum ps_reject why,
                               size_t *ret_unknown)
{
    size_t unknown = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct ps_warning *known_one = &w->list[i];
        if (known_one->why == why &&
            ps_str_equal((struct ps_str){known_one->field, known_one->len}, field))
            return known_one;
        unknown += known_one->why == PS_REJECT_UNKNOWN_FIELD;
    }
    *ret_unknown = unknown;
    return NULL;
}

void ps_warnings_add(struct ps_warnings *w, struct ps_str field, enum ps_reject why)
{
    size_t unknown = 0;
    PS_ASSERT(ps_reject_costs_field(why));
    if (w == NULL)
        return;
    if (field.len > PS_WARNING_FIELD_MAX)
        field.len = PS_WARNING_FIELD_MAX;
    struct ps_warning *at = find(w, field, why, &unknown);
    if (at == NULL) {
        if (w->count == PS_WARNINGS_MAX ||
            (why == PS_REJECT_UNKNOWN_FIELD && unknown == PS_WARNINGS_UNKNOWN_MAX)) {
            w->unlisted++;
            return;
        }
        at = &w->list[w->count++];
        *at = (struct ps_warning){.why = why, .len = (uint8_t)field.len};
        ps_copy(at->field, field.ptr, field.len);
    }
    at->count++;
}

static size_t put(char *to, size_t n, struct ps_str s)
{
    size_t room = PS_WARNING_TEXT_MAX - 1 - n;
    ps_copy(to + n, s.ptr, s.len < room ? s.len : room);
    return n + (s.len < room ? s.len : room);
}

static struct ps_str text_of(enum ps_reject why)
{
    const char *text = ps_reject_text(why);
    size_t len = 0;
    while (text[len] != '\0')
        len++;
    return (struct ps_str){text, len};
}

void ps_warning_text(const struct ps_warning *warning, char to[PS_WARNING_TEXT_MAX])
{
    struct ps_str field = {warning->field, warning->len};
    size_t n = 0;
    if (warning->why == PS_REJECT_UNKNOWN_FIELD) {
        struct ps_str meant = ps_field_near(field);
        n = put(to, put(to, n, PS_STR("unknown field ")), field);
        if (meant.ptr != NULL)
            n = put(to, put(to, put(to, n, PS_STR(": did you mean ")), meant), PS_STR("?"));
        else
            n = put(to, n, PS_STR(": it is not used"));
    } else if (warning->why == PS_REJECT_JSON_UTF8) {
        n = put(to, put(to, put(to, n, field), PS_STR(": ")), text_of(warning->why));
    } else {
        n = put(to, n, text_of(warning->why));
        n = put(to, n, PS_STR(": the field was left out"));
    }
    to[n] = '\0';
}
