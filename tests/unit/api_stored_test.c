/* api_stored_test.c - POST /api/events?wait=stored: the answer comes when the events are stored,
 * and tells the new from the duplicates. The test is the consumer.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "support/api_rig.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENT(path) "{\"path\":\"" path "\",\"timestamp\":1760536800000}\n"

static int ask_three(struct rig *rig)
{
    int fd = http_connect(ps_api_port(rig->api));
    const char *body = EVENT("/a") EVENT("/b") EVENT("/c");
    http_request(fd, "POST", "/api/events?wait=stored", "", body, strlen(body));
    assert_int_equal(rig_await_records(rig), 3);
    return fd;
}

/* As the consumer does: the records just read are stored, with these outcomes. */
static void store(struct rig *rig, const uint8_t *outcomes, size_t count)
{
    ps_receipts_take(rig->receipts, rig->records.items, outcomes, count,
                     count < rig->records.count ? rig->records.items[count].position
                                                : rig->records.next_position);
}

static void expect_nothing(struct rig *rig, int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    rig_get(rig, "/metrics"); /* the server had its turn */
    assert_int_equal(poll(&readable, 1, 0), 0);
}

static void the_answer_waits_for_the_store_and_tells_duplicates(void **state)
{
    static const uint8_t outcomes[] = {PS_OUTCOME_NEW, PS_OUTCOME_DUPLICATE, PS_OUTCOME_NEW};
    struct rig *rig = *state;
    int fd = ask_three(rig);
    expect_nothing(rig, fd);
    store(rig, outcomes, 3);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 202, "{\"accepted\":3,\"rejected\":0,");
    rig_expect(rig, 202, "\"stored\":{\"new\":2,\"duplicate\":1,\"refused\":0}");
    close(fd);
}

static void without_wait_nothing_is_told(void **state)
{
    struct rig *rig = *state;
    rig_post(rig, EVENT("/a"));
    assert_int_equal(rig->reply.status, 202);
    assert_null(strstr(rig->reply.body, "stored"));
}

/* The store cannot take them for long: they are durable, and the answer says no more. */
static void a_store_that_is_down_does_not_hold_the_answer_for_ever(void **state)
{
    struct rig *rig = *state;
    int fd = ask_three(rig);
    expect_nothing(rig, fd);
    atomic_fetch_add(&rig->clock.mono_us, INT64_C(11) * 1000 * 1000);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 202, "\"stored\":null");
    close(fd);
    assert_false(ps_receipts_any(rig->receipts));
}

/* Some outcomes were lost, as after a failure of the store in between: no number is made up. */
static void outcomes_that_are_not_known_are_not_told(void **state)
{
    static const uint8_t outcomes[] = {PS_OUTCOME_NEW, PS_OUTCOME_NEW};
    struct rig *rig = *state;
    int fd = ask_three(rig);
    expect_nothing(rig, fd);
    store(rig, outcomes, 2);
    expect_nothing(rig, fd);
    ps_receipts_take(rig->receipts, NULL, NULL, 0, rig->records.next_position);
    http_read(fd, &rig->reply, 0);
    rig_expect(rig, 202, "\"stored\":null");
    close(fd);
}

/* A client that leaves while it waits keeps neither its request nor the server from closing. */
static void a_client_that_leaves_is_forgotten(void **state)
{
    struct rig *rig = *state;
    close(ask_three(rig));
    while (ps_receipts_any(rig->receipts))
        rig_get(rig, "/metrics");
    rig_stop(rig);
}

/* One that breaks off is noticed at once, however long the store takes: its place is another's. */
static void a_client_that_breaks_off_makes_room_at_once(void **state)
{
    const struct linger now = {.l_onoff = 1};
    struct rig *rig = *state;
    int fd = ask_three(rig);
    expect_nothing(rig, fd);
    int64_t start_us = atomic_load(&rig->clock.mono_us);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    while (ps_receipts_any(rig->receipts) &&
           atomic_load(&rig->clock.mono_us) - start_us < 9 * INT64_C(1000) * 1000)
        rig_get(rig, "/metrics");
    assert_false(ps_receipts_any(rig->receipts));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_answer_waits_for_the_store_and_tells_duplicates),
        CASE(without_wait_nothing_is_told),
        CASE(a_store_that_is_down_does_not_hold_the_answer_for_ever),
        CASE(outcomes_that_are_not_known_are_not_told),
        CASE(a_client_that_leaves_is_forgotten),
        CASE(a_client_that_breaks_off_makes_room_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
