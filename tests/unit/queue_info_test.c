/* queue_info_test.c - whoever asks the file queue for its numbers waits for nobody: /api/health
 * does, on the thread that serves everybody.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/disk.h"

#include <pthread.h>
#include <time.h>

enum { PATIENCE_S = 10 };

static struct ps_queue *queue;

static void *ask(void *arg)
{
    struct ps_queue_info *info = arg;
    struct ps_err e = {0};
    ps_queue_info(queue, info, &e);
    return NULL;
}

/* Another thread asks now, and has its answer before this one goes on. */
static bool is_answered(struct ps_queue_info *ret)
{
    struct timespec until;
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, ask, ret), 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    return pthread_timedjoin_np(other, NULL, &until) == 0;
}

static int syncs;
static bool answered_in_sync = true;

static int ask_in_sync(int fd, bool data_only)
{
    static struct ps_queue_info info; /* a thread that is stuck may still write to it */
    (void)fd;
    (void)data_only;
    syncs++;
    if (queue != NULL)
        answered_in_sync = answered_in_sync && is_answered(&info);
    return 0;
}

static int ask_in_listing(void *ctx, const struct ps_dead_letter *letter)
{
    (void)letter;
    return is_answered(ctx) ? 0 : PS_ESTOP;
}

static void test_numbers_wait_for_nobody(void **state)
{
    static struct ps_queue_info info;
    const struct ps_queue_limits limits = {1 << 26, 1 << 20, 1 << 20, 0};
    struct ps_disk_ops asking = ps_disk_real;
    struct place place;
    (void)state;
    asking.sync = ask_in_sync;
    ps_disk_set(&asking);
    place_make(&place, "queue");
    OK(ps_queue_open(&ps_queue_file, &queue, place.target, PS_QUEUE_WRITE, &limits, &test_err));
    int before = syncs;
    struct ps_str record = PS_STR("record");
    OK(ps_queue_append(queue, &record, 1, &test_err));
    OK(ps_queue_sync(queue, NULL, &test_err));
    struct ps_dead_letter letter = {.position = 1,
                                    .time_ms = 1,
                                    .why = PS_REJECT_CLOSED_DAY,
                                    .text = PS_STR("why"),
                                    .bytes = (const uint8_t *)"?",
                                    .len = 1};
    OK(ps_queue_bury(queue, &letter, 1, &test_err));
    assert_true(syncs >= before + 2);
    OK(ps_queue_dead(queue, ask_in_listing, &info, &test_err));
    assert_int_equal(info.dead_letters, 1);
    OK(ps_queue_unbury(queue, &letter.position, 1, &test_err));
    OK(ps_queue_info(queue, &info, &test_err));
    assert_int_equal(info.dead_letters, 0);
    assert_true(answered_in_sync);
    ps_queue_close(queue);
    ps_disk_set(NULL);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers_wait_for_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
