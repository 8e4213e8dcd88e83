/* hash_test.c - ps_hash64 is XXH64, value for value.
 *
 * Ids and sample keys on disk depend on it, so it is held against published vectors and against the
 * reference implementation over every length that takes a different way through the code.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/hash.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { LENGTH_MAX = 1024 };

#define GENERATOR UINT64_C(2654435761)
#define MULTIPLIER UINT64_C(11400714785074694797)

/* The byte sequence that the reference's self-test hashes. */
static void fill_sanity(unsigned char *to, size_t len)
{
    uint64_t state = GENERATOR;
    for (size_t i = 0; i < len; i++, state *= MULTIPLIER)
        to[i] = (unsigned char)(state >> 56);
}

static void test_published_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t hash;
    } cases[] = {
        {"", UINT64_C(0xef46db3751d8e999)},
        {"a", UINT64_C(0xd24ec4f1a98c6e5b)},
        {"abc", UINT64_C(0x44bc2cf5ad770999)},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++)
        assert_true(ps_hash64(cases[i].text, strlen(cases[i].text), 0) == cases[i].hash);
}

static void test_published_sanity_vectors(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint64_t seed, hash;
    } cases[] = {
        {0, 0, UINT64_C(0xef46db3751d8e999)},
        {0, GENERATOR, UINT64_C(0xac75fda2929b17ef)},
        {1, 0, UINT64_C(0xe934a84adb052768)},
        {1, GENERATOR, UINT64_C(0x5014607643a9b4c3)},
        {4, 0, UINT64_C(0x9136a0dca57457ee)},
        {14, 0, UINT64_C(0x8282dcc4994e35c8)},
        {14, GENERATOR, UINT64_C(0xc3bd6bf63deb6df0)},
        {222, 0, UINT64_C(0xb641ae8cb691c174)},
        {222, GENERATOR, UINT64_C(0x20cb8ab7ae10c14a)},
    };
    unsigned char bytes[222];
    fill_sanity(bytes, sizeof bytes);
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++)
        assert_true(ps_hash64(bytes, cases[i].len, cases[i].seed) == cases[i].hash);
}

static void test_every_length_like_the_reference(void **state)
{
    (void)state;
    static const uint64_t seeds[] = {0, 1, GENERATOR, MULTIPLIER, UINT64_MAX};
    unsigned char bytes[LENGTH_MAX];
    fill_sanity(bytes, sizeof bytes);
    for (size_t len = 0; len <= LENGTH_MAX; len++) {
        /* a block of exactly this size, so that reading past the end shows */
        unsigned char *exact = malloc(len > 0 ? len : 1);
        assert_non_null(exact);
        memcpy(exact, bytes, len);
        for (size_t i = 0; i < PS_COUNT_OF(seeds); i++)
            if (ps_hash64(exact, len, seeds[i]) != XXH64(exact, len, seeds[i]))
                fail_msg("length %zu, seed %zu", len, i);
        free(exact);
    }
}

static void test_alignment_does_not_matter(void **state)
{
    (void)state;
    unsigned char bytes[LENGTH_MAX], moved[LENGTH_MAX + 8];
    fill_sanity(bytes, sizeof bytes);
    for (size_t offset = 0; offset < 8; offset++)
        for (size_t len = 0; len <= 100; len++) {
            memcpy(moved + offset, bytes, len);
            assert_true(ps_hash64(moved + offset, len, 7) == XXH64(bytes, len, 7));
        }
}

static void test_random_bytes_and_seeds(void **state)
{
    (void)state;
    unsigned char bytes[LENGTH_MAX];
    uint64_t x = 42;
    for (int round = 0; round < 2000; round++) {
        x = x * UINT64_C(6364136223846793005) + 1;
        size_t len = (size_t)(x >> 33) % (LENGTH_MAX + 1);
        for (size_t i = 0; i < len; i++) {
            x = x * UINT64_C(6364136223846793005) + 1;
            bytes[i] = (unsigned char)(x >> 56);
        }
        assert_true(ps_hash64(bytes, len, x) == XXH64(bytes, len, x));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_texts),
        cmocka_unit_test(test_published_sanity_vectors),
        cmocka_unit_test(test_every_length_like_the_reference),
        cmocka_unit_test(test_alignment_does_not_matter),
        cmocka_unit_test(test_random_bytes_and_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
