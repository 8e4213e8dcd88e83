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

static int replay(void *ctx, size_t *ret_count, struct ps_err *e)
{
    struct rig *rig = ctx;
    *ret_count = 3;
    return rig->replay_code < 0 ? ps_fail(e, rig->replay_code, "replay: a secret") : 0;
}

static void open_server(struct rig *rig, bool record_self)
{
    struct ps_err e = {0};
    struct ps_api_config config = {
        .host = "localhost",
        .body_limit = RIG_BODY_LIMIT,
        .record_self = record_self,
        .secret = rig->secret,
        .queue = &rig->gate.queue,
        .commit = rig->commit,
        .kv = rig->kv,
        .clock = &rig->clock.clock,
        .aggregator = &rig->aggregator,
        .version = "9.8.7",
        .data_dir = "data",
        .replay_dead_letters = replay,
        .replay_ctx = rig,
    };
    if (ps_api_open(&rig->api, &config, &e) < 0)
        fail_msg("%s", e.text);
}

static struct rig *make_rig(bool record_self)
{
    static const struct ps_queue_limits limits = {
        .bytes_max = 1 << 24, .segment_bytes = 1 << 20, .dead_letter_bytes_max = 1 << 20};
    struct ps_err e = {0};
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->clock.clock = (struct ps_clock){rig_now_ms, rig_monotonic_us, rig_sleep_ms};
    atomic_store(&rig->clock.now_ms, RIG_NOW_MS);
    memset(rig->secret, 7, sizeof rig->secret);
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->synced, NULL);
    ps_records_init(&rig->records);
    assert_int_equal(ps_queue_open(&ps_queue_mem, &rig->inner, TARGET, PS_QUEUE_WRITE, &limits, &e),
                     0);
    gate_queue_init(&rig->gate, rig->inner);
    assert_int_equal(ps_kv_open(&ps_kv_mem, &rig->kv, TARGET, false, &e), 0);
    assert_int_equal(ps_commit_open(&rig->commit, &rig->gate.queue, count_sync, rig, &e), 0);
    open_server(rig, record_self);
    return rig;
}

int rig_open(void **state)
{
    *state = make_rig(false);
    return 0;
}

int rig_open_recording(void **state)
{
    *state = make_rig(true);
    return 0;
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
    rig_stop(rig);
    ps_kv_close(rig->kv);
    ps_queue_close(rig->inner);
    ps_mem_forget(TARGET);
    ps_records_done(&rig->records);
    free(rig);
    return 0;
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
