/* api_rig.c - see api_rig.h.  SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/api_rig.h"

#include "backend/mem/mem.h"
#include "backend/registry.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGET "api-rig" /* one rig at a time */

static int64_t rig_now_ms(struct ps_clock *c)
{
    return atomic_load(&((struct rig_clock *)c)->now_ms);
}

static int64_t rig_monotonic_us(struct ps_clock *c)
{
    return atomic_fetch_add(&((struct rig_clock *)c)->mono_us, RIG_TICK_US);
}

static void rig_sleep_ms(struct ps_clock *c, int64_t ms)
{
    atomic_fetch_add(&((struct rig_clock *)c)->mono_us, ms * 1000);
    atomic_fetch_add(&((struct rig_clock *)c)->now_ms, ms);
}

static void count_sync(void *ctx)
{
    struct rig *rig = ctx;
    pthread_mutex_lock(&rig->lock);
    rig->syncs++;
    pthread_cond_signal(&rig->synced);
    pthread_mutex_unlock(&rig->lock);
}

/* --- orders --- */

struct job {
    struct rig *rig;
    ps_api_done_fn *done;
    void *done_ctx;
};

static void *answer_order(void *arg)
{
    struct job job = *(struct job *)arg;
    free(arg);
    pthread_mutex_lock(&job.rig->lock);
    while (job.rig->holding)
        pthread_cond_wait(&job.rig->released, &job.rig->lock);
    pthread_mutex_unlock(&job.rig->lock);
    job.done(job.done_ctx, job.rig->order_code, job.rig->order_text);
    return NULL;
}

static void join_job(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    bool ordered = rig->ordered;
    rig->ordered = false;
    pthread_mutex_unlock(&rig->lock);
    if (ordered)
        pthread_join(rig->job, NULL);
}

static int order_archive(void *ctx, int32_t day, ps_api_done_fn *done, void *done_ctx,
                         struct ps_err *e)
{
    struct rig *rig = ctx;
    if (rig->taken_code < 0)
        return ps_fail(e, rig->taken_code, "not taken");
    struct job *job = malloc(sizeof *job);
    *job = (struct job){rig, done, done_ctx};
    join_job(rig);
    pthread_mutex_lock(&rig->lock);
    rig->ordered_day = day;
    rig->ordered = true;
    pthread_create(&rig->job, NULL, answer_order, job);
    pthread_cond_broadcast(&rig->released);
    pthread_mutex_unlock(&rig->lock);
    return 0;
}

static int order_snapshot(void *ctx, ps_api_done_fn *done, void *done_ctx, struct ps_err *e)
{
    return order_archive(ctx, RIG_SNAPSHOT, done, done_ctx, e);
}

static int order_replay(void *ctx, ps_api_done_fn *done, void *done_ctx, struct ps_err *e)
{
    return order_archive(ctx, RIG_REPLAY, done, done_ctx, e);
}

static int order_purge(void *ctx, const struct ps_letter_filter *filter, ps_api_done_fn *done,
                       void *done_ctx, struct ps_err *e)
{
    struct rig *rig = ctx;
    rig->purged = *filter;
    return order_archive(ctx, RIG_PURGE, done, done_ctx, e);
}

void rig_hold_orders(struct rig *rig, bool on)
{
    pthread_mutex_lock(&rig->lock);
    rig->holding = on;
    pthread_cond_broadcast(&rig->released);
    pthread_mutex_unlock(&rig->lock);
}

void rig_forget_order(struct rig *rig)
{
    join_job(rig);
}

void rig_await_order(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    while (!rig->ordered)
        pthread_cond_wait(&rig->released, &rig->lock);
    pthread_mutex_unlock(&rig->lock);
}

/* --- questions --- */

static int open_reader(void *ctx, struct ps_api_reader *ret, struct ps_err *e)
{
    struct rig *rig = ctx;
    pthread_mutex_lock(&rig->lock);
    bool refused = rig->readers == rig->readers_max;
    rig->readers += !refused;
    pthread_mutex_unlock(&rig->lock);
    if (refused)
        return ps_fail(e, PS_ECORRUPT, "no reader");
    int r = ps_store_open(&ps_store_mem, &ret->store, TARGET, PS_STORE_READ, e);
    if (r == 0)
        r = ps_ledger_open(&ps_ledger_mem, &ret->ledger, TARGET, PS_STORE_READ, e);
    return r < 0 ? r : ps_kv_open(&ps_kv_mem, &ret->kv, TARGET, true, e);
}

static void close_reader(void *ctx, struct ps_api_reader *reader)
{
    struct rig *rig = ctx;
    ps_kv_close(reader->kv);
    ps_ledger_close(reader->ledger);
    ps_store_close(reader->store);
    pthread_mutex_lock(&rig->lock);
    rig->readers--;
    pthread_mutex_unlock(&rig->lock);
}

static int measure(void *ctx, const struct ps_api_reader *reader, struct ps_buf *ret_json,
                   struct ps_err *e)
{
    struct rig *rig = ctx;
    (void)reader;
    pthread_mutex_lock(&rig->lock);
    rig->asking++;
    pthread_cond_broadcast(&rig->released);
    while (rig->holding_questions)
        pthread_cond_wait(&rig->released, &rig->lock);
    rig->asking--;
    pthread_mutex_unlock(&rig->lock);
    ps_buf_text(ret_json, "{\"bytes\":1}");
    return rig->capacity_code < 0 ? ps_fail(e, rig->capacity_code, "capacity: a secret") : 0;
}

void rig_hold_questions(struct rig *rig, bool on)
{
    pthread_mutex_lock(&rig->lock);
    rig->holding_questions = on;
    pthread_cond_broadcast(&rig->released);
    pthread_mutex_unlock(&rig->lock);
}

void rig_await_questions(struct rig *rig, size_t count)
{
    pthread_mutex_lock(&rig->lock);
    while (rig->asking < count)
        pthread_cond_wait(&rig->released, &rig->lock);
    pthread_mutex_unlock(&rig->lock);
}

/* --- the server --- */

static void open_server(struct rig *rig, const struct rig_options *o)
{
    struct ps_err e = {0};
    struct ps_api_config config = {
        .host = "localhost",
        .body_limit = o->body_limit > 0 ? o->body_limit : RIG_BODY_LIMIT,
        .bodies_max = o->bodies_max,
        .connections = o->connections,
        .record_self = o->record_self,
        .secret = rig->secret,
        .queue = &rig->gate.queue,
        .commit = rig->commit,
        .admission = &rig->admission,
        .receipts = rig->receipts,
        .kv = rig->kv,
        .clock = &rig->clock.clock,
        .troubles = &rig->troubles,
        .aggregator = &rig->aggregator,
        .version = "9.8.7",
        .data_dir = "data",
    };
    rig->orders =
        (struct ps_api_orders){rig, order_archive, order_snapshot, order_replay, order_purge};
    rig->order_text = "{\"done\":true}";
    rig->readers_max = SIZE_MAX;
    if (o->full) {
        config.orders = &rig->orders;
        rig->reading = (struct ps_api_reading){rig, open_reader, close_reader, measure};
        config.reading = &rig->reading;
    }
    if (ps_api_open(&rig->api, &config, &e) < 0)
        fail_msg("%s", e.text);
}

int rig_open_as(void **state, const struct rig_options *o)
{
    const struct ps_queue_limits limits = {.bytes_max = o->queue_bytes_max > 0 ? o->queue_bytes_max
                                                                               : 1 << 24,
                                           .segment_bytes = 1 << 20,
                                           .dead_letter_bytes_max = 1 << 20};
    struct ps_err e = {0};
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->clock.clock = (struct ps_clock){rig_now_ms, rig_monotonic_us, rig_sleep_ms};
    atomic_store(&rig->clock.now_ms, RIG_NOW_MS);
    memset(rig->secret, 7, sizeof rig->secret);
    ps_troubles_init(&rig->troubles, &rig->clock.clock, NULL, NULL);
    ps_admission_init(&rig->admission);
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->synced, NULL);
    pthread_cond_init(&rig->released, NULL);
    ps_records_init(&rig->records);
    assert_int_equal(ps_queue_open(&ps_queue_mem, &rig->inner, TARGET, PS_QUEUE_WRITE, &limits, &e),
                     0);
    gate_queue_init(&rig->gate, rig->inner);
    assert_int_equal(ps_kv_open(&ps_kv_mem, &rig->kv, TARGET, false, &e), 0);
    assert_int_equal(
        ps_commit_open(&rig->commit, &rig->gate.queue, count_sync, rig, &rig->troubles, &e), 0);
    assert_int_equal(ps_store_open(&ps_store_mem, &rig->store, TARGET, PS_STORE_WRITE, &e), 0);
    assert_int_equal(ps_ledger_open(&ps_ledger_mem, &rig->ledger, TARGET, PS_STORE_WRITE, &e), 0);
    rig->receipts = ps_receipts_open();
    assert_non_null(rig->receipts);
    open_server(rig, o);
    *state = rig;
    return 0;
}

int rig_open(void **state)
{
    return rig_open_as(state, &(struct rig_options){0});
}

int rig_open_recording(void **state)
{
    return rig_open_as(state, &(struct rig_options){.record_self = true});
}

int rig_open_full(void **state)
{
    return rig_open_as(state, &(struct rig_options){.full = true});
}

void rig_stop(struct rig *rig)
{
    ps_api_close(rig->api);
    ps_commit_close(rig->commit);
    rig->api = NULL;
    rig->commit = NULL;
}

int rig_close(void **state)
{
    struct rig *rig = *state;
    gate_queue_release(&rig->gate); /* a test that failed may have left them held */
    rig_hold_orders(rig, false);
    rig_hold_questions(rig, false);
    rig_stop(rig);
    join_job(rig);
    ps_ledger_close(rig->ledger);
    ps_store_close(rig->store);
    ps_kv_close(rig->kv);
    ps_queue_close(rig->inner);
    ps_mem_forget(TARGET);
    ps_receipts_close(rig->receipts);
    ps_admission_done(&rig->admission);
    ps_records_done(&rig->records);
    free(rig);
    return 0;
}

void rig_pass_s(struct rig *rig, int seconds)
{
    ps_clock_sleep_ms(&rig->clock.clock, seconds * INT64_C(1000));
    rig_get(rig, "/nothing"); /* answered in a round whose sweep may still come, */
    rig_get(rig, "/nothing"); /* ... but not after the next answer */
}

/* Each round of the server reads from each connection that has something. */
void rig_let_read(struct rig *rig, size_t bytes)
{
    enum { ROUND_BYTES = 4096 };
    for (size_t read = 0; read < bytes; read += ROUND_BYTES)
        rig_get(rig, "/nothing");
}

void rig_ask(struct rig *rig, const char *method, const char *path, const char *more,
             const void *body, size_t len)
{
    int fd = http_connect(ps_api_port(rig->api));
    http_request(fd, method, path, more, body, len);
    http_read(fd, &rig->reply, strcmp(method, "HEAD") == 0);
    close(fd);
}

void rig_get(struct rig *rig, const char *path)
{
    rig_ask(rig, "GET", path, "", "", 0);
}

void rig_post(struct rig *rig, const char *text)
{
    rig_ask(rig, "POST", "/api/events", "", text, strlen(text));
}

size_t rig_take_records(struct rig *rig)
{
    struct ps_err e = {0};
    if (ps_queue_read(rig->inner, rig->read_at, PS_READ_RECORDS_MAX, &rig->records, &e) < 0)
        fail_msg("%s", e.text);
    rig->read_at = rig->records.next_position;
    return rig->records.count;
}

size_t rig_await_records(struct rig *rig)
{
    for (;;) {
        pthread_mutex_lock(&rig->lock);
        uint64_t seen = rig->syncs;
        pthread_mutex_unlock(&rig->lock);
        size_t count = rig_take_records(rig);
        if (count > 0)
            return count;
        pthread_mutex_lock(&rig->lock);
        while (rig->syncs == seen)
            pthread_cond_wait(&rig->synced, &rig->lock);
        pthread_mutex_unlock(&rig->lock);
    }
}

void rig_expect(const struct rig *rig, int status, const char *text)
{
    if (rig->reply.status != status || strstr(rig->reply.body, text) == NULL)
        fail_msg("wanted %d with %s, got %d: %s%s", status, text, rig->reply.status,
                 rig->reply.headers, rig->reply.body);
}
