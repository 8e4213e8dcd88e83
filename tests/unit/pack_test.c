/* pack_test.c - gzip out on several threads and back in: the same bytes whatever the threads, one
 * file to everybody else's gunzip, and nothing else is taken for gzip.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "wrap/pack.h"

#include <zlib.h>

enum { PACKED_MAX = 64 << 20 };

/* --- helpers --- */

static int gather(void *ctx, const void *bytes, size_t len, struct ps_err *e)
{
    (void)e;
    assert_true(len > 0);
    assert_int_equal(ps_buf_append(ctx, bytes, len), 0);
    return 0;
}

/* Bytes that compress a little, the same for the same seed. */
static struct ps_buf make_input(size_t len, uint64_t seed)
{
    struct ps_buf b;
    struct dice dice = {seed};
    ps_buf_init(&b, PACKED_MAX);
    assert_int_equal(ps_buf_reserve(&b, len + 8), 0);
    while (b.len < len) {
        uint64_t x = throw_dice(&dice) & UINT64_C(0x3f3f3f3f3f3f3f3f);
        memcpy(b.ptr + b.len, &x, sizeof x);
        b.len += sizeof x;
    }
    b.len = len;
    return b;
}

/* In writes of uneven sizes when `seed` is not 0. */
static struct ps_buf pack(const struct ps_buf *input, unsigned threads, uint64_t seed)
{
    struct ps_packer *p = NULL;
    struct ps_buf out;
    struct dice dice = {seed};
    ps_buf_init(&out, PACKED_MAX);
    OK(ps_packer_open(&p, threads, gather, &out, &test_err));
    for (size_t at = 0; at < input->len;) {
        size_t n = seed == 0 ? input->len : below(&dice, 700000);
        n = n > input->len - at ? input->len - at : n;
        OK(ps_packer_write(p, input->ptr + at, n, &test_err));
        at += n;
    }
    OK(ps_packer_finish(p, &test_err));
    ps_packer_close(p);
    return out;
}

static int unpack(const char *bytes, size_t len, size_t step, struct ps_buf *out)
{
    struct ps_unpacker *u = NULL;
    int r = 0;
    OK(ps_unpacker_open(&u, gather, out, &test_err));
    for (size_t at = 0; r == 0 && at < len; at += step)
        r = ps_unpacker_feed(u, bytes + at, len - at < step ? len - at : step, &test_err);
    if (r == 0)
        r = ps_unpacker_finish(u, &test_err);
    ps_unpacker_close(u);
    return r;
}

static void expect_unpacks(const struct ps_buf *packed, const struct ps_buf *plain, size_t step)
{
    struct ps_buf back;
    ps_buf_init(&back, PACKED_MAX);
    OK(unpack(packed->ptr, packed->len, step, &back));
    assert_int_equal(back.len, plain->len);
    assert_int_equal(ps_bytes_compare(back.ptr, plain->ptr, plain->len), 0);
    ps_buf_done(&back);
}

static size_t count_members(const struct ps_buf *packed)
{
    z_stream z = {0};
    static unsigned char sink[1 << 16];
    size_t members = 0;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (unsigned char *)packed->ptr;
    z.avail_in = (unsigned)packed->len;
    while (z.avail_in > 0) {
        z.next_out = sink;
        z.avail_out = sizeof sink;
        int code = inflate(&z, Z_NO_FLUSH);
        assert_true(code == Z_OK || code == Z_STREAM_END);
        if (code == Z_STREAM_END) {
            members++;
            inflateReset(&z);
        }
    }
    inflateEnd(&z);
    return members;
}

static const size_t sizes[] = {1,
                               1000,
                               PS_PACK_PIECE_BYTES - 1,
                               PS_PACK_PIECE_BYTES,
                               PS_PACK_PIECE_BYTES + 1,
                               3 * PS_PACK_PIECE_BYTES,
                               20 * PS_PACK_PIECE_BYTES + 12345};

/* --- there and back --- */

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++) {
        struct ps_buf input = make_input(sizes[i], i + 1), packed = pack(&input, 2, i);
        expect_unpacks(&packed, &input, 8192);
        expect_unpacks(&packed, &input, SIZE_MAX / 2);
        if (sizes[i] <= 1000)
            expect_unpacks(&packed, &input, 1);
        assert_int_equal(count_members(&packed),
                         (sizes[i] + PS_PACK_PIECE_BYTES - 1) / PS_PACK_PIECE_BYTES);
        ps_buf_done(&packed);
        ps_buf_done(&input);
    }
}

/* Two archives of a day are compared by their bytes. */
static void threads_make_no_difference(void **state)
{
    static const unsigned threads[] = {2, PS_PACK_THREADS_MAX, PS_PACK_THREADS_MAX + 5, 0};
    (void)state;
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++) {
        struct ps_buf input = make_input(sizes[i], 99), one = pack(&input, 1, 0);
        for (size_t k = 0; k < PS_COUNT_OF(threads); k++) {
            struct ps_buf other = pack(&input, threads[k], k + 1);
            assert_int_equal(one.len, other.len);
            assert_memory_equal(one.ptr, other.ptr, one.len);
            ps_buf_done(&other);
        }
        ps_buf_done(&one);
        ps_buf_done(&input);
    }
}

static void nothing_is_a_file_too(void **state)
{
    struct ps_buf nothing = {0}, packed = pack(&nothing, 2, 0);
    (void)state;
    assert_true(packed.len > 0);
    assert_int_equal(count_members(&packed), 1);
    expect_unpacks(&packed, &nothing, 1);
    ps_buf_done(&packed);
}

/* As everybody else reads it. */
static void zlib_reads_it(void **state)
{
    struct place place;
    struct ps_buf input = make_input(5 * PS_PACK_PIECE_BYTES + 77, 5), packed = pack(&input, 2, 0);
    char *back = malloc(input.len + 1);
    (void)state;
    place_make(&place, "file.gz");
    FILE *f = fopen(place.target, "wb");
    assert_int_equal(fwrite(packed.ptr, 1, packed.len, f), packed.len);
    fclose(f);
    gzFile gz = gzopen(place.target, "rb");
    assert_non_null(gz);
    assert_int_equal(gzread(gz, back, (unsigned)input.len + 1), input.len);
    assert_int_equal(gzclose(gz), Z_OK);
    assert_memory_equal(back, input.ptr, input.len);
    free(back);
    place_remove(&place);
    ps_buf_done(&packed);
    ps_buf_done(&input);
}

/* --- the sink --- */

struct weak_sink {
    int calls, fails_at, code;
};

static int fail_at(void *ctx, const void *bytes, size_t len, struct ps_err *e)
{
    struct weak_sink *sink = ctx;
    (void)bytes;
    (void)len;
    return ++sink->calls == sink->fails_at ? ps_fail(e, sink->code, "the sink is full") : 0;
}

/* At the first, some, and the last member; whatever is still being compressed is dropped. */
static void a_failing_sink_ends_it(void **state)
{
    struct ps_buf input = make_input(8 * PS_PACK_PIECE_BYTES, 3);
    (void)state;
    for (int at = 1; at <= 8; at++)
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            struct weak_sink sink = {.fails_at = at, .code = PS_EFULL};
            struct ps_packer *p = NULL;
            struct ps_err e = {0};
            OK(ps_packer_open(&p, threads, fail_at, &sink, &test_err));
            int r = ps_packer_write(p, input.ptr, input.len, &e);
            if (r == 0)
                r = ps_packer_finish(p, &e);
            assert_int_equal(r, PS_EFULL);
            assert_string_equal(e.text, "the sink is full");
            assert_int_equal(sink.calls, at);
            ps_packer_close(p);
        }
    ps_buf_done(&input);
}

static void a_reader_that_stops_ends_it(void **state)
{
    struct ps_buf input = make_input(3 * PS_PACK_PIECE_BYTES, 3), packed = pack(&input, 2, 0);
    struct weak_sink sink = {.fails_at = 2, .code = PS_ESTOP};
    struct ps_unpacker *u = NULL;
    (void)state;
    OK(ps_unpacker_open(&u, fail_at, &sink, &test_err));
    assert_int_equal(ps_unpacker_feed(u, packed.ptr, packed.len, &test_err), PS_ESTOP);
    assert_int_equal(sink.calls, 2);
    ps_unpacker_close(u);
    ps_buf_done(&packed);
    ps_buf_done(&input);
}

static void closing_unfinished_is_fine(void **state)
{
    struct ps_buf input = make_input(4 * PS_PACK_PIECE_BYTES, 3);
    (void)state;
    for (unsigned threads = 1; threads <= PS_PACK_THREADS_MAX; threads++) {
        struct weak_sink sink = {0};
        struct ps_packer *p = NULL;
        OK(ps_packer_open(&p, threads, fail_at, &sink, &test_err));
        OK(ps_packer_write(p, input.ptr, input.len, &test_err));
        ps_packer_close(p);
    }
    ps_packer_close(NULL);
    ps_unpacker_close(NULL);
    ps_buf_done(&input);
}

/* --- what is not gzip --- */

static int unpack_quietly(const char *bytes, size_t len)
{
    struct ps_buf out;
    ps_buf_init(&out, PACKED_MAX);
    int r = unpack(bytes, len, 1000, &out);
    ps_buf_done(&out);
    return r;
}

/* I5: half an object is never taken for an object. */
static void every_truncation_is_corrupt(void **state)
{
    struct ps_buf input = make_input(3000, 3), packed = pack(&input, 1, 0);
    (void)state;
    for (size_t len = 0; len < packed.len; len++)
        assert_int_equal(unpack_quietly(packed.ptr, len), PS_ECORRUPT);
    assert_int_equal(unpack_quietly(packed.ptr, packed.len), 0);
    ps_buf_done(&packed);
    ps_buf_done(&input);
}

/* Between members gzip alone cannot tell: there the count and the hash of the archive do. Inside
 * the second one it can. */
static void a_cut_member_is_corrupt(void **state)
{
    struct ps_buf input = make_input(PS_PACK_PIECE_BYTES + 500, 3), packed = pack(&input, 1, 0);
    (void)state;
    for (size_t cut = 1; cut < 100; cut++)
        assert_int_equal(unpack_quietly(packed.ptr, packed.len - cut), PS_ECORRUPT);
    ps_buf_done(&packed);
    ps_buf_done(&input);
}

/* Ten bytes of head hold time and system, which mean nothing to the content, and the last byte of
 * the compressed data has bits nobody reads: there the text has to be the same. */
static void a_changed_byte_is_noticed(void **state)
{
    struct ps_buf input = make_input(3000, 3), packed = pack(&input, 1, 0), out;
    size_t unnoticed = 0;
    (void)state;
    ps_buf_init(&out, PACKED_MAX);
    for (size_t at = 10; at < packed.len; at++) {
        packed.ptr[at] ^= 0x20;
        ps_buf_clear(&out);
        int r = unpack(packed.ptr, packed.len, 1000, &out);
        assert_true(r == 0 || r == PS_ECORRUPT);
        if (r == 0) {
            unnoticed++;
            assert_int_equal(out.len, input.len);
            assert_memory_equal(out.ptr, input.ptr, input.len);
        }
        packed.ptr[at] ^= 0x20;
    }
    assert_true(unnoticed <= 1);
    ps_buf_done(&out);
    ps_buf_done(&packed);
    ps_buf_done(&input);
}

static void garbage_is_corrupt(void **state)
{
    static const char text[] = "<html>an answer that was not asked for</html>";
    struct ps_buf input = make_input(100, 3), packed = pack(&input, 1, 0);
    (void)state;
    assert_int_equal(unpack_quietly(text, sizeof text), PS_ECORRUPT);
    assert_int_equal(unpack_quietly("", 0), PS_ECORRUPT);
    ps_buf_append(&packed, text, sizeof text); /* behind a whole member */
    assert_int_equal(unpack_quietly(packed.ptr, packed.len), PS_ECORRUPT);
    ps_buf_done(&packed);
    ps_buf_done(&input);
}

/* --- SHA-256: the examples of FIPS 180-2 --- */

static void sha256_is_the_known_one(void **state)
{
    struct ps_sha256 *h = NULL;
    char hex[PS_SHA256_HEX + 1];
    (void)state;
    OK(ps_sha256_open(&h, &test_err));
    ps_sha256_add(h, "a", 1);
    ps_sha256_add(h, "", 0);
    ps_sha256_add(h, "bc", 2);
    ps_sha256_finish(h, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ps_sha256_close(h);
    ps_sha256_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),     cmocka_unit_test(threads_make_no_difference),
        cmocka_unit_test(nothing_is_a_file_too),      cmocka_unit_test(zlib_reads_it),
        cmocka_unit_test(a_failing_sink_ends_it),     cmocka_unit_test(a_reader_that_stops_ends_it),
        cmocka_unit_test(closing_unfinished_is_fine), cmocka_unit_test(every_truncation_is_corrupt),
        cmocka_unit_test(a_cut_member_is_corrupt),    cmocka_unit_test(a_changed_byte_is_noticed),
        cmocka_unit_test(garbage_is_corrupt),         cmocka_unit_test(sha256_is_the_known_one),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
