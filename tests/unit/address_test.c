/* address_test.c - one client, one spelling: RFC 5952, and what proxies put around an address.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/address.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 20000 };

/* The result in static memory; the text is copied to a block of its exact size, so that a sanitizer
 * sees a read past its end. */
static const char *canonical(const char *text)
{
    static char result[256];
    char to[PS_ADDRESS_MAX];
    size_t len = strlen(text);
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    struct ps_str s = ps_address_canonical((struct ps_str){exact, len}, to);
    assert_true(s.len < sizeof result);
    memcpy(result, s.ptr, s.len);
    result[s.len] = '\0';
    free(exact);
    return result;
}

static void test_spellings(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"192.0.2.7", "192.0.2.7"},
        {"192.0.2.7:51234", "192.0.2.7"},
        {"[192.0.2.7]:1", "192.0.2.7"},
        {" 192.0.2.7\t", "192.0.2.7"},
        {"192.0.2.7:0", "192.0.2.7"},
        {"::ffff:192.0.2.7", "192.0.2.7"},
        {"::FFFF:C000:0207", "192.0.2.7"},
        {"0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"},
        {"[::ffff:192.0.2.7]:65535", "192.0.2.7"},
        {"::1", "::1"},
        {"0:0:0:0:0:0:0:1", "::1"},
        {"[::1]", "::1"},
        {"[::1]:80", "::1"},
        {"fe80::1%eth0", "fe80::1"},
        {"[fe80::1%25eth0]:80", "fe80::1"},
        {"2001:0DB8:0:0::1", "2001:db8::1"},
        {"2001:DB8::000A", "2001:db8::a"},
        /* RFC 5952, 4.2: never for one group; the longest run; of two equal ones the first */
        {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"::", "::"},
        {"1::", "1::"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"::ffff:0:192.0.2.33", "::ffff:0:c000:221"}, /* translated, not mapped */
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        const char *got = canonical(cases[i][0]);
        if (strcmp(got, cases[i][1]) != 0)
            fail_msg("%s: %s, not %s", cases[i][0], got, cases[i][1]);
        assert_string_equal(canonical(cases[i][1]), cases[i][1]);
    }
}

/* A text that is no address, or could be two, is a client of its own. */
static void test_what_is_no_address_stays(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        " ",
                                        "unknown",
                                        "-",
                                        "unix:/run/me",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "1.2.3.256",
                                        "1.2.3.",
                                        "01.2.3.4",
                                        "1.2.3.04",
                                        "1.2.3.00", /* octal for some */
                                        "1.2.3.4:",
                                        "1.2.3.4:65536",
                                        "1.2.3.4:x",
                                        "1.2.3.4:123456",
                                        "1.2.3.4, 5.6.7.8",
                                        "1.2.3.4/24",
                                        "[::1",
                                        "::1]",
                                        "[::1]x",
                                        "[::1]:",
                                        "[]",
                                        "%",
                                        "[%]",
                                        "::g",
                                        "2001:db8:::1",
                                        ":::",
                                        ":",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1:2:3:4:5:6:7:8::",
                                        "::1::",
                                        "1:::2",
                                        "12345::",
                                        "::1.2.3",
                                        "::1.2.3.4:5",
                                        "1:2:3:4:5:6:7:1.2.3.4",
                                        "::01.2.3.4",
                                        "1:2:3:4:5:6:7:",
                                        ":1:2:3:4:5:6:7",
                                        "host.example.com",
                                        "host.example.com:80"};
    for (size_t i = 0; i < PS_COUNT_OF(texts); i++)
        assert_string_equal(canonical(texts[i]), texts[i]);
}

static uint64_t seed_now = 5952;

static uint32_t next_random(void)
{
    seed_now = seed_now * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed_now >> 33);
}

/* inet_ntop writes as RFC 5952 wants, but for ::1.2.3.4, which nobody uses. */
static void test_as_inet_ntop(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct in6_addr a;
        char expected[INET6_ADDRSTRLEN], spelled[64], *to = spelled;
        for (int j = 0; j < 16; j++)
            a.s6_addr[j] = (uint8_t)next_random();
        for (int j = 0; j < 8; j++)
            if (next_random() % 2 == 0)
                a.s6_addr[2 * j] = a.s6_addr[2 * j + 1] = 0;
        a.s6_addr[0] = 0x20;
        assert_non_null(inet_ntop(AF_INET6, &a, expected, sizeof expected));
        assert_string_equal(canonical(expected), expected);
        for (int j = 0; j < 8; j++)
            to += sprintf(to, next_random() % 2 ? "%s%02X%02x" : "%s%02x%02X", j > 0 ? ":" : "",
                          a.s6_addr[2 * j], a.s6_addr[2 * j + 1]);
        assert_string_equal(canonical(spelled), expected);
    }
}

/* What inet_pton takes we take, and what it refuses we leave alone. */
static void test_as_inet_pton(void **state)
{
    (void)state;
    static const char letters[] = "0123459af::::::....";
    unsigned taken = 0;
    for (int i = 0; i < 20 * ROUNDS; i++) {
        char text[24], written[INET6_ADDRSTRLEN];
        struct in6_addr a;
        size_t len = 2 + next_random() % 14;
        for (size_t j = 0; j < len; j++)
            text[j] = letters[next_random() % (sizeof letters - 1)];
        text[len] = '\0';
        if (inet_pton(AF_INET6, text, &a) == 1) {
            struct in6_addr again;
            taken++;
            snprintf(written, sizeof written, "%s", canonical(text));
            if (!IN6_IS_ADDR_V4MAPPED(&a)) {
                assert_int_equal(inet_pton(AF_INET6, written, &again), 1);
                assert_memory_equal(&a, &again, sizeof a);
            }
        } else if (strchr(text, '.') == NULL) { /* else it may be IPv4 with a port */
            assert_string_equal(canonical(text), text);
        }
    }
    assert_true(taken > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_what_is_no_address_stays),
        cmocka_unit_test(test_as_inet_ntop),
        cmocka_unit_test(test_as_inet_pton),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
