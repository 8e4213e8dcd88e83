/* sqlite_open_test.c - how a database is opened: with which settings, which files are refused and
 * left alone, what is said of them, and a kv that is made anew.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

#include "backend/sqlite/store.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1 << 22 };

static const struct backend sqlite_backend = {&ps_store_sqlite, "pathstats.db", seal_in_sqlite,
                                              .has_times = true};

static int set_up_sqlite(void **state)
{
    *state = make_world(&sqlite_backend);
    return 0;
}

static int64_t number_from(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

static sqlite3 *handle_of(struct world *w)
{
    return sqlite_of(w->store)->db.handle;
}

static void expect_text(const char *part)
{
    if (strstr(test_err.text, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", test_err.text, part);
}

/* --- settings --- */

/* I3, I4: the queue is trimmed once a settle has committed, so that commit is on the disk. */
static void a_commit_is_synced(void **state)
{
    struct world *w = *state;
    struct ps_ledger *ledger;
    assert_int_equal(number_from(handle_of(w), "PRAGMA synchronous"), 2);
    assert_int_equal(
        number_from(handle_of(w), "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    OK(ps_ledger_open(&ps_ledger_sqlite, &ledger, w->place.target, PS_STORE_WRITE, &test_err));
    ps_ledger_close(ledger);
}

/* Two writers never begin side by side, to find out at their first write. */
static void a_transaction_has_the_write_lock_from_its_beginning(void **state)
{
    struct world *w = *state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(w->place.target, &other), SQLITE_OK);
    OK(ps_store_begin(w->store, &test_err));
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_BUSY);
    ps_store_rollback(w->store);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE; END", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
}

/* I8: it starts again from nothing, and knows what came after that. */
static void the_dictionary_is_bounded(void **state)
{
    struct dict d;
    char text[16];
    (void)state;
    ps_dict_init(&d);
    for (uint32_t i = 1; i <= PS_DICT_ENTRIES_MAX + 1; i++) {
        size_t len = (size_t)snprintf(text, sizeof text, "/%u", i);
        assert_int_equal(ps_dict_put(&d, (struct ps_str){text, len}, i, i), 0);
        assert_in_range(d.count, 1, PS_DICT_ENTRIES_MAX);
    }
    assert_int_equal(d.count, 1);
    assert_int_equal(ps_dict_find(&d, PS_STR("/1"), 1), 0);
    assert_int_equal(ps_dict_find(&d, (struct ps_str){text, strlen(text)}, PS_DICT_ENTRIES_MAX + 1),
                     PS_DICT_ENTRIES_MAX + 1);
    ps_dict_done(&d);
}

/* --- files that are not ours --- */

/* I8 */
static void long_texts_do_not_fill_the_memory(void **state)
{
    enum { LEN = 1024, TEXTS = PS_DICT_BYTES_MAX / LEN + 2 };
    struct dict d;
    char text[LEN];
    (void)state;
    ps_dict_init(&d);
    memset(text, 'x', LEN);
    for (uint32_t i = 1; i <= TEXTS; i++) {
        memcpy(text, &i, sizeof i);
        assert_int_equal(ps_dict_put(&d, (struct ps_str){text, LEN}, i, i), 0);
        assert_in_range(d.bytes.cap, 0, PS_DICT_BYTES_MAX);
    }
    assert_int_equal(d.count, 2);
    assert_int_equal(ps_dict_find(&d, (struct ps_str){text, LEN}, TEXTS), TEXTS);
    ps_dict_done(&d);
}

static size_t read_file(const char *file, char *to)
{
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    size_t n = fread(to, 1, FILE_BYTES_MAX, f);
    fclose(f);
    return n;
}

static void write_file(const char *file, const char *bytes, size_t len)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void expect_refused(struct world *w, int code, const char *says)
{
    struct ps_store *s = NULL;
    for (int mode = PS_STORE_READ; mode <= PS_STORE_WRITE; mode++) {
        assert_int_equal(ps_store_open(&ps_store_sqlite, &s, w->place.target,
                                       (enum ps_store_mode)mode, &test_err),
                         code);
        assert_null(s);
        expect_text(w->place.target);
        expect_text(says);
    }
}

static void versions_out_of_range_are_refused(void **state)
{
    static const struct {
        const char *sql, *says;
        int code;
    } cases[] = {
        {"PRAGMA user_version = -1", "another program", PS_ECORRUPT},
        {"PRAGMA user_version = -2147483648", "another program", PS_ECORRUPT},
        {"PRAGMA user_version = 0", "another program", PS_ECORRUPT},
        {"PRAGMA user_version = 1000", "use a newer one", PS_EINVAL},
        {"PRAGMA user_version = 2147483647", "use a newer one", PS_EINVAL},
    };
    struct world *w = *state;
    int64_t known = number_from(handle_of(w), "PRAGMA user_version");
    char next[64];
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        run_sql(w->place.target, cases[i].sql);
        expect_refused(w, cases[i].code, cases[i].says);
    }
    snprintf(next, sizeof next, "PRAGMA user_version = %d", (int)known + 1);
    run_sql(w->place.target, next);
    expect_refused(w, PS_EINVAL, "use a newer one");
}

/* Who could not open a file is not in the line of its writers. */
static void a_refused_handle_takes_no_turn(void **state)
{
    struct world *w = *state;
    run_sql(w->place.target, "PRAGMA user_version = 1000");
    expect_refused(w, PS_EINVAL, "use a newer one");
    struct turn *turn = ps_turn_find(w->place.target);
    assert_int_equal(turn->users, 2); /* the world's handle and this */
    ps_turn_drop(turn);
}

/* Whatever they say, they are not changed: not even their journal mode. */
static void databases_of_others_are_left_alone(void **state)
{
    static const char *const cases[] = {
        "CREATE TABLE notes(a)",
        "PRAGMA user_version = 3; CREATE TABLE notes(a)",
        "PRAGMA application_id = 1; PRAGMA user_version = 3; CREATE TABLE positions(a)",
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 1",
    };
    struct world *w = *state;
    char *before = malloc(FILE_BYTES_MAX), *after = malloc(FILE_BYTES_MAX);
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        ps_store_close(w->store);
        w->store = NULL;
        unlink(w->place.target);
        run_sql(w->place.target, cases[i]);
        size_t n = read_file(w->place.target, before);
        expect_refused(w, PS_ECORRUPT, "of another program");
        assert_int_equal(read_file(w->place.target, after), n);
        assert_memory_equal(before, after, n);
    }
    free(before);
    free(after);
}

static void what_is_no_database_is_told_with_a_remedy(void **state)
{
    struct world *w = *state;
    char *bytes = malloc(FILE_BYTES_MAX);
    ps_store_close(w->store);
    w->store = NULL;
    memset(bytes, 'x', 100000);
    write_file(w->place.target, bytes, 100000);
    expect_refused(w, PS_ECORRUPT, "move this file away");
    free(bytes);
}

/* --- what goes wrong later --- */

static int apply_one(struct world *w, unsigned number)
{
    struct ps_applied applied;
    add_dated(w, NOON, number);
    struct ps_batch b = take_batch(w);
    int r = apply_at(w, w->store, &b, &applied);
    clear_batch(w);
    return r;
}

static void failures_name_the_file_and_what_to_do(void **state)
{
    struct world *w = *state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(w->place.target, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(handle_of(w), 1);
    assert_int_equal(apply_one(w, 1), PS_EBUSY);
    expect_text(w->place.target);
    expect_text("another program is writing");
    sqlite3_close(other);
    assert_int_equal(sqlite3_exec(handle_of(w), "PRAGMA max_page_count = 1", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(apply_one(w, 2), PS_EFULL);
    expect_text(w->place.target);
    expect_text("make room on that disk");
    reopen(w);
    assert_int_equal(apply_one(w, 3), 0);
}

static int injected;

static ssize_t fail_write(int fd, const void *bytes, size_t len, off_t at)
{
    (void)fd;
    (void)bytes;
    (void)len;
    (void)at;
    errno = injected;
    return -1;
}

static int fail_open(const char *path, int flags, mode_t mode)
{
    (void)path;
    (void)flags;
    (void)mode;
    errno = injected;
    return -1;
}

/* "unable to open database file" can be many things. */
static void what_cannot_be_opened_is_told_by_its_cause(void **state)
{
    static const struct {
        int error, code;
        const char *says;
    } cases[] = {
        {EACCES, PS_EDENIED, "let this user"}, {EROFS, PS_EDENIED, "mounted read-only"},
        {ENOSPC, PS_EFULL, "make room"},       {EDQUOT, PS_EFULL, "quota"},
        {EMFILE, PS_EIO, "ulimit -n"},
    };
    struct world *w = *state;
    struct ps_store *s = NULL;
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        injected = cases[i].error;
        vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)fail_open);
        int r = ps_store_open(&ps_store_sqlite, &s, w->place.target, PS_STORE_WRITE, &test_err);
        vfs->xSetSystemCall(vfs, "open", NULL);
        assert_int_equal(r, cases[i].code);
        expect_text(w->place.target);
        expect_text(cases[i].says);
    }
}

static void a_disk_that_fails_is_told_and_comes_back(void **state)
{
    static const struct {
        int error, code;
        const char *says;
    } cases[] = {
        {ENOSPC, PS_EFULL, "make room on that disk"},
        {EIO, PS_EIO, "look at that disk"},
    };
    struct world *w = *state;
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        injected = cases[i].error;
        vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)fail_write);
        vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)fail_write);
        int r = apply_one(w, (unsigned)i);
        vfs->xSetSystemCall(vfs, "pwrite", NULL);
        vfs->xSetSystemCall(vfs, "pwrite64", NULL);
        assert_int_equal(r, cases[i].code);
        expect_text(w->place.target);
        expect_text(cases[i].says);
        assert_int_equal(apply_one(w, (unsigned)i), 0); /* it goes on by itself */
    }
}

static void damage_is_told_with_a_remedy(void **state)
{
    struct world *w = *state;
    char *bytes = malloc(FILE_BYTES_MAX);
    ps_store_close(w->store);
    w->store = NULL;
    size_t n = read_file(w->place.target, bytes);
    memset(bytes + 16384, 0xff, n - 16384);
    write_file(w->place.target, bytes, n);
    w->store = NULL;
    int r = ps_store_open(&ps_store_sqlite, &w->store, w->place.target, PS_STORE_WRITE, &test_err);
    if (r == 0)
        r = apply_one(w, 1);
    assert_int_equal(r, PS_ECORRUPT);
    expect_text(w->place.target);
    expect_text(".recover");
    free(bytes);
}

/* --- the kv --- */

struct kv_world {
    struct place place;
    char *bytes;
};

static int set_up_kv(void **state)
{
    struct kv_world *w = calloc(1, sizeof *w);
    struct ps_kv *kv;
    place_make(&w->place, "kv.db");
    w->bytes = malloc(FILE_BYTES_MAX);
    OK(ps_kv_open(&ps_kv_sqlite, &kv, w->place.target, false, &test_err));
    for (int i = 0; i < 200; i++) {
        char key[16];
        size_t len = (size_t)snprintf(key, sizeof key, "key %d", i);
        OK(ps_kv_put(kv, (struct ps_str){key, len}, PS_STR("a value"), 0, NOON, &test_err));
    }
    assert_null(ps_kv_note(kv));
    ps_kv_close(kv);
    *state = w;
    return 0;
}

static int tear_down_kv(void **state)
{
    struct kv_world *w = *state;
    place_remove(&w->place);
    free(w->bytes);
    free(w);
    return 0;
}

/* The file that was set aside, in `to`; how many there are. */
static int find_aside(const struct kv_world *w, char to[PLACE_PATH_MAX])
{
    const struct dirent *entry;
    DIR *folder = opendir(w->place.folder);
    int found = 0;
    while ((entry = readdir(folder)) != NULL)
        if (strncmp(entry->d_name, "kv.db.broken-", 13) == 0) {
            assert_true(snprintf(to, PLACE_PATH_MAX, "%.200s/%.200s", w->place.folder,
                                 entry->d_name) < PLACE_PATH_MAX);
            found++;
        }
    closedir(folder);
    return found;
}

static void expect_made_anew(struct kv_world *w, size_t len)
{
    struct ps_kv *kv = NULL;
    struct ps_buf value;
    char aside[PLACE_PATH_MAX];
    char *kept = malloc(FILE_BYTES_MAX);
    memcpy(kept, w->bytes, len);
    write_file(w->place.target, w->bytes, len);
    assert_true(ps_kv_open(&ps_kv_sqlite, &kv, w->place.target, true, &test_err) == 0 ||
                test_err.code == PS_ECORRUPT); /* who reads does not mend */
    ps_kv_close(kv);
    assert_int_equal(find_aside(w, aside), 0);
    OK(ps_kv_open(&ps_kv_sqlite, &kv, w->place.target, false, &test_err));
    assert_non_null(ps_kv_note(kv));
    assert_non_null(strstr(ps_kv_note(kv), w->place.target));
    assert_int_equal(find_aside(w, aside), 1);
    assert_non_null(strstr(ps_kv_note(kv), aside));
    assert_int_equal(read_file(aside, w->bytes), len); /* for whoever wants to look */
    assert_memory_equal(w->bytes, kept, len);
    ps_buf_init(&value, 64);
    assert_int_equal(ps_kv_get(kv, PS_STR("key 1"), NOON, &value, &test_err), PS_ENOENT);
    OK(ps_kv_put(kv, PS_STR("key 1"), PS_STR("anew"), 0, NOON, &test_err));
    ps_kv_close(kv);
    OK(ps_kv_open(&ps_kv_sqlite, &kv, w->place.target, false, &test_err));
    assert_null(ps_kv_note(kv));
    OK(ps_kv_get(kv, PS_STR("key 1"), NOON, &value, &test_err));
    ps_kv_close(kv);
    ps_buf_done(&value);
    free(kept);
}

static void a_kv_that_is_no_database_is_made_anew(void **state)
{
    struct kv_world *w = *state;
    memset(w->bytes, 'x', 50000);
    expect_made_anew(w, 50000);
}

static void a_damaged_kv_is_made_anew(void **state)
{
    struct kv_world *w = *state;
    size_t n = read_file(w->place.target, w->bytes);
    memset(w->bytes + 16384, 0xa5, n - 16384); /* all but the schema */
    expect_made_anew(w, n);
}

static void a_cut_kv_is_made_anew(void **state)
{
    struct kv_world *w = *state;
    size_t n = read_file(w->place.target, w->bytes);
    expect_made_anew(w, n - 16384);
}

static void a_kv_of_a_newer_version_is_left_alone(void **state)
{
    struct kv_world *w = *state;
    struct ps_kv *kv;
    char aside[PLACE_PATH_MAX];
    run_sql(w->place.target, "PRAGMA user_version = 77");
    assert_int_equal(ps_kv_open(&ps_kv_sqlite, &kv, w->place.target, false, &test_err), PS_EINVAL);
    assert_int_equal(find_aside(w, aside), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_sqlite, tear_down)
#define KV_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_kv, tear_down_kv)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_is_synced),
        TEST(a_transaction_has_the_write_lock_from_its_beginning),
        cmocka_unit_test(the_dictionary_is_bounded),
        cmocka_unit_test(long_texts_do_not_fill_the_memory),
        TEST(versions_out_of_range_are_refused),
        TEST(a_refused_handle_takes_no_turn),
        TEST(databases_of_others_are_left_alone),
        TEST(what_is_no_database_is_told_with_a_remedy),
        TEST(failures_name_the_file_and_what_to_do),
        TEST(what_cannot_be_opened_is_told_by_its_cause),
        TEST(a_disk_that_fails_is_told_and_comes_back),
        TEST(damage_is_told_with_a_remedy),
        KV_TEST(a_kv_that_is_no_database_is_made_anew),
        KV_TEST(a_damaged_kv_is_made_anew),
        KV_TEST(a_cut_kv_is_made_anew),
        KV_TEST(a_kv_of_a_newer_version_is_left_alone),
    };
    return cmocka_run_group_tests_name("sqlite open", tests, NULL, NULL);
}
