/* gzip_test.c - bodies and lines, whole, cut and broken.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wrap/gzip.h"
#include "support/folder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char folder[TEST_FOLDER_MAX], file[TEST_FOLDER_MAX + 32];

static int make_folder(void **state)
{
    (void)state;
    if (!test_folder(folder, "gzip"))
        return -1;
    snprintf(file, sizeof(file), "%s/file", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

/* Appends `text` as one gzip member; `out` is large enough. */
static void add_member(struct ps_buf *out, const void *text, size_t len)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, len);
    assert_int_equal(ps_buf_reserve(out, bound), 0);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (uInt)len;
    z.next_out = (unsigned char *)out->ptr + out->len;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len += bound - z.avail_out;
    deflateEnd(&z);
}

/* Numbered lines, which compress, with a little noise, which does not. */
static void add_lines(struct ps_buf *b, int from, int count)
{
    for (int i = from; i < from + count; i++)
        assert_int_equal(ps_buf_format(b, "line %d %x\n", i, (unsigned)i * 2654435761u), 0);
}

static void write_file(const void *bytes, size_t len)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Reads `file` to its end or failure, joined by newlines in `out`. */
static int read_lines(const char *name, struct ps_buf *out, int *ret_lines, struct ps_err *e)
{
    struct ps_lines *l;
    struct ps_str line;
    int r = ps_lines_open(&l, name, e);
    if (r < 0)
        return r;
    *ret_lines = 0;
    while ((r = ps_lines_next(l, &line, e)) == 1) {
        assert_false(ps_lines_was_cut(l));
        assert_int_equal(ps_buf_append(out, line.ptr, line.len), 0);
        assert_int_equal(ps_buf_text(out, "\n"), 0);
        ++*ret_lines;
    }
    struct ps_err again;
    assert_int_equal(ps_lines_next(l, &line, &again), r);
    if (r < 0)
        assert_string_equal(again.text, e->text);
    ps_lines_close(l);
    return r;
}

static void body_of_several_members(void **state)
{
    struct ps_buf in, out;
    (void)state;
    ps_buf_init(&in, 1 << 20);
    ps_buf_init(&out, 1 << 20);
    add_member(&in, "hello ", 6);
    add_member(&in, "", 0);
    add_member(&in, "world", 5);
    assert_int_equal(ps_buf_text(&out, "> "), 0);
    assert_int_equal(ps_gunzip_buffer(in.ptr, in.len, &out), 0);
    assert_int_equal(out.len, 13);
    assert_memory_equal(out.ptr, "> hello world", 13);
    ps_buf_done(&in);
    ps_buf_done(&out);
}

/* I8: a bomb fills its limit, not the memory; the limit itself still fits. */
static void body_stops_at_its_limit(void **state)
{
    enum { SIZE = 300000 };
    struct ps_buf in, out;
    char *zeroes = calloc(1, SIZE);
    (void)state;
    ps_buf_init(&in, 1 << 20);
    add_member(&in, zeroes, SIZE);
    add_member(&in, "", 0);
    for (int spare = -2; spare <= 1; spare++) {
        ps_buf_init(&out, (size_t)(SIZE + spare));
        assert_int_equal(ps_gunzip_buffer(in.ptr, in.len, &out), spare < 0 ? PS_EFULL : 0);
        assert_int_equal(out.len, spare < 0 ? 0 : SIZE);
        ps_buf_done(&out);
    }
    ps_buf_init(&out, 0);
    assert_int_equal(ps_gunzip_buffer(in.ptr, in.len, &out), PS_EFULL);
    ps_buf_done(&out);
    ps_buf_done(&in);
    free(zeroes);
}

static void broken_bodies_are_refused(void **state)
{
    struct ps_buf in, text, out;
    (void)state;
    ps_buf_init(&in, 1 << 20);
    ps_buf_init(&text, 1 << 20);
    ps_buf_init(&out, 1 << 20);
    add_lines(&text, 0, 50);
    add_member(&in, text.ptr, text.len);
    for (size_t n = 0; n < in.len; n++) { /* every cut */
        char *exact = malloc(n + 1);
        ps_copy(exact, in.ptr, n);
        assert_int_equal(ps_gunzip_buffer(exact, n, &out), PS_EINVAL);
        assert_int_equal(out.len, 0);
        free(exact);
    }
    in.ptr[in.len - 5] ^= 1; /* the CRC */
    assert_int_equal(ps_gunzip_buffer(in.ptr, in.len, &out), PS_EINVAL);
    in.ptr[in.len - 5] ^= 1;
    assert_int_equal(ps_gunzip_buffer(in.ptr, in.len, &out), 0);
    ps_buf_clear(&out);
    ps_buf_text(&in, "garbage");
    assert_int_equal(ps_gunzip_buffer(in.ptr, in.len, &out), PS_EINVAL);
    assert_int_equal(ps_gunzip_buffer("plain text", 10, &out), PS_EINVAL);
    assert_int_equal(out.len, 0);
    ps_buf_done(&in);
    ps_buf_done(&text);
    ps_buf_done(&out);
}

/* 5 MB: several blocks, lines across each boundary. */
static void plain_and_gzip_read_alike(void **state)
{
    enum { LINES = 250000 };
    struct ps_buf text, packed, out;
    struct ps_err e = {0};
    int lines = 0;
    (void)state;
    ps_buf_init(&text, 16 << 20);
    ps_buf_init(&packed, 16 << 20);
    ps_buf_init(&out, 16 << 20);
    add_lines(&text, 0, LINES);
    write_file(text.ptr, text.len);
    assert_int_equal(read_lines(file, &out, &lines, &e), 0);
    assert_int_equal(lines, LINES);
    assert_int_equal(out.len, text.len);
    assert_memory_equal(out.ptr, text.ptr, text.len);

    size_t half = text.len / 2; /* in the middle of a line */
    add_member(&packed, text.ptr, half);
    add_member(&packed, text.ptr + half, text.len - half);
    ps_buf_append(&packed, "\0\0\0", 3); /* padding */
    write_file(packed.ptr, packed.len);
    ps_buf_clear(&out);
    assert_int_equal(read_lines(file, &out, &lines, &e), 0);
    assert_int_equal(lines, LINES);
    assert_int_equal(out.len, text.len);
    assert_memory_equal(out.ptr, text.ptr, text.len);
    ps_buf_done(&text);
    ps_buf_done(&packed);
    ps_buf_done(&out);
}

static void small_files(void **state)
{
    static const struct {
        const char *text, *lines;
        int count;
    } cases[] = {
        {"", "", 0},         {"\n", "\n", 1},       {"a", "a\n", 1},       {"a\nb", "a\nb\n", 2},
        {"\n\n", "\n\n", 2}, {"\x1f", "\x1f\n", 1}, {"a\r\n", "a\r\n", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int gzip = 0; gzip < 2; gzip++) {
            struct ps_buf packed, out;
            struct ps_err e = {0};
            int lines = -1;
            ps_buf_init(&packed, 4096);
            ps_buf_init(&out, 4096);
            if (gzip)
                add_member(&packed, cases[i].text, strlen(cases[i].text));
            else
                ps_buf_text(&packed, cases[i].text);
            write_file(packed.ptr != NULL ? packed.ptr : "", packed.len);
            assert_int_equal(read_lines(file, &out, &lines, &e), 0);
            assert_int_equal(lines, cases[i].count);
            assert_int_equal(out.len, strlen(cases[i].lines));
            assert_int_equal(ps_bytes_compare(out.ptr, cases[i].lines, out.len), 0);
            ps_buf_done(&packed);
            ps_buf_done(&out);
        }
}

static void progress_counts_compressed_bytes(void **state)
{
    struct ps_buf text, packed;
    struct ps_lines *l;
    struct ps_err e;
    struct ps_str line;
    (void)state;
    ps_buf_init(&text, 1 << 20);
    ps_buf_init(&packed, 1 << 20);
    add_lines(&text, 0, 1000);
    add_member(&packed, text.ptr, text.len);
    write_file(packed.ptr, packed.len);
    assert_int_equal(ps_lines_open(&l, file, &e), 0);
    assert_int_equal(ps_lines_bytes_total(l), packed.len);
    assert_int_equal(ps_lines_bytes_read(l), 0);
    while (ps_lines_next(l, &line, &e) == 1)
        ;
    assert_int_equal(ps_lines_bytes_read(l), packed.len);
    ps_lines_close(l);
    ps_buf_done(&text);
    ps_buf_done(&packed);
}

/* Whole lines up to the break come out, then the failure, and never a piece of a line. */
static void broken_gzip_gives_what_is_readable(void **state)
{
    enum { LINES = 200000 };
    struct ps_buf text, packed, out;
    struct ps_err e = {0};
    int lines = 0;
    (void)state;
    ps_buf_init(&text, 16 << 20);
    ps_buf_init(&packed, 16 << 20);
    ps_buf_init(&out, 16 << 20);
    add_lines(&text, 0, LINES);
    add_member(&packed, text.ptr, text.len);
    for (size_t cut = packed.len - 1; cut > 1000; cut = cut / 3) {
        write_file(packed.ptr, cut);
        ps_buf_clear(&out);
        assert_int_equal(read_lines(file, &out, &lines, &e), PS_ECORRUPT);
        assert_non_null(strstr(e.text, "ends early"));
        assert_in_range(lines, 1, LINES);
        assert_memory_equal(out.ptr, text.ptr, out.len);
        assert_true(out.len > cut / 2); /* not merely a few */
    }
    packed.ptr[packed.len - 5] ^= 1; /* the CRC: all lines, and then the truth */
    write_file(packed.ptr, packed.len);
    ps_buf_clear(&out);
    assert_int_equal(read_lines(file, &out, &lines, &e), PS_ECORRUPT);
    assert_int_equal(lines, LINES);
    packed.ptr[packed.len - 5] ^= 1;
    ps_buf_text(&packed, "garbage");
    write_file(packed.ptr, packed.len);
    ps_buf_clear(&out);
    assert_int_equal(read_lines(file, &out, &lines, &e), PS_ECORRUPT);
    assert_int_equal(lines, LINES);
    assert_non_null(strstr(e.text, "not gzip"));
    ps_buf_done(&text);
    ps_buf_done(&packed);
    ps_buf_done(&out);
}

/* I8 */
static void long_lines_are_cut_and_said_so(void **state)
{
    static const size_t lengths[] = {PS_LINE_MAX - 1, PS_LINE_MAX, PS_LINE_MAX + 1, 5, 3 << 20,
                                     PS_LINE_MAX + 1, 0,           2 << 20};
    enum { LINES = sizeof(lengths) / sizeof(lengths[0]) };
    (void)state;
    for (int newline_last = 0; newline_last < 2; newline_last++) {
        struct ps_lines *l;
        struct ps_str line;
        struct ps_err e;
        FILE *f = fopen(file, "w");
        for (size_t i = 0; i < LINES; i++) {
            for (size_t j = 0; j < lengths[i]; j++)
                putc('a' + (int)i, f);
            if (i + 1 < LINES || newline_last)
                putc('\n', f);
        }
        fclose(f);
        assert_int_equal(ps_lines_open(&l, file, &e), 0);
        for (size_t i = 0; i < LINES; i++) {
            assert_int_equal(ps_lines_next(l, &line, &e), 1);
            bool cut = lengths[i] > PS_LINE_MAX;
            assert_int_equal(line.len, cut ? PS_LINE_MAX : lengths[i]);
            assert_int_equal(ps_lines_was_cut(l), cut);
            if (line.len > 0) {
                assert_int_equal(line.ptr[0], 'a' + i);
                assert_int_equal(line.ptr[line.len - 1], 'a' + i);
            }
        }
        assert_int_equal(ps_lines_next(l, &line, &e), 0);
        ps_lines_close(l);
    }
}

struct feeder {
    int fd;
    const char *bytes;
    size_t len;
};

static void *feed_bytewise(void *arg)
{
    struct feeder *f = arg;
    for (size_t i = 0; i < f->len; i++)
        if (write(f->fd, f->bytes + i, 1) != 1)
            break;
    close(f->fd);
    return NULL;
}

/* The magic bytes may arrive one at a time, and standard input has no size. */
static void reads_a_slow_pipe(void **state)
{
    (void)state;
    for (int gzip = 0; gzip < 2; gzip++) {
        struct ps_buf packed, text, out;
        struct ps_err e = {0};
        int lines = 0, ends[2], saved = dup(STDIN_FILENO);
        pthread_t thread;
        ps_buf_init(&text, 1 << 16);
        ps_buf_init(&packed, 1 << 16);
        ps_buf_init(&out, 1 << 16);
        add_lines(&text, 0, 100);
        if (gzip)
            add_member(&packed, text.ptr, text.len);
        else
            ps_buf_append(&packed, text.ptr, text.len);
        assert_int_equal(pipe(ends), 0);
        struct feeder f = {ends[1], packed.ptr, packed.len};
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        assert_int_equal(pthread_create(&thread, NULL, feed_bytewise, &f), 0);
        int r = read_lines("-", &out, &lines, &e);
        pthread_join(thread, NULL);
        dup2(saved, STDIN_FILENO);
        close(saved);
        assert_int_equal(r, 0);
        assert_int_equal(lines, 100);
        assert_int_equal(out.len, text.len);
        assert_memory_equal(out.ptr, text.ptr, text.len);
        ps_buf_done(&text);
        ps_buf_done(&packed);
        ps_buf_done(&out);
    }
}

static void what_cannot_be_opened_is_said(void **state)
{
    struct ps_lines *l = NULL;
    struct ps_err e;
    (void)state;
    assert_int_equal(ps_lines_open(&l, "/nowhere/no-such.log", &e), PS_ENOENT);
    assert_non_null(strstr(e.text, "/nowhere/no-such.log"));
    assert_int_equal(ps_lines_open(&l, folder, &e), PS_EINVAL);
    assert_null(l);
    ps_lines_close(NULL);
}

/* While the next line is held, the lines before it stay where they are. */
static void lines_stay_while_the_next_is_held(void **state)
{
    struct ps_buf text;
    struct ps_lines *l;
    struct ps_err e = {0};
    struct ps_str lines[64], line;
    unsigned long seen = 0, together = 0;
    size_t held = 0;
    (void)state;
    ps_buf_init(&text, 1 << 24);
    add_lines(&text, 0, 150000); /* over 2 MB: several blocks */
    write_file(text.ptr, text.len);
    assert_int_equal(ps_lines_open(&l, file, &e), 0);
    while (ps_lines_next(l, &line, &e) == 1) {
        lines[held++] = line;
        if (held < 64 && ps_lines_holds_next(l)) {
            together++;
            continue;
        }
        for (size_t i = 0; i < held; i++, seen++) {
            char wanted[32];
            snprintf(wanted, sizeof wanted, "line %lu ", seen);
            assert_memory_equal(lines[i].ptr, wanted, strlen(wanted));
        }
        held = 0;
    }
    assert_int_equal(seen, 150000);
    assert_true(together > 140000);
    ps_lines_close(l);
    ps_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_of_several_members),
        cmocka_unit_test(body_stops_at_its_limit),
        cmocka_unit_test(broken_bodies_are_refused),
        cmocka_unit_test_setup_teardown(plain_and_gzip_read_alike, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(small_files, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(progress_counts_compressed_bytes, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(broken_gzip_gives_what_is_readable, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(long_lines_are_cut_and_said_so, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(lines_stay_while_the_next_is_held, make_folder,
                                        remove_folder),
        cmocka_unit_test(reads_a_slow_pipe),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened_is_said, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
