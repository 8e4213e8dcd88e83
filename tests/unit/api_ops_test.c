/* api_ops_test.c - what the HTTP server tells about itself, what it orders, and how it ends.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/check.h"
#include "core/event.h"
#include "support/api_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT "{\"path\":\"/x\",\"timestamp\":1760536800000}"

static void beat(struct rig *rig, const char *value)
{
    struct ps_err e = {0};
    struct ps_str text = {value, strlen(value)};
    assert_int_equal(ps_kv_put(rig->kv, PS_STR(PS_HEARTBEAT_KEY), text, PS_HEARTBEAT_TTL_MS,
                               atomic_load(&rig->clock.now_ms), &e),
                     0);
}

static void pass_ms(struct rig *rig, int64_t ms)
{
    ps_clock_sleep_ms(&rig->clock.clock, ms);
}

static void test_health(void **state)
{
    struct rig *rig = *state;
    atomic_store(&rig->aggregator.position, 77);
    rig_get(rig, "/api/health");
    rig_expect(rig, 200,
               "{\"status\":\"ok\",\"reasons\":[],\"version\":\"9.8.7\",\"uptimeSeconds\":0,"
               "\"aggregator\":{\"heartbeatAgeMs\":null,\"position\":77,\"watermark\":0,"
               "\"failing\":null},"
               "\"queue\":{\"bytes\":0,\"bytesMax\":16777216,\"deadLetters\":0}}");
    pass_ms(rig, 31000);
    rig_get(rig, "/api/health"); /* no heartbeat, but this process would know */
    rig_expect(rig, 200, "{\"status\":\"ok\",");
    beat(rig, "1760536830000");
    rig_get(rig, "/api/health"); /* remembered for a second */
    rig_expect(rig, 200, "\"heartbeatAgeMs\":null");
    pass_ms(rig, 1000);
    rig_get(rig, "/api/health");
    rig_expect(rig, 200, "\"heartbeatAgeMs\":2000");
    atomic_store(&rig->aggregator.failing, PS_EIO);
    rig_get(rig, "/api/health");
    rig_expect(rig, 200, "\"failing\":\"io\"");
    beat(rig, "yesterday");
    pass_ms(rig, 1000);
    rig_get(rig, "/api/health");
    rig_expect(rig, 200, "\"heartbeatAgeMs\":null");
}

static void test_health_tells_what_happened(void **state)
{
    struct rig *rig = *state;
    ps_trouble_begin(&rig->troubles, PS_TROUBLE_ARCHIVE, PS_EDENIED, "a secret of the log");
    pass_ms(rig, 5000);
    rig_get(rig, "/api/health");
    rig_expect(rig, 200,
               "{\"status\":\"degraded\",\"reasons\":[{\"name\":\"archive\",\"severity\":"
               "\"degraded\",\"message\":\"the last archive run failed\",\"kind\":\"denied\","
               "\"since\":\"2025-10-15T14:00:00.000Z\",\"failures\":1}],");
    assert_null(strstr(rig->reply.body, "secret"));
    ps_trouble_begin(&rig->troubles, PS_TROUBLE_STORE, PS_EFULL, "full");
    ps_trouble_begin(&rig->troubles, PS_TROUBLE_STORE, PS_EFULL, "full");
    rig_get(rig, "/api/health");
    rig_expect(rig, 503, "{\"status\":\"failing\",\"reasons\":[{\"name\":\"store\",");
    rig_expect(rig, 503, "\"since\":\"2025-10-15T14:00:05.000Z\",\"failures\":2},{\"name\":");
    rig_get(rig, "/metrics");
    rig_expect(rig, 200, "# TYPE pathstats_trouble gauge\n");
    rig_expect(rig, 200, "\npathstats_trouble{name=\"store\"} 1\n");
    rig_expect(rig, 200, "\npathstats_trouble{name=\"archive\"} 1\n");
    rig_expect(rig, 200, "\npathstats_trouble{name=\"queue\"} 0\n");
    ps_trouble_end(&rig->troubles, PS_TROUBLE_STORE);
    ps_trouble_end(&rig->troubles, PS_TROUBLE_ARCHIVE);
    rig_get(rig, "/api/health"); /* at once */
    rig_expect(rig, 200, "{\"status\":\"ok\",\"reasons\":[],");
}

/* From the first commit that fails to the first that works; nothing is remembered of it. */
static void test_health_while_nothing_can_be_posted(void **state)
{
    static const struct gate_faults all[] = {
        {.append = PS_EIO}, {.sync = PS_EIO}, {.append = PS_EFULL}, {.sync = PS_EFULL}};
    struct rig *rig = *state;
    for (size_t i = 0; i < PS_COUNT_OF(all); i++) {
        gate_queue_fail(&rig->gate, all[i]);
        rig_post(rig, EVENT);
        assert_int_equal(rig->reply.status, 503);
        rig_get(rig, "/api/health");
        rig_expect(rig, 503, "{\"status\":\"failing\",\"reasons\":[{\"name\":\"queue\",");
        gate_queue_fail(&rig->gate, (struct gate_faults){0});
        rig_post(rig, EVENT);
        rig_expect(rig, 202, "");
        rig_get(rig, "/api/health");
        rig_expect(rig, 200, "{\"status\":\"ok\",");
    }
}

static size_t occurrences(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

/* What the server writes to standard error while `run` runs. */
static void capture_log(struct rig *rig, void (*run)(struct rig *rig), char *ret, size_t size)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    run(rig);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(f);
    ret[fread(ret, 1, size - 1, f)] = '\0';
    fclose(f);
}

static void fail_five_times(struct rig *rig)
{
    gate_queue_fail(&rig->gate, (struct gate_faults){.append = PS_EIO});
    for (int i = 0; i < 5; i++) {
        if (i == 4)
            pass_ms(rig, 1000);
        rig_post(rig, EVENT);
        rig_expect(rig, 503, "\"not_durable\"");
    }
    gate_queue_fail(&rig->gate, (struct gate_faults){0});
}

/* A disk that fails, fails every request: the log is not filled with it. */
static void test_failures_fill_no_log(void **state)
{
    char log[4096];
    capture_log(*state, fail_five_times, log, sizeof log);
    assert_int_equal(occurrences(log, "/api/events: the gate refuses"), 2);
    assert_int_equal(occurrences(log, "3 more requests failed meanwhile"), 1);
}

static void bury(struct rig *rig, size_t count, const uint8_t *bytes, size_t len)
{
    struct ps_err e = {0};
    for (size_t i = 0; i < count; i++) {
        struct ps_dead_letter letter = {.position = i + 1,
                                        .time_ms = RIG_NOW_MS,
                                        .why = PS_REJECT_CLOSED_DAY,
                                        .text = PS_STR("a \"detail\""),
                                        .bytes = bytes,
                                        .len = len};
        assert_int_equal(ps_queue_bury(rig->inner, &letter, 1, &e), 0);
    }
}

static void test_dead_letters(void **state)
{
    struct rig *rig = *state;
    rig_get(rig, "/admin/dead-letters");
    rig_expect(rig, 200, "{\"deadLetters\":[],\"total\":0}");
    rig_post(rig, "{\"idempotentId\":\"e1\","
                  "\"path\":\"/x\",\"timestamp\":1760536800000}");
    assert_int_equal(rig_take_records(rig), 1);
    bury(rig, 1, rig->records.items[0].bytes, rig->records.items[0].len);
    rig_get(rig, "/admin/dead-letters");
    rig_expect(rig, 200,
               "{\"deadLetters\":[{\"position\":1,\"time\":\"2025-10-15T14:00:00.000Z\","
               "\"reason\":\"closed_day\",\"message\":\"");
    rig_expect(rig, 200,
               "\"detail\":\"a \\\"detail\\\"\",\"event\":{\"idempotentId\":\"e1\","
               "\"timestamp\":1760536800000,\"method\":null,\"path\":\"/x\"}}],"
               "\"total\":1}");
    bury(rig, 1005, (const uint8_t *)"?", 1);
    rig_get(rig, "/admin/dead-letters"); /* I8 */
    rig_expect(rig, 200, "{\"position\":1000,");
    rig_expect(rig, 200, "\"event\":null}],\"total\":1005}");
    assert_null(strstr(rig->reply.body, "\"position\":1001,"));
}

static void test_metrics(void **state)
{
    struct rig *rig = *state;
    atomic_store(&rig->aggregator.duplicates, 12);
    atomic_store(&rig->aggregator.closed_day, 34);
    rig_post(rig, EVENT);
    bury(rig, 2, (const uint8_t *)"?", 1);
    rig_get(rig, "/metrics");
    rig_expect(rig, 200,
               "# TYPE pathstats_events_accepted_total counter\n"
               "pathstats_events_accepted_total 1\n");
    rig_expect(rig, 200, "pathstats_events_duplicate_total 12\n");
    rig_expect(rig, 200, "pathstats_events_closed_day_total 34\n");
    rig_expect(rig, 200, "\npathstats_dead_letters 2\n");
    rig_expect(rig, 200, "pathstats_events_rejected_total{reason=\"closed_day\"} 0\n");
    rig_expect(rig, 200, "pathstats_http_requests_total{code=\"2xx\"} 1\n");
    rig_expect(rig, 200, "\npathstats_dead_letters_by_reason{reason=\"closed_day\"} 2\n");
    rig_expect(rig, 200, "\npathstats_dead_letters_by_reason{reason=\"store\"} 0\n");
    assert_null(strstr(rig->reply.body, "pathstats_queue_bytes 0\n"));
    assert_string_equal(http_header(&rig->reply, "Content-Type"),
                        "text/plain; version=0.0.4; charset=utf-8");
}

static bool contains(const struct ps_record *record, const char *bytes, size_t len)
{
    return memmem(record->bytes, record->len, bytes, len) != NULL;
}

static void test_record_self(void **state)
{
    struct rig *rig = *state;
    struct ps_hasher *hasher;
    struct ps_event event;
    rig_get(rig, "/metrics");
    rig_get(rig, "/admin/dead-letters");
    rig_get(rig, "/nothing");
    rig_ask(rig, "POST", "/api/health", "", "", 0);
    pass_ms(rig, 31000);
    ps_trouble_begin(&rig->troubles, PS_TROUBLE_STORE, PS_EIO, "gone");
    rig_ask(rig, "GET", "/api/health?probe=1", "User-Agent: probe/1.0\r\n", "", 0);
    rig_expect(rig, 503, "\"failing\"");
    /* The others would have come first. */
    assert_int_equal(rig_await_records(rig), 1);
    const struct ps_record *record = &rig->records.items[0];
    assert_int_equal(ps_event_decode(record->bytes, record->len, &event), 0);
    assert_true(ps_str_equal(event.path, PS_STR("/api/health")));
    assert_true(ps_str_equal(event.method, PS_STR("GET")));
    assert_true(ps_str_equal(event.user_agent, PS_STR("probe/1.0")));
    assert_int_equal(event.status, 503);
    assert_int_equal(event.is_error, 1);
    assert_int_equal(event.timestamp_ms, RIG_NOW_MS + 31000);
    /* Each look at the clock is a tick: the health look-up and the uptime, then the end. The
     * server's loop looks as well. */
    assert_true(event.response_us >= 3 * RIG_TICK_US && event.response_us % RIG_TICK_US == 0);
    /* I7: of the address there is only the keyed hash. */
    assert_int_equal(ps_hasher_open(&hasher, rig->secret, NULL), 0);
    assert_true(event.has_client);
    assert_int_equal(event.client_hash, ps_hasher_client(hasher, PS_STR("127.0.0.1")));
    ps_hasher_close(hasher);
    assert_false(contains(record, "127.0", 5));
    assert_false(contains(record, "\x7f\0\0\1", 4));
    assert_false(contains(record, "\1\0\0\x7f", 4));
}

/* I1: a hundred requests are a hundred events, each with its own id. */
static void test_record_self_many(void **state)
{
    enum { REQUESTS = 100 };
    struct rig *rig = *state;
    char seen[REQUESTS][PS_ID_MAX + 1] = {{0}};
    size_t count = 0;
    int fd = http_connect(ps_api_port(rig->api));
    for (int i = 0; i < REQUESTS; i++) {
        http_request(fd, i % 2 == 0 ? "GET" : "HEAD", "/api/health", "", "", 0);
        http_read(fd, &rig->reply, i % 2);
        assert_int_equal(rig->reply.status, 200);
    }
    while (count < REQUESTS) {
        size_t n = rig_await_records(rig);
        for (size_t i = 0; i < n; i++) {
            struct ps_event event;
            const struct ps_record *record = &rig->records.items[i];
            assert_true(count < REQUESTS);
            assert_int_equal(ps_event_decode(record->bytes, record->len, &event), 0);
            assert_true(ps_str_equal(event.method, count % 2 ? PS_STR("HEAD") : PS_STR("GET")));
            memcpy(seen[count], event.id.ptr, event.id.len);
            for (size_t j = 0; j < count; j++)
                assert_string_not_equal(seen[j], seen[count]);
            count++;
        }
    }
    close(fd);
}

static void test_record_self_full(void **state)
{
    struct rig *rig = *state;
    gate_queue_refuse(&rig->gate, PS_EFULL);
    int fd = http_connect(ps_api_port(rig->api));
    http_request(fd, "GET", "/api/health", "", "", 0);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 200, "\"ok\"");
    /* The committer takes what it was given in order: after this answer the first was refused. */
    http_request(fd, "POST", "/api/events", "", EVENT, strlen(EVENT));
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 503, "\"queue_full\"");
    http_request(fd, "GET", "/metrics", "", "", 0);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 200, "pathstats_self_dropped_total 1\n");
    close(fd);
}

static int open_at(const struct rig *rig, const char *host, uint16_t port, struct ps_api **ret,
                   struct ps_err *e)
{
    struct ps_api_config config = {
        .host = host,
        .port = port,
        .body_limit = RIG_BODY_LIMIT,
        .secret = rig->secret,
        .queue = rig->inner,
        .commit = rig->commit,
        .kv = rig->kv,
        .clock = (struct ps_clock *)(uintptr_t)&rig->clock.clock,
        .version = "1",
        .data_dir = "data",
    };
    return ps_api_open(ret, &config, e);
}

static void test_addresses(void **state)
{
    static const char *const denied[] = {"0.0.0.0", "::", "10.0.0.1", "[2001:db8::1]", "128.0.0.1"};
    static const char *const invalid[] = {"", "example.org", "[127.0.0.1]", "127.0.0.1:80", "[]"};
    struct rig *rig = *state;
    struct ps_api *api = NULL;
    struct ps_err e = {0};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(open_at(rig, denied[i], 0, &api, &e), PS_EDENIED);
        assert_non_null(strstr(e.text, "reverse proxy"));
        assert_int_equal(open_at(rig, invalid[i], 0, &api, &e), PS_EINVAL);
    }
    assert_int_equal(open_at(rig, "127.0.0.1", ps_api_port(rig->api), &api, &e), PS_EIO);
    assert_non_null(strstr(e.text, "is it running already"));
    assert_null(api);
    assert_int_equal(open_at(rig, "127.0.0.1", 0, &api, &e), 0);
    assert_int_not_equal(ps_api_port(api), ps_api_port(rig->api));
    ps_api_close(api);
    ps_api_close(NULL);
}

/* Without an aggregator and orders, as a process that only ingests. */
static void test_bare(void **state)
{
    struct rig *rig = *state;
    struct ps_api *whole = rig->api;
    struct ps_err e = {0};
    assert_int_equal(open_at(rig, "localhost", 0, &rig->api, &e), 0);
    rig_get(rig, "/api/health");
    rig_expect(rig, 200, "\"position\":null,\"watermark\":null,\"failing\":null}");
    pass_ms(rig, 31000); /* then its heart should have beaten */
    rig_get(rig, "/api/health");
    rig_expect(rig, 503, "{\"status\":\"failing\",\"reasons\":[{\"name\":\"heartbeat_missing\",");
    beat(rig, "1760536830000");
    pass_ms(rig, 1000);
    rig_get(rig, "/api/health");
    rig_expect(rig, 200, "{\"status\":\"ok\",");
    assert_int_equal(ps_kv_remove(rig->kv, PS_STR(PS_HEARTBEAT_KEY), &e), 0); /* it stopped */
    pass_ms(rig, 1000);
    rig_get(rig, "/api/health");
    rig_expect(rig, 503, "{\"status\":\"failing\",\"reasons\":[{\"name\":\"heartbeat_missing\",");
    rig_get(rig, "/metrics");
    rig_expect(rig, 200, "pathstats_queue_bytes_max 16777216\n");
    assert_null(strstr(rig->reply.body, "pathstats_aggregator_position"));
    rig_ask(rig, "POST", "/admin/dead-letters/replay", "", "", 0);
    rig_expect(rig, 501, "\"not_here\"");
    rig_ask(rig, "POST", "/admin/dead-letters/purge", "", "{\"all\":true}", 12);
    rig_expect(rig, 501, "\"not_here\"");
    ps_api_close(rig->api);
    rig->api = whole;
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
#define RECORDING(f) cmocka_unit_test_setup_teardown(f, rig_open_recording, rig_close)
    const struct CMUnitTest tests[] = {
        CASE(test_health),
        CASE(test_health_tells_what_happened),
        CASE(test_health_while_nothing_can_be_posted),
        CASE(test_failures_fill_no_log),
        CASE(test_dead_letters),
        CASE(test_metrics),
        RECORDING(test_record_self),
        RECORDING(test_record_self_many),
        RECORDING(test_record_self_full),
        CASE(test_addresses),
        CASE(test_bare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
