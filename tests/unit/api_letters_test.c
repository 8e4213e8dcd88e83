/* api_letters_test.c - dead letters over HTTP: orders to replay and purge them, answered when they
 * are carried out, and who is told that they are full.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/api_rig.h"

#include "base/check.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOSED_DAY 20000 /* 2024-10-04 */
#define OF_DAY(ms) "{\"path\":\"/a\",\"timestamp\":" ms "}"
#define OF_CLOSED_DAY OF_DAY("1728043200000")
#define OF_TODAY OF_DAY("1760536800000")

static void order(struct rig *rig, const char *what, const char *body)
{
    char path[64] = "/admin/dead-letters/";
    rig_ask(rig, "POST", strcat(path, what), "", body, strlen(body));
}

/* The order takes its time, and meanwhile the server answers others. */
static void test_replay_holds_nobody(void **state)
{
    struct rig *rig = *state;
    int fd = http_connect(ps_api_port(rig->api));
    rig_hold_orders(rig, true);
    http_request(fd, "POST", "/admin/dead-letters/replay", "", "", 0);
    rig_await_order(rig);
    assert_int_equal(rig->ordered_day, RIG_REPLAY);
    rig_get(rig, "/api/health");
    assert_true(rig->reply.status > 0);
    rig_post(rig, OF_TODAY);
    assert_int_equal(rig->reply.status, 202);
    rig->order_text = "{\"replayed\":3,\"returned\":1}";
    rig_hold_orders(rig, false);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 200, "{\"replayed\":3,\"returned\":1}");
    close(fd);
}

static void test_replay_fails(void **state)
{
    struct rig *rig = *state;
    rig->order_text = "the queue is full";
    rig->order_code = PS_EFULL;
    order(rig, "replay", "");
    rig_expect(rig, 503, "the queue is full");
    rig->order_text = "a secret";
    rig->order_code = PS_EIO;
    order(rig, "replay", "");
    rig_expect(rig, 500, "\"internal\"");
    assert_null(strstr(rig->reply.body, "secret"));
    rig->taken_code = PS_EFULL;
    order(rig, "replay", "");
    assert_int_equal(rig->reply.status, 503);
    rig_get(rig, "/admin/dead-letters/replay");
    assert_int_equal(rig->reply.status, 405);
}

static void test_purge(void **state)
{
    static const struct {
        const char *body;
        struct ps_letter_filter filter;
    } orders[] = {
        {"{\"all\":true}", {PS_REJECT_NONE, INT64_MAX}},
        {" {\"reason\":\"closed_day\"} ", {PS_REJECT_CLOSED_DAY, INT64_MAX}},
        {"{\"before\":\"2024-10-04\"}", {PS_REJECT_NONE, CLOSED_DAY * PS_MS_PER_DAY}},
        {"{\"before\":\"1970-01-02\",\"reason\":\"record\"}", {PS_REJECT_RECORD, PS_MS_PER_DAY}},
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < PS_COUNT_OF(orders); i++) {
        rig->order_text = "{\"purged\":7}";
        order(rig, "purge", orders[i].body);
        rig_expect(rig, 200, "{\"purged\":7}");
        assert_int_equal(rig->ordered_day, RIG_PURGE);
        assert_int_equal(rig->purged.why, orders[i].filter.why);
        assert_true(rig->purged.before_ms == orders[i].filter.before_ms);
    }
}

/* What was not said clearly purges nothing. */
static void test_a_purge_must_be_clear(void **state)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "{\"all\":false}",
        "{\"all\":true",
        "{\"all\":true} x",
        "{\"all\":true,\"reason\":\"closed_day\"}",
        "{\"reason\":\"closed\"}",
        "{\"reason\":\"none\"}",
        "{\"reason\":\"closed_day2\"}",
        "{\"reason\":7}",
        "{\"before\":\"yesterday\"}",
        "{\"Reason\":\"closed_day\"}",
    };
    struct rig *rig = *state;
    for (size_t i = 0; i < PS_COUNT_OF(bodies); i++) {
        order(rig, "purge", bodies[i]);
        rig_expect(rig, 400, "\"invalid\"");
    }
    assert_false(rig->ordered);
}

static void close_day(struct rig *rig)
{
    rig->admission.days = malloc(sizeof *rig->admission.days);
    rig->admission.days[0] = CLOSED_DAY;
    rig->admission.count = rig->admission.cap = 1;
}

/* While the letters are full, who sends events of a closed day is told so; all others go on. */
static void test_full_letters_refuse_their_source(void **state)
{
    struct rig *rig = *state;
    close_day(rig);
    rig_post(rig, OF_CLOSED_DAY); /* there is room */
    rig_expect(rig, 202, "\"accepted\":1");
    rig->admission.full = true;
    rig_await_records(rig);
    for (int round = 0; round < 2; round++) {
        rig_post(rig, "[" OF_TODAY "," OF_CLOSED_DAY "," OF_TODAY "]");
        rig_expect(rig, 503, "\"dead_letters_full\"");
        assert_non_null(http_header(&rig->reply, "Retry-After"));
        assert_int_equal(rig_take_records(rig), 0); /* the whole body comes again */
        rig_post(rig, "[" OF_TODAY "," OF_TODAY "]");
        rig_expect(rig, 202, "{\"accepted\":2,");
        assert_int_equal(rig_take_records(rig), 2);
    }
    rig->admission.full = false;
    rig_post(rig, "[" OF_TODAY "," OF_CLOSED_DAY "]");
    rig_expect(rig, 202, "{\"accepted\":2,");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_open_full, rig_close)
    const struct CMUnitTest tests[] = {
        CASE(test_replay_holds_nobody),
        CASE(test_replay_fails),
        CASE(test_purge),
        CASE(test_a_purge_must_be_clear),
        CASE(test_full_letters_refuse_their_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
