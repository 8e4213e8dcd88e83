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

/* Decimal digits of `value` without a NUL; returns how many (at most 20). Two at a time. */
static inline size_t ps_format_u64(char *to, uint64_t value)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";
    char digits[20];
    size_t at = sizeof digits;
    for (; value >= 100; value /= 100)
        __builtin_memcpy(digits + (at -= 2), pairs + value % 100 * 2, 2);
    if (value >= 10)
        __builtin_memcpy(digits + (at -= 2), pairs + value * 2, 2);
    else
        digits[--at] = (char)('0' + value);
    ps_copy(to, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

/* The eight hex digits of `value`, the highest in the lowest byte: nibbles are spread to bytes,
 * then all become digits at once. */
static inline uint64_t ps_hex_digits8(uint32_t value)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t x = __builtin_bswap32(value);
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x >> 4 | x << 8) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t is_letter = (x + ones * 6) >> 4 & ones;
    return x + ones * '0' + is_letter * ('a' - '0' - 10);
}

/* Exactly 16 lowercase hex digits, no NUL. */
static inline void ps_format_hex64(char *to, uint64_t value)
{
    uint64_t high = ps_hex_digits8((uint32_t)(value >> 32)), low = ps_hex_digits8((uint32_t)value);
    __builtin_memcpy(to, &high, sizeof high); /* both targets are little-endian */
    __builtin_memcpy(to + 8, &low, sizeof low);
}

#endif
