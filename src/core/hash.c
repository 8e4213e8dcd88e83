/* hash.c - XXH64, written from its specification (doc/xxhash_spec.md). See hash.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/hash.h"

#define PRIME_1 UINT64_C(0x9E3779B185EBCA87)
#define PRIME_2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME_3 UINT64_C(0x165667B19E3779F9)
#define PRIME_4 UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME_5 UINT64_C(0x27D4EB2F165667C5)

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t read64(const unsigned char *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof v); /* both targets are little-endian */
    return v;
}

static uint64_t read32(const unsigned char *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t round64(uint64_t accumulator, uint64_t lane)
{
    return rotate(accumulator + lane * PRIME_2, 31) * PRIME_1;
}

static uint64_t merge_round(uint64_t hash, uint64_t accumulator)
{
    return (hash ^ round64(0, accumulator)) * PRIME_1 + PRIME_4;
}

static uint64_t hash_stripes(const unsigned char **p, const unsigned char *end, uint64_t seed)
{
    uint64_t a = seed + PRIME_1 + PRIME_2, b = seed + PRIME_2, c = seed, d = seed - PRIME_1;
    for (; end - *p >= 32; *p += 32) {
        a = round64(a, read64(*p));
        b = round64(b, read64(*p + 8));
        c = round64(c, read64(*p + 16));
        d = round64(d, read64(*p + 24));
    }
    uint64_t hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    hash = merge_round(hash, a);
    hash = merge_round(hash, b);
    hash = merge_round(hash, c);
    return merge_round(hash, d);
}

uint64_t ps_hash64(const void *bytes, size_t len, uint64_t seed)
{
    const unsigned char *p = bytes, *end = p + len;
    uint64_t hash = len >= 32 ? hash_stripes(&p, end, seed) : seed + PRIME_5;
    hash += len;
    for (; end - p >= 8; p += 8)
        hash = rotate(hash ^ round64(0, read64(p)), 27) * PRIME_1 + PRIME_4;
    if (end - p >= 4) {
        hash = rotate(hash ^ read32(p) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        p += 4;
    }
    for (; p < end; p++)
        hash = rotate(hash ^ *p * PRIME_5, 11) * PRIME_1;
    hash = (hash ^ hash >> 33) * PRIME_2;
    hash = (hash ^ hash >> 29) * PRIME_3;
    return hash ^ hash >> 32;
}
