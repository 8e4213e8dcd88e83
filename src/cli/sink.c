/* sink.c - see sink.h.  SPDX-License-Identifier: MIT */
#include "cli/sink.h"

#include "backend/registry.h"

#include "core/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FULL_WAIT_MS = 50,
    REFUSED_BYTES_MAX = PS_PARCEL_EVENTS_MAX * PS_EVENT_ENCODED_MAX,
    BODY_EVENTS_MAX = 5000,
    BODY_BYTES_MAX = 8 * 1024 * 1024
};

struct ps_sink {
    struct ps_parcel parcels[2];
    struct ps_outbox refused[2]; /* what came back of them */
    int filling;

    struct ps_engine *engine; /* or */
    struct ps_client *client;
    uint8_t secret[PS_SECRET_BYTES];
    struct ps_buf body, answer;

    uint64_t fresh, duplicates, buried; /* the engine's counters when the import began */
};

static uint64_t count_refused(const struct ps_aggregator_counters *k)
{
    return k->dead_letters;
}

static int open_here(struct ps_sink *s, struct ps_cli *c, struct ps_err *e)
{
    int r = ps_engine_open(&s->engine, &c->config, e);
    if (r == 0) /* what an earlier run left in the queue is not this import's */
        r = ps_engine_wait_idle(s->engine, NULL, NULL, e);
    if (r < 0)
        return r;
    const struct ps_aggregator_counters *k = ps_aggregator_counters(s->engine->aggregator);
    s->fresh = k->fresh;
    s->duplicates = k->duplicates;
    s->buried = count_refused(k);
    memcpy(s->secret, s->engine->secret, sizeof s->secret);
    return 0;
}

static int open_through(struct ps_sink *s, const struct ps_datadir *dir, const char *holder,
                        struct ps_err *e)
{
    int r = ps_secret_load(dir->secret, false, s->secret, e);
    return r < 0 ? r : ps_client_open(&s->client, holder, e);
}

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
    ps_buf_init(&s->body, 2 * BODY_BYTES_MAX);
    ps_buf_init(&s->answer, PS_OUTPUT_MAX);
    if (r == 0)
        r = ps_datadir_init(&dir, c->config.data_dir, e);
    if (r == 0)
        r = ps_datadir_holder(&dir, holder, e);
    if (r == 1 && holder[0] != '\0')
        r = open_through(s, &dir, holder, e);
    else if (r >= 0)
        r = open_here(s, c, e);
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

/* What the store refuses goes through the queue, where it becomes dead letters. */
static int send_refused(struct ps_sink *s, struct ps_err *e)
{
    int r = ps_aggregator_feed(s->engine->aggregator, NULL, NULL, e); /* it then reads the queue */
    if (r < 0)
        return fail_storing(r, e);
    for (int i = 0; r == 0 && i < 2; i++) {
        while ((r = ps_commit_wait(s->engine->commit, &s->refused[i], e)) == PS_EFULL)
            ps_clock_sleep_ms(s->engine->clock, FULL_WAIT_MS);
        ps_outbox_clear(&s->refused[i]);
    }
    return r;
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

/* --- to the daemon --- */

static void write_event(struct ps_buf *body, const struct ps_event *event)
{
    struct ps_json w;
    char hash[16];
    ps_json_init(&w, body);
    ps_json_open(&w, '{');
    ps_json_key(&w, "idempotentId");
    ps_json_str(&w, event->id);
    ps_json_key(&w, "timestamp");
    ps_json_int(&w, event->timestamp_ms);
    const char *const names[] = {"path", "method", "userAgent", "country"};
    const struct ps_str texts[] = {event->path, event->method, event->user_agent, event->country};
    for (int i = 0; i < 4; i++)
        if (texts[i].ptr != NULL) {
            ps_json_key(&w, names[i]);
            ps_json_str(&w, texts[i]);
        }
    if (event->status != PS_ABSENT) {
        ps_json_key(&w, "status");
        ps_json_int(&w, event->status);
    } else if (event->is_error != PS_ABSENT) {
        ps_json_key(&w, "isError");
        ps_json_bool(&w, event->is_error);
    }
    if (event->response_us != PS_ABSENT) {
        ps_json_key(&w, "responseTime");
        ps_json_us_as_ms(&w, event->response_us);
    }
    if (event->has_client) {
        ps_format_hex64(hash, event->client_hash);
        ps_json_key(&w, "clientIpHash");
        ps_json_str(&w, (struct ps_str){hash, sizeof hash});
    }
    ps_json_close(&w, '}');
    ps_buf_append(body, "\n", 1);
}

static int post(struct ps_sink *s, struct ps_err *e)
{
    long status = 503;
    int r = 0;
    if (s->body.failed)
        return ps_fail(e, s->body.failed, "no memory for a request");
    for (;;) {
        ps_buf_clear(&s->answer);
        r = ps_client_ask(s->client, "POST", "/api/events", ps_buf_str(&s->body), &s->answer,
                          &status, e);
        if (r < 0 || status != 503)
            break;
        ps_clock_sleep_ms(ps_clock_system(), FULL_WAIT_MS);
    }
    ps_buf_clear(&s->body);
    if (r == 0 && status != 202)
        r = ps_fail(e, PS_EIO, "the daemon refuses (%ld): %.*s", status, (int)s->answer.len,
                    s->answer.ptr);
    return r;
}

static int send_through(struct ps_sink *s, struct ps_err *e)
{
    struct ps_parcel *parcel = &s->parcels[s->filling];
    int r = 0;
    for (size_t i = 0; r == 0 && i < parcel->count; i++) {
        write_event(&s->body, &parcel->events[i]);
        if (i % BODY_EVENTS_MAX == BODY_EVENTS_MAX - 1 || i + 1 == parcel->count ||
            s->body.len > BODY_BYTES_MAX)
            r = post(s, e);
    }
    ps_parcel_clear(parcel);
    return r;
}

static int send(struct ps_sink *s, struct ps_err *e)
{
    if (s->parcels[s->filling].count == 0)
        return 0;
    return s->engine != NULL ? send_here(s, e) : send_through(s, e);
}

int ps_sink_add(struct ps_sink *s, const struct ps_event *event, struct ps_err *e)
{
    if (ps_parcel_add(&s->parcels[s->filling], event))
        return 0;
    int r = send(s, e);
    if (r == 0 && !ps_parcel_add(&s->parcels[s->filling], event))
        r = ps_fail(e, PS_EFULL, "an event of %zu bytes", event->path.len);
    return r;
}

int ps_sink_finish(struct ps_sink *s, bool *ret_known, uint64_t *ret_fresh,
                   uint64_t *ret_duplicates, uint64_t *ret_refused, struct ps_err *e)
{
    int r = send(s, e);
    *ret_known = false;
    *ret_fresh = *ret_duplicates = *ret_refused = 0;
    if (r < 0 || s->engine == NULL)
        return r;
    r = send_refused(s, e);
    if (r == 0)
        r = ps_engine_wait_idle(s->engine, NULL, NULL, e);
    if (r < 0)
        return r;
    const struct ps_aggregator_counters *k = ps_aggregator_counters(s->engine->aggregator);
    *ret_known = true;
    *ret_fresh = k->fresh - s->fresh;
    *ret_duplicates = k->duplicates - s->duplicates;
    *ret_refused = count_refused(k) - s->buried;
    return 0;
}

int ps_sink_close(struct ps_sink *s, struct ps_err *e)
{
    if (s == NULL)
        return 0;
    int r = s->engine != NULL ? ps_engine_close(s->engine, e) : 0;
    ps_client_close(s->client);
    for (int i = 0; i < 2; i++) {
        ps_parcel_done(&s->parcels[i]);
        ps_outbox_done(&s->refused[i]);
    }
    ps_buf_done(&s->body);
    ps_buf_done(&s->answer);
    explicit_bzero(s->secret, sizeof s->secret);
    free(s);
    return r;
}
