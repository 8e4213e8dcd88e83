/* scenarios.c - what is done while the disk fails. See sweep.h.
 *
 * Events are few, and made so that a loss or a doubling of any shows: ids that begin with their
 * time and ids that do not, repetitions inside and across batches, clients that come back (two
 * secrets would make two of one), a day that is closed, and one batch larger than a segment of the
 * queue, so that one is begun and one is trimmed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fault/sweep/sweep.h"

#include "base/time.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCHES = 5,
    BATCH_EVENTS = 12,
    LARGE_EVENTS = 280, /* of LARGE_PATH bytes each: more than a quarter of QUEUE_MAX */
    LARGE_PATH = 1000,
    CLOSED_EVENTS = 12, /* of the day that is archived beforehand */
    LATE_EVENTS = 4,    /* for that day afterwards */
    BODY_MAX = 512 * 1024,
    OLD_DAYS = 6,
    LASTS_MS = 300,
    PATIENCE_STEP_US = 2000,
};
#define QUEUE_MAX "1MB"
#define DAY_MS INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)

static struct {
    char text[BODY_MAX];
    size_t len;
} batches[BATCHES];
static int64_t recent_ms, closed_ms;
static char folder[PATH_MAX / 2], recent_file[PATH_MAX], closed_file[PATH_MAX], late_file[PATH_MAX],
    closed_date[16];

/* --- events --- */

__attribute__((format(printf, 4, 5))) static size_t put(char *to, size_t at, size_t max,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t n = (size_t)vsnprintf(to + at, max - at, format, args);
    va_end(args);
    if (at + n >= max)
        abort();
    return at + n;
}

static size_t put_event(char *to, size_t at, size_t max, const char *kind, int64_t base_ms, int k,
                        const char *path)
{
    int64_t ms = base_ms + k * 1000;
    char id[64];
    if (k % 3 == 0)
        snprintf(id, sizeof id, "%s-%d", kind, k);
    else
        snprintf(id, sizeof id, "%lld-%s-%d", (long long)ms, kind, k);
    return put(to, at, max,
               "{\"path\":\"%s\",\"timestamp\":%lld,\"status\":%d,\"responseTime\":%d.25,"
               "\"clientIp\":\"10.0.0.%d\",\"idempotentId\":\"%s\"}\n",
               path, (long long)ms, k % 4 == 0 ? 500 : 200, k % 50, k % 3, id);
}

static void make_batch(int b, int64_t base_ms)
{
    static const char *const paths[] = {"/a", "/b/c", "/d"};
    char *to = batches[b].text, path[LARGE_PATH + 1];
    size_t at = 0;
    int count = b == 2 ? LARGE_EVENTS : BATCH_EVENTS;
    memset(path, 'x', LARGE_PATH);
    path[0] = '/';
    path[LARGE_PATH] = '\0';
    for (int i = 0; i < count; i++) /* half of the first batch comes again in the second */
        at = put_event(to, at, BODY_MAX, b == 2 ? "large" : "small", base_ms,
                       b == 1 ? i + BATCH_EVENTS / 2 : b * BATCH_EVENTS + i,
                       b == 2 ? path : paths[i % 3]);
    if (b == 3) /* for a day that is closed: a dead letter */
        for (int i = 0; i < LATE_EVENTS; i++)
            at = put_event(to, at, BODY_MAX, "late", closed_ms, i, "/late");
    batches[b].len = at;
}

static void write_text(const char *file, const char *text, size_t len)
{
    FILE *f = fopen(file, "we");
    if (f == NULL || fwrite(text, 1, len, f) != len || fclose(f) != 0)
        abort();
}

static size_t put_log_lines(char *to, size_t max)
{
    char when[64];
    size_t at = 0;
    for (int i = 0; i < 20; i++) {
        time_t t = (time_t)(recent_ms / 1000) + i / 2;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(when, sizeof when, "%d/%b/%Y:%H:%M:%S +0000", &tm);
        at = put(to, at, max, "10.0.1.%d - - [%s] \"GET /log/%d HTTP/1.1\" %d 512 \"-\" \"curl\"\n",
                 i % 3, when, i % 4, i % 5 == 0 ? 404 : 200);
    }
    return at;
}

static void write_files(void)
{
    static char text[BODY_MAX];
    size_t at = put_log_lines(text, sizeof text);
    for (int i = 0; i < BATCH_EVENTS; i++)
        at = put_event(text, at, sizeof text, "small", recent_ms, i, "/a");
    for (int i = 0; i < LATE_EVENTS; i++)
        at = put_event(text, at, sizeof text, "late", closed_ms, i, "/late");
    write_text(recent_file, text, at);
    at = 0;
    for (int i = 0; i < CLOSED_EVENTS; i++)
        at = put_event(text, at, sizeof text, "old", closed_ms, i, i % 2 == 0 ? "/a" : "/old");
    write_text(closed_file, text, at);
    at = 0;
    for (int i = 0; i < LATE_EVENTS; i++)
        at = put_event(text, at, sizeof text, "late", closed_ms, i, "/late");
    write_text(late_file, text, at);
}

void scenarios_init(const char *where)
{
    int64_t now = (int64_t)time(NULL) * 1000;
    recent_ms = now / HOUR_MS * HOUR_MS - HOUR_MS;
    closed_ms = now / DAY_MS * DAY_MS - OLD_DAYS * DAY_MS + 5 * HOUR_MS;
    ps_time_format_date(closed_date, (int32_t)(closed_ms / DAY_MS));
    snprintf(folder, sizeof folder, "%s", where);
    snprintf(recent_file, sizeof recent_file, "%s/recent.log", folder);
    snprintf(closed_file, sizeof closed_file, "%s/closed.ndjson", folder);
    snprintf(late_file, sizeof late_file, "%s/late.ndjson", folder);
    for (int b = 0; b < BATCHES; b++)
        make_batch(b, recent_ms);
    write_files();
}

/* --- preparing, without faults --- */

static void must_run(const char *data, const char *const *argv)
{
    static struct run r;
    int code = run_command(&r, data, argv, NULL);
    if (code != 0 && code != 2) {
        printf("Bail out! %s while preparing: exit %d: %s\n", argv[0], code, r.text);
        exit(1);
    }
}

static void import_closed(const char *data)
{
    const char *import[] = {"import", closed_file, NULL};
    must_run(data, import);
}

static void prepare_nothing(const char *data)
{
    (void)data;
}

static void prepare_archived(const char *data)
{
    const char *archive[] = {"archive", "run", NULL};
    import_closed(data);
    must_run(data, archive);
}

static void prepare_letters(const char *data)
{
    const char *import[] = {"import", late_file, NULL};
    const char *restore[] = {"archive", "restore", closed_date, NULL};
    prepare_archived(data);
    must_run(data, import);
    must_run(data, restore);
}

/* --- one command from beginning to end --- */

static void complain(struct attempt *a, const char *what, const struct run *r)
{
    if (a->why[0] == '\0')
        snprintf(a->why, sizeof a->why, "%s; it said: %.700s", what,
                 r->len > 700 ? r->text + r->len - 700 : r->text);
}

/* It said it was done, or ended with a reason, or was killed as it should be. */
static void judge_end(struct attempt *a, const struct run *r)
{
    bool was_killed = WIFSIGNALED(r->status) && WTERMSIG(r->status) == SIGKILL;
    bool to_be_killed = a->plan.kind == FAULT_KILL_BEFORE || a->plan.kind == FAULT_KILL_AFTER;
    int code = run_exit_code(r);
    a->done = code == 0 || code == 2;
    if (was_killed && !to_be_killed) {
        a->stuck = true;
        complain(a, "it did not end", r);
    } else if (code < 0 && !was_killed) {
        complain(a, "it crashed", r);
    } else if (code > 0 && code != 2 && strstr(run_last_line(r), "pathstats: ") == NULL) {
        complain(a, "it ended without a reason on its last line", r);
    }
}

static void lift(struct attempt *a)
{
    if (a->plan.control != NULL)
        atomic_store(&a->plan.control->lifted, true);
}

/* It may end for a fault that lasts, or wait for its end. */
static void run_once(struct attempt *a, const char *const *argv)
{
    static struct run r;
    run_start(&r, a->data, argv, &a->plan);
    if (a->plan.lasting) {
        run_wait_text(&r, "\1", LASTS_MS); /* which nobody says */
        lift(a);
    }
    run_wait_end(&r, SWEEP_END_MS);
    judge_end(a, &r);
}

static void finish_once(struct attempt *a, const char *const *argv)
{
    static struct run r;
    int code = run_command(&r, a->data, argv, NULL);
    if (code != 0 && code != 2) {
        a->stuck = true;
        complain(a, "the same command fails afterwards", &r);
    }
}

static void run_import(struct attempt *a)
{
    const char *argv[] = {"import", recent_file, NULL};
    run_once(a, argv);
}

static void finish_import(struct attempt *a)
{
    const char *argv[] = {"import", recent_file, NULL};
    finish_once(a, argv);
}

static void run_archive(struct attempt *a)
{
    const char *argv[] = {"archive", "run", NULL};
    run_once(a, argv);
}

static void finish_archive(struct attempt *a)
{
    const char *argv[] = {"archive", "run", NULL};
    const char *verify[] = {"archive", "verify", closed_date, NULL};
    finish_once(a, argv);
    finish_once(a, verify);
}

static void run_restore(struct attempt *a)
{
    const char *argv[] = {"archive", "restore", closed_date, NULL};
    run_once(a, argv);
}

static void finish_restore(struct attempt *a)
{
    const char *argv[] = {"archive", "restore", closed_date, NULL};
    static struct run r;
    int code = run_command(&r, a->data, argv, NULL);
    if (code != 0 && strstr(r.text, "(it is restored)") == NULL) {
        a->stuck = true;
        complain(a, "the same command fails afterwards", &r);
    }
}

static void run_replay(struct attempt *a)
{
    const char *argv[] = {"dead-letters", "replay", NULL};
    run_once(a, argv);
}

static void finish_replay(struct attempt *a)
{
    const char *argv[] = {"dead-letters", "replay", NULL};
    finish_once(a, argv);
}

/* --- a server --- */

static const char *const serve[] = {"serve",
                                    "--listen",
                                    "127.0.0.1:0",
                                    "--no-record-self",
                                    "--queue-max",
                                    QUEUE_MAX,
                                    "--flush-interval",
                                    "1ms",
                                    "--max-retries",
                                    "1",
                                    "--cron-archive",
                                    "off",
                                    NULL};

/* A fault that lasts is lifted once it has shown, or after a while. Then it has to go on within
 * SWEEP_PATIENCE_MS: *until begins anew. */
static void lift_when_shown(struct attempt *a, int64_t *until, bool refused)
{
    if (!a->plan.lasting || a->plan.control->lifted ||
        (!refused && now_ms() < *until - SWEEP_PATIENCE_MS + LASTS_MS))
        return;
    lift(a);
    *until = now_ms() + SWEEP_PATIENCE_MS;
}

/* Until it is acknowledged. False: the server is gone, or the patience. */
static bool post_batch(struct attempt *a, struct run *r, int b)
{
    int64_t until = now_ms() + SWEEP_PATIENCE_MS;
    while (now_ms() < until) {
        int status = run_post(run_port(r), batches[b].text, batches[b].len);
        if (status == 202) {
            char mark[32];
            snprintf(mark, sizeof mark, "acknowledged %d", b);
            if (a->plan.journal >= 0)
                faulty_disk_mark(a->plan.journal, mark);
            a->acknowledged[b] = true;
            return true;
        }
        lift_when_shown(a, &until, true);
        if (run_has_ended(r))
            return false;
        usleep(PATIENCE_STEP_US);
    }
    a->stuck = true;
    complain(a, "it takes no events any more", r);
    return false;
}

/* As many stored, and counted, as there are different events in the batches up to `b`. */
static bool wait_counted(struct attempt *a, struct run *r, long before, int b)
{
    int64_t until = now_ms() + SWEEP_PATIENCE_MS;
    long stored = 0, counted = 0, events = before == 0 && b >= 3 ? LATE_EVENTS : 0;
    for (int i = 0; i <= b; i++)
        events += i == 1 ? BATCH_EVENTS / 2 : i == 2 ? LARGE_EVENTS : BATCH_EVENTS;
    while (now_ms() < until) {
        if (count_events(a->data, &stored, &counted) && stored >= events &&
            counted >= events + before)
            return true;
        lift_when_shown(a, &until, false);
        if (run_has_ended(r))
            return false;
        usleep(PATIENCE_STEP_US);
    }
    char what[96];
    snprintf(what, sizeof what, "it counts no more: %ld of %ld stored, %ld of %ld counted", stored,
             events, counted, events + before);
    a->stuck = true;
    complain(a, what, r);
    return false;
}

static void serve_batches(struct attempt *a, struct run *r, long before)
{
    for (int b = 0; b < BATCHES; b++) {
        if (a->acknowledged[b])
            continue;
        if (!post_batch(a, r, b) || (b >= BATCHES - 2 && !wait_counted(a, r, before, b)))
            return;
    }
    if (a->plan.lasting)
        lift(a);
}

static void run_serve(struct attempt *a)
{
    static struct run r;
    long stored = 0, before = 0; /* what the closed day counts; its events are in the archive */
    count_events(a->data, &stored, &before);
    run_start(&r, a->data, serve, &a->plan);
    if (run_wait_text(&r, "listening on", SWEEP_END_MS)) {
        serve_batches(a, &r, before);
        kill(r.pid, SIGTERM);
    }
    run_wait_end(&r, SWEEP_PATIENCE_MS);
    judge_end(a, &r);
    a->done = false; /* for `finish` to show */
}

/* What was not acknowledged is sent again, and nothing else: what was has to be there. */
static void finish_serve(struct attempt *a)
{
    static struct run r;
    a->plan = (struct faulty_plan){.journal = -1};
    run_start(&r, a->data, serve, NULL);
    if (run_wait_text(&r, "listening on", SWEEP_END_MS)) {
        for (int b = 0; b < BATCHES; b++)
            if (!a->acknowledged[b] && !post_batch(a, &r, b))
                break;
        kill(r.pid, SIGTERM);
    }
    if (!run_wait_end(&r, SWEEP_END_MS) || run_exit_code(&r) != 0) {
        a->stuck = true;
        complain(a, "the server does not run and stop afterwards", &r);
    }
}

const struct scenario scenarios[] = {
    {"serve", prepare_archived, run_serve, finish_serve, LATE_EVENTS, LONG_MAX},
    {"serve-new", prepare_nothing, run_serve, finish_serve, 0, 0},
    {"import", prepare_archived, run_import, finish_import, LATE_EVENTS, LONG_MAX},
    {"import-new", prepare_nothing, run_import, finish_import, 0, 0},
    {"archive", import_closed, run_archive, finish_archive, 0, 0},
    {"restore", prepare_archived, run_restore, finish_restore, 0, 0},
    {"replay", prepare_letters, run_replay, finish_replay, 0, 0},
};
const size_t scenario_count = sizeof scenarios / sizeof scenarios[0];
