/* objects_test.c - what every objects backend promises, shown on each of them.
 *
 * `dir` runs always, in a folder of its own. `s3` runs when PS_TEST_S3_ENDPOINT names a service:
 * PS_TEST_S3_BUCKET (an existing bucket), PS_TEST_S3_KEY and PS_TEST_S3_SECRET go with it. With
 * PS_TEST_S3_ONLY set, `dir` is left out. Every test begins on an empty prefix.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "backend/registry.h"
#include "base/check.h"
#include "port/objects.h"
#include "support/folder.h"

#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MANY = 1050, /* more than one page of S3 */
    BIG_BYTES = 2 * PS_OBJECT_PART_BYTES + PS_OBJECT_PART_MIN + 12345,
    SHA256_BYTES = 32,
    TESTS_MAX = 64,
};

struct backend {
    const struct ps_objects_ops *ops;
    struct ps_objects_config config;
    char folder[TEST_FOLDER_MAX], target[TEST_FOLDER_MAX + 32];
};

/* What a test starts with. */
struct rig {
    struct backend *backend;
    struct ps_objects *o;
    struct ps_err e;
};

#define OK(call) assert_int_equal_text((call), 0, rig, #call)
static void assert_int_equal_text(int r, int expected, struct rig *rig, const char *call)
{
    if (r != expected)
        fail_msg("%s: %d, %s", call, r, rig->e.text);
}

/* --- helpers ---------------------------------------------------------------------------------- */

static int collect(void *ctx, const void *bytes, size_t len)
{
    return ps_buf_append(ctx, bytes, len);
}

static void assert_holds(struct rig *rig, const char *key, const void *bytes, size_t len)
{
    struct ps_buf got;
    struct ps_object_info info = {.size_bytes = UINT64_MAX};
    ps_buf_init(&got, 64 * 1024 * 1024);
    OK(ps_objects_get(rig->o, key, collect, &got, &rig->e));
    assert_int_equal(got.len, len);
    if (len > 0)
        assert_memory_equal(got.ptr, bytes, len);
    OK(ps_objects_head(rig->o, key, &info, &rig->e));
    assert_int_equal(info.size_bytes, len);
    ps_buf_done(&got);
}

static void put_text(struct rig *rig, const char *key, const char *text)
{
    OK(ps_objects_put(rig->o, key, text, strlen(text), &rig->e));
}

static int append_line(void *ctx, const struct ps_object_info *info)
{
    struct ps_buf *lines = ctx;
    return ps_buf_format(lines, "%.*s %llu\n", (int)info->key.len, info->key.ptr,
                         (unsigned long long)info->size_bytes);
}

static void assert_lists(struct rig *rig, const char *prefix, const char *expected)
{
    struct ps_buf lines;
    ps_buf_init(&lines, 1024 * 1024);
    OK(ps_objects_list(rig->o, prefix, append_line, &lines, &rig->e));
    ps_buf_append(&lines, "", 1);
    assert_string_equal(lines.ptr, expected);
    ps_buf_done(&lines);
}

static int remove_shown(void *ctx, const struct ps_object_info *info)
{
    struct rig *rig = ctx;
    char key[PS_OBJECT_KEY_MAX + 1];
    snprintf(key, sizeof(key), "%.*s", (int)info->key.len, info->key.ptr);
    return ps_objects_remove(rig->o, key, &rig->e);
}

/* Bytes that repeat nowhere within a part. */
static char *make_big(size_t len)
{
    char *bytes = malloc(len);
    uint64_t x = 88172645463325252u;
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        bytes[i] = (char)x;
    }
    return bytes;
}

static int open_rig(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig->backend = *state;
    if (ps_objects_open(rig->backend->ops, &rig->o, &rig->backend->config, &rig->e) < 0 ||
        ps_objects_list(rig->o, "", remove_shown, rig, &rig->e) < 0 ||
        ps_objects_abort_uploads(rig->o, "", &rig->e) < 0) {
        print_error("%s: %s\n", rig->backend->ops->name, rig->e.text);
        return -1;
    }
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    struct rig *rig = *state;
    ps_objects_close(rig->o);
    free(rig);
    return 0;
}

/* --- the verbs -------------------------------------------------------------------------------- */

static void keeps_what_was_put(void **state)
{
    struct rig *rig = *state;
    static const char binary[] = "a\0b\xff\r\n<>&";
    OK(ps_objects_put(rig->o, "folder/of/one.bin", binary, sizeof(binary), &rig->e));
    assert_holds(rig, "folder/of/one.bin", binary, sizeof(binary));
    put_text(rig, "top", "1");
    assert_holds(rig, "top", "1", 1);
}

static void keeps_an_empty_object(void **state)
{
    struct rig *rig = *state;
    OK(ps_objects_put(rig->o, "empty", NULL, 0, &rig->e));
    assert_holds(rig, "empty", "", 0);
    assert_lists(rig, "", "empty 0\n");
}

static void overwrites_whole(void **state)
{
    struct rig *rig = *state;
    put_text(rig, "a/key", "a long first content");
    put_text(rig, "a/key", "short");
    assert_holds(rig, "a/key", "short", 5);
    assert_lists(rig, "", "a/key 5\n");
}

static void says_when_there_is_none(void **state)
{
    struct rig *rig = *state;
    struct ps_buf got;
    struct ps_object_info info = {.size_bytes = 77};
    ps_buf_init(&got, 100);
    put_text(rig, "a/b", "x");
    static const char *const missing[] = {"none", "a", "a/c", "a/b/c", "deep/er/none"};
    for (size_t i = 0; i < PS_COUNT_OF(missing); i++) {
        assert_int_equal(ps_objects_get(rig->o, missing[i], collect, &got, &rig->e), PS_ENOENT);
        assert_int_equal(ps_objects_head(rig->o, missing[i], &info, &rig->e), PS_ENOENT);
        OK(ps_objects_remove(rig->o, missing[i], &rig->e));
    }
    assert_int_equal(got.len, 0);
    assert_int_equal(info.size_bytes, 77);
    assert_holds(rig, "a/b", "x", 1);
}

static void removes(void **state)
{
    struct rig *rig = *state;
    put_text(rig, "a/1", "x");
    put_text(rig, "a/2", "y");
    OK(ps_objects_remove(rig->o, "a/1", &rig->e));
    OK(ps_objects_remove(rig->o, "a/1", &rig->e));
    assert_lists(rig, "", "a/2 1\n");
}

/* '-' '.' '/' '0' '=' follow each other in ASCII: folders must not be sorted by their bare name. */
static void lists_in_byte_order(void **state)
{
    struct rig *rig = *state;
    static const char *const keys[] = {"a0", "a=1/b", "a/b", "a.b", "a-b", "a/a/z", "B", "b", "_x"};
    for (size_t i = 0; i < PS_COUNT_OF(keys); i++)
        put_text(rig, keys[i], keys[i]);
    assert_lists(rig, "", "B 1\n_x 2\na-b 3\na.b 3\na/a/z 5\na/b 3\na0 2\na=1/b 5\nb 1\n");
    assert_lists(rig, "a/", "a/a/z 5\na/b 3\n");
    assert_lists(rig, "a/a", "a/a/z 5\n");
    assert_lists(rig, "a", "a-b 3\na.b 3\na/a/z 5\na/b 3\na0 2\na=1/b 5\n");
    assert_lists(rig, "a=1/b", "a=1/b 5\n");
    assert_lists(rig, "c/d", "");
}

static void takes_every_allowed_character(void **state)
{
    struct rig *rig = *state;
    static const char key[] = "dt=2025-10-15/hour=07/part_0.A-Z.jsonl.gz==";
    char longest[PS_OBJECT_KEY_MAX + 1];
    memset(longest, 'k', sizeof(longest));
    longest[PS_OBJECT_SEGMENT_MAX] = longest[2 * PS_OBJECT_SEGMENT_MAX + 1] = '/';
    longest[PS_OBJECT_KEY_MAX] = '\0';
    put_text(rig, key, "=");
    assert_holds(rig, key, "=", 1);
    put_text(rig, longest, "long");
    assert_holds(rig, longest, "long", 4);
    assert_lists(rig, "dt=2025-10-15/", "dt=2025-10-15/hour=07/part_0.A-Z.jsonl.gz== 1\n");
}

static void refuses_invalid_keys(void **state)
{
    struct rig *rig = *state;
    char too_long[PS_OBJECT_KEY_MAX + 2], wide[PS_OBJECT_SEGMENT_MAX + 2];
    memset(too_long, 'k', sizeof(too_long));
    for (size_t i = 100; i < sizeof(too_long) - 2; i += 100)
        too_long[i] = '/';
    too_long[PS_OBJECT_KEY_MAX + 1] = '\0';
    memset(wide, 'k', sizeof(wide));
    wide[PS_OBJECT_SEGMENT_MAX + 1] = '\0';
    const char *const bad[] = {"",          "/",     "/a",
                               "a/",        "a//b",  "../x",
                               "a/../b",    "a/./b", ".tmp-0123456789abcdef-x",
                               "a/.hidden", "a b",   "a\nb",
                               "a%2f",      "a?b",   "\xc3\xa4",
                               too_long,    wide};
    struct ps_object_info info;
    struct ps_object_writer w;
    for (size_t i = 0; i < PS_COUNT_OF(bad); i++) {
        assert_false(ps_object_key_is_valid(bad[i]));
        assert_int_equal(ps_objects_put(rig->o, bad[i], "x", 1, &rig->e), PS_EINVAL);
        assert_int_equal(ps_objects_get(rig->o, bad[i], collect, NULL, &rig->e), PS_EINVAL);
        assert_int_equal(ps_objects_head(rig->o, bad[i], &info, &rig->e), PS_EINVAL);
        assert_int_equal(ps_objects_remove(rig->o, bad[i], &rig->e), PS_EINVAL);
        assert_int_equal(ps_object_writer_open(&w, rig->o, bad[i], &rig->e), PS_EINVAL);
        ps_object_writer_done(&w);
    }
    assert_int_equal(ps_objects_list(rig->o, "../", append_line, NULL, &rig->e), PS_EINVAL);
    assert_int_equal(ps_objects_abort_uploads(rig->o, "/", &rig->e), PS_EINVAL);
    assert_int_equal(ps_objects_put(rig->o, "a", "x", (size_t)PS_OBJECT_PUT_MAX + 1, &rig->e),
                     PS_EINVAL);
    assert_lists(rig, "", "");
}

static void lists_more_than_a_page(void **state) /* I8: pages, not one endless answer */
{
    struct rig *rig = *state;
    struct ps_buf lines;
    char key[32];
    size_t at = 0;
    ps_buf_init(&lines, 1024 * 1024);
    for (int i = MANY - 1; i >= 0; i--) {
        snprintf(key, sizeof(key), "many/%05d", i);
        put_text(rig, key, "x");
    }
    put_text(rig, "mandatory", "not asked for");
    OK(ps_objects_list(rig->o, "many", append_line, &lines, &rig->e));
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(key, sizeof(key), "many/%05d 1\n", i);
        assert_true(at + (size_t)n <= lines.len);
        assert_memory_equal(lines.ptr + at, key, (size_t)n);
        at += (size_t)n;
    }
    assert_int_equal(at, lines.len);
    ps_buf_done(&lines);
    OK(ps_objects_list(rig->o, "many/", remove_shown, rig, &rig->e)); /* while it is listed */
    assert_lists(rig, "", "mandatory 13\n");
}

static int stop_bytes(void *ctx, const void *bytes, size_t len)
{
    (void)bytes;
    assert_true(len > 0);
    ++*(int *)ctx;
    return PS_ESTOP;
}

static int stop_object(void *ctx, const struct ps_object_info *info)
{
    (void)info;
    ++*(int *)ctx;
    return PS_ESTOP;
}

static void hands_on_what_a_callback_returns(void **state)
{
    struct rig *rig = *state;
    int calls = 0;
    put_text(rig, "a", "some bytes");
    put_text(rig, "b", "some bytes");
    assert_int_equal(ps_objects_get(rig->o, "a", stop_bytes, &calls, &rig->e), PS_ESTOP);
    assert_int_equal(calls, 1);
    assert_int_equal(ps_objects_list(rig->o, "", stop_object, &calls, &rig->e), PS_ESTOP);
    assert_int_equal(calls, 2);
    assert_holds(rig, "a", "some bytes", 10); /* the handle is still good */
}

/* --- large objects ---------------------------------------------------------------------------- */

struct digest {
    EVP_MD_CTX *sha256;
    uint64_t len;
};

static int add_to_digest(void *ctx, const void *bytes, size_t len)
{
    struct digest *d = ctx;
    d->len += len;
    return EVP_DigestUpdate(d->sha256, bytes, len) == 1 ? 0 : PS_EIO;
}

static void assert_same_sha256(struct rig *rig, const char *key, const char *bytes, size_t len)
{
    uint8_t expected[SHA256_BYTES], got[SHA256_BYTES];
    struct digest d = {.sha256 = EVP_MD_CTX_new()};
    assert_int_equal(EVP_Digest(bytes, len, expected, NULL, EVP_sha256(), NULL), 1);
    assert_int_equal(EVP_DigestInit_ex(d.sha256, EVP_sha256(), NULL), 1);
    OK(ps_objects_get(rig->o, key, add_to_digest, &d, &rig->e));
    assert_int_equal(EVP_DigestFinal_ex(d.sha256, got, NULL), 1);
    EVP_MD_CTX_free(d.sha256);
    assert_int_equal(d.len, len);
    assert_memory_equal(got, expected, SHA256_BYTES);
}

static void write_in_pieces(struct rig *rig, struct ps_object_writer *w, const char *bytes,
                            size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece)
        OK(ps_object_writer_write(w, bytes + at, len - at < piece ? len - at : piece, &rig->e));
}

static void streams_an_object_in_parts(void **state) /* I5: read back and compared */
{
    struct rig *rig = *state;
    struct ps_object_writer w;
    char *big = make_big(BIG_BYTES);
    OK(ps_object_writer_open(&w, rig->o, "big/three=parts", &rig->e));
    write_in_pieces(rig, &w, big, BIG_BYTES, 777777);
    OK(ps_object_writer_finish(&w, &rig->e));
    assert_int_equal(w.parts, 3);
    assert_int_equal(w.size_bytes, BIG_BYTES);
    ps_object_writer_done(&w);
    assert_same_sha256(rig, "big/three=parts", big, BIG_BYTES);
    assert_int_equal(ps_objects_abort_uploads(rig->o, "", &rig->e), 0);
    assert_same_sha256(rig, "big/three=parts", big, BIG_BYTES);
    free(big);
}

static void writes_what_fits_one_part_at_once(void **state)
{
    struct rig *rig = *state;
    static const size_t sizes[] = {0, 1, PS_OBJECT_PART_BYTES};
    char *bytes = make_big(PS_OBJECT_PART_BYTES);
    for (size_t i = 0; i < PS_COUNT_OF(sizes); i++) {
        struct ps_object_writer w;
        OK(ps_object_writer_open(&w, rig->o, "one-part", &rig->e));
        write_in_pieces(rig, &w, bytes, sizes[i], PS_OBJECT_PART_BYTES);
        assert_null(w.upload);
        OK(ps_object_writer_finish(&w, &rig->e));
        ps_object_writer_done(&w);
        assert_same_sha256(rig, "one-part", bytes, sizes[i]);
    }
    free(bytes);
}

static void shows_nothing_before_finish(void **state)
{
    struct rig *rig = *state;
    struct ps_object_writer w;
    struct ps_object_info info;
    char *big = make_big(BIG_BYTES);
    put_text(rig, "old", "what was there");
    static const char *const keys[] = {"old", "new"};
    for (size_t i = 0; i < 2; i++) {
        OK(ps_object_writer_open(&w, rig->o, keys[i], &rig->e));
        OK(ps_object_writer_write(&w, big, BIG_BYTES, &rig->e));
        assert_non_null(w.upload);
        assert_holds(rig, "old", "what was there", 14);
        assert_int_equal(ps_objects_head(rig->o, "new", &info, &rig->e), PS_ENOENT);
        assert_lists(rig, "", "old 14\n");
        ps_object_writer_done(&w); /* the abort */
        assert_lists(rig, "", "old 14\n");
        assert_int_equal(ps_objects_abort_uploads(rig->o, "", &rig->e), 0);
    }
    assert_holds(rig, "old", "what was there", 14);
    free(big);
}

/* A process of its own that dies in the middle of an upload. */
static void die_uploading(struct rig *rig, const char *key, const char *big)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct ps_object_writer w;
        struct ps_objects *o = NULL;
        int r = ps_objects_open(rig->backend->ops, &o, &rig->backend->config, NULL);
        if (r == 0)
            r = ps_object_writer_open(&w, o, key, NULL);
        if (r == 0)
            r = ps_object_writer_write(&w, big, BIG_BYTES, NULL);
        _exit(r == 0 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void finds_what_a_crash_left(void **state)
{
    struct rig *rig = *state;
    char *big = make_big(BIG_BYTES);
    put_text(rig, "days/05", "kept");
    die_uploading(rig, "days/06", big);
    die_uploading(rig, "days/07", big);
    die_uploading(rig, "other", big);
    assert_lists(rig, "", "days/05 4\n");
    assert_int_equal(ps_objects_abort_uploads(rig->o, "days/07", &rig->e), 1);
    assert_int_equal(ps_objects_abort_uploads(rig->o, "days/", &rig->e), 1);
    assert_int_equal(ps_objects_abort_uploads(rig->o, "days/", &rig->e), 0);
    assert_int_equal(ps_objects_abort_uploads(rig->o, "", &rig->e), 1);
    assert_holds(rig, "days/05", "kept", 4);
    free(big);
}

/* --- of dir alone ------------------------------------------------------------------------------
 */

/* A limit on the size of files stands in for a full disk: the same write fails half-way. */
static void says_when_the_disk_is_full(void **state)
{
    struct rig *rig = *state;
    struct rlimit was, small;
    char bytes[10000] = "";
    put_text(rig, "a/day", "what was there");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = (struct rlimit){.rlim_cur = sizeof(bytes) / 2, .rlim_max = was.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = ps_objects_put(rig->o, "a/day", bytes, sizeof(bytes), &rig->e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(r, PS_EFULL);
    assert_holds(rig, "a/day", "what was there", 14);
    assert_int_equal(ps_objects_abort_uploads(rig->o, "", &rig->e), 0); /* nothing was left */
}

/* A symbolic link is no object, wherever it points: what it points to is read by nobody and stays
 * as it is. */
static void follows_no_symbolic_link(void **state)
{
    struct rig *rig = *state;
    struct ps_object_info info;
    char link[PATH_MAX];
    put_text(rig, "a/real", "an object");
    snprintf(link, sizeof link, "%s/a/link", rig->backend->target);
    assert_int_equal(symlink("real", link), 0);
    assert_int_equal(ps_objects_get(rig->o, "a/link", collect, NULL, &rig->e), PS_ENOENT);
    assert_int_equal(ps_objects_head(rig->o, "a/link", &info, &rig->e), PS_ENOENT);
    assert_lists(rig, "", "a/real 9\n");
    put_text(rig, "a/link", "another");
    assert_holds(rig, "a/real", "an object", 9);
    assert_holds(rig, "a/link", "another", 7);
}

/* --- of s3 alone ------------------------------------------------------------------------------ */

static void refuses_a_wrong_secret(void **state)
{
    struct rig *rig = *state;
    struct ps_objects_config config = rig->backend->config;
    struct ps_objects *o = NULL;
    struct ps_object_info info;
    config.secret_access_key = "not-the-secret-at-all";
    put_text(rig, "a", "x");
    OK(ps_objects_open(rig->backend->ops, &o, &config, &rig->e));
    assert_int_equal(ps_objects_put(o, "b", "x", 1, &rig->e), PS_EDENIED);
    assert_non_null(strstr(rig->e.text, "SignatureDoesNotMatch"));
    assert_null(strstr(rig->e.text, config.secret_access_key));
    assert_int_equal(ps_objects_get(o, "a", collect, NULL, &rig->e), PS_EDENIED);
    assert_int_equal(ps_objects_head(o, "a", &info, &rig->e), PS_EDENIED);
    assert_int_equal(ps_objects_list(o, "", append_line, NULL, &rig->e), PS_EDENIED);
    assert_int_equal(ps_objects_remove(o, "a", &rig->e), PS_EDENIED);
    assert_int_equal(ps_objects_abort_uploads(o, "", &rig->e), PS_EDENIED);
    ps_objects_close(o);
    assert_lists(rig, "", "a 1\n");
}

static void tells_a_missing_bucket_from_a_missing_object(void **state)
{
    struct rig *rig = *state;
    struct ps_objects_config config = rig->backend->config;
    struct ps_objects *o = NULL;
    config.target = "no-such-bucket-here";
    OK(ps_objects_open(rig->backend->ops, &o, &config, &rig->e));
    assert_int_equal(ps_objects_get(o, "a", collect, NULL, &rig->e), PS_EINVAL);
    assert_non_null(strstr(rig->e.text, "NoSuchBucket"));
    ps_objects_close(o);
}

/* The endpoint as a name, PS_TEST_S3_NAMED_ENDPOINT, so that the bucket can stand before it. */
static void finds_the_bucket_in_the_host_name(void **state)
{
    struct rig *rig = *state;
    struct rig named = {.backend = rig->backend};
    struct ps_objects_config config = rig->backend->config;
    config.virtual_host = true;
    config.endpoint = getenv("PS_TEST_S3_NAMED_ENDPOINT");
    if (config.endpoint == NULL)
        skip();
    put_text(rig, "here/dt=1", "both see this");
    OK(ps_objects_open(rig->backend->ops, &named.o, &config, &rig->e));
    assert_lists(&named, "", "here/dt=1 13\n");
    assert_holds(&named, "here/dt=1", "both see this", 13);
    put_text(&named, "here/dt=2", "and this");
    ps_objects_close(named.o);
    assert_holds(rig, "here/dt=2", "and this", 8);
}

/* --- the runs --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    CMUnitTestFunction run;
    const struct ps_objects_ops *only; /* NULL: every backend */
} suite[] = {
#define CASE(f, s3_alone)                                                                          \
    {                                                                                              \
#f, f, s3_alone                                                                            \
    }
    CASE(keeps_what_was_put, NULL),
    CASE(keeps_an_empty_object, NULL),
    CASE(overwrites_whole, NULL),
    CASE(says_when_there_is_none, NULL),
    CASE(removes, NULL),
    CASE(lists_in_byte_order, NULL),
    CASE(takes_every_allowed_character, NULL),
    CASE(refuses_invalid_keys, NULL),
    CASE(lists_more_than_a_page, NULL),
    CASE(hands_on_what_a_callback_returns, NULL),
    CASE(streams_an_object_in_parts, NULL),
    CASE(writes_what_fits_one_part_at_once, NULL),
    CASE(shows_nothing_before_finish, NULL),
    CASE(finds_what_a_crash_left, NULL),
    CASE(says_when_the_disk_is_full, &ps_objects_dir),
    CASE(follows_no_symbolic_link, &ps_objects_dir),
    CASE(refuses_a_wrong_secret, &ps_objects_s3),
    CASE(tells_a_missing_bucket_from_a_missing_object, &ps_objects_s3),
    CASE(finds_the_bucket_in_the_host_name, &ps_objects_s3),
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int count_left(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    if (type == FTW_F && strstr(path, "/.tmp-") != NULL)
        return -1; /* a temporary file that nobody will remove */
    return 0;
}

static bool prepare(struct backend *b, const struct ps_objects_ops *ops)
{
    *b = (struct backend){.ops = ops, .config = {.timeout_ms = 20000, .retries = 3}};
    if (ops == &ps_objects_dir) {
        if (getenv("PS_TEST_S3_ONLY") != NULL || !test_folder(b->folder, "objects"))
            return false;
        snprintf(b->target, sizeof(b->target), "%s/made/by/open", b->folder);
    } else if (ops == &ps_objects_s3) {
        const char *bucket = getenv("PS_TEST_S3_BUCKET");
        b->config.endpoint = getenv("PS_TEST_S3_ENDPOINT");
        b->config.access_key_id = getenv("PS_TEST_S3_KEY");
        b->config.secret_access_key = getenv("PS_TEST_S3_SECRET");
        if (b->config.endpoint == NULL || bucket == NULL)
            return false;
        snprintf(b->target, sizeof(b->target), "%s/contract/run", bucket);
    }
    b->config.target = b->target;
    return true;
}

static int run_suite(struct backend *b)
{
    struct CMUnitTest tests[TESTS_MAX];
    char names[TESTS_MAX][96];
    _Static_assert(PS_COUNT_OF(suite) <= TESTS_MAX, "room for every test");
    size_t count = 0;
    for (size_t i = 0; i < PS_COUNT_OF(suite); i++) {
        if (suite[i].only != NULL && suite[i].only != b->ops)
            continue;
        snprintf(names[count], sizeof(names[count]), "%s: %s", b->ops->name, suite[i].name);
        tests[count] = (struct CMUnitTest){names[count], suite[i].run, open_rig, close_rig, b};
        count++;
    }
    int failed = _cmocka_run_group_tests(b->ops->name, tests, count, NULL, NULL);
    if (b->folder[0] != '\0') {
        if (nftw(b->folder, count_left, 16, FTW_PHYS) != 0)
            failed++;
        nftw(b->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    return failed;
}

int main(void)
{
    int failed = 0, ran = 0;
    for (size_t i = 0; ps_objects_backends[i] != NULL; i++) {
        struct backend b;
        if (!prepare(&b, ps_objects_backends[i]))
            continue;
        ran++;
        failed += run_suite(&b);
    }
    return failed != 0 || ran == 0;
}
