/* str.h - a view of bytes, and the few byte operations the core may use without a libc.
 *
 * A ps_str owns nothing. `ptr == NULL` means absent, which is not the same as empty.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_STR_H
#define PS_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ps_str {
    const char *ptr;
    size_t len;
};

#define PS_STR(literal) ((struct ps_str){(literal), sizeof(literal) - 1})
#define PS_STR_NONE ((struct ps_str){NULL, 0})

static inline void ps_copy(void *to, const void *from, size_t n)
{
    if (n > 0)
        __builtin_memcpy(to, from, n);
}

static inline void ps_zero(void *to, size_t n)
{
    __builtin_memset(to, 0, n);
}

/* Order of the bytes, as memcmp has it: negative, 0, positive. */
static inline int ps_bytes_compare(const void *a, const void *b, size_t n)
{
#ifdef __wasm__
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
#else
    return n == 0 ? 0 : __builtin_memcmp(a, b, n);
#endif
}

static inline bool ps_str_equal(struct ps_str a, struct ps_str b)
{
    return a.len == b.len && ps_bytes_compare(a.ptr, b.ptr, a.len) == 0;
}

static inline int ps_str_compare(struct ps_str a, struct ps_str b)
{
    int c = ps_bytes_compare(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    if (c != 0)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* Decimal digits of `value` without a NUL; returns how many (at most 20). */
static inline size_t ps_format_u64(char *to, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < n; i++)
        to[i] = digits[n - 1 - i];
    return n;
}

/* Exactly 16 lowercase hex digits, no NUL. */
static inline void ps_format_hex64(char *to, uint64_t value)
{
    for (int i = 15; i >= 0; i--, value >>= 4)
        to[i] = "0123456789abcdef"[value & 15];
}

#endif
