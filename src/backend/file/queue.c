/* queue.c - `ps_queue_file`: a folder of append-only segments (segment.h) and the dead letters.
 *
 * The position of a record is where its frame begins in one endless byte stream; each segment holds
 * the stretch that begins at its base, which is in its name. Appends are gathered in memory and
 * written in one go; sync writes them down (fdatasync) and only then moves `durable`, the end of
 * what readers see. Between two calls the tail ends at `durable`, or it `must_roll`.
 *
 * After a failed sync nobody knows what the tail's file holds behind `durable`, so it is left as it
 * is and the next segment begins there: its base says where the one before ends. That is tried
 * again by each later call until the disk takes it (docs/decisions/0012).
 *
 * Opening for writing cuts a torn tail off the last segment; damage below what a mark says was
 * durable is reported instead. Opening for reading changes nothing on disk and takes every whole
 * frame for durable: whoever reads beside a writer goes by the store's position.
 *
 * Threads: `tail` and the append buffer belong to the appending thread, `reader` to the reading
 * one; what they share is under `lock`.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/file/file_queue.h"
#include "backend/registry.h"
#include "base/check.h"
#include "base/disk.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SEGMENTS_OF_MAX = 4,  /* bytes_max holds at least so many segments */
    APPEND_KEEP = 4 << 20 /* the append buffer is not kept larger */
};

static void close_queue(struct ps_queue *queue)
{
    struct file_queue *q = ps_file_of(queue);
    if (q->tail_fd >= 0)
        close(q->tail_fd);
    if (q->read_fd >= 0)
        close(q->read_fd);
    if (q->dir >= 0)
        close(q->dir);
    ps_dead_close(&q->dead);
    ps_buf_done(&q->append);
    free(q->segments);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->dead_lock);
    free(q);
}

/* Nobody else uses `dead` now. */
static void show_letters(struct file_queue *q)
{
    struct ps_queue_info letters = {0};
    ps_dead_info(&q->dead, &letters);
    pthread_mutex_lock(&q->lock);
    q->letters = letters;
    pthread_mutex_unlock(&q->lock);
}

static int open_queue(struct ps_queue **ret, const char *target, enum ps_queue_mode mode,
                      const struct ps_queue_limits *limits, struct ps_err *e)
{
    struct file_queue *q = calloc(1, sizeof *q);
    if (q == NULL)
        return ps_fail(e, PS_ENOMEM, "queue: no memory");
    q->limits = *limits;
    if (q->limits.segment_bytes > limits->bytes_max / SEGMENTS_OF_MAX)
        q->limits.segment_bytes = limits->bytes_max / SEGMENTS_OF_MAX;
    q->writable = mode == PS_QUEUE_WRITE;
    q->tail_fd = q->read_fd = q->dead.fd = -1;
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->dead_lock, NULL);
    ps_buf_init(&q->append, SIZE_MAX / 2);
    if (q->writable)
        ps_disk_mkdir(AT_FDCWD, target, 0750); /* when it fails, so does the open */
    q->dir = ps_disk_open(AT_FDCWD, target, O_RDONLY | O_DIRECTORY, 0);
    int r = q->dir < 0 ? ps_fail(e, errno == ENOENT ? PS_ENOENT : PS_EIO, "queue: open %s: %s",
                                 target, strerror(errno))
                       : 0;
    /* the names in it, and its own: a process that was killed may not have come to that */
    if (r == 0 && q->writable &&
        (ps_disk_sync(q->dir) < 0 || ps_disk_sync_folder(q->dir, "..") < 0))
        r = ps_file_fail(e, target);
    if (r == 0)
        r = ps_file_load(q, e);
    if (r == 0)
        r = ps_dead_open(&q->dead, q->dir, q->writable,
                         limits->dead_letter_bytes_max + limits->dead_letter_reserve, e);
    if (r == 0 && q->writable && q->count == 0)
        r = ps_file_begin(q, e);
    if (r < 0) {
        close_queue(&q->base);
        return r;
    }
    show_letters(q);
    *ret = &q->base;
    return 0;
}

/* --- appending --- */

static uint64_t appended_to(const struct file_queue *q)
{
    return q->written + q->append.len;
}

static void add_frame(struct ps_buf *b, const void *payload, size_t len, bool is_mark)
{
    ps_frame_header((uint8_t *)b->ptr + b->len, payload, (uint32_t)len, is_mark);
    ps_copy(b->ptr + b->len + PS_FRAME_HEADER_BYTES, payload, len);
    b->len += PS_FRAME_HEADER_BYTES + len;
}

/* A file without a name takes what is written, and nobody will ever read it: nothing was durable.
 */
static int check_name(struct file_queue *q, struct ps_err *e)
{
    struct stat st;
    if (fstat(q->tail_fd, &st) < 0 || st.st_nlink > 0)
        return 0;
    pthread_mutex_lock(&q->lock);
    q->damaged = true;
    pthread_mutex_unlock(&q->lock);
    return ps_fail(e, PS_ECORRUPT,
                   "queue: its last file was removed while it was in use: stop pathstats, put it "
                   "back, then start again");
}

/* Cuts what reached the file of a write that failed. */
static int flush(struct file_queue *q, struct ps_err *e)
{
    uint64_t base = q->tail_base;
    if (ps_disk_write(q->tail_fd, q->append.ptr, q->append.len, (off_t)(q->written - base)) < 0) {
        int r = ps_file_fail(e, "write");
        q->must_roll = ps_disk_truncate(q->tail_fd, (off_t)(q->written - base)) < 0;
        return r;
    }
    q->written += q->append.len;
    if (ps_disk_sync_data(q->tail_fd) < 0) {
        q->must_roll = true;
        return ps_file_fail(e, "sync");
    }
    return check_name(q, e);
}

static void clear_append(struct file_queue *q)
{
    ps_buf_clear(&q->append);
    if (q->append.cap > APPEND_KEEP) {
        ps_buf_done(&q->append);
        ps_buf_init(&q->append, SIZE_MAX / 2);
    }
}

/* The next segment begins where what is durable ends. One of which nothing is durable but its
 * header is replaced: a reader cannot have been there. */
static int roll_over(struct file_queue *q, struct ps_err *e)
{
    uint64_t base = q->durable;
    bool is_empty = base <= q->tail_base + PS_SEGMENT_HEADER_BYTES;
    PS_ASSERT(q->append.len == 0 && base <= q->written);
    if (is_empty)
        base = q->tail_base;
    pthread_mutex_lock(&q->lock);
    int r = ps_file_reserve_segment(q, e);
    pthread_mutex_unlock(&q->lock);
    if (r == 0)
        r = ps_file_make_segment(q, base, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&q->lock);
    q->count -= is_empty;
    if (!is_empty)
        q->segments[q->count - 1].end = base;
    ps_file_add_segment(q, base, q->written);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

static uint64_t live_bytes(struct file_queue *q)
{
    pthread_mutex_lock(&q->lock);
    uint64_t first = q->segments[0].base;
    pthread_mutex_unlock(&q->lock);
    return appended_to(q) - first;
}

/* Events behind a hole reach no database: nobody may be told that they are safe. */
static int check_sound(struct file_queue *q, struct ps_err *e)
{
    pthread_mutex_lock(&q->lock);
    bool damaged = q->damaged;
    pthread_mutex_unlock(&q->lock);
    return damaged ? ps_fail(e, PS_ECORRUPT,
                             "queue: a record in it is damaged, so nothing is taken behind it: "
                             "stop, restore its segment or move it away, and start again")
                   : 0;
}

static int append(struct ps_queue *queue, const struct ps_str *records, size_t count,
                  struct ps_err *e)
{
    struct file_queue *q = ps_file_of(queue);
    PS_ASSERT(q->writable);
    size_t bytes = PS_FRAME_HEADER_BYTES + PS_FRAME_MARK_BYTES;
    for (size_t i = 0; i < count; i++)
        bytes += PS_FRAME_HEADER_BYTES + records[i].len;
    int r = check_sound(q, e);
    if (r == 0 && q->must_roll)
        r = roll_over(q, e);
    if (r < 0)
        return r;
    bool is_full = live_bytes(q) + bytes > q->limits.bytes_max;
    /* trim cannot take the tail: close it, or a queue that is all tail stays full for ever */
    if (is_full && q->append.len == 0 && q->written - q->tail_base > PS_SEGMENT_HEADER_BYTES) {
        r = roll_over(q, e);
        if (r < 0)
            return r;
    }
    if (is_full)
        return ps_fail(e, PS_EFULL, "queue: full (%llu bytes)",
                       (unsigned long long)q->limits.bytes_max);
    if (q->written - q->tail_base >= q->limits.segment_bytes && q->append.len == 0)
        r = roll_over(q, e);
    if (r == 0 && ps_buf_reserve(&q->append, bytes) < 0) {
        q->append.failed = 0;
        r = ps_fail(e, PS_ENOMEM, "queue: no memory for %zu bytes", bytes);
    }
    if (r < 0)
        return r;
    uint64_t durable = htole64(q->durable);
    add_frame(&q->append, &durable, sizeof durable, true);
    for (size_t i = 0; i < count; i++)
        add_frame(&q->append, records[i].ptr, records[i].len, false);
    return 0;
}

static int sync_queue(struct ps_queue *queue, uint64_t *ret_end, struct ps_err *e)
{
    struct file_queue *q = ps_file_of(queue);
    int r = check_sound(q, e);
    if (r == 0 && q->must_roll)
        r = roll_over(q, e);
    if (r == 0 && q->append.len > 0)
        r = flush(q, e);
    clear_append(q); /* after a failure none of them: their producers are told */
    if (r < 0)
        return r;
    pthread_mutex_lock(&q->lock);
    q->durable = q->written;
    q->segments[q->count - 1].end = q->written;
    pthread_mutex_unlock(&q->lock);
    *ret_end = q->durable;
    return 0;
}

/* --- the rest --- */

static bool may_go(struct file_queue *q, uint64_t before, uint64_t *ret_base)
{
    pthread_mutex_lock(&q->lock);
    bool may = q->count > 1 && q->segments[0].end <= before;
    *ret_base = may ? q->segments[0].base : 0;
    pthread_mutex_unlock(&q->lock);
    return may;
}

/* One at a time, and the next one only when it is certain that the one before is gone: after a
 * power loss there must be no hole between the segments that are left. */
static int trim(struct ps_queue *queue, uint64_t before, struct ps_err *e)
{
    struct file_queue *q = ps_file_of(queue);
    uint64_t base;
    while (may_go(q, before, &base)) {
        char name[SEGMENT_NAME_MAX];
        ps_file_name_segment(name, base);
        if (ps_disk_sync(q->dir) < 0 || (ps_disk_unlink(q->dir, name) < 0 && errno != ENOENT))
            return ps_file_fail(e, name);
        pthread_mutex_lock(&q->lock);
        memmove(q->segments, q->segments + 1, --q->count * sizeof *q->segments);
        pthread_mutex_unlock(&q->lock);
    }
    return 0;
}

static int bury(struct ps_queue *queue, const struct ps_dead_letter *letters, size_t count,
                struct ps_err *e)
{
    struct file_queue *q = ps_file_of(queue);
    pthread_mutex_lock(&q->dead_lock);
    int r = ps_dead_bury(&q->dead, letters, count, e);
    show_letters(q);
    pthread_mutex_unlock(&q->dead_lock);
    return r;
}

static int unbury(struct ps_queue *queue, const uint64_t *positions, size_t count, struct ps_err *e)
{
    struct file_queue *q = ps_file_of(queue);
    pthread_mutex_lock(&q->dead_lock);
    int r = ps_dead_unbury(&q->dead, positions, count, e);
    show_letters(q);
    pthread_mutex_unlock(&q->dead_lock);
    return r;
}

static int each_dead(struct ps_queue *queue, uint64_t from, ps_dead_fn *fn, void *ctx,
                     struct ps_err *e)
{
    struct file_queue *q = ps_file_of(queue);
    pthread_mutex_lock(&q->dead_lock);
    int r = ps_dead_each(&q->dead, from, fn, ctx, e);
    show_letters(q);
    pthread_mutex_unlock(&q->dead_lock);
    return r;
}

static int info(struct ps_queue *queue, struct ps_queue_info *ret, struct ps_err *e)
{
    struct file_queue *q = ps_file_of(queue);
    (void)e;
    pthread_mutex_lock(&q->lock);
    uint64_t first = q->count > 0 ? q->segments[0].base : 0;
    *ret = q->letters;
    ret->first_position = first;
    ret->end_position = q->durable;
    ret->bytes = q->durable - first;
    ret->bytes_max = q->limits.bytes_max;
    ret->dead_letter_bytes_max = q->limits.dead_letter_bytes_max;
    ret->cut_bytes += q->cut_bytes;
    ret->cut_in_doubt |= q->cut_in_doubt;
    pthread_mutex_unlock(&q->lock);
    return 0;
}

const struct ps_queue_ops ps_queue_file = {
    .name = "file",
    .open = open_queue,
    .close = close_queue,
    .append = append,
    .sync = sync_queue,
    .read = ps_file_read,
    .trim = trim,
    .bury = bury,
    .dead = each_dead,
    .unbury = unbury,
    .info = info,
};
