/* import.c - `import`: files of log lines or NDJSON events, each counted once.
 *
 * A line that begins with { is an event, any other a log line, so a file may be either without
 * being told. A file that cannot be read is named, and the others are imported; when events cannot
 * be stored, the import ends. Either way the summary claims what is stored, no more.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/import_summary.h"
#include "cli/interrupt.h"

#include "backend/registry.h"

#include "flow/ingest.h"
#include "intake/logline.h"
#include "wrap/gzip.h"

#include <inttypes.h>
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PROGRESS_LINES = 4096,
    AHEAD_LINES = 16,
};

/* A line on its way. */
struct pending {
    struct ps_raw_event raw;
    enum ps_reject why; /* it is none */
    unsigned number;
    bool has_hash; /* its id comes from its content: a log line, or an event without an id */
    uint64_t hash;
};

struct importing {
    struct ps_sink *sink;
    struct ps_ingest *ingest;
    struct ps_occurrences *seen;
    struct ps_str source;
    struct ps_ingested *done; /* all files together; .line counts within a file */
    const char *file;         /* being read */
    const char **listed_in;   /* the file of each listed rejection */
    uint64_t lines;
    bool *unreadable; /* by the index of the file */
    unsigned unread_files;
    /* Lines are parsed some ahead, so that what they will look up is in the cache by then. */
    struct pending ahead[AHEAD_LINES];
    size_t ahead_count, ahead_bytes;
    char scratch[2 * PS_LINE_MAX]; /* of the lines ahead, as long as each of them */
};

static bool is_json(struct ps_str line)
{
    size_t i = 0;
    while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
        i++;
    return i < line.len && line.ptr[i] == '{';
}

static enum ps_reject parse_json(struct importing *m, struct ps_str line, char *scratch,
                                 struct ps_raw_event *ret)
{
    size_t used = 0;
    enum ps_reject why =
        ps_event_from_json(line.ptr, line.len, scratch, &m->done->warnings, ret, &used);
    for (; why == PS_REJECT_NONE && used < line.len; used++)
        if (line.ptr[used] != ' ' && line.ptr[used] != '\t' && line.ptr[used] != '\r')
            why = PS_REJECT_JSON_SYNTAX;
    return why;
}

static bool is_blank(struct ps_str line)
{
    return line.len == 0 || (line.len == 1 && line.ptr[0] == '\r');
}

static void parse_ahead(struct importing *m, struct ps_str line, bool cut, unsigned number)
{
    struct pending *p = &m->ahead[m->ahead_count++];
    char *scratch = m->scratch + m->ahead_bytes;
    m->ahead_bytes += line.len;
    m->lines++;
    p->number = number;
    p->why = PS_REJECT_TOO_LARGE;
    ps_raw_event_init(&p->raw);
    p->has_hash = false;
    if (cut)
        return;
    bool json = is_json(line);
    p->why = json ? parse_json(m, line, scratch, &p->raw)
                  : ps_logline_parse(line.ptr, line.len, scratch, &p->raw);
    p->has_hash = !json || ps_event_needs_fresh(&p->raw);
    if (p->has_hash) {
        p->hash = ps_logline_hash(line.ptr, line.len);
        ps_occurrences_prefetch(m->seen, p->hash);
    }
    if (p->why == PS_REJECT_NONE)
        ps_ingest_prefetch(m->ingest, &p->raw);
}

static int take_line(struct importing *m, struct pending *p, int64_t now_ms, struct ps_err *e)
{
    if (p->why != PS_REJECT_NONE) {
        ps_ingested_reject(m->done, p->number, 0, p->why);
        return 0;
    }
    if (p->has_hash)
        ps_logline_identify(&p->raw, p->hash, m->source, m->seen);
    char scratch[PS_EVENT_SCRATCH_BYTES];
    struct ps_event event;
    enum ps_reject why =
        ps_ingest_normalise(m->ingest, now_ms, &p->raw, scratch, &m->done->warnings, &event);
    if (why != PS_REJECT_NONE) {
        ps_ingested_reject(m->done, p->number, 0, why);
        return 0;
    }
    m->done->accepted++;
    return ps_sink_add(m->sink, &event, e);
}

static int take_ahead(struct importing *m, struct ps_err *e)
{
    size_t listed = m->done->listed;
    int64_t now_ms = ps_clock_now_ms(ps_clock_system());
    int r = 0;
    for (size_t i = 0; r == 0 && i < m->ahead_count; i++)
        r = take_line(m, &m->ahead[i], now_ms, e);
    m->ahead_count = m->ahead_bytes = 0;
    for (; listed < m->done->listed; listed++)
        m->listed_in[listed] = m->file;
    return r;
}

static void show_progress(struct importing *m, struct ps_lines *lines, struct ps_progress *progress)
{
    char note[PS_CLI_MANY_MAX];
    ps_progress_show(progress, ps_lines_bytes_read(lines), ps_lines_bytes_total(lines),
                     ps_cli_many(note, m->lines, "line", NULL));
}

/* *ret_store_failed tells whose failure it is. */
static int import_lines(struct importing *m, struct ps_lines *lines, struct ps_progress *progress,
                        bool *ret_store_failed, struct ps_err *e)
{
    struct ps_str line;
    unsigned number = 0;
    int r, taken = 0;
    ps_occurrences_reset(m->seen);
    while (taken == 0 && (r = ps_lines_next(lines, &line, e)) == 1) {
        number++;
        if (!is_blank(line))
            parse_ahead(m, line, ps_lines_was_cut(lines), number);
        if (m->ahead_count == AHEAD_LINES || m->ahead_bytes >= PS_LINE_MAX ||
            !ps_lines_holds_next(lines))
            taken = take_ahead(m, e);
        if (number % PROGRESS_LINES == 0 && progress->on)
            show_progress(m, lines, progress);
    }
    if (taken == 0 && m->ahead_count > 0) /* of a file that broke */
        taken = take_ahead(m, r < 0 ? NULL : e);
    *ret_store_failed = taken < 0;
    return taken < 0 ? taken : r;
}

static int import_file(struct importing *m, const char *file, bool show, bool *ret_store_failed,
                       struct ps_err *e)
{
    struct ps_lines *lines;
    struct ps_progress progress;
    int r = ps_lines_open_waiting(&lines, file, ps_interrupt_wait, e);
    if (r < 0)
        return r;
    ps_progress_start(&progress, strcmp(file, "-") == 0 ? "standard input" : file, show);
    m->file = file;
    r = import_lines(m, lines, &progress, ret_store_failed, e);
    ps_progress_end(&progress);
    ps_lines_close(lines);
    return r;
}

/* --- the command --- */

static int open_importing(struct importing *m, struct ps_cli *c, struct ps_err *e)
{
    int r = ps_sink_open(&m->sink, c, e);
    if (r == 0)
        r = ps_ingest_open(&m->ingest, ps_sink_secret(m->sink), ps_clock_system(), e);
    if (r < 0)
        return r;
    ps_ingest_set_percent(m->ingest, c->config.percent);
    m->seen = ps_occurrences_open();
    m->done = calloc(1, sizeof *m->done);
    m->listed_in = calloc(PS_REJECTIONS_LISTED_MAX, sizeof *m->listed_in);
    return m->seen == NULL || m->done == NULL || m->listed_in == NULL
               ? ps_fail(e, PS_ENOMEM, "no memory")
               : 0;
}

static void name_unreadable(struct importing *m, int i, const char *why)
{
    ps_cli_say(why);
    m->unreadable[i] = true;
    m->unread_files++;
}

/* Names what cannot be read, before anything is made or stored. Opens nothing: a pipe can be opened
 * once. */
static int check_files(struct importing *m, const struct ps_cli *c, struct ps_err *e)
{
    m->unreadable = calloc((size_t)c->argc, sizeof *m->unreadable);
    if (m->unreadable == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    for (int i = 0; i < c->argc; i++) {
        const char *file = c->argv[i];
        struct ps_err why;
        struct stat st;
        if (strcmp(file, "-") == 0)
            continue;
        if (stat(file, &st) < 0 || access(file, R_OK) < 0)
            ps_fail(&why, PS_ENOENT, "%s: %s", file, strerror(errno));
        else if (S_ISDIR(st.st_mode))
            ps_fail(&why, PS_EINVAL, "%s: a folder; name the files in it", file);
        else
            continue;
        name_unreadable(m, i, why.text);
    }
    return m->unread_files < (unsigned)c->argc
               ? 0
               : ps_fail(e, PS_ENOENT, "there is nothing to import");
}

/* A file that breaks in the middle is named and the next one follows; a store that fails ends it.
 */
static int import_files(struct importing *m, struct ps_cli *c, struct ps_err *e)
{
    int r = 0;
    for (int i = 0; r == 0 && i < c->argc; i++) {
        bool store_failed = false;
        if (m->unreadable[i])
            continue;
        r = import_file(m, c->argv[i], !c->config.json, &store_failed, e);
        if (r == 0 || store_failed || r == PS_ESTOP)
            continue;
        name_unreadable(m, i, e->text);
        r = 0;
    }
    return r;
}

static int import_all(struct importing *m, struct ps_cli *c, struct ps_import_summary *s,
                      struct ps_err *e)
{
    struct ps_clock *clock = ps_clock_system();
    int64_t start_us = ps_clock_monotonic_us(clock);
    int r = import_files(m, c, e);
    /* What was read before the trouble counts. */
    int finished = ps_sink_finish(m->sink, r < 0 && r != PS_ESTOP ? NULL : e);
    if (r == PS_ESTOP && finished < 0)
        r = finished;
    *s = (struct ps_import_summary){
        .lines = m->lines,
        .done = m->done,
        .listed_in = m->listed_in,
        .sunk = ps_sink_sunk(m->sink),
        .seconds = (double)(ps_clock_monotonic_us(clock) - start_us) / 1e6,
    };
    return r < 0 ? r : finished;
}

static int run(struct importing *m, struct ps_cli *c, struct ps_err *e)
{
    struct ps_import_summary s;
    int r = check_files(m, c, e);
    if (r == 0)
        ps_interrupt_catch(); /* before there are threads */
    if (r == 0)
        r = open_importing(m, c, e);
    if (r < 0)
        return r;
    r = import_all(m, c, &s, e);
    int code = ps_import_summary_print(&s, c->config.json);
    if (r == PS_ESTOP) {
        ps_cli_say("interrupted: what is accepted is stored; to go on, import the same files again "
                   "(nothing counts twice)");
        return PS_EXIT_INTERRUPTED;
    }
    if (r < 0)
        return r;
    if (code == PS_EXIT_OK && m->unread_files > 0)
        code = PS_EXIT_FAILED;
    if (code == PS_EXIT_OK && (m->done->rejected > 0 || s.sunk.rejected > 0 || s.sunk.refused > 0))
        code = PS_EXIT_DIFFERS;
    return code;
}

static int close_importing(struct importing *m, struct ps_err *e)
{
    ps_ingest_close(m->ingest);
    ps_occurrences_close(m->seen);
    int r = ps_sink_close(m->sink, e);
    free(m->done);
    free(m->listed_in);
    free(m->unreadable);
    free(m);
    return r;
}

int ps_cmd_import(struct ps_cli *c)
{
    struct ps_err e = {0}, close_e = {0};
    const char *source = "";
    struct importing *m = calloc(1, sizeof *m);
    int r = m == NULL ? ps_fail(&e, PS_ENOMEM, "no memory") : 0;
    if (r == 0)
        r = ps_cli_option(c, "--source", &source, &e);
    if (r >= 0)
        r = ps_cli_words(c, 1, INT32_MAX, &e);
    if (r == 0) {
        m->source = (struct ps_str){source, strlen(source)};
        r = run(m, c, &e);
    }
    if (m != NULL) {
        int closed = close_importing(m, &close_e);
        if (r >= 0 && closed < 0) {
            r = closed;
            e = close_e;
        }
    }
    return r < 0 ? ps_cli_fail(&e) : r;
}
