/* capacity.h - how full it is, how fast it fills, and when to say so.
 *
 * What counts against the limit is the used part of the database: pages of cleaned days are on its
 * free list and are used again. Growth is the difference to the oldest measurement of the last
 * PS_CAPACITY_HISTORY_DAYS, which are kept in the KV.
 *
 * Threads: as store, ledger, queue and kv handed in.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_CAPACITY_H
#define PS_FLOW_CAPACITY_H

#include "base/json.h"
#include "port/clock.h"
#include "port/kv.h"
#include "port/ledger.h"
#include "port/queue.h"
#include "port/store.h"

enum {
    PS_CAPACITY_HISTORY_DAYS = 7,
    PS_CAPACITY_MEASUREMENTS_MAX = 256, /* kept; the oldest go */
    PS_CAPACITY_WARN_1 = 70,            /* per cent of max_db_size */
    PS_CAPACITY_WARN_2 = 85,
    PS_CAPACITY_WARN_3 = 95, /* archives the oldest eligible day at once */
};

#define PS_CAPACITY_HISTORY_KEY "capacity:history"

struct ps_capacity_config {
    struct ps_store *store;
    struct ps_ledger *ledger;
    struct ps_queue *queue;
    struct ps_kv *kv; /* may be NULL: no growth */
    struct ps_clock *clock;
    uint64_t max_db_bytes;
};

struct ps_capacity {
    int64_t measured_ms;
    uint64_t database_bytes, used_bytes, log_bytes, queue_bytes, archive_bytes, max_db_bytes;
    unsigned percent; /* used of the maximum, rounded down; may exceed 100 */
    unsigned level;   /* 0, or the threshold that is reached: 70, 85, 95 */
    bool has_growth;
    int64_t growth_per_day_bytes; /* may be negative */
    bool has_days_left;           /* it grows */
    double days_left;
};

int ps_capacity_measure(const struct ps_capacity_config *c, struct ps_capacity *ret,
                        struct ps_err *e);
/* Adds the measurement to the history. */
int ps_capacity_remember(const struct ps_capacity_config *c, const struct ps_capacity *m,
                         struct ps_err *e);

/* The level for a percentage. */
unsigned ps_capacity_level(unsigned percent);
/* {"level":…,"percent":…,…}: what the API, the webhook and --json show. */
void ps_capacity_write(const struct ps_capacity *m, struct ps_json *w);

#endif
