/* guard_test.c - which Host and Origin headers a server on loopback believes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "api/guard.h"
#include "base/check.h"

#include <string.h>

static struct ps_str str(const char *text)
{
    return (struct ps_str){text, strlen(text)};
}

static void check_all(bool (*guard)(struct ps_str), const char *const *texts, size_t count,
                      bool wanted)
{
    for (size_t i = 0; i < count; i++)
        if (guard(str(texts[i])) != wanted)
            fail_msg("\"%s\" should be %s", texts[i], wanted ? "let in" : "refused");
}

static void test_hosts_let_in(void **state)
{
    static const char *const hosts[] = {
        "localhost", "LocalHost",      "localhost:8787", "localhost:1", "localhost:65535",
        "127.0.0.1", "127.0.0.1:8787", "127.1.2.3",      "[::1]",       "[::1]:8787",
    };
    (void)state;
    check_all(ps_guard_host, hosts, PS_COUNT_OF(hosts), true);
}

static void test_hosts_refused(void **state)
{
    static const char *const hosts[] = {
        "",
        "evil.example",
        "evil.example:8787",
        "localhost.evil.example",
        "notlocalhost",
        "localhost.",
        "localhost:",
        "localhost:65536",
        "localhost:123456",
        "localhost:80x",
        "localhost:80:80",
        "localhost@evil.example",
        " localhost",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io:8787",
        "127.0.0",
        "127.1",
        "128.0.0.1",
        "0.0.0.0",
        "0127.0.0.1",
        "10.0.0.1",
        "2130706433",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[::2]",
        "[::ffff:127.0.0.1]",
        "127.0.0.1000000000000000000",
    };
    (void)state;
    check_all(ps_guard_host, hosts, PS_COUNT_OF(hosts), false);
    assert_false(ps_guard_host(PS_STR_NONE));
    assert_false(ps_guard_host(PS_STR("127.0.0.1\0.evil.example")));
}

static void test_origins(void **state)
{
    static const char *const good[] = {"http://localhost", "https://localhost:8787",
                                       "HTTP://127.0.0.1:80", "http://[::1]:8787"};
    static const char *const bad[] = {"null",
                                      "",
                                      "localhost",
                                      "http://",
                                      "http://evil.example",
                                      "https://localhost.evil.example",
                                      "http://localhost/",
                                      "http://localhost/evil",
                                      "ftp://localhost",
                                      "file://",
                                      "http://http://localhost"};
    (void)state;
    check_all(ps_guard_origin, good, PS_COUNT_OF(good), true);
    check_all(ps_guard_origin, bad, PS_COUNT_OF(bad), false);
    assert_false(ps_guard_origin(PS_STR_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_let_in),
        cmocka_unit_test(test_hosts_refused),
        cmocka_unit_test(test_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
