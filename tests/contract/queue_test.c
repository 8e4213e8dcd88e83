/* queue_test.c - the contract of port/queue.h, held against every backend.
 *
 * Positions are opaque and trimming may keep more than it must, so the tests go by content: every
 * record begins with its number, and what is read must be numbers without a gap.
 *
 * Dead letters have dead_letters_test.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/queue_world.h"

#include <sched.h>

enum { RANDOM_ROUNDS = 1200 };

/* --- append, sync, read --- */

static void test_fresh(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    expect_numbers(w, 0, 10, 0, 0);
    OK(ps_queue_append(w->queue, NULL, 0, &test_err));
    uint64_t end = sync_queue(w);
    expect_numbers(w, 0, 10, 0, 0);
    expect_numbers(w, end, 10, 0, 0);
    OK(ps_queue_trim(w->queue, end, &test_err));
    OK(ps_queue_info(w->queue, &info, &test_err));
    assert_int_equal(info.end_position, end);
    assert_true(info.first_position <= info.end_position);
    assert_int_equal(info.bytes_max, w->limits.bytes_max);
    assert_int_equal(info.dead_letters, 0);
    assert_int_equal(info.dead_letter_bytes, 0);
    OK(ps_queue_sync(w->queue, NULL, &test_err));
}

/* I3: a reader never sees what a crash could take back. */
static void test_invisible_before_sync(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    uint64_t end = 0;
    for (uint32_t round = 1; round <= 5; round++) {
        add(w, 3);
        add(w, 4);
        expect_numbers(w, 0, 100, 0, 7 * (round - 1));
        expect_numbers(w, end, 100, 7 * (round - 1), 7 * (round - 1));
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_true(round == 1 || info.end_position == end);
        uint64_t next = sync_queue(w);
        assert_true(next > end);
        expect_numbers(w, 0, 100, 0, 7 * round);
        end = next;
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_int_equal(info.end_position, end);
        assert_int_equal(sync_queue(w), end); /* nothing new: nothing moves */
    }
}

static void test_read_from_anywhere(void **state)
{
    struct world *w = *state;
    uint64_t positions[200];
    for (int i = 0; i < 20; i++)
        add(w, 10);
    uint64_t end = sync_queue(w), from = 0;
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(read_numbers(w, w->queue, &from, 1, i), 1);
        positions[i] = w->records.items[0].position;
    }
    for (uint32_t i = 0; i < 200; i++)
        expect_numbers(w, positions[i], i % 7 + 1, i, 200);
    expect_numbers(w, end, 10, 200, 200);
    expect_numbers(w, from, 10, 200, 200);
    add(w, 1);
    sync_queue(w);
    expect_numbers(w, end, 10, 200, 201); /* the end of then is where the next began */
    expect_numbers(w, from, 10, 200, 201);
}

static void test_records_max(void **state)
{
    struct world *w = *state;
    static const size_t maxima[] = {1, 2, 3, 99, 100, 101, SIZE_MAX};
    uint64_t from = 0;
    add(w, 100);
    sync_queue(w);
    for (size_t i = 0; i < PS_COUNT_OF(maxima); i++) {
        from = 0;
        size_t n = read_numbers(w, w->queue, &from, maxima[i], 0);
        assert_in_range(n, 1, maxima[i] < 100 ? maxima[i] : 100);
        expect_numbers(w, from, maxima[i], (uint32_t)n, 100);
    }
    from = 0;
    assert_int_equal(read_numbers(w, w->queue, &from, 1, 0), 1);
    uint64_t same = from;
    assert_int_equal(read_numbers(w, w->queue, &from, 0, 1), 0); /* none were asked for */
    assert_int_equal(from, same);
}

static void test_more_than_one_read_takes(void **state)
{
    struct world *w = *state;
    uint64_t from = 0;
    for (int i = 0; i < 5; i++)
        add(w, 20000);
    sync_queue(w);
    size_t n = read_numbers(w, w->queue, &from, SIZE_MAX, 0);
    assert_in_range(n, 1, PS_READ_RECORDS_MAX);
    expect_numbers(w, from, SIZE_MAX, (uint32_t)n, 100000);
}

static void test_sizes_of_records(void **state)
{
    struct world *w = *state;
    static const size_t sizes[] = {0, 1, 7, 8, 9, 4095, 4096, 4097, PS_RECORD_BYTES_MAX, 0, 0};
    struct ps_str records[PS_COUNT_OF(sizes)];
    char *bytes = malloc(PS_RECORD_BYTES_MAX);
    for (size_t i = 0; i < PS_RECORD_BYTES_MAX; i++)
        bytes[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++)
        records[i] = (struct ps_str){bytes, sizes[i]};
    OK(ps_queue_append(w->queue, records, PS_COUNT_OF(sizes), &test_err));
    sync_queue(w);
    for (int round = 0; round < 2; round++) {
        uint64_t from = 0;
        for (size_t i = 0; i < PS_COUNT_OF(sizes); i++) {
            OK(ps_queue_read(w->queue, from, 1, &w->records, &test_err));
            assert_int_equal(w->records.count, 1);
            assert_int_equal(w->records.items[0].len, sizes[i]);
            assert_memory_equal(w->records.items[0].bytes, bytes, sizes[i]);
            from = w->records.next_position;
        }
        expect_numbers(w, from, 100, 0, 0);
        reopen(w);
    }
    free(bytes);
}

static void test_too_large(void **state)
{
    struct world *w = *state;
    char *bytes = calloc(1, PS_RECORD_BYTES_MAX + 1);
    struct ps_str records[] = {PS_STR("small"), {bytes, PS_RECORD_BYTES_MAX + 1}};
    add(w, 1);
    assert_int_equal(ps_queue_append(w->queue, records, 2, &test_err), PS_EINVAL);
    add(w, 1);
    sync_queue(w);
    expect_numbers(w, 0, 10, 0, 2); /* not one of the two */
    free(bytes);
}

static void test_segments_roll_over(void **state)
{
    struct world *w = *state;
    uint64_t last = 0;
    for (int i = 0; i < 300; i++) {
        add(w, 1 + i % 17);
        uint64_t end = sync_queue(w);
        assert_true(end > last);
        last = end;
    }
    for (size_t max = 1; max < 3000; max = max * 3 + 1)
        expect_numbers(w, 0, max, 0, w->appended);
    reopen(w);
    expect_numbers(w, 0, 1000, 0, w->appended);
    add(w, 1);
    assert_true(sync_queue(w) > last);
    expect_numbers(w, 0, 1000, 0, w->appended);
}

/* --- trim --- */

static void test_trim_keeps_the_rest(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    uint64_t cursor = 0, oldest = 0;
    uint32_t number = 0;
    for (int i = 0; i < 100; i++) {
        add(w, 20);
        sync_queue(w);
    }
    OK(ps_queue_trim(w->queue, 0, &test_err));
    assert_int_equal(first_kept(w), 0);
    while (read_numbers(w, w->queue, &cursor, 37, number) > 0) {
        number += (uint32_t)w->records.count;
        OK(ps_queue_trim(w->queue, cursor, &test_err));
        assert_true(first_kept(w) <= number);
        expect_numbers(w, cursor, 1000, number, w->appended);
        expect_numbers(w, 0, 1000, first_kept(w), w->appended);
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_true(info.first_position <= cursor && info.first_position >= oldest);
        oldest = info.first_position;
        if (number % 5 == 0)
            reopen(w);
    }
    assert_int_equal(number, 2000);
    assert_true(first_kept(w) > 1500); /* with segments so small, most is gone */
    add(w, 5);
    sync_queue(w);
    expect_numbers(w, cursor, 10, 2000, 2005);
}

static void test_trimmed_is_enoent(void **state)
{
    struct world *w = *state;
    uint64_t from = 0;
    for (int i = 0; i < 50; i++) {
        add(w, 20);
        sync_queue(w);
    }
    assert_true(read_numbers(w, w->queue, &from, 3, 0) == 3);
    uint64_t third = w->records.items[2].position;
    assert_int_equal(read_to_end(w, w->queue, &from, 100, 3), 1000);
    OK(ps_queue_trim(w->queue, from, &test_err));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(ps_queue_read(w->queue, third, 10, &w->records, &test_err), PS_ENOENT);
        assert_int_equal(w->records.count, 0);
        expect_numbers(w, 0, 10, first_kept(w), 1000); /* 0 always reads the oldest */
        reopen(w);
    }
}

/* Records that are not durable yet cannot be trimmed, whatever position is asked for. */
static void test_trim_beyond_the_end(void **state)
{
    struct world *w = *state;
    add(w, 200);
    sync_queue(w);
    add(w, 3);
    OK(ps_queue_trim(w->queue, UINT64_MAX, &test_err));
    uint64_t end = sync_queue(w);
    uint32_t first = first_kept(w);
    assert_true(first <= 200);
    expect_numbers(w, 0, 1000, first, 203);
    add(w, 2);
    assert_true(sync_queue(w) > end);
    expect_numbers(w, end, 1000, 203, 205);
}

/* --- limits --- */

/* Fills with batches of 10; returns how many records were taken. */
static uint32_t fill_up(struct world *w, bool sync_each)
{
    uint32_t before = w->appended;
    int r = 0;
    while (r == 0) {
        r = append_numbers(w->queue, w->appended, 10, &test_err);
        w->appended += r == 0 ? 10 : 0;
        if (r == 0 && sync_each)
            sync_queue(w);
    }
    assert_int_equal(r, PS_EFULL);
    return w->appended - before;
}

static void test_full_and_recovers(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    uint64_t cursor = 0;
    uint32_t number = 0;
    for (int round = 0; round < 6; round++) {
        uint32_t taken = fill_up(w, round % 2 == 0);
        assert_true(taken * 50 > QUEUE_BYTES_MAX / 4); /* it holds a good part of its limit */
        assert_int_equal(append_numbers(w->queue, w->appended, 10, &test_err), PS_EFULL);
        sync_queue(w);
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_in_range(info.bytes, 1, QUEUE_BYTES_MAX);
        expect_numbers(w, cursor, 100, number, w->appended); /* of the refused not one is there */
        number = read_to_end(w, w->queue, &cursor, 100, number);
        assert_int_equal(append_numbers(w->queue, w->appended, 10, &test_err), PS_EFULL);
        OK(ps_queue_trim(w->queue, cursor, &test_err));
        if (round >= 3)
            reopen(w);
    }
    add(w, 10);
    sync_queue(w);
    expect_numbers(w, cursor, 100, number, w->appended);
}

static void test_a_batch_larger_than_the_queue(void **state)
{
    struct world *w = *state;
    add(w, 5);
    assert_int_equal(append_numbers(w->queue, w->appended, QUEUE_BYTES_MAX / 20, &test_err),
                     PS_EFULL);
    sync_queue(w);
    expect_numbers(w, 0, 10000, 0, 5);
    add(w, 5); /* refusing harms nothing */
    sync_queue(w);
    expect_numbers(w, 0, 10000, 0, 10);
}

/* --- handles --- */

static void test_reopening_keeps_what_was_synced(void **state)
{
    struct world *w = *state;
    uint32_t synced = 0;
    for (uint32_t round = 1; round < 30; round++) {
        add(w, round);
        if (round % 3 > 0)
            sync_queue(w);
        synced = round % 3 > 0 ? w->appended : synced;
        reopen(w);
        uint64_t from = 0;
        uint32_t last = read_to_end(w, w->queue, &from, 1000, 0);
        assert_in_range(last, synced, w->appended); /* the tail may be kept, never torn */
        w->appended = last;
    }
    ps_queue_close(NULL);
}

static void test_a_reading_handle(void **state)
{
    struct world *w = *state;
    uint64_t from = 0;
    for (int i = 0; i < 40; i++) {
        add(w, 20);
        sync_queue(w);
    }
    struct ps_queue *reader = open_queue(w, PS_QUEUE_READ);
    assert_int_equal(read_to_end(w, reader, &from, 5000, 0), 800);
    add(w, 1); /* a reader beside the writer takes nothing away from it */
    sync_queue(w);
    expect_numbers(w, 0, 5000, 0, 801);
    ps_queue_close(reader);
    expect_numbers(w, from, 5000, 800, 801);
}

/* --- threads --- */

static void *write_plenty(void *arg)
{
    struct writer *w = arg;
    struct dice d = {1};
    for (uint32_t next = 0; next < PLENTY && !w->stop;) {
        uint32_t n = 1 + below(&d, 30);
        n = n > PLENTY - next ? PLENTY - next : n;
        if (append_numbers(w->queue, next, n, NULL) < 0 ||
            ps_queue_sync(w->queue, NULL, NULL) < 0) {
            w->failed = true;
            break;
        }
        next += n;
        w->synced = next;
    }
    return NULL;
}

static void start_writer(struct world *w)
{
    w->writer.queue = w->queue;
    assert_int_equal(pthread_create(&w->writer.thread, NULL, write_plenty, &w->writer), 0);
}

/* One thread appends, one reads and trims: what is read has no gap, and all of it comes. */
static void test_reader_beside_a_writer(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    uint64_t cursor = 0;
    start_writer(w);
    for (uint32_t number = 0; number < PLENTY;) {
        assert_false(w->writer.failed);
        uint32_t synced = w->writer.synced;
        size_t n = read_numbers(w, w->queue, &cursor, 50, number);
        assert_true(n > 0 || number >= synced); /* what was synced before is there */
        number += (uint32_t)n;
        if (number % 7 == 0)
            OK(ps_queue_trim(w->queue, cursor, &test_err));
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_true(info.end_position >= cursor && info.first_position <= cursor);
        if (n == 0)
            sched_yield();
    }
}

/* Handles opened for reading while the writer works see a prefix, at least what was synced. */
static void test_readers_open_beside_a_writer(void **state)
{
    struct world *w = *state;
    start_writer(w);
    for (uint32_t synced = 0; synced < PLENTY;) {
        uint64_t from = 0;
        assert_false(w->writer.failed);
        synced = w->writer.synced;
        struct ps_queue *reader = open_queue(w, PS_QUEUE_READ);
        uint32_t seen = read_to_end(w, reader, &from, PLENTY, 0);
        ps_queue_close(reader);
        assert_in_range(seen, synced, PLENTY);
    }
}

/* --- random calls, held against mem --- */

struct player {
    struct world *world;
    uint64_t cursor;
    uint32_t next_letter; /* the last buried, never unburied */
};

/* As many as asked for, in as many reads as that takes. */
static void read_records(struct player *p, size_t left, struct ps_buf *told)
{
    struct ps_records *got = &p->world->records;
    do {
        OK(ps_queue_read(p->world->queue, p->cursor, left, got, &test_err));
        for (size_t i = 0; i < got->count; i++)
            ps_buf_format(told, " %lld", (long long)number_of(&got->items[i]));
        p->cursor = got->next_position;
        left -= got->count;
    } while (got->count > 0 && left > 0);
}

static void play(struct player *p, struct dice d, struct ps_buf *told)
{
    struct world *w = p->world;
    uint32_t what = below(&d, 100);
    int r = 0;
    if (what < 30) {
        add(w, 1 + below(&d, 25));
    } else if (what < 50) {
        sync_queue(w);
    } else if (what < 75) {
        read_records(p, below(&d, 60) + 1, told);
    } else if (what < 82) {
        r = ps_queue_trim(w->queue, p->cursor, &test_err);
    } else if (what < 88) {
        sync_queue(w); /* what would be lost is each backend's own affair */
        reopen(w);
    } else if (what < 94) {
        /* positions only rise, so that the order of burying and that of the queue are one */
        uint32_t count = 1 + below(&d, 3), last = p->next_letter;
        struct ps_dead_letter letters[] = {letter_at(last), letter_at(last), letter_at(last + 1)};
        r = ps_queue_bury(w->queue, letters, count, &test_err);
        p->next_letter += count == 3;
    } else {
        uint32_t back = 1 + below(&d, 12);
        r = unbury(w->queue, p->next_letter > back ? p->next_letter - back : 0);
    }
    ps_buf_format(told, " %u: %d\n", what, r);
    if (what >= 82)
        OK(ps_queue_dead(w->queue, dump_letter, told, &test_err));
}

static void test_random_calls(void **state)
{
    static const struct backend oracle = {&ps_queue_mem};
    void *oracle_state = make_world(&oracle, 1 << 30);
    struct player players[] = {{.world = oracle_state, .next_letter = 1},
                               {.world = *state, .next_letter = 1}};
    struct dice d = {seed_of_run()};
    struct ps_buf told[2];
    dump_init(&told[0]);
    dump_init(&told[1]);
    for (int step = 0; step < RANDOM_ROUNDS; step++) {
        struct dice same = {throw_dice(&d)};
        for (int i = 0; i < 2; i++) {
            ps_buf_format(&told[i], "step %d", step);
            play(&players[i], same, &told[i]);
        }
    }
    tear_down(&oracle_state);
    expect_same(&told[0], &told[1], "not as mem answers");
    ps_buf_done(&told[0]);
    ps_buf_done(&told[1]);
}

static const struct contract_case cases[] = {
    {"a fresh queue is empty", test_fresh},
    {"I3 an append is invisible before its sync", test_invisible_before_sync},
    {"read from any position", test_read_from_anywhere},
    {"read at most so many", test_records_max},
    {"more records than one read takes", test_more_than_one_read_takes},
    {"records of every size", test_sizes_of_records},
    {"a record too large takes its batch along", test_too_large},
    {"segments roll over", test_segments_roll_over},
    {"trim keeps the rest", test_trim_keeps_the_rest},
    {"what was trimmed is not there", test_trimmed_is_enoent},
    {"trim beyond the end", test_trim_beyond_the_end},
    {"reopening keeps what was synced", test_reopening_keeps_what_was_synced},
    {"a reading handle", test_a_reading_handle},
    {"I3 a reader beside a writer sees no gap", test_reader_beside_a_writer},
    {"I3 readers that open beside a writer see a prefix", test_readers_open_beside_a_writer},
    {"random calls are answered as mem answers them", test_random_calls},
};

static const struct contract_case small_cases[] = {
    {"full refuses all or none, and recovers after trim", test_full_and_recovers},
    {"a batch larger than the queue", test_a_batch_larger_than_the_queue},
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < PS_COUNT_OF(queue_backends); i++) {
        const struct backend *b = &queue_backends[i];
        failed += run_contract("queue", b->ops->name, (void *)b, cases, PS_COUNT_OF(cases), set_up,
                               tear_down);
        failed += run_contract("small queue", b->ops->name, (void *)b, small_cases,
                               PS_COUNT_OF(small_cases), set_up_small, tear_down);
    }
    return failed;
}
