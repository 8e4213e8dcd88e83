/* capacity_test.c - how full and how fast, over a ledger that says what it is told and a clock that
 * is turned by hand.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/time.h"
#include "flow/capacity.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>

#define NOON INT64_C(1760529600000) /* 2025-10-15T12:00:00Z */
#define MAX_BYTES UINT64_C(1000000)

struct world {
    struct ps_ledger ledger;
    struct ps_ledger_size size; /* what it says */
    int code;
    struct ps_ledger *real; /* records of days */
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_queue *queue;
    struct ps_kv *kv;
    struct ps_capacity_config config;
};

static int say_size(struct ps_ledger *l, struct ps_ledger_size *ret, struct ps_err *e)
{
    struct world *w = (struct world *)l;
    if (w->code < 0)
        return ps_fail(e, w->code, "no size today");
    *ret = w->size;
    return 0;
}

static const struct ps_ledger_ops saying = {.name = "saying", .size = say_size};

static int open_world(void **state)
{
    static const struct ps_queue_limits limits = {1 << 20, 1 << 16, 1 << 16, 0};
    struct world *w = calloc(1, sizeof *w);
    w->ledger.ops = &saying;
    ps_clock_manual_init(&w->clock, NOON);
    OK(ps_store_open(&ps_store_mem, &w->store, "capacity", PS_STORE_WRITE, &test_err));
    OK(ps_ledger_open(&ps_ledger_mem, &w->real, "capacity", PS_STORE_WRITE, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &w->queue, "capacity", PS_QUEUE_WRITE, &limits, &test_err));
    OK(ps_kv_open(&ps_kv_mem, &w->kv, "capacity", false, &test_err));
    w->config = (struct ps_capacity_config){.store = w->store,
                                            .ledger = &w->ledger,
                                            .queue = w->queue,
                                            .kv = w->kv,
                                            .clock = &w->clock.clock,
                                            .max_db_bytes = MAX_BYTES};
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    ps_kv_close(w->kv);
    ps_queue_close(w->queue);
    ps_ledger_close(w->real);
    ps_store_close(w->store);
    ps_mem_forget("capacity");
    free(w);
    return 0;
}

static struct ps_capacity measure(struct world *w, uint64_t used)
{
    struct ps_capacity m;
    w->size = (struct ps_ledger_size){used + 5000, 5000, 777};
    OK(ps_capacity_measure(&w->config, &m, &test_err));
    return m;
}

static struct ps_capacity remember(struct world *w, uint64_t used)
{
    struct ps_capacity m = measure(w, used);
    OK(ps_capacity_remember(&w->config, &m, &test_err));
    return m;
}

static void levels_begin_where_they_say(void **state)
{
    static const unsigned expected[][2] = {{0, 0},   {69, 0},   {70, 70},  {71, 70},
                                           {84, 70}, {85, 85},  {94, 85},  {95, 95},
                                           {99, 95}, {100, 95}, {250, 95}, {UINT_MAX, 95}};
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(expected); i++)
        assert_int_equal(ps_capacity_level(expected[i][0]), expected[i][1]);
}

/* Free pages are room, and a per cent that is not whole is not reached. */
static void only_what_is_used_counts(void **state)
{
    static const struct {
        uint64_t used;
        unsigned percent, level;
    } cases[] = {{0, 0, 0},
                 {699999, 69, 0},
                 {700000, 70, 70},
                 {849999, 84, 70},
                 {850000, 85, 85},
                 {949999, 94, 85},
                 {950000, 95, 95},
                 {999999, 99, 95},
                 {MAX_BYTES, 100, 95},
                 {2 * MAX_BYTES, 200, 95}};
    struct world *w = *state;
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct ps_capacity m = measure(w, cases[i].used);
        assert_int_equal(m.percent, cases[i].percent);
        assert_int_equal(m.level, cases[i].level);
        assert_int_equal(m.used_bytes, cases[i].used);
        assert_int_equal(m.database_bytes, cases[i].used + 5000);
        assert_int_equal(m.max_db_bytes, MAX_BYTES);
        assert_int_equal(m.measured_ms, NOON);
    }
}

static void queue_and_archive_are_told(void **state)
{
    struct world *w = *state;
    struct ps_str record = PS_STR("0123456789");
    struct ps_queue_info info;
    OK(ps_queue_append(w->queue, &record, 1, &test_err));
    OK(ps_queue_sync(w->queue, NULL, &test_err));
    OK(ps_queue_info(w->queue, &info, &test_err));
    for (int i = 0; i < 4; i++) { /* the last is only being archived */
        struct ps_day day = {.day = 20000 + i,
                             .state = i == 3 ? PS_DAY_PENDING : PS_DAY_COMPLETED,
                             .file_size_bytes = i == 3 ? 0 : 1000 * (i + 1),
                             .sha256 = i == 3 ? PS_STR_NONE : PS_STR("ab")};
        OK(ps_ledger_mark(w->real, &day, PS_FROM_STATE(PS_DAY_OPEN), &test_err));
        if (i == 1)
            OK(ps_ledger_clean(w->real, day.day, &test_err));
    }
    struct ps_capacity m = measure(w, 1);
    assert_int_equal(m.archive_bytes, 6000);
    assert_true(m.queue_bytes >= record.len);
    assert_int_equal(m.queue_bytes, info.bytes);
}

static void growth_is_measured_over_the_history(void **state)
{
    struct world *w = *state;
    struct ps_capacity m = remember(w, 100000);
    assert_false(m.has_growth);
    assert_false(m.has_days_left);
    w->clock.now_ms += PS_MS_PER_HOUR - 1;
    assert_false(measure(w, 110000).has_growth); /* too short to say */
    w->clock.now_ms = NOON + 6 * PS_MS_PER_HOUR;
    m = remember(w, 110000);
    assert_true(m.has_growth && m.has_days_left);
    assert_int_equal(m.growth_per_day_bytes, 40000);
    assert_true(fabs(m.days_left - 890000.0 / 40000) < 1e-9);
    w->clock.now_ms = NOON + 24 * PS_MS_PER_HOUR;
    m = measure(w, 110000); /* against the first of them */
    assert_int_equal(m.growth_per_day_bytes, 10000);
    assert_true(fabs(m.days_left - 89) < 1e-9);
}

static void what_does_not_grow_lasts(void **state)
{
    struct world *w = *state;
    remember(w, 500000);
    w->clock.now_ms += PS_MS_PER_DAY;
    struct ps_capacity m = measure(w, 500000);
    assert_true(m.has_growth);
    assert_int_equal(m.growth_per_day_bytes, 0);
    assert_false(m.has_days_left);
    m = measure(w, 400000);
    assert_int_equal(m.growth_per_day_bytes, -100000);
    assert_false(m.has_days_left);
    m = measure(w, MAX_BYTES + 1);
    assert_true(m.has_days_left);
    assert_true(m.days_left == 0);
}

static void what_is_too_old_is_forgotten(void **state)
{
    struct world *w = *state;
    remember(w, 100000);
    w->clock.now_ms += PS_MS_PER_DAY;
    remember(w, 200000);
    w->clock.now_ms = NOON + PS_CAPACITY_HISTORY_DAYS * PS_MS_PER_DAY;
    assert_int_equal(measure(w, 800000).growth_per_day_bytes, 100000);
    w->clock.now_ms++; /* the first is older than the history now */
    assert_in_range(measure(w, 800000).growth_per_day_bytes, 99999, 100000);
    assert_int_equal(remember(w, 200000 + 6 * 60000).growth_per_day_bytes, 59999);
    w->clock.now_ms += (PS_CAPACITY_HISTORY_DAYS + 1) * PS_MS_PER_DAY; /* nobody measured */
    assert_false(measure(w, 1).has_growth);
}

/* A clock set back leaves measurements in the future: they say nothing. */
static void the_future_is_no_history(void **state)
{
    struct world *w = *state;
    w->clock.now_ms = NOON + 2 * PS_MS_PER_DAY;
    remember(w, 1);
    w->clock.now_ms = NOON;
    assert_false(measure(w, 100000).has_growth);
    remember(w, 100000);
    w->clock.now_ms = NOON + PS_MS_PER_DAY;
    assert_int_equal(measure(w, 150000).growth_per_day_bytes, 50000);
}

/* I8 */
static void the_history_is_bounded(void **state)
{
    struct world *w = *state;
    struct ps_buf text;
    size_t lines = 0;
    for (int i = 0; i < PS_CAPACITY_MEASUREMENTS_MAX + 10; i++) {
        w->clock.now_ms = NOON + i * INT64_C(60000);
        remember(w, 1000 + (uint64_t)i);
    }
    ps_buf_init(&text, PS_KV_VALUE_MAX);
    OK(ps_kv_get(w->kv, PS_STR(PS_CAPACITY_HISTORY_KEY), w->clock.now_ms, &text, &test_err));
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    assert_int_equal(lines, PS_CAPACITY_MEASUREMENTS_MAX);
    /* the oldest ones went: 255 minutes before the last */
    struct ps_capacity m = measure(w, 1000 + 9 + 1440);
    assert_true(m.has_growth);
    assert_in_range(m.growth_per_day_bytes, 1440 * 1430 / 255, 1440 * 1440 / 255);
    ps_buf_done(&text);
}

static void no_kv_is_no_growth(void **state)
{
    struct world *w = *state;
    remember(w, 1);
    w->config.kv = NULL;
    w->clock.now_ms += PS_MS_PER_DAY;
    struct ps_capacity m = remember(w, 700000);
    assert_false(m.has_growth);
    assert_int_equal(m.level, 70);
}

static void garbage_in_the_history_is_no_history(void **state)
{
    struct world *w = *state;
    static const char *const texts[] = {"", "x", "1 2 3\nzz", "-\n"};
    for (size_t i = 0; i < PS_COUNT_OF(texts); i++) {
        struct ps_str text = {texts[i], strlen(texts[i])};
        OK(ps_kv_put(w->kv, PS_STR(PS_CAPACITY_HISTORY_KEY), text, 0, NOON, &test_err));
        assert_false(measure(w, 1).has_growth);
        remember(w, 2);
    }
}

static void a_failure_is_handed_on(void **state)
{
    struct world *w = *state;
    struct ps_capacity m = {.percent = 77};
    w->code = PS_EBUSY;
    assert_int_equal(ps_capacity_measure(&w->config, &m, &test_err), PS_EBUSY);
    assert_string_equal(test_err.text, "no size today");
    assert_int_equal(m.percent, 77);
}

static json_t *as_json(const struct ps_capacity *m)
{
    struct ps_buf text;
    struct ps_json w;
    ps_buf_init(&text, 4096);
    ps_json_init(&w, &text);
    ps_capacity_write(m, &w);
    json_t *j = json_loadb(text.ptr, text.len, 0, NULL);
    assert_non_null(j);
    ps_buf_done(&text);
    return j;
}

static void it_is_written_as_json(void **state)
{
    struct world *w = *state;
    struct ps_capacity m = remember(w, 900000);
    json_t *j = as_json(&m);
    assert_string_equal(json_string_value(json_object_get(j, "measuredAt")),
                        "2025-10-15T12:00:00.000Z");
    assert_int_equal(json_integer_value(json_object_get(j, "level")), 85);
    assert_int_equal(json_integer_value(json_object_get(j, "percent")), 90);
    assert_int_equal(json_integer_value(json_object_get(j, "databaseBytes")), 905000);
    assert_int_equal(json_integer_value(json_object_get(j, "usedBytes")), 900000);
    assert_int_equal(json_integer_value(json_object_get(j, "maxDatabaseBytes")), 1000000);
    assert_int_equal(json_integer_value(json_object_get(j, "walBytes")), 777);
    assert_true(json_is_integer(json_object_get(j, "queueBytes")));
    assert_true(json_is_integer(json_object_get(j, "archiveBytes")));
    assert_true(json_is_null(json_object_get(j, "growthPerDayBytes")));
    assert_true(json_is_null(json_object_get(j, "daysLeft")));
    json_decref(j);
    w->clock.now_ms += PS_MS_PER_DAY;
    m = measure(w, 940000);
    j = as_json(&m);
    assert_int_equal(json_integer_value(json_object_get(j, "growthPerDayBytes")), 40000);
    assert_true(fabs(json_number_value(json_object_get(j, "daysLeft")) - 1.5) < 1e-9);
    json_decref(j);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_begin_where_they_say),
        TEST(only_what_is_used_counts),
        TEST(queue_and_archive_are_told),
        TEST(growth_is_measured_over_the_history),
        TEST(what_does_not_grow_lasts),
        TEST(what_is_too_old_is_forgotten),
        TEST(the_future_is_no_history),
        TEST(the_history_is_bounded),
        TEST(no_kv_is_no_growth),
        TEST(garbage_in_the_history_is_no_history),
        TEST(a_failure_is_handed_on),
        TEST(it_is_written_as_json),
    };
    return cmocka_run_group_tests_name("capacity", tests, NULL, NULL);
}
