/* archive.c - `archive {run,list,cat,verify,restore}`.
 *
 * run and restore write: while a daemon holds the data directory, `run` is ordered there and
 * restore is refused; the others only read, beside it or not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/check.h"
#include "base/time.h"
#include "base/visible.h"
#include "cli/table.h"
#include "cli/term.h"
#include "daemon/life.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OBJECT_LEAST = 16, UTF8_MAX = 4 };

static const struct ps_column columns[] = {{"day", false, 0, 0},
                                           {"status", false, 0, 0},
                                           {"events", true, 0, 0},
                                           {"size", true, 1, 0},
                                           {"object or error", false, 0, OBJECT_LEAST}};

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
    char date[PS_DATE_LEN + 1], events[PS_CLI_MANY_MAX], note[PS_CLI_MANY_MAX + 16];
    ps_time_format_date(date, day);
    snprintf(note, sizeof note, "%s: %s", date, ps_cli_many(events, done, "event", NULL));
    s->bar.what = doing[phase];
    ps_progress_show(&s->bar, 0, 0, note);
    return 0;
}

static int print_archived(const struct ps_cli *c, const char *done, const struct ps_archived *a)
{
    char date[PS_DATE_LEN + 1], events[PS_CLI_MANY_MAX], bytes[32], plain[32];
    ps_time_format_date(date, a->day);
    if (c->config.json)
        printf("{\"date\":\"%s\",\"events\":%" PRIu64 ",\"objectBytes\":%" PRIu64
               ",\"jsonBytes\":%" PRIu64 "}\n",
               date, a->events, a->object_bytes, a->json_bytes);
    else
        printf("%s %s: %s, %s (%s of JSON)\n", done, date,
               ps_cli_many(events, a->events, "event", NULL), ps_cli_bytes(bytes, a->object_bytes),
               ps_cli_bytes(plain, a->json_bytes));
    return 0;
}

/* --- run --- */

static void warn_of(const struct ps_archived *archived)
{
    char text[PS_ERR_TEXT_MAX + 16];
    snprintf(text, sizeof text, "warning: %s", archived->warning);
    if (archived->warning[0] != '\0')
        ps_cli_say(text);
}

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
    warn_of(&archived);
    if (date != NULL)
        return print_archived(c, "archived and cleaned", &archived);
    char days[PS_CLI_MANY_MAX], events[PS_CLI_MANY_MAX];
    if (c->config.json)
        printf("{\"days\":%d,\"events\":%" PRIu64 ",\"objectBytes\":%" PRIu64 "}\n",
               (int)archived.day, archived.events, archived.object_bytes);
    else
        printf("%s archived and cleaned, %s\n",
               ps_cli_many(days, (uint64_t)archived.day, "day", NULL),
               ps_cli_many(events, archived.events, "event", NULL));
    return 0;
}

static int run_there(struct ps_cli *c, const char *holder, const char *date, struct ps_err *e)
{
    struct ps_buf answer;
    char body[64];
    struct ps_archived archived = {0};
    if (date == NULL)
        return ps_fail(e, PS_EBUSY,
                       "the daemon on %s archives old days by itself (cron_archive); name one, "
                       "`archive run DATE`, to have it done now",
                       holder);
    int r = parse_day(date, &archived.day, e);
    if (r < 0)
        return r;
    snprintf(body, sizeof body, "{\"date\":\"%s\"}", date);
    ps_buf_init(&answer, PS_OUTPUT_MAX);
    r = ps_cli_order(holder, "/admin/archive/trigger", (struct ps_str){body, strlen(body)}, &answer,
                     e);
    archived.events = ps_cli_answer(&answer, "events");
    archived.object_bytes = ps_cli_answer(&answer, "objectBytes");
    archived.json_bytes = ps_cli_answer(&answer, "jsonBytes");
    ps_buf_done(&answer);
    return r < 0 ? r : print_archived(c, "archived and cleaned", &archived);
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
    struct ps_table table;
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
    struct ps_table *t = &list->table;
    char date[PS_DATE_LEN + 1], events[32], bytes[32];
    bool archived = day->sha256.len > 0, failed = day->error.len > 0;
    ps_time_format_date(date, day->day);
    if (list->json) {
        put_day(&list->w, date, day);
        return 0;
    }
    ps_table_text(t, date);
    ps_table_text(t, ps_day_state_name(day->state));
    ps_table_text(t, archived ? ps_cli_count(events, (uint64_t)day->record_count) : "-");
    ps_table_text(t, archived ? ps_cli_bytes(bytes, (uint64_t)day->file_size_bytes) : "-");
    ps_table_cell(t, failed ? day->error : archived ? day->object : PS_STR(""), failed);
    ps_table_end_row(t);
    return 0;
}

static int list_days(struct ps_cli *c, struct ps_life *life, struct ps_err *e)
{
    struct ps_buf out;
    struct listing list = {.json = c->config.json};
    ps_buf_init(&out, PS_OUTPUT_MAX);
    ps_json_init(&list.w, &out);
    ps_table_init(&list.table, columns, PS_COUNT_OF(columns));
    ps_json_open(&list.w, '[');
    int r = ps_store_days(life->store, list_day, &list, e);
    ps_json_close(&list.w, ']');
    if (r == 0 && list.json && ps_cli_print(&out) != PS_EXIT_OK)
        r = ps_fail(e, PS_EIO, "standard output failed");
    else if (r == 0 && !list.json)
        r = ps_table_print(&list.table, stdout, ps_term_columns(STDOUT_FILENO), ps_cli_color());
    ps_table_done(&list.table);
    ps_buf_done(&out);
    return r;
}

/* --- cat, verify, restore --- */

/* On a terminal, the JSON escapes of what it would obey; else byte for byte. A character may come
 * in two pieces. */
struct printing {
    bool terminal;
    char piece[UTF8_MAX];
    size_t held;
};

/* Where the last character begins if it is cut short. */
static size_t whole_length(const char *bytes, size_t len)
{
    for (size_t back = 1; back < UTF8_MAX && back <= len; back++) {
        unsigned char c = (unsigned char)bytes[len - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t needs = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return needs > back ? len - back : len;
    }
    return len;
}

static int print_shown(struct printing *p, const char *bytes, size_t len)
{
    struct ps_buf in, out;
    ps_buf_init(&in, PS_OUTPUT_MAX);
    ps_buf_init(&out, PS_OUTPUT_MAX);
    ps_buf_append(&in, p->piece, p->held);
    ps_buf_append(&in, bytes, len);
    size_t whole = in.failed != 0 ? 0 : whole_length(in.ptr, in.len);
    p->held = in.len - whole;
    ps_copy(p->piece, in.ptr + whole, p->held);
    ps_visible_json(&out, (struct ps_str){in.ptr, whole});
    bool ok = in.failed == 0 && out.failed == 0 && fwrite(out.ptr, 1, out.len, stdout) == out.len;
    ps_buf_done(&in);
    ps_buf_done(&out);
    return ok ? 0 : PS_EIO;
}

static int print_bytes(void *ctx, const void *bytes, size_t len, struct ps_err *e)
{
    struct printing *p = ctx;
    bool ok = p->terminal ? print_shown(p, bytes, len) == 0 : fwrite(bytes, 1, len, stdout) == len;
    return ok ? 0 : ps_fail(e, PS_ESTOP, "standard output was closed");
}

static int print_day(struct ps_life *life, const char *date, struct ps_err *e)
{
    struct ps_archived archived;
    struct printing printing = {.terminal = isatty(STDOUT_FILENO) == 1};
    int32_t day;
    int r = parse_day(date, &day, e);
    if (r == 0)
        r = ps_archive_read(&life->archiver, day, print_bytes, &printing, &archived, e);
    if (fflush(stdout) != 0 && r == 0)
        r = ps_fail(e, PS_EIO, "standard output failed");
    return r;
}

struct verifying {
    struct ps_buf days; /* an int32_t each */
    size_t bad;
};

static int note_archived(void *ctx, const struct ps_day *day)
{
    struct verifying *v = ctx;
    return day->sha256.len > 0 ? ps_buf_append(&v->days, &day->day, sizeof day->day) : 0;
}

static int list_archived(struct verifying *v, struct ps_life *life, const char *date,
                         struct ps_err *e)
{
    int32_t day;
    if (date == NULL)
        return ps_store_days(life->store, note_archived, v, e);
    int r = parse_day(date, &day, e);
    return r < 0 ? r : ps_buf_append(&v->days, &day, sizeof day);
}

static void verify_day(struct ps_cli *c, struct ps_life *life, struct verifying *v,
                       struct showing *showing, int32_t day)
{
    struct ps_archived archived;
    struct ps_err why = {0};
    ps_progress_start(&showing->bar, "verifying", !c->config.json);
    int r = ps_archive_read(&life->archiver, day, NULL, NULL, &archived, &why);
    ps_progress_end(&showing->bar);
    if (r == 0) {
        print_archived(c, "verified", &archived);
        return;
    }
    v->bad++;
    ps_cli_fail(&why);
}

static int verify_days(struct ps_cli *c, struct ps_life *life, const char *date, struct ps_err *e)
{
    struct verifying v = {.bad = 0};
    struct showing showing = {.day = INT32_MIN};
    ps_buf_init(&v.days, PS_OUTPUT_MAX);
    int r = list_archived(&v, life, date, e);
    life->archiver.progress = show_progress;
    life->archiver.ctx = &showing;
    for (size_t at = 0; r == 0 && at < v.days.len; at += sizeof(int32_t)) {
        int32_t day;
        memcpy(&day, v.days.ptr + at, sizeof day);
        verify_day(c, life, &v, &showing, day);
    }
    if (r == 0 && v.days.len == 0)
        printf("no day is archived yet\n");
    ps_buf_done(&v.days);
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

static int dispatch(struct ps_cli *c, struct ps_datadir *dir, const char *date, struct ps_err *e)
{
    const char *verb = c->argv[0];
    bool runs = strcmp(verb, "run") == 0, lists = strcmp(verb, "list") == 0;
    bool needs_date = strcmp(verb, "cat") == 0 || strcmp(verb, "restore") == 0;
    if (c->argc > 1 && date != NULL)
        return ps_fail(e, PS_EINVAL, "two dates: %s and --date %s", c->argv[1], date);
    if (c->argc > 1)
        date = c->argv[1];
    if (!runs && !lists && !needs_date && strcmp(verb, "verify") != 0)
        return ps_cli_no_form(c, verb, e);
    if ((needs_date && date == NULL) || (lists && date != NULL))
        return ps_cli_usage(c, e);
    if (runs)
        return run(c, dir, date, e);
    if (strcmp(verb, "restore") == 0)
        return restore_day(c, dir, date, e);
    return read_archive(c, dir, verb, date, e);
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
