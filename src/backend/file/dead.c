/* dead.c - see dead.h. A frame's payload:
 *
 *     u8 kind, u64 position                                       LEAVES
 *     u8 kind, u64 position, i64 time, u16 why, u16 text length, text, record     ENTERS
 *
 * Integers little-endian. `why` is an enum ps_reject: its numbers are part of this format, so new
 * reasons go at its end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/file/dead.h"

#include "backend/file/segment.h"
#include "base/disk.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KIND_ENTERS = 1, KIND_LEAVES = 2, LEAVES_BYTES = 9, ENTERS_BYTES = 21, TEXT_MAX = 1024 };

/* Frames are bounded by PS_RECORD_BYTES_MAX, so a letter's record has this much. */
enum { LETTER_RECORD_MAX = PS_RECORD_BYTES_MAX, COPY_BYTES = 1 << 20 };
_Static_assert(ENTERS_BYTES + TEXT_MAX + LETTER_RECORD_MAX <= (int)PS_FRAME_PAYLOAD_MAX, "");

static const char file_name[] = "dead-letters", fresh_name[] = "dead-letters.new";

static uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return le64toh(v);
}

static void put(struct ps_buf *b, uint64_t v, size_t n)
{
    v = htole64(v);
    ps_buf_append(b, &v, n);
}

/* The index of the first entry at or after the position. */
static size_t lower_bound(const struct ps_dead *d, uint64_t position)
{
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->entries[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct ps_dead_entry *find(const struct ps_dead *d, uint64_t position)
{
    size_t i = lower_bound(d, position);
    return i < d->count && d->entries[i].position == position && d->entries[i].len > 0
               ? &d->entries[i]
               : NULL;
}

static int make_room(struct ps_dead *d)
{
    if (d->count < d->cap)
        return 0;
    size_t cap = d->cap == 0 ? 16 : d->cap * 2;
    struct ps_dead_entry *entries = realloc(d->entries, cap * sizeof *entries);
    if (entries == NULL)
        return PS_ENOMEM;
    d->entries = entries;
    d->cap = cap;
    return 0;
}

/* Letters come in queue order, nearly always at the end. */
static int add_entry(struct ps_dead *d, struct ps_dead_entry entry)
{
    size_t i = lower_bound(d, entry.position);
    if (i == d->count || d->entries[i].position != entry.position) {
        if (make_room(d) < 0)
            return PS_ENOMEM;
        memmove(&d->entries[i + 1], &d->entries[i], (d->count - i) * sizeof *d->entries);
        d->count++;
    }
    d->entries[i] = entry;
    d->bytes += entry.len;
    d->live++;
    return 0;
}

static void remove_entry(struct ps_dead *d, struct ps_dead_entry *entry)
{
    size_t kept = 0;
    d->bytes -= entry->len;
    d->live--;
    entry->len = 0;
    if (d->live * 2 > d->count)
        return;
    for (size_t i = 0; i < d->count; i++)
        if (d->entries[i].len > 0)
            d->entries[kept++] = d->entries[i];
    d->count = kept;
}

/* --- reading the file --- */

static bool is_whole(const struct ps_frame *f)
{
    const char *p = (const char *)f->payload;
    if (f->is_mark)
        return true;
    if (f->len < LEAVES_BYTES)
        return false;
    if (p[0] == KIND_LEAVES)
        return f->len == LEAVES_BYTES;
    return p[0] == KIND_ENTERS && f->len >= ENTERS_BYTES &&
           ENTERS_BYTES + load(p + 19, 2) <= f->len && load(p + 17, 2) < PS_REJECT_COUNT &&
           load(p + 17, 2) > PS_REJECT_NONE;
}

static int replay(struct ps_dead *d, const uint8_t *bytes, size_t len)
{
    struct ps_frame f;
    size_t at = 0;
    int r = 0;
    while (r == 0 && ps_frame_next(bytes, len, &at, &f) == 1 && is_whole(&f)) {
        d->size = at;
        if (f.is_mark)
            continue;
        uint64_t position = load((const char *)f.payload + 1, 8);
        struct ps_dead_entry *entry = find(d, position);
        if (f.payload[0] == KIND_ENTERS && entry == NULL)
            r = add_entry(d,
                          (struct ps_dead_entry){position, (uint64_t)(f.payload - bytes), f.len});
        else if (f.payload[0] == KIND_LEAVES && entry != NULL)
            remove_entry(d, entry);
        d->size = at;
    }
    return r;
}

static int load_file(struct ps_dead *d, int dir, struct ps_err *e)
{
    struct stat st;
    d->fd = ps_disk_open(dir, file_name, O_RDONLY, 0);
    if (d->fd < 0)
        return errno == ENOENT
                   ? 0
                   : ps_fail(e, PS_EIO, "queue: open %s: %s", file_name, strerror(errno));
    if (fstat(d->fd, &st) < 0)
        return ps_fail(e, PS_EIO, "queue: stat %s: %s", file_name, strerror(errno));
    if (st.st_size == 0)
        return 0;
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, d->fd, 0);
    if (bytes == MAP_FAILED)
        return ps_fail(e, PS_EIO, "queue: map %s: %s", file_name, strerror(errno));
    int r = replay(d, bytes, (size_t)st.st_size);
    bool damaged = ps_segment_find_marks((const uint8_t *)bytes + d->size,
                                         (size_t)st.st_size - d->size) > d->size;
    munmap(bytes, (size_t)st.st_size);
    if (r == 0 && damaged)
        return ps_fail(e, PS_ECORRUPT,
                       "queue: %s is damaged at byte %llu: restore it, or move it"
                       " away to go on without its letters",
                       file_name, (unsigned long long)d->size);
    return r < 0 ? ps_fail(e, r, "queue: no memory for the dead letters") : 0;
}

static int read_payload(const struct ps_dead *d, const struct ps_dead_entry *entry,
                        struct ps_buf *to, struct ps_err *e)
{
    ps_buf_clear(to);
    if (ps_buf_reserve(to, entry->len) < 0)
        return ps_fail(e, PS_ENOMEM, "queue: no memory for a dead letter");
    if (ps_disk_read(d->fd, to->ptr, entry->len, (off_t)entry->offset) != (ssize_t)entry->len)
        return ps_fail(e, PS_EIO, "queue: read %s: %s", file_name, strerror(errno));
    to->len = entry->len;
    return 0;
}

/* --- writing --- */

/* Every write begins with a mark, as in the queue: it proves that what is before was durable. */
static void add_mark(struct ps_buf *frames, uint64_t durable)
{
    uint8_t header[PS_FRAME_HEADER_BYTES];
    durable = htole64(durable);
    ps_frame_header(header, &durable, sizeof durable, true);
    ps_buf_append(frames, header, sizeof header);
    ps_buf_append(frames, &durable, sizeof durable);
}

static int write_frames(struct ps_dead *d, const struct ps_buf *frames, struct ps_err *e)
{
    if (d->broken)
        return ps_fail(e, PS_EIO, "queue: the dead letters could not be synced; restart");
    if (frames->failed)
        return ps_fail(e, frames->failed, "queue: no memory for dead letters");
    if (ps_disk_write(d->fd, frames->ptr, frames->len, (off_t)d->size) < 0) {
        int why = errno;
        if (ps_disk_truncate(d->fd, (off_t)d->size) < 0)
            d->broken = true;
        return ps_fail(e, why == ENOSPC ? PS_EFULL : PS_EIO, "queue: write dead letters: %s",
                       strerror(why));
    }
    if (ps_disk_sync_data(d->fd) < 0) {
        d->broken = true;
        return ps_fail(e, PS_EIO, "queue: sync dead letters: %s", strerror(errno));
    }
    d->size += frames->len;
    return 0;
}

static void add_frame(struct ps_buf *frames, const struct ps_buf *payload)
{
    uint8_t header[PS_FRAME_HEADER_BYTES];
    ps_frame_header(header, payload->ptr, (uint32_t)payload->len, false);
    ps_buf_append(frames, header, sizeof header);
    ps_buf_append(frames, payload->ptr, payload->len);
}

/* The living letters go to a new file, a few at a time, which then takes the old one's place. */
static int copy_living(struct ps_dead *from, struct ps_dead *to, struct ps_err *e)
{
    struct ps_buf frames, payload;
    int r = 0;
    ps_buf_init(&frames, SIZE_MAX / 2);
    ps_buf_init(&payload, PS_FRAME_PAYLOAD_MAX);
    for (size_t i = 0; r == 0 && i < from->count; i++) {
        struct ps_dead_entry entry = from->entries[i];
        if (entry.len > 0) { /* an empty frame would end the next replay */
            r = read_payload(from, &entry, &payload, e);
            add_frame(&frames, &payload);
            entry.offset = to->size + frames.len - entry.len;
            if (r == 0)
                r = add_entry(to, entry);
        }
        if (r == 0 && (frames.len >= COPY_BYTES || i + 1 == from->count)) {
            r = write_frames(to, &frames, e);
            ps_buf_clear(&frames);
        }
    }
    ps_buf_done(&payload);
    ps_buf_done(&frames);
    return r;
}

static int rewrite(struct ps_dead *d, int dir, struct ps_err *e)
{
    struct ps_dead fresh = {.bytes_max = d->bytes_max};
    fresh.fd = ps_disk_open(dir, fresh_name, O_RDWR | O_CREAT | O_TRUNC, 0640);
    int r = fresh.fd < 0 ? ps_fail(e, PS_EIO, "queue: make %s: %s", fresh_name, strerror(errno))
                         : copy_living(d, &fresh, e);
    if (r == 0 && (ps_disk_rename(dir, fresh_name, file_name) < 0 || ps_disk_sync(dir) < 0))
        r = ps_fail(e, PS_EIO, "queue: rename %s: %s", fresh_name, strerror(errno));
    ps_dead_close(d);
    *d = fresh;
    return r;
}

int ps_dead_open(struct ps_dead *d, int dir, bool writable, uint64_t bytes_max, struct ps_err *e)
{
    *d = (struct ps_dead){.fd = -1, .bytes_max = bytes_max};
    int r = load_file(d, dir, e);
    if (r == 0 && writable)
        r = rewrite(d, dir, e);
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

static void encode(struct ps_buf *to, const struct ps_dead_letter *l)
{
    size_t text_len = l->text.len < TEXT_MAX ? l->text.len : TEXT_MAX;
    size_t len = l->len < LETTER_RECORD_MAX ? l->len : LETTER_RECORD_MAX;
    ps_buf_clear(to);
    put(to, KIND_ENTERS, 1);
    put(to, l->position, 8);
    put(to, (uint64_t)l->time_ms, 8);
    put(to, (uint64_t)l->why, 2);
    put(to, text_len, 2);
    ps_buf_append(to, l->text.ptr, text_len);
    ps_buf_append(to, l->bytes, len);
}

static int fail_full(const struct ps_dead *d, struct ps_err *e)
{
    return ps_fail(e, PS_EFULL,
                   "the dead letters are full (%llu bytes): see `pathstats dead-letters list`, or "
                   "raise dead_letters_max",
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
    ps_buf_init(&frames, SIZE_MAX / 2);
    ps_buf_init(&payload, PS_FRAME_PAYLOAD_MAX);
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (find(d, letters[i].position) != NULL)
            continue;
        if (frames.len == 0)
            add_mark(&frames, d->size);
        encode(&payload, &letters[i]);
        add_frame(&frames, &payload);
        struct ps_dead_entry entry = {letters[i].position, d->size + frames.len - payload.len,
                                      (uint32_t)payload.len};
        r = d->bytes + payload.len > d->bytes_max ? fail_full(d, e) : add_entry(d, entry);
        added[i] = r == 0;
    }
    if (r == 0 && frames.len > 0)
        r = write_frames(d, &frames, e);
    for (size_t i = 0; r < 0 && added != NULL && i < count; i++)
        if (added[i])
            remove_entry(d, find(d, letters[i].position));
    free(added);
    ps_buf_done(&payload);
    ps_buf_done(&frames);
    return r;
}

static int write_leaves(struct ps_dead *d, uint64_t position, struct ps_err *e)
{
    struct ps_buf frames, payload;
    ps_buf_init(&frames, PS_RECORD_BYTES_MAX);
    ps_buf_init(&payload, PS_FRAME_PAYLOAD_MAX);
    put(&payload, KIND_LEAVES, 1);
    put(&payload, position, 8);
    add_mark(&frames, d->size);
    add_frame(&frames, &payload);
    int r = write_frames(d, &frames, e);
    ps_buf_done(&payload);
    ps_buf_done(&frames);
    return r;
}

int ps_dead_unbury(struct ps_dead *d, uint64_t position, struct ps_err *e)
{
    struct ps_dead_entry *entry = find(d, position);
    if (entry == NULL)
        return ps_fail(e, PS_ENOENT, "there is no dead letter %llu", (unsigned long long)position);
    int r = write_leaves(d, position, e);
    if (r < 0)
        return r;
    remove_entry(d, entry);
    if (d->live == 0 && ps_disk_truncate(d->fd, 0) == 0)
        d->size = 0;
    return 0;
}

static int hand_on(uint64_t position, const struct ps_buf *payload, ps_dead_fn *fn, void *ctx)
{
    const char *p = payload->ptr;
    size_t text_len = load(p + 19, 2);
    struct ps_dead_letter l = {
        .position = position,
        .time_ms = (int64_t)load(p + 9, 8),
        .why = (enum ps_reject)load(p + 17, 2),
        .text = {p + ENTERS_BYTES, text_len},
        .bytes = (const uint8_t *)p + ENTERS_BYTES + text_len,
        .len = payload->len - ENTERS_BYTES - text_len,
    };
    return fn(ctx, &l);
}

int ps_dead_each(struct ps_dead *d, ps_dead_fn *fn, void *ctx, struct ps_err *e)
{
    struct ps_buf payload;
    int r = 0;
    ps_buf_init(&payload, PS_FRAME_PAYLOAD_MAX);
    for (size_t i = 0; r == 0 && i < d->count; i++) {
        if (d->entries[i].len == 0)
            continue;
        r = read_payload(d, &d->entries[i], &payload, e);
        if (r == 0)
            r = hand_on(d->entries[i].position, &payload, fn, ctx);
    }
    ps_buf_done(&payload);
    return r;
}
