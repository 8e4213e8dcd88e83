/* letters.c - `dead-letters`: what was refused, another try, and throwing it away.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "backend/registry.h"
#include "base/time.h"
#include "daemon/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- list --- */

struct listing {
    bool json;
    struct ps_json w;
    struct ps_buf out;
    uint64_t count;
};

static int list_letter(void *ctx, const struct ps_dead_letter *l)
{
    struct listing *list = ctx;
    struct ps_event event;
    char time[PS_ISO_LEN + 1];
    bool decodes = ps_event_decode(l->bytes, l->len, &event) == 0;
    ps_time_format_iso(time, l->time_ms);
    list->count++;
    if (!list->json) {
        printf("%s  %-16s %" PRIu64 "  ", time, ps_reject_name(l->why), l->position);
        if (decodes) {
            ps_cli_put(event.id);
            putchar(' ');
            ps_cli_put(event.path);
        }
        printf("\n    %s%s", ps_reject_text(l->why), l->text.len > 0 ? ": " : "");
        ps_cli_put(l->text);
        putchar('\n');
        return 0;
    }
    ps_json_open(&list->w, '{');
    ps_json_key(&list->w, "position");
    ps_json_uint(&list->w, l->position);
    ps_json_key(&list->w, "time");
    ps_json_text(&list->w, time);
    ps_json_key(&list->w, "reason");
    ps_json_text(&list->w, ps_reject_name(l->why));
    ps_json_key(&list->w, "detail");
    ps_json_str(&list->w, l->text);
    ps_json_key(&list->w, "idempotentId");
    ps_json_str(&list->w, decodes ? event.id : PS_STR_NONE);
    ps_json_key(&list->w, "path");
    ps_json_str(&list->w, decodes ? event.path : PS_STR_NONE);
    ps_json_close(&list->w, '}');
    return 0;
}

/* The list is not all there was. */
static void tell_damage(struct ps_queue *queue)
{
    struct ps_queue_info info;
    char text[128];
    if (ps_queue_info(queue, &info, NULL) < 0 || info.letters_damaged == 0)
        return;
    snprintf(text, sizeof text,
             "the file of dead letters is damaged in %" PRIu64
             " %s; what was there is lost, the others are kept",
             info.letters_damaged, info.letters_damaged == 1 ? "place" : "places");
    ps_cli_say(text);
}

static int list_letters(struct ps_cli *c, const struct ps_datadir *dir, struct ps_err *e)
{
    struct ps_queue *queue;
    struct listing list = {.json = c->config.json};
    int r = ps_cli_open_queue(c, dir, &queue, e);
    if (r < 0)
        return r;
    ps_buf_init(&list.out, PS_OUTPUT_MAX);
    ps_json_init(&list.w, &list.out);
    ps_json_open(&list.w, '[');
    r = ps_queue_dead(queue, list_letter, &list, e);
    ps_json_close(&list.w, ']');
    if (r == 0)
        tell_damage(queue);
    ps_queue_close(queue);
    if (r == 0 && c->config.json)
        return ps_cli_print(&list.out) == PS_EXIT_OK ? 0
                                                     : ps_fail(e, PS_EIO, "standard output failed");
    ps_buf_done(&list.out);
    if (r == 0 && list.count == 0)
        printf("there are no dead letters\n");
    return r;
}

/* --- replay --- */

/* `returned` is unknown when the server had no time to store all of them yet. */
static void print_replayed(const struct ps_cli *c, uint64_t replayed, bool settled,
                           uint64_t returned)
{
    char letters[PS_CLI_MANY_MAX], back[PS_CLI_MANY_MAX], known[24] = "null";
    if (settled)
        snprintf(known, sizeof known, "%" PRIu64, returned);
    ps_cli_many(letters, replayed, "letter", NULL);
    if (c->config.json)
        printf("{\"replayed\":%" PRIu64 ",\"returned\":%s}\n", replayed, known);
    else if (!settled)
        printf("%s replayed; they are not all stored yet, `dead-letters list` shows what comes "
               "back\n",
               letters);
    else if (returned == 0)
        printf("%s replayed, none came back\n", letters);
    else
        printf("%s replayed, %s back as dead letters: see `dead-letters list`\n", letters,
               ps_cli_many(back, returned, "came", "came"));
}

static int replay_here(struct ps_cli *c, struct ps_err *e)
{
    struct ps_engine *engine;
    struct ps_replayed done;
    int r = ps_engine_open(&engine, &c->config, e);
    if (r < 0)
        return r;
    r = ps_engine_replay(engine, &done, e);
    int closed = ps_engine_close(engine, r < 0 ? NULL : e);
    if (r < 0 || closed < 0)
        return r < 0 ? r : closed;
    print_replayed(c, done.replayed, done.settled, done.returned);
    return 0;
}

static int replay_through(struct ps_cli *c, const char *holder, struct ps_err *e)
{
    struct ps_buf answer;
    ps_buf_init(&answer, PS_OUTPUT_MAX);
    int r = ps_cli_order(holder, "/admin/dead-letters/replay", PS_STR(""), &answer, e);
    if (r == 0) {
        bool settled = memmem(answer.ptr, answer.len, "null", 4) == NULL;
        print_replayed(c, ps_cli_answer(&answer, "replayed"), settled,
                       ps_cli_answer(&answer, "returned"));
    }
    ps_buf_done(&answer);
    return r;
}

/* --- purge --- */

struct purging {
    struct ps_letter_filter filter;
    const char *reason, *before; /* as given; NULL */
    uint64_t count;
};

static int take_filter(struct ps_cli *c, struct purging *p, struct ps_err *e)
{
    int32_t day;
    p->filter = (struct ps_letter_filter){PS_REJECT_NONE, INT64_MAX};
    int r = ps_cli_option(c, "--reason", &p->reason, e);
    if (r >= 0)
        r = ps_cli_option(c, "--before", &p->before, e);
    if (r < 0)
        return r;
    if (p->reason != NULL &&
        (p->filter.why = ps_reject_find(p->reason, strlen(p->reason))) == PS_REJECT_NONE)
        return ps_fail(e, PS_EINVAL,
                       "--reason %s: there is no such reason; `dead-letters list` shows those "
                       "there are",
                       p->reason);
    if (p->before == NULL)
        return 0;
    if (!ps_time_parse_date(p->before, strlen(p->before), &day))
        return ps_fail(e, PS_EINVAL, "--before %s: not a day like 2025-10-12", p->before);
    p->filter.before_ms = day * PS_MS_PER_DAY;
    return 0;
}

static int count_letter(void *ctx, const struct ps_dead_letter *letter)
{
    struct purging *p = ctx;
    p->count += ps_letter_matches(&p->filter, letter);
    return 0;
}

static int count_letters(struct ps_cli *c, const struct ps_datadir *dir, struct purging *p,
                         struct ps_err *e)
{
    struct ps_queue *queue;
    int r = ps_cli_open_queue(c, dir, &queue, e);
    if (r < 0)
        return r;
    r = ps_queue_dead(queue, count_letter, p, e);
    ps_queue_close(queue);
    return r;
}

/* What is purged is nowhere else, so somebody has to say yes. */
static int confirm(struct ps_cli *c, const struct ps_datadir *dir, struct purging *p,
                   struct ps_err *e)
{
    char letters[PS_CLI_MANY_MAX], line[8] = "";
    int r = count_letters(c, dir, p, e);
    if (r < 0 || p->count == 0)
        return r;
    ps_cli_many(letters, p->count, "dead letter", NULL);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return ps_fail(e, PS_EINVAL, "%s would be thrown away for good: say so with --yes",
                       letters);
    fprintf(stderr, "%s will be thrown away for good. Go on? [y/N] ", letters);
    if (fgets(line, sizeof line, stdin) == NULL || (line[0] != 'y' && line[0] != 'Y'))
        return ps_fail(e, PS_ESTOP, "nothing was thrown away");
    return 0;
}

/* Neither database nor consumer is needed, and they may be what is in trouble. */
static int purge_here(struct ps_cli *c, struct ps_datadir *dir, const struct purging *p,
                      uint64_t *ret, struct ps_err *e)
{
    struct ps_queue *queue = NULL;
    const struct ps_queue_limits limits = {(uint64_t)c->config.queue_max, UINT64_MAX,
                                           (uint64_t)c->config.dead_letters_max, 0};
    int r = ps_datadir_lock(dir, e);
    if (r < 0)
        return r;
    r = ps_queue_open(ps_queue_backend(c->config.queue), &queue, dir->queue, PS_QUEUE_WRITE,
                      &limits, e);
    if (r == 0)
        r = ps_letters_purge(queue, &p->filter, ret, e);
    ps_queue_close(queue);
    ps_datadir_unlock(dir);
    return r;
}

static int purge_through(const char *holder, const struct purging *p, uint64_t *ret,
                         struct ps_err *e)
{
    struct ps_buf order, answer;
    struct ps_json w;
    ps_buf_init(&order, PS_OUTPUT_MAX);
    ps_buf_init(&answer, PS_OUTPUT_MAX);
    ps_json_init(&w, &order);
    ps_json_open(&w, '{');
    if (p->reason != NULL) {
        ps_json_key(&w, "reason");
        ps_json_text(&w, p->reason);
    }
    if (p->before != NULL) {
        ps_json_key(&w, "before");
        ps_json_text(&w, p->before);
    }
    if (p->reason == NULL && p->before == NULL) {
        ps_json_key(&w, "all");
        ps_json_bool(&w, true);
    }
    ps_json_close(&w, '}');
    int r = ps_cli_order(holder, "/admin/dead-letters/purge", ps_buf_str(&order), &answer, e);
    *ret = r == 0 ? ps_cli_answer(&answer, "purged") : 0;
    ps_buf_done(&order);
    ps_buf_done(&answer);
    return r;
}

static int purge(struct ps_cli *c, struct ps_datadir *dir, struct purging *p, bool yes,
                 struct ps_err *e)
{
    char holder[PS_DATADIR_NOTE_MAX], letters[PS_CLI_MANY_MAX];
    uint64_t purged = 0;
    int r = yes ? 0 : confirm(c, dir, p, e);
    if (r == 0 && (yes || p->count > 0))
        r = ps_datadir_holder(dir, holder, e);
    if (r == 1 && holder[0] != '\0')
        r = purge_through(holder, p, &purged, e);
    else if (r >= 0 && (yes || p->count > 0))
        r = purge_here(c, dir, p, &purged, e);
    if (r < 0)
        return r;
    if (c->config.json)
        printf("{\"purged\":%" PRIu64 "}\n", purged);
    else if (purged == 0)
        printf("there are no such dead letters\n");
    else
        printf("%s thrown away\n", ps_cli_many(letters, purged, "dead letter", NULL));
    return 0;
}

/* --- the command --- */

int ps_cmd_dead_letters(struct ps_cli *c)
{
    struct ps_err e = {0};
    struct ps_datadir dir;
    struct purging p = {0};
    char holder[PS_DATADIR_NOTE_MAX];
    bool yes = ps_cli_flag(c, "--yes");
    int r = take_filter(c, &p, &e);
    if (r == 0)
        r = ps_cli_words(c, 1, 1, &e);
    bool purges = r == 0 && strcmp(c->argv[0], "purge") == 0;
    if (r == 0 && !purges && (yes || p.reason != NULL || p.before != NULL))
        r = ps_fail(&e, PS_EINVAL, "--reason, --before and --yes are for `dead-letters purge`");
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, &e);
    if (r == 0)
        r = ps_datadir_require(&dir, &e);
    if (r == 0 && strcmp(c->argv[0], "list") == 0) {
        r = list_letters(c, &dir, &e);
    } else if (purges && r == 0) {
        r = purge(c, &dir, &p, yes, &e);
    } else if (r == 0 && strcmp(c->argv[0], "replay") == 0) {
        r = ps_datadir_holder(&dir, holder, &e);
        if (r == 1 && holder[0] != '\0')
            r = replay_through(c, holder, &e);
        else if (r >= 0)
            r = replay_here(c, &e);
    } else if (r == 0) {
        r = ps_cli_no_form(c, c->argv[0], &e);
    }
    return r < 0 ? ps_cli_fail(&e) : PS_EXIT_OK;
}
