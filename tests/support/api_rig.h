/* api_rig.h - a server on a free port, with a queue in memory behind a gate and a clock that obeys.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_API_RIG_H
#define PS_TEST_API_RIG_H

#include "api/api.h"
#include "support/gate_queue.h"
#include "support/http.h"

#define RIG_NOW_MS INT64_C(1760536800000) /* 2025-10-15T14:00:00Z */

enum { RIG_BODY_LIMIT = 64 * 1024, RIG_TICK_US = 500 };

struct rig_clock {
    struct ps_clock clock;
    _Atomic int64_t now_ms;
    _Atomic int64_t mono_us; /* goes on by RIG_TICK_US at each look */
};

/* Orders that are for no day. */
enum rig_order { RIG_SNAPSHOT = INT32_MIN, RIG_REPLAY, RIG_PURGE };

struct rig {
    struct rig_clock clock;
    struct ps_queue *inner;
    struct gate_queue gate;
    struct ps_kv *kv;
    struct ps_commit *commit;
    struct ps_receipts *receipts; /* nobody takes them but the test */
    struct ps_aggregator_counters aggregator;
    struct ps_troubles troubles;
    struct ps_admission admission; /* full when the test says so */
    struct ps_api *api;
    uint8_t secret[PS_SECRET_BYTES];

    pthread_mutex_t lock;
    pthread_cond_t synced, released;
    uint64_t syncs;
    struct ps_records records;
    uint64_t read_at;

    struct ps_store *store;   /* mem; the server reads these with rig_open_full alone, */
    struct ps_ledger *ledger; /* ... through handles of its own */
    struct ps_api_reading reading;
    size_t readers, readers_max; /* open; past so many opening fails */
    size_t asking;               /* that look into GET /admin/capacity */
    bool holding_questions;
    struct ps_api_orders orders;
    pthread_t job; /* the thread that answers the order taken last */
    bool ordered, holding;
    int taken_code, order_code; /* of taking an order, and of its answer */
    const char *order_text;     /* of the answer */
    int32_t ordered_day;        /* or one of rig_order */
    struct ps_letter_filter purged;
    int capacity_code;
    struct http_reply reply;
};

struct rig_options {
    bool record_self;
    bool full;                      /* with store, ledger, orders and capacity */
    uint64_t queue_bytes_max;       /* 0: plenty */
    size_t body_limit;              /* 0: RIG_BODY_LIMIT */
    size_t bodies_max, connections; /* 0: the server's own */
};

/* cmocka's setup and teardown; *state is the rig. */
int rig_open_as(void **state, const struct rig_options *options);
int rig_open(void **state);
int rig_open_recording(void **state); /* with record_self */
int rig_open_full(void **state);      /* with store, ledger, orders and capacity */
int rig_close(void **state);
/* While on, orders are taken and not answered. */
void rig_hold_orders(struct rig *rig, bool on);
/* Until an order was taken; at most one at a time. */
void rig_await_order(struct rig *rig);
/* It was answered, and the next one is awaited. */
void rig_forget_order(struct rig *rig);
/* While on, GET /admin/capacity is not answered. */
void rig_hold_questions(struct rig *rig, bool on);
/* Until so many are being looked into. */
void rig_await_questions(struct rig *rig, size_t count);
/* Closes the server and the committer; rig_close may still follow. */
void rig_stop(struct rig *rig);

/* Lets time go by for the server, and waits until it has looked for what is overdue. */
void rig_pass_s(struct rig *rig, int seconds);

/* Until the server has read so many bytes that were sent to it, of each connection. */
void rig_let_read(struct rig *rig, size_t bytes);

/* One request on a connection of its own; the answer is in rig->reply. */
void rig_ask(struct rig *rig, const char *method, const char *path, const char *more,
             const void *body, size_t len);
void rig_get(struct rig *rig, const char *path);
void rig_post(struct rig *rig, const char *text);
/* Records durable since the last call: never waits. They are in rig->records. */
size_t rig_take_records(struct rig *rig);
/* The same, once there is at least one. */
size_t rig_await_records(struct rig *rig);
/* Fails unless the answer has the status and its body contains the text. */
void rig_expect(const struct rig *rig, int status, const char *text);

#endif
