/* queue.c - `ps_queue_file`: a folder of append-only segments (segment.h) and the dead letters.
 *
 * The position of a record is where its frame begins in one endless byte stream; each segment holds
 * the stretch that begins at its base, which is in its name. Appends are gathered in memory and
 * written in one go; sync writes them down (fdatasync) and only then moves `durable`, the end of
 * what readers see.
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
#include <unistd.h>

enum {
    READ_BYTES = 1 << 20,
    SEGMENTS_OF_MAX = 4,  /* bytes_max holds at least so many segments */
    APPEND_KEEP = 4 << 20 /* the append buffer is not kept larger */
};

static struct file_queue *file_of(struct ps_queue *q)
{
    return (struct file_queue *)q;
}

static void close_queue(struct ps_queue *queue)
{
    struct file_queue *q = file_of(queue);
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
    free(q);
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
    ps_buf_init(&q->append, SIZE_MAX / 2);
    if (q->writable)
        ps_disk_mkdir(AT_FDCWD, target, 0750); /* when it fails, so does the open */
    q->dir = ps_disk_open(AT_FDCWD, target, O_RDONLY | O_DIRECTORY, 0);
    int r = q->dir < 0 ? ps_fail(e, errno == ENOENT ? PS_ENOENT : PS_EIO, "queue: open %s: %s",
                                 target, strerror(errno))
                       : ps_file_load(q, e);
    if (r == 0)
        r = ps_dead_open(&q->dead, q->dir, q->writable, limits->dead_letter_bytes_max, e);
    if (r < 0) {
        close_queue(&q->base);
        return r;
    }
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

/* Cuts what reached the file of a write that failed. */
static int flush(struct file_queue *q, struct ps_err *e)
{
    uint64_t base = q->tail_base;
    if (ps_disk_write(q->tail_fd, q->append.ptr, q->append.len, (off_t)(q->written - base)) < 0) {
        int r = ps_file_fail(e, "write");
        if (ps_disk_truncate(q->tail_fd, (off_t)(q->written - base)) < 0)
            q->broken = true;
        return r;
    }
    q->written += q->append.len;
    ps_buf_clear(&q->append);
    if (q->append.cap > APPEND_KEEP) {
        ps_buf_done(&q->append);
        ps_buf_init(&q->append, SIZE_MAX / 2);
    }
    return 0;
}

static int sync_tail(struct file_queue *q, struct ps_err *e)
{
    if (ps_disk_sync_data(q->tail_fd) == 0)
        return 0;
    q->broken = true;
    return ps_file_fail(e, "sync");
}

/* The tail is full: all of it becomes durable, then the next one begins. */
static int roll_over(struct file_queue *q, struct ps_err *e)
{
    uint64_t base = q->written;
    int r = sync_tail(q, e);
    if (r == 0)
        r = ps_file_make_segment(q, base, e);
    if (r < 0)
        return r;
    pthread_mutex_lock(&q->lock);
    q->segments[q->count - 1].end = base;
    r = ps_file_add_segment(q, base, q->written, e);
    pthread_mutex_unlock(&q->lock);
    q->broken = q->broken || r < 0;
    return r;
}

static uint64_t live_bytes(struct file_queue *q)
{
    pthread_mutex_lock(&q->lock);
    uint64_t first = q->segments[0].base;
    pthread_mutex_unlock(&q->lock);
    return appended_to(q) - first;
}

static int append(struct ps_queue *queue, const struct ps_str *records, size_t count,
                  struct ps_err *e)
{
    struct file_queue *q = file_of(queue);
    PS_ASSERT(q->writable);
    if (q->broken)
        return ps_fail(e, PS_EIO, "queue: an earlier write could not be made durable; restart");
    size_t bytes = PS_FRAME_HEADER_BYTES + PS_FRAME_MARK_BYTES;
    for (size_t i = 0; i < count; i++)
        bytes += PS_FRAME_HEADER_BYTES + records[i].len;
    bool is_full = live_bytes(q) + bytes > q->limits.bytes_max;
    /* trim cannot take the tail: close it, or a queue that is all tail stays full for ever */
    if (is_full && q->append.len == 0 && q->written - q->tail_base > PS_SEGMENT_HEADER_BYTES) {
        int rolled = roll_over(q, e);
        if (rolled < 0)
            return rolled;
    }
    if (is_full)
        return ps_fail(e, PS_EFULL, "queue: full (%llu bytes)",
                       (unsigned long long)q->limits.bytes_max);
    int r = 0;
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
    struct file_queue *q = file_of(queue);
    if (q->broken)
        return ps_fail(e, PS_EIO, "queue: an earlier write could not be made durable; restart");
    if (q->append.len > 0) {
        int r = flush(q, e);
        if (r < 0) {
            ps_buf_clear(&q->append); /* none of them: their producers are told */
            return r;
        }
        r = sync_tail(q, e);
        if (r < 0)
            return r;
    }
    pthread_mutex_lock(&q->lock);
    q->durable = q->written;
    q->segments[q->count - 1].end = q->written;
    pthread_mutex_unlock(&q->lock);
    *ret_end = q->durable;
    return 0;
}

/* --- reading --- */

/* The segment that holds `from`, and where its durable part ends. 0: nothing there yet, and
 * *ret_end is where the queue ends. */
static int find_segment(struct file_queue *q, uint64_t *from, uint64_t *ret_base, uint64_t *ret_end,
                        struct ps_err *e)
{
    int found = 0;
    pthread_mutex_lock(&q->lock);
    *ret_end = q->durable;
    if (q->count > 0 && *from == 0)
        *from = q->segments[0].base;
    if (q->count > 0 && *from < q->segments[0].base)
        found = ps_fail(e, PS_ENOENT, "queue: what was at %llu has been trimmed",
                        (unsigned long long)*from);
    for (size_t i = q->count; found == 0 && i-- > 0;) {
        uint64_t end = i + 1 == q->count ? q->durable : q->segments[i].end;
        if (q->segments[i].base > *from)
            continue;
        if (*from >= end)
            break;
        *ret_base = q->segments[i].base;
        *ret_end = end;
        found = 1;
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

static int open_segment(struct file_queue *q, uint64_t base, struct ps_err *e)
{
    char name[SEGMENT_NAME_MAX];
    if (q->read_fd >= 0 && q->read_base == base)
        return 0;
    if (q->read_fd >= 0)
        close(q->read_fd);
    ps_file_name_segment(name, base);
    q->read_fd = ps_disk_open(q->dir, name, O_RDONLY, 0);
    q->read_base = base;
    if (q->read_fd < 0) /* a reader beside the writer: trimmed since */
        return errno == ENOENT ? ps_fail(e, PS_ENOENT, "queue: %s has been trimmed", name)
                               : ps_file_fail(e, name);
    return 0;
}

static int take_record(struct ps_records *ret, const struct ps_frame *frame, uint64_t position)
{
    if (ret->count == ret->cap) {
        size_t cap = ret->cap == 0 ? 256 : ret->cap * 2;
        struct ps_record *items = realloc(ret->items, cap * sizeof *items);
        if (items == NULL)
            return PS_ENOMEM;
        ret->items = items;
        ret->cap = cap;
    }
    ret->items[ret->count++] = (struct ps_record){frame->payload, frame->len, position};
    return 0;
}

/* Frames of bytes[*at..], until there are records_max records. The buffer may still move, so a
 * record's bytes are kept as an offset until the end. */
static int parse_frames(struct ps_records *ret, size_t records_max, size_t *at, uint64_t position,
                        struct ps_err *e)
{
    const uint8_t *bytes = (const uint8_t *)ret->bytes.ptr;
    struct ps_frame frame;
    while (ret->count < records_max) {
        size_t start = *at;
        int r = ps_frame_next(bytes, ret->bytes.len, at, &frame);
        if (r == 0)
            return 0;
        if (r < 0)
            return ps_fail(e, PS_ECORRUPT,
                           "queue: the record at %llu is damaged: restore its segment",
                           (unsigned long long)(position + start));
        frame.payload = (const uint8_t *)(uintptr_t)(frame.payload - bytes);
        if (!frame.is_mark && take_record(ret, &frame, position + start) < 0)
            return ps_fail(e, PS_ENOMEM, "queue: no memory for %zu records", ret->count);
    }
    return 0;
}

static int read_frames(struct file_queue *q, uint64_t from, uint64_t end, size_t records_max,
                       struct ps_records *ret, struct ps_err *e)
{
    size_t at = 0;
    int r = 0;
    while (r == 0 && ret->count < records_max && from + ret->bytes.len < end) {
        uint64_t left = end - from - ret->bytes.len;
        size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
        if (ps_buf_reserve(&ret->bytes, want) < 0)
            return ps_fail(e, PS_ENOMEM, "queue: no memory to read");
        ssize_t n = ps_disk_read(q->read_fd, ret->bytes.ptr + ret->bytes.len, want,
                                 (off_t)(from - q->read_base + ret->bytes.len));
        if (n <= 0)
            return n < 0 ? ps_file_fail(e, "read")
                         : ps_fail(e, PS_ECORRUPT, "queue: the segment at %llu was cut short",
                                   (unsigned long long)q->read_base);
        ret->bytes.len += (size_t)n;
        r = parse_frames(ret, records_max, &at, from, e);
    }
    if (r == 0 && at == 0 && from < end)
        r = ps_fail(e, PS_ECORRUPT, "queue: there is no record at %llu", (unsigned long long)from);
    ret->next_position = from + at;
    for (size_t i = 0; i < ret->count; i++)
        ret->items[i].bytes = (const uint8_t *)ret->bytes.ptr + (uintptr_t)ret->items[i].bytes;
    return r;
}

static int read_queue(struct ps_queue *queue, uint64_t from, size_t records_max,
                      struct ps_records *ret, struct ps_err *e)
{
    struct file_queue *q = file_of(queue);
    uint64_t base = 0, end = 0;
    int r = 0;
    while (ret->count == 0 && records_max > 0) { /* a segment may end with a mark alone */
        ps_buf_clear(&ret->bytes);
        int found = find_segment(q, &from, &base, &end, e);
        if (found <= 0) {
            ret->next_position = from > end ? from : end;
            return found;
        }
        r = open_segment(q, base, e);
        if (r == 0 && from == base)
            from += PS_SEGMENT_HEADER_BYTES;
        if (r == 0 && from < end)
            r = read_frames(q, from, end, records_max, ret, e);
        else
            ret->next_position = from;
        if (r < 0) {
            ret->count = 0;
            return r;
        }
        from = ret->next_position;
    }
    return 0;
}

/* --- the rest --- */

static int trim(struct ps_queue *queue, uint64_t before, struct ps_err *e)
{
    struct file_queue *q = file_of(queue);
    size_t gone = 0;
    int r = 0;
    pthread_mutex_lock(&q->lock);
    while (gone + 1 < q->count && q->segments[gone].end <= before) {
        char name[SEGMENT_NAME_MAX];
        ps_file_name_segment(name, q->segments[gone].base);
        if (ps_disk_unlink(q->dir, name) < 0 && errno != ENOENT) {
            r = ps_file_fail(e, name);
            break;
        }
        gone++;
    }
    memmove(q->segments, q->segments + gone, (q->count - gone) * sizeof *q->segments);
    q->count -= gone;
    pthread_mutex_unlock(&q->lock);
    return r;
}

static int bury(struct ps_queue *queue, const struct ps_dead_letter *letters, size_t count,
                struct ps_err *e)
{
    struct file_queue *q = file_of(queue);
    pthread_mutex_lock(&q->lock);
    int r = ps_dead_bury(&q->dead, letters, count, e);
    pthread_mutex_unlock(&q->lock);
    return r;
}

static int unbury(struct ps_queue *queue, uint64_t position, struct ps_err *e)
{
    struct file_queue *q = file_of(queue);
    pthread_mutex_lock(&q->lock);
    int r = ps_dead_unbury(&q->dead, position, e);
    pthread_mutex_unlock(&q->lock);
    return r;
}

static int each_dead(struct ps_queue *queue, ps_dead_fn *fn, void *ctx, struct ps_err *e)
{
    struct file_queue *q = file_of(queue);
    pthread_mutex_lock(&q->lock);
    int r = ps_dead_each(&q->dead, fn, ctx, e);
    pthread_mutex_unlock(&q->lock);
    return r;
}

static int info(struct ps_queue *queue, struct ps_queue_info *ret, struct ps_err *e)
{
    struct file_queue *q = file_of(queue);
    (void)e;
    pthread_mutex_lock(&q->lock);
    uint64_t first = q->count > 0 ? q->segments[0].base : 0;
    *ret = (struct ps_queue_info){
        .first_position = first,
        .end_position = q->durable,
        .bytes = q->durable - first,
        .bytes_max = q->limits.bytes_max,
        .dead_letters = q->dead.live,
        .dead_letter_bytes = q->dead.bytes,
    };
    pthread_mutex_unlock(&q->lock);
    return 0;
}

const struct ps_queue_ops ps_queue_file = {
    .name = "file",
    .open = open_queue,
    .close = close_queue,
    .append = append,
    .sync = sync_queue,
    .read = read_queue,
    .trim = trim,
    .bury = bury,
    .dead = each_dead,
    .unbury = unbury,
    .info = info,
};
