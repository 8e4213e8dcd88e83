/* respond.c - see respond.h.
 *
 * Most answers of a busy server say that n events were accepted and nothing else. Those responses
 * are kept, by n, and sent again: libmicrohttpd counts references. A kept one must not change,
 * which is why an answer that says "Connection: close" is made anew.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LOG_EVERY_US = 1000 * 1000, TAG_MAX = 64 };

static const char json_type[] = "application/json", never_kept[] = "no-store";

/* A body in chunks ends the connection: what libmicrohttpd takes for the end of one (a bare LF, an
 * extension) a proxy may not, and nothing may hide behind the difference. */
static bool is_last(struct ps_request *rq)
{
    return rq->closes || atomic_load(&rq->api->draining);
}

static struct MHD_Response *make_response(struct ps_request *rq, const char *content_type,
                                          const char *cache_control)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(rq->answer->len, rq->answer->ptr, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return NULL;
    rq->answer_bytes = rq->answer->len;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache_control);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (is_last(rq))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    return response;
}

static void queue_response(struct ps_request *rq, unsigned status, struct MHD_Response *response)
{
    /* Without an answer libmicrohttpd closes the connection, and that is all we can do here. */
    if (response == NULL || MHD_queue_response(rq->connection, status, response) != MHD_YES)
        return;
    rq->status = status;
    ps_conn_enter(rq->conn, PS_CONN_ANSWER);
    ps_conn_add(rq->conn, rq->answer_bytes);
    unsigned class = status / 100;
    if (class < PS_API_CODE_CLASSES)
        atomic_fetch_add_explicit(&rq->api->counters.requests[class], 1, memory_order_relaxed);
}

/* A reader's answer is kept for the server's thread. */
static void take_response(struct ps_request *rq, unsigned status, struct MHD_Response *response)
{
    if (rq->reader != NULL) {
        rq->kept = response;
        rq->kept_status = status;
        return;
    }
    queue_response(rq, status, response);
    if (response != NULL)
        MHD_destroy_response(response);
}

bool ps_respond_kept(struct ps_request *rq)
{
    struct MHD_Response *response = rq->kept;
    rq->kept = NULL;
    take_response(rq, rq->kept_status, response);
    return response != NULL;
}

struct ps_json ps_respond_writer(struct ps_request *rq)
{
    struct ps_json w;
    ps_buf_clear(rq->answer);
    ps_json_init(&w, rq->answer);
    return w;
}

static void shrink(struct ps_buf *answer)
{
    if (answer->cap > PS_API_KEEP_BYTES) {
        ps_buf_done(answer);
        ps_buf_init(answer, PS_API_ANSWER_MAX);
    }
}

static void send_answer(struct ps_request *rq, unsigned status, const char *content_type,
                        const char *extra_name, const char *extra_value)
{
    struct MHD_Response *response = make_response(rq, content_type, never_kept);
    if (response != NULL && extra_name != NULL)
        MHD_add_response_header(response, extra_name, extra_value);
    take_response(rq, status, response);
    shrink(rq->answer);
}

void ps_respond_body(struct ps_request *rq, unsigned status, const char *content_type)
{
    if (rq->answer->failed != 0) {
        ps_respond_failure(rq, PS_ENOMEM, "the answer does not fit in memory");
        return;
    }
    send_answer(rq, status, content_type, NULL, NULL);
}

void ps_respond_json(struct ps_request *rq, unsigned status)
{
    ps_respond_body(rq, status, json_type);
}

bool ps_respond_is_known(struct ps_request *rq, const char *tag)
{
    struct ps_str left = ps_request_header(rq, MHD_HTTP_HEADER_IF_NONE_MATCH);
    const char *at = left.ptr, *end = at + left.len;
    size_t len = strlen(tag);
    if (left.ptr == NULL)
        return false;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        const char *next = comma ? comma + 1 : end;
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        if (stop - at == 1 && *at == '*')
            return true;
        if (stop - at > 2 && memcmp(at, "W/", 2) == 0)
            at += 2;
        if ((size_t)(stop - at) == len + 2 && *at == '"' && stop[-1] == '"' &&
            memcmp(at + 1, tag, len) == 0)
            return true;
        at = next;
    }
    return false;
}

void ps_respond_tagged(struct ps_request *rq, const char *tag)
{
    char value[TAG_MAX];
    unsigned status = MHD_HTTP_OK;
    if (ps_respond_is_known(rq, tag)) {
        ps_buf_clear(rq->answer);
        status = MHD_HTTP_NOT_MODIFIED;
    } else if (rq->answer->failed != 0) {
        ps_respond_failure(rq, PS_ENOMEM, "the answer does not fit in memory");
        return;
    }
    snprintf(value, sizeof value, "\"%s\"", tag);
    struct MHD_Response *response = make_response(rq, json_type, "no-cache");
    if (response != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, value);
    take_response(rq, status, response);
    shrink(rq->answer);
}

static void write_accepted(struct ps_request *rq, size_t count)
{
    struct ps_json w = ps_respond_writer(rq);
    ps_json_open(&w, '{');
    ps_json_key(&w, "accepted");
    ps_json_uint(&w, count);
    ps_json_key(&w, "rejected");
    ps_json_uint(&w, 0);
    ps_json_key(&w, "rejections");
    ps_json_open(&w, '[');
    ps_json_close(&w, ']');
    ps_json_key(&w, "warnings");
    ps_json_open(&w, '[');
    ps_json_close(&w, ']');
    ps_json_close(&w, '}');
}

void ps_respond_accepted(struct ps_request *rq, size_t count)
{
    struct ps_api *api = rq->api;
    if (is_last(rq)) {
        write_accepted(rq, count);
        ps_respond_json(rq, MHD_HTTP_ACCEPTED);
        return;
    }
    size_t slot = count % PS_API_ACCEPTED_CACHED;
    if (api->accepted[slot].response == NULL || api->accepted[slot].count != count) {
        if (api->accepted[slot].response != NULL)
            MHD_destroy_response(api->accepted[slot].response);
        write_accepted(rq, count);
        api->accepted[slot].response = make_response(rq, json_type, never_kept);
        api->accepted[slot].count = count;
    }
    queue_response(rq, MHD_HTTP_ACCEPTED, api->accepted[slot].response);
}

void ps_respond_cache_done(struct ps_api *api)
{
    for (size_t i = 0; i < PS_API_ACCEPTED_CACHED; i++)
        if (api->accepted[i].response != NULL)
            MHD_destroy_response(api->accepted[i].response);
}

void ps_respond_put_error(struct ps_json *w, const char *code, const char *message)
{
    ps_json_key(w, "error");
    ps_json_open(w, '{');
    ps_json_key(w, "code");
    ps_json_text(w, code);
    ps_json_key(w, "message");
    ps_json_text(w, message);
    ps_json_close(w, '}');
}

void ps_respond_error(struct ps_request *rq, unsigned status, const char *code, const char *format,
                      ...)
{
    char message[PS_ERR_TEXT_MAX], value[PS_ALLOW_MAX];
    const char *name = NULL;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        name = MHD_HTTP_HEADER_ALLOW;
        ps_routes_allow(rq->path, value);
    } else if (status == MHD_HTTP_SERVICE_UNAVAILABLE) {
        name = MHD_HTTP_HEADER_RETRY_AFTER;
        snprintf(value, sizeof value, "%d", PS_API_RETRY_AFTER_S);
    }
    struct ps_json w = ps_respond_writer(rq);
    ps_json_open(&w, '{');
    ps_respond_put_error(&w, code, message);
    ps_json_close(&w, '}');
    send_answer(rq, status, json_type, name, value);
}

/* A disk that fails, fails every request: one line a second tells as much as fifty thousand. */
static void log_failure(struct ps_request *rq, const char *text)
{
    struct ps_api *api = rq->api;
    int64_t now_us = ps_clock_monotonic_us(api->config.clock);
    pthread_mutex_lock(&api->lock);
    bool is_due =
        api->failure_logged_us == INT64_MIN || now_us - api->failure_logged_us >= LOG_EVERY_US;
    uint64_t unlogged = api->failures_unlogged;
    api->failures_unlogged = is_due ? 0 : unlogged + 1;
    if (is_due)
        api->failure_logged_us = now_us;
    pthread_mutex_unlock(&api->lock);
    if (!is_due)
        return;
    if (unlogged > 0)
        ps_log(PS_LOG_ERROR, "%llu more request%s failed meanwhile", (unsigned long long)unlogged,
               unlogged == 1 ? "" : "s");
    ps_log(PS_LOG_ERROR, "%s: %s", rq->path, text);
}

void ps_respond_failure(struct ps_request *rq, int code, const char *text)
{
    if (code == PS_EFULL || code == PS_EBUSY) {
        ps_respond_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "queue_full",
                         "the queue in %s is full; nothing was taken: send the same again later",
                         rq->api->config.data_dir);
        return;
    }
    log_failure(rq, text);
    ps_respond_error(rq, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal",
                     "the server failed; its log says why");
}

void ps_respond_not_durable(struct ps_request *rq, const char *text)
{
    log_failure(rq, text);
    ps_respond_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "not_durable",
                     "the disk failed; the events are not acknowledged: send the same again later");
}

void ps_respond_code(struct ps_request *rq, int code, const char *text)
{
    switch (code) {
    case PS_EINVAL: ps_respond_error(rq, MHD_HTTP_BAD_REQUEST, "invalid", "%s", text); return;
    case PS_ENOENT: ps_respond_error(rq, MHD_HTTP_NOT_FOUND, "not_found", "%s", text); return;
    case PS_EEXIST: ps_respond_error(rq, MHD_HTTP_CONFLICT, "conflict", "%s", text); return;
    case PS_EBUSY:
    case PS_EFULL:
    case PS_ESTOP: ps_respond_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", "%s", text); return;
    default: ps_respond_failure(rq, code, text); return;
    }
}

void ps_respond_not_here(struct ps_request *rq, const char *what)
{
    ps_respond_error(rq, MHD_HTTP_NOT_IMPLEMENTED, "not_here", "this process has no %s", what);
}
