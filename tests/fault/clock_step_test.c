/* clock_step_test.c - somebody sets the machine's clock while threads wait: nothing stalls.
 *
 * This process sees a wall clock that is an hour ahead of the kernel's. A deadline taken from it
 * and given to a wait by the wall clock lies an hour away, exactly as when the clock is set back by
 * an hour during the wait. The monotonic clock is the real one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/wait.h"
#include "daemon/keeper.h"
#include "flow/aggregator.h"
#include "flow/snapshot.h"
#include "support/patience.h"

#include <sys/syscall.h>

enum { AHEAD_S = 3600, SHORT_MS = 20 };

/* Instead of libc's, for all of this program. */
int clock_gettime(clockid_t which, struct timespec *ret)
{
    long r = syscall(SYS_clock_gettime, which, ret);
    if (r == 0 && which == CLOCK_REALTIME)
        ret->tv_sec += AHEAD_S;
    return (int)r;
}

struct waiting {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int64_t waited_us;
    _Atomic bool over;
};

static void *wait_a_moment(void *arg)
{
    struct waiting *w = arg;
    int64_t start_us = ps_clock_monotonic_us(ps_clock_system());
    struct timespec until = ps_wait_deadline(SHORT_MS);
    pthread_mutex_lock(&w->lock);
    while (ps_cond_wait_until(&w->cond, &w->lock, &until))
        continue;
    pthread_mutex_unlock(&w->lock);
    w->waited_us = ps_clock_monotonic_us(ps_clock_system()) - start_us;
    w->over = true;
    return NULL;
}

static void a_wait_ends_when_it_should(void **state)
{
    struct waiting w = {.lock = PTHREAD_MUTEX_INITIALIZER};
    (void)state;
    ps_cond_init(&w.cond);
    assert_int_equal(pthread_create(&w.thread, NULL, wait_a_moment, &w), 0);
    WAIT_FOR(w.over);
    pthread_join(w.thread, NULL);
    assert_true(w.waited_us >= SHORT_MS * 1000); /* and not before */
    pthread_cond_destroy(&w.cond);
}

static void *run_aggregator(void *arg)
{
    ps_aggregator_run(arg, NULL);
    return NULL;
}

/* Nobody wakes it: it looks by itself, counts, writes the statistics, and its heart beats. */
static void the_consumer_goes_on(void **state)
{
    static const struct ps_queue_limits limits = {1 << 20, 1 << 16, 1 << 16, 0};
    struct place place;
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_kv *kv;
    struct ps_aggregator *a;
    pthread_t thread;
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_event event = {.id = PS_STR("one"),
                             .path = PS_STR("/"),
                             .timestamp_ms = INT64_C(1760529600000),
                             .response_us = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
    (void)state;
    place_make(&place, "store");
    OK(ps_store_open(&ps_store_mem, &store, place.target, PS_STORE_WRITE, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &queue, place.target, PS_QUEUE_WRITE, &limits, &test_err));
    OK(ps_kv_open(&ps_kv_mem, &kv, place.target, false, &test_err));
    struct ps_aggregator_config config = {.store = store,
                                          .queue = queue,
                                          .kv = kv,
                                          .clock = ps_clock_system(),
                                          .batch_events = 10,
                                          .flush_interval_ms = SHORT_MS,
                                          .cache_bytes = 1 << 20,
                                          .max_paths_per_hour = 10};
    OK(ps_aggregator_open(&a, &config, &test_err));
    assert_int_equal(pthread_create(&thread, NULL, run_aggregator, a), 0);
    struct ps_buf value;
    ps_buf_init(&value, 64);
    WAIT_FOR(ps_kv_get(kv, PS_STR(PS_HEARTBEAT_KEY), 0, &value, NULL) == 0); /* then it waits */
    struct ps_str record = {(const char *)bytes, ps_event_encode(&event, bytes)};
    OK(ps_queue_append(queue, &record, 1, &test_err));
    OK(ps_queue_sync(queue, NULL, &test_err));
    const struct ps_aggregator_counters *c = ps_aggregator_counters(a);
    WAIT_FOR(c->fresh == 1);
    WAIT_FOR(c->watermark == c->position && c->flushes == 1);
    ps_aggregator_stop(a);
    pthread_join(thread, NULL);
    ps_buf_done(&value);
    ps_aggregator_close(a);
    ps_kv_close(kv);
    ps_queue_close(queue);
    ps_store_close(store);
    place_remove(&place);
}

static bool has_snapshot(struct ps_kv *kv)
{
    struct ps_snapshot_pointer pointer;
    return ps_snapshot_pointer(kv, ps_clock_now_ms(ps_clock_system()), &pointer, NULL) == 0;
}

static void the_keeper_goes_on(void **state)
{
    static const struct ps_queue_limits limits = {1 << 20, 1 << 16, 1 << 16, 0};
    struct place place;
    struct ps_config config;
    struct ps_datadir dir;
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_kv *kv;
    struct ps_keeper *keeper;
    struct ps_aggregator_counters counters = {0};
    (void)state;
    place_make(&place, "kv");
    ps_config_init(&config);
    OK(ps_datadir_init(&dir, place.folder, &test_err));
    OK(ps_store_open(&ps_store_sqlite, &store, dir.database, PS_STORE_WRITE, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &queue, place.target, PS_QUEUE_WRITE, &limits, &test_err));
    OK(ps_kv_open(&ps_kv_mem, &kv, place.target, false, &test_err));
    OK(ps_config_set(&config, "data_dir", place.folder, PS_FROM_FLAG, &test_err));
    OK(ps_config_set(&config, "cron_snapshot", "off", PS_FROM_FLAG, &test_err));
    struct ps_keeper_config keeping = {.config = &config,
                                       .dir = &dir,
                                       .queue = queue,
                                       .kv = kv,
                                       .clock = ps_clock_system(),
                                       .aggregator = &counters};
    OK(ps_keeper_open(&keeper, &keeping, &test_err));
    for (uint64_t round = 1; round <= 2; round++) { /* the second one comes while it waits */
        counters.batches = round * (uint64_t)config.snapshot_batches;
        WAIT_FOR(has_snapshot(kv));
        OK(ps_kv_remove(kv, PS_STR("paths:snapshot:latest"), &test_err));
    }
    ps_keeper_close(keeper);
    ps_kv_close(kv);
    ps_queue_close(queue);
    ps_store_close(store);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_when_it_should),
        cmocka_unit_test(the_consumer_goes_on),
        cmocka_unit_test(the_keeper_goes_on),
    };
    return cmocka_run_group_tests_name("clock step", tests, NULL, NULL);
}
