/* archive.c - `archive {run,list,cat,verify,restore}`, `jobs` and `capacity`.
 *
 * run and restore write: while a daemon holds the data directory, `run` is ordered there and
 * restore is refused; the others only read, beside it or not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/time.h"
#include "daemon/life.h"
#include "flow/capacity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { JOBS_SHOWN = 20, PLAIN_TIME_LEN = 19 };

/* Only the lock's EBUSY means that the data directory is in use. */
static int not_in_use(int r, struct ps_err *e)
{
    if (r != PS_EBUSY)
        return r;
    e->code = PS_EIO;
    return PS_EIO;
}

static int parse_day(const char *text, int32_t *ret, struct ps_err *e)
{
    return ps_time_parse_date(text, strlen(text), ret)
               ? 0
               : ps_fail(e, PS_EINVAL, "\"%s\" is not a date; write it as 2025-10-12", text);
}

/* --- progress --- */

struct showing {
    struct ps_progress bar;
    int32_t day;
    enum ps_archive_phase phase;
};

static int show_progress(void *ctx, int32_t day, enum ps_archive_phase phase, uint64_t done)
{
    static const char *const doing[] = {"archiving", "verifying", "cleaning", "restoring"};
    struct showing *s = ctx;
    char date[PS_DATE_LEN + 1], count[32], note[64];
    ps_time_format_date(date, day);
    snprintf(note, sizeof note, "%s: %s events", date, ps_cli_count(count, done));
    s->bar.what = doing[phase];
    ps_progress_show(&s->bar, 0, 0, note);
    return 0;
}

static int print_archived(const struct ps_cli *c, const char *done, const struct ps_archived *a)
{
    char date[PS_DATE_LEN + 1], events[32], bytes[32], plain[32];
    ps_time_format_date(date, a->day);
    if (c->config.json)
        printf("{\"date\":\"%s\",\"events\":%" PRIu64 ",\"objectBytes\":%" PRIu64
               ",\"jsonBytes\":%" PRIu64 "}\n",
               date, a->events, a->object_bytes, a->json_bytes);
    else
        printf("%s %s: %s events, %s (%s of JSON)\n", done, date, ps_cli_count(events, a->events),
               ps_cli_bytes(bytes, a->object_bytes), ps_cli_bytes(plain, a->json_bytes));
    return 0;
}

/* --- run --- */

static int run_here(struct ps_cli *c, struct ps_datadir *dir, const char *date, struct ps_err *e)
{
    struct ps_life life = {0};
    struct ps_archived archived = {0};
    struct showing showing = {.day = INT32_MIN};
    int32_t day;
    int r = date == NULL ? 0 : parse_day(date, &day, e);
    if (r == 0)
        r = ps_datadir_lock(dir, e);
    if (r == 0)
        r = ps_life_open(&life, &c->config, dir, ps_clock_system(), PS_LIFE_WRITE, e);
    if (r == 0) {
        life.archiver.progress = show_progress;
        life.archiver.ctx = &showing;
        ps_progress_start(&showing.bar, "archiving", !c->config.json);
        r = date == NULL ? ps_archive_run(&life.archiver, &archived, e)
                         : ps_archive_day(&life.archiver, day, &archived, e);
        r = not_in_use(r, e);
        ps_progress_end(&showing.bar);
        ps_life_close(&life);
    }
    ps_datadir_unlock(dir);
    if (r < 0)
        return r;
    if (date != NULL)
        return print_archived(c, "archived and cleaned", &archived);
    char events[32];
    if (c->config.json)
        printf("{\"days\":%d,\"events\":%" PRIu64 ",\"objectBytes\":%" PRIu64 "}\n",
               (int)archived.day, archived.events, archived.object_bytes);
    else
        printf("%d days archived and cleaned, %s events\n", (int)archived.day,
               ps_cli_count(events, archived.events));
    return 0;
}

static int run_there(struct ps_cli *c, const char *holder, const char *date, struct ps_err *e)
{
    struct ps_client *client;
    struct ps_buf answer;
    char body[64];
    long status = 0;
    int32_t day;
    (void)c;
    if (date == NULL)
        return ps_fail(e, PS_EBUSY,
                       "the daemon on %s archives old days by itself (cron_archive); name one with "
                       "--date to have it done now",
                       holder);
    int r = parse_day(date, &day, e);
    if (r == 0)
        r = ps_client_open(&client, holder, e);
    if (r < 0)
        return r;
    snprintf(body, sizeof body, "{\"date\":\"%s\"}", date);
    ps_buf_init(&answer, PS_OUTPUT_MAX);
    r = ps_client_ask(client, "POST", "/admin/archive/trigger", (struct ps_str){body, strlen(body)},
                      &answer, &status, e);
    ps_client_close(client);
    if (r == 0 && status != 200)
        r = ps_fail(e, PS_EIO, "the daemon on %s refuses (%ld): %.*s", holder, status,
                    (int)answer.len, answer.ptr);
    if (r == 0)
        return ps_cli_print(&answer) == PS_EXIT_OK ? 0 : ps_fail(e, PS_EIO, "cannot print");
    ps_buf_done(&answer);
    return r;
}

static int run(struct ps_cli *c, struct ps_datadir *dir, const char *date, struct ps_err *e)
{
    char holder[PS_DATADIR_NOTE_MAX];
    int r = ps_datadir_holder(dir, holder, e);
    if (r < 0)
        return r;
    return r == 1 && holder[0] != '\0' ? run_there(c, holder, date, e) : run_here(c, dir, date, e);
}

/* --- list --- */

struct listing {
    bool json;
    struct ps_json w;
    size_t count;
};

static void put_day(struct ps_json *w, const char *date, const struct ps_day *day)
{
    ps_json_open(w, '{');
    ps_json_key(w, "date");
    ps_json_text(w, date);
    ps_json_key(w, "status");
    ps_json_text(w, ps_day_state_name(day->state));
    ps_json_key(w, "stored");
    ps_json_bool(w, day->stored);
    ps_json_key(w, "object");
    ps_json_str(w, day->object);
    ps_json_key(w, "events");
    ps_json_int(w, day->record_count);
    ps_json_key(w, "objectBytes");
    ps_json_int(w, day->file_size_bytes);
    ps_json_key(w, "sha256");
    ps_json_str(w, day->sha256);
    ps_json_key(w, "error");
    ps_json_str(w, day->error);
    ps_json_close(w, '}');
}

static int list_day(void *ctx, const struct ps_day *day)
{
    struct listing *list = ctx;
    char date[PS_DATE_LEN + 1], events[32], bytes[32];
    ps_time_format_date(date, day->day);
    list->count++;
    if (list->json) {
        put_day(&list->w, date, day);
        return 0;
    }
    bool archived = day->sha256.len > 0;
    printf("%s  %-9s %14s %10s  %.*s\n", date, ps_day_state_name(day->state),
           archived ? ps_cli_count(events, (uint64_t)day->record_count) : "-",
           archived ? ps_cli_bytes(bytes, (uint64_t)day->file_size_bytes) : "-",
           (int)(day->error.len > 0 ? day->error.len
                 : archived         ? day->object.len
                                    : 0),
           day->error.len > 0 ? day->error.ptr
           : archived         ? day->object.ptr
                              : "");
    return 0;
}

static int list_days(struct ps_cli *c, struct ps_life *life, struct ps_err *e)
{
    struct ps_buf out;
    struct listing list = {.json = c->config.json};
    ps_buf_init(&out, PS_OUTPUT_MAX);
    ps_json_init(&list.w, &out);
    ps_json_open(&list.w, '[');
    if (!list.json)
        printf("%-10s  %-9s %14s %10s  %s\n", "day", "status", "events", "size", "object or error");
    int r = ps_store_days(life->store, list_day, &list, e);
    ps_json_close(&list.w, ']');
    if (r == 0 && list.json)
        return ps_cli_print(&out) == PS_EXIT_OK ? 0 : ps_fail(e, PS_EIO, "cannot print");
    ps_buf_done(&out);
    return r;
}

/* --- cat, verify, restore --- */

static int print_bytes(void *ctx, const void *bytes, size_t len, struct ps_err *e)
{
    (void)ctx;
    return fwrite(bytes, 1, len, stdout) == len
               ? 0
               : ps_fail(e, PS_ESTOP, "standard output was closed");
}

static int print_day(struct ps_life *life, const char *date, struct ps_err *e)
{
    struct ps_archived archived;
    int32_t day;
    int r = parse_day(date, &day, e);
    if (r == 0)
        r = ps_archive_read(&life->archiver, day, print_bytes, NULL, &archived, e);
    if (fflush(stdout) != 0 && r == 0)
        r = ps_fail(e, PS_EIO, "cannot print");
    return r;
}

struct verifying {
    struct ps_cli *c;
    struct ps_life *life;
    struct ps_err *e;
    int32_t days[PS_STORE_DAYS_MAX * 4];
    size_t count, bad;
};

static int note_archived(void *ctx, const struct ps_day *day)
{
    struct verifying *v = ctx;
    if (day->sha256.len > 0 && v->count < PS_STORE_DAYS_MAX * 4)
        v->days[v->count++] = day->day;
    return 0;
}

static int verify_days(struct ps_cli *c, struct ps_life *life, const char *date, struct ps_err *e)
{
    static struct verifying v;
    struct showing showing = {.day = INT32_MIN};
    v = (struct verifying){.c = c, .life = life, .e = e, .count = date != NULL};
    int r = date != NULL ? parse_day(date, &v.days[0], e)
                         : ps_store_days(life->store, note_archived, &v, e);
    life->archiver.progress = show_progress;
    life->archiver.ctx = &showing;
    ps_progress_start(&showing.bar, "verifying", !c->config.json);
    for (size_t i = 0; r >= 0 && i < v.count; i++) {
        struct ps_archived archived;
        struct ps_err why = {0};
        int one = ps_archive_read(&life->archiver, v.days[i], NULL, NULL, &archived, &why);
        bool on = showing.bar.on;
        ps_progress_end(&showing.bar);
        showing.bar.on = on;
        if (one == 0) {
            print_archived(c, "verified", &archived);
        } else {
            v.bad++;
            fprintf(stderr, "pathstats: %s\n", why.text);
            *e = why;
        }
    }
    ps_progress_end(&showing.bar);
    if (r == 0 && v.count == 0)
        printf("no day is archived yet\n");
    return r < 0 ? r : v.bad > 0 ? PS_EXIT_DIFFERS : 0;
}

static int restore_day(struct ps_cli *c, struct ps_datadir *dir, const char *date, struct ps_err *e)
{
    struct ps_life life = {0};
    struct ps_archived archived;
    struct showing showing = {.day = INT32_MIN};
    int32_t day;
    int r = parse_day(date, &day, e);
    if (r == 0)
        r = ps_datadir_lock(dir, e);
    if (r == 0)
        r = ps_life_open(&life, &c->config, dir, ps_clock_system(), PS_LIFE_WRITE, e);
    if (r == 0) {
        life.archiver.progress = show_progress;
        life.archiver.ctx = &showing;
        ps_progress_start(&showing.bar, "restoring", !c->config.json);
        r = not_in_use(ps_archive_restore(&life.archiver, day, &archived, e), e);
        ps_progress_end(&showing.bar);
        ps_life_close(&life);
    }
    ps_datadir_unlock(dir);
    return r < 0 ? r : print_archived(c, "restored", &archived);
}

/* --- the command --- */

static int read_archive(struct ps_cli *c, struct ps_datadir *dir, const char *verb,
                        const char *date, struct ps_err *e)
{
    struct ps_life life;
    bool lists = strcmp(verb, "list") == 0;
    int r = ps_life_open(&life, &c->config, dir, ps_clock_system(),
                         lists ? PS_LIFE_READ : PS_LIFE_OBJECTS, e);
    if (r < 0)
        return r;
    r = lists                      ? list_days(c, &life, e)
        : strcmp(verb, "cat") == 0 ? print_day(&life, date, e)
                                   : verify_days(c, &life, date, e);
    ps_life_close(&life);
    return r;
}

static int dispatch(struct ps_cli *c, struct ps_datadir *dir, const char *run_date,
                    struct ps_err *e)
{
    const char *verb = c->argv[0], *date = c->argc > 1 ? c->argv[1] : NULL;
    bool needs_date = strcmp(verb, "cat") == 0 || strcmp(verb, "restore") == 0;
    bool takes_date = needs_date || strcmp(verb, "verify") == 0;
    if ((needs_date && date == NULL) || (!takes_date && date != NULL))
        return ps_cli_usage(c, e);
    if (strcmp(verb, "run") == 0)
        return run(c, dir, run_date, e);
    if (strcmp(verb, "restore") == 0)
        return restore_day(c, dir, date, e);
    if (takes_date || strcmp(verb, "list") == 0)
        return read_archive(c, dir, verb, date, e);
    return ps_fail(e, PS_EINVAL, "archive %s: there are run, list, cat, verify and restore", verb);
}

int ps_cmd_archive(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    const char *date = NULL;
    int r = ps_cli_option(c, "--date", &date, &e);
    if (r >= 0)
        r = ps_cli_words(c, 1, 2, &e);
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, &e);
    if (r == 0)
        r = ps_datadir_require(&dir, &e);
    if (r == 0)
        r = dispatch(c, &dir, date, &e);
    return r < 0 ? ps_cli_fail(&e) : r;
}

/* --- jobs --- */

static const char *plain_time(char to[PS_ISO_LEN + 1], int64_t ms)
{
    if (ms == 0)
        return "-";
    ps_time_format_iso(to, ms);
    to[10] = ' ';
    to[PLAIN_TIME_LEN] = '\0';
    return to;
}

static int print_run(void *ctx, const struct ps_run *run)
{
    struct listing *list = ctx;
    char started[PS_ISO_LEN + 1];
    list->count++;
    if (!list->json) {
        double seconds =
            run->finished_ms > 0 ? (double)(run->finished_ms - run->started_ms) / 1e3 : 0;
        printf("%-9.*s %-19s %8.2f s  %-8.*s %.*s\n", (int)run->job.len, run->job.ptr,
               plain_time(started, run->started_ms), seconds, (int)run->outcome.len,
               run->outcome.ptr, (int)run->detail.len, run->detail.ptr);
        return 0;
    }
    const char *const names[] = {"job", "outcome", "detail"};
    const struct ps_str texts[] = {run->job, run->outcome, run->detail};
    ps_json_open(&list->w, '{');
    for (int i = 0; i < 3; i++) {
        ps_json_key(&list->w, names[i]);
        ps_json_str(&list->w, texts[i]);
    }
    ps_json_key(&list->w, "scheduled");
    ps_json_int(&list->w, run->scheduled_ms);
    ps_json_key(&list->w, "started");
    ps_json_int(&list->w, run->started_ms);
    ps_json_key(&list->w, "finished");
    ps_json_int(&list->w, run->finished_ms);
    ps_json_close(&list->w, '}');
    return 0;
}

int ps_cmd_jobs(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_life life;
    struct ps_buf out;
    struct listing list = {.json = c->config.json};
    int64_t limit = JOBS_SHOWN;
    int r = ps_cli_number(c, "--limit", 1, PS_RUNS_KEPT, &limit, &e);
    if (r >= 0)
        r = ps_cli_words(c, 0, 0, &e);
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, &e);
    if (r == 0)
        r = ps_datadir_require(&dir, &e);
    if (r == 0)
        r = ps_life_open(&life, &c->config, &dir, ps_clock_system(), PS_LIFE_READ, &e);
    if (r < 0)
        return ps_cli_fail(&e);
    ps_buf_init(&out, PS_OUTPUT_MAX);
    ps_json_init(&list.w, &out);
    ps_json_open(&list.w, '[');
    if (!list.json)
        printf("archive   %s\nsnapshot  %s\ncapacity  %s    (UTC)\n\n", c->config.cron_archive,
               c->config.cron_snapshot, c->config.cron_capacity);
    r = ps_ledger_runs(life.ledger, PS_STR_NONE, (size_t)limit, print_run, &list, &e);
    ps_json_close(&list.w, ']');
    ps_life_close(&life);
    if (r == 0 && list.json)
        return ps_cli_print(&out);
    ps_buf_done(&out);
    if (r == 0 && list.count == 0)
        printf("nothing has run yet: `pathstats serve` runs the jobs\n");
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}

/* --- capacity --- */

static int print_capacity(const struct ps_cli *c, const struct ps_capacity *m)
{
    char used[32], max[32], queue[32], archive[32], growth[32];
    if (c->config.json) {
        struct ps_buf out;
        struct ps_json w;
        ps_buf_init(&out, PS_OUTPUT_MAX);
        ps_json_init(&w, &out);
        ps_capacity_write(m, &w);
        return ps_cli_print(&out);
    }
    printf("database  %10s of %s: %u %%%s\nqueue     %10s\narchive   %10s\n",
           ps_cli_bytes(used, m->used_bytes), ps_cli_bytes(max, m->max_db_bytes), m->percent,
           m->level > 0 ? "  WARNING" : "", ps_cli_bytes(queue, m->queue_bytes),
           ps_cli_bytes(archive, m->archive_bytes));
    if (m->has_growth && m->growth_per_day_bytes > 0)
        printf("growth    %10s a day: %.1f days left\n",
               ps_cli_bytes(growth, (uint64_t)m->growth_per_day_bytes), m->days_left);
    else
        printf("growth    %10s\n", m->has_growth ? "none" : "unknown");
    return PS_EXIT_OK;
}

int ps_cmd_capacity(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct ps_life life = {0};
    struct ps_queue *queue = NULL;
    struct ps_kv *kv = NULL;
    struct ps_capacity measured;
    int r = ps_cli_words(c, 0, 0, &e);
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, &e);
    if (r == 0)
        r = ps_datadir_require(&dir, &e);
    if (r == 0)
        r = ps_life_open(&life, &c->config, &dir, ps_clock_system(), PS_LIFE_READ, &e);
    if (r == 0)
        r = ps_cli_open_queue(c, &dir, &queue, &e);
    if (r == 0) /* without one there is no growth to tell */
        ps_kv_open(ps_kv_backend(c->config.kv), &kv, dir.kv, true, NULL);
    struct ps_capacity_config config = {
        .store = life.store,
        .ledger = life.ledger,
        .queue = queue,
        .kv = kv,
        .clock = ps_clock_system(),
        .max_db_bytes = (uint64_t)c->config.max_db_size,
    };
    if (r == 0)
        r = ps_capacity_measure(&config, &measured, &e);
    ps_kv_close(kv);
    ps_queue_close(queue);
    ps_life_close(&life);
    return r < 0 ? ps_cli_fail(&e) : print_capacity(c, &measured);
}
