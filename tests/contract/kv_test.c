/* kv_test.c - the contract of port/kv.h, held against every backend.
 *
 * What two backends answer to the same random calls is compared as text, mem being the oracle.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include <pthread.h>

#define NOW INT64_C(1760529600000)

enum { RANDOM_ROUNDS = 1500, RANDOM_KEYS = 40, THREADS = 4, PUTS_EACH = 60 };

struct backend {
    const struct ps_kv_ops *ops;
    const char *leaf;
};

struct world {
    const struct backend *backend;
    struct place place;
    struct ps_kv *kv;
};

static struct ps_kv *open_kv(const struct world *w)
{
    struct ps_kv *kv = NULL;
    OK(ps_kv_open(w->backend->ops, &kv, w->place.target, false, &test_err));
    return kv;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->backend = *state;
    place_make(&w->place, w->backend->leaf);
    w->kv = open_kv(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ps_kv_close(w->kv);
    place_remove(&w->place);
    free(w);
    return 0;
}

static struct ps_str text(const char *s)
{
    return (struct ps_str){s, strlen(s)};
}

static void put(struct ps_kv *kv, const char *key, const char *value, int64_t ttl_ms,
                int64_t now_ms)
{
    OK(ps_kv_put(kv, text(key), text(value), ttl_ms, now_ms, &test_err));
}

/* `value` NULL: there must be none. */
static void expect(struct ps_kv *kv, struct ps_str key, int64_t now_ms, const char *value)
{
    struct ps_buf got;
    ps_buf_init(&got, PS_KV_VALUE_MAX);
    int r = ps_kv_get(kv, key, now_ms, &got, &test_err);
    if (value == NULL) {
        assert_int_equal(r, PS_ENOENT);
        assert_int_equal(got.len, 0);
    } else {
        expect_ok(r, &test_err, "get", __LINE__);
        assert_int_equal(got.len, strlen(value));
        assert_memory_equal(got.ptr != NULL ? got.ptr : "", value, got.len);
    }
    ps_buf_done(&got);
}

static int dump_key(void *ctx, struct ps_str key, int64_t expires_ms)
{
    dump_str(ctx, key);
    ps_buf_format(ctx, "@%lld", (long long)(expires_ms == 0 ? 0 : expires_ms - NOW));
    return 0;
}

/* "'key'@expiry, counted from NOW" in the order the backend gives them. */
static void expect_list(struct ps_kv *kv, struct ps_str prefix, int64_t now_ms,
                        const char *expected)
{
    struct ps_buf got;
    dump_init(&got);
    OK(ps_kv_list(kv, prefix, now_ms, dump_key, &got, &test_err));
    dump_end(&got);
    assert_string_equal(got.ptr, expected);
    ps_buf_done(&got);
}

/* --- values --- */

static void test_put_get_remove(void **state)
{
    struct world *w = *state;
    expect(w->kv, PS_STR("a"), NOW, NULL);
    OK(ps_kv_remove(w->kv, PS_STR("a"), &test_err)); /* also when there was none */
    put(w->kv, "a", "one", 0, NOW);
    put(w->kv, "b", "", 0, NOW);
    expect(w->kv, PS_STR("a"), NOW, "one");
    expect(w->kv, PS_STR("b"), NOW, ""); /* empty is not absent */
    put(w->kv, "a", "another", 0, NOW);
    expect(w->kv, PS_STR("a"), NOW, "another");
    expect(w->kv, PS_STR("A"), NOW, NULL);
    expect(w->kv, PS_STR("aa"), NOW, NULL);
    OK(ps_kv_remove(w->kv, PS_STR("a"), &test_err));
    expect(w->kv, PS_STR("a"), NOW, NULL);
    expect(w->kv, PS_STR("b"), NOW, "");
}

static void test_get_appends(void **state)
{
    struct world *w = *state;
    struct ps_buf got;
    ps_buf_init(&got, 64);
    put(w->kv, "a", "right", 0, NOW);
    ps_buf_text(&got, "left ");
    OK(ps_kv_get(w->kv, PS_STR("a"), NOW, &got, &test_err));
    assert_int_equal(got.len, 10);
    assert_memory_equal(got.ptr, "left right", 10);
    ps_buf_done(&got);
}

static void test_a_buffer_too_small(void **state)
{
    struct world *w = *state;
    struct ps_buf got;
    ps_buf_init(&got, 4);
    put(w->kv, "a", "12345", 0, NOW);
    assert_int_equal(ps_kv_get(w->kv, PS_STR("a"), NOW, &got, &test_err), PS_EFULL);
    assert_int_equal(got.len, 0);
    ps_buf_done(&got);
    expect(w->kv, PS_STR("a"), NOW, "12345");
}

static void test_bytes_of_every_kind(void **state)
{
    struct world *w = *state;
    char all[256];
    struct ps_buf got;
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    struct ps_str key = {all, sizeof all}, half = {all, 128};
    OK(ps_kv_put(w->kv, key, (struct ps_str){all, sizeof all}, 0, NOW, &test_err));
    OK(ps_kv_put(w->kv, half, PS_STR("a\0b"), 0, NOW, &test_err));
    OK(ps_kv_put(w->kv, PS_STR("\0"), PS_STR("zero"), 0, NOW, &test_err));
    OK(ps_kv_put(w->kv, PS_STR("\0\0"), PS_STR("two zeros"), 0, NOW, &test_err));
    ps_buf_init(&got, 512);
    OK(ps_kv_get(w->kv, key, NOW, &got, &test_err));
    OK(ps_kv_get(w->kv, half, NOW, &got, &test_err));
    assert_int_equal(got.len, 256 + 3);
    assert_memory_equal(got.ptr, all, 256);
    assert_memory_equal(got.ptr + 256, "a\0b", 3);
    ps_buf_done(&got);
    expect(w->kv, PS_STR("\0"), NOW, "zero");
    expect(w->kv, PS_STR("\0\0"), NOW, "two zeros");
    expect_list(w->kv, PS_STR("\0\0"), NOW, " '\\00\\00'@0");
}

static void test_limits(void **state)
{
    struct world *w = *state;
    struct ps_str value = {calloc(1, PS_KV_VALUE_MAX + 1), PS_KV_VALUE_MAX};
    char key[PS_KV_KEY_MAX + 1];
    struct ps_buf got;
    memset(key, 'k', sizeof key);
    for (size_t i = 0; i < value.len; i += 4093)
        ((char *)value.ptr)[i] = (char)(i >> 12);
    struct ps_str longest = {key, PS_KV_KEY_MAX}, too_long = {key, PS_KV_KEY_MAX + 1};
    OK(ps_kv_put(w->kv, longest, value, 0, NOW, &test_err));
    value.len++;
    assert_int_equal(ps_kv_put(w->kv, PS_STR("v"), value, 0, NOW, &test_err), PS_EINVAL);
    assert_int_equal(ps_kv_put(w->kv, too_long, PS_STR("v"), 0, NOW, &test_err), PS_EINVAL);
    assert_int_equal(ps_kv_put(w->kv, PS_STR(""), PS_STR("v"), 0, NOW, &test_err), PS_EINVAL);
    assert_int_equal(ps_kv_remove(w->kv, too_long, &test_err), PS_EINVAL);
    expect(w->kv, PS_STR("v"), NOW, NULL);
    ps_buf_init(&got, PS_KV_VALUE_MAX);
    assert_int_equal(ps_kv_get(w->kv, too_long, NOW, &got, &test_err), PS_EINVAL);
    OK(ps_kv_get(w->kv, longest, NOW, &got, &test_err));
    assert_int_equal(got.len, PS_KV_VALUE_MAX);
    assert_memory_equal(got.ptr, value.ptr, PS_KV_VALUE_MAX);
    ps_buf_done(&got);
    free((char *)value.ptr);
}

/* --- time to live --- */

static void test_expires_exactly_then(void **state)
{
    struct world *w = *state;
    put(w->kv, "good", "for good", 0, NOW);
    put(w->kv, "short", "brief", 1, NOW);
    put(w->kv, "long", "longer", 1000, NOW);
    expect(w->kv, PS_STR("short"), NOW, "brief");
    expect(w->kv, PS_STR("short"), NOW + 1, NULL);
    expect(w->kv, PS_STR("long"), NOW + 999, "longer");
    expect(w->kv, PS_STR("long"), NOW + 1000, NULL);
    expect(w->kv, PS_STR("long"), NOW + 999, "longer"); /* asking removes nothing */
    expect(w->kv, PS_STR("good"), INT64_MAX, "for good");
    expect_list(w->kv, PS_STR(""), NOW, " 'good'@0 'long'@1000 'short'@1");
    expect_list(w->kv, PS_STR(""), NOW + 1, " 'good'@0 'long'@1000");
    expect_list(w->kv, PS_STR(""), NOW + 1000, " 'good'@0");
}

static void test_a_put_sets_the_time_anew(void **state)
{
    struct world *w = *state;
    put(w->kv, "a", "1", 10, NOW);
    put(w->kv, "a", "2", 10, NOW + 5);
    expect(w->kv, PS_STR("a"), NOW + 14, "2");
    expect(w->kv, PS_STR("a"), NOW + 15, NULL);
    put(w->kv, "a", "3", 0, NOW + 20); /* an expired key comes back */
    expect(w->kv, PS_STR("a"), NOW + 1000000, "3");
    put(w->kv, "a", "4", 1, NOW + 30); /* and what was for good is not any more */
    expect(w->kv, PS_STR("a"), NOW + 31, NULL);
}

static void test_purge_counts(void **state)
{
    struct world *w = *state;
    char key[16];
    assert_int_equal(ps_kv_purge(w->kv, NOW, &test_err), 0);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put(w->kv, key, "v", i, NOW); /* 0 is for good */
    }
    assert_int_equal(ps_kv_purge(w->kv, NOW, &test_err), 0);
    assert_int_equal(ps_kv_purge(w->kv, NOW + 4, &test_err), 4);
    assert_int_equal(ps_kv_purge(w->kv, NOW + 4, &test_err), 0);
    expect(w->kv, PS_STR("key 4"), NOW, NULL); /* gone, even for one who looks back */
    expect(w->kv, PS_STR("key 5"), NOW + 4, "v");
    assert_int_equal(ps_kv_purge(w->kv, NOW + 1000, &test_err), 5);
    expect_list(w->kv, PS_STR(""), NOW, " 'key 0'@0");
}

/* --- list --- */

static void test_list_in_byte_order(void **state)
{
    struct world *w = *state;
    static const char *const keys[] = {"b",   "a:2", "a",          "a:10", "a:1",
                                       "a%b", "a_b", "\xc3\xa4",   "B",    "a:\xff",
                                       "a;",  "ab",  "a:\xff\xff", "~",    "*"};
    for (size_t i = 0; i < PS_COUNT_OF(keys); i++)
        put(w->kv, keys[i], "v", 0, NOW);
    expect_list(w->kv, PS_STR(""), NOW,
                " '*'@0 'B'@0 'a'@0 'a%b'@0 'a:1'@0 'a:10'@0 'a:2'@0 'a:\\ff'@0 'a:\\ff\\ff'@0"
                " 'a;'@0 'a_b'@0 'ab'@0 'b'@0 '~'@0 '\\c3\\a4'@0");
    expect_list(w->kv, PS_STR("a:"), NOW, " 'a:1'@0 'a:10'@0 'a:2'@0 'a:\\ff'@0 'a:\\ff\\ff'@0");
    expect_list(w->kv, PS_STR("a:\xff"), NOW, " 'a:\\ff'@0 'a:\\ff\\ff'@0");
    expect_list(w->kv, PS_STR("a%"), NOW, " 'a%b'@0"); /* no pattern */
    expect_list(w->kv, PS_STR("a_"), NOW, " 'a_b'@0");
    expect_list(w->kv, PS_STR("*"), NOW, " '*'@0");
    expect_list(w->kv, PS_STR("\xc3"), NOW, " '\\c3\\a4'@0");
    expect_list(w->kv, PS_STR("a:100"), NOW, "");
    expect_list(w->kv, PS_STR("zz"), NOW, "");
}

static int stop_at_second(void *ctx, struct ps_str key, int64_t expires_ms)
{
    (void)key;
    (void)expires_ms;
    return ++*(int *)ctx == 2 ? PS_ESTOP : 0;
}

static void test_a_callback_ends_the_list(void **state)
{
    struct world *w = *state;
    int calls = 0;
    put(w->kv, "a", "1", 0, NOW);
    put(w->kv, "b", "2", 0, NOW);
    put(w->kv, "c", "3", 0, NOW);
    assert_int_equal(ps_kv_list(w->kv, PS_STR(""), NOW, stop_at_second, &calls, &test_err),
                     PS_ESTOP);
    assert_int_equal(calls, 2);
    put(w->kv, "d", "4", 0, NOW); /* and nothing stayed locked */
    expect(w->kv, PS_STR("d"), NOW, "4");
}

/* --- handles --- */

static void test_reopening_keeps(void **state)
{
    struct world *w = *state;
    put(w->kv, "a", "kept", 0, NOW);
    put(w->kv, "b", "for a while", 10, NOW);
    put(w->kv, "c", "removed", 0, NOW);
    OK(ps_kv_remove(w->kv, PS_STR("c"), &test_err));
    for (int i = 0; i < 3; i++) {
        ps_kv_close(w->kv);
        w->kv = open_kv(w);
        expect_list(w->kv, PS_STR(""), NOW, " 'a'@0 'b'@10");
        expect(w->kv, PS_STR("a"), NOW, "kept");
        expect(w->kv, PS_STR("b"), NOW + 9, "for a while");
        expect(w->kv, PS_STR("b"), NOW + 10, NULL);
    }
    ps_kv_close(NULL);
}

static void test_two_handles(void **state)
{
    struct world *w = *state;
    struct ps_kv *other = open_kv(w), *reader = NULL;
    put(w->kv, "a", "1", 0, NOW);
    expect(other, PS_STR("a"), NOW, "1");
    put(other, "a", "2", 0, NOW);
    put(other, "b", "3", 0, NOW);
    expect(w->kv, PS_STR("a"), NOW, "2");
    OK(ps_kv_open(w->backend->ops, &reader, w->place.target, true, &test_err));
    expect_list(reader, PS_STR(""), NOW, " 'a'@0 'b'@0");
    OK(ps_kv_remove(w->kv, PS_STR("b"), &test_err));
    expect(other, PS_STR("b"), NOW, NULL);
    expect(reader, PS_STR("b"), NOW, NULL);
    ps_kv_close(reader);
    ps_kv_close(other);
    expect(w->kv, PS_STR("a"), NOW, "2");
}

struct writer {
    struct ps_kv *kv;
    int number, failed;
};

static void *put_often(void *arg)
{
    struct writer *me = arg;
    char key[32];
    for (int i = 0; i < PUTS_EACH; i++) {
        struct ps_buf got;
        ps_buf_init(&got, 64);
        snprintf(key, sizeof key, "%d:%02d", me->number, i);
        me->failed += ps_kv_put(me->kv, text(key), text(key), 0, NOW, NULL) < 0;
        me->failed += ps_kv_put(me->kv, PS_STR("shared"), text(key), 0, NOW, NULL) < 0;
        me->failed += ps_kv_get(me->kv, PS_STR("shared"), NOW, &got, NULL) < 0 || got.len != 4;
        ps_buf_done(&got);
    }
    return NULL;
}

static int count_key(void *ctx, struct ps_str key, int64_t expires_ms)
{
    (void)key;
    (void)expires_ms;
    ++*(int *)ctx;
    return 0;
}

/* A handle may be used by any thread. */
static void test_threads_share_a_handle(void **state)
{
    struct world *w = *state;
    struct writer writers[THREADS];
    pthread_t threads[THREADS];
    int keys = 0;
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){w->kv, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, put_often, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].failed, 0);
    }
    OK(ps_kv_list(w->kv, PS_STR(""), NOW, count_key, &keys, &test_err));
    assert_int_equal(keys, THREADS * PUTS_EACH + 1);
}

/* --- random calls, held against mem --- */

static struct ps_str random_key(struct dice *d, char *to)
{
    static const char alphabet[] = {'a', 'b', ':', '\0', '\xff'};
    struct dice named = {below(d, RANDOM_KEYS)};
    size_t len = 1 + below(&named, 4);
    for (size_t i = 0; i < len; i++)
        to[i] = alphabet[below(&named, sizeof alphabet)];
    return (struct ps_str){to, len};
}

static void play(struct ps_kv *kv, struct dice d, int64_t now_ms, struct ps_buf *told)
{
    char key_bytes[8], value[300];
    uint32_t what = below(&d, 100);
    struct ps_str key = random_key(&d, key_bytes);
    struct ps_buf got;
    ps_buf_init(&got, sizeof value);
    int r = 0;
    if (what < 45) {
        memset(value, 'a' + (int)below(&d, 26), sizeof value);
        struct ps_str s = {value, below(&d, sizeof value)};
        r = ps_kv_put(kv, key, s, below(&d, 3) * below(&d, 50), now_ms, &test_err);
    } else if (what < 60) {
        r = ps_kv_remove(kv, key, &test_err);
    } else if (what < 85) {
        r = ps_kv_get(kv, key, now_ms, &got, &test_err);
    } else if (what < 97) {
        key.len = below(&d, 3) < key.len ? below(&d, 3) % (key.len + 1) : key.len;
        r = ps_kv_list(kv, key, now_ms, dump_key, told, &test_err);
    } else {
        r = ps_kv_purge(kv, now_ms, &test_err);
    }
    ps_buf_format(told, "%u %d", what, r);
    dump_str(told, ps_buf_str(&got));
    ps_buf_text(told, "\n");
    ps_buf_done(&got);
}

static void test_random_calls(void **state)
{
    struct world *w = *state;
    struct dice d = {seed_of_run()};
    struct ps_kv *oracle = NULL;
    struct ps_buf expected, got;
    int64_t now_ms = NOW;
    dump_init(&expected);
    dump_init(&got);
    OK(ps_kv_open(&ps_kv_mem, &oracle, "kv oracle", false, &test_err));
    for (int i = 0; i < RANDOM_ROUNDS; i++) {
        struct dice same = {throw_dice(&d)};
        now_ms += below(&d, 8);
        if (below(&d, 60) == 0) {
            ps_kv_close(w->kv);
            w->kv = open_kv(w);
        }
        play(oracle, same, now_ms, &expected);
        play(w->kv, same, now_ms, &got);
    }
    OK(ps_kv_list(oracle, PS_STR(""), now_ms, dump_key, &expected, &test_err));
    OK(ps_kv_list(w->kv, PS_STR(""), now_ms, dump_key, &got, &test_err));
    ps_kv_close(oracle);
    ps_mem_forget("kv oracle");
    expect_same(&expected, &got, "the backend answers otherwise than mem");
    ps_buf_done(&expected);
    ps_buf_done(&got);
}

static const struct contract_case cases[] = {
    {"put, get, remove", test_put_get_remove},
    {"get appends", test_get_appends},
    {"a buffer too small for the value", test_a_buffer_too_small},
    {"keys and values of any bytes", test_bytes_of_every_kind},
    {"the longest key, the largest value, and one more", test_limits},
    {"a value expires exactly at its time", test_expires_exactly_then},
    {"a put sets the time to live anew", test_a_put_sets_the_time_anew},
    {"purge says how many", test_purge_counts},
    {"list is in byte order and takes the prefix literally", test_list_in_byte_order},
    {"a callback ends the list", test_a_callback_ends_the_list},
    {"reopening keeps", test_reopening_keeps},
    {"two handles see each other", test_two_handles},
    {"threads share a handle", test_threads_share_a_handle},
    {"random calls are answered as mem answers them", test_random_calls},
};

int main(void)
{
    static struct backend backends[] = {{&ps_kv_mem, "kv"}, {&ps_kv_sqlite, "kv.db"}};
    int failed = 0;
    for (size_t i = 0; i < PS_COUNT_OF(backends); i++)
        failed += run_contract("kv", backends[i].ops->name, &backends[i], cases, PS_COUNT_OF(cases),
                               set_up, tear_down);
    return failed;
}
