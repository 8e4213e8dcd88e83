/* queue_world.h - one queue under test, and records that carry a number.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TESTS_QUEUE_WORLD_H
#define PS_TESTS_QUEUE_WORLD_H

#include "contract/contract.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    RECORD_BYTES = 100,
    SEGMENT_BYTES = 4096,
    QUEUE_BYTES_MAX = 1 << 16,
    DEAD_BYTES_MAX = 1 << 20,
    PLENTY = 5000, /* records of the thread tests */
};

struct backend {
    const struct ps_queue_ops *ops;
};

static const struct backend queue_backends[] = {{&ps_queue_mem}, {&ps_queue_file}};

struct writer {
    pthread_t thread;
    struct ps_queue *queue;   /* NULL: there is no thread */
    atomic_uint synced;       /* numbers below are durable */
    atomic_bool failed, stop; /* stop: the test is over */
};

struct world {
    const struct backend *backend;
    struct place place;
    struct ps_queue_limits limits;
    struct ps_queue *queue;
    struct ps_records records;
    uint32_t appended; /* the number of the next record */
    struct writer writer;
};

static inline struct ps_queue *open_queue(const struct world *w, enum ps_queue_mode mode)
{
    struct ps_queue *q = NULL;
    OK(ps_queue_open(w->backend->ops, &q, w->place.target, mode, &w->limits, &test_err));
    return q;
}

static inline void reopen(struct world *w)
{
    ps_queue_close(w->queue);
    w->queue = open_queue(w, PS_QUEUE_WRITE);
}

static inline struct world *make_world(const struct backend *backend, uint64_t bytes_max)
{
    struct world *w = calloc(1, sizeof *w);
    w->backend = backend;
    w->limits = (struct ps_queue_limits){bytes_max, SEGMENT_BYTES, DEAD_BYTES_MAX, 0};
    place_make(&w->place, "queue");
    ps_records_init(&w->records);
    w->queue = open_queue(w, PS_QUEUE_WRITE);
    return w;
}

static inline int set_up(void **state)
{
    *state = make_world(*state, 1 << 30);
    return 0;
}

static inline int set_up_small(void **state)
{
    *state = make_world(*state, QUEUE_BYTES_MAX);
    return 0;
}

/* Also after a test that failed: the thread must not outlive its queue. */
static inline void stop_writer(struct world *w)
{
    w->writer.stop = true;
    if (w->writer.queue != NULL)
        pthread_join(w->writer.thread, NULL);
    w->writer.queue = NULL;
}

static inline int tear_down(void **state)
{
    struct world *w = *state;
    stop_writer(w);
    ps_queue_close(w->queue);
    ps_records_done(&w->records);
    place_remove(&w->place);
    free(w);
    return 0;
}

/* --- numbered records --- */

/* The length is a function of the number, and every byte of both. */
static inline size_t fill_record(uint32_t number, uint8_t to[RECORD_BYTES])
{
    size_t len = sizeof number + number * 7 % (RECORD_BYTES - sizeof number);
    memcpy(to, &number, sizeof number);
    for (size_t i = sizeof number; i < len; i++)
        to[i] = (uint8_t)(number + i);
    return len;
}

static inline int append_numbers(struct ps_queue *q, uint32_t from, uint32_t count,
                                 struct ps_err *e)
{
    uint8_t(*bytes)[RECORD_BYTES] = malloc(count * sizeof *bytes);
    struct ps_str *records = malloc(count * sizeof *records);
    for (uint32_t i = 0; i < count; i++)
        records[i] = (struct ps_str){(char *)bytes[i], fill_record(from + i, bytes[i])};
    int r = ps_queue_append(q, records, count, e);
    free(bytes);
    free(records);
    return r;
}

static inline void add(struct world *w, uint32_t count)
{
    OK(append_numbers(w->queue, w->appended, count, &test_err));
    w->appended += count;
}

static inline uint64_t sync_queue(struct world *w)
{
    uint64_t end = 0;
    OK(ps_queue_sync(w->queue, &end, &test_err));
    return end;
}

/* The number of a record whose bytes are right, else -1. */
static inline int64_t number_of(const struct ps_record *record)
{
    uint8_t bytes[RECORD_BYTES];
    uint32_t number;
    if (record->len < sizeof number)
        return -1;
    memcpy(&number, record->bytes, sizeof number);
    bool right =
        fill_record(number, bytes) == record->len && memcmp(bytes, record->bytes, record->len) == 0;
    return right ? (int64_t)number : -1;
}

/* One read: numbers from `number` on, positions that rise. Returns how many. */
static inline size_t read_numbers(struct world *w, struct ps_queue *q, uint64_t *from,
                                  size_t records_max, uint32_t number)
{
    struct ps_records *r = &w->records;
    OK(ps_queue_read(q, *from, records_max, r, &test_err));
    assert_true(r->count <= records_max);
    for (size_t i = 0; i < r->count; i++) {
        assert_int_equal(number_of(&r->items[i]), number + i);
        assert_true(i == 0 || r->items[i].position > r->items[i - 1].position);
        assert_true(r->items[i].position < r->next_position);
        assert_true(r->items[i].position >= *from);
    }
    *from = r->next_position;
    return r->count;
}

/* Reads until there is no more; a read may give less than it could. Returns the number after the
 * last. */
static inline uint32_t read_to_end(struct world *w, struct ps_queue *q, uint64_t *from,
                                   size_t records_max, uint32_t number)
{
    for (size_t n = 1; n > 0; number += (uint32_t)n)
        n = read_numbers(w, q, from, records_max, number);
    return number;
}

/* From `from` to the end there are the numbers [first, last). */
static inline void expect_numbers(struct world *w, uint64_t from, size_t records_max,
                                  uint32_t first, uint32_t last)
{
    assert_int_equal(read_to_end(w, w->queue, &from, records_max, first), last);
}

static inline uint32_t first_kept(struct world *w)
{
    OK(ps_queue_read(w->queue, 0, 1, &w->records, &test_err));
    return w->records.count == 0 ? w->appended : (uint32_t)number_of(&w->records.items[0]);
}

/* --- dead letters as text --- */

static inline int dump_letter(void *to, const struct ps_dead_letter *letter)
{
    ps_buf_format(to, "%llu %lld %s", (unsigned long long)letter->position,
                  (long long)letter->time_ms, ps_reject_name(letter->why));
    dump_str(to, letter->text.len == 0 ? PS_STR("") : letter->text);
    dump_str(to, letter->len == 0 ? PS_STR("")
                                  : (struct ps_str){(const char *)letter->bytes, letter->len});
    ps_buf_text(to, "\n");
    return 0;
}

static inline void expect_dead(struct ps_queue *q, const char *expected)
{
    struct ps_buf got;
    dump_init(&got);
    OK(ps_queue_dead(q, dump_letter, &got, &test_err));
    dump_end(&got);
    struct ps_buf text = {.ptr = (char *)expected, .len = strlen(expected)};
    expect_same(&text, &got, "the dead letters are others");
    ps_buf_done(&got);
}

/* How many there were: 1 or 0. */
static inline int unbury(struct ps_queue *q, uint64_t position)
{
    return ps_queue_unbury(q, &position, 1, &test_err);
}

static inline struct ps_dead_letter letter_at(uint64_t position)
{
    return (struct ps_dead_letter){.position = position,
                                   .time_ms = 1000 + (int64_t)position,
                                   .why = PS_REJECT_CLOSED_DAY,
                                   .text = PS_STR("too late"),
                                   .bytes = (const uint8_t *)"\0\xff",
                                   .len = 2};
}

#endif
