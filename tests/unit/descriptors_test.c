/* descriptors_test.c - how file descriptors are shared out.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "daemon/descriptors.h"

#include <string.h>
#include <sys/resource.h>

static void test_share(void **state)
{
    struct ps_err e = {0};
    size_t n = 0;
    (void)state;
    assert_int_equal(ps_descriptors_share(UINT64_MAX, 2048, 32, &n, &e), 0);
    assert_int_equal(n, 2048);
    assert_int_equal(ps_descriptors_share(1024, 2048, 32, &n, &e), 0);
    assert_int_equal(n, 1024 - 32 - PS_DESCRIPTORS_RESERVE);
    assert_int_equal(ps_descriptors_share(128 + 32 + 16, 2048, 32, &n, &e), 0);
    assert_int_equal(n, PS_DESCRIPTORS_CONNECTIONS_MIN);
    assert_int_equal(ps_descriptors_share(128 + 32 + 15, 2048, 32, &n, &e), PS_EFULL);
    assert_non_null(strstr(e.text, "175 files (ulimit -n) and needs at least 176"));
}

static void test_raise(void **state)
{
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_max = 1000;
    limit.rlim_cur = 300;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(ps_descriptors_raise(), 1000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_raise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
