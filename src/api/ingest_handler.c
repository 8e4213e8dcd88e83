/* ingest_handler.c - POST /api/events.
 *
 * The body is decoded here and its events handed to the committer; the request is answered when
 * they are durable, not earlier (I3), and as many as there are share one sync.
 *
 *     server thread   decode, submit ... called again: not yet ... called again: answer
 *     committer                      append, sync, committed(): wake
 *
 * The request waits in place: the handler queues no answer, and libmicrohttpd calls it again in
 * each round. Suspending costs three system calls a request (out of epoll, in again, and a read in
 * vain), more than all rounds of so short a wait. The client may go away meanwhile; then who comes
 * last, the server's thread or committed(), frees the request (enum ps_progress).
 *
 * With ?wait=stored the answer also waits until the events are stored, and tells how many were new
 * (flow/receipts.h): the consumer's told() comes where committed() else does.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "wrap/gzip.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void write_rejections(struct ps_json *w, const struct ps_ingested *in)
{
    ps_json_open(w, '[');
    for (size_t i = 0; i < in->listed; i++) {
        const struct ps_rejection *rejection = &in->rejections[i];
        ps_json_open(w, '{');
        ps_json_key(w, "line");
        ps_json_uint(w, rejection->line);
        ps_json_key(w, "index");
        ps_json_uint(w, rejection->index);
        ps_json_key(w, "reason");
        ps_json_text(w, ps_reject_name(rejection->why));
        ps_json_key(w, "message");
        ps_json_text(w, ps_reject_text(rejection->why));
        ps_json_close(w, '}');
    }
    ps_json_close(w, ']');
}

static void write_ingested(struct ps_json *w, const struct ps_ingested *in)
{
    char message[128];
    ps_json_key(w, "accepted");
    ps_json_uint(w, in->accepted);
    ps_json_key(w, "rejected");
    ps_json_uint(w, in->rejected);
    ps_json_key(w, "rejections");
    write_rejections(w, in);
    ps_json_key(w, "warnings");
    ps_warnings_write(w, &in->warnings);
    if (!in->stopped)
        return;
    snprintf(message, sizeof message,
             "%d events were refused, and the rest of the body was not read: mend it and send it "
             "again",
             PS_INGEST_REFUSED_MAX);
    ps_json_key(w, "stopped");
    ps_json_bool(w, true);
    ps_json_key(w, "message");
    ps_json_text(w, message);
}

/* Of ?wait=stored: null when the store did not take them in time, or after a crash in between. */
static void write_stored(struct ps_json *w, const struct ps_request *rq)
{
    const struct ps_receipt *k = &rq->stored.receipt;
    ps_json_key(w, "stored");
    if (!rq->stored.known || k->fresh + k->duplicates + k->refused != rq->ingested.accepted) {
        ps_json_null(w);
        return;
    }
    ps_json_open(w, '{');
    ps_json_key(w, "new");
    ps_json_uint(w, k->fresh);
    ps_json_key(w, "duplicate");
    ps_json_uint(w, k->duplicates);
    ps_json_key(w, "refused");
    ps_json_uint(w, k->refused);
    ps_json_close(w, '}');
}

static void respond_ingested(struct ps_request *rq, unsigned status, const char *code,
                             const char *message)
{
    struct ps_json w = ps_respond_writer(rq);
    ps_json_open(&w, '{');
    if (code != NULL)
        ps_respond_put_error(&w, code, message);
    write_ingested(&w, &rq->ingested);
    if (rq->stored.wanted)
        write_stored(&w, rq);
    ps_json_close(&w, '}');
    ps_respond_json(rq, status);
}

static void respond_empty(struct ps_request *rq)
{
    ps_respond_error(rq, MHD_HTTP_BAD_REQUEST, "empty_body",
                     "the body is empty: send an event, an array of events, or one a line");
}

static void respond_nothing_accepted(struct ps_request *rq)
{
    if (rq->ingested.fatal)
        respond_ingested(rq, MHD_HTTP_BAD_REQUEST, "not_json",
                         "the array in the body is cut off or broken, so nothing of it was "
                         "accepted: send all of it again");
    else if (rq->ingested.rejected > 0)
        respond_ingested(rq, MHD_HTTP_BAD_REQUEST, "all_rejected",
                         "none of the events was accepted: see rejections");
    else if (rq->ingested.blank)
        respond_empty(rq);
    else
        ps_respond_accepted(rq, 0); /* an empty array */
}

/* The request is answered by the server's thread, at once. */
static void wake_answer(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    if (atomic_exchange(&rq->progress, PS_ANSWERED) == PS_ABANDONED)
        ps_request_free(rq);
    ps_api_wake(api);
    ps_api_end_wait(api);
}

/* On the committer's thread, or on ours when the submit failed. */
static void committed(void *ctx, int code, const char *text)
{
    struct ps_request *rq = ctx;
    rq->commit_code = code;
    if (code < 0)
        snprintf(rq->text, sizeof rq->text, "%s", text);
    if (code == 0 && rq->stored.wanted)
        rq->stored.durable = true; /* told() follows */
    else
        wake_answer(rq);
}

/* On the consumer's or the committer's thread. */
static void told(void *ctx, const struct ps_receipt *receipt)
{
    struct ps_request *rq = ctx;
    rq->stored.known = true;
    rq->stored.receipt = *receipt;
    wake_answer(rq);
}

static bool wants_receipt(struct ps_request *rq)
{
    const char *value = MHD_lookup_connection_value(rq->connection, MHD_GET_ARGUMENT_KIND, "wait");
    return rq->api->config.receipts != NULL && value != NULL && strcmp(value, "stored") == 0;
}

/* True: nobody will tell any more, and the request is the server thread's again. */
bool ps_stored_give_up(struct ps_request *rq)
{
    if (rq->progress != PS_SENT || !rq->stored.wanted || !rq->stored.durable ||
        !ps_receipts_give_up(rq->api->config.receipts, rq))
        return false;
    rq->progress = PS_ANSWERED;
    ps_api_end_wait(rq->api);
    return true;
}

/* Events that are durable and not stored yet for so long: the answer says no more than that. */
static bool waited_long(const struct ps_request *rq)
{
    return rq->stored.wanted &&
           ps_clock_monotonic_us(rq->api->config.clock) - rq->started_us >= PS_API_STORED_WAIT_US;
}

static void submit(struct ps_request *rq)
{
    struct ps_err e = {0};
    if (!ps_api_begin_wait(rq->api)) {
        ps_respond_code(rq, PS_ESTOP, "the server is about to stop: send the same to the next one");
        return;
    }
    rq->in_place = true;
    rq->api->in_place++;
    rq->progress = PS_SENT; /* before the submit: the answer may come before it returns */
    rq->stored.wanted = wants_receipt(rq);
    const struct ps_api_config *c = &rq->api->config;
    int r = rq->stored.wanted ? ps_commit_submit_for_receipt(c->commit, &rq->api->outbox,
                                                             c->receipts, committed, told, rq, &e)
                              : ps_commit_submit(c->commit, &rq->api->outbox, committed, rq, &e);
    if (r < 0)
        committed(rq, r, e.text);
}

static void respond_committed(struct ps_request *rq)
{
    const struct ps_ingested *in = &rq->ingested;
    if (rq->commit_code == PS_EIO) {
        ps_respond_not_durable(rq, rq->text);
        return;
    }
    if (rq->commit_code < 0) {
        ps_respond_failure(rq, rq->commit_code, rq->text);
        return;
    }
    atomic_fetch_add_explicit(&rq->api->counters.accepted, in->accepted, memory_order_relaxed);
    if (in->rejected == 0 && in->warnings.count == 0 && !rq->stored.wanted)
        ps_respond_accepted(rq, in->accepted);
    else
        respond_ingested(rq, MHD_HTTP_ACCEPTED, NULL, NULL);
}

static void reset_buffers(struct ps_api *api)
{
    if (api->inflated.cap > PS_API_KEEP_BYTES) {
        ps_buf_done(&api->inflated);
        ps_buf_init(&api->inflated, api->config.body_limit);
    }
    if (api->outbox.bytes.cap > PS_API_KEEP_BYTES) {
        ps_outbox_done(&api->outbox);
        ps_outbox_init(&api->outbox, PS_COMMIT_BYTES_MAX);
    }
}

/* Would an empty queue take it? Then "try later" makes sense. */
static bool can_fit(const struct ps_api *api)
{
    uint64_t overhead =
        PS_APPEND_OVERHEAD_MAX + (uint64_t)api->outbox.count * PS_RECORD_OVERHEAD_MAX;
    return api->outbox.bytes.len + overhead <= api->queue_bytes_max;
}

static void count_reasons(struct ps_api_counters *to, const struct ps_ingested *in)
{
    for (size_t i = 0; i < PS_REJECT_COUNT && in->rejected > 0; i++)
        atomic_fetch_add_explicit(&to->rejected[i], in->by_reason[i], memory_order_relaxed);
    for (size_t i = 0; i < in->warnings.count; i++)
        atomic_fetch_add_explicit(&to->rejected[in->warnings.list[i].why],
                                  in->warnings.list[i].count, memory_order_relaxed);
    if (in->warnings.unlisted > 0)
        atomic_fetch_add_explicit(&to->rejected[PS_REJECT_UNKNOWN_FIELD], in->warnings.unlisted,
                                  memory_order_relaxed);
}

static void ingest(struct ps_request *rq, struct ps_str body)
{
    struct ps_api *api = rq->api;
    ps_ingested_reset(&rq->ingested);
    ps_outbox_clear(&api->outbox);
    int r = ps_ingest_body(api->ingest, body.ptr, body.len, &api->outbox, &rq->ingested);
    if (r == PS_EFULL && rq->ingested.letters_full) {
        ps_respond_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "dead_letters_full", "%s",
                         PS_ADMISSION_TEXT);
        return;
    }
    if (r == PS_EFULL) {
        ps_respond_error(rq, MHD_HTTP_CONTENT_TOO_LARGE, "too_large",
                         "the events need more than %d bytes in the queue: send them in parts",
                         PS_COMMIT_BYTES_MAX);
        return;
    }
    if (r < 0) {
        ps_respond_failure(rq, r, "no memory to decode a body");
        return;
    }
    count_reasons(&api->counters, &rq->ingested);
    if (rq->ingested.accepted == 0)
        respond_nothing_accepted(rq);
    else if (!can_fit(api))
        ps_respond_error(rq, MHD_HTTP_CONTENT_TOO_LARGE, "too_large",
                         "the events need more than the queue can ever hold, %" PRIu64
                         " bytes (queue_max): send them in parts",
                         api->queue_bytes_max);
    else
        submit(rq);
}

static bool equals(struct ps_str s, const char *word)
{
    return strncasecmp(s.ptr, word, s.len) == 0 && word[s.len] == '\0';
}

static void ingest_gzip(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    ps_buf_clear(&api->inflated);
    int r = ps_gunzip_buffer(rq->body.ptr, rq->body.len, &api->inflated);
    if (r == PS_EFULL)
        ps_respond_error(rq, MHD_HTTP_CONTENT_TOO_LARGE, "too_large",
                         "the body inflates to more than %zu bytes (body_limit): send it in parts",
                         api->config.body_limit);
    else if (r == PS_ENOMEM)
        ps_respond_failure(rq, r, "no memory to inflate a body");
    else if (r < 0)
        ps_respond_error(rq, MHD_HTTP_BAD_REQUEST, "bad_gzip",
                         "the body says gzip and is not, or it ends early");
    else if (api->inflated.len == 0)
        respond_empty(rq);
    else
        ingest(rq, ps_buf_str(&api->inflated));
}

void ps_handle_events(struct ps_request *rq)
{
    struct ps_str encoding = ps_request_header(rq, MHD_HTTP_HEADER_CONTENT_ENCODING);
    switch (rq->progress) {
    case PS_SENT: /* not yet; see `progressed` */
        if (!waited_long(rq) || !ps_stored_give_up(rq))
            return;
        /* fall through */
    case PS_ANSWERED:
        ps_request_leave_place(rq);
        respond_committed(rq);
        return;
    default: break;
    }
    if (rq->body.len == 0)
        respond_empty(rq);
    else if (encoding.ptr == NULL || equals(encoding, "identity"))
        ingest(rq, ps_buf_str(&rq->body));
    else if (equals(encoding, "gzip") || equals(encoding, "x-gzip"))
        ingest_gzip(rq);
    else
        ps_respond_error(rq, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "encoding_unsupported",
                         "Content-Encoding may be gzip or identity");
    reset_buffers(rq->api);
}
