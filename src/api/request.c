/* request.c - one request from its headers to the end of its answer, as libmicrohttpd calls us.
 *
 * libmicrohttpd calls the handler once with the headers, once for each piece of the body, and once
 * at the end; there the route answers. A request that is refused by its headers still has its body
 * read and thrown away, up to a limit: a client in the middle of sending would otherwise see a
 * reset connection and not the answer. One that asked with "Expect: 100-continue" is told at once.
 *
 * Request objects are pooled with their body buffers, so a busy server does not allocate. The sum
 * of all large bodies being received is bounded (I8), and each may take a share of what is left:
 * past it a request is refused with 503. Small ones are bounded by the number of connections, so
 * that a few large ones do not keep them out.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/guard.h"
#include "api/head.h"
#include "api/readers.h"
#include "api/respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ps_str ps_request_header(struct ps_request *rq, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(rq->connection, MHD_HEADER_KIND, name, strlen(name), &value,
                                      &len) != MHD_YES)
        return PS_STR_NONE;
    return (struct ps_str){value, len};
}

int ps_request_number(struct ps_request *rq, const char *name, size_t max, size_t *ret)
{
    const char *text = NULL;
    size_t len = 0, value = 0;
    if (MHD_lookup_connection_value_n(rq->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                      &text, &len) != MHD_YES)
        return 0;
    for (size_t i = 0; i < len && value <= max; i++) {
        if (text[i] < '0' || text[i] > '9')
            return PS_EINVAL;
        value = value * 10 + (size_t)(text[i] - '0');
    }
    if (value < 1 || value > max)
        return PS_EINVAL;
    *ret = value;
    return 1;
}

/* What of a body counts against the limit of all: a small one always finds room. */
static size_t large_bytes(const struct ps_buf *body)
{
    return body->cap > PS_API_SMALL_BODY ? body->cap : 0;
}

static struct ps_request *take_request(struct ps_api *api)
{
    struct ps_request *rq = api->pool;
    if (rq != NULL) {
        api->pool = rq->next;
        api->pooled--;
        api->bodies_bytes += large_bytes(&rq->body);
        return rq;
    }
    rq = calloc(1, sizeof *rq);
    if (rq == NULL)
        return NULL;
    rq->api = api;
    rq->answer = &api->answer;
    ps_buf_init(&rq->body, api->config.body_limit);
    ps_buf_init(&rq->order_text, PS_API_ORDER_TEXT_MAX);
    return rq;
}

void ps_request_free(struct ps_request *rq)
{
    ps_buf_done(&rq->body);
    ps_buf_done(&rq->order_text);
    free(rq);
}

static void give_request(struct ps_api *api, struct ps_request *rq)
{
    api->bodies_bytes -= large_bytes(&rq->body);
    if (api->pooled == PS_API_POOL_MAX || rq->body.cap > PS_API_KEEP_BYTES ||
        rq->order_text.cap > PS_API_KEEP_BYTES) {
        ps_request_free(rq);
        return;
    }
    rq->next = api->pool;
    api->pool = rq;
    api->pooled++;
}

void ps_request_leave_place(struct ps_request *rq)
{
    rq->api->in_place -= rq->in_place;
    rq->in_place = false;
}

void ps_request_pool_done(struct ps_api *api)
{
    while (api->pool != NULL) {
        struct ps_request *rq = api->pool;
        api->pool = rq->next;
        ps_request_free(rq);
    }
}

__attribute__((format(printf, 4, 5))) static void refuse(struct ps_request *rq, unsigned status,
                                                         const char *code, const char *format, ...)
{
    va_list args;
    if (rq->refused != 0)
        return;
    va_start(args, format);
    vsnprintf(rq->text, sizeof rq->text, format, args);
    va_end(args);
    rq->refused = status;
    rq->refusal = code;
}

static void refuse_too_large(struct ps_request *rq)
{
    refuse(rq, MHD_HTTP_CONTENT_TOO_LARGE, "too_large",
           "the body is larger than %zu bytes (body_limit): send it in parts",
           rq->api->config.body_limit);
}

static void check_headers(struct ps_request *rq, const char *method, struct ps_str host)
{
    bool path_known;
    struct ps_str origin = ps_request_header(rq, MHD_HTTP_HEADER_ORIGIN);
    if (!ps_guard_host(host)) {
        refuse(rq, MHD_HTTP_FORBIDDEN, "host_denied",
               "this server answers only to localhost, 127.0.0.1 and [::1]: the request names "
               "another host; behind a proxy, let it send Host: localhost");
        return;
    }
    if (origin.ptr != NULL && !ps_guard_origin(origin)) {
        refuse(rq, MHD_HTTP_FORBIDDEN, "origin_denied",
               "pages of other origins may not use this server");
        return;
    }
    rq->route = ps_routes_find(method, rq->path, &path_known);
    if (rq->route == NULL && path_known)
        refuse(rq, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed",
               "not with this method: see the Allow header");
    else if (rq->route == NULL)
        refuse(rq, MHD_HTTP_NOT_FOUND, "not_found", "there is nothing under this path");
    else if (rq->route->takes_body && rq->announced > rq->api->config.body_limit)
        refuse_too_large(rq);
}

static void respond_refused(struct ps_request *rq)
{
    ps_respond_error(rq, rq->refused, rq->refusal, "%s", rq->text);
}

static struct ps_request *begin_request(struct ps_api *api, struct MHD_Connection *connection,
                                        const char *method)
{
    struct ps_conn *conn = ps_conn_of(connection);
    struct ps_request *rq = conn == NULL ? NULL : take_request(api);
    if (rq == NULL)
        return NULL;
    ps_conn_enter(conn, PS_CONN_BODY);
    rq->conn = conn;
    rq->connection = connection;
    rq->route = NULL;
    rq->head = strcmp(method, "HEAD") == 0;
    rq->started_us = ps_clock_monotonic_us(api->config.clock);
    rq->status = rq->refused = 0;
    rq->closes = false;
    rq->announced = rq->drained = rq->answer_bytes = 0;
    rq->progress = PS_NOT_SENT;
    rq->stored.wanted = rq->stored.known = rq->stored.durable = false;
    ps_buf_clear(&rq->body);
    ps_buf_clear(&rq->order_text);
    pthread_mutex_lock(&api->lock);
    api->requests++;
    pthread_mutex_unlock(&api->lock);
    return rq;
}

/* A head that can be read in two ways is answered in this very call: libmicrohttpd then reads
 * nothing more from the connection, so nothing behind it is taken for a request. */
static enum MHD_Result take_headers(struct ps_request *rq, const char *method, const char *url,
                                    const char *version)
{
    struct ps_head head;
    const char *wrong =
        ps_head_check(rq->connection, method, url, version, &rq->conn->target, &head);
    rq->path = url;
    if (wrong != NULL) {
        refuse(rq, MHD_HTTP_BAD_REQUEST, "bad_request", "%s", wrong);
    } else {
        rq->path = head.path;
        rq->closes = head.chunked;
        rq->announced = head.length.ptr == NULL ? 0 : strtoull(head.length.ptr, NULL, 10);
        check_headers(rq, method, head.authority);
    }
    if (rq->refused == 0)
        return MHD_YES;
    if (wrong != NULL || rq->announced > PS_API_DRAIN_MAX ||
        ps_request_header(rq, MHD_HTTP_HEADER_EXPECT).ptr != NULL) {
        respond_refused(rq);
        return rq->status != 0 ? MHD_YES : MHD_NO;
    }
    return MHD_YES;
}

/* A large body may take a part of what others left, so that the largest cannot take it all. */
static bool takes_too_much(const struct ps_request *rq)
{
    size_t own = large_bytes(&rq->body), others = rq->api->bodies_bytes - own;
    size_t max = rq->api->config.bodies_max, left = others < max ? max - others : 0;
    return own > 0 && others > 0 && own > left / PS_API_BODY_SHARE;
}

static enum MHD_Result take_piece(struct ps_request *rq, const char *bytes, size_t len)
{
    struct ps_api *api = rq->api;
    ps_conn_add(rq->conn, len);
    if (rq->refused == 0 && rq->route->takes_body) {
        size_t before = large_bytes(&rq->body);
        int r = ps_buf_append(&rq->body, bytes, len);
        api->bodies_bytes += large_bytes(&rq->body) - before;
        if (r == PS_EFULL)
            refuse_too_large(rq);
        else if (r < 0 || takes_too_much(rq))
            refuse(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
                   "too many large bodies at once: send the same again later");
        if (rq->refused == 0)
            return MHD_YES;
        api->bodies_bytes -= large_bytes(&rq->body);
        ps_buf_done(&rq->body);
        ps_buf_init(&rq->body, api->config.body_limit);
    }
    rq->drained += len;
    return rq->drained <= PS_API_DRAIN_MAX ? MHD_YES : MHD_NO;
}

enum MHD_Result ps_request_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **req_cls)
{
    struct ps_request *rq = *req_cls;
    struct ps_api *api = cls;
    if (rq == NULL || rq->progress != PS_SENT)
        api->progressed = true;
    if (rq == NULL) {
        rq = begin_request(cls, connection, method);
        if (rq == NULL)
            return MHD_NO;
        *req_cls = rq;
        return take_headers(rq, method, url, version);
    }
    if (*upload_data_size > 0) {
        size_t len = *upload_data_size;
        *upload_data_size = 0;
        return take_piece(rq, upload_data, len);
    }
    if (rq->conn->phase == PS_CONN_BODY)
        ps_conn_enter(rq->conn, PS_CONN_WORK);
    if (rq->refused != 0)
        respond_refused(rq);
    else if (!rq->route->reads)
        rq->route->handle(rq);
    else if (rq->progress == PS_ANSWERED)
        return ps_respond_kept(rq) ? MHD_YES : MHD_NO;
    else
        ps_readers_ask(api->readers, rq);
    return MHD_YES;
}

void ps_request_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
                          enum MHD_RequestTerminationCode why)
{
    struct ps_api *api = cls;
    struct ps_request *rq = *req_cls;
    (void)connection;
    if (rq == NULL)
        return;
    ps_conn_enter(rq->conn, PS_CONN_QUIET);
    if (why == MHD_REQUEST_TERMINATED_COMPLETED_OK && rq->route != NULL && rq->route->recorded &&
        api->config.record_self)
        ps_api_record(rq);
    if (rq->kept != NULL)
        MHD_destroy_response(rq->kept); /* gone before it was sent */
    rq->kept = NULL;
    ps_request_leave_place(rq); /* gone before its answer */
    ps_stored_give_up(rq);
    size_t body_bytes = large_bytes(&rq->body);
    if (atomic_exchange(&rq->progress, PS_ABANDONED) == PS_SENT)
        api->bodies_bytes -= body_bytes; /* the committer has the request, and frees it */
    else
        give_request(api, rq);
    *req_cls = NULL;
    pthread_mutex_lock(&api->lock);
    api->requests--;
    if (api->requests == 0)
        pthread_cond_broadcast(&api->changed);
    pthread_mutex_unlock(&api->lock);
}
