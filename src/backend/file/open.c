/* open.c - what a file queue finds when it is opened: which segments, where the last one ends.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/file/file_queue.h"

#include "base/check.h"
#include "base/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void ps_file_name_segment(char to[SEGMENT_NAME_MAX], uint64_t base)
{
    snprintf(to, SEGMENT_NAME_MAX, "%020" PRIu64 ".seg", base);
}

int ps_file_fail(struct ps_err *e, const char *what)
{
    int code = ps_disk_is_full(errno) ? PS_EFULL : PS_EIO;
    return ps_fail(e, code, "queue: %s: %s", what, strerror(errno));
}

int ps_file_reserve_segment(struct file_queue *q, struct ps_err *e)
{
    if (q->count < q->cap)
        return 0;
    size_t cap = q->cap == 0 ? 16 : q->cap * 2;
    struct segment *segments = realloc(q->segments, cap * sizeof *segments);
    if (segments == NULL)
        return ps_fail(e, PS_ENOMEM, "queue: no memory");
    q->segments = segments;
    q->cap = cap;
    return 0;
}

void ps_file_add_segment(struct file_queue *q, uint64_t base, uint64_t end)
{
    PS_ASSERT(q->count < q->cap);
    q->segments[q->count++] = (struct segment){base, end, ++q->serials};
}

static int compare_bases(const void *x, const void *y)
{
    const struct segment *a = x, *b = y;
    return a->base < b->base ? -1 : a->base > b->base;
}

static int list_segments(struct file_queue *q, struct ps_err *e)
{
    int fd = dup(q->dir), r = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL)
        return ps_file_fail(e, "list");
    rewinddir(d);
    for (struct dirent *entry; r == 0 && (entry = readdir(d)) != NULL;) {
        uint64_t base;
        int n = 0;
        if (sscanf(entry->d_name, "%20" SCNu64 ".seg%n", &base, &n) == 1 && n == 24 &&
            entry->d_name[n] == '\0') {
            r = ps_file_reserve_segment(q, e);
            if (r == 0)
                ps_file_add_segment(q, base, 0);
        }
    }
    closedir(d);
    if (q->count > 0)
        qsort(q->segments, q->count, sizeof *q->segments, compare_bases);
    return r;
}

/* Where whole frames end. */
static size_t scan_frames(const uint8_t *bytes, size_t len)
{
    struct ps_frame frame;
    size_t at = PS_SEGMENT_HEADER_BYTES;
    while (at < len && ps_frame_next(bytes, len, &at, &frame) == 1)
        continue;
    return at;
}

static int examine(struct file_queue *q, const char *name, struct segment *s, const uint8_t *bytes,
                   size_t len, struct ps_err *e)
{
    uint64_t base;
    if (!ps_segment_parse_header(bytes, len, &base) || base != s->base)
        return len < PS_SEGMENT_HEADER_BYTES
                   ? 1 /* made, but its header is not written: a crash, or this very moment */
                   : ps_fail(e, PS_ECORRUPT, "queue: %s does not begin like a segment", name);
    size_t at = scan_frames(bytes, len);
    s->end = s->base + at;
    if (at < len && ps_segment_find_marks(bytes + at, len - at) > s->end)
        return ps_fail(e, PS_ECORRUPT,
                       "queue: %s is damaged at byte %zu, and acknowledged events follow: restore "
                       "the file, or move it away to go on without them",
                       name, at);
    struct ps_frame frame;
    q->cut_bytes = len - at;
    q->cut_in_doubt = at < len && ps_frame_next(bytes, len, &at, &frame) < 0;
    return 0;
}

/* One generation of what is cut off, for whoever can mend it by hand. What is merely unfinished is
 * cut without it, too: a start on a full disk must not fail for that. */
static int keep_cut(struct file_queue *q, const uint8_t *bytes, size_t len, struct ps_err *e)
{
    static const char name[] = "segment.cut";
    int fd = ps_disk_open(q->dir, name, O_RDWR | O_CREAT | O_TRUNC, 0640), r = 0;
    if (fd < 0 || ps_disk_write(fd, bytes, len, 0) < 0 || ps_disk_sync_data(fd) < 0 ||
        ps_disk_sync(q->dir) < 0)
        r = ps_file_fail(e, name);
    if (fd >= 0)
        close(fd);
    return q->cut_in_doubt ? r : 0;
}

/* Reads a file from `from` on into *ret, which the caller frees. */
static int read_file(struct file_queue *q, const char *name, uint64_t from, uint8_t **ret,
                     size_t *ret_len, struct ps_err *e)
{
    struct stat st;
    uint8_t *bytes = NULL;
    int fd = ps_disk_open(q->dir, name, O_RDONLY, 0), r = 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        r = ps_file_fail(e, name);
    size_t len = r == 0 && (uint64_t)st.st_size > from ? (size_t)st.st_size - from : 0;
    if (r == 0 && (bytes = malloc(len + 1)) == NULL)
        r = ps_fail(e, PS_ENOMEM, "queue: no memory to look through %s", name);
    ssize_t n = r == 0 ? ps_disk_read(fd, bytes, len, (off_t)from) : 0;
    if (n < 0)
        r = ps_file_fail(e, name);
    if (fd >= 0)
        close(fd);
    if (r < 0) {
        free(bytes);
        return r;
    }
    *ret = bytes;
    *ret_len = (size_t)n;
    return 0;
}

/* Fills in the end of the last segment. 1: it has no header yet. */
static int scan_last(struct file_queue *q, struct ps_err *e)
{
    struct segment *s = &q->segments[q->count - 1];
    char name[SEGMENT_NAME_MAX];
    uint8_t *bytes;
    size_t len;
    ps_file_name_segment(name, s->base);
    int r = read_file(q, name, 0, &bytes, &len, e);
    if (r < 0)
        return r;
    r = examine(q, name, s, bytes, len, e);
    if (r == 0 && q->writable && q->cut_bytes > 0)
        r = keep_cut(q, bytes + (len - q->cut_bytes), q->cut_bytes, e);
    free(bytes);
    return r;
}

/* A segment that goes on behind the base of the next one was left after a failed sync: nobody was
 * told that those bytes are durable. Marks among them that say so belong to another story. */
static int check_left(struct file_queue *q, const char *name, uint64_t base, uint64_t end,
                      struct ps_err *e)
{
    uint8_t *bytes;
    size_t len;
    int r = read_file(q, name, end - base, &bytes, &len, e);
    if (r < 0)
        return r;
    if (ps_segment_find_marks(bytes, len) > end)
        r = ps_fail(
            e, PS_ECORRUPT,
            "queue: %s and the segment after it hold the same positions: restore the folder", name);
    free(bytes);
    return r;
}

static int check_chain(struct file_queue *q, struct ps_err *e)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i + 1 < q->count; i++) {
        char name[SEGMENT_NAME_MAX];
        struct stat st;
        uint64_t base = q->segments[i].base, end = q->segments[i + 1].base;
        ps_file_name_segment(name, base);
        if (fstatat(q->dir, name, &st, 0) < 0) {
            if (errno == ENOENT && !q->writable && i == 0)
                return PS_EBUSY; /* trimmed by the writer since it was listed */
            return ps_file_fail(e, name);
        }
        if (base + (uint64_t)st.st_size < end)
            return ps_fail(e, PS_ECORRUPT,
                           "queue: after %s a segment is missing or it was cut: restore the folder",
                           name);
        if (base + (uint64_t)st.st_size > end)
            r = check_left(q, name, base, end, e);
        q->segments[i].end = end;
    }
    return r;
}

/* Under another name until it is whole: one that is renamed into place has its header, and may
 * take the place of an empty one. */
static int make_file(struct file_queue *q, uint64_t base, int *ret_fd, struct ps_err *e)
{
    static const char fresh_name[] = "segment.new";
    char name[SEGMENT_NAME_MAX];
    uint8_t header[PS_SEGMENT_HEADER_BYTES];
    ps_file_name_segment(name, base);
    ps_segment_header(header, base);
    int fd = ps_disk_open(q->dir, fresh_name, O_RDWR | O_CREAT | O_TRUNC, 0640);
    if (fd < 0)
        return ps_file_fail(e, name);
    if (ps_disk_write(fd, header, sizeof header, 0) < 0 || ps_disk_sync_data(fd) < 0 ||
        ps_disk_rename(q->dir, fresh_name, name) < 0 || ps_disk_sync(q->dir) < 0) {
        int r = ps_file_fail(e, name);
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int ps_file_make_segment(struct file_queue *q, uint64_t base, struct ps_err *e)
{
    int fd = -1;
    int r = make_file(q, base, &fd, e);
    q->must_roll = r < 0;
    if (r < 0)
        return r;
    if (q->tail_fd >= 0)
        close(q->tail_fd);
    q->tail_fd = fd;
    q->tail_base = base;
    q->written = base + PS_SEGMENT_HEADER_BYTES;
    return 0;
}

/* The sync is for what a process that was killed had written and not synced: from now on it counts
 * as durable. */
static int open_tail(struct file_queue *q, struct ps_err *e)
{
    struct segment *s = &q->segments[q->count - 1];
    char name[SEGMENT_NAME_MAX];
    ps_file_name_segment(name, s->base);
    q->tail_fd = ps_disk_open(q->dir, name, O_RDWR, 0);
    if (q->tail_fd < 0 || ps_disk_truncate(q->tail_fd, (off_t)(s->end - s->base)) < 0 ||
        ps_disk_sync_data(q->tail_fd) < 0)
        return ps_file_fail(e, name);
    q->tail_base = s->base;
    q->written = s->end;
    return 0;
}

static int make_last(struct file_queue *q, uint64_t base, struct ps_err *e)
{
    int r = ps_file_reserve_segment(q, e);
    if (r == 0)
        r = ps_file_make_segment(q, base, e);
    if (r == 0)
        ps_file_add_segment(q, base, q->written);
    return r;
}

int ps_file_load(struct file_queue *q, struct ps_err *e)
{
    int r = list_segments(q, e);
    if (r == 0 && q->count > 0)
        r = scan_last(q, e);
    if (r == 1 && !q->writable) {
        q->segments[q->count - 1].end = q->segments[q->count - 1].base;
        r = 0;
    } else if (r == 1) {
        r = make_last(q, q->segments[--q->count].base, e);
    } else if (r == 0 && q->count > 0 && q->writable) {
        r = open_tail(q, e);
    }
    if (r == 0)
        r = check_chain(q, e);
    if (r == PS_EBUSY) {
        q->count = 0;
        return ps_file_load(q, e);
    }
    if (r == 0 && q->count > 0)
        q->durable = q->segments[q->count - 1].end;
    return r;
}

int ps_file_begin(struct file_queue *q, struct ps_err *e)
{
    const struct ps_dead *d = &q->dead;
    int r = make_last(q, d->count > 0 ? d->entries[d->count - 1].position + 1 : 0, e);
    if (r == 0)
        q->durable = q->written;
    return r;
}
