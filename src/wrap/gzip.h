/* gzip.h - reading gzip with zlib: a request body in memory, and lines of a file or a pipe.
 *
 * Both read several members one after another, as `cat a.gz b.gz` and log rotation make them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_WRAP_GZIP_H
#define PS_WRAP_GZIP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Bytes of a line without its newline. */
enum { PS_LINE_MAX = 65536 };

/* Appends the inflated `in` to `out`. PS_EFULL when it does not fit below out->max; PS_EINVAL when
 * it is not whole and valid gzip; PS_ENOMEM. On failure `out` keeps the length it had. */
int ps_gunzip_buffer(const void *in, size_t len, struct ps_buf *out);

/* Lines of plain or gzipped text; which of the two, the first bytes say. One thread at a time. */
struct ps_lines;

/* "-" is standard input. PS_ENOENT, PS_EDENIED, PS_EINVAL (a folder), PS_EIO, PS_ENOMEM. Reads
 * nothing yet. */
int ps_lines_open(struct ps_lines **ret, const char *file, struct ps_err *e);
/* The same; before each read `wait` is asked, and false ends the lines with PS_ESTOP, after all
 * whole ones that were read. A named pipe is opened without waiting for its writer: `wait` does. */
typedef bool ps_lines_wait_fn(int fd);
int ps_lines_open_waiting(struct ps_lines **ret, const char *file, ps_lines_wait_fn *wait,
                          struct ps_err *e);
void ps_lines_close(struct ps_lines *l);

/* 1 and a line without its newline, valid until the next call; 0 at the end. A last line without a
 * newline counts. Of a line over PS_LINE_MAX the first PS_LINE_MAX bytes are returned and
 * ps_lines_was_cut() is true.
 * PS_EIO; PS_ECORRUPT for gzip that is broken or ends early, after all whole lines that could be
 * read; a piece of a line before the break is not delivered, since it would count as another line
 * than the one in the undamaged file. A failure repeats on every further call. */
int ps_lines_next(struct ps_lines *l, struct ps_str *ret_line, struct ps_err *e);
bool ps_lines_was_cut(const struct ps_lines *l); /* the line last returned */
/* The next line is in memory already: getting it leaves those valid that were got before. */
bool ps_lines_holds_next(struct ps_lines *l);

/* Progress, in bytes of the file as it is on disk. Total is 0 when unknown (a pipe). */
uint64_t ps_lines_bytes_read(const struct ps_lines *l);
uint64_t ps_lines_bytes_total(const struct ps_lines *l);

#endif
