/* life_handler.c - what became of days and jobs, and how full it is: GET /admin/archives, jobs and
 * capacity.
 *
 * These run on a reader's thread, with its handles.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "base/time.h"

static void put_time(struct ps_json *w, const char *key, int64_t ms)
{
    char text[PS_ISO_LEN + 1];
    ps_time_format_iso(text, ms);
    ps_json_key(w, key);
    ms > 0 ? ps_json_text(w, text) : ps_json_null(w);
}

/* null while there is no archive to speak of. */
static void put_size(struct ps_json *w, const char *key, bool archived, int64_t value)
{
    ps_json_key(w, key);
    archived ? ps_json_int(w, value) : ps_json_null(w);
}

static int write_day(void *ctx, const struct ps_day *day)
{
    struct ps_json *w = ctx;
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day->day);
    ps_json_open(w, '{');
    ps_json_key(w, "date");
    ps_json_text(w, date);
    ps_json_key(w, "status");
    ps_json_text(w, ps_day_state_name(day->state));
    ps_json_key(w, "stored");
    ps_json_bool(w, day->stored);
    ps_json_key(w, "object");
    ps_json_str(w, day->object);
    put_size(w, "events", day->object.ptr != NULL, day->record_count);
    put_size(w, "objectBytes", day->object.ptr != NULL, day->file_size_bytes);
    put_time(w, "archivedAt", day->archived_at_ms);
    ps_json_key(w, "sha256");
    ps_json_str(w, day->sha256);
    ps_json_key(w, "error");
    ps_json_str(w, day->error);
    ps_json_close(w, '}');
    return w->out->failed;
}

static struct ps_json open_list(struct ps_request *rq, const char *name)
{
    struct ps_json w = ps_respond_writer(rq);
    ps_json_open(&w, '{');
    ps_json_key(&w, name);
    ps_json_open(&w, '[');
    return w;
}

static void respond_list(struct ps_request *rq, struct ps_json *w, int r, const char *text)
{
    if (r < 0) {
        ps_respond_code(rq, r, text);
        return;
    }
    ps_json_close(w, ']');
    ps_json_close(w, '}');
    ps_respond_json(rq, MHD_HTTP_OK);
}

void ps_handle_archives(struct ps_request *rq)
{
    struct ps_err e = {0};
    if (rq->reader->store == NULL) {
        ps_respond_not_here(rq, "store");
        return;
    }
    struct ps_json w = open_list(rq, "archives");
    respond_list(rq, &w, ps_store_days(rq->reader->store, write_day, &w, &e), e.text);
}

static int write_run(void *ctx, const struct ps_run *run)
{
    struct ps_json *w = ctx;
    ps_json_open(w, '{');
    ps_json_key(w, "id");
    ps_json_int(w, run->id);
    ps_json_key(w, "job");
    ps_json_str(w, run->job);
    put_time(w, "scheduledAt", run->scheduled_ms);
    put_time(w, "startedAt", run->started_ms);
    put_time(w, "finishedAt", run->finished_ms);
    ps_json_key(w, "outcome");
    ps_json_str(w, run->outcome);
    ps_json_key(w, "detail");
    ps_json_str(w, run->detail);
    ps_json_close(w, '}');
    return w->out->failed;
}

void ps_handle_jobs(struct ps_request *rq)
{
    struct ps_err e = {0};
    size_t limit = PS_API_JOBS_DEFAULT;
    if (rq->reader->ledger == NULL) {
        ps_respond_not_here(rq, "ledger");
        return;
    }
    if (ps_request_number(rq, "limit", PS_API_JOBS_MAX, &limit) < 0) {
        ps_respond_error(rq, MHD_HTTP_BAD_REQUEST, "invalid", "limit: a number from 1 to %d",
                         PS_API_JOBS_MAX);
        return;
    }
    struct ps_json w = open_list(rq, "jobs");
    int r = ps_ledger_runs(rq->reader->ledger, PS_STR_NONE, limit, write_run, &w, &e);
    respond_list(rq, &w, r, e.text);
}

void ps_handle_capacity(struct ps_request *rq)
{
    const struct ps_api_reading *reading = rq->api->config.reading;
    struct ps_err e = {0};
    if (reading == NULL || reading->capacity == NULL) {
        ps_respond_not_here(rq, "measure of its size: use pathstats capacity");
        return;
    }
    ps_respond_writer(rq);
    int r = reading->capacity(reading->ctx, rq->reader, rq->answer, &e);
    if (r < 0)
        ps_respond_code(rq, r, e.text);
    else
        ps_respond_json(rq, MHD_HTTP_OK);
}
