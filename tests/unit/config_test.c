/* config_test.c - values, their sources and their messages.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "config/options.h"
#include "support/folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char folder[TEST_FOLDER_MAX], file[TEST_FOLDER_MAX + 32];

static int make_folder(void **state)
{
    (void)state;
    if (!test_folder(folder, "config"))
        return -1;
    snprintf(file, sizeof(file), "%s/pathstats.ini", folder);
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"PATHSTATS_LISTEN", "PATHSTATS_DATA_DIR",
                                        "PATHSTATS_CONFIG", "PATHSTATS_BATCH_EVENTS",
                                        "PATHSTATS_JSON",   "PATHSTATS_PORT_8787_TCP"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    unlink(file);
    return rmdir(folder);
}

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void check_message(const struct ps_err *e, const char *part)
{
    if (strstr(e->text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, e->text);
}

static void defaults(void **state)
{
    struct ps_config c;
    (void)state;
    ps_config_init(&c);
    assert_string_equal(c.data_dir, "data");
    assert_string_equal(c.config, "");
    assert_string_equal(c.listen, "127.0.0.1:8787");
    assert_string_equal(c.store, "sqlite");
    assert_string_equal(c.queue, "file");
    assert_string_equal(c.kv, "sqlite");
    assert_true(c.record_self);
    assert_false(c.json);
    assert_int_equal(c.body_limit, 16 << 20);
    assert_int_equal(c.queue_max, INT64_C(4) << 30);
    assert_int_equal(c.dead_letters_max, 256 << 20);
    assert_int_equal(c.cache_size, 96 << 20);
    assert_int_equal(c.batch_events, 50000);
    assert_int_equal(c.max_retries, 3);
    assert_int_equal(c.flush_interval, 1000);
    assert_int_equal(c.max_paths_per_hour, 100000);
    assert_int_equal(c.log_level, PS_LOG_INFO);
    assert_int_equal(c.retention_days, 3);
}

static void units(void **state)
{
    static const struct {
        const char *name, *value;
        int64_t expected; /* -1: refused */
    } cases[] = {
        {"queue_max", "10GB", INT64_C(10) << 30},
        {"queue_max", "10GiB", INT64_C(10) << 30},
        {"queue_max", "10 g", INT64_C(10) << 30},
        {"queue_max", "1048576", 1 << 20},
        {"queue_max", "2048k", 2 << 20},
        {"queue_max", "2048kB", 2 << 20},
        {"queue_max", "1T", INT64_C(1) << 40},
        {"queue_max", "64k", -1}, /* under its minimum */
        {"queue_max", "2T", -1},
        {"queue_max", "99999999999999999999", -1},
        {"queue_max", "9000000000T", -1},
        {"queue_max", "10XB", -1},
        {"queue_max", "1.5GB", -1},
        {"queue_max", "-1GB", -1},
        {"queue_max", "GB", -1},
        {"queue_max", "", -1},
        {"body_limit", "64k", 65536},
        {"body_limit", "64MB", 64 << 20},
        {"body_limit", "65MB", -1},
        {"flush_interval", "100ms", 100},
        {"flush_interval", "5s", 5000},
        {"flush_interval", "1m", 60000},
        {"flush_interval", "1min", 60000},
        {"flush_interval", "72h", -1},
        {"flush_interval", "0ms", -1},
        {"flush_interval", "5", -1}, /* of what? */
        {"batch_events", "65536", 65536},
        {"batch_events", "65537", -1},
        {"batch_events", "0", -1},
        {"batch_events", "12x", -1},
        {"batch_events", " 12", -1},
        {"max_retries", "0", 0},
        {"log_level", "error", PS_LOG_ERROR},
        {"log_level", "WARN", PS_LOG_WARN},
        {"log_level", "debug", PS_LOG_DEBUG},
        {"log_level", "deb", -1},
        {"log_level", "warn|info", -1},
        {"log_level", "", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ps_config c;
        struct ps_err e;
        ps_config_init(&c);
        struct ps_config before = c;
        int r = ps_config_set(&c, cases[i].name, cases[i].value, PS_FROM_FLAG, &e);
        if (r != (cases[i].expected < 0 ? PS_EINVAL : 0))
            fail_msg("%s = %s: %d", cases[i].name, cases[i].value, r);
        if (r < 0) {
            assert_memory_equal(&c, &before, sizeof(c));
            continue;
        }
        int64_t got = strcmp(cases[i].name, "queue_max") == 0        ? c.queue_max
                      : strcmp(cases[i].name, "body_limit") == 0     ? c.body_limit
                      : strcmp(cases[i].name, "flush_interval") == 0 ? c.flush_interval
                      : strcmp(cases[i].name, "batch_events") == 0   ? c.batch_events
                      : strcmp(cases[i].name, "max_retries") == 0    ? c.max_retries
                                                                     : c.log_level;
        if (got != cases[i].expected)
            fail_msg("%s = %s: %lld", cases[i].name, cases[i].value, (long long)got);
    }
}

static void texts_and_bools(void **state)
{
    static const char *const good[] = {":8787", "[::1]:80", "0.0.0.0:0", "localhost:65535"};
    static const char *const bad[] = {"", "8787", "::1", "::1:80", "h:65536", "h:", "h:x", "h:80x"};
    static const char *const yes[] = {"true", "YES", "on", "1"};
    static const char *const no[] = {"false", "no", "Off", "0"};
    char longest[PS_CONFIG_TEXT_MAX + 1];
    struct ps_config c;
    struct ps_err e;
    (void)state;
    ps_config_init(&c);
    for (size_t i = 0; i < COUNT(good); i++)
        assert_int_equal(ps_config_set(&c, "listen", good[i], PS_FROM_ENV, &e), 0);
    assert_string_equal(c.listen, "localhost:65535");
    for (size_t i = 0; i < COUNT(bad); i++)
        if (ps_config_set(&c, "listen", bad[i], PS_FROM_ENV, &e) != PS_EINVAL)
            fail_msg("accepted: %s", bad[i]);
    for (size_t i = 0; i < COUNT(yes); i++) {
        assert_int_equal(ps_config_set(&c, "json", no[i], PS_FROM_ENV, &e), 0);
        assert_false(c.json);
        assert_int_equal(ps_config_set(&c, "json", yes[i], PS_FROM_ENV, &e), 0);
        assert_true(c.json);
    }
    assert_int_equal(ps_config_set(&c, "json", "maybe", PS_FROM_ENV, &e), PS_EINVAL);
    memset(longest, 'x', sizeof(longest));
    longest[PS_CONFIG_TEXT_MAX] = '\0';
    assert_int_equal(ps_config_set(&c, "data_dir", longest, PS_FROM_ENV, &e), PS_EINVAL);
    longest[PS_CONFIG_TEXT_MAX - 1] = '\0';
    assert_int_equal(ps_config_set(&c, "data_dir", longest, PS_FROM_ENV, &e), 0);
    assert_string_equal(c.data_dir, longest);
}

/* A message says where, what, and what would be right. */
static void messages(void **state)
{
    struct ps_config c;
    struct ps_err e;
    (void)state;
    ps_config_init(&c);
    ps_config_set(&c, "batch_events", "70000", PS_FROM_FLAG, &e);
    assert_string_equal(e.text,
                        "--batch-events: batch_events cannot be \"70000\"; it takes a whole "
                        "number, from 1 to 65536");
    ps_config_set(&c, "body_limit", "1TB", PS_FROM_ENV, &e);
    assert_string_equal(e.text,
                        "PATHSTATS_BODY_LIMIT: body_limit cannot be \"1TB\"; it takes a size like "
                        "64k, 16MB or 10GB, from 64KB to 64MB");
    ps_config_set(&c, "max_wal_size", "16777217TB", PS_FROM_FLAG, &e); /* 1 TB and 2^64 bytes */
    check_message(&e, "a size like 64k, 16MB or 10GB, from 16MB to 1TB");
    ps_config_set(&c, "flush_interval", "5", PS_FROM_FLAG, &e);
    check_message(&e, "a duration like 100ms, 5s or 72h, from 1ms to 1m");
    ps_config_set(&c, "log_level", "loud", PS_FROM_FLAG, &e);
    check_message(&e, "one of error|warn|info|debug");
    ps_config_set(&c, "listen", "8787", PS_FROM_FLAG, &e);
    check_message(&e, "HOST:PORT");
    assert_int_equal(ps_config_set(&c, "bath_events", "1", PS_FROM_FLAG, &e), PS_EINVAL);
    check_message(&e, "did you mean batch_events?");
    assert_int_equal(ps_config_set(&c, "zzz", "1", PS_FROM_FLAG, &e), PS_EINVAL);
    check_message(&e, "there is no option \"zzz\"; --help lists them");
}

static void nearest_names(void **state)
{
    char endless[1000];
    (void)state;
    assert_string_equal(ps_config_nearest("data-dri"), "data_dir");
    assert_string_equal(ps_config_nearest("lisen"), "listen");
    assert_string_equal(ps_config_nearest("datadir"), "data_dir");
    assert_string_equal(ps_config_nearest("retention_day"), "retention_days");
    assert_string_equal(ps_config_nearest("kvs"), "kv");
    assert_string_equal(ps_config_nearest("jsno"), "json"); /* a swap is one edit */
    assert_null(ps_config_nearest("frobnicate"));
    assert_null(ps_config_nearest("x"));
    assert_null(ps_config_nearest(""));
    memset(endless, 'a', sizeof(endless));
    endless[sizeof(endless) - 1] = '\0';
    assert_null(ps_config_nearest(endless));
}

static void file_values(void **state)
{
    struct ps_config c;
    struct ps_err e;
    (void)state;
    ps_config_init(&c);
    write_file("; a comment\n# another\nstore = mem\n\n[server]\n  listen = :9000 ; why\n"
               "\trecord_self = no\n  body_limit=32MB\n[storage]\ndata_dir = /srv/a b\r\n"
               "queue_max = 1GB\nqueue_max = 2GB");
    assert_int_equal(ps_config_load_file(&c, file, &e), 0);
    assert_string_equal(c.store, "mem");
    assert_string_equal(c.listen, ":9000");
    assert_string_equal(c.data_dir, "/srv/a b");
    assert_string_equal(c.config, file);
    assert_false(c.record_self);
    assert_int_equal(c.body_limit, 32 << 20);
    assert_int_equal(c.queue_max, INT64_C(2) << 30);
    assert_int_equal(c.max_retries, 3);
    assert_int_equal(ps_config_load_file(&c, "/nowhere/pathstats-no-such.ini", &e), PS_ENOENT);
    assert_int_not_equal(ps_config_load_file(&c, folder, &e), 0);
}

static void file_mistakes_name_their_line(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"store = mem\n\nlissen = :1\n", "pathstats.ini:3: there is no option \"lissen\"; did you "
                                         "mean listen?"},
        {"[server]\n  store = mem\n  body_limit = lots\n",
         "pathstats.ini:3: body_limit cannot be \"lots\""},
        {"max_retries = x\nstore = ''\nlissen=1", "pathstats.ini:1: max_retries cannot be \"x\""},
        {"config = other.ini\n", "pathstats.ini:1: a configuration file cannot name another"},
        {"[storage]\nstore\n", "pathstats.ini:2: neither [section] nor name = value"},
        {"[a\n", "pathstats.ini:1: neither"},
        {"store =\n", "pathstats.ini:1: store cannot be \"\""},
        {"[storage]\n\n[srever]\nlisten = :1\n",
         "pathstats.ini:3: there is no section [srever]; did you mean [server]?"},
        {"[database]\n", "pathstats.ini:1: there is no section [database]"},
        {"  [Storage] ; a comment\n",
         "pathstats.ini:1: there is no section [Storage]; did you mean "
         "[storage]?"},
        {"[archive]\ns3_secret_access_kee = hunter2\n",
         "pathstats.ini:2: there is no option \"s3_secret_access_kee\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ps_config c;
        struct ps_err e = {0};
        ps_config_init(&c);
        write_file(cases[i].text);
        assert_int_equal(ps_config_load_file(&c, file, &e), PS_EINVAL);
        check_message(&e, cases[i].message);
        assert_null(strstr(e.text, "hunter2"));
    }
    char text[3000] = "\nstore = ";
    memset(text + 9, 'x', sizeof(text) - 10);
    text[sizeof(text) - 1] = '\0';
    struct ps_config c;
    struct ps_err e = {0};
    ps_config_init(&c);
    write_file(text);
    assert_int_equal(ps_config_load_file(&c, file, &e), PS_EINVAL);
    check_message(&e, "pathstats.ini:2: the line is longer than");
}

static void flags_leave_the_rest(void **state)
{
    char *argv[] = {"pathstats",        "import", "--data-dir", "/d", "--source",         "web",
                    "--batch_events=7", "a.log",  "--json",     "-",  "--no-record-self", "--",
                    "--store",          "x",      NULL};
    static const char *const left[] = {"pathstats", "import", "--source", "web", "a.log",
                                       "-",         "--",     "--store",  "x"};
    struct ps_config c;
    struct ps_err e;
    (void)state;
    ps_config_init(&c);
    assert_int_equal(ps_config_load_flags(&c, (int)COUNT(argv) - 1, argv, &e), (int)COUNT(left));
    for (size_t i = 0; i < COUNT(left); i++)
        assert_string_equal(argv[i], left[i]);
    assert_null(argv[COUNT(left)]);
    assert_string_equal(c.data_dir, "/d");
    assert_int_equal(c.batch_events, 7);
    assert_true(c.json);
    assert_false(c.record_self);
    assert_string_equal(c.store, "sqlite");
}

static void flag_mistakes(void **state)
{
    static const struct {
        char *flag;
        const char *message;
    } cases[] = {
        {"--listen", "--listen: a value is missing; it takes HOST:PORT"},
        {"--json=perhaps", "--json: json cannot be \"perhaps\"; it takes true or false"},
        {"--no-json=true", "--no- takes no value"},
        {"--max-retries=-1", "--max-retries: max_retries cannot be \"-1\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *argv[] = {"pathstats", cases[i].flag, NULL};
        struct ps_config c;
        struct ps_err e = {0};
        ps_config_init(&c);
        assert_int_equal(ps_config_load_flags(&c, 2, argv, &e), PS_EINVAL);
        check_message(&e, cases[i].message);
    }
    char *argv[] = {"pathstats", "--no-listen", "--jso", "--", NULL}; /* not ours to judge */
    struct ps_config c;
    struct ps_err e;
    ps_config_init(&c);
    assert_int_equal(ps_config_load_flags(&c, 4, argv, &e), 4);
    assert_int_equal(ps_config_load_flags(&c, 0, argv, &e), 0);
}

/* default < file < environment < flag, each seen by what it alone sets. */
static void precedence(void **state)
{
    char flag[600];
    snprintf(flag, sizeof(flag), "--config=%s", file);
    char *argv[] = {"pathstats", flag, "--listen", ":4", NULL};
    struct ps_config c;
    struct ps_err e;
    (void)state;
    write_file("listen = :2\nbatch_events = 2\nmax_retries = 2\n");
    setenv("PATHSTATS_LISTEN", ":3", 1);
    setenv("PATHSTATS_BATCH_EVENTS", "3", 1);
    setenv("PATHSTATS_JSON", "", 1);                             /* empty is unset */
    setenv("PATHSTATS_PORT_8787_TCP", "tcp://10.0.0.1:8787", 1); /* Kubernetes */
    assert_int_equal(ps_config_load(&c, 4, argv, &e), 1);
    assert_string_equal(c.listen, ":4");
    assert_int_equal(c.batch_events, 3);
    assert_int_equal(c.max_retries, 2);
    assert_int_equal(c.retention_days, 3);

    /* Whatever the order: the weaker one is checked, and dropped. */
    assert_int_equal(ps_config_set(&c, "listen", ":9", PS_FROM_FILE, &e), 0);
    assert_string_equal(c.listen, ":4");
    assert_int_equal(ps_config_set(&c, "listen", "no", PS_FROM_FILE, &e), PS_EINVAL);
    assert_int_equal(ps_config_set(&c, "listen", ":9", PS_FROM_FLAG, &e), 0);
    assert_string_equal(c.listen, ":9");

    setenv("PATHSTATS_BATCH_EVENTS", "many", 1);
    char *again[] = {"pathstats", NULL};
    assert_int_equal(ps_config_load(&c, 1, again, &e), PS_EINVAL);
    check_message(&e, "PATHSTATS_BATCH_EVENTS: batch_events cannot be \"many\"");
}

static void file_beside_the_data_is_found(void **state)
{
    char *argv[] = {"pathstats", "--data-dir", folder, NULL};
    char *missing[] = {"pathstats", "--config", "/nowhere/pathstats-no-such.ini", NULL};
    struct ps_config c;
    struct ps_err e;
    (void)state;
    write_file("max_retries = 9\n");
    assert_int_equal(ps_config_load(&c, 3, argv, &e), 1);
    assert_int_equal(c.max_retries, 9);
    assert_string_equal(c.config, file);
    setenv("PATHSTATS_CONFIG", "/dev/null", 1); /* asked for another: this one is not looked for */
    char *once_more[] = {"pathstats", "--data-dir", folder, NULL};
    assert_int_equal(ps_config_load(&c, 3, once_more, &e), 1);
    assert_int_equal(c.max_retries, 3);
    assert_int_equal(ps_config_load(&c, 3, missing, &e), PS_ENOENT);
    check_message(&e, "/nowhere/pathstats-no-such.ini");
}

static char *printed(const struct ps_config *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    ps_config_print(c, f);
    fclose(f);
    return text;
}

/* What Kubernetes puts there is known; what looks like a setting and is none is told. */
static void variables_that_are_no_settings(void **state)
{
    static const struct {
        const char *name, *value, *message; /* NULL: fine */
    } cases[] = {
        {"PATHSTATS_LISTEN", ":1", NULL},
        {"PATHSTATS_S3_BUCKET", "b", NULL},
        {"PATHSTATS_SERVICE_HOST", "10.0.0.1", NULL},
        {"PATHSTATS_SERVICE_PORT_HTTP", "8787", NULL},
        {"PATHSTATS_PORT", "tcp://10.0.0.1:8787", NULL},
        {"PATHSTATS_PORT_8787_TCP_ADDR", "10.0.0.1", NULL},
        {"PATHSTATS_LISTNE", "", NULL}, /* empty is unset */
        {"PATHSTATSX", "1", NULL},      /* another program's */
        {"PATHSTATS_LISTNE", ":1",
         "PATHSTATS_LISTNE: there is no such setting; did you mean PATHSTATS_LISTEN?"},
        {"PATHSTATS_PORT", "9000", "PATHSTATS_PORT: there is no such setting"},
        {"PATHSTATS_DATADIR", "/d",
         "PATHSTATS_DATADIR: there is no such setting; did you mean PATHSTATS_DATA_DIR?"},
        {"PATHSTATS_FROBNICATE", "hunter2",
         "PATHSTATS_FROBNICATE: there is no such setting; `pathstats --help` lists them"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ps_err e = {0};
        setenv(cases[i].name, cases[i].value, 1);
        int r = ps_config_check_env(&e);
        unsetenv(cases[i].name);
        if (r != (cases[i].message == NULL ? 0 : PS_EINVAL))
            fail_msg("%s=%s: %d", cases[i].name, cases[i].value, r);
        if (cases[i].message != NULL)
            check_message(&e, cases[i].message);
        assert_null(strstr(e.text, "hunter2"));
    }
}

static void where_a_value_stands(void **state)
{
    char *argv[] = {"pathstats", "--config", file, "--listen", ":4", NULL};
    char where[PS_CONFIG_TEXT_MAX], expected[PS_CONFIG_TEXT_MAX + 64];
    struct ps_config c;
    struct ps_err e;
    (void)state;
    write_file("\n\nqueue_max = 10GB\n");
    setenv("PATHSTATS_JSON", "true", 1);
    assert_int_equal(ps_config_load(&c, 5, argv, &e), 1);
    assert_int_equal(ps_config_where(&c, "listen", where, sizeof(where)), PS_FROM_FLAG);
    assert_string_equal(where, "--listen");
    assert_int_equal(ps_config_where(&c, "json", where, sizeof(where)), PS_FROM_ENV);
    assert_string_equal(where, "PATHSTATS_JSON");
    assert_int_equal(ps_config_where(&c, "queue_max", where, sizeof(where)), PS_FROM_FILE);
    snprintf(expected, sizeof(expected), "%s:3", file);
    assert_string_equal(where, expected);
    assert_int_equal(ps_config_where(&c, "store", where, sizeof(where)), PS_FROM_DEFAULT);
    assert_string_equal(where, "default");
}

/* Neither printed nor repeated in a message. */
static void secrets_are_not_shown(void **state)
{
    static const struct {
        const char *name, *value, *shown;
    } cases[] = {
        {"s3_secret_access_key", "hunter2", "s3_secret_access_key = ; (set, not shown)"},
        {"webhook", "https://hooks.example.com/services/hunter2",
         "webhook = ; https://hooks.example.com, the rest is not shown"},
        {"webhook", "https://me:hunter2@example.com/", "webhook = ; https://example.com, the rest"},
        {"webhook", "https://example.com?token=hunter2", "webhook = ; https://example.com, the"},
        {"webhook", "https://example.com:8443/", "webhook = https://example.com:8443/ "},
        {"s3_endpoint", "https://a@b:hunter2@s3.example.com:9000",
         "s3_endpoint = ; https://s3.example.com:9000, the rest is not shown"},
        {"s3_endpoint", "https://s3.example.com", "s3_endpoint = https://s3.example.com "},
        {"webhook", "\x1b[31m", "webhook = ; (not shown: it has characters that cannot be seen)"},
        {"data_dir",
         "a\xc2\x9b"
         "31m",
         "data_dir = ; (not shown: it has characters"},
        {"s3_endpoint", "", "s3_endpoint =  "},
    };
    static const char *const hidden[] = {"s3_secret_access_key", "webhook", "s3_endpoint"};
    char endless[PS_CONFIG_TEXT_MAX + 10];
    struct ps_config c;
    struct ps_err e;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        ps_config_init(&c);
        assert_int_equal(ps_config_set(&c, cases[i].name, cases[i].value, PS_FROM_FLAG, &e), 0);
        char *text = printed(&c);
        if (strstr(text, cases[i].shown) == NULL || strstr(text, "hunter2") != NULL)
            fail_msg("%s = %s: %s", cases[i].name, cases[i].value, strstr(text, cases[i].name));
        free(text);
    }
    memset(endless, 'x', sizeof(endless));
    memcpy(endless, "hunter2", 7);
    endless[sizeof(endless) - 1] = '\0';
    for (size_t i = 0; i < COUNT(hidden); i++) {
        assert_int_equal(ps_config_set(&c, hidden[i], endless, PS_FROM_FLAG, &e), PS_EINVAL);
        assert_null(strstr(e.text, "hunter2"));
    }
}

static void check_tells_value_and_source(void **state)
{
    char *argv[] = {"pathstats", "--config", file, "--no-record-self", NULL};
    char expected[1024];
    struct ps_config c, back;
    struct ps_err e;
    (void)state;
    write_file("\nqueue_max = 10GB\nlog_level = debug\n");
    setenv("PATHSTATS_LISTEN", ":3", 1);
    assert_int_equal(ps_config_load(&c, 4, argv, &e), 1);
    char *text = printed(&c);
    assert_non_null(
        strstr(text, "[storage]\ndata_dir = data                          ; default\n"));
    snprintf(expected, sizeof(expected), "\nqueue_max = 10GB                         ; %s:2\n",
             file);
    assert_non_null(strstr(text, expected));
    assert_non_null(
        strstr(text, "\nlisten = :3                              ; PATHSTATS_LISTEN\n"));
    assert_non_null(strstr(text, "\nrecord_self = false                      ; --record-self\n"));
    assert_non_null(strstr(text, "\nflush_interval = 1s                      ; default\n"));

    write_file(text); /* what check prints is a configuration file */
    free(text);
    ps_config_init(&back);
    assert_int_equal(ps_config_load_file(&back, file, &e), 0);
    assert_int_equal(back.queue_max, c.queue_max);
    assert_int_equal(back.log_level, PS_LOG_DEBUG);
    assert_string_equal(back.listen, ":3");
    assert_false(back.record_self);
    assert_int_equal(back.flush_interval, 1000);
}

/* What --help and the man page are made of. */
static void every_option_is_told(void **state)
{
    struct ps_config c;
    struct ps_config_option o;
    struct ps_err e;
    size_t n = 0;
    bool self = false, listen = false;
    (void)state;
    ps_config_init(&c);
    for (; ps_config_option(n, &o); n++) {
        assert_true(strlen(o.help) > 0 && strlen(o.section) > 0);
        assert_int_equal(strncmp(o.flag, "--", 2), 0);
        assert_null(strchr(o.flag, '_'));
        assert_int_equal(ps_config_set(&c, o.name, o.preset, PS_FROM_FLAG, &e), 0);
        self = self || strcmp(o.flag, "--[no-]record-self") == 0;
        listen = listen || (strcmp(o.flag, "--listen") == 0 && strcmp(o.value, "HOST:PORT") == 0 &&
                            strcmp(o.preset, "127.0.0.1:8787") == 0);
    }
    assert_true(n >= 35);
    assert_true(self && listen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(units),
        cmocka_unit_test(texts_and_bools),
        cmocka_unit_test(messages),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test_setup_teardown(file_values, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(file_mistakes_name_their_line, make_folder, remove_folder),
        cmocka_unit_test(flags_leave_the_rest),
        cmocka_unit_test(flag_mistakes),
        cmocka_unit_test_setup_teardown(precedence, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(file_beside_the_data_is_found, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(check_tells_value_and_source, make_folder, remove_folder),
        cmocka_unit_test(variables_that_are_no_settings),
        cmocka_unit_test_setup_teardown(where_a_value_stands, make_folder, remove_folder),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(every_option_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
