/* latency_bench.c - how long a batch of 100 events takes: from the queue's append to the commit in
 * the store, and the insert alone. File queue and SQLite in a temporary directory, durability on.
 * Fails when the 99th percentile is over its limit.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/registry.h"
#include "core/hash.h"
#include "flow/aggregator.h"
#include "flow/outbox.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 100, ROUNDS = 1000, WHOLE_LIMIT_MS = 50, INSERT_LIMIT_MS = 20 };

static int compare(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a < b ? -1 : a > b;
}

static bool print_quantiles(const char *what, int64_t *us, int limit_ms)
{
    qsort(us, ROUNDS, sizeof *us, compare);
    bool kept = us[ROUNDS * 99 / 100] < limit_ms * INT64_C(1000);
    printf("%-34s p50 %6.2f ms   p99 %6.2f ms   max %6.2f ms   p99 limit %d ms: %s\n", what,
           (double)us[ROUNDS / 2] / 1e3, (double)us[ROUNDS * 99 / 100] / 1e3,
           (double)us[ROUNDS - 1] / 1e3, limit_ms, kept ? "kept" : "MISSED");
    return kept;
}

static void make_batch(struct ps_outbox *out, int round)
{
    ps_outbox_clear(out);
    for (int i = 0; i < BATCH; i++) {
        char id[48], path[32];
        int64_t ms = INT64_C(1760529600000) + round * 10 + i;
        uint64_t h = ps_hash64(&(int[2]){round, i}, sizeof(int[2]), 0);
        int n = snprintf(id, sizeof id, "%lld-%016llx", (long long)ms, (unsigned long long)h);
        int m = snprintf(path, sizeof path, "/p/%u", (unsigned)(h % 1000));
        struct ps_event event = {.id = {id, (size_t)n},
                                 .path = {path, (size_t)m},
                                 .method = PS_STR("GET"),
                                 .user_agent = PS_STR("bench/1.0"),
                                 .timestamp_ms = ms,
                                 .response_us = (int64_t)(h % 100000),
                                 .client_hash = h,
                                 .has_client = true,
                                 .status = 200,
                                 .is_error = 0};
        ps_outbox_event(out, &event);
    }
}

static void die(const struct ps_err *e)
{
    fprintf(stderr, "latency_bench: %s\n", e->text);
    exit(1);
}

int main(void)
{
    static int64_t whole[ROUNDS], insert[ROUNDS];
    struct ps_err e = {0};
    struct ps_clock *clock = ps_clock_system();
    struct ps_queue_limits limits = {1 << 30, 64 << 20, 1 << 20, 0};
    struct ps_aggregator_config config = {.clock = clock,
                                          .batch_events = BATCH,
                                          .max_retries = 3,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 64 << 20,
                                          .max_paths_per_hour = 100000};
    struct ps_aggregator *a;
    struct ps_outbox out;
    char dir[PATH_MAX / 2], file[PATH_MAX], queue_dir[PATH_MAX], command[PATH_MAX];
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/pathstats-bench-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(file, sizeof file, "%s/pathstats.db", dir);
    snprintf(queue_dir, sizeof queue_dir, "%s/queue", dir);
    if (ps_store_open(&ps_store_sqlite, &config.store, file, PS_STORE_WRITE, &e) < 0 ||
        ps_queue_open(&ps_queue_file, &config.queue, queue_dir, PS_QUEUE_WRITE, &limits, &e) < 0 ||
        ps_aggregator_open(&a, &config, &e) < 0)
        die(&e);
    ps_outbox_init(&out, 1 << 20);
    for (int round = 0; round < ROUNDS; round++) {
        struct ps_str records[BATCH];
        make_batch(&out, round);
        for (size_t i = 0, at = 0; i < out.count; at = out.ends[i++])
            records[i] = (struct ps_str){out.bytes.ptr + at, out.ends[i] - at};
        int64_t t0 = ps_clock_monotonic_us(clock);
        if (ps_queue_append(config.queue, records, out.count, &e) < 0 ||
            ps_queue_sync(config.queue, NULL, &e) < 0)
            die(&e);
        int64_t t1 = ps_clock_monotonic_us(clock);
        if (ps_aggregator_step(a, &e) != BATCH)
            die(&e);
        int64_t t2 = ps_clock_monotonic_us(clock);
        whole[round] = t2 - t0;
        insert[round] = t2 - t1;
    }
    bool kept = print_quantiles("100 events, queue to committed", whole, WHOLE_LIMIT_MS);
    kept &= print_quantiles("100 inserts (read, apply, count)", insert, INSERT_LIMIT_MS);
    ps_aggregator_close(a);
    ps_store_close(config.store);
    ps_queue_close(config.queue);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) == 0 && kept ? 0 : 1;
}
