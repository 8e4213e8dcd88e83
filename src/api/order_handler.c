/* order_handler.c - what an administrator orders: POST /admin/snapshot/refresh, archive/trigger,
 * dead-letters/replay and dead-letters/purge.
 *
 * The work belongs to the thread that runs the jobs. The connection is suspended meanwhile and
 * answered from done(), as ingest_handler.c does with the committer:
 *
 *     server thread   suspend, order .............................. resumed: answer
 *     jobs' thread                     work, done(): keep the text, resume
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "base/time.h"
#include "core/json_walk.h"

#include <stdio.h>
#include <string.h>

/* On the jobs' thread, or on ours when the order was not taken. */
static void done(void *ctx, int code, const char *text)
{
    struct ps_request *rq = ctx;
    struct ps_api *api = rq->api;
    rq->commit_code = code;
    if (code < 0)
        snprintf(rq->text, sizeof rq->text, "%s", text);
    else
        ps_buf_text(&rq->order_text, text);
    rq->progress = PS_ANSWERED;
    ps_api_resume(rq);
    ps_api_end_wait(api);
}

static void respond_done(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    if (rq->commit_code < 0) {
        ps_respond_code(rq, rq->commit_code, rq->text);
        return;
    }
    ps_buf_clear(&api->answer);
    if (rq->order_text.failed != 0)
        ps_respond_failure(rq, rq->order_text.failed, "the answer to an order does not fit");
    else if (ps_buf_append(&api->answer, rq->order_text.ptr, rq->order_text.len) < 0)
        ps_respond_failure(rq, api->answer.failed, "no memory for an answer");
    else
        ps_respond_json(rq, MHD_HTTP_OK);
}

/* False: answered, the server closes. Suspended before the order: the answer may come before the
 * order returns. */
static bool suspend(struct ps_request *rq)
{
    if (!ps_api_begin_wait(rq->api)) {
        ps_respond_code(rq, PS_ESTOP, "the server is about to stop");
        return false;
    }
    MHD_suspend_connection(rq->connection);
    return true;
}

void ps_handle_snapshot_refresh(struct ps_request *rq)
{
    const struct ps_api_orders *orders = rq->api->config.orders;
    struct ps_err e = {0};
    if (rq->progress == PS_ANSWERED) {
        respond_done(rq);
    } else if (orders == NULL || orders->snapshot == NULL) {
        ps_respond_not_here(rq, "jobs: use pathstats snapshot refresh");
    } else if (suspend(rq)) {
        int r = orders->snapshot(orders->ctx, done, rq, &e);
        if (r < 0)
            done(rq, r, e.text);
    }
}

/* --- archive --- */

static int take_date(struct ps_str body, int32_t *ret_day, struct ps_err *e)
{
    char scratch[PS_API_ORDER_BODY_MAX];
    struct ps_json_walk walk;
    struct ps_str name, text, date = PS_STR_NONE;
    enum ps_json_kind kind;
    int r;
    if (body.len == 0 || body.len > sizeof scratch)
        return ps_fail(e, PS_EINVAL, "send {\"date\":\"YYYY-MM-DD\"}, the day to archive (UTC)");
    ps_json_walk_init(&walk, body, scratch);
    while ((r = ps_json_walk_next(&walk, &name, &kind, &text)) == 1) {
        if (!ps_str_equal(name, PS_STR("date")))
            return ps_fail(e, PS_EINVAL, "there is only \"date\" to say, and once");
        if (kind != PS_JSON_STRING || date.ptr != NULL)
            return ps_fail(e, PS_EINVAL, "\"date\" is one string, \"YYYY-MM-DD\"");
        date = text;
    }
    if (r < 0 || !ps_json_walk_is_all(&walk))
        return ps_fail(e, PS_EINVAL, "the body is not valid JSON, or not one object");
    if (date.ptr == NULL)
        return ps_fail(e, PS_EINVAL, "\"date\" is missing: which day?");
    if (!ps_time_parse_date(date.ptr, date.len, ret_day))
        return ps_fail(e, PS_EINVAL, "\"date\" is not a day like 2025-10-12");
    return 0;
}

void ps_handle_archive_trigger(struct ps_request *rq)
{
    const struct ps_api_orders *orders = rq->api->config.orders;
    struct ps_err e = {0};
    int32_t day;
    if (rq->progress == PS_ANSWERED) {
        respond_done(rq);
        return;
    }
    int r = take_date(ps_buf_str(&rq->body), &day, &e);
    if (orders == NULL || orders->archive == NULL) {
        ps_respond_not_here(rq, "jobs: use pathstats archive run");
    } else if (r < 0) {
        ps_respond_code(rq, r, e.text);
    } else if (suspend(rq)) {
        r = orders->archive(orders->ctx, day, done, rq, &e);
        if (r < 0)
            done(rq, r, e.text);
    }
}

/* --- dead letters --- */

void ps_handle_replay(struct ps_request *rq)
{
    const struct ps_api_orders *orders = rq->api->config.orders;
    struct ps_err e = {0};
    if (rq->progress == PS_ANSWERED) {
        respond_done(rq);
    } else if (orders == NULL || orders->replay == NULL) {
        ps_respond_not_here(rq, "dead letters: use pathstats dead-letters replay");
    } else if (suspend(rq)) {
        int r = orders->replay(orders->ctx, done, rq, &e);
        if (r < 0)
            done(rq, r, e.text);
    }
}

static int take_purge_member(struct ps_str name, enum ps_json_kind kind, struct ps_str text,
                             struct ps_letter_filter *f, bool *all, struct ps_err *e)
{
    int32_t day;
    if (ps_str_equal(name, PS_STR("all")) && kind == PS_JSON_TRUE) {
        *all = true;
    } else if (ps_str_equal(name, PS_STR("reason")) && kind == PS_JSON_STRING) {
        f->why = ps_reject_find(text.ptr, text.len);
        if (f->why == PS_REJECT_NONE)
            return ps_fail(e, PS_EINVAL, "\"reason\": no dead letter has the reason \"%.*s\"",
                           (int)(text.len < 40 ? text.len : 40), text.ptr);
    } else if (ps_str_equal(name, PS_STR("before")) && kind == PS_JSON_STRING) {
        if (!ps_time_parse_date(text.ptr, text.len, &day))
            return ps_fail(e, PS_EINVAL, "\"before\" is not a day like 2025-10-12");
        f->before_ms = day * PS_MS_PER_DAY;
    } else {
        return ps_fail(e, PS_EINVAL,
                       "an order to purge has \"reason\", \"before\", or \"all\":true");
    }
    return 0;
}

/* Nothing is purged by an empty or a mistaken body. */
static int take_filter(struct ps_str body, struct ps_letter_filter *ret, struct ps_err *e)
{
    static const char usage[] = "send {\"reason\":\"closed_day\"}, {\"before\":\"YYYY-MM-DD\"}, "
                                "both, or {\"all\":true}";
    char scratch[PS_API_ORDER_BODY_MAX];
    struct ps_json_walk walk;
    struct ps_str name, text;
    enum ps_json_kind kind;
    struct ps_letter_filter f = {PS_REJECT_NONE, INT64_MAX};
    bool all = false;
    int r;
    if (body.len == 0 || body.len > sizeof scratch)
        return ps_fail(e, PS_EINVAL, "%s", usage);
    ps_json_walk_init(&walk, body, scratch);
    while ((r = ps_json_walk_next(&walk, &name, &kind, &text)) == 1) {
        r = take_purge_member(name, kind, text, &f, &all, e);
        if (r < 0)
            return r;
    }
    if (r < 0 || !ps_json_walk_is_all(&walk))
        return ps_fail(e, PS_EINVAL, "the body is not valid JSON, or not one object");
    if (all == (f.why != PS_REJECT_NONE || f.before_ms != INT64_MAX))
        return ps_fail(e, PS_EINVAL, "%s", usage);
    *ret = f;
    return 0;
}

void ps_handle_purge(struct ps_request *rq)
{
    const struct ps_api_orders *orders = rq->api->config.orders;
    struct ps_letter_filter filter;
    struct ps_err e = {0};
    if (rq->progress == PS_ANSWERED) {
        respond_done(rq);
        return;
    }
    int r = take_filter(ps_buf_str(&rq->body), &filter, &e);
    if (orders == NULL || orders->purge == NULL) {
        ps_respond_not_here(rq, "dead letters: use pathstats dead-letters purge");
    } else if (r < 0) {
        ps_respond_code(rq, r, e.text);
    } else if (suspend(rq)) {
        r = orders->purge(orders->ctx, &filter, done, rq, &e);
        if (r < 0)
            done(rq, r, e.text);
    }
}
