/* readers.h - a few threads for the questions whose answer is in the database.
 *
 * A question that takes long must hold up nobody who sends events, and asks for health. So a route
 * that `reads` runs its handler here: the connection is suspended meanwhile, the handler's answer
 * is kept, and the server's thread sends it.
 *
 *     server thread   suspend, into the line ...................... resumed: send
 *     a reader                          handler, keep, resume
 *
 * Each thread has its own handles of store and ledger, and a buffer for the answer. The line has a
 * maximum (I8): past it a question is answered with 503.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_READERS_H
#define PS_API_READERS_H

#include "api/api.h"

enum { PS_READERS_THREADS = 2, PS_READERS_WAITING_MAX = 64 };

struct ps_readers;
struct ps_request;

/* Opens the threads' handles with config->reading; its failure is the caller's. */
int ps_readers_open(struct ps_readers **ret, const struct ps_api_reading *reading,
                    struct ps_err *e);
/* Nobody waits any more. NULL is fine. */
void ps_readers_close(struct ps_readers *r);

/* The server's thread: answers, or suspends; then the route is called again with
 * progress PS_ANSWERED, for ps_respond_kept. */
void ps_readers_ask(struct ps_readers *r, struct ps_request *rq);

#endif
