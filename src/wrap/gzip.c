/* gzip.c - see gzip.h.
 *
 * ps_lines keeps one block of text. Whole lines are handed out in place; when the block holds no
 * further newline, the piece of a line at its end moves to the front and the block is filled up
 * again, from the file or through zlib from a smaller block of compressed bytes. A block is many
 * times PS_LINE_MAX, so the move is rare and a line that could not fit is known to be too long.
 *
 * A failure met while filling is kept until the lines before it are delivered.
 *
 * SPDX-License-Identifier: MIT
 */
#include "wrap/gzip.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    GZIP_WINDOW_BITS = 15 + 16, /* the largest window, and a gzip header */
    GZIP_MAGIC_0 = 0x1f,
    GZIP_MAGIC_1 = 0x8b,
    INFLATE_STEP = 64 << 10,
    TEXT_BLOCK = 1 << 20,
    RAW_BLOCK = 256 << 10,
};

/* --- a body in memory ------------------------------------------------------------------------- */

/* One inflate() into `out`, or into a spare byte when `out` is full: the end of the stream may
 * still follow, and a byte of output tells that it does not. */
static int inflate_step(z_stream *z, struct ps_buf *out, int *ret_zlib)
{
    unsigned char spare;
    size_t room = out->max - out->len < INFLATE_STEP ? out->max - out->len : INFLATE_STEP;
    if (room > 0) {
        int r = ps_buf_reserve(out, room);
        if (r < 0)
            return r;
    }
    z->next_out = room > 0 ? (unsigned char *)out->ptr + out->len : &spare;
    z->avail_out = room > 0 ? (uInt)room : 1;
    *ret_zlib = inflate(z, Z_NO_FLUSH);
    if (room == 0)
        return z->avail_out == 0 ? PS_EFULL : 0;
    out->len += room - z->avail_out;
    return 0;
}

static int inflate_members(z_stream *z, struct ps_buf *out)
{
    for (;;) {
        int zlib = Z_OK;
        int r = inflate_step(z, out, &zlib);
        if (r < 0)
            return r;
        if (zlib == Z_STREAM_END) {
            if (z->avail_in == 0)
                return 0;
            zlib = inflateReset(z); /* the next member; other bytes fail as its header */
        }
        if (zlib == Z_MEM_ERROR)
            return PS_ENOMEM;
        if (zlib != Z_OK) /* Z_BUF_ERROR: the input ends inside a member */
            return PS_EINVAL;
    }
}

int ps_gunzip_buffer(const void *in, size_t len, struct ps_buf *out)
{
    if (out->failed)
        return out->failed;
    if (len == 0 || len > UINT32_MAX)
        return len == 0 ? PS_EINVAL : PS_EFULL;
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)in, .avail_in = (uInt)len};
    if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK)
        return PS_ENOMEM;
    size_t before = out->len;
    int r = inflate_members(&z, out);
    inflateEnd(&z);
    if (r < 0)
        out->len = before;
    return r;
}

/* --- lines ------------------------------------------------------------------------------------ */

enum kind { UNKNOWN, PLAIN, GZIP };

struct ps_lines {
    int fd;
    ps_lines_wait_fn *wait; /* may be NULL */
    enum kind kind;
    bool own_fd, raw_ended, between_members, ended;
    bool skip_rest; /* of a line too long */
    bool was_cut;
    uint64_t bytes_read, bytes_total;
    struct ps_err failure; /* code 0: none yet */
    z_stream z;
    size_t raw_at, raw_end;   /* unread in raw */
    size_t text_at, text_end; /* not yet handed out */
    size_t text_searched;     /* no newline before this */
    unsigned char raw[RAW_BLOCK];
    char text[TEXT_BLOCK];
    char name[64]; /* for messages */
};

static int open_file(struct ps_lines *l, const char *file, struct ps_err *e)
{
    struct stat st;
    l->own_fd = strcmp(file, "-") != 0;
    int flags = O_RDONLY | O_CLOEXEC | (l->wait != NULL ? O_NONBLOCK : 0);
    l->fd = l->own_fd ? open(file, flags) : STDIN_FILENO;
    if (l->own_fd && l->fd >= 0 && l->wait != NULL)
        fcntl(l->fd, F_SETFL, O_RDONLY); /* not the reads, only the opening was not to wait */
    if (l->fd < 0) {
        int code = errno == ENOENT ? PS_ENOENT : errno == EACCES ? PS_EDENIED : PS_EIO;
        return ps_fail(e, code, "%s: %s", file, strerror(errno));
    }
    if (fstat(l->fd, &st) < 0)
        return ps_fail(e, PS_EIO, "%s: %s", file, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return ps_fail(e, PS_EINVAL, "%s: a folder; name the files in it", file);
    if (S_ISREG(st.st_mode))
        l->bytes_total = (uint64_t)st.st_size;
    posix_fadvise(l->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

int ps_lines_open(struct ps_lines **ret, const char *file, struct ps_err *e)
{
    return ps_lines_open_waiting(ret, file, NULL, e);
}

int ps_lines_open_waiting(struct ps_lines **ret, const char *file, ps_lines_wait_fn *wait,
                          struct ps_err *e)
{
    struct ps_lines *l = malloc(sizeof(*l)); /* not calloc: the blocks need no zeroes */
    if (l == NULL)
        return ps_fail(e, PS_ENOMEM, "%s: no memory", file);
    memset(l, 0, offsetof(struct ps_lines, raw));
    l->wait = wait;
    size_t len = strlen(file), keep = sizeof(l->name) - 4;
    bool is_stdin = strcmp(file, "-") == 0;
    snprintf(l->name, sizeof(l->name), "%s%s", len > keep ? "..." : "",
             is_stdin ? "standard input" : file + (len > keep ? len - keep : 0));
    int r = open_file(l, file, e);
    if (r < 0) {
        ps_lines_close(l);
        return r;
    }
    *ret = l;
    return 0;
}

void ps_lines_close(struct ps_lines *l)
{
    if (l == NULL)
        return;
    if (l->kind == GZIP)
        inflateEnd(&l->z);
    if (l->own_fd && l->fd >= 0)
        close(l->fd);
    free(l);
}

/* What read(2) gives, 0 at the end; a failure is kept. */
static size_t read_file(struct ps_lines *l, void *to, size_t room)
{
    ssize_t n;
    if (l->wait != NULL && !l->wait(l->fd)) {
        ps_fail(&l->failure, PS_ESTOP, "%s: interrupted", l->name);
        return 0;
    }
    do {
        n = read(l->fd, to, room);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        ps_fail(&l->failure, PS_EIO, "%s: read: %s", l->name, strerror(errno));
        return 0;
    }
    l->bytes_read += (uint64_t)n;
    return (size_t)n;
}

static bool fill_raw(struct ps_lines *l)
{
    if (l->raw_at < l->raw_end)
        return true;
    l->raw_at = 0;
    l->raw_end = l->raw_ended ? 0 : read_file(l, l->raw, sizeof(l->raw));
    l->raw_ended = l->raw_end == 0;
    return !l->raw_ended;
}

/* A pipe may give one byte at a time. */
static void detect_kind(struct ps_lines *l)
{
    size_t n = 1;
    while (l->raw_end < 2 && n > 0) {
        n = read_file(l, l->raw + l->raw_end, sizeof(l->raw) - l->raw_end);
        l->raw_end += n;
    }
    l->raw_ended = n == 0;
    l->kind = PLAIN;
    if (l->raw_end < 2 || l->raw[0] != GZIP_MAGIC_0 || l->raw[1] != GZIP_MAGIC_1)
        return;
    if (inflateInit2(&l->z, GZIP_WINDOW_BITS) != Z_OK)
        ps_fail(&l->failure, PS_ENOMEM, "%s: no memory", l->name);
    else
        l->kind = GZIP;
}

static size_t fill_plain(struct ps_lines *l, char *to, size_t room)
{
    if (l->raw_at == l->raw_end)
        return l->raw_ended ? 0 : read_file(l, to, room);
    size_t n = l->raw_end - l->raw_at; /* what detect_kind read; smaller than a text block */
    PS_ASSERT(n <= room);
    memcpy(to, l->raw + l->raw_at, n);
    l->raw_at = l->raw_end;
    return n;
}

/* At the end of a member: another may follow, or zeroes that pad a tape or a disk block. True when
 * there is more to inflate. */
static bool next_member(struct ps_lines *l)
{
    while (fill_raw(l) && l->raw[l->raw_at] == 0)
        l->raw_at++;
    if (!fill_raw(l))
        return false;
    if (l->raw[l->raw_at] != GZIP_MAGIC_0) {
        ps_fail(&l->failure, PS_ECORRUPT, "%s: bytes after the gzip data are not gzip", l->name);
        return false;
    }
    inflateReset(&l->z);
    l->between_members = false;
    return true;
}

static size_t fill_gzip(struct ps_lines *l, char *to, size_t room)
{
    size_t made = 0;
    while (made == 0) {
        if (l->between_members && !next_member(l))
            return 0;
        if (!fill_raw(l)) {
            if (l->failure.code == 0)
                ps_fail(&l->failure, PS_ECORRUPT, "%s: the gzip data ends early", l->name);
            return 0;
        }
        l->z.next_in = l->raw + l->raw_at;
        l->z.avail_in = (uInt)(l->raw_end - l->raw_at);
        l->z.next_out = (unsigned char *)to;
        l->z.avail_out = (uInt)room;
        int r = inflate(&l->z, Z_NO_FLUSH);
        l->raw_at = l->raw_end - l->z.avail_in;
        made = room - l->z.avail_out;
        l->between_members = r == Z_STREAM_END;
        if (r != Z_OK && r != Z_STREAM_END) {
            ps_fail(&l->failure, r == Z_MEM_ERROR ? PS_ENOMEM : PS_ECORRUPT, "%s: gzip: %s",
                    l->name, l->z.msg != NULL ? l->z.msg : zError(r));
            break;
        }
    }
    return made;
}

/* More text behind what is held; false when there is no more. */
static bool fill_text(struct ps_lines *l)
{
    if (l->ended)
        return false;
    if (l->kind == UNKNOWN)
        detect_kind(l);
    size_t held = l->text_end - l->text_at;
    memmove(l->text, l->text + l->text_at, held);
    l->text_at = 0;
    l->text_end = l->text_searched = held;
    size_t n = 0;
    if (l->failure.code == 0)
        n = l->kind == GZIP ? fill_gzip(l, l->text + held, TEXT_BLOCK - held)
                            : fill_plain(l, l->text + held, TEXT_BLOCK - held);
    l->text_end += n;
    l->ended = n == 0 || l->failure.code != 0;
    return n > 0;
}

/* Drops the rest of a long line, newline included. */
static void finish_long_line(struct ps_lines *l)
{
    while (l->skip_rest) {
        const char *at = l->text + l->text_at;
        const char *newline = memchr(at, '\n', l->text_end - l->text_at);
        l->text_at = newline != NULL ? (size_t)(newline + 1 - l->text) : l->text_end;
        l->text_searched = l->text_at;
        l->skip_rest = newline == NULL && fill_text(l);
    }
}

static int give(struct ps_lines *l, size_t len, size_t and_newline, struct ps_str *ret)
{
    l->was_cut = len > PS_LINE_MAX;
    *ret = (struct ps_str){l->text + l->text_at, l->was_cut ? PS_LINE_MAX : len};
    l->text_at += len + and_newline;
    l->text_searched = l->text_at;
    return 1;
}

int ps_lines_next(struct ps_lines *l, struct ps_str *ret_line, struct ps_err *e)
{
    finish_long_line(l);
    for (;;) {
        const char *from = l->text + l->text_searched;
        const char *newline = memchr(from, '\n', l->text_end - l->text_searched);
        if (newline != NULL)
            return give(l, (size_t)(newline - (l->text + l->text_at)), 1, ret_line);
        l->text_searched = l->text_end;
        if (l->text_end - l->text_at > PS_LINE_MAX) {
            l->skip_rest = true;
            return give(l, l->text_end - l->text_at, 0, ret_line);
        }
        if (!fill_text(l))
            break;
    }
    if (l->failure.code != 0)
        return ps_fail(e, l->failure.code, "%s", l->failure.text);
    size_t rest = l->text_end - l->text_at;
    return rest > 0 ? give(l, rest, 0, ret_line) : 0;
}

bool ps_lines_holds_next(struct ps_lines *l)
{
    const char *from = l->text + l->text_searched;
    const char *newline = memchr(from, '\n', l->text_end - l->text_searched);
    l->text_searched = newline != NULL ? (size_t)(newline - l->text) : l->text_end;
    return newline != NULL && !l->skip_rest;
}

bool ps_lines_was_cut(const struct ps_lines *l)
{
    return l->was_cut;
}

uint64_t ps_lines_bytes_read(const struct ps_lines *l)
{
    return l->bytes_read;
}

uint64_t ps_lines_bytes_total(const struct ps_lines *l)
{
    return l->bytes_total;
}
