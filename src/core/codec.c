/* codec.c - the queue's form of an event; see event.h. Little-endian:
 *
 *     0  version (2)             12  response_us i64 (-1 absent)   28  status i16 (-1 absent)
 *     1  is_error i8             20  client_hash u64               30  lengths u16 of id, path,
 *     2  flags: 1 client, 2 method,                                    user agent
 *        4 user agent, 8 country 36  length u8 of method, country
 *     4  timestamp_ms i64       38  response_bytes i64 (-1 absent); not in version 1
 *                               46  the bytes, in that order; in version 1 at 38
 *
 * Part of the file format: a change takes a new version number, and older ones stay readable.
 *
 * SPDX-License-Identifier: MIT
 */
#include "base/err.h"
#include "core/event.h"

enum { VERSION = 2, HEADER_BYTES = 46, OLD_VERSION = 1, OLD_HEADER_BYTES = 38 };
enum { HAS_CLIENT = 1, HAS_METHOD = 2, HAS_USER_AGENT = 4, HAS_COUNTRY = 8 };

static void put(uint8_t *to, const void *value, size_t n)
{
    __builtin_memcpy(to, value, n);
}

static uint16_t get16(const uint8_t *from)
{
    uint16_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

size_t ps_event_encode(const struct ps_event *event, uint8_t *to)
{
    uint16_t lengths[3] = {(uint16_t)event->id.len, (uint16_t)event->path.len,
                           (uint16_t)event->user_agent.len};
    int16_t status = (int16_t)event->status;
    to[0] = VERSION;
    to[1] = (uint8_t)event->is_error;
    to[2] = (uint8_t)((event->has_client ? HAS_CLIENT : 0) |
                      (event->method.ptr != NULL ? HAS_METHOD : 0) |
                      (event->user_agent.ptr != NULL ? HAS_USER_AGENT : 0) |
                      (event->country.ptr != NULL ? HAS_COUNTRY : 0));
    to[3] = 0;
    put(to + 4, &event->timestamp_ms, 8);
    put(to + 12, &event->response_us, 8);
    put(to + 20, &event->client_hash, 8);
    put(to + 28, &status, 2);
    put(to + 30, lengths, 6);
    to[36] = (uint8_t)event->method.len;
    to[37] = (uint8_t)event->country.len;
    put(to + 38, &event->response_bytes, 8);
    const struct ps_str *parts[] = {&event->id, &event->path, &event->user_agent, &event->method,
                                    &event->country};
    size_t n = HEADER_BYTES;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        ps_copy(to + n, parts[i]->ptr, parts[i]->len);
        n += parts[i]->len;
    }
    return n;
}

static struct ps_str take(const uint8_t **at, size_t len, bool present)
{
    struct ps_str s = present ? (struct ps_str){(const char *)*at, len} : PS_STR_NONE;
    *at += len;
    return s;
}

static bool in_bounds(const struct ps_event *event)
{
    return event->id.len >= 1 && event->id.len <= PS_ID_MAX && event->path.len >= 1 &&
           event->path.len <= PS_PATH_MAX && event->user_agent.len <= PS_USER_AGENT_MAX &&
           event->method.len <= PS_METHOD_MAX && event->country.len <= PS_COUNTRY_MAX &&
           event->timestamp_ms >= PS_TIMESTAMP_MIN_MS &&
           event->timestamp_ms <= PS_TIMESTAMP_MAX_MS && event->response_us >= PS_ABSENT &&
           event->response_us <= PS_RESPONSE_US_MAX && event->response_bytes >= PS_ABSENT &&
           event->response_bytes <= PS_RESPONSE_BYTES_MAX &&
           (event->status == PS_ABSENT ||
            (event->status >= PS_STATUS_MIN && event->status <= PS_STATUS_MAX)) &&
           event->is_error >= PS_ABSENT && event->is_error <= 1;
}

int ps_event_decode(const uint8_t *bytes, size_t len, struct ps_event *ret)
{
    if (len < OLD_HEADER_BYTES || bytes[0] < OLD_VERSION || bytes[0] > VERSION || bytes[2] > 15 ||
        bytes[3] != 0)
        return PS_ECORRUPT;
    size_t header = bytes[0] == OLD_VERSION ? OLD_HEADER_BYTES : HEADER_BYTES;
    size_t id = get16(bytes + 30), path = get16(bytes + 32), agent = get16(bytes + 34);
    size_t method = bytes[36], country = bytes[37];
    uint8_t flags = bytes[2];
    if (len != header + id + path + agent + method + country ||
        (!(flags & HAS_METHOD) && method > 0) || (!(flags & HAS_USER_AGENT) && agent > 0) ||
        (!(flags & HAS_COUNTRY) && country > 0))
        return PS_ECORRUPT;
    const uint8_t *at = bytes + header;
    struct ps_event event = {
        .timestamp_ms = (int64_t)get64(bytes + 4),
        .response_us = (int64_t)get64(bytes + 12),
        .response_bytes = header == HEADER_BYTES ? (int64_t)get64(bytes + 38) : PS_ABSENT,
        .client_hash = get64(bytes + 20),
        .status = (int16_t)get16(bytes + 28),
        .is_error = (int8_t)bytes[1],
        .has_client = flags & HAS_CLIENT,
    };
    event.id = take(&at, id, true);
    event.path = take(&at, path, true);
    event.user_agent = take(&at, agent, flags & HAS_USER_AGENT);
    event.method = take(&at, method, flags & HAS_METHOD);
    event.country = take(&at, country, flags & HAS_COUNTRY);
    if (!in_bounds(&event))
        return PS_ECORRUPT;
    *ret = event;
    return 0;
}
