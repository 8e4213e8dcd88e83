/* import.c - `import`: files of log lines or NDJSON events, each counted once.
 *
 * A line that begins with { is an event, any other a log line, so a file may be either without
 * being told.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/sink.h"

#include "backend/registry.h"

#include "flow/ingest.h"
#include "intake/logline.h"
#include "wrap/gzip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_REASONS = 10,
    PROGRESS_LINES = 4096,
    AHEAD_LINES = 16,
};

/* A line on its way. */
struct pending {
    struct ps_raw_event raw;
    enum ps_reject why; /* it is none */
    unsigned number;
    bool has_hash; /* a log line's */
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

static enum ps_reject parse_json(struct ps_str line, char *scratch, struct ps_raw_event *ret)
{
    size_t used = 0;
    enum ps_reject why = ps_event_from_json(line.ptr, line.len, scratch, ret, &used);
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
    p->has_hash = !cut && !is_json(line);
    ps_raw_event_init(&p->raw);
    if (cut)
        return;
    if (p->has_hash) {
        p->hash = ps_logline_hash(line.ptr, line.len);
        ps_occurrences_prefetch(m->seen, p->hash);
        p->why = ps_logline_parse(line.ptr, line.len, scratch, &p->raw);
    } else {
        p->why = parse_json(line, scratch, &p->raw);
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
    enum ps_reject why = ps_ingest_normalise(m->ingest, now_ms, &p->raw, scratch, &event);
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
    char note[64], n[32];
    snprintf(note, sizeof note, "%s lines", ps_cli_count(n, m->lines));
    ps_progress_show(progress, ps_lines_bytes_read(lines), ps_lines_bytes_total(lines), note);
}

static int import_lines(struct importing *m, struct ps_lines *lines, struct ps_progress *progress,
                        struct ps_err *e)
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
    return taken < 0 ? taken : r;
}

static int import_file(struct importing *m, const char *file, bool show, struct ps_err *e)
{
    struct ps_lines *lines;
    struct ps_progress progress;
    int r = ps_lines_open(&lines, file, e);
    if (r < 0)
        return r;
    ps_progress_start(&progress, strcmp(file, "-") == 0 ? "standard input" : file, show);
    m->file = file;
    r = import_lines(m, lines, &progress, e);
    ps_progress_end(&progress);
    ps_lines_close(lines);
    return r;
}

/* --- the summary --- */

struct summary {
    uint64_t lines, fresh, duplicates, refused;
    bool known;
    bool stored; /* what was read has been stored, or taken by the daemon */
    double seconds;
    const struct ps_ingested *done;
    const char *const *listed_in;
};

static void print_text(const struct summary *s)
{
    char n[4][32];
    const struct ps_ingested *d = s->done;
    printf("%s lines in %.2f s\n", ps_cli_count(n[0], s->lines), s->seconds);
    if (s->known)
        printf("  accepted   %12s\n  duplicate  %12s   counted before\n",
               ps_cli_count(n[0], s->fresh), ps_cli_count(n[1], s->duplicates));
    else
        printf("  accepted   %12s   by the daemon, which counts each once\n",
               ps_cli_count(n[0], d->accepted));
    printf("  rejected   %12s\n", ps_cli_count(n[2], d->rejected));
    if (s->refused > 0)
        printf("  refused    %12s   see `pathstats dead-letters list`\n",
               ps_cli_count(n[3], s->refused));
    for (size_t why = 0; why < PS_REJECT_COUNT; why++)
        if (d->by_reason[why] > 0)
            printf("    %s × %s: %s\n", ps_cli_count(n[0], d->by_reason[why]),
                   ps_reject_name((enum ps_reject)why), ps_reject_text((enum ps_reject)why));
    for (size_t i = 0; i < d->listed && i < SHOWN_REASONS; i++)
        printf("    %s:%u: %s\n", s->listed_in[i], d->rejections[i].line,
               ps_reject_name(d->rejections[i].why));
    if (d->rejected > SHOWN_REASONS)
        printf("    … --json lists the first %d\n", PS_REJECTIONS_LISTED_MAX);
}

static int print_json(const struct summary *s)
{
    struct ps_buf out;
    struct ps_json w;
    const struct ps_ingested *d = s->done;
    ps_buf_init(&out, PS_OUTPUT_MAX);
    ps_json_init(&w, &out);
    ps_json_open(&w, '{');
    ps_json_key(&w, "lines");
    ps_json_uint(&w, s->lines);
    ps_json_key(&w, "accepted");
    ps_json_uint(&w, s->known ? s->fresh : d->accepted);
    ps_json_key(&w, "duplicate");
    s->known ? ps_json_uint(&w, s->duplicates) : ps_json_null(&w);
    ps_json_key(&w, "rejected");
    ps_json_uint(&w, d->rejected);
    ps_json_key(&w, "refused");
    ps_json_uint(&w, s->refused);
    ps_json_key(&w, "seconds");
    ps_json_double(&w, s->seconds, 3);
    ps_json_key(&w, "rejections");
    ps_json_open(&w, '[');
    for (size_t i = 0; i < d->listed; i++) {
        ps_json_open(&w, '{');
        ps_json_key(&w, "file");
        ps_json_text(&w, s->listed_in[i]);
        ps_json_key(&w, "line");
        ps_json_uint(&w, d->rejections[i].line);
        ps_json_key(&w, "reason");
        ps_json_text(&w, ps_reject_name(d->rejections[i].why));
        ps_json_close(&w, '}');
    }
    ps_json_close(&w, ']');
    ps_json_close(&w, '}');
    return ps_cli_print(&out);
}

/* --- the command --- */

static int open_importing(struct importing *m, struct ps_cli *c, struct ps_err *e)
{
    int r = ps_sink_open(&m->sink, c, e);
    if (r == 0)
        r = ps_ingest_open(&m->ingest, ps_sink_secret(m->sink), ps_clock_system(), e);
    if (r < 0)
        return r;
    m->seen = ps_occurrences_open();
    m->done = calloc(1, sizeof *m->done);
    m->listed_in = calloc(PS_REJECTIONS_LISTED_MAX, sizeof *m->listed_in);
    return m->seen == NULL || m->done == NULL || m->listed_in == NULL
               ? ps_fail(e, PS_ENOMEM, "no memory")
               : 0;
}

static int import_files(struct importing *m, struct ps_cli *c, struct summary *s, struct ps_err *e)
{
    int64_t start_us = ps_clock_monotonic_us(ps_clock_system());
    int r = 0;
    for (int i = 0; r == 0 && i < c->argc; i++)
        r = import_file(m, c->argv[i], !c->config.json, e);
    struct ps_err *finish_e = r < 0 ? NULL : e; /* what was read before the trouble counts */
    int finished =
        ps_sink_finish(m->sink, &s->known, &s->fresh, &s->duplicates, &s->refused, finish_e);
    s->stored = finished == 0;
    s->lines = m->lines;
    s->done = m->done;
    s->listed_in = m->listed_in;
    s->seconds = (double)(ps_clock_monotonic_us(ps_clock_system()) - start_us) / 1e6;
    return r < 0 ? r : finished;
}

int ps_cmd_import(struct ps_cli *c)
{
    static const char usage[] = "usage: pathstats import FILE… [--source LABEL] [--json]";
    struct ps_err e = {0}, close_e = {0};
    struct summary s = {0};
    const char *source = "";
    int code = PS_EXIT_OK;
    struct importing *m = calloc(1, sizeof *m);
    int r = m == NULL ? ps_fail(&e, PS_ENOMEM, "no memory") : 0;
    if (r == 0)
        r = ps_cli_option(c, "--source", &source, &e);
    if (r >= 0)
        r = ps_cli_words(c, 1, INT32_MAX, usage, &e);
    if (r == 0) {
        m->source = (struct ps_str){source, strlen(source)};
        r = open_importing(m, c, &e);
    }
    if (r == 0) {
        r = import_files(m, c, &s, &e);
        if (s.stored && c->config.json)
            code = print_json(&s);
        else if (s.stored)
            print_text(&s);
        if (code == PS_EXIT_OK && s.done->accepted == 0 && s.done->rejected > 0)
            code = PS_EXIT_DIFFERS;
    }
    if (m != NULL) {
        ps_ingest_close(m->ingest);
        ps_occurrences_close(m->seen);
        int closed = ps_sink_close(m->sink, &close_e);
        if (r >= 0 && closed < 0) {
            r = closed;
            e = close_e;
        }
        free(m->done);
        free(m->listed_in);
        free(m);
    }
    return r < 0 ? ps_cli_fail(&e) : code;
}
