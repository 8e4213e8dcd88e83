/* read.c - reading a file queue: which segment, and its frames.  SPDX-License-Identifier: MIT */
#include "backend/file/file_queue.h"

#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

/* The segment that holds `from`, as far as it is durable. 0: nothing there yet, and its end is
 * where the queue ends. */
static int find_segment(struct file_queue *q, uint64_t *from, struct segment *ret, struct ps_err *e)
{
    int found = 0;
    pthread_mutex_lock(&q->lock);
    ret->end = q->durable;
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
        *ret = q->segments[i];
        ret->end = end;
        found = 1;
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

static int open_segment(struct file_queue *q, const struct segment *s, struct ps_err *e)
{
    char name[SEGMENT_NAME_MAX];
    if (q->read_fd >= 0 && q->reading.base == s->base && q->reading.serial == s->serial)
        return 0;
    if (q->read_fd >= 0)
        close(q->read_fd);
    ps_file_name_segment(name, s->base);
    q->read_fd = ps_disk_open(q->dir, name, O_RDONLY, 0);
    q->reading = *s;
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
                                 (off_t)(from - q->reading.base + ret->bytes.len));
        if (n <= 0)
            return n < 0 ? ps_file_fail(e, "read")
                         : ps_fail(e, PS_ECORRUPT, "queue: the segment at %llu was cut short",
                                   (unsigned long long)q->reading.base);
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

/* Whatever is appended from now on would stand behind the hole: append and sync refuse. */
static void note_damage(struct file_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->damaged = true;
    pthread_mutex_unlock(&q->lock);
}

int ps_file_read(struct ps_queue *queue, uint64_t from, size_t records_max, struct ps_records *ret,
                 struct ps_err *e)
{
    struct file_queue *q = ps_file_of(queue);
    struct segment s = {0};
    int r = 0;
    while (ret->count == 0 && records_max > 0) { /* a segment may end with a mark alone */
        ps_buf_clear(&ret->bytes);
        int found = find_segment(q, &from, &s, e);
        if (found <= 0) {
            ret->next_position = from > s.end ? from : s.end;
            return found;
        }
        r = open_segment(q, &s, e);
        if (r == 0 && from == s.base)
            from += PS_SEGMENT_HEADER_BYTES;
        if (r == 0 && from < s.end)
            r = read_frames(q, from, s.end, records_max, ret, e);
        else
            ret->next_position = from;
        if (r == PS_ECORRUPT)
            note_damage(q);
        if (r < 0) {
            ret->count = 0;
            return r;
        }
        from = ret->next_position;
    }
    return 0;
}
