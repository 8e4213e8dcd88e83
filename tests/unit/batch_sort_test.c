/* batch_sort_test.c - the order that a batch comes to the store in: time, id, place in the queue.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "port/store.h"

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */

enum { EVENTS = 3000, WORDS = 6 };

struct sorting {
    struct ps_event events[EVENTS];
    char ids[EVENTS][PS_ID_MAX + 1];
    uint32_t order[EVENTS];
    struct ps_sort_key scratch[2 * EVENTS];
};

/* What tells two ids apart may come as late as their last byte. */
static void make_id(char *to, struct dice *dice, int64_t ms)
{
    static const char *const words[WORDS] = {"", "a", "aaaaaaaaaaaaaaaa", "b", "-", "zz"};
    char *end = to + PS_ID_MAX;
    to += snprintf(to, 20, "%lld-", (long long)ms);
    for (int i = 0; i < 6 && end - to > 16; i++)
        to += snprintf(to, (size_t)(end - to), "%s", words[below(dice, WORDS)]);
}

static bool comes_first(const struct sorting *s, uint32_t a, uint32_t b)
{
    const struct ps_event *x = &s->events[a], *y = &s->events[b];
    uint64_t number;
    if (x->timestamp_ms != y->timestamp_ms)
        return x->timestamp_ms < y->timestamp_ms;
    int c = ps_str_compare(x->id, y->id);
    if (c != 0 && (ps_event_id_is_made(x, &number) || ps_event_id_is_made(y, &number)))
        return true; /* these are in order among themselves */
    return c != 0 ? c < 0 : a < b;
}

static void long_ids_are_in_the_order_of_their_bytes(void **state)
{
    struct sorting *s = calloc(1, sizeof *s);
    struct dice dice = {seed_of_run()};
    (void)state;
    for (uint32_t i = 0; i < EVENTS; i++) {
        int64_t ms = NOON + below(&dice, 3);
        make_id(s->ids[i], &dice, ms);
        s->events[i] = (struct ps_event){.id = {s->ids[i], strlen(s->ids[i])}, .timestamp_ms = ms};
    }
    ps_batch_sort(s->events, EVENTS, s->order, s->scratch);
    for (size_t i = 1; i < EVENTS; i++)
        if (!comes_first(s, s->order[i - 1], s->order[i]))
            fail_msg("\"%s\" came before \"%s\"", s->ids[s->order[i - 1]], s->ids[s->order[i]]);
    free(s);
}

/* The same id twice: the first in the queue is the one that counts. */
static void equal_ids_keep_the_order_of_the_queue(void **state)
{
    static const char id[] = "1760529600000-a very long id whose twin differs nowhere";
    struct ps_event events[40];
    uint32_t order[40];
    struct ps_sort_key scratch[80];
    (void)state;
    for (size_t i = 0; i < 40; i++)
        events[i] = (struct ps_event){.id = {id, strlen(id)}, .timestamp_ms = NOON};
    ps_batch_sort(events, 40, order, scratch);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(order[i], i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_ids_are_in_the_order_of_their_bytes),
        cmocka_unit_test(equal_ids_keep_the_order_of_the_queue),
    };
    return cmocka_run_group_tests_name("batch sort", tests, NULL, NULL);
}
