/* dead_load.c - what a file of dead letters holds, also when a part of it is damaged.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/file/dead_file.h"
#include "base/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { WINDOW_BYTES = 1 << 20, FRAME_MAX = PS_FRAME_HEADER_BYTES + PS_FRAME_PAYLOAD_MAX };

/* A stretch of the file in memory. */
struct window {
    int fd;
    uint64_t file_size, at;
    size_t len;
    uint8_t bytes[WINDOW_BYTES];
};

/* The bytes from `at` on, at least a frame's if the file has them. */
static int look_at(struct window *w, uint64_t at, const uint8_t **ret, size_t *ret_len,
                   struct ps_err *e)
{
    uint64_t left = w->file_size - at, need = left < FRAME_MAX ? left : FRAME_MAX;
    if (at < w->at || at + need > w->at + w->len) {
        size_t want = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        ssize_t n = ps_disk_read(w->fd, w->bytes, want, (off_t)at);
        if (n < 0)
            return ps_fail(e, PS_EIO, "queue: read " DEAD_FILE ": %s", strerror(errno));
        w->at = at;
        w->len = (size_t)n;
        if ((size_t)n < want) /* emptied by its writer meanwhile */
            w->file_size = at + (uint64_t)n;
    }
    *ret = w->bytes + (at - w->at);
    *ret_len = w->len - (size_t)(at - w->at);
    return 0;
}

static bool is_sound(const struct ps_frame *f)
{
    const uint8_t *p = f->payload;
    if (f->is_mark)
        return true;
    if (f->len < DEAD_LEAVES_BYTES)
        return false;
    if (p[0] == DEAD_LEAVES)
        return f->len == DEAD_LEAVES_BYTES;
    return p[0] == DEAD_ENTERS && f->len >= DEAD_ENTERS_BYTES &&
           DEAD_ENTERS_BYTES + dead_number(p + 19, 2) <= f->len &&
           dead_number(p + 17, 2) < PS_REJECT_COUNT && dead_number(p + 17, 2) > PS_REJECT_NONE;
}

/* The first mark at `from` or after it that tells of at least `durable` bytes; *ret is the file's
 * size when there is none. */
static int find_mark(struct window *w, uint64_t from, uint64_t durable, uint64_t *ret,
                     struct ps_err *e)
{
    for (uint64_t at = from; at < w->file_size; at++) {
        const uint8_t *bytes;
        struct ps_frame frame;
        size_t len, used = 0;
        int r = look_at(w, at, &bytes, &len, e);
        if (r < 0)
            return r;
        if (len < PS_FRAME_HEADER_BYTES || dead_number(bytes, 4) != PS_FRAME_MARK_WORD)
            continue;
        if (ps_frame_next(bytes, len, &used, &frame) == 1 && frame.durable >= durable) {
            *ret = at;
            return 0;
        }
    }
    *ret = w->file_size;
    return 0;
}

static int take(struct ps_dead *d, const struct ps_frame *f, uint64_t offset)
{
    uint64_t position = dead_position(f->payload);
    struct ps_dead_entry *entry = ps_dead_find(d, position);
    if (f->payload[0] == DEAD_LEAVES && entry != NULL)
        ps_dead_remove(d, entry);
    if (f->payload[0] == DEAD_LEAVES || entry != NULL)
        return 0;
    uint16_t why = (uint16_t)dead_number(f->payload + 17, 2);
    return ps_dead_add(d, (struct ps_dead_entry){position, offset, f->len, why});
}

/* Only the mark is broken: its letter follows. */
static bool is_broken_mark(const uint8_t *bytes, size_t len)
{
    struct ps_frame frame;
    size_t used = PS_FRAME_HEADER_BYTES + PS_FRAME_MARK_BYTES;
    return len > used && ps_frame_next(bytes, len, &used, &frame) == 1 && is_sound(&frame);
}

/* What is broken at *at: damage, if a later mark proves that it was durable, else a torn tail.
 * Reading goes on behind it either way: a letter nobody was told of does no harm. */
static int step_over(struct ps_dead *d, struct window *w, uint64_t *at, struct ps_err *e)
{
    const uint8_t *bytes;
    size_t len, used = 0;
    struct ps_frame frame;
    uint64_t proof = w->file_size, next = w->file_size;
    int r = look_at(w, *at, &bytes, &len, e);
    if (r == 0 && is_broken_mark(bytes, len)) {
        *at += PS_FRAME_HEADER_BYTES + PS_FRAME_MARK_BYTES;
        return 0;
    }
    bool is_short = r == 0 && ps_frame_next(bytes, len, &used, &frame) == 0;
    if (r == 0)
        r = find_mark(w, *at + 1, *at + 1, &proof, e);
    if (r == 0)
        r = find_mark(w, *at + 1, 0, &next, e);
    if (r < 0)
        return r;
    if (proof < w->file_size) {
        d->damaged++;
    } else {
        d->cut_bytes += next - *at;
        d->cut_in_doubt |= !is_short || next < w->file_size;
    }
    *at = next;
    return 0;
}

static int load(struct ps_dead *d, struct window *w, struct ps_err *e)
{
    uint64_t at = 0;
    int r = 0;
    while (r == 0 && at < w->file_size) {
        const uint8_t *bytes;
        struct ps_frame frame;
        size_t len, used = 0;
        r = look_at(w, at, &bytes, &len, e);
        if (r < 0)
            break;
        if (ps_frame_next(bytes, len, &used, &frame) != 1 || !is_sound(&frame)) {
            r = step_over(d, w, &at, e);
            continue;
        }
        uint64_t offset = at + (uint64_t)(frame.payload - bytes);
        if (!frame.is_mark && take(d, &frame, offset) < 0)
            r = ps_fail(e, PS_ENOMEM, "queue: no memory for the dead letters");
        at += used;
        d->size = at;
    }
    return r;
}

int ps_dead_load(struct ps_dead *d, struct ps_err *e)
{
    struct stat st;
    if (fstat(d->fd, &st) < 0)
        return ps_fail(e, PS_EIO, "queue: stat " DEAD_FILE ": %s", strerror(errno));
    struct window *w = malloc(sizeof *w);
    if (w == NULL)
        return ps_fail(e, PS_ENOMEM, "queue: no memory for the dead letters");
    w->fd = d->fd;
    w->file_size = (uint64_t)st.st_size;
    w->at = w->len = 0;
    int r = load(d, w, e);
    free(w);
    return r;
}
