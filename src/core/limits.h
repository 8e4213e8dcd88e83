/* limits.h - every bound of the core by name (I8). Part of the public contract: see docs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_LIMITS_H
#define PS_CORE_LIMITS_H

#include <stdint.h>

enum {
    PS_ID_MAX = 128,         /* bytes, visible ASCII */
    PS_PATH_MAX = 1024,      /* bytes; longer is cut */
    PS_METHOD_MAX = 16,      /* bytes, an HTTP token; longer is left out */
    PS_USER_AGENT_MAX = 512, /* bytes; longer is cut */
    PS_COUNTRY_MAX = 8,      /* bytes; longer is left out */
    PS_REQUEST_ID_MAX = 128, /* bytes, visible ASCII; longer is refused */
    PS_CLIENT_IP_MAX = 255,  /* bytes; longer is left out */
    PS_STATUS_MIN = 100,     /* RFC 9110: three digits; servers log 499, 599, 999 */
    PS_STATUS_MAX = 999,
    PS_JSON_DEPTH_MAX = 32,
    PS_EVENT_JSON_MAX = 65536,   /* bytes of one event on the wire */
    PS_FUTURE_MAX_MS = 300000,   /* how far ahead of the clock an event may be */
    PS_SAMPLE_MAX = 1000,        /* response times kept, bottom-k by hash(id) */
    PS_CLIENTS_MAX = 1000,       /* client hashes kept, KMV */
    PS_EVENT_ENCODED_MAX = 2048, /* bytes of one event in the queue */
};

/* Before 2000-01-01 a timestamp is a mistake: seconds instead of milliseconds, usually. */
#define PS_TIMESTAMP_MIN_MS INT64_C(946684800000)
/* 9999-12-31T23:59:59.999Z: four-digit years in every text form. */
#define PS_TIMESTAMP_MAX_MS INT64_C(253402300799999)
/* A day. Sums of these stay below 2^63 for a hundred million requests an hour. */
#define PS_RESPONSE_US_MAX INT64_C(86400000000)
/* 2^53 - 1: what every reader of JSON takes exactly. A larger response size is no size. */
#define PS_RESPONSE_BYTES_MAX INT64_C(9007199254740991)
/* A sum of sizes goes no further, in whatever order it is made: SQL's largest integer. */
#define PS_BYTES_SUM_MAX UINT64_C(9223372036854775807)

#endif
