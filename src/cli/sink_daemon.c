/* sink_daemon.c - an import through the daemon: bodies of events, each answered when it is stored.
 *
 * A body may be too large for the daemon (its body_limit, its queue): then it is halved. A daemon
 * that is busy is asked again, and one that is gone ends the import: within DAEMON_WAIT_MS either
 * way, with what it has stored so far.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/sink.h"

#include "backend/registry.h"

#include "core/decimal.h"
#include "core/json_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUSY_WAIT_MS = 50,      /* between two tries of a body that finds no room */
    DAEMON_WAIT_MS = 25000, /* without any body taken, before it is given up */
    SETTLE_WAIT_MS = 5000,  /* for the statistics, at the end */
    BODY_EVENTS_MAX = 5000,
    BODY_BYTES_MAX = 8 * 1024 * 1024,
    ANSWER_MAX = 4 * 1024 * 1024,
    STATUS_ACCEPTED = 202,
    STATUS_BAD_REQUEST = 400,
    STATUS_TOO_LARGE = 413,
    STATUS_BUSY = 503,
};

struct ps_sink_daemon {
    struct ps_client *client;
    struct ps_buf body, answer, scratch;
};

int ps_sink_daemon_open(struct ps_sink_daemon **ret, const char *host_port, struct ps_err *e)
{
    struct ps_sink_daemon *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    ps_buf_init(&d->body, 2 * BODY_BYTES_MAX);
    ps_buf_init(&d->answer, ANSWER_MAX);
    ps_buf_init(&d->scratch, ANSWER_MAX);
    int r = ps_client_open(&d->client, host_port, e);
    if (r < 0) {
        ps_sink_daemon_close(d);
        return r;
    }
    ps_client_set_timeout(d->client, DAEMON_WAIT_MS / 1000);
    *ret = d;
    return 0;
}

void ps_sink_daemon_close(struct ps_sink_daemon *d)
{
    if (d == NULL)
        return;
    ps_client_close(d->client);
    ps_buf_done(&d->body);
    ps_buf_done(&d->answer);
    ps_buf_done(&d->scratch);
    free(d);
}

/* --- the body --- */

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
    if (event->response_bytes != PS_ABSENT) {
        ps_json_key(&w, "responseBytes");
        ps_json_int(&w, event->response_bytes);
    }
    if (event->has_client) {
        ps_format_hex64(hash, event->client_hash);
        ps_json_key(&w, "clientIpHash");
        ps_json_str(&w, (struct ps_str){hash, sizeof hash});
    }
    ps_json_close(&w, '}');
    ps_buf_append(body, "\n", 1);
}

/* --- the answer --- */

/* The member's text; absent when there is none. */
static struct ps_str member(struct ps_str object, const char *name, char *scratch)
{
    struct ps_json_walk w;
    struct ps_str key, text;
    enum ps_json_kind kind;
    ps_json_walk_init(&w, object, scratch);
    while (ps_json_walk_next(&w, &key, &kind, &text) == 1)
        if (ps_str_equal(key, (struct ps_str){name, strlen(name)}))
            return text;
    return PS_STR_NONE;
}

static uint64_t number(struct ps_str object, const char *name, char *scratch)
{
    struct ps_str text = member(object, name, scratch);
    uint64_t n = 0;
    for (size_t i = 0; text.ptr != NULL && i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 0;
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return n;
}

/* {"accepted":5000,"rejected":0,…,"stored":{"new":4990,"duplicate":10,"refused":0}} */
static int take_answer(struct ps_sink_daemon *d, struct ps_sunk *sunk, struct ps_err *e)
{
    struct ps_str answer = ps_buf_str(&d->answer);
    if (ps_buf_reserve(&d->scratch, answer.len) < 0)
        return ps_fail(e, PS_ENOMEM, "no memory for an answer");
    char *scratch = d->scratch.ptr;
    struct ps_str stored = member(answer, "stored", scratch);
    sunk->rejected += number(answer, "rejected", scratch);
    if (stored.len == 0 || stored.ptr[0] != '{') {
        sunk->waiting += number(answer, "accepted", scratch);
        return ps_fail(e, PS_EIO,
                       "the daemon has the events on disk but cannot store them right now: see "
                       "its /api/health; import again when it counts");
    }
    sunk->accepted += number(stored, "new", scratch);
    sunk->duplicates += number(stored, "duplicate", scratch);
    sunk->refused += number(stored, "refused", scratch);
    return 0;
}

static struct ps_str error_member(struct ps_sink_daemon *d, const char *name)
{
    struct ps_str answer = ps_buf_str(&d->answer);
    if (ps_buf_reserve(&d->scratch, answer.len) < 0)
        return PS_STR_NONE;
    return member(member(answer, "error", d->scratch.ptr), name, d->scratch.ptr);
}

/* Waiting does not help against full dead letters: what the archives know was left out already. */
static bool are_letters_full(struct ps_sink_daemon *d, long status)
{
    return status == STATUS_BUSY &&
           ps_str_equal(error_member(d, "code"), PS_STR("dead_letters_full"));
}

/* What the daemon says is wrong, for a person. */
static int fail_told(struct ps_sink_daemon *d, long status, struct ps_err *e)
{
    int code = are_letters_full(d, status) ? PS_EFULL : PS_EIO;
    struct ps_str message = error_member(d, "message");
    if (message.ptr == NULL || message.len == 0)
        message = ps_buf_str(&d->answer);
    return ps_fail(e, code, "the daemon does not take more events (HTTP %ld): %.*s", status,
                   (int)message.len, message.ptr);
}

/* The body on its way may have been taken or not: it is not claimed. */
static int fail_gone(int code, struct ps_err *e)
{
    struct ps_err why = {0};
    if (e != NULL)
        why = *e;
    return ps_fail(
        e, code,
        "%s; start it again (or import without it) and import the same files again: what "
        "is stored counts once",
        why.text);
}

/* *ret_status: 202, or 413 when it may be sent in parts. */
static int post(struct ps_sink_daemon *d, struct ps_sunk *sunk, long *ret_status, struct ps_err *e)
{
    struct ps_clock *clock = ps_clock_system();
    int64_t until_us = ps_clock_monotonic_us(clock) + (int64_t)DAEMON_WAIT_MS * 1000;
    if (d->body.failed)
        return ps_fail(e, d->body.failed, "no memory for a request");
    for (;;) {
        ps_buf_clear(&d->answer);
        int r = ps_client_ask(d->client, "POST", "/api/events?wait=stored", ps_buf_str(&d->body),
                              &d->answer, ret_status, e);
        if (r < 0)
            return fail_gone(r, e);
        if (*ret_status != STATUS_BUSY || are_letters_full(d, *ret_status) ||
            ps_clock_monotonic_us(clock) >= until_us)
            break;
        ps_clock_sleep_ms(clock, BUSY_WAIT_MS);
    }
    if (*ret_status == STATUS_ACCEPTED)
        return take_answer(d, sunk, e);
    if (*ret_status == STATUS_BAD_REQUEST) { /* none of them accepted */
        struct ps_sunk before = *sunk;
        take_answer(d, sunk, NULL);
        if (sunk->rejected > before.rejected)
            return 0;
    }
    return *ret_status == STATUS_TOO_LARGE ? 0 : fail_told(d, *ret_status, e);
}

/* Events [from, to) in one body, or in two halves when that is too large for the daemon. */
static int send_range(struct ps_sink_daemon *d, const struct ps_event *events, size_t from,
                      size_t to, struct ps_sunk *sunk, struct ps_err *e)
{
    long status = 0;
    ps_buf_clear(&d->body);
    for (size_t i = from; i < to; i++)
        write_event(&d->body, &events[i]);
    int r = post(d, sunk, &status, e);
    if (r < 0 || status != STATUS_TOO_LARGE)
        return r;
    if (to - from == 1)
        return fail_told(d, status, e);
    size_t middle = from + (to - from) / 2;
    r = send_range(d, events, from, middle, sunk, e);
    return r < 0 ? r : send_range(d, events, middle, to, sunk, e);
}

static size_t bytes_of(const struct ps_event *event)
{
    return event->path.len + event->user_agent.len + event->id.len + event->method.len;
}

int ps_sink_daemon_send(struct ps_sink_daemon *d, const struct ps_parcel *parcel,
                        struct ps_sunk *sunk, struct ps_err *e)
{
    int r = 0;
    for (size_t from = 0; r == 0 && from < parcel->count;) {
        size_t to = from, bytes = 0;
        while (to < parcel->count && to - from < BODY_EVENTS_MAX && bytes < BODY_BYTES_MAX)
            bytes += bytes_of(&parcel->events[to++]);
        r = send_range(d, parcel->events, from, to, sunk, e);
        from = to;
    }
    return r;
}

/* --- the statistics --- */

/* Of a line "NAME N" of /metrics; 0 when there is none. */
static uint64_t metric(struct ps_str text, const char *name)
{
    size_t len = strlen(name);
    uint64_t n = 0;
    const char *at = memmem(text.ptr, text.len, name, len), *end = text.ptr + text.len;
    if (at == NULL)
        return 0;
    for (at += len; at < end && *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    return n;
}

void ps_sink_daemon_settle(struct ps_sink_daemon *d)
{
    struct ps_clock *clock = ps_clock_system();
    int64_t until_us = ps_clock_monotonic_us(clock) + (int64_t)SETTLE_WAIT_MS * 1000;
    uint64_t position = 0, watermark = 0;
    long status = 0;
    do {
        ps_buf_clear(&d->answer);
        if (ps_client_ask(d->client, "GET", "/metrics", PS_STR_NONE, &d->answer, &status, NULL) < 0)
            return;
        struct ps_str text = ps_buf_str(&d->answer);
        if (position == 0) /* as of now: others may go on */
            position = metric(text, "\npathstats_aggregator_position ");
        watermark = metric(text, "\npathstats_aggregator_watermark ");
        if (watermark < position)
            ps_clock_sleep_ms(clock, BUSY_WAIT_MS);
    } while (watermark < position && ps_clock_monotonic_us(clock) < until_us);
}
