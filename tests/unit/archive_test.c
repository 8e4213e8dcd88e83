/* archive_test.c - the life of a day over each store and a folder of objects, with every call of
 * either port failing once, bytes that come back wrong, and events that come too late.
 *
 * What may never happen: an event that is in none of store, object and dead letters (I5, I6), and
 * an event counted twice (I1). Every test ends in one of the few functions that check that.
 *
 * Events go the way the daemon has them: queue, aggregator, store. The archiver reads through a
 * store handle of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

#include "core/archive_line.h"
#include "flow/aggregator.h"
#include "flow/archive.h"
#include "flow/day_object.h"
#include "flow/overwrite.h"
#include "support/faulty_objects.h"

#include <sys/stat.h>

enum {
    OLD = DAY - 10, /* any old day */
    FEW = 40,
    RETENTION = 3,
    MANY = 5000, /* more than two progress reports */
};

#define OBJECT_ROOT "objects"

struct life {
    struct place place;
    struct ps_clock_manual clock;
    struct ps_store *store, *reader;
    struct ps_ledger *ledger;   /* faulty */
    struct ps_objects *objects; /* faulty */
    struct ps_objects *plain;   /* the same ones, without faults */
    struct ps_queue *queue;
    struct ps_aggregator *aggregator;
    struct ps_archiver archiver;
    /* what the progress callback does */
    int stop_phase, stop_code; /* phase + 1 */
    int late_phase, late_count;
    unsigned reports[4];
};

/* --- the world --- */

static void add_events(struct life *l, int32_t day, unsigned from, unsigned count);

static int on_progress(void *ctx, int32_t day, enum ps_archive_phase phase, uint64_t done)
{
    struct life *l = ctx;
    (void)done;
    l->reports[phase]++;
    if (l->late_phase == (int)phase + 1) {
        l->late_phase = 0;
        add_events(l, day, 900000, (unsigned)l->late_count);
    }
    return l->stop_phase == (int)phase + 1 ? l->stop_code : 0;
}

static void open_flow(struct life *l, const struct backend *b)
{
    static const struct ps_queue_limits limits = {1 << 28, 1 << 20, 1 << 26, 0};
    OK(ps_store_open(b->ops, &l->store, l->place.target, PS_STORE_WRITE, &test_err));
    OK(ps_store_open(b->ops, &l->reader, l->place.target, PS_STORE_READ, &test_err));
    OK(ps_queue_open(&ps_queue_mem, &l->queue, l->place.target, PS_QUEUE_WRITE, &limits,
                     &test_err));
    struct ps_aggregator_config config = {.store = l->store,
                                          .queue = l->queue,
                                          .clock = &l->clock.clock,
                                          .batch_events = 5000,
                                          .max_retries = 1,
                                          .flush_interval_ms = 1000,
                                          .cache_bytes = 64 << 20,
                                          .max_paths_per_hour = 1000};
    OK(ps_aggregator_open(&l->aggregator, &config, &test_err));
}

static int open_life(void **state)
{
    const struct backend *b = *state;
    struct life *l = calloc(1, sizeof *l);
    struct ps_ledger *ledger = NULL;
    struct ps_objects *objects = NULL;
    char folder[PLACE_PATH_MAX + 32];
    place_make(&l->place, b->leaf);
    faults_end();
    ps_clock_manual_init(&l->clock, NOON);
    open_flow(l, b);
    snprintf(folder, sizeof folder, "%s/" OBJECT_ROOT, l->place.folder);
    struct ps_objects_config config = {.target = folder};
    OK(ps_ledger_open(ps_ledger_backend(b->ops->name), &ledger, l->place.target, PS_STORE_WRITE,
                      &test_err));
    OK(ps_objects_open(&ps_objects_dir, &objects, &config, &test_err));
    OK(ps_objects_open(&ps_objects_dir, &l->plain, &config, &test_err));
    l->ledger = faulty_ledger(ledger);
    l->objects = faulty_objects(objects);
    l->archiver = (struct ps_archiver){.store = l->reader,
                                       .ledger = l->ledger,
                                       .objects = l->objects,
                                       .clock = &l->clock.clock,
                                       .retention_days = RETENTION,
                                       .progress = on_progress,
                                       .ctx = l};
    *state = l;
    return 0;
}

static int close_life(void **state)
{
    struct life *l = *state;
    ps_aggregator_close(l->aggregator);
    ps_ledger_close(l->ledger);
    ps_objects_close(l->objects);
    ps_objects_close(l->plain);
    ps_store_close(l->store);
    ps_store_close(l->reader);
    ps_queue_close(l->queue);
    place_remove(&l->place);
    free(l);
    faults_end();
    return 0;
}

/* --- events --- */

static void enqueue(struct life *l, const struct ps_event *event)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_str record = {(const char *)bytes, ps_event_encode(event, bytes)};
    OK(ps_queue_append(l->queue, &record, 1, &test_err));
}

static void drain(struct life *l)
{
    OK(ps_queue_sync(l->queue, NULL, &test_err));
    OK(ps_aggregator_drain(l->aggregator, &test_err));
}

static struct ps_event plain_event(const char *id, int64_t timestamp_ms)
{
    return (struct ps_event){.id = {id, strlen(id)},
                             .path = PS_STR("/"),
                             .timestamp_ms = timestamp_ms,
                             .response_us = PS_ABSENT,
                             .response_bytes = PS_ABSENT,
                             .status = PS_ABSENT,
                             .is_error = PS_ABSENT};
}

/* The same number is the same event. Every seventh has an id of its own kind. */
static void add_events(struct life *l, int32_t day, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char id[64], path[32];
        int64_t at = (int64_t)day * PS_MS_PER_DAY + (int64_t)(i * 7919u % 86400000u);
        snprintf(id, sizeof id, "%013lld-%016x", (long long)at, i);
        if (i % 7 == 3)
            snprintf(id, sizeof id, "foreign-%d-%u", day, i);
        snprintf(path, sizeof path, "/%u", i % 5);
        struct ps_event event = plain_event(id, at);
        event.path = (struct ps_str){path, strlen(path)};
        if (i % 2 == 0) {
            event.status = 200 + (int32_t)(i % 300);
            event.is_error = event.status >= 400;
            event.response_us = i * 1001;
            event.user_agent = PS_STR("agent \"x\" \xc3\xa4");
        }
        enqueue(l, &event);
    }
    drain(l);
}

/* --- looking --- */

static int dump_line(void *to, const struct ps_event *event)
{
    static char line[PS_ARCHIVE_LINE_MAX];
    return ps_buf_append(to, line, ps_archive_line_write(event, line));
}

static struct ps_buf stored(struct life *l, int32_t day)
{
    struct ps_buf b;
    dump_init(&b);
    OK(ps_store_events(l->reader, day, PS_ORDER_TIME, dump_line, &b, &test_err));
    return b;
}

static int gather(void *ctx, const void *bytes, size_t len, struct ps_err *e)
{
    (void)e;
    return ps_buf_append(ctx, bytes, len);
}

static struct ps_buf archived(struct life *l, int32_t day)
{
    struct ps_day_object object;
    struct ps_buf b;
    char key[PS_ARCHIVE_KEY_BYTES];
    ps_archive_key(key, day);
    dump_init(&b);
    OK(ps_day_object_read(l->plain, key, gather, &b, NULL, NULL, &object, &test_err));
    assert_int_equal(object.json_bytes, b.len);
    return b;
}

static int keep_raw(void *ctx, const void *bytes, size_t len)
{
    return ps_buf_append(ctx, bytes, len);
}

/* The object as it lies there. */
static struct ps_buf raw_object(struct life *l, int32_t day)
{
    struct ps_buf b;
    char key[PS_ARCHIVE_KEY_BYTES];
    ps_archive_key(key, day);
    dump_init(&b);
    OK(ps_objects_get(l->plain, key, keep_raw, &b, &test_err));
    return b;
}

struct seen {
    int32_t day;
    enum ps_day_state state;
    bool found, is_stored;
    int64_t record_count;
    char error[256];
};

static int see_day(void *ctx, const struct ps_day *day)
{
    struct seen *seen = ctx;
    if (day->day != seen->day)
        return 0;
    seen->found = true;
    seen->state = day->state;
    seen->is_stored = day->stored;
    seen->record_count = day->record_count;
    snprintf(seen->error, sizeof seen->error, "%.*s", (int)day->error.len,
             day->error.ptr == NULL ? "" : day->error.ptr);
    return 0;
}

static struct seen look_at(struct life *l, int32_t day)
{
    struct seen seen = {.day = day};
    OK(ps_store_days(l->reader, see_day, &seen, &test_err));
    return seen;
}

static size_t lines_of(const struct ps_buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->len; i++)
        n += b->ptr[i] == '\n';
    return n;
}

static int add_requests(void *ctx, const struct ps_stat_row *row)
{
    *(uint64_t *)ctx += row->stat.requests;
    return 0;
}

static uint64_t counted(struct life *l, int32_t day)
{
    struct ps_stats_query q = query(day * 24, day * 24 + 23, PS_STR_NONE);
    uint64_t n = 0;
    OK(ps_store_stats(l->store, &q, add_requests, &n, &test_err));
    return n;
}

struct letters {
    uint64_t positions[2 * MANY];
    struct ps_buf lines;
    size_t count;
};

static int note_letter(void *ctx, const struct ps_dead_letter *letter)
{
    struct letters *letters = ctx;
    struct ps_event event;
    assert_int_equal(letter->why, PS_REJECT_CLOSED_DAY);
    assert_int_equal(ps_event_decode(letter->bytes, letter->len, &event), 0);
    assert_true(letters->count < PS_COUNT_OF(letters->positions));
    letters->positions[letters->count++] = letter->position;
    return dump_line(&letters->lines, &event);
}

static struct letters *dead(struct life *l)
{
    struct letters *letters = calloc(1, sizeof *letters);
    dump_init(&letters->lines);
    OK(ps_queue_dead(l->queue, note_letter, letters, &test_err));
    return letters;
}

static void drop_letters(struct letters *letters)
{
    ps_buf_done(&letters->lines);
    free(letters);
}

static size_t dead_count(struct life *l)
{
    struct letters *letters = dead(l);
    size_t n = letters->count;
    drop_letters(letters);
    return n;
}

/* --- doing --- */

static int archive(struct life *l, int32_t day)
{
    struct ps_archived ret;
    return ps_archive_day(&l->archiver, day, &ret, &test_err);
}

/* What has to be true of a day that is done: the object is what the store held, and only it. */
static void expect_archived(struct life *l, int32_t day, const struct ps_buf *before)
{
    struct ps_buf object = archived(l, day);
    struct seen seen = look_at(l, day);
    struct ps_archived read;
    expect_same(before, &object, "object");
    assert_int_equal(seen.state, PS_DAY_CLEANED);
    assert_false(seen.is_stored);
    assert_int_equal(seen.record_count, lines_of(before));
    assert_int_equal(counted(l, day), lines_of(before));
    OK(ps_archive_read(&l->archiver, day, NULL, NULL, &read, &test_err));
    ps_buf_done(&object);
}

static void expect_untouched(struct life *l, int32_t day, const struct ps_buf *before)
{
    struct ps_buf now = stored(l, day);
    expect_same(before, &now, "store");
    ps_buf_done(&now);
}

static void archive_well(struct life *l, int32_t day, const struct ps_buf *before)
{
    faults_end();
    OK(archive(l, day));
    expect_archived(l, day, before);
}

/* --- one day --- */

static void a_day_leaves(void **state)
{
    struct life *l = *state;
    struct ps_archived ret;
    struct stat st;
    char file[PLACE_PATH_MAX + 128];
    add_events(l, OLD, 0, FEW);
    add_events(l, OLD + 1, 0, FEW);
    struct ps_buf before = stored(l, OLD);
    OK(ps_archive_day(&l->archiver, OLD, &ret, &test_err));
    expect_archived(l, OLD, &before);
    snprintf(file, sizeof file, "%s/" OBJECT_ROOT "/events-archive/2025/10/2025-10-05.jsonl.gz",
             l->place.folder);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(ret.day, OLD);
    assert_int_equal(ret.events, FEW);
    assert_int_equal(ret.object_bytes, st.st_size);
    assert_int_equal(ret.json_bytes, before.len);
    assert_int_equal(look_at(l, OLD + 1).state, PS_DAY_OPEN);
    assert_int_equal(counted(l, OLD + 1), FEW);
    ps_buf_done(&before);
}

static void keys_are_dates(void **state)
{
    char key[PS_ARCHIVE_KEY_BYTES];
    (void)state;
    ps_archive_key(key, ps_time_from_civil(2028, 2, 29));
    assert_string_equal(key, "events-archive/2028/02/2028-02-29.jsonl.gz");
    ps_archive_key(key, ps_time_from_civil(9999, 12, 31));
    assert_string_equal(key, "events-archive/9999/12/9999-12-31.jsonl.gz");
    assert_true(ps_object_key_is_valid(key));
}

static void what_cannot_be_archived_says_why(void **state)
{
    struct life *l = *state;
    for (int32_t day = DAY - RETENTION - 1; day <= DAY; day++)
        add_events(l, day, 0, 3);
    for (int32_t day = DAY - RETENTION; day <= DAY + 1; day++) {
        assert_int_equal(archive(l, day), PS_EINVAL);
        assert_non_null(strstr(test_err.text, "too young"));
        assert_int_equal(look_at(l, day).state, PS_DAY_OPEN);
    }
    assert_int_equal(archive(l, OLD), PS_ENOENT);
    assert_non_null(strstr(test_err.text, "no events of 2025-10-05"));
    assert_false(look_at(l, OLD).found);
    OK(ps_archive_check(&l->archiver, DAY - RETENTION - 1, &test_err));
    OK(archive(l, DAY - RETENTION - 1));
    assert_int_equal(archive(l, DAY - RETENTION - 1), PS_EEXIST);
    assert_non_null(strstr(test_err.text, "already"));
    assert_int_equal(ps_archive_check(&l->archiver, DAY - RETENTION - 1, NULL), PS_EEXIST);
    l->clock.now_ms = (int64_t)(DAY + 1) * PS_MS_PER_DAY - 1; /* the last moment of today */
    assert_int_equal(archive(l, DAY - RETENTION), PS_EINVAL);
    l->clock.now_ms++;
    OK(archive(l, DAY - RETENTION));
}

/* By time, then by the bytes of the id; whatever the kind of id. */
static void lines_are_in_order(void **state)
{
    struct life *l = *state;
    int64_t at = (int64_t)OLD * PS_MS_PER_DAY;
    static const char *const same_time[] = {"z", "B", "a", "9", "zz"};
    char dated[64];
    for (size_t i = 0; i < PS_COUNT_OF(same_time); i++) {
        struct ps_event event = plain_event(same_time[i], at + 1000);
        enqueue(l, &event);
    }
    snprintf(dated, sizeof dated, "%013lld-0000000000000001", (long long)at + 1000);
    struct ps_event events[] = {plain_event(dated, at + 1000), plain_event("last", at),
                                plain_event("aaa", at + 86399999)};
    for (size_t i = 0; i < PS_COUNT_OF(events); i++)
        enqueue(l, &events[i]);
    drain(l);
    OK(archive(l, OLD));
    struct ps_buf object = archived(l, OLD);
    const char *const order[] = {"last", dated, "9", "B", "a", "z", "zz", "aaa"};
    const char *line = object.ptr;
    for (size_t i = 0; i < PS_COUNT_OF(order); i++) {
        char start[80];
        int n = snprintf(start, sizeof start, "{\"id\":\"%s\",", order[i]);
        if (strncmp(line, start, (size_t)n) != 0)
            fail_msg("line %zu: %.60s instead of %s", i, line, start);
        line = strchr(line, '\n') + 1;
    }
    ps_buf_done(&object);
}

/* The same set in another order of arrival, and the same day once more. */
static void two_archives_are_equal(void **state)
{
    struct life *l = *state;
    static struct ps_buf of_other_backend; /* mem and sqlite write the same */
    struct ps_archived ret;
    add_events(l, OLD, 20, 20);
    add_events(l, OLD, 0, 20);
    OK(archive(l, OLD));
    struct ps_buf first = raw_object(l, OLD);
    OK(ps_archive_restore(&l->archiver, OLD, &ret, &test_err));
    assert_int_equal(ret.events, FEW);
    OK(archive(l, OLD));
    struct ps_buf second = raw_object(l, OLD);
    expect_same(&first, &second, "archived twice");
    if (of_other_backend.len == 0) {
        of_other_backend = first;
    } else {
        expect_same(&of_other_backend, &first, "the other backend");
        ps_buf_done(&of_other_backend);
        ps_buf_done(&first);
    }
    ps_buf_done(&second);
}

/* --- I5: failures --- */

static const int codes[] = {PS_EIO, PS_EBUSY, PS_EFULL, PS_EDENIED};

/* A service need not let us look for unfinished uploads: the first call. */
static void what_cannot_be_tidied_up_is_a_warning(void **state)
{
    struct life *l = *state;
    struct ps_archived ret;
    for (size_t c = 0; c < PS_COUNT_OF(codes); c++) {
        int32_t day = OLD - (int32_t)c;
        add_events(l, day, 0, FEW);
        struct ps_buf before = stored(l, day);
        faults_end();
        object_faults.fail_at = 1;
        object_faults.code = codes[c];
        OK(c % 2 == 0 ? ps_archive_day(&l->archiver, day, &ret, &test_err)
                      : ps_archive_run(&l->archiver, &ret, &test_err));
        assert_int_equal(ret.events, FEW);
        assert_non_null(strstr(ret.warning, "interrupted uploads"));
        assert_non_null(strstr(ret.warning, "injected"));
        faults_end();
        expect_archived(l, day, &before);
        ps_buf_done(&before);
    }
    add_events(l, OLD + 1, 0, FEW);
    OK(ps_archive_day(&l->archiver, OLD + 1, &ret, &test_err));
    assert_string_equal(ret.warning, "");
}

/* I5: whichever other call to the objects fails, the day stays, says why, and is done by the next
 * run. */
static void every_call_to_the_objects_fails_once(void **state)
{
    struct life *l = *state;
    int32_t day = OLD;
    for (size_t c = 0; c < PS_COUNT_OF(codes); c++)
        for (int call = 2;; call++, day--) {
            add_events(l, day, 0, FEW);
            struct ps_buf before = stored(l, day);
            faults_end();
            object_faults.fail_at = call;
            object_faults.code = codes[c];
            int r = archive(l, day);
            if (object_faults.calls < call) { /* more than there are */
                assert_int_equal(r, 0);
                assert_true(call > 4); /* tidy up, look, put, get */
                ps_buf_done(&before);
                day--;
                break;
            }
            struct seen seen = look_at(l, day);
            assert_int_equal(r, codes[c]);
            assert_int_equal(seen.state, PS_DAY_FAILED);
            assert_non_null(strstr(seen.error, "injected"));
            expect_untouched(l, day, &before);
            archive_well(l, day, &before);
            ps_buf_done(&before);
        }
}

/* I5: mark pending, mark completed, clean. */
static void every_call_to_the_ledger_fails_once(void **state)
{
    struct life *l = *state;
    static const enum ps_day_state left[] = {PS_DAY_OPEN, PS_DAY_FAILED, PS_DAY_COMPLETED};
    int32_t day = OLD;
    for (size_t c = 0; c < PS_COUNT_OF(codes); c++)
        for (int call = 1; call <= 3; call++, day--) {
            add_events(l, day, 0, FEW);
            struct ps_buf before = stored(l, day);
            faults_end();
            ledger_faults.fail_from = ledger_faults.fail_to = call;
            ledger_faults.code = codes[c];
            assert_int_equal(archive(l, day), codes[c]);
            assert_non_null(strstr(test_err.text, "injected"));
            assert_int_equal(look_at(l, day).state, left[call - 1]);
            expect_untouched(l, day, &before);
            archive_well(l, day, &before);
            ps_buf_done(&before);
        }
}

/* I5: where not even the failure can be written down, the day is found pending and done again. */
static void a_ledger_that_stays_away_leaves_pending(void **state)
{
    struct life *l = *state;
    add_events(l, OLD, 0, FEW);
    struct ps_buf before = stored(l, OLD);
    ledger_faults.fail_from = 2;
    ledger_faults.fail_to = 99;
    ledger_faults.code = PS_EIO;
    assert_int_equal(archive(l, OLD), PS_EIO);
    assert_int_equal(look_at(l, OLD).state, PS_DAY_PENDING);
    expect_untouched(l, OLD, &before);
    archive_well(l, OLD, &before);
    ps_buf_done(&before);
}

/* ... or, once it can be, the failure is written down, and the day takes events meanwhile. */
static void a_ledger_that_comes_back_is_told(void **state)
{
    struct life *l = *state;
    add_events(l, OLD, 0, FEW);
    object_faults.fail_at = 2;
    object_faults.code = PS_EFULL;
    ledger_faults.fail_from = 2;
    ledger_faults.fail_to = 99;
    ledger_faults.code = PS_EIO;
    assert_int_equal(archive(l, OLD), PS_EFULL);
    assert_int_equal(ps_archive_mend(&l->archiver, &test_err), PS_EIO); /* still away */
    assert_int_equal(look_at(l, OLD).state, PS_DAY_PENDING);
    faults_end();
    OK(ps_archive_mend(&l->archiver, &test_err));
    struct seen seen = look_at(l, OLD);
    assert_int_equal(seen.state, PS_DAY_FAILED);
    assert_non_null(strstr(seen.error, "injected"));
    assert_int_equal(ledger_faults.calls, 1);
    OK(ps_archive_mend(&l->archiver, &test_err)); /* nothing more to do */
    assert_int_equal(ledger_faults.calls, 1);
    add_events(l, OLD, FEW, 3);
    assert_int_equal(dead_count(l), 0);
    struct ps_buf before = stored(l, OLD);
    archive_well(l, OLD, &before);
    ps_buf_done(&before);
}

/* A gzip file of `lines` lines that is not the day's. */
static struct ps_buf other_object(unsigned lines)
{
    struct ps_buf b;
    struct ps_packer *p = NULL;
    dump_init(&b);
    OK(ps_packer_open(&p, 1, gather, &b, &test_err));
    for (unsigned i = 0; i < lines; i++)
        OK(ps_packer_write(p, "{}\n", 3, &test_err));
    OK(ps_packer_finish(p, &test_err));
    ps_packer_close(p);
    return b;
}

/* I5: nothing is cleaned that was not read back as it was written. */
static void wrong_bytes_are_not_believed(void **state)
{
    struct life *l = *state;
    struct ps_buf same_count = other_object(FEW), fewer = other_object(FEW - 1);
    const struct object_faults faults[] = {
        {.read = READ_TRUNCATED},
        {.read = READ_FLIPPED},
        {.read = READ_NOTHING},
        {.read = READ_OTHER, .other = PS_STR("<html>200 OK</html>")},
        {.loses = true},
        {.read = READ_OTHER, .other = ps_buf_str(&same_count)},
        {.read = READ_OTHER, .other = ps_buf_str(&fewer)},
    };
    const char *const whys[] = {"", "", "", "", "", "another SHA-256", "39 events instead of 40"};
    int32_t day = OLD;
    for (size_t i = 0; i < PS_COUNT_OF(faults); i++, day--) {
        add_events(l, day, 0, FEW);
        struct ps_buf before = stored(l, day);
        object_faults = faults[i];
        int r = archive(l, day);
        assert_int_equal(r, faults[i].loses ? PS_ENOENT : PS_ECORRUPT);
        struct seen seen = look_at(l, day);
        assert_int_equal(seen.state, PS_DAY_FAILED);
        assert_string_equal(seen.error, test_err.text);
        assert_true(strlen(seen.error) > 5);
        assert_non_null(strstr(seen.error, whys[i]));
        expect_untouched(l, day, &before);
        archive_well(l, day, &before);
        ps_buf_done(&before);
    }
    ps_buf_done(&same_count);
    ps_buf_done(&fewer);
}

/* Whole gzip around half a line: what was interrupted while it was written, and packed again. */
static void an_object_ends_with_a_line(void **state)
{
    struct life *l = *state;
    struct ps_day_object object;
    struct ps_packer *p = NULL;
    struct ps_buf b;
    dump_init(&b);
    OK(ps_packer_open(&p, 1, gather, &b, &test_err));
    OK(ps_packer_write(p, "{}\n{\"id\":", 9, &test_err));
    OK(ps_packer_finish(p, &test_err));
    ps_packer_close(p);
    OK(ps_objects_put(l->plain, "half", b.ptr, b.len, &test_err));
    assert_int_equal(
        ps_day_object_read(l->plain, "half", NULL, NULL, NULL, NULL, &object, &test_err),
        PS_ECORRUPT);
    assert_non_null(strstr(test_err.text, "half ends in the middle of a line"));
    ps_buf_done(&b);
}

/* Leaves the day completed: its cleaning fails. */
static void complete(struct life *l, int32_t day)
{
    faults_end();
    ledger_faults.fail_from = ledger_faults.fail_to = 3;
    ledger_faults.code = PS_EBUSY;
    assert_int_equal(archive(l, day), PS_EBUSY);
    faults_end();
    assert_int_equal(look_at(l, day).state, PS_DAY_COMPLETED);
}

/* I5: days can lie between completed and cleaned; the object is looked at before the events go. */
static void a_completed_day_is_looked_at_again(void **state)
{
    struct life *l = *state;
    struct ps_buf same_count = other_object(FEW);
    for (int what = 0; what < 4; what++) {
        int32_t day = OLD - what;
        char key[PS_ARCHIVE_KEY_BYTES];
        add_events(l, day, 0, FEW);
        struct ps_buf before = stored(l, day);
        complete(l, day);
        ps_archive_key(key, day);
        if (what == 1)
            OK(ps_objects_remove(l->plain, key, &test_err));
        if (what == 2)
            OK(ps_objects_put(l->plain, key, "garbage", 7, &test_err));
        if (what == 3)
            OK(ps_objects_put(l->plain, key, same_count.ptr, same_count.len, &test_err));
        expect_untouched(l, day, &before);
        if (what >= 2) { /* whose it is now nobody knows: a person moves it away */
            assert_int_equal(archive(l, day), PS_EEXIST);
            assert_int_equal(look_at(l, day).state, PS_DAY_FAILED);
            expect_untouched(l, day, &before);
            OK(ps_objects_remove(l->plain, key, &test_err));
        }
        archive_well(l, day, &before);
        assert_int_equal(look_at(l, day).state, PS_DAY_CLEANED);
        ps_buf_done(&before);
    }
    ps_buf_done(&same_count);
}

/* I5: away is not gone: it stays completed, and nothing is cleaned or written again. */
static void a_completed_day_waits_for_its_object(void **state)
{
    struct life *l = *state;
    add_events(l, OLD, 0, FEW);
    struct ps_buf before = stored(l, OLD);
    complete(l, OLD);
    object_faults.fail_at = 1;
    object_faults.code = PS_EIO;
    assert_int_equal(archive(l, OLD), PS_EIO);
    assert_int_equal(look_at(l, OLD).state, PS_DAY_COMPLETED);
    expect_untouched(l, OLD, &before);
    faults_end();
    OK(archive(l, OLD));
    assert_int_equal(object_faults.calls, 1); /* read, not written */
    expect_archived(l, OLD, &before);
    ps_buf_done(&before);
}

/* --- I5: what lies there already --- */

static void put_there(struct life *l, int32_t day, const struct ps_buf *lines)
{
    struct ps_packer *p = NULL;
    struct ps_buf b;
    char key[PS_ARCHIVE_KEY_BYTES];
    ps_archive_key(key, day);
    dump_init(&b);
    OK(ps_packer_open(&p, 1, gather, &b, &test_err));
    OK(ps_packer_write(p, lines->ptr, lines->len, &test_err));
    OK(ps_packer_finish(p, &test_err));
    ps_packer_close(p);
    OK(ps_objects_put(l->plain, key, b.ptr, b.len, &test_err));
    ps_buf_done(&b);
}

/* The line of an event that this database has never had. */
static void add_foreign_line(struct ps_buf *to, const char *id, int64_t timestamp_ms)
{
    struct ps_event event = plain_event(id, timestamp_ms);
    OK(dump_line(to, &event));
}

/* Refused with all of `words`, and object, store and day are as before. */
static void expect_refused(struct life *l, int32_t day, const char *const words[3])
{
    struct ps_buf before = stored(l, day), object = raw_object(l, day);
    size_t kept = counted(l, day);
    assert_int_equal(archive(l, day), PS_EEXIST);
    struct ps_buf after = raw_object(l, day);
    struct seen seen = look_at(l, day);
    expect_same(&object, &after, "object");
    expect_untouched(l, day, &before);
    assert_int_equal(seen.state, PS_DAY_FAILED);
    assert_true(seen.is_stored);
    assert_int_equal(counted(l, day), kept);
    for (int i = 0; i < 3; i++)
        assert_non_null(strstr(test_err.text, words[i]));
    ps_buf_done(&before);
    ps_buf_done(&object);
    ps_buf_done(&after);
}

/* I5: another data directory archived there, or the database is a new one. One event is enough,
 * also one that shares its id or its time with one of ours. */
static void an_object_with_other_events_is_not_replaced(void **state)
{
    struct life *l = *state;
    char ids[64];
    int64_t at = (int64_t)OLD * PS_MS_PER_DAY;
    add_events(l, OLD, 0, FEW);
    struct ps_buf ours = stored(l, OLD), more = stored(l, OLD), few;
    for (int i = 0; i < 3; i++) { /* a new id; the time of event 0; the id of event 3 */
        static const char *const words[][3] = {
            {"2025-10-05.jsonl.gz already holds 41 events, 1 of which", "archive_dir", "s3_bucket"},
            {"2025-10-05.jsonl.gz already holds 41 events, 1 of which", "move", "import"},
            {"2025-10-05.jsonl.gz already holds 41 events, 1 of which", "another data", "database"},
        };
        snprintf(ids, sizeof ids, "foreign-%d-3", OLD);
        more.len = ours.len;
        add_foreign_line(&more, i == 2 ? ids : "not-ours", i == 1 ? at : at + 77);
        put_there(l, OLD, &more);
        expect_refused(l, OLD, words[i]);
    }
    dump_init(&few);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(ids, sizeof ids, "b-%u", i);
        add_foreign_line(&few, ids, at + i);
    }
    put_there(l, OLD, &few);
    expect_refused(l, OLD, (const char *const[3]){"holds 5 events, 5 of which", "", ""});
    char key[PS_ARCHIVE_KEY_BYTES];
    ps_archive_key(key, OLD);
    OK(ps_objects_remove(l->plain, key, &test_err));
    archive_well(l, OLD, &ours);
    ps_buf_done(&ours);
    ps_buf_done(&more);
    ps_buf_done(&few);
}

/* A run was killed between upload and mark; then more events came. Part by part, too. */
static void an_object_whose_events_are_all_here_is_replaced(void **state)
{
    struct life *l = *state;
    char key[PS_ARCHIVE_KEY_BYTES];
    add_events(l, OLD, 0, FEW);
    struct ps_buf first = stored(l, OLD);
    put_there(l, OLD, &first);
    add_events(l, OLD, FEW, 5);
    struct ps_buf both = stored(l, OLD);
    ps_archive_key(key, OLD);
    for (size_t part = 1; part <= FEW + 1; part++)
        OK(ps_overwrite_check(l->reader, OLD, l->plain, key, part, NULL, NULL, &test_err));
    archive_well(l, OLD, &both);
    ps_buf_done(&first);
    ps_buf_done(&both);
}

/* However many events are looked for at once. */
static void what_is_missing_is_counted_in_every_part(void **state)
{
    struct life *l = *state;
    char key[PS_ARCHIVE_KEY_BYTES], id[32];
    add_events(l, OLD, 0, FEW);
    struct ps_buf lines = stored(l, OLD);
    for (unsigned i = 0; i < 9; i++) {
        snprintf(id, sizeof id, "other-%u", i);
        add_foreign_line(&lines, id, (int64_t)OLD * PS_MS_PER_DAY + i);
    }
    put_there(l, OLD, &lines);
    ps_archive_key(key, OLD);
    for (size_t part = 1; part <= FEW + 10; part++) {
        assert_int_equal(
            ps_overwrite_check(l->reader, OLD, l->plain, key, part, NULL, NULL, &test_err),
            PS_EEXIST);
        assert_non_null(strstr(test_err.text, "holds 49 events, 9 of which"));
    }
    ps_buf_done(&lines);
}

/* I5: what cannot be read may be anybody's. */
static void a_damaged_object_is_not_replaced(void **state)
{
    struct life *l = *state;
    static const char *const words[] = {"2025-10-05.jsonl.gz is there already", "damaged", "move"};
    char key[PS_ARCHIVE_KEY_BYTES];
    add_events(l, OLD, 0, FEW);
    struct ps_buf ours = stored(l, OLD), no_events;
    ps_archive_key(key, OLD);
    put_there(l, OLD, &ours);
    struct ps_buf packed = raw_object(l, OLD);
    OK(ps_objects_put(l->plain, key, packed.ptr, packed.len - 9, &test_err));
    expect_refused(l, OLD, words);
    OK(ps_objects_put(l->plain, key, "garbage", 7, &test_err));
    expect_refused(l, OLD, words);
    no_events = other_object(3);
    OK(ps_objects_put(l->plain, key, no_events.ptr, no_events.len, &test_err));
    expect_refused(l, OLD, words);
    OK(ps_objects_remove(l->plain, key, &test_err));
    archive_well(l, OLD, &ours);
    ps_buf_done(&ours);
    ps_buf_done(&packed);
    ps_buf_done(&no_events);
}

/* S3 without the right to list says 403 for what is not there. */
static void an_object_that_may_not_be_seen_is_not_replaced(void **state)
{
    struct life *l = *state;
    add_events(l, OLD, 0, FEW);
    struct ps_buf before = stored(l, OLD);
    object_faults.fail_at = 2;
    object_faults.code = PS_EDENIED;
    assert_int_equal(archive(l, OLD), PS_EDENIED);
    assert_non_null(strstr(test_err.text, "s3:ListBucket"));
    assert_int_equal(object_faults.calls, 2); /* nothing written */
    expect_untouched(l, OLD, &before);
    ps_buf_done(&before);
}

/* The ledger's own object, with and without new events. */
static void a_restored_day_replaces_its_object(void **state)
{
    struct life *l = *state;
    struct ps_archived ret;
    add_events(l, OLD, 0, FEW);
    OK(archive(l, OLD));
    for (unsigned i = 0; i < 2; i++) {
        OK(ps_archive_restore(&l->archiver, OLD, &ret, &test_err));
        add_events(l, OLD, FEW, i);
        struct ps_buf now = stored(l, OLD);
        archive_well(l, OLD, &now);
        ps_buf_done(&now);
    }
}

/* --- stopping --- */

/* Also while a large object that lies there is looked at. */
static void a_look_can_be_stopped(void **state)
{
    struct life *l = *state;
    add_events(l, OLD, 0, MANY);
    struct ps_buf lines = stored(l, OLD);
    put_there(l, OLD, &lines);
    l->stop_phase = PS_PHASE_ARCHIVE + 1;
    l->stop_code = PS_ESTOP;
    assert_int_equal(archive(l, OLD), PS_ESTOP);
    assert_int_equal(l->reports[PS_PHASE_ARCHIVE], 1);
    assert_int_equal(look_at(l, OLD).state, PS_DAY_PENDING);
    l->stop_phase = 0;
    archive_well(l, OLD, &lines);
    ps_buf_done(&lines);
}

static void stopping_is_no_failure(void **state)
{
    struct life *l = *state;
    static const enum ps_day_state left[] = {PS_DAY_PENDING, PS_DAY_PENDING, PS_DAY_COMPLETED};
    for (int phase = PS_PHASE_ARCHIVE; phase <= PS_PHASE_CLEAN; phase++) {
        int32_t day = OLD - phase;
        add_events(l, day, 0, MANY);
        struct ps_buf before = stored(l, day);
        l->stop_phase = phase + 1;
        l->stop_code = PS_ESTOP;
        assert_int_equal(archive(l, day), PS_ESTOP);
        struct seen seen = look_at(l, day);
        assert_int_equal(seen.state, left[phase]);
        assert_string_equal(seen.error, "");
        expect_untouched(l, day, &before);
        l->stop_phase = 0;
        archive_well(l, day, &before);
        ps_buf_done(&before);
    }
    assert_true(l->reports[PS_PHASE_ARCHIVE] > 0 && l->reports[PS_PHASE_VERIFY] > 0);
}

/* --- I6: events that come too late --- */

static char *id_end(char *line)
{
    return strstr(line, "\",\"path\"");
}

/* Every event of 0..count and the late ones is in exactly one place. */
static void expect_nothing_lost(struct life *l, int32_t day, size_t kept, size_t late)
{
    struct ps_buf object = archived(l, day);
    struct letters *letters = dead(l);
    assert_int_equal(lines_of(&object), kept);
    assert_int_equal(letters->count, late);
    assert_int_equal(counted(l, day), kept);
    dump_end(&object);
    for (char *line = letters->lines.ptr; line < letters->lines.ptr + letters->lines.len;
         line = strchr(line, '\n') + 1) {
        char id[PS_ID_MAX + 8];
        snprintf(id, sizeof id, "%.*s", (int)(id_end(line) - line), line);
        assert_null(strstr(object.ptr, id));
    }
    drop_letters(letters);
    ps_buf_done(&object);
}

/* I6: while it is written, while it is read back, and just before the events go. */
static void an_event_while_its_day_leaves_is_refused(void **state)
{
    struct life *l = *state;
    for (int phase = PS_PHASE_ARCHIVE; phase <= PS_PHASE_CLEAN; phase++) {
        int32_t day = OLD - phase;
        size_t already = dead_count(l);
        add_events(l, day, 0, MANY);
        l->late_phase = phase + 1;
        l->late_count = 3;
        OK(archive(l, day));
        assert_int_equal(l->late_phase, 0);
        expect_nothing_lost(l, day, MANY, already + 3);
    }
}

static void add_one(void *ctx, int call)
{
    struct life *l = ctx;
    add_events(l, OLD, 800000 + (unsigned)call, 1);
}

/* I6: before the seal it is in the object, after it in the dead letters: at each call of the
 * ledger. */
static void the_seal_decides(void **state)
{
    struct life *l = *state;
    add_events(l, OLD, 0, FEW);
    ledger_faults.before = add_one;
    ledger_faults.ctx = l;
    OK(archive(l, OLD));
    assert_int_equal(ledger_faults.calls, 3);
    expect_nothing_lost(l, OLD, FEW + 1, 2);
}

/* I1, I6: the whole day comes once more, and new ones with it. */
static void a_cleaned_day_redelivered_is_kept_aside(void **state)
{
    struct life *l = *state;
    add_events(l, OLD, 0, FEW);
    struct ps_buf before = stored(l, OLD);
    archive_well(l, OLD, &before);
    add_events(l, OLD, 0, FEW);
    assert_int_equal(dead_count(l), FEW);
    add_events(l, OLD, FEW, 5);
    assert_int_equal(dead_count(l), FEW + 5);
    expect_archived(l, OLD, &before); /* nothing of it in the store, nothing counted */
    ps_buf_done(&before);
}

static void replay(struct life *l)
{
    struct letters *letters = dead(l);
    const char *line = letters->lines.ptr;
    static char scratch[PS_ARCHIVE_LINE_MAX];
    for (size_t i = 0; i < letters->count; i++) {
        struct ps_event event;
        const char *end = strchr(line, '\n');
        assert_int_equal(ps_archive_line_parse(line, (size_t)(end - line), scratch, &event), 0);
        enqueue(l, &event);
        assert_int_equal(ps_queue_unbury(l->queue, &letters->positions[i], 1, &test_err), 1);
        line = end + 1;
    }
    drop_letters(letters);
    drain(l);
}

/* I1: restored and replayed, the new ones count once, the old ones not again; the next archive has
 * the union, and after that nothing is left anywhere else. */
static void restore_and_replay_make_the_union(void **state)
{
    struct life *l = *state;
    struct ps_archived ret;
    add_events(l, OLD, 0, FEW);
    struct ps_buf first = stored(l, OLD);
    OK(archive(l, OLD));
    add_events(l, OLD, 0, FEW);
    add_events(l, OLD, FEW, 5);
    OK(ps_archive_restore(&l->archiver, OLD, &ret, &test_err));
    assert_int_equal(look_at(l, OLD).state, PS_DAY_RESTORED);
    expect_untouched(l, OLD, &first);
    assert_int_equal(counted(l, OLD), FEW);
    replay(l);
    assert_int_equal(dead_count(l), 0);
    assert_int_equal(counted(l, OLD), FEW + 5);
    struct ps_buf both = stored(l, OLD);
    assert_int_equal(lines_of(&both), FEW + 5);
    archive_well(l, OLD, &both);
    replay(l);
    assert_int_equal(counted(l, OLD), FEW + 5);
    ps_buf_done(&first);
    ps_buf_done(&both);
}

/* --- restoring --- */

static void only_what_is_archived_is_restored(void **state)
{
    struct life *l = *state;
    struct ps_archived ret = {.events = 77};
    assert_int_equal(ps_archive_restore(&l->archiver, OLD, &ret, &test_err), PS_ENOENT);
    add_events(l, OLD, 0, FEW);
    assert_int_equal(ps_archive_restore(&l->archiver, OLD, &ret, &test_err), PS_ENOENT);
    assert_int_equal(ps_archive_read(&l->archiver, OLD, NULL, NULL, &ret, &test_err), PS_ENOENT);
    complete(l, OLD);
    assert_int_equal(ps_archive_restore(&l->archiver, OLD, &ret, &test_err), PS_EEXIST);
    assert_non_null(strstr(test_err.text, "completed"));
    OK(archive(l, OLD));
    assert_int_equal(ret.events, 77);
    OK(ps_archive_restore(&l->archiver, OLD, &ret, &test_err));
    assert_int_equal(ps_archive_restore(&l->archiver, OLD, &ret, &test_err), PS_EEXIST);
}

/* Nothing comes back that is not what was archived. */
static void a_changed_object_is_not_restored(void **state)
{
    struct life *l = *state;
    struct ps_buf same_count = other_object(FEW);
    const struct object_faults faults[] = {{.read = READ_FLIPPED},
                                           {.read = READ_TRUNCATED},
                                           {.read = READ_OTHER, .other = ps_buf_str(&same_count)}};
    struct ps_archived ret;
    add_events(l, OLD, 0, FEW);
    struct ps_buf before = stored(l, OLD);
    OK(archive(l, OLD));
    for (size_t i = 0; i < PS_COUNT_OF(faults); i++) {
        object_faults = faults[i];
        assert_int_equal(ps_archive_restore(&l->archiver, OLD, &ret, &test_err), PS_ECORRUPT);
        faults_end();
        expect_archived(l, OLD, &before);
    }
    ps_buf_done(&same_count);
    ps_buf_done(&before);
}

static void every_call_of_a_restore_fails_once(void **state)
{
    struct life *l = *state;
    struct ps_archived ret;
    add_events(l, OLD, 0, MANY);
    struct ps_buf before = stored(l, OLD);
    OK(archive(l, OLD));
    for (int call = 1; call <= 4; call++) {
        faults_end();
        object_faults.fail_at = call <= 2 ? call : 0;
        ledger_faults.fail_from = ledger_faults.fail_to = call > 2 ? call - 2 : 0;
        object_faults.code = ledger_faults.code = PS_EIO;
        int r = ps_archive_restore(&l->archiver, OLD, &ret, &test_err);
        if (ledger_faults.fail_from > ledger_faults.calls)
            break; /* it was done in fewer */
        assert_int_equal(r, PS_EIO);
        assert_int_equal(look_at(l, OLD).state, PS_DAY_CLEANED);
        add_events(l, OLD, 0, 1);
        assert_int_equal(dead_count(l), call); /* still closed */
    }
    faults_end();
    if (look_at(l, OLD).state == PS_DAY_CLEANED)
        OK(ps_archive_restore(&l->archiver, OLD, &ret, &test_err));
    expect_untouched(l, OLD, &before);
    assert_int_equal(counted(l, OLD), MANY);
    ps_buf_done(&before);
}

/* --- all of them --- */

static void a_run_goes_on_after_a_failure(void **state)
{
    struct life *l = *state;
    struct ps_archived sum;
    struct ps_buf before[5];
    for (int i = 0; i < 5; i++) {
        add_events(l, OLD + i, 0, FEW);
        before[i] = stored(l, OLD + i);
    }
    add_events(l, DAY - RETENTION, 0, FEW);
    object_faults.fail_at = 7; /* of the second day: tidy up, look, put, get a day */
    object_faults.code = PS_EDENIED;
    assert_int_equal(ps_archive_run(&l->archiver, &sum, &test_err), PS_EDENIED);
    assert_non_null(strstr(test_err.text, "injected"));
    assert_int_equal(sum.day, 4);
    assert_int_equal(sum.events, 4 * FEW);
    assert_int_equal(look_at(l, OLD + 1).state, PS_DAY_FAILED);
    expect_untouched(l, OLD + 1, &before[1]);
    faults_end();
    OK(ps_archive_run(&l->archiver, &sum, &test_err));
    assert_int_equal(sum.day, 1);
    for (int i = 0; i < 5; i++) {
        expect_archived(l, OLD + i, &before[i]);
        ps_buf_done(&before[i]);
    }
    OK(ps_archive_run(&l->archiver, &sum, &test_err));
    assert_int_equal(sum.day, 0);
    assert_int_equal(look_at(l, DAY - RETENTION).state, PS_DAY_OPEN);
}

/* Two days fail in two ways: the first is told. */
static void the_first_failure_is_returned(void **state)
{
    struct life *l = *state;
    struct ps_archived sum;
    add_events(l, OLD, 0, FEW);
    add_events(l, OLD + 1, 0, FEW);
    object_faults = (struct object_faults){.fail_at = 2, .code = PS_EDENIED, .read = READ_FLIPPED};
    assert_int_equal(ps_archive_run(&l->archiver, &sum, &test_err), PS_EDENIED);
    assert_non_null(strstr(test_err.text, "injected"));
    assert_int_equal(sum.day, 0);
    assert_int_equal(look_at(l, OLD).state, PS_DAY_FAILED);
    assert_int_equal(look_at(l, OLD + 1).state, PS_DAY_FAILED);
}

static void a_stopped_run_stops(void **state)
{
    struct life *l = *state;
    struct ps_archived sum;
    add_events(l, OLD, 0, FEW);
    add_events(l, OLD + 1, 0, FEW);
    l->stop_phase = PS_PHASE_VERIFY + 1;
    l->stop_code = PS_ESTOP;
    assert_int_equal(ps_archive_run(&l->archiver, &sum, &test_err), PS_ESTOP);
    assert_int_equal(look_at(l, OLD).state, PS_DAY_PENDING);
    assert_int_equal(look_at(l, OLD + 1).state, PS_DAY_OPEN);
    l->stop_phase = 0;
    OK(ps_archive_run(&l->archiver, &sum, &test_err));
    assert_int_equal(sum.day, 2);
}

static void the_oldest_is_found(void **state)
{
    struct life *l = *state;
    int32_t day = 77;
    add_events(l, DAY - RETENTION, 0, 1);
    assert_int_equal(ps_archive_oldest(&l->archiver, &day, &test_err), PS_ENOENT);
    assert_int_equal(day, 77);
    add_events(l, OLD + 1, 0, 1);
    add_events(l, OLD, 0, 1);
    OK(ps_archive_oldest(&l->archiver, &day, &test_err));
    assert_int_equal(day, OLD);
    OK(archive(l, OLD));
    OK(ps_archive_oldest(&l->archiver, &day, &test_err));
    assert_int_equal(day, OLD + 1);
}

/* --- in parts --- */

static void add_large_events(struct life *l, int32_t day, unsigned count)
{
    struct dice dice = {1};
    for (unsigned i = 0; i < count; i++) {
        char id[64], agent[PS_USER_AGENT_MAX];
        int64_t at = (int64_t)day * PS_MS_PER_DAY + i;
        snprintf(id, sizeof id, "%013lld-%016x", (long long)at, i);
        for (size_t k = 0; k < sizeof agent; k++)
            agent[k] = (char)('0' + below(&dice, 64));
        struct ps_event event = plain_event(id, at);
        event.user_agent = (struct ps_str){agent, sizeof agent};
        enqueue(l, &event);
    }
    drain(l);
}

static int count_object(void *ctx, const struct ps_object_info *info)
{
    (void)info;
    ++*(int *)ctx;
    return 0;
}

/* I5: an object of more than one part, with each call failing. */
static void a_large_day_goes_in_parts(void **state)
{
    struct life *l = *state;
    int objects = 0, call = 2; /* the first only tidies up */
    add_large_events(l, OLD, 28000);
    struct ps_buf before = stored(l, OLD);
    for (;; call++) {
        faults_end();
        object_faults.fail_at = call;
        object_faults.code = PS_EIO;
        int r = archive(l, OLD);
        if (object_faults.calls < call)
            break;
        assert_int_equal(r, PS_EIO);
        assert_int_equal(look_at(l, OLD).state, PS_DAY_FAILED);
    }
    assert_true(call > 6); /* look, begin, two parts, finish, get */
    faults_end();
    expect_archived(l, OLD, &before);
    OK(ps_objects_list(l->plain, "", count_object, &objects, &test_err));
    assert_int_equal(objects, 1);
    assert_int_equal(ps_objects_abort_uploads(l->plain, "", &test_err), 0); /* none left behind */
    ps_buf_done(&before);
}

static const struct contract_case cases[] = {
    {"a day leaves", a_day_leaves},
    {"keys are dates", keys_are_dates},
    {"what cannot be archived says why", what_cannot_be_archived_says_why},
    {"lines are in order", lines_are_in_order},
    {"two archives are equal", two_archives_are_equal},
    {"what cannot be tidied up is a warning", what_cannot_be_tidied_up_is_a_warning},
    {"every call to the objects fails once", every_call_to_the_objects_fails_once},
    {"every call to the ledger fails once", every_call_to_the_ledger_fails_once},
    {"a ledger that stays away leaves pending", a_ledger_that_stays_away_leaves_pending},
    {"a ledger that comes back is told", a_ledger_that_comes_back_is_told},
    {"an object ends with a line", an_object_ends_with_a_line},
    {"wrong bytes are not believed", wrong_bytes_are_not_believed},
    {"a completed day is looked at again", a_completed_day_is_looked_at_again},
    {"a completed day waits for its object", a_completed_day_waits_for_its_object},
    {"an object with other events is not replaced", an_object_with_other_events_is_not_replaced},
    {"an object whose events are all here is replaced",
     an_object_whose_events_are_all_here_is_replaced},
    {"what is missing is counted in every part", what_is_missing_is_counted_in_every_part},
    {"a damaged object is not replaced", a_damaged_object_is_not_replaced},
    {"an object that may not be seen is not replaced",
     an_object_that_may_not_be_seen_is_not_replaced},
    {"a restored day replaces its object", a_restored_day_replaces_its_object},
    {"a look can be stopped", a_look_can_be_stopped},
    {"stopping is no failure", stopping_is_no_failure},
    {"an event while its day leaves is refused", an_event_while_its_day_leaves_is_refused},
    {"the seal decides", the_seal_decides},
    {"a cleaned day redelivered is kept aside", a_cleaned_day_redelivered_is_kept_aside},
    {"restore and replay make the union", restore_and_replay_make_the_union},
    {"only what is archived is restored", only_what_is_archived_is_restored},
    {"a changed object is not restored", a_changed_object_is_not_restored},
    {"every call of a restore fails once", every_call_of_a_restore_fails_once},
    {"a run goes on after a failure", a_run_goes_on_after_a_failure},
    {"the first failure is returned", the_first_failure_is_returned},
    {"a stopped run stops", a_stopped_run_stops},
    {"the oldest is found", the_oldest_is_found},
    {"a large day goes in parts", a_large_day_goes_in_parts},
};

int main(void)
{
    int failed = 0;
    for (size_t i = 0; i < PS_COUNT_OF(store_backends); i++)
        failed += run_contract("archive", store_backends[i].ops->name, (void *)&store_backends[i],
                               cases, PS_COUNT_OF(cases), open_life, close_life);
    return failed;
}
