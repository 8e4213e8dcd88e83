/* file_queue_faults_test.c - the file queue on a disk that fails and comes back: what was
 * acknowledged is there, what was refused is not, and nobody has to restart anything
 * (docs/decisions/0012). That every call fails once in its turn is swept at the end.
 *
 * The disk also keeps book of what was not synced: when a verb has returned, nothing may be left
 * that a power failure could take back (I3).
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
    NAME_MAX_BYTES = 64,
    FDS_MAX = 256,
    FILES_MAX = 512,
    SEGMENT_BYTES = 300,
    LETTERS_MAX = 64,
    SWEEP_MAX = 400
};

static const struct ps_queue_limits limits = {1 << 26, SEGMENT_BYTES, 1 << 26, 0};

/* --- the disk --- */

enum call { OPEN, READ, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, LINK, CALLS };

static struct {
    unsigned counts[CALLS], total;
    unsigned fail_at, fail_for; /* calls of `total`, from 1 on; fail_at 0: none */
    unsigned fail_next[CALLS];  /* so many of this kind */
    unsigned fail_folders;      /* so many syncs of the folder, which is worse */
    int why;
    unsigned failed;
    bool dying; /* no sync comes to pass any more */
    void (*on_open)(const char *path);
    struct {
        char name[NAME_MAX_BYTES];
        bool dirty; /* written since it was synced */
    } files[FILES_MAX];
    size_t count;
    size_t file_of[FDS_MAX];
    bool is_folder[FDS_MAX], is_parent[FDS_MAX];
    bool names_dirty;  /* made or renamed since the folder was synced */
    bool parent_dirty; /* the folder itself was made */
} disk;

static bool fails(enum call call)
{
    disk.counts[call]++;
    disk.total++;
    bool one = disk.fail_next[call] > 0;
    disk.fail_next[call] -= one;
    if (!one && (disk.fail_at == 0 || disk.total < disk.fail_at ||
                 disk.total >= disk.fail_at + disk.fail_for))
        return false;
    disk.failed++;
    errno = disk.why;
    return true;
}

static size_t find_file(const char *name)
{
    size_t i = 0;
    while (i < disk.count && strcmp(disk.files[i].name, name) != 0)
        i++;
    if (i == disk.count) {
        assert_true(++disk.count < FILES_MAX);
        snprintf(disk.files[i].name, NAME_MAX_BYTES, "%s", name);
    }
    return i;
}

static int open_file(int dir, const char *path, int flags, mode_t mode)
{
    if (fails(OPEN))
        return -1;
    if (disk.on_open != NULL)
        disk.on_open(path);
    int fd = ps_disk_real.open(dir, path, flags, mode);
    if (fd < 0)
        return fd;
    assert_true(fd < FDS_MAX);
    disk.is_folder[fd] = (flags & O_DIRECTORY) != 0;
    disk.is_parent[fd] = strcmp(path, "..") == 0;
    const char *leaf = strrchr(path, '/');
    disk.file_of[fd] = find_file(leaf != NULL ? leaf + 1 : path);
    if ((flags & O_TRUNC) != 0)
        disk.files[disk.file_of[fd]].dirty = false;
    return fd;
}

static ssize_t read_file(int fd, void *to, size_t len, off_t at)
{
    return fails(READ) ? -1 : ps_disk_real.read(fd, to, len, at);
}

/* Half of it reaches the file. */
static ssize_t write_file(int fd, const void *from, size_t len, off_t at)
{
    disk.files[disk.file_of[fd]].dirty = true;
    if (!fails(WRITE))
        return ps_disk_real.write(fd, from, len, at);
    assert_int_equal(ps_disk_real.write(fd, from, len / 2, at), len / 2);
    errno = disk.why;
    return -1;
}

static int truncate_file(int fd, off_t size)
{
    if (fails(TRUNCATE))
        return -1;
    if (size > 0) /* an emptied file may come back: all has left */
        disk.files[disk.file_of[fd]].dirty = true;
    return ps_disk_real.truncate(fd, size);
}

/* A failed sync forgets what was dirty, as Linux does: the next one says that all is well. */
static int sync_file(int fd, bool data_only)
{
    (void)data_only;
    errno = disk.why;
    if (disk.dying)
        return -1;
    bool folder = disk.is_folder[fd] && disk.fail_folders > 0;
    disk.fail_folders -= folder;
    bool failed = fails(SYNC) || folder;
    errno = disk.why;
    disk.files[disk.file_of[fd]].dirty = false;
    if (disk.is_parent[fd] && !failed)
        disk.parent_dirty = false;
    else if (disk.is_folder[fd] && !failed)
        disk.names_dirty = false;
    return failed ? -1 : 0;
}

static int rename_file(int dir, const char *from, const char *to, unsigned flags)
{
    if (fails(RENAME))
        return -1;
    size_t here = find_file(from), there = find_file(to);
    assert_false(disk.files[here].dirty); /* it must not get its name before its bytes */
    disk.files[there].name[0] = '\0';     /* it lives on for whoever has it open */
    disk.files[there].dirty = false;
    snprintf(disk.files[here].name, NAME_MAX_BYTES, "%s", to);
    disk.names_dirty = true;
    return ps_disk_real.rename(dir, from, to, flags);
}

static int unlink_file(int dir, const char *path, int flags)
{
    return fails(UNLINK) ? -1 : ps_disk_real.unlink(dir, path, flags);
}

static int link_file(int dir, const char *from, const char *to)
{
    return fails(LINK) ? -1 : ps_disk_real.link(dir, from, to);
}

static int mkdir_there(int dir, const char *path, mode_t mode)
{
    int r = ps_disk_real.mkdir(dir, path, mode);
    disk.parent_dirty = disk.parent_dirty || r == 0;
    return r;
}

static const struct ps_disk_ops faulty = {
    .open = open_file,
    .read = read_file,
    .write = write_file,
    .truncate = truncate_file,
    .sync = sync_file,
    .mkdir = mkdir_there,
    .link = link_file,
    .rename = rename_file,
    .unlink = unlink_file,
};

static void expect_synced(void)
{
    for (size_t i = 0; i < disk.count; i++)
        if (disk.files[i].dirty && strcmp(disk.files[i].name, "segment.new") != 0 &&
            strcmp(disk.files[i].name, "dead-letters.new") != 0)
            fail_msg("%s was written and not synced", disk.files[i].name);
    assert_false(disk.names_dirty);
    assert_false(disk.parent_dirty);
}

/* --- the world --- */

struct world {
    struct place place;
    struct ps_queue *queue;
    struct ps_records records;
    uint32_t numbers[4096]; /* of the acknowledged records, in order */
    size_t count;
    uint32_t next;
    bool letters[LETTERS_MAX]; /* those that are buried */
};

static void open_world(struct world *w)
{
    OK(ps_queue_open(&ps_queue_file, &w->queue, w->place.target, PS_QUEUE_WRITE, &limits,
                     &test_err));
    expect_synced();
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    memset(&disk, 0, sizeof disk);
    disk.why = EIO;
    ps_disk_set(&faulty);
    place_make(&w->place, "queue");
    ps_records_init(&w->records);
    open_world(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ps_queue_close(w->queue);
    ps_records_done(&w->records);
    ps_disk_set(&ps_disk_real);
    place_remove(&w->place);
    free(w);
    return 0;
}

static void reopen(struct world *w)
{
    ps_queue_close(w->queue);
    open_world(w);
}

/* Acknowledged when it returns 0. */
static int add(struct world *w)
{
    uint32_t number = w->next++;
    struct ps_str record = {(char *)&number, sizeof number};
    int r = ps_queue_append(w->queue, &record, 1, &test_err);
    if (r == 0)
        r = ps_queue_sync(w->queue, NULL, &test_err);
    if (r < 0)
        return r;
    assert_true(w->count < PS_COUNT_OF(w->numbers));
    w->numbers[w->count++] = number;
    expect_synced();
    return 0;
}

static void add_many(struct world *w, int n)
{
    for (int i = 0; i < n; i++)
        OK(add(w));
}

/* Exactly the acknowledged records, from the `skip`th on. */
static void expect_records(struct world *w, struct ps_queue *q, uint64_t from, size_t skip)
{
    size_t i = skip;
    do {
        OK(ps_queue_read(q, from, 7, &w->records, &test_err));
        for (size_t k = 0; k < w->records.count; k++, i++) {
            uint32_t number;
            assert_int_equal(w->records.items[k].len, sizeof number);
            memcpy(&number, w->records.items[k].bytes, sizeof number);
            assert_true(i < w->count);
            assert_int_equal(number, w->numbers[i]);
        }
        from = w->records.next_position;
    } while (w->records.count > 0);
    assert_int_equal(i, w->count);
}

static struct ps_dead_letter letter_of(uint64_t position)
{
    return (struct ps_dead_letter){.position = position,
                                   .time_ms = 1,
                                   .why = PS_REJECT_STORE,
                                   .text = PS_STR("why"),
                                   .bytes = (const uint8_t *)"letter",
                                   .len = 6};
}

static int bury(struct world *w, uint64_t position)
{
    struct ps_dead_letter letter = letter_of(position);
    int r = ps_queue_bury(w->queue, &letter, 1, &test_err);
    if (r == 0) {
        w->letters[position] = true;
        expect_synced();
    }
    return r;
}

static int unbury(struct world *w, uint64_t position)
{
    int r = ps_queue_unbury(w->queue, &position, 1, &test_err);
    if (r >= 0) {
        w->letters[position] = false;
        expect_synced();
    }
    return r < 0 ? r : 0;
}

static int see_letter(void *ctx, const struct ps_dead_letter *letter)
{
    bool *seen = ctx;
    assert_in_range(letter->position, 0, LETTERS_MAX - 1);
    assert_int_equal(letter->len, 6);
    seen[letter->position] = true;
    return 0;
}

static void expect_letters(struct world *w, struct ps_queue *q)
{
    bool seen[LETTERS_MAX] = {0};
    uint64_t count = 0;
    struct ps_queue_info info;
    OK(ps_queue_dead(q, see_letter, seen, &test_err));
    OK(ps_queue_info(q, &info, &test_err));
    for (size_t i = 0; i < LETTERS_MAX; i++) {
        assert_int_equal(seen[i], w->letters[i]);
        count += seen[i];
    }
    assert_int_equal(info.dead_letters, count);
}

/* For whoever writes, reads beside it, or comes after it. */
static void expect_everywhere(struct world *w)
{
    for (int round = 0; round < 2; round++) {
        struct ps_queue *reader = NULL;
        expect_records(w, w->queue, 0, 0);
        expect_letters(w, w->queue);
        OK(ps_queue_open(&ps_queue_file, &reader, w->place.target, PS_QUEUE_READ, &limits,
                         &test_err));
        expect_records(w, reader, 0, 0);
        expect_letters(w, reader);
        ps_queue_close(reader);
        reopen(w);
        add_many(w, 2);
    }
}

static size_t file_size(struct world *w, const char *name)
{
    char path[PLACE_PATH_MAX + 2 * NAME_MAX_BYTES];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", w->place.target, name);
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

/* Records that must never be read. */
static void append_lost(struct world *w, size_t count)
{
    uint32_t number = UINT32_MAX;
    struct ps_str lost[32];
    for (size_t i = 0; i < count; i++)
        lost[i] = (struct ps_str){(char *)&number, sizeof number};
    OK(ps_queue_append(w->queue, lost, count, &test_err));
}

/* --- the queue --- */

/* I3: one failed sync refuses what it was for, and the next record is taken. */
static void test_a_failed_sync_passes(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 5; round++) {
        add_many(w, 3);
        disk.fail_next[SYNC] = 1;
        assert_int_equal(add(w), PS_EIO);
        expect_records(w, w->queue, 0, 0);
        add_many(w, round); /* also none: two failures in a row */
    }
    expect_everywhere(w);
}

/* I3: what was left behind by failed syncs stays left behind, however long it was. */
static void test_left_bytes_are_cut(void **state)
{
    struct world *w = *state;
    add_many(w, 2);
    append_lost(w, 20);
    disk.fail_next[SYNC] = 1;
    assert_int_equal(ps_queue_sync(w->queue, NULL, &test_err), PS_EIO);
    add_many(w, 1);
    expect_everywhere(w);
    OK(ps_queue_trim(w->queue, UINT64_MAX, &test_err)); /* and such segments can go */
}

/* While the disk is bad each try is refused, and the folder does not fill with segments. */
static void test_a_long_failure(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    for (int round = 0; round < 2; round++) {
        OK(ps_queue_info(w->queue, &info, &test_err));
        uint64_t end = info.end_position;
        for (int i = 0; i < 50; i++) {
            disk.fail_next[SYNC] = 1 + i % 4;
            assert_int_equal(add(w), PS_EIO);
            while (disk.fail_next[SYNC] > 0)
                assert_int_equal(add(w), PS_EIO);
        }
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_int_equal(info.end_position, end);
        add_many(w, 1);
        OK(ps_queue_info(w->queue, &info, &test_err));
        assert_in_range(info.end_position - end, 1, 100); /* no segment for each failure */
    }
    expect_everywhere(w);
}

/* A reader that waits at the end finds what comes after the failure, though the file there is
 * another one than it would have been. */
static void test_a_reader_at_the_end(void **state)
{
    struct world *w = *state;
    uint64_t end = 0;
    OK(ps_queue_sync(w->queue, NULL, &test_err));
    expect_records(w, w->queue, 0, 0); /* it has looked into the empty file */
    for (int round = 0; round < 3; round++) {
        size_t seen = w->count;
        OK(ps_queue_sync(w->queue, &end, &test_err));
        expect_records(w, w->queue, end, seen);
        disk.fail_next[SYNC] = 2;
        assert_int_equal(add(w), PS_EIO);
        expect_records(w, w->queue, end, seen);
        assert_int_equal(add(w), PS_EIO);
        OK(ps_queue_sync(w->queue, NULL, &test_err));
        expect_records(w, w->queue, end, seen);
        add_many(w, 1);
        expect_records(w, w->queue, end, seen);
    }
}

/* The first segment has nothing but its header when a reader opens it, and is replaced then. */
static void test_a_reader_of_an_empty_segment(void **state)
{
    struct world *w = *state;
    expect_records(w, w->queue, 0, 0);
    disk.fail_next[SYNC] = 1;
    assert_int_equal(add(w), PS_EIO);
    add_many(w, 2);
    expect_records(w, w->queue, 0, 0);
    expect_everywhere(w);
}

/* A write that fails in the middle leaves no half of itself, and none of its records for later. */
static void test_a_failed_write_passes(void **state)
{
    struct world *w = *state;
    static const char tail[] = "00000000000000000000.seg";
    disk.why = ENOSPC;
    add_many(w, 2);
    size_t before = file_size(w, tail);
    disk.fail_next[WRITE] = 1;
    assert_int_equal(add(w), PS_EFULL);
    assert_int_equal(file_size(w, tail), before);
    OK(ps_queue_sync(w->queue, NULL, &test_err));
    expect_records(w, w->queue, 0, 0);
    add_many(w, 2);
    append_lost(w, 20);
    disk.fail_next[WRITE] = disk.fail_next[TRUNCATE] = 1; /* it cannot be cut either */
    assert_int_equal(ps_queue_sync(w->queue, NULL, &test_err), PS_EFULL);
    disk.files[find_file(tail)].dirty = false; /* it is left behind */
    add_many(w, 1);
    expect_everywhere(w);
}

/* The next segment cannot be made for a while: for want of descriptors, room, or a whole folder. */
static void test_no_new_segment_for_a_while(void **state)
{
    struct world *w = *state;
    static const struct {
        enum call call;
        unsigned times;
        int why, code;
    } troubles[] = {{OPEN, 2, EMFILE, PS_EIO},
                    {WRITE, 2, ENOSPC, PS_EFULL},
                    {WRITE, 2, EDQUOT, PS_EFULL},
                    {SYNC, 2, EIO, PS_EIO},
                    {RENAME, 2, EIO, PS_EIO}};
    for (size_t i = 0; i < PS_COUNT_OF(troubles); i++) {
        unsigned renames = disk.counts[RENAME];
        while (disk.counts[RENAME] == renames)
            OK(add(w)); /* until one has begun */
        disk.why = troubles[i].why;
        for (int n = 0; n < 2; n++) { /* make it roll over, and fail */
            disk.fail_next[SYNC] = 1;
            assert_true(add(w) < 0);
            disk.fail_next[troubles[i].call] = 1;
            assert_int_equal(add(w), troubles[i].code);
        }
        add_many(w, 3);
    }
    expect_everywhere(w);
}

/* The folder of a new segment was not synced: it may or may not be there after a power failure, so
 * the segment before must not grow behind its base. */
static void test_a_segment_that_may_be_there(void **state)
{
    struct world *w = *state;
    while (file_size(w, "00000000000000000000.seg") < SEGMENT_BYTES)
        OK(add(w));                /* the next one rolls over */
    disk.fail_at = disk.total + 5; /* open, write, sync, rename, and the folder's sync */
    disk.fail_for = 1;
    size_t before = file_size(w, "00000000000000000000.seg");
    assert_int_equal(add(w), PS_EIO);
    assert_int_equal(disk.failed, 1);
    add_many(w, 5);
    assert_int_equal(file_size(w, "00000000000000000000.seg"), before);
    expect_everywhere(w);
}

/* Two segments that both claim the same durable positions are not of one queue. */
static void test_overlapping_segments_are_refused(void **state)
{
    struct world *w = *state;
    char from[PLACE_PATH_MAX + 2 * NAME_MAX_BYTES], to[PLACE_PATH_MAX + 2 * NAME_MAX_BYTES];
    uint8_t header[16] = "PSQUEUE1";
    add_many(w, 4);
    snprintf(from, sizeof from, "%s/00000000000000000000.seg", w->place.target);
    snprintf(to, sizeof to, "%s/00000000000000000032.seg", w->place.target);
    header[8] = 32;
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(header, 1, sizeof header, f), sizeof header);
    fclose(f);
    struct ps_queue *q = NULL;
    assert_int_equal(
        ps_queue_open(&ps_queue_file, &q, w->place.target, PS_QUEUE_READ, &limits, &test_err),
        PS_ECORRUPT);
    assert_int_equal(unlink(to), 0);
}

/* After a power failure no hole may be left between segments: the next one is taken away only when
 * it is certain that the one before is gone. */
static void test_trimming_is_in_order(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    add_many(w, 100);
    unsigned syncs = disk.counts[SYNC], unlinks = disk.counts[UNLINK];
    disk.fail_next[UNLINK] = 1;
    assert_int_equal(ps_queue_trim(w->queue, UINT64_MAX, &test_err), PS_EIO);
    OK(ps_queue_trim(w->queue, UINT64_MAX, &test_err));
    assert_true(disk.counts[UNLINK] - unlinks > 3);
    assert_true(disk.counts[SYNC] - syncs >= disk.counts[UNLINK] - unlinks);
    OK(ps_queue_info(w->queue, &info, &test_err));
    reopen(w);
    expect_records(w, w->queue, 0, w->count - (size_t)(info.bytes / 28));
}

static void remove_first_segment(const char *path)
{
    static char first[PLACE_PATH_MAX + 2 * NAME_MAX_BYTES];
    if (strchr(path, '/') != NULL && strstr(path, ".seg") == NULL)
        snprintf(first, sizeof first, "%s/00000000000000000000.seg", path);
    else if (strstr(path, ".seg") != NULL)
        unlink(first);
}

/* The writer trims between a reader's look into the folder and its look at the segments. */
static void test_a_reader_beside_a_trimming_writer(void **state)
{
    struct world *w = *state;
    struct ps_queue *reader = NULL;
    struct ps_queue_info info;
    add_many(w, 50);
    disk.on_open = remove_first_segment;
    OK(ps_queue_open(&ps_queue_file, &reader, w->place.target, PS_QUEUE_READ, &limits, &test_err));
    disk.on_open = NULL;
    OK(ps_queue_info(reader, &info, &test_err));
    assert_true(info.first_position > 0);
    OK(ps_queue_read(reader, 0, 1, &w->records, &test_err));
    uint32_t number;
    memcpy(&number, w->records.items[0].bytes, sizeof number);
    assert_true(number > 0);
    expect_records(w, reader, 0, number);
    ps_queue_close(reader);
}

/* I3: a process that was killed may not have come to its sync. Whatever the next one finds, it
 * makes durable before it builds on it. */
static void test_what_a_killed_process_left_is_synced(void **state)
{
    struct world *w = *state;
    add_many(w, 3);
    OK(bury(w, 1));
    disk.dying = true;
    assert_int_equal(add(w), PS_EIO);
    assert_int_equal(bury(w, 2), PS_EIO);
    disk.dying = false;
    reopen(w); /* expects all of it to be synced */
    while (disk.counts[RENAME] < 3)
        OK(add(w));
    disk.dying = disk.names_dirty = disk.parent_dirty = true;
    ps_queue_close(w->queue);
    disk.dying = false;
    open_world(w);
}

/* --- dead letters --- */

/* I6: a letter that could not be made durable is none, and can be buried again. */
static void test_a_failed_burial_passes(void **state)
{
    struct world *w = *state;
    static const enum call calls[] = {SYNC, WRITE};
    for (uint64_t i = 0; i < 8; i++) {
        OK(bury(w, 3 * i));
        disk.fail_next[calls[i % 2]] = 1;
        disk.fail_next[TRUNCATE] = i % 4 == 3;
        assert_int_equal(bury(w, 3 * i + 1), PS_EIO);
        expect_letters(w, w->queue);
        OK(bury(w, 3 * i + 2)); /* at once */
        OK(bury(w, 3 * i + 1));
        expect_letters(w, w->queue);
        if (i % 3 == 0)
            reopen(w);
    }
    expect_everywhere(w);
}

static void test_a_failed_unburial_passes(void **state)
{
    struct world *w = *state;
    for (uint64_t i = 0; i < 8; i++)
        OK(bury(w, i));
    for (uint64_t i = 0; i < 4; i++) {
        disk.fail_next[SYNC] = 1;
        assert_int_equal(unbury(w, i), PS_EIO);
        expect_letters(w, w->queue);
        if (i % 2 == 0)
            OK(unbury(w, i));
        expect_letters(w, w->queue);
    }
    OK(unbury(w, 1));
    OK(unbury(w, 3));
    expect_everywhere(w);
}

/* The new file cannot be made either, for a while. */
static void test_no_new_letters_file_for_a_while(void **state)
{
    struct world *w = *state;
    static const enum call calls[] = {OPEN, READ, WRITE, SYNC, RENAME};
    OK(bury(w, 1));
    for (size_t i = 0; i < PS_COUNT_OF(calls); i++) {
        disk.fail_next[SYNC] = 1;
        assert_int_equal(bury(w, 10 + i), PS_EIO);
        for (int n = 0; n < 2; n++) {
            disk.fail_next[calls[i]] = 1;
            assert_int_equal(bury(w, 10 + i), PS_EIO);
        }
        disk.fail_at = disk.total + 6; /* open, read, write, sync, rename: the folder's sync */
        disk.fail_for = i == 0;
        assert_int_equal(bury(w, 10 + i), i == 0 ? PS_EIO : 0);
        disk.fail_at = 0;
        OK(bury(w, 10 + i));
        expect_letters(w, w->queue);
    }
    expect_everywhere(w);
}

/* 20,000 letters go with few syncs. */
static void test_many_leave_with_one_sync(void **state)
{
    enum { MANY = 20000 };
    struct world *w = *state;
    uint64_t *positions = malloc(MANY * sizeof *positions);
    for (uint64_t i = 0; i < MANY; i += 250) {
        struct ps_dead_letter letters[250];
        for (uint64_t k = 0; k < 250; k++) {
            letters[k] = letter_of(LETTERS_MAX + i + k);
            positions[i + k] = LETTERS_MAX + i + k;
        }
        OK(ps_queue_bury(w->queue, letters, 250, &test_err));
    }
    OK(bury(w, 7));
    unsigned syncs = disk.counts[SYNC];
    assert_int_equal(ps_queue_unbury(w->queue, positions, MANY, &test_err), MANY);
    assert_int_equal(disk.counts[SYNC] - syncs, 1);
    expect_synced();
    free(positions);
    expect_everywhere(w);
}

/* I8: letters that come and go while one stays do not make the file grow without end. */
static void test_the_file_is_bounded(void **state)
{
    enum { LARGE = 60000, ROUNDS = 1000, FILE_MAX = 34 << 20 };
    struct world *w = *state;
    uint8_t *bytes = calloc(1, LARGE);
    OK(bury(w, 7));
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct ps_dead_letter letter = letter_of(LETTERS_MAX + i);
        letter.bytes = bytes;
        letter.len = LARGE;
        OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
        disk.fail_next[RENAME] = i == 500; /* it may wait */
        int r = ps_queue_unbury(w->queue, &letter.position, 1, &test_err);
        disk.fail_next[RENAME] = 0;
        if (r < 0)
            r = ps_queue_unbury(w->queue, &letter.position, 1, &test_err);
        assert_int_equal(r, 1);
        assert_true(file_size(w, "dead-letters") < FILE_MAX);
    }
    free(bytes);
    expect_everywhere(w);
}

/* The new, smaller file has its name, but its folder could not be synced: nothing that is buried
 * from now on may go to the old one. */
static void test_a_smaller_file_that_may_be_there(void **state)
{
    enum { LARGE = 60000, ROUNDS = 400 };
    struct world *w = *state;
    uint8_t *bytes = calloc(1, LARGE);
    uint64_t small = 0;
    OK(bury(w, small++));
    for (uint64_t i = 0; i < ROUNDS && disk.counts[RENAME] < 4; i++) {
        struct ps_dead_letter letter = letter_of(LETTERS_MAX + i);
        letter.bytes = bytes;
        letter.len = LARGE;
        OK(ps_queue_bury(w->queue, &letter, 1, &test_err));
        disk.fail_folders = 1;
        int r = ps_queue_unbury(w->queue, &letter.position, 1, &test_err);
        bool failed = disk.fail_folders == 0;
        disk.fail_folders = 0;
        assert_int_equal(r, failed ? PS_EIO : 1);
        if (!failed)
            continue;
        OK(bury(w, small++));
        assert_int_equal(ps_queue_unbury(w->queue, &letter.position, 1, &test_err), 1);
    }
    assert_in_range(small, 2, 3); /* it came to that */
    free(bytes);
    expect_everywhere(w);
}

/* Half of a refused burial is in the file, whole letters among it, and cannot be cut off. */
static void test_what_cannot_be_cut_does_not_come_back(void **state)
{
    struct world *w = *state;
    struct ps_dead_letter four[4];
    for (uint64_t i = 0; i < 4; i++)
        four[i] = letter_of(10 + i);
    OK(bury(w, 1));
    disk.fail_next[WRITE] = disk.fail_next[TRUNCATE] = 1;
    assert_int_equal(ps_queue_bury(w->queue, four, 4, &test_err), PS_EIO);
    OK(bury(w, 20)); /* as long as the first of the four */
    expect_everywhere(w);
}

/* --- every call, in its turn --- */

static int again(int (*verb)(struct world *, uint64_t), struct world *w, uint64_t position)
{
    int r = verb(w, position);
    return r < 0 ? verb(w, position) : r;
}

static int trim(struct world *w, uint64_t before)
{
    return ps_queue_trim(w->queue, before, &test_err);
}

static void play(struct world *w)
{
    for (uint64_t i = 0; i < 20; i++) {
        if (add(w) < 0)
            OK(add(w));
        OK(again(bury, w, i));
        if (i % 3 == 2)
            OK(again(unbury, w, i - 1));
        OK(again(trim, w, 0));
    }
}

/* Each call of the disk fails once, or twice in a row: whoever was refused tries again, and in the
 * end there is exactly what was acknowledged. */
static void test_every_call_fails_in_its_turn(void **state)
{
    static const int whys[] = {EIO, ENOSPC, EMFILE};
    struct world *w = *state;
    unsigned tried = 0;
    for (unsigned at = 1; at < SWEEP_MAX; at++) {
        void *next = NULL;
        tear_down((void **)&w);
        set_up(&next);
        w = next;
        disk.why = whys[at % PS_COUNT_OF(whys)];
        disk.fail_at = disk.total + at;
        disk.fail_for = 1;
        play(w);
        bool fired = disk.failed > 0;
        disk.fail_at = 0;
        expect_everywhere(w);
        tried++;
        if (!fired)
            break;
    }
    assert_in_range(tried, 50, SWEEP_MAX - 2); /* all of them came to their turn */
    printf("# %u calls failed in their turn\n", tried - 1);
    *state = w;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_failed_sync_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_bytes_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reader_at_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reader_of_an_empty_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failed_write_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_new_segment_for_a_while, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_segment_that_may_be_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_overlapping_segments_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trimming_is_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reader_beside_a_trimming_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_a_killed_process_left_is_synced, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_failed_burial_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failed_unburial_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_new_letters_file_for_a_while, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_leave_with_one_sync, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_file_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_smaller_file_that_may_be_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_cut_does_not_come_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_every_call_fails_in_its_turn, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
