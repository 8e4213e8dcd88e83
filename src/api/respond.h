/* respond.h - the ways to answer a request. Each request is answered once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_RESPOND_H
#define PS_API_RESPOND_H

#include "api/server.h"
#include "base/json.h"

/* The JSON writer of the server's one answer buffer, emptied. */
struct ps_json ps_respond_writer(struct ps_api *api);
/* What was written to api->answer. */
void ps_respond_json(struct ps_request *rq, unsigned status);
void ps_respond_body(struct ps_request *rq, unsigned status, const char *content_type);
/* {"accepted":n,"rejected":0,"rejections":[]}, made once. */
void ps_respond_accepted(struct ps_request *rq, size_t count);
/* {"error":{...}}; with Allow for 405 and Retry-After for 503. */
void ps_respond_error(struct ps_request *rq, unsigned status, const char *code, const char *format,
                      ...) __attribute__((format(printf, 4, 5)));
/* Writes the "error" member into an object that is open. */
void ps_respond_put_error(struct ps_json *w, const char *code, const char *message);
/* 503 for PS_EFULL and PS_EBUSY; else 500, with `text` in the log only. */
void ps_respond_failure(struct ps_request *rq, int code, const char *text);

void ps_respond_cache_done(struct ps_api *api);

#endif
