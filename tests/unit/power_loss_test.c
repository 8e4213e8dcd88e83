/* power_loss_test.c - what is acknowledged outlives a power failure at any moment after (I3, I5,
 * I6): the queue, the dead letters, objects in a folder, the secret, the data directory.
 *
 * Each test does its work on a recorded disk, and marks in the journal what it had been promised.
 * Then, for every prefix of the journal, the disks are rebuilt that could be left, and looked at.
 * A child that is killed leaves what it had not synced in the page cache, and the next one must not
 * take that for durable.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/disk.h"
#include "daemon/datadir.h"
#include "support/power_loss.h"
#include "wrap/secret.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

enum { SEGMENT_BYTES = 256, RECORDS = 9, LETTERS = 4, HEX_MAX = 65 };

static const struct ps_queue_limits limits = {1 << 20, SEGMENT_BYTES, 1 << 20, 0};

struct world {
    struct place place;
    char disk[PLACE_PATH_MAX + 32], left[PLACE_PATH_MAX + 32], journal[PLACE_PATH_MAX + 32];
    int fd;
    const char *above; /* folders above what is made */
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char *real;
    place_make(&w->place, "");
    real = realpath(w->place.folder, NULL);
    snprintf(w->disk, sizeof w->disk, "%s/disk", real);
    snprintf(w->left, sizeof w->left, "%s/left", real);
    snprintf(w->journal, sizeof w->journal, "%s/journal", real);
    free(real);
    assert_int_equal(mkdir(w->disk, 0700), 0);
    w->fd = open(w->journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(w->fd >= 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    close(w->fd);
    place_remove(&w->place);
    free(w);
    return 0;
}

/* --- recording --- */

typedef void work_fn(struct world *w);

static void mark(struct world *w, const char *what, unsigned number)
{
    char text[64];
    snprintf(text, sizeof text, "%s %u", what, number);
    faulty_disk_mark(w->fd, text);
}

/* In a child, because the process is killed before its `kill_at`-th call of the kind that a kill
 * can befall; 0: it ends by itself. Returns whether it was killed. */
static bool record(struct world *w, work_fn *work, uint64_t kill_at)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        const struct faulty_plan plan = {.root = w->disk,
                                         .journal = w->fd,
                                         .at = kill_at,
                                         .kind = kill_at > 0 ? FAULT_KILL_BEFORE : FAULT_NONE};
        faulty_disk_install(&plan);
        work(w);
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return killed;
}

static void begin_anew(struct world *w)
{
    nftw(w->disk, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(mkdir(w->disk, 0700), 0);
    assert_int_equal(ftruncate(w->fd, 0), 0);
}

/* --- looking --- */

/* `promised`: the last number marked with `what` among the first `n` records; -1: none. */
static int last_mark(const struct power_loss *p, size_t n, const char *what)
{
    int last = -1;
    for (size_t i = 0; i < n; i++) {
        const char *text = power_loss_path(p, i);
        size_t len = strlen(what);
        if (power_loss_record(p, i)->call == CALL_MARK && strncmp(text, what, len) == 0)
            last = atoi(text + len);
    }
    return last;
}

/* What looks need not be durable. */
static int pretend_sync(int fd, bool data_only)
{
    (void)fd;
    (void)data_only;
    return 0;
}

static struct ps_disk_ops quick;

typedef void look_fn(struct world *w, const struct power_loss *p, size_t n);

/* Power losses after `from` calls, and after each one more; after a kill the strict ones. */
static void look_at_all(struct world *w, look_fn *look, size_t from)
{
    struct power_loss *p = power_loss_open(w->disk, "", w->journal);
    assert_non_null(p);
    ps_disk_set(&quick);
    for (size_t n = from; n <= power_loss_count(p); n++) {
        if (n > from && power_loss_record(p, n - 1)->call == CALL_READ)
            continue;
        for (int mode = 0; mode < (from == 0 ? (int)POWER_LOSS_MODES : 1); mode++) {
            uint64_t seed = n * 7919 + from;
            assert_true(power_loss_rebuild(p, n, (enum power_loss_mode)mode, seed, w->left));
            look(w, p, n);
            nftw(w->left, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        }
    }
    ps_disk_set(&ps_disk_real);
    power_loss_close(p);
}

static size_t count_calls(const struct world *w)
{
    struct power_loss *p = power_loss_open(w->disk, "", w->journal);
    size_t n = power_loss_count(p);
    power_loss_close(p);
    return n;
}

static void name_left(const struct world *w, char to[PLACE_PATH_MAX + 64], const char *name)
{
    snprintf(to, PLACE_PATH_MAX + 64, "%s/%s%s", w->left, w->above, name);
}

/* Work and look, undisturbed; then with the first process killed at each of its calls in turn, and
 * a second one that does the rest. */
static void try_all(struct world *w, work_fn *work, look_fn *look)
{
    bool killed = true;
    w->above = "a/b/";
    assert_false(record(w, work, 0));
    look_at_all(w, look, 0);
    w->above = ""; /* else the folders above would have to be synced at every start */
    for (uint64_t at = 1; killed; at++) {
        begin_anew(w);
        killed = record(w, work, at);
        size_t done = count_calls(w);
        record(w, work, 0);
        look_at_all(w, look, done);
    }
}

/* --- the queue --- */

static struct ps_queue *open_queue(const char *folder)
{
    struct ps_queue *q = NULL;
    OK(ps_queue_open(&ps_queue_file, &q, folder, PS_QUEUE_WRITE, &limits, &test_err));
    return q;
}

/* How many records there are; each must be right. */
static unsigned count_records(struct ps_queue *q)
{
    struct ps_records records;
    unsigned n = 0;
    ps_records_init(&records);
    for (uint64_t from = 0;; from = records.next_position) {
        OK(ps_queue_read(q, from, 100, &records, &test_err));
        if (records.count == 0)
            break;
        for (size_t i = 0; i < records.count; i++, n++) {
            char text[64];
            snprintf(text, sizeof text, "record %u", n);
            assert_int_equal(records.items[i].len, strlen(text));
            assert_memory_equal(records.items[i].bytes, text, strlen(text));
        }
    }
    ps_records_done(&records);
    return n;
}

/* What is there when it begins counts as durable: a consumer could have stored it. */
static void fill_queue(struct world *w)
{
    char folder[PLACE_PATH_MAX + 64];
    snprintf(folder, sizeof folder, "%s/queue", w->disk);
    struct ps_queue *q = open_queue(folder);
    for (unsigned i = count_records(q); i < RECORDS; i++) {
        char text[64];
        struct ps_str record = {text, (size_t)snprintf(text, sizeof text, "record %u", i)};
        mark(w, "synced", i);
        OK(ps_queue_append(q, &record, 1, &test_err));
        OK(ps_queue_sync(q, NULL, &test_err));
    }
    mark(w, "synced", RECORDS);
    ps_queue_close(q);
}

static void look_at_queue(struct world *w, const struct power_loss *p, size_t n)
{
    char folder[PLACE_PATH_MAX + 64];
    int promised = last_mark(p, n, "synced");
    snprintf(folder, sizeof folder, "%s/queue", w->left);
    struct ps_queue *q = open_queue(folder);
    unsigned there = count_records(q);
    if ((int)there < promised)
        fail_msg("after %zu calls %d were acknowledged, and %u are there", n, promised, there);
    struct ps_str record = PS_STR("one more");
    OK(ps_queue_append(q, &record, 1, &test_err));
    OK(ps_queue_sync(q, NULL, &test_err));
    ps_queue_close(q);
}

/* I3 */
static void test_the_queue(void **state)
{
    try_all(*state, fill_queue, look_at_queue);
}

/* --- dead letters --- */

static int note_letter(void *ctx, const struct ps_dead_letter *letter)
{
    unsigned *seen = ctx;
    char text[64];
    snprintf(text, sizeof text, "letter %u", (unsigned)letter->position);
    assert_int_equal(letter->len, strlen(text));
    assert_memory_equal(letter->bytes, text, strlen(text));
    *seen |= 1u << letter->position;
    return 0;
}

static unsigned see_letters(struct ps_queue *q)
{
    unsigned seen = 0;
    OK(ps_queue_dead(q, note_letter, &seen, &test_err));
    return seen;
}

static void bury(struct ps_queue *q, unsigned number)
{
    char text[64];
    struct ps_dead_letter letter = {.position = number,
                                    .why = PS_REJECT_STORE,
                                    .text = PS_STR("why"),
                                    .bytes = (const uint8_t *)text};
    letter.len = (size_t)snprintf(text, sizeof text, "letter %u", number);
    OK(ps_queue_bury(q, &letter, 1, &test_err));
}

/* Opened twice, so that the second time finds a file. The marks are the letters there must be. */
static void bury_and_unbury(struct world *w)
{
    char folder[PLACE_PATH_MAX + 64];
    uint64_t second = 2;
    snprintf(folder, sizeof folder, "%s/queue", w->disk);
    struct ps_queue *q = open_queue(folder);
    unsigned must = see_letters(q);
    mark(w, "gone", 0);
    for (unsigned i = 1; i <= LETTERS; i++) {
        if (i == LETTERS / 2) {
            ps_queue_close(q);
            q = open_queue(folder);
        }
        bury(q, i);
        must |= 1u << i;
        mark(w, "letters", must);
    }
    mark(w, "letters", must & ~(1u << second)); /* from now on it may be gone */
    OK(ps_queue_unbury(q, &second, 1, &test_err));
    mark(w, "gone", 1);
    bury(q, LETTERS + 1);
    mark(w, "letters", (must & ~(1u << second)) | 1u << (LETTERS + 1));
    ps_queue_close(q);
}

static void look_at_letters(struct world *w, const struct power_loss *p, size_t n)
{
    char folder[PLACE_PATH_MAX + 64];
    int must = last_mark(p, n, "letters");
    snprintf(folder, sizeof folder, "%s/queue", w->left);
    struct ps_queue *q = open_queue(folder);
    unsigned there = see_letters(q);
    if (must > 0 && (there & (unsigned)must) != (unsigned)must)
        fail_msg("after %zu calls there must be letters %x, and there are %x", n, must, there);
    if (last_mark(p, n, "gone") == 1)
        assert_int_equal(there & 4, 0);
    ps_queue_close(q);
}

/* I6 */
static void test_dead_letters(void **state)
{
    try_all(*state, bury_and_unbury, look_at_letters);
}

/* --- objects --- */

static struct ps_objects *open_objects(const char *folder)
{
    struct ps_objects *o = NULL;
    const struct ps_objects_config config = {.target = folder};
    OK(ps_objects_open(&ps_objects_dir, &o, &config, &test_err));
    return o;
}

static const char *const keys[] = {"2025/10/a.gz", "2025/10/b.gz", "2025/11/c.gz", "d"};

static void put_objects(struct world *w)
{
    char folder[PLACE_PATH_MAX + 64];
    snprintf(folder, sizeof folder, "%s/%sobjects", w->disk, w->above);
    struct ps_objects *o = open_objects(folder);
    mark(w, "removed", 0);
    for (unsigned i = 0; i < PS_COUNT_OF(keys); i++) {
        OK(ps_objects_put(o, keys[i], keys[i], strlen(keys[i]), &test_err));
        mark(w, "put", i);
    }
    OK(ps_objects_remove(o, keys[2], &test_err));
    mark(w, "removed", 2);
    ps_objects_close(o);
}

static int take_bytes(void *ctx, const void *bytes, size_t len)
{
    struct ps_buf *b = ctx;
    return ps_buf_append(b, bytes, len);
}

static void look_at_objects(struct world *w, const struct power_loss *p, size_t n)
{
    char folder[PLACE_PATH_MAX + 64];
    int put = last_mark(p, n, "put"), removed = last_mark(p, n, "removed");
    name_left(w, folder, "objects");
    struct ps_objects *o = open_objects(folder);
    for (int i = 0; i < (int)PS_COUNT_OF(keys); i++) {
        struct ps_buf b;
        struct ps_err e;
        ps_buf_init(&b, 100);
        int r = ps_objects_get(o, keys[i], take_bytes, &b, &e);
        if (r == 0) { /* whole, or not there */
            assert_int_equal(b.len, strlen(keys[i]));
            assert_memory_equal(b.ptr, keys[i], b.len);
        }
        bool must = i <= put && (i != 2 || put == 2);
        if (r < 0 && must)
            fail_msg("after %zu calls %s was put, and: %s", n, keys[i], e.text);
        if (i == 2 && removed == 2 && put == 3) /* by the last who put it */
            assert_int_equal(r, PS_ENOENT);
        ps_buf_done(&b);
    }
    ps_objects_close(o);
}

/* I5 */
static void test_objects(void **state)
{
    try_all(*state, put_objects, look_at_objects);
}

/* --- the secret, the data directory --- */

/* The mark holds its first bytes: what was hashed with it is on its way then. */
static void make_secret(struct world *w)
{
    struct ps_datadir d;
    uint8_t secret[PS_SECRET_BYTES];
    uint32_t begin;
    char folder[PLACE_PATH_MAX + 64];
    snprintf(folder, sizeof folder, "%s/%sdata", w->disk, w->above);
    OK(ps_datadir_init(&d, folder, &test_err));
    OK(ps_datadir_lock(&d, &test_err));
    OK(ps_secret_load(d.secret, PS_SECRET_CREATE, secret, NULL, &test_err));
    memcpy(&begin, secret, sizeof begin);
    mark(w, "secret", begin >> 1);
    ps_datadir_unlock(&d);
}

static void look_at_secret(struct world *w, const struct power_loss *p, size_t n)
{
    uint8_t secret[PS_SECRET_BYTES];
    uint32_t begin;
    struct ps_err e = {0};
    char file[PLACE_PATH_MAX + 64];
    int promised = last_mark(p, n, "secret");
    name_left(w, file, "data/secret");
    int r = ps_secret_load(file, PS_SECRET_READ, secret, NULL, &e);
    assert_true(r == 0 || r == PS_ENOENT); /* never half of one */
    if (r < 0 && promised >= 0)
        fail_msg("after %zu calls the secret was in use, and: %s", n, e.text);
    memcpy(&begin, secret, sizeof begin);
    if (promised >= 0)
        assert_int_equal((int)(begin >> 1), promised);
}

static void test_the_secret(void **state)
{
    try_all(*state, make_secret, look_at_secret);
}

/* The model itself: without a sync, nothing is left. */
static void forget_to_sync(struct world *w)
{
    char name[PLACE_PATH_MAX + 64];
    snprintf(name, sizeof name, "%s/file", w->disk);
    int fd = ps_disk_open(AT_FDCWD, name, O_RDWR | O_CREAT, 0600);
    assert_int_equal(ps_disk_write(fd, "0123456789", 10, 0), 0);
    close(fd);
}

static void test_what_is_not_synced_is_lost(void **state)
{
    struct world *w = *state;
    char name[PLACE_PATH_MAX + 64], text[11] = "";
    w->above = "";
    assert_false(record(w, forget_to_sync, 0));
    struct power_loss *p = power_loss_open(w->disk, "", w->journal);
    name_left(w, name, "file");
    assert_true(power_loss_rebuild(p, 2, POWER_LOSS_STRICT, 1, w->left));
    assert_int_equal(access(name, F_OK), -1);
    nftw(w->left, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    assert_true(power_loss_rebuild(p, 2, POWER_LOSS_NAMES, 1, w->left));
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof text), 10); /* its size, and zeros */
    assert_string_equal(text, "");
    close(fd);
    power_loss_close(p);
}

int main(void)
{
    quick = ps_disk_real;
    quick.sync = pretend_sync;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_not_synced_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dead_letters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_secret, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
