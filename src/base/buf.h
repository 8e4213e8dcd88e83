/* buf.h - a growing byte buffer that is born with its maximum (I8).
 *
 * init/done: the struct is the caller's, the bytes are the buffer's. A failed append changes
 * nothing and makes the buffer sticky-failed: later appends fail too, so a writer may check once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_BUF_H
#define PS_BASE_BUF_H

#include "base/str.h"

struct ps_buf {
    char *ptr;
    size_t len, cap, max;
    int failed; /* 0, PS_EFULL or PS_ENOMEM */
};

void ps_buf_init(struct ps_buf *b, size_t max);
void ps_buf_done(struct ps_buf *b);

/* Forget the content and a failure, keep the memory. */
void ps_buf_clear(struct ps_buf *b);

/* Room for `n` more bytes at b->ptr + b->len; the caller then adds to b->len. */
int ps_buf_reserve(struct ps_buf *b, size_t n);
int ps_buf_append(struct ps_buf *b, const void *bytes, size_t n);
int ps_buf_text(struct ps_buf *b, const char *text);
int ps_buf_format(struct ps_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct ps_str ps_buf_str(const struct ps_buf *b)
{
    return (struct ps_str){b->ptr, b->len};
}

#endif
