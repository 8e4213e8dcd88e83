/* import_summary.c - see import_summary.h.  SPDX-License-Identifier: MIT */
#include "cli/import_summary.h"

#include "base/check.h"
#include "base/visible.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN_REASONS = 10 };

static uint64_t rejected(const struct ps_import_summary *s)
{
    return s->done->rejected + s->sunk.rejected;
}

/* Lines that were read and of which nobody knows that they are stored, in a letter, in the daemon's
 * queue or rejected. With what is known they add up to all lines. */
static uint64_t not_stored(const struct ps_import_summary *s)
{
    const struct ps_sunk *k = &s->sunk;
    uint64_t known = k->accepted + k->duplicates + k->refused + k->waiting + rejected(s);
    return s->lines > known ? s->lines - known : 0;
}

static void print_count(const char *name, uint64_t n, const char *meaning)
{
    char text[32];
    printf("  %-11s %11s%s%s\n", name, ps_cli_count(text, n), meaning[0] != '\0' ? "   " : "",
           meaning);
}

static void print_reasons(const struct ps_import_summary *s)
{
    const struct ps_ingested *d = s->done;
    char n[32];
    for (size_t why = 0; why < PS_REJECT_COUNT; why++)
        if (d->by_reason[why] > 0)
            printf("    %s × %s: %s\n", ps_cli_count(n, d->by_reason[why]),
                   ps_reject_name((enum ps_reject)why), ps_reject_text((enum ps_reject)why));
    for (size_t i = 0; i < d->listed && i < SHOWN_REASONS; i++) {
        printf("    ");
        ps_cli_put((struct ps_str){s->listed_in[i], strlen(s->listed_in[i])});
        printf(":%u: %s\n", d->rejections[i].line, ps_reject_name(d->rejections[i].why));
    }
    if (d->rejected > SHOWN_REASONS)
        printf("    … --json lists the first %d\n", PS_REJECTIONS_LISTED_MAX);
}

static void print_warnings(const struct ps_warnings *w)
{
    char n[32], text[PS_WARNING_TEXT_MAX], shown[PS_WARNING_TEXT_MAX * 2];
    for (size_t i = 0; i < w->count; i++) {
        ps_warning_text(&w->list[i], text);
        ps_visible(shown, sizeof shown, (struct ps_str){text, strlen(text)});
        printf("  warning: %s × %s\n", ps_cli_count(n, w->list[i].count), shown);
    }
    if (w->unlisted > 0)
        printf("  warning: %s × other unknown fields\n", ps_cli_count(n, w->unlisted));
}

static void print_text(const struct ps_import_summary *s)
{
    char lines[PS_CLI_MANY_MAX];
    printf("%s in %.2f s\n", ps_cli_many(lines, s->lines, "line", NULL), s->seconds);
    print_count("accepted", s->sunk.accepted, "");
    print_count("duplicate", s->sunk.duplicates, "counted before");
    print_count("rejected", rejected(s), "");
    if (s->sunk.refused > 0)
        print_count("refused", s->sunk.refused, "see `pathstats dead-letters list`");
    if (s->sunk.waiting > 0)
        print_count("waiting", s->sunk.waiting, "the daemon has them, and stores them when it can");
    if (not_stored(s) > 0) /* a daemon may have taken what was on its way when it vanished */
        print_count(s->sunk.by_daemon ? "unconfirmed" : "not stored", not_stored(s),
                    "import again: what is stored counts once");
    print_reasons(s);
    print_warnings(&s->done->warnings);
}

static void write_rejections(struct ps_json *w, const struct ps_import_summary *s)
{
    const struct ps_ingested *d = s->done;
    ps_json_key(w, "rejections");
    ps_json_open(w, '[');
    for (size_t i = 0; i < d->listed; i++) {
        ps_json_open(w, '{');
        ps_json_key(w, "file");
        ps_json_text(w, s->listed_in[i]);
        ps_json_key(w, "line");
        ps_json_uint(w, d->rejections[i].line);
        ps_json_key(w, "reason");
        ps_json_text(w, ps_reject_name(d->rejections[i].why));
        ps_json_close(w, '}');
    }
    ps_json_close(w, ']');
}

static int print_json(const struct ps_import_summary *s)
{
    struct ps_buf out;
    struct ps_json w;
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = {
        {"lines", s->lines},
        {"accepted", s->sunk.accepted},
        {"duplicate", s->sunk.duplicates},
        {"rejected", rejected(s)},
        {"refused", s->sunk.refused},
        {"waiting", s->sunk.waiting},
        {"notStored", not_stored(s)},
    };
    ps_buf_init(&out, PS_OUTPUT_MAX);
    ps_json_init(&w, &out);
    ps_json_open(&w, '{');
    for (size_t i = 0; i < PS_COUNT_OF(counts); i++) {
        ps_json_key(&w, counts[i].name);
        ps_json_uint(&w, counts[i].n);
    }
    ps_json_key(&w, "seconds");
    ps_json_double(&w, s->seconds, 3);
    write_rejections(&w, s);
    ps_json_key(&w, "warnings");
    ps_warnings_write(&w, &s->done->warnings);
    ps_json_close(&w, '}');
    return ps_cli_print(&out);
}

int ps_import_summary_print(const struct ps_import_summary *s, bool json)
{
    if (json)
        return print_json(s);
    print_text(s);
    return PS_EXIT_OK;
}
