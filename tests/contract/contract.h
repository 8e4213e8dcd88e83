/* contract.h - what the contract suites share: a fresh place for every test, a group per backend.
 *
 * A suite is a table of cases and knows no backend; a group runs the whole table over one, and the
 * backend's word is part of every test's name. A new backend adds one line to its port's suite.
 *
 * Targets lie in a folder of their own that tear_down removes with whatever is in it; mem's targets
 * are only names, and are forgotten.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TESTS_CONTRACT_H
#define PS_TESTS_CONTRACT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "backend/mem/mem.h"
#include "backend/registry.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PLACE_PATH_MAX = 512,
    CASE_NAME_MAX = 160,
    CASES_MAX = 64,
    DUMP_BYTES_MAX = 64 << 20,
    EXCERPT_MAX = 200
};

/* --- where a test may write --- */

struct place {
    char folder[PLACE_PATH_MAX];
    char target[PLACE_PATH_MAX + 32];
};

static inline int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void place_make(struct place *p, const char *leaf)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(p->folder, sizeof p->folder, "%s/pathstats-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->target, sizeof p->target, "%s/%s", p->folder, leaf);
}

static inline void place_remove(struct place *p)
{
    ps_mem_forget(p->target);
    assert_int_equal(nftw(p->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* --- failing with the text of the error --- */

static inline void expect_ok(int r, const struct ps_err *e, const char *what, int line)
{
    if (r < 0)
        fail_msg("line %d: %s: %s: %s", line, what, ps_code_name(r), e->text);
}

#define OK(call) expect_ok((call), &test_err, #call, __LINE__)

static struct ps_err test_err __attribute__((unused));

/* --- random numbers (splitmix64), so that a seed says it all --- */

struct dice {
    uint64_t state;
};

static inline uint64_t throw_dice(struct dice *d)
{
    uint64_t x = d->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint32_t below(struct dice *d, uint32_t n)
{
    return (uint32_t)(throw_dice(d) % n);
}

/* PS_SEED, or the same default every day: a suite that is red now and then helps nobody. */
static inline uint64_t seed_of_run(void)
{
    const char *text = getenv("PS_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : UINT64_C(20251015);
    printf("# PS_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* --- state as text, so that two states compare with one assert --- */

static inline void dump_init(struct ps_buf *b)
{
    ps_buf_init(b, DUMP_BYTES_MAX);
    ps_buf_append(b, "", 0);
}

static inline void dump_str(struct ps_buf *to, struct ps_str s)
{
    if (s.ptr == NULL) {
        ps_buf_text(to, " -");
        return;
    }
    ps_buf_text(to, " '");
    for (size_t i = 0; i < s.len; i++) {
        bool plain = s.ptr[i] >= ' ' && s.ptr[i] < 127 && s.ptr[i] != '\\' && s.ptr[i] != '\'';
        ps_buf_format(to, plain ? "%c" : "\\%02x", (unsigned char)s.ptr[i]);
    }
    ps_buf_text(to, "'");
}

static inline int excerpt_of(struct ps_str s)
{
    const char *end = s.len == 0 ? NULL : memchr(s.ptr, '\n', s.len);
    size_t len = end != NULL ? (size_t)(end - s.ptr) : s.len;
    return (int)(len < EXCERPT_MAX ? len : EXCERPT_MAX);
}

/* Told with `what`: the line in which the two begin to differ, or the part of it around there. */
static inline void expect_same(const struct ps_buf *a, const struct ps_buf *b, const char *what)
{
    size_t line = 0, i = 0;
    assert_true(a->failed == 0 && b->failed == 0);
    if (a->len == b->len && ps_bytes_compare(a->ptr, b->ptr, a->len) == 0)
        return;
    for (; i < a->len && i < b->len && a->ptr[i] == b->ptr[i]; i++)
        if (a->ptr[i] == '\n' || i - line > EXCERPT_MAX / 2)
            line = i + 1;
    struct ps_str from_a = {a->ptr + line, a->len - line}, from_b = {b->ptr + line, b->len - line};
    fail_msg("%s\n  expected: %.*s\n  but it is: %.*s", what, excerpt_of(from_a), from_a.ptr,
             excerpt_of(from_b), from_b.ptr);
}

static inline void dump_end(struct ps_buf *b)
{
    ps_buf_append(b, "", 1);
    assert_int_equal(b->failed, 0);
    b->len--;
}

/* --- groups --- */

struct contract_case {
    const char *name;
    void (*run)(void **state);
};

/* Runs the cases over one backend; `backend` is what set_up finds in *state. */
static inline int run_contract(const char *port, const char *word, void *backend,
                               const struct contract_case *cases, size_t count,
                               int (*set_up)(void **), int (*tear_down)(void **))
{
    static char names[CASES_MAX][CASE_NAME_MAX];
    struct CMUnitTest tests[CASES_MAX];
    char group[CASE_NAME_MAX];
    PS_ASSERT(count <= CASES_MAX);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%s %s: %s", port, word, cases[i].name);
        tests[i] = (struct CMUnitTest){names[i], cases[i].run, set_up, tear_down, backend};
    }
    snprintf(group, sizeof group, "%s %s", port, word);
    return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}

#endif
