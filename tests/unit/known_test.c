/* known_test.c - which events of closed days their archive holds: over real objects, with one that
 * is missing and one that is damaged.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/time.h"
#include "core/archive_line.h"
#include "flow/known.h"

#include <unistd.h>
#include <zlib.h>

enum { TODAY = 20376, OLD = TODAY - 10, MANY = 3000 };

struct world {
    struct place place;
    struct ps_clock_manual clock;
    struct ps_store *store;
    struct ps_ledger *ledger;
    struct ps_objects *objects;
    struct ps_archiver archiver;
    struct ps_known *known;
    uint64_t position;
    int stop;
    /* the answers */
    enum ps_knowledge told[MANY * 2];
    uint64_t next_tag;
};

static int on_progress(void *ctx, int32_t day, enum ps_archive_phase phase, uint64_t done)
{
    (void)day;
    (void)phase;
    (void)done;
    return ((struct world *)ctx)->stop;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char folder[PLACE_PATH_MAX + 32];
    place_make(&w->place, "store");
    ps_clock_manual_init(&w->clock, TODAY * PS_MS_PER_DAY);
    snprintf(folder, sizeof folder, "%s/objects", w->place.folder);
    struct ps_objects_config config = {.target = folder};
    OK(ps_store_open(&ps_store_mem, &w->store, w->place.target, PS_STORE_WRITE, &test_err));
    OK(ps_ledger_open(ps_ledger_backend("mem"), &w->ledger, w->place.target, PS_STORE_WRITE,
                      &test_err));
    OK(ps_objects_open(&ps_objects_dir, &w->objects, &config, &test_err));
    w->archiver = (struct ps_archiver){.store = w->store,
                                       .ledger = w->ledger,
                                       .objects = w->objects,
                                       .clock = &w->clock.clock,
                                       .retention_days = 3,
                                       .progress = on_progress,
                                       .ctx = w};
    OK(ps_known_open(&w->known, PS_KNOWN_BYTES_MAX, &test_err));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ps_known_close(w->known);
    ps_objects_close(w->objects);
    ps_ledger_close(w->ledger);
    ps_store_close(w->store);
    place_remove(&w->place);
    free(w);
    return 0;
}

/* Every third id is not made by us, and some of these need escapes in an archive. */
static struct ps_str id_of(char to[64], int32_t day, unsigned number)
{
    int n = number % 3 == 0 ? snprintf(to, 64, number % 2 ? "order-%d-%u" : "\"%d\\%u", day, number)
                            : snprintf(to, 64, "%013lld-%016x",
                                       (long long)(day * PS_MS_PER_DAY + number), number);
    return (struct ps_str){to, (size_t)n};
}

/* Long enough that lines of the archive are cut by the pieces it is read in. */
static void archive_day(struct world *w, int32_t day, unsigned count)
{
    static char ids[MANY][64], agent[400];
    struct ps_event *events = calloc(count, sizeof *events);
    struct ps_sort_key *scratch = malloc(2 * count * sizeof *scratch);
    uint32_t *order = malloc(count * sizeof *order);
    uint8_t *outcomes = malloc(count);
    struct ps_archived archived;
    memset(agent, '"', sizeof agent);
    for (unsigned i = 0; i < count; i++)
        events[i] = (struct ps_event){.id = id_of(ids[i], day, i),
                                      .path = PS_STR("/"),
                                      .user_agent = {agent, i % sizeof agent},
                                      .timestamp_ms = day * PS_MS_PER_DAY + i,
                                      .response_us = PS_ABSENT,
                                      .status = PS_ABSENT,
                                      .is_error = PS_ABSENT};
    ps_batch_sort(events, count, order, scratch);
    struct ps_batch batch = {.events = events,
                             .count = count,
                             .order = order,
                             .first_position = w->position,
                             .next_position = w->position + count};
    struct ps_applied applied = {.outcomes = outcomes};
    OK(ps_store_apply(w->store, &batch, &applied, &test_err));
    w->position += count;
    OK(ps_archive_day(&w->archiver, day, &archived, &test_err));
    assert_int_equal(archived.events, count);
    free(events);
    free(scratch);
    free(order);
    free(outcomes);
}

static int add(struct world *w, int32_t day, unsigned number, uint64_t tag)
{
    char id[64], record[32];
    int n = snprintf(record, sizeof record, "record %llu", (unsigned long long)tag);
    return ps_known_add(w->known, day, id_of(id, day, number), (const uint8_t *)record, (size_t)n,
                        tag, &test_err);
}

static int take(void *ctx, const struct ps_known_item *item, struct ps_err *e)
{
    struct world *w = ctx;
    char record[32];
    int n = snprintf(record, sizeof record, "record %llu", (unsigned long long)item->tag);
    (void)e;
    assert_int_equal(item->tag, w->next_tag); /* in the order they were added */
    assert_int_equal(item->len, n);
    assert_memory_equal(item->record, record, (size_t)n);
    w->told[w->next_tag++] = item->knowledge;
    return 0;
}

static int ask(struct world *w, struct ps_err *unread)
{
    w->next_tag = 0;
    return ps_known_ask(w->known, &w->archiver, take, w, unread, &test_err);
}

static void test_known_and_not(void **state)
{
    struct world *w = *state;
    struct ps_err unread;
    archive_day(w, OLD, MANY);
    archive_day(w, OLD + 1, 10);
    for (int round = 0; round < 2; round++) { /* and again, as if nothing had been */
        for (unsigned i = 0; i < MANY + 200; i++)
            OK(add(w, i % 2 ? OLD : OLD + 1, i, i));
        assert_int_equal(ps_known_count(w->known), MANY + 200);
        OK(ask(w, &unread));
        assert_int_equal(unread.code, 0);
        assert_int_equal(w->next_tag, MANY + 200);
        assert_int_equal(ps_known_count(w->known), 0);
        for (unsigned i = 0; i < MANY + 200; i++)
            assert_int_equal(w->told[i], i < (i % 2 ? MANY : 10) ? PS_KNOWN_YES : PS_KNOWN_NOT);
    }
    OK(ask(w, NULL));
}

/* The same event twice in question: both are known. */
static void test_twice_the_same(void **state)
{
    struct world *w = *state;
    archive_day(w, OLD, 5);
    for (unsigned i = 0; i < 4; i++)
        OK(add(w, OLD, i < 2 ? 3 : 7, i));
    OK(ask(w, NULL));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(w->told[i], i < 2 ? PS_KNOWN_YES : PS_KNOWN_NOT);
}

static void damage(struct world *w, int32_t day, bool remove_it)
{
    char key[PS_ARCHIVE_KEY_BYTES], path[PLACE_PATH_MAX + 128];
    ps_archive_key(key, day);
    snprintf(path, sizeof path, "%s/objects/%s", w->place.folder, key);
    if (remove_it) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -4, SEEK_END), 0); /* all lines can be read before it shows */
    assert_int_equal(fputc('x', f), 'x');
    fclose(f);
}

/* I6: what an archive that is not whole seems to hold is not known. */
static void test_archives_that_cannot_be_read(void **state)
{
    struct world *w = *state;
    struct ps_err unread;
    for (int32_t day = OLD; day < OLD + 3; day++)
        archive_day(w, day, 20);
    damage(w, OLD, false);
    damage(w, OLD + 2, true);
    for (unsigned i = 0; i < 90; i++)
        OK(add(w, OLD + (int32_t)(i % 3), i / 3, i));
    OK(add(w, OLD - 1, 1, 90)); /* never archived */
    OK(ask(w, &unread));
    assert_true(unread.code < 0);
    assert_true(strlen(unread.text) > 10);
    for (unsigned i = 0; i < 90; i++)
        assert_int_equal(w->told[i], i % 3 != 1   ? PS_KNOWN_CANNOT_TELL
                                     : i / 3 < 20 ? PS_KNOWN_YES
                                                  : PS_KNOWN_NOT);
    assert_int_equal(w->told[90], PS_KNOWN_CANNOT_TELL);
}

/* Another file in its place, of one line without an end. I8 */
static void test_a_line_that_is_too_long(void **state)
{
    struct world *w = *state;
    struct ps_err unread;
    char key[PS_ARCHIVE_KEY_BYTES], path[PLACE_PATH_MAX + 128], piece[1000];
    archive_day(w, OLD, 20);
    ps_archive_key(key, OLD);
    snprintf(path, sizeof path, "%s/objects/%s", w->place.folder, key);
    gzFile f = gzopen(path, "wb1");
    assert_non_null(f);
    memset(piece, 'x', sizeof piece);
    for (size_t len = 0; len <= PS_ARCHIVE_LINE_MAX; len += sizeof piece)
        assert_int_equal(gzwrite(f, piece, sizeof piece), sizeof piece);
    assert_int_equal(gzclose(f), Z_OK);
    OK(add(w, OLD, 1, 0));
    OK(ask(w, &unread));
    assert_int_equal(unread.code, PS_ECORRUPT);
    assert_non_null(strstr(unread.text, "too long"));
    assert_int_equal(w->told[0], PS_KNOWN_CANNOT_TELL);
}

static void test_it_can_be_stopped(void **state)
{
    struct world *w = *state;
    archive_day(w, OLD, MANY);
    OK(add(w, OLD, 1, 0));
    w->stop = PS_ESTOP;
    assert_int_equal(ask(w, NULL), PS_ESTOP);
    assert_int_equal(w->next_tag, 0);
}

static int refuse(void *ctx, const struct ps_known_item *item, struct ps_err *e)
{
    (void)item;
    ++*(int *)ctx;
    return ps_fail(e, PS_EIO, "no");
}

static void test_the_answer_may_fail(void **state)
{
    struct world *w = *state;
    int calls = 0;
    archive_day(w, OLD, 5);
    for (unsigned i = 0; i < 4; i++)
        OK(add(w, OLD, i, i));
    assert_int_equal(ps_known_ask(w->known, &w->archiver, refuse, &calls, NULL, &test_err), PS_EIO);
    assert_int_equal(calls, 1);
    assert_int_equal(ps_known_count(w->known), 0);
}

/* I8 */
static void test_it_has_a_limit(void **state)
{
    struct world *w = *state;
    unsigned n = 0;
    ps_known_close(w->known);
    OK(ps_known_open(&w->known, 100000, &test_err));
    for (int round = 0; round < 3; round++) {
        int r = 0;
        for (n = 0; r == 0 && n < MANY; n++)
            r = add(w, OLD, n, n);
        assert_int_equal(r, PS_EFULL);
        assert_in_range(n, 100, 1500);
        OK(ask(w, NULL));
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_known_and_not),
        CASE(test_twice_the_same),
        CASE(test_archives_that_cannot_be_read),
        CASE(test_a_line_that_is_too_long),
        CASE(test_it_can_be_stopped),
        CASE(test_the_answer_may_fail),
        CASE(test_it_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
