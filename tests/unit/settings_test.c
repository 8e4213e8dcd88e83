/* settings_test.c - what `serve` and `config check` refuse, and where they say it stands.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "daemon/serve.h"
#include "daemon/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct setting {
    const char *name, *value;
};

static const struct {
    struct setting set[4];
    const char *message; /* NULL: right */
} cases[] = {
    {{{"listen", "127.0.0.1:0"}}, NULL},
    {{{"archive_dir", "not/there/yet"}}, NULL},
    {{{"archive_dir", "/dev/null"}}, "--archive-dir: /dev/null is no folder"},
    {{{"archive_dir", "/dev/null/below"}}, "--archive-dir: /dev/null/below: Not a directory"},
    {{{"listen", ":8787"}}, NULL},
    {{{"listen", "[::1]:8787"}}, NULL},
    {{{"listen", "localhost:8787"}}, NULL},
    {{{"listen", "0.0.0.0:8787"}}, "--listen: listen on 0.0.0.0: access tokens"},
    {{{"listen", "[::]:8787"}}, "--listen: listen on [::]: access tokens"},
    {{{"listen", "192.0.2.1:8787"}}, "--listen: listen on 192.0.2.1: access tokens"},
    {{{"listen", "example.com:8787"}}, "--listen: listen on example.com: not an address"},
    {{{"cron_archive", "off"}, {"cron_snapshot", "@hourly"}}, NULL},
    {{{"cron_archive", "0 25 * * *"}}, "--cron-archive: "},
    {{{"cron_snapshot", "every day"}}, "--cron-snapshot: "},
    {{{"cron_capacity", "0 0 30 2 *"}}, "--cron-capacity: \"0 0 30 2 *\" never comes"},
    {{{"store", "postgres"}}, "--store: there is no backend \"postgres\"; try sqlite"},
    {{{"queue", "kafka"}}, "--queue: there is no backend \"kafka\"; try file"},
    {{{"kv", "redis"}}, "--kv: there is no backend \"redis\"; try sqlite"},
    {{{"objects", "s4"}}, "--objects: there is no backend \"s4\"; try dir or s3"},
    {{{"objects", "s3"}}, "--objects: s3 needs s3_bucket"},
    {{{"objects", "s3"}, {"s3_bucket", "My_Bucket"}}, "--objects: s3: a bucket's name"},
    {{{"objects", "s3"}, {"s3_bucket", "bucket"}}, "--objects: s3: no credentials"},
    {{{"objects", "s3"},
      {"s3_bucket", "bucket"},
      {"s3_access_key_id", "id"},
      {"s3_secret_access_key", "hunter2"}},
     NULL},
    {{{"objects", "dir"}, {"s3_endpoint", "nonsense"}}, NULL}, /* of no importance then */
    {{{"webhook", "https://user:hunter2@example.com/hook"}}, NULL},
    {{{"webhook", "http://localhost:9"}}, NULL},
    {{{"webhook", "hunter2"}}, "--webhook: not a URL"},
    {{{"webhook", "ftp://hunter2@example.com"}}, "--webhook: not a URL"},
    {{{"webhook", "https://"}}, "--webhook: not a URL"},
    {{{"webhook", "https://exa mple.com"}}, "--webhook: not a URL"},
};

static void configure(struct ps_config *c, const struct setting *set, size_t n,
                      enum ps_config_source source)
{
    struct ps_err e;
    ps_config_init(c);
    for (size_t i = 0; i < n && set[i].name != NULL; i++)
        assert_int_equal(ps_config_set(c, set[i].name, set[i].value, source, &e), 0);
}

static void what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ps_config c;
        struct ps_err e = {0};
        configure(&c, cases[i].set, COUNT(cases[i].set), PS_FROM_FLAG);
        int r = ps_settings_check(&c, &e);
        if (r != (cases[i].message == NULL ? 0 : PS_EINVAL) ||
            (r < 0 && strncmp(e.text, cases[i].message, strlen(cases[i].message)) != 0))
            fail_msg("%s = %s: %d %s", cases[i].set[0].name, cases[i].set[0].value, r, e.text);
        assert_null(strstr(e.text, "hunter2"));
    }
}

/* The same in a server, before it makes anything: with its data directory in /dev/null it could
 * not, and would say so. */
static void serve_refuses_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ps_config c;
        struct ps_err e = {0}, mine = {0};
        if (cases[i].message == NULL)
            continue;
        configure(&c, cases[i].set, COUNT(cases[i].set), PS_FROM_FLAG);
        snprintf(c.data_dir, sizeof c.data_dir, "/dev/null/data");
        assert_int_equal(ps_serve(&c, &e), PS_EINVAL);
        ps_settings_check(&c, &mine);
        assert_string_equal(e.text, mine.text);
    }
}

static void where_it_stands(void **state)
{
    const struct setting cron = {"cron_archive", "99 * * * *"}, listen = {"listen", "0.0.0.0:1"};
    struct ps_config c;
    struct ps_err e;
    (void)state;
    configure(&c, &cron, 1, PS_FROM_ENV);
    assert_int_equal(ps_settings_check(&c, &e), PS_EINVAL);
    assert_int_equal(strncmp(e.text, "PATHSTATS_CRON_ARCHIVE: ", 24), 0);
    configure(&c, &cron, 1, PS_FROM_FILE);
    snprintf(c.config, sizeof c.config, "some.ini");
    assert_int_equal(ps_settings_check(&c, &e), PS_EINVAL);
    assert_int_equal(strncmp(e.text, "some.ini:0: cron_archive: ", 26), 0);
    configure(&c, &listen, 1, PS_FROM_FILE);
    snprintf(c.config, sizeof c.config, "some.ini");
    assert_int_equal(ps_settings_check(&c, &e), PS_EINVAL);
    assert_int_equal(strncmp(e.text, "some.ini:0: listen on 0.0.0.0: ", 31), 0);
    setenv("PATHSTATS_LISTNE", ":1", 1);
    ps_config_init(&c);
    assert_int_equal(ps_settings_check(&c, &e), PS_EINVAL);
    unsetenv("PATHSTATS_LISTNE");
    assert_non_null(strstr(e.text, "did you mean PATHSTATS_LISTEN?"));
}

int main(void)
{
    static const char *const aws[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"};
    for (size_t i = 0; i < COUNT(aws); i++)
        unsetenv(aws[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(serve_refuses_the_same),
        cmocka_unit_test(where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
