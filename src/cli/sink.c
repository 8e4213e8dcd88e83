/* sink.c - see sink.h.  SPDX-License-Identifier: MIT */
#include "cli/sink.h"

#include "cli/interrupt.h"
#include "cli/sieve.h"

#include "backend/registry.h"

#include "core/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FULL_WAIT_MS = 50,
    FULL_PATIENCE_MS = 30000, /* without room in the queue, before it is given up */
    REFUSED_BYTES_MAX = PS_PARCEL_EVENTS_MAX * PS_EVENT_ENCODED_MAX,
};

struct ps_sink {
    struct ps_parcel parcels[2];
    struct ps_outbox refused[2]; /* what came back of them */
    int filling;

    struct ps_engine *engine; /* or */
    struct ps_sink_daemon *daemon;
    struct ps_sieve *sieve; /* NULL: no day is closed */
    uint8_t secret[PS_SECRET_BYTES];
    struct ps_sunk before; /* the engine's counters when the import began */
    struct ps_sunk sunk;   /* by the daemon */
};

/* The engine counts what is committed, so this is true after a failure too. */
static struct ps_sunk read_counters(const struct ps_sink *s)
{
    const struct ps_aggregator_counters *k = ps_aggregator_counters(s->engine->aggregator);
    return (struct ps_sunk){
        .accepted = k->fresh, .duplicates = k->duplicates, .refused = k->dead_letters};
}

static int stop_when_interrupted(void *ctx)
{
    (void)ctx;
    return ps_interrupted() ? PS_ESTOP : 0;
}

static int wait_idle(struct ps_sink *s, struct ps_err *e)
{
    int r = ps_engine_wait_idle(s->engine, stop_when_interrupted, NULL, e);
    return r == PS_ESTOP ? ps_fail(e, r,
                                   "interrupted while events that waited in the queue were "
                                   "being stored; they are kept")
                         : r;
}

static int open_here(struct ps_sink *s, struct ps_cli *c, struct ps_err *e)
{
    int r = ps_engine_open(&s->engine, &c->config, e);
    if (r == 0) /* what an earlier run left in the queue is not this import's */
        r = wait_idle(s, e);
    if (r < 0)
        return r;
    s->before = read_counters(s);
    memcpy(s->secret, s->engine->secret, sizeof s->secret);
    return 0;
}

static int open_through(struct ps_sink *s, const struct ps_datadir *dir, const char *holder,
                        struct ps_err *e)
{
    int r = ps_secret_load(dir->secret, PS_SECRET_READ, s->secret, NULL, e);
    s->sunk.by_daemon = true;
    return r < 0 ? r : ps_sink_daemon_open(&s->daemon, holder, e);
}

static int add_to_parcel(void *ctx, const struct ps_event *event, struct ps_err *e);

int ps_sink_open(struct ps_sink **ret, struct ps_cli *c, struct ps_err *e)
{
    struct ps_datadir dir;
    char holder[PS_DATADIR_NOTE_MAX];
    struct ps_sink *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    int r = 0;
    for (int i = 0; r == 0 && i < 2; i++) {
        ps_outbox_init(&s->refused[i], REFUSED_BYTES_MAX);
        r = ps_parcel_init(&s->parcels[i]);
    }
    if (r < 0)
        ps_fail(e, r, "no memory");
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, e);
    if (r == 0)
        r = ps_datadir_holder(&dir, holder, e);
    if (r == 1 && holder[0] != '\0')
        r = open_through(s, &dir, holder, e);
    else if (r >= 0)
        r = open_here(s, c, e);
    if (r == 0)
        r = ps_sieve_open(&s->sieve, c, &dir, add_to_parcel, s, e);
    if (r < 0) {
        ps_sink_close(s, NULL);
        return r;
    }
    *ret = s;
    return 0;
}

const uint8_t *ps_sink_secret(const struct ps_sink *s)
{
    return s->secret;
}

/* --- to the engine --- */

/* Nothing is half stored: what was not committed is not there. */
static int fail_storing(int code, struct ps_err *e)
{
    struct ps_err why = {0};
    if (e != NULL)
        why = *e;
    return ps_fail(e, code, "%s; not all of it is stored: when that is mended, import it again",
                   why.text);
}

static int commit_refused(struct ps_sink *s, struct ps_outbox *refused, struct ps_err *e)
{
    struct ps_clock *clock = s->engine->clock;
    int64_t until_us = ps_clock_monotonic_us(clock) + (int64_t)FULL_PATIENCE_MS * 1000;
    int r;
    while ((r = ps_commit_wait(s->engine->commit, refused, e)) == PS_EFULL &&
           ps_clock_monotonic_us(clock) < until_us)
        ps_clock_sleep_ms(clock, FULL_WAIT_MS);
    return r;
}

/* This import is what fills them, so it is the one that ends; the letters of before are counted. */
static int check_letters(struct ps_sink *s, struct ps_err *e)
{
    struct ps_queue_info info;
    int r = wait_idle(s, e);
    if (r == 0)
        r = ps_queue_info(s->engine->queue, &info, e);
    if (r == 0 && info.dead_letter_bytes >= info.dead_letter_bytes_max)
        r = ps_fail(e, PS_EFULL, "%s", PS_ADMISSION_TEXT);
    return r;
}

/* What the store refuses goes through the queue, where it becomes dead letters. */
static int send_refused(struct ps_sink *s, struct ps_err *e)
{
    int r = ps_aggregator_feed(s->engine->aggregator, NULL, NULL, e); /* it then reads the queue */
    for (int i = 0; r == 0 && i < 2; i++) {
        if (s->refused[i].count == 0)
            continue;
        r = check_letters(s, e);
        if (r == 0)
            r = commit_refused(s, &s->refused[i], e);
        ps_outbox_clear(&s->refused[i]);
    }
    return r < 0 ? fail_storing(r, e) : 0;
}

static int send_here(struct ps_sink *s, struct ps_err *e)
{
    int here = s->filling;
    ps_parcel_sort(&s->parcels[here]);
    int r = ps_aggregator_feed(s->engine->aggregator, &s->parcels[here], &s->refused[here], e);
    if (r < 0)
        return fail_storing(r, e);
    s->filling = !here; /* and that one has been taken */
    ps_parcel_clear(&s->parcels[s->filling]);
    return s->refused[s->filling].count > 0 ? send_refused(s, e) : 0;
}

static int send_through(struct ps_sink *s, struct ps_err *e)
{
    struct ps_parcel *parcel = &s->parcels[s->filling];
    int r = ps_sink_daemon_send(s->daemon, parcel, &s->sunk, e);
    ps_parcel_clear(parcel);
    return r;
}

static int send(struct ps_sink *s, struct ps_err *e)
{
    if (s->parcels[s->filling].count == 0)
        return 0;
    return s->engine != NULL ? send_here(s, e) : send_through(s, e);
}

static int add_to_parcel(void *ctx, const struct ps_event *event, struct ps_err *e)
{
    struct ps_sink *s = ctx;
    if (ps_parcel_add(&s->parcels[s->filling], event))
        return 0;
    int r = send(s, e);
    if (r == 0 && !ps_parcel_add(&s->parcels[s->filling], event))
        r = ps_fail(e, PS_EFULL, "the event is larger than a batch: its path has %zu bytes",
                    event->path.len);
    return r;
}

int ps_sink_add(struct ps_sink *s, const struct ps_event *event, struct ps_err *e)
{
    return ps_sieve_holds(s->sieve, event) ? ps_sieve_add(s->sieve, event, e)
                                           : add_to_parcel(s, event, e);
}

int ps_sink_finish(struct ps_sink *s, struct ps_err *e)
{
    int r = ps_sieve_finish(s->sieve, e);
    int sent = send(s, r < 0 ? NULL : e); /* the others are stored all the same */
    r = r < 0 ? r : sent;
    if (r == 0 && s->daemon != NULL)
        ps_sink_daemon_settle(s->daemon);
    if (r < 0 || s->engine == NULL)
        return r;
    r = send_refused(s, e);
    return r < 0 ? r : wait_idle(s, e);
}

struct ps_sunk ps_sink_sunk(const struct ps_sink *s)
{
    struct ps_sunk now = s->sunk;
    if (s->engine != NULL) {
        now = read_counters(s);
        now.accepted -= s->before.accepted;
        now.duplicates -= s->before.duplicates;
        now.refused -= s->before.refused;
    }
    now.duplicates += ps_sieve_duplicates(s->sieve);
    return now;
}

int ps_sink_close(struct ps_sink *s, struct ps_err *e)
{
    if (s == NULL)
        return 0;
    int r = s->engine != NULL ? ps_engine_close(s->engine, e) : 0;
    ps_sink_daemon_close(s->daemon);
    ps_sieve_close(s->sieve);
    for (int i = 0; i < 2; i++) {
        ps_parcel_done(&s->parcels[i]);
        ps_outbox_done(&s->refused[i]);
    }
    explicit_bzero(s->secret, sizeof s->secret);
    free(s);
    return r;
}
