/* store_world.h - one store under test: making batches, saying what must come of them, and its
 * whole state as text.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TESTS_STORE_WORLD_H
#define PS_TESTS_STORE_WORLD_H

#include "contract/contract.h"

#include "base/time.h"

#include <sqlite3.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */

enum {
    DAY = 20376, /* 2025-10-15 */
    NOON_HOUR = DAY * 24 + 12,
    EVENTS_MAX = 4096,
    TEXT_BYTES_MAX = 1 << 22,
    PARTITIONS = 3,
};

struct backend {
    const struct ps_store_ops *ops;
    const char *leaf;
    void (*set_state)(const char *target, int32_t day, enum ps_day_state state);
    bool has_times;     /* created_at and updated_at can be seen in the file */
    bool freeze_blocks; /* a writer waits until the freeze ends */
};

struct world {
    const struct backend *backend;
    struct place place;
    struct ps_store *store;
    uint32_t partition;
    uint64_t positions[PARTITIONS];
    /* the batch being made */
    struct ps_event *events;
    uint32_t *order;
    struct ps_sort_key *sort_scratch;
    uint8_t *outcomes;
    size_t count;
    char *text;
    size_t text_used;
};

static inline void seal_in_mem(const char *target, int32_t day, enum ps_day_state state)
{
    ps_mem_store_seal(target, day, state);
}

static inline void run_sql(const char *file, const char *sql)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

static inline void seal_in_sqlite(const char *target, int32_t day, enum ps_day_state state)
{
    char date[PS_DATE_LEN + 1], sql[160];
    ps_time_format_date(date, day);
    snprintf(sql, sizeof sql,
             "INSERT OR REPLACE INTO archive_metadata(date, status) VALUES"
             " ('%s', '%s')",
             date, ps_day_state_name(state));
    run_sql(target, sql);
}

static const struct backend store_backends[] = {
    {&ps_store_mem, "store", seal_in_mem, .has_times = false, .freeze_blocks = true},
    {&ps_store_sqlite, "store.db", seal_in_sqlite, .has_times = true, .freeze_blocks = false},
};

static inline struct ps_store *open_store(const struct world *w, enum ps_store_mode mode)
{
    struct ps_store *s = NULL;
    OK(ps_store_open(w->backend->ops, &s, w->place.target, mode, &test_err));
    return s;
}

static inline void reopen(struct world *w)
{
    ps_store_close(w->store);
    w->store = open_store(w, PS_STORE_WRITE);
}

static inline struct world *make_world(const struct backend *backend)
{
    struct world *w = calloc(1, sizeof *w);
    w->backend = backend;
    place_make(&w->place, backend->leaf);
    w->store = open_store(w, PS_STORE_WRITE);
    w->events = calloc(EVENTS_MAX, sizeof *w->events);
    w->order = calloc(EVENTS_MAX, sizeof *w->order);
    w->sort_scratch = calloc(2 * EVENTS_MAX, sizeof *w->sort_scratch);
    w->outcomes = calloc(EVENTS_MAX, 1);
    w->text = calloc(1, TEXT_BYTES_MAX);
    return w;
}

static inline void drop_world(struct world *w)
{
    ps_store_close(w->store);
    place_remove(&w->place);
    free(w->events);
    free(w->order);
    free(w->sort_scratch);
    free(w->outcomes);
    free(w->text);
    free(w);
}

static inline int set_up(void **state)
{
    *state = make_world(*state);
    return 0;
}

static inline int tear_down(void **state)
{
    drop_world(*state);
    return 0;
}

/* --- making a batch --- */

/* A copy that lives as long as the batch. */
static inline struct ps_str keep_text(struct world *w, const char *bytes, size_t len)
{
    assert_true(w->text_used + len <= TEXT_BYTES_MAX);
    char *to = w->text + w->text_used;
    ps_copy(to, bytes, len);
    w->text_used += len;
    return (struct ps_str){to, len};
}

/* Id and path only; everything else absent. */
static inline struct ps_event *add_event(struct world *w, const char *id, int64_t timestamp_ms)
{
    assert_true(w->count < EVENTS_MAX);
    struct ps_event *event = &w->events[w->count++];
    *event = (struct ps_event){.id = keep_text(w, id, strlen(id)),
                               .path = PS_STR("/"),
                               .timestamp_ms = timestamp_ms,
                               .response_us = PS_ABSENT,
                               .response_bytes = PS_ABSENT,
                               .status = PS_ABSENT,
                               .is_error = PS_ABSENT};
    return event;
}

/* With a dated id made of `number`. */
static inline struct ps_event *add_dated(struct world *w, int64_t timestamp_ms, unsigned number)
{
    char id[PS_ID_MAX];
    snprintf(id, sizeof id, "%013lld-%016x", (long long)timestamp_ms, number);
    return add_event(w, id, timestamp_ms);
}

static inline struct ps_batch take_batch(struct world *w)
{
    uint64_t *position = &w->positions[w->partition];
    struct ps_batch b = {.events = w->events,
                         .count = w->count,
                         .order = w->order,
                         .partition = w->partition,
                         .first_position = *position,
                         .next_position = *position + (w->count > 0 ? w->count : 1)};
    ps_batch_sort(w->events, w->count, w->order, w->sort_scratch);
    return b;
}

static inline void clear_batch(struct world *w)
{
    w->count = 0;
    w->text_used = 0;
}

/* New, Duplicate, Closed day. */
static inline void dump_outcomes(struct ps_buf *to, const uint8_t *outcomes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ps_buf_append(to, &"NDC"[outcomes[i]], 1);
}

static inline int apply_at(struct world *w, struct ps_store *s, const struct ps_batch *b,
                           struct ps_applied *ret)
{
    size_t counts[PS_OUTCOME_COUNT] = {0};
    ret->outcomes = w->outcomes;
    memset(w->outcomes, 0xee, w->count);
    int r = ps_store_apply(s, b, ret, &test_err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < b->count; i++) {
        assert_in_range(w->outcomes[i], 0, PS_OUTCOME_COUNT - 1);
        counts[w->outcomes[i]]++;
    }
    assert_int_equal(counts[PS_OUTCOME_NEW], ret->fresh);
    assert_int_equal(counts[PS_OUTCOME_DUPLICATE], ret->duplicates);
    w->positions[b->partition] = b->next_position;
    return r;
}

static inline void expect_apply_at(struct world *w, struct ps_store *s, const char *expected,
                                   int line)
{
    struct ps_batch b = take_batch(w);
    struct ps_applied applied;
    struct ps_buf letters;
    expect_ok(apply_at(w, s, &b, &applied), &test_err, "apply", line);
    dump_init(&letters);
    dump_outcomes(&letters, w->outcomes, w->count);
    dump_end(&letters);
    if (strcmp(letters.ptr, expected) != 0)
        fail_msg("line %d: outcomes are %s, expected %s", line, letters.ptr, expected);
    ps_buf_done(&letters);
    clear_batch(w);
}

/* Applies the batch and starts the next; `expected` has a letter per event. */
#define EXPECT_APPLY(w, expected) expect_apply_at((w), (w)->store, (expected), __LINE__)

static inline struct ps_stats_query query(int32_t from_hour, int32_t to_hour, struct ps_str path)
{
    return (struct ps_stats_query){.from_hour = from_hour, .to_hour = to_hour, .path = path};
}

static inline struct ps_stat_row row_of(int32_t hour, struct ps_str path, uint64_t requests)
{
    return (struct ps_stat_row){.hour = hour,
                                .path = path,
                                .stat = {.requests = requests,
                                         .samples = PS_STR(""),
                                         .sample_keys = PS_STR(""),
                                         .clients = PS_STR(""),
                                         .sketch = PS_STR(""),
                                         .methods = PS_STR(""),
                                         .statuses = PS_STR("")}};
}

/* --- the state as text --- */

static inline int dump_event(void *to, const struct ps_event *event)
{
    const struct ps_str words[] = {event->id, event->path, event->method, event->user_agent,
                                   event->country};
    ps_buf_format(to, "event %lld", (long long)event->timestamp_ms);
    for (size_t i = 0; i < PS_COUNT_OF(words); i++)
        dump_str(to, words[i]);
    ps_buf_format(to, " %lld %lld %d %d", (long long)event->response_us,
                  (long long)event->response_bytes, event->status, event->is_error);
    if (event->has_client)
        ps_buf_format(to, " %016llx", (unsigned long long)event->client_hash);
    ps_buf_text(to, "\n");
    return 0;
}

/* An absent and an empty summary are the same: the counts say which there is. */
static inline int dump_row(void *to, const struct ps_stat_row *row)
{
    const struct ps_stat *st = &row->stat;
    const uint64_t numbers[] = {
        st->requests, st->errors,      st->count_us,        st->sum_us,      st->min_us,
        st->max_us,   st->unique_seen, st->unique_estimate, st->count_bytes, st->sum_bytes,
        st->p50_us,   st->p95_us,      st->p99_us};
    const struct ps_str blobs[] = {st->samples, st->sample_keys, st->clients,
                                   st->sketch,  st->methods,     st->statuses};
    ps_buf_format(to, "row %d", row->hour);
    dump_str(to, row->path);
    for (size_t i = 0; i < PS_COUNT_OF(numbers); i++)
        ps_buf_format(to, " %llu", (unsigned long long)numbers[i]);
    for (size_t i = 0; i < PS_COUNT_OF(blobs); i++)
        dump_str(to, blobs[i].len == 0 ? PS_STR("") : blobs[i]);
    ps_buf_text(to, "\n");
    return 0;
}

static inline int dump_redo(void *to, const struct ps_redo *redo)
{
    ps_buf_format(to, "redo %u %llu-%llu %zu ", redo->partition,
                  (unsigned long long)redo->first_position, (unsigned long long)redo->next_position,
                  redo->count);
    for (size_t i = 0; i < redo->count; i++)
        ps_buf_text(to, redo->fresh[i / 8] >> i % 8 & 1 ? "N" : ".");
    ps_buf_text(to, "\n");
    return 0;
}

static inline int dump_day(void *to, const struct ps_day *day)
{
    ps_buf_format(to, "day %d %s%s\n", day->day, ps_day_state_name(day->state),
                  day->stored ? " stored" : "");
    return 0;
}

static inline int list_stored_day(void *ctx, const struct ps_day *day)
{
    return day->stored ? ps_day_list_add(ctx, day->day, &test_err) : 0;
}

static const struct ps_stats_query every_row
    __attribute__((unused)) = {.from_hour = INT32_MIN, .to_hour = INT32_MAX};

static inline void dump_store(struct ps_store *s, struct ps_buf *to)
{
    struct ps_day_list list = {0};
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        uint64_t position = 77, watermark = 77;
        OK(ps_store_position(s, p, &position, &watermark, &test_err));
        ps_buf_format(to, "partition %u %llu %llu\n", p, (unsigned long long)position,
                      (unsigned long long)watermark);
        OK(ps_store_redo(s, p, dump_redo, to, &test_err));
    }
    OK(ps_store_stats(s, &every_row, dump_row, to, &test_err));
    OK(ps_store_days(s, dump_day, to, &test_err));
    OK(ps_store_days(s, list_stored_day, &list, &test_err));
    for (size_t i = 0; i < list.count; i++)
        OK(ps_store_events(s, list.days[i], PS_ORDER_TIME, dump_event, to, &test_err));
    ps_day_list_done(&list);
    dump_end(to);
}

/* --- short forms --- */

/* Runs `fill` into a text that ends in NUL. */
#define EXPECT_TEXT(expected, fill)                                                                \
    do {                                                                                           \
        struct ps_buf got;                                                                         \
        dump_init(&got);                                                                           \
        OK(fill);                                                                                  \
        dump_end(&got);                                                                            \
        assert_string_equal(got.ptr, (expected));                                                  \
        ps_buf_done(&got);                                                                         \
    } while (0)

static inline int dump_id(void *to, const struct ps_event *event)
{
    ps_buf_append(to, event->id.ptr, event->id.len);
    ps_buf_text(to, " ");
    return 0;
}

static inline int count_event(void *ctx, const struct ps_event *event)
{
    (void)event;
    ++*(size_t *)ctx;
    return 0;
}

static inline void expect_position(struct world *w, uint32_t partition, uint64_t position,
                                   uint64_t watermark)
{
    uint64_t got_position, got_watermark;
    OK(ps_store_position(w->store, partition, &got_position, &got_watermark, &test_err));
    assert_int_equal(got_position, position);
    assert_int_equal(got_watermark, watermark);
}

static inline void settle(struct world *w, const struct ps_stat_row *rows, size_t count,
                          uint64_t watermark, int64_t now_ms)
{
    OK(ps_store_settle(w->store, rows, count, w->partition, watermark, now_ms, &test_err));
}

#endif
