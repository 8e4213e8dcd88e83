/* respond.h - the ways to answer a request. Each request is answered once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_RESPOND_H
#define PS_API_RESPOND_H

#include "api/server.h"
#include "base/json.h"

/* The JSON writer of the thread's one answer buffer, rq->answer, emptied. */
struct ps_json ps_respond_writer(struct ps_request *rq);
/* What was written to rq->answer. */
void ps_respond_json(struct ps_request *rq, unsigned status);
void ps_respond_body(struct ps_request *rq, unsigned status, const char *content_type);
/* What was written to rq->answer, as JSON a client may keep and must ask about: `tag` without its
 * quotes is the ETag. 304 without a body when the request names it. */
void ps_respond_tagged(struct ps_request *rq, const char *tag);
/* Does If-None-Match name the tag? Then ps_respond_tagged needs no answer written. */
bool ps_respond_is_known(struct ps_request *rq, const char *tag);
/* {"accepted":n,"rejected":0,"rejections":[],"warnings":[]}, made once. */
void ps_respond_accepted(struct ps_request *rq, size_t count);
/* {"error":{...}}; with Allow for 405 and Retry-After for 503. */
void ps_respond_error(struct ps_request *rq, unsigned status, const char *code, const char *format,
                      ...) __attribute__((format(printf, 4, 5)));
/* Writes the "error" member into an object that is open. */
void ps_respond_put_error(struct ps_json *w, const char *code, const char *message);
/* 503 for PS_EFULL and PS_EBUSY; else 500, with `text` in the log only. */
void ps_respond_failure(struct ps_request *rq, int code, const char *text);
/* The committer failed, and its queue tries again with the next events (port/queue.h): 503. */
void ps_respond_not_durable(struct ps_request *rq, const char *text);
/* Of an order or a question, where `text` says what is wrong with it: PS_EINVAL 400, PS_ENOENT 404,
 * PS_EEXIST 409, PS_EBUSY, PS_EFULL and PS_ESTOP 503; else 500, with `text` in the log only. */
void ps_respond_code(struct ps_request *rq, int code, const char *text);
/* 501: the part of the server that could answer is not in this process. */
void ps_respond_not_here(struct ps_request *rq, const char *what);

/* The server's thread sends what a reader answered. False: there was no memory for that. */
bool ps_respond_kept(struct ps_request *rq);

void ps_respond_cache_done(struct ps_api *api);

#endif
