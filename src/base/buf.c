/* buf.c - see buf.h.  SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void ps_buf_init(struct ps_buf *b, size_t max)
{
    *b = (struct ps_buf){.max = max};
}

void ps_buf_done(struct ps_buf *b)
{
    free(b->ptr);
    *b = (struct ps_buf){0};
}

void ps_buf_clear(struct ps_buf *b)
{
    b->len = 0;
    b->failed = 0;
}

int ps_buf_reserve(struct ps_buf *b, size_t n)
{
    if (b->failed)
        return b->failed;
    if (n <= b->cap - b->len)
        return 0;
    if (n > b->max - b->len)
        return b->failed = PS_EFULL;
    size_t cap = b->cap < FIRST_CAPACITY ? FIRST_CAPACITY : b->cap;
    while (cap < b->len + n)
        cap *= 2;
    if (cap > b->max)
        cap = b->max;
    char *ptr = realloc(b->ptr, cap);
    if (ptr == NULL)
        return b->failed = PS_ENOMEM;
    b->ptr = ptr;
    b->cap = cap;
    return 0;
}

int ps_buf_append(struct ps_buf *b, const void *bytes, size_t n)
{
    int r = ps_buf_reserve(b, n);
    if (r < 0)
        return r;
    ps_copy(b->ptr + b->len, bytes, n);
    b->len += n;
    return 0;
}

int ps_buf_text(struct ps_buf *b, const char *text)
{
    return ps_buf_append(b, text, strlen(text));
}

int ps_buf_format(struct ps_buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    int r = ps_buf_reserve(b, (size_t)n + 1);
    if (r < 0)
        return r;
    va_start(args, format);
    vsnprintf(b->ptr + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
    return 0;
}
