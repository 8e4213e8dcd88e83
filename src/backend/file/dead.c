/* dead.c - see dead.h and dead_file.h.  SPDX-License-Identifier: MIT */
#include "backend/file/dead_file.h"
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    COPY_BYTES = 1 << 20,
    SLACK_BYTES = 16 << 20, /* of the unburied, before the file is made anew */
};

static const char fresh_name[] = "dead-letters.new", damaged_name[] = "dead-letters.damaged",
                  cut_name[] = "dead-letters.cut";

/* --- frames --- */

static void put(struct ps_buf *b, uint64_t v, size_t n)
{
    v = htole64(v);
    ps_buf_append(b, &v, n);
}

static void add_frame(struct ps_buf *frames, const struct ps_buf *payload, bool is_mark)
{
    uint8_t header[PS_FRAME_HEADER_BYTES];
    ps_frame_header(header, payload->ptr, (uint32_t)payload->len, is_mark);
    ps_buf_append(frames, header, sizeof header);
    ps_buf_append(frames, payload->ptr, payload->len);
}

static void add_mark(struct ps_buf *frames, uint64_t durable)
{
    char bytes[PS_FRAME_MARK_BYTES];
    durable = htole64(durable);
    memcpy(bytes, &durable, sizeof bytes);
    add_frame(frames, &(struct ps_buf){.ptr = bytes, .len = sizeof bytes}, true);
}

static void encode(struct ps_buf *to, const struct ps_dead_letter *l)
{
    size_t text_len = l->text.len < DEAD_TEXT_MAX ? l->text.len : DEAD_TEXT_MAX;
    size_t len = l->len < PS_RECORD_BYTES_MAX ? l->len : PS_RECORD_BYTES_MAX;
    ps_buf_clear(to);
    put(to, DEAD_ENTERS, 1);
    put(to, l->position, 8);
    put(to, (uint64_t)l->time_ms, 8);
    put(to, (uint64_t)l->why, 2);
    put(to, text_len, 2);
    ps_buf_append(to, l->text.ptr, text_len);
    ps_buf_append(to, l->bytes, len);
}

static int fail_disk(struct ps_err *e, const char *what)
{
    int code = ps_disk_is_full(errno) ? PS_EFULL : PS_EIO;
    return ps_fail(e, code, "queue: %s: %s", what, strerror(errno));
}

static int read_payload(const struct ps_dead *d, const struct ps_dead_entry *entry,
                        struct ps_buf *to, struct ps_err *e)
{
    ps_buf_clear(to);
    if (ps_buf_reserve(to, entry->len) < 0)
        return ps_fail(e, PS_ENOMEM, "queue: no memory for a dead letter");
    ssize_t n = ps_disk_read(d->fd, to->ptr, entry->len, (off_t)entry->offset);
    if (n < 0)
        return fail_disk(e, "read " DEAD_FILE);
    if ((size_t)n < entry->len && d->writable)
        return ps_fail(e, PS_ECORRUPT, "queue: " DEAD_FILE " has become shorter");
    to->len = (size_t)n;
    return 0;
}

/* --- making the file anew --- */

static int write_copies(struct ps_dead *d, struct ps_buf *frames, struct ps_err *e)
{
    if (frames->failed)
        return ps_fail(e, frames->failed, "queue: no memory for dead letters");
    if (ps_disk_write(d->fd, frames->ptr, frames->len, (off_t)d->size) < 0)
        return fail_disk(e, "write dead-letters.new");
    d->size += frames->len;
    ps_buf_clear(frames);
    return 0;
}

/* The living letters, a few at a time. The file gets its name when all of it is durable, so each
 * mark may say so of what is before it; the last one speaks for the last letter. */
static int copy_living(const struct ps_dead *from, struct ps_dead *to, struct ps_err *e)
{
    struct ps_buf frames, payload;
    int r = 0;
    ps_buf_init(&frames, SIZE_MAX / 2);
    ps_buf_init(&payload, PS_FRAME_PAYLOAD_MAX);
    for (size_t i = 0; r == 0 && i < from->count; i++) {
        struct ps_dead_entry entry = from->entries[i];
        if (entry.len == 0)
            continue;
        r = read_payload(from, &entry, &payload, e);
        add_mark(&frames, to->size + frames.len);
        add_frame(&frames, &payload, false);
        entry.offset = to->size + frames.len - entry.len;
        if (r == 0 && ps_dead_add(to, entry) < 0)
            r = ps_fail(e, PS_ENOMEM, "queue: no memory for the dead letters");
        if (r == 0 && frames.len >= COPY_BYTES)
            r = write_copies(to, &frames, e);
    }
    if (r == 0 && to->live > 0) {
        add_mark(&frames, to->size + frames.len);
        r = write_copies(to, &frames, e);
    }
    ps_buf_done(&payload);
    ps_buf_done(&frames);
    return r;
}

static int keep_cut(int dir, struct ps_err *e)
{
    if ((ps_disk_unlink(dir, cut_name) < 0 && errno != ENOENT) ||
        ps_disk_link(dir, DEAD_FILE, cut_name) < 0)
        return fail_disk(e, "keep dead-letters.cut");
    return 0;
}

static int put_in_place(struct ps_dead *fresh, bool keep_old, struct ps_err *e)
{
    if (ps_disk_sync_data(fresh->fd) < 0)
        return fail_disk(e, "sync dead-letters.new");
    if (keep_old && ps_disk_link(fresh->dir, DEAD_FILE, damaged_name) < 0 && errno != EEXIST)
        return fail_disk(e, "keep dead-letters.damaged");
    if (ps_disk_rename(fresh->dir, fresh_name, DEAD_FILE) < 0 || ps_disk_sync(fresh->dir) < 0)
        return fail_disk(e, "rename dead-letters.new");
    return 0;
}

/* `doubtful` until it is done: after a failure nobody knows which file has the name. */
static int make_anew(struct ps_dead *d, bool keep_old, struct ps_err *e)
{
    struct ps_dead fresh = {.dir = d->dir,
                            .writable = true,
                            .bytes_max = d->bytes_max,
                            .cut_bytes = d->cut_bytes,
                            .cut_in_doubt = d->cut_in_doubt,
                            .damaged = d->damaged};
    fresh.fd = ps_disk_open(d->dir, fresh_name, O_RDWR | O_CREAT | O_TRUNC, 0640);
    int r = fresh.fd < 0 ? fail_disk(e, "make dead-letters.new") : copy_living(d, &fresh, e);
    if (r == 0) {
        r = put_in_place(&fresh, keep_old, e);
        d->doubtful = d->doubtful || r < 0;
    }
    if (r < 0) {
        ps_dead_close(&fresh);
        return r;
    }
    fresh.new_size = 2 * fresh.size + SLACK_BYTES;
    ps_dead_close(d);
    *d = fresh;
    return 0;
}

/* Before each write. A file that is only too large can wait, but not grow without end. */
static int prepare(struct ps_dead *d, struct ps_err *e)
{
    bool must = d->doubtful;
    if (!must && d->size <= d->new_size)
        return 0;
    int r = make_anew(d, false, e);
    if (r < 0 && !must && !d->doubtful) {
        d->new_size = 2 * d->size;
        return 0;
    }
    return r;
}

static int write_frames(struct ps_dead *d, const struct ps_buf *frames, struct ps_err *e)
{
    if (frames->failed)
        return ps_fail(e, frames->failed, "queue: no memory for dead letters");
    if (ps_disk_write(d->fd, frames->ptr, frames->len, (off_t)d->size) < 0) {
        int r = fail_disk(e, "write " DEAD_FILE);
        d->doubtful = ps_disk_truncate(d->fd, (off_t)d->size) < 0;
        return r;
    }
    if (ps_disk_sync_data(d->fd) < 0) {
        d->doubtful = true;
        return fail_disk(e, "sync " DEAD_FILE);
    }
    d->size += frames->len;
    return 0;
}

/* --- the verbs --- */

static int open_to_write(struct ps_dead *d, struct ps_err *e)
{
    if (d->fd < 0 || d->damaged > 0 || d->cut_bytes > 0) {
        int r = d->cut_bytes > 0 ? keep_cut(d->dir, e) : 0;
        return r < 0 && d->cut_in_doubt ? r : make_anew(d, d->damaged > 0, e);
    }
    if (ps_disk_sync_data(d->fd) < 0) /* a process that was killed may not have come to that */
        return fail_disk(e, "sync " DEAD_FILE);
    d->new_size = 2 * d->bytes + SLACK_BYTES;
    return 0;
}

int ps_dead_open(struct ps_dead *d, int dir, bool writable, uint64_t bytes_max, struct ps_err *e)
{
    int r = 0;
    *d = (struct ps_dead){.dir = dir, .writable = writable, .bytes_max = bytes_max};
    d->fd = ps_disk_open(dir, DEAD_FILE, writable ? O_RDWR : O_RDONLY, 0);
    if (d->fd >= 0)
        r = ps_dead_load(d, e);
    else if (errno != ENOENT)
        r = fail_disk(e, "open " DEAD_FILE);
    if (r == 0 && writable)
        r = open_to_write(d, e);
    if (r < 0)
        ps_dead_close(d);
    return r;
}

void ps_dead_close(struct ps_dead *d)
{
    free(d->entries);
    if (d->fd >= 0)
        close(d->fd);
    *d = (struct ps_dead){.fd = -1};
}

static int fail_full(const struct ps_dead *d, struct ps_err *e)
{
    return ps_fail(e, PS_EFULL,
                   "the dead letters are full (%llu bytes, their reserve included): see "
                   "`pathstats dead-letters list` and `purge`, or raise dead_letters_max",
                   (unsigned long long)d->bytes_max);
}

/* Letters of this call are entries at once, so that one position given twice is one; after a
 * failure they are taken back. */
int ps_dead_bury(struct ps_dead *d, const struct ps_dead_letter *letters, size_t count,
                 struct ps_err *e)
{
    struct ps_buf frames, payload;
    bool *added = calloc(count, sizeof *added);
    int r = added == NULL ? ps_fail(e, PS_ENOMEM, "queue: no memory for dead letters") : 0;
    if (r == 0)
        r = prepare(d, e);
    ps_buf_init(&frames, SIZE_MAX / 2);
    ps_buf_init(&payload, PS_FRAME_PAYLOAD_MAX);
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (ps_dead_find(d, letters[i].position) != NULL)
            continue;
        encode(&payload, &letters[i]);
        add_mark(&frames, d->size);
        add_frame(&frames, &payload, false);
        struct ps_dead_entry entry = {letters[i].position, d->size + frames.len - payload.len,
                                      (uint32_t)payload.len, (uint16_t)letters[i].why};
        if (payload.failed)
            r = ps_fail(e, payload.failed, "queue: no memory for a dead letter");
        else if (d->bytes + payload.len > d->bytes_max)
            r = fail_full(d, e);
        else if (ps_dead_add(d, entry) < 0)
            r = ps_fail(e, PS_ENOMEM, "queue: no memory for the dead letters");
        added[i] = r == 0;
    }
    if (r == 0 && frames.len > 0)
        r = write_frames(d, &frames, e);
    for (size_t i = 0; r < 0 && added != NULL && i < count; i++)
        if (added[i])
            ps_dead_remove(d, ps_dead_find(d, letters[i].position));
    free(added);
    ps_buf_done(&payload);
    ps_buf_done(&frames);
    return r;
}

static int write_leaves(struct ps_dead *d, const uint64_t *positions, size_t count,
                        struct ps_err *e)
{
    struct ps_buf frames, payload;
    ps_buf_init(&frames, SIZE_MAX / 2);
    ps_buf_init(&payload, DEAD_LEAVES_BYTES);
    add_mark(&frames, d->size);
    for (size_t i = 0; i < count; i++) {
        if (ps_dead_find(d, positions[i]) == NULL)
            continue;
        ps_buf_clear(&payload);
        put(&payload, DEAD_LEAVES, 1);
        put(&payload, positions[i], 8);
        add_frame(&frames, &payload, false);
    }
    int r =
        frames.len > PS_FRAME_HEADER_BYTES + PS_FRAME_MARK_BYTES ? write_frames(d, &frames, e) : 0;
    ps_buf_done(&payload);
    ps_buf_done(&frames);
    return r;
}

int ps_dead_unbury(struct ps_dead *d, const uint64_t *positions, size_t count, struct ps_err *e)
{
    int removed = 0;
    int r = prepare(d, e);
    if (r == 0)
        r = write_leaves(d, positions, count, e);
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct ps_dead_entry *entry = ps_dead_find(d, positions[i]);
        if (entry != NULL) {
            ps_dead_remove(d, entry);
            removed++;
        }
    }
    if (removed > 0 && d->live == 0 && ps_disk_truncate(d->fd, 0) == 0)
        d->size = 0;
    return r < 0 ? r : removed;
}

/* A reader beside the writer may find other bytes there: the letter has left since. */
static bool is_there(const struct ps_dead *d, const struct ps_dead_entry *entry,
                     const struct ps_buf *payload)
{
    const uint8_t *p = (const uint8_t *)payload->ptr;
    return d->writable ||
           (payload->len == entry->len && p[0] == DEAD_ENTERS &&
            dead_position(p) == entry->position && dead_number(p + 17, 2) == entry->why &&
            DEAD_ENTERS_BYTES + dead_number(p + 19, 2) <= payload->len);
}

static int hand_on(const struct ps_buf *payload, ps_dead_fn *fn, void *ctx)
{
    const uint8_t *p = (const uint8_t *)payload->ptr;
    size_t text_len = dead_number(p + 19, 2);
    struct ps_dead_letter l = {
        .position = dead_position(p),
        .time_ms = (int64_t)dead_number(p + 9, 8),
        .why = (enum ps_reject)dead_number(p + 17, 2),
        .text = {payload->ptr + DEAD_ENTERS_BYTES, text_len},
        .bytes = p + DEAD_ENTERS_BYTES + text_len,
        .len = payload->len - DEAD_ENTERS_BYTES - text_len,
    };
    return fn(ctx, &l);
}

int ps_dead_each(struct ps_dead *d, uint64_t from, ps_dead_fn *fn, void *ctx, struct ps_err *e)
{
    struct ps_buf payload;
    int r = 0;
    ps_buf_init(&payload, PS_FRAME_PAYLOAD_MAX);
    for (size_t i = ps_dead_lower_bound(d, from); r == 0 && i < d->count; i++) {
        if (d->entries[i].len == 0)
            continue;
        r = read_payload(d, &d->entries[i], &payload, e);
        if (r == 0 && is_there(d, &d->entries[i], &payload))
            r = hand_on(&payload, fn, ctx);
    }
    ps_buf_done(&payload);
    return r;
}

void ps_dead_info(const struct ps_dead *d, struct ps_queue_info *ret)
{
    ret->dead_letters = d->live;
    ret->dead_letter_bytes = d->bytes;
    memcpy(ret->dead_by_reason, d->by_reason, sizeof ret->dead_by_reason);
    ret->cut_bytes += d->cut_bytes;
    ret->cut_in_doubt |= d->cut_in_doubt;
    ret->letters_damaged = d->damaged;
}
