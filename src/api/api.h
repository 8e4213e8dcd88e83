/* api.h - the HTTP server: takes events in, tells how it is, and lets an administrator act.
 *
 * Answers are JSON; an error is {"error":{"code":"too_large","message":"..."}}, where the code is
 * for machines and stable, the message for a person.
 *
 *     POST /api/events   202 {"accepted":n,"rejected":m,"rejections":[{line,index,reason,message}]}
 *                        once the events are durable (I3); 400 when none was accepted; 413; 415;
 *                        503 with Retry-After while the queue is full (I8)
 *     GET /api/health    200 {"status":"ok"|"degraded","reasons":[...],...}, or 503 "failing"
 *     see routes.c for the rest
 *
 * There are no access tokens yet, so it listens on loopback alone and answers only requests that
 * name a loopback host (guard.h).
 *
 * Threads: open, stop_accepting and close belong to one thread. Requests run on one thread of the
 * server's own, questions to the database on a few others; the answer to an ingest is triggered by
 * the committer's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_API_H
#define PS_API_API_H

#include "flow/aggregator.h"
#include "flow/commit.h"
#include "flow/letters.h"
#include "flow/trouble.h"
#include "port/clock.h"
#include "port/kv.h"
#include "port/ledger.h"
#include "port/queue.h"
#include "wrap/secret.h"

enum {
    PS_API_CONNECTIONS_MAX = 2048,
    PS_API_CONNECTIONS_SPARE = 32, /* above the maximum, until one was closed */
};

struct ps_api;

/* Orders go to the thread that runs the jobs; the request waits for `done`, which is called exactly
 * once, from that thread, unless the order returned a failure (then never). code 0: `text` is a
 * JSON object for the answer; negative: `text` is for a person. */
typedef void ps_api_done_fn(void *ctx, int code, const char *text);

struct ps_api_orders {
    void *ctx;
    int (*archive)(void *ctx, int32_t day, ps_api_done_fn *done, void *done_ctx, struct ps_err *e);
    int (*snapshot)(void *ctx, ps_api_done_fn *done, void *done_ctx, struct ps_err *e);
    int (*replay)(void *ctx, ps_api_done_fn *done, void *done_ctx, struct ps_err *e);
    int (*purge)(void *ctx, const struct ps_letter_filter *filter, ps_api_done_fn *done,
                 void *done_ctx, struct ps_err *e);
};

/* What a thread that answers questions has to itself. */
struct ps_api_reader {
    void *own;              /* the opener's */
    struct ps_store *store; /* for reading */
    struct ps_ledger *ledger;
    struct ps_kv *kv; /* NULL: the server's own */
};

/* Called on the thread that uses the reader. */
struct ps_api_reading {
    void *ctx;
    int (*open)(void *ctx, struct ps_api_reader *ret, struct ps_err *e);
    void (*close)(void *ctx, struct ps_api_reader *reader);
    int (*capacity)(void *ctx, const struct ps_api_reader *reader, struct ps_buf *ret_json,
                    struct ps_err *e);
};

/* Everything pointed at must outlive the server, but for host and secret, which are copied. The
 * queue must allow info and dead from several threads. */
struct ps_api_config {
    const char *host;      /* "localhost", 127.0.0.0/8 or ::1, with or without brackets */
    uint16_t port;         /* 0: any free one, see ps_api_port */
    size_t body_limit;     /* bytes of a request body, as sent and also inflated; at least 1 */
    size_t bodies_max;     /* bytes of all large bodies together; 0: sixteen times body_limit */
    size_t connections;    /* at once; 0: PS_API_CONNECTIONS_MAX */
    bool percent_as_is;    /* paths keep their percent-encoding */
    bool record_self;      /* requests to recorded routes become events */
    const uint8_t *secret; /* PS_SECRET_BYTES, for the hash of client addresses */
    struct ps_queue *queue;
    struct ps_commit *commit;       /* closed after the server */
    struct ps_admission *admission; /* may be NULL */
    struct ps_receipts *receipts;   /* NULL: ?wait=stored is ignored */
    struct ps_kv *kv;               /* for reading; nobody holds it for long */
    struct ps_clock *clock;
    struct ps_troubles *troubles;                    /* may be NULL */
    const struct ps_aggregator_counters *aggregator; /* NULL: not in this process */
    const char *version;
    const char *data_dir;                 /* named in the answer when the queue is full */
    const struct ps_api_orders *orders;   /* NULL: these routes answer 501 */
    const struct ps_api_reading *reading; /* NULL: what needs the store answers 501 */
};

/* Whether the server would listen on it: an address, and this machine's own. */
int ps_api_check_host(const char *host, struct ps_err *e);

/* PS_EDENIED: not a loopback address. PS_EINVAL: not an address. PS_EIO: cannot listen there. */
int ps_api_open(struct ps_api **ret, const struct ps_api_config *config, struct ps_err *e);
uint16_t ps_api_port(const struct ps_api *api);
/* No new connections; those that are open get their answers and are then closed. */
void ps_api_stop_accepting(struct ps_api *api);
/* Waits for the requests in flight, some seconds at most, then stops. NULL is fine. */
void ps_api_close(struct ps_api *api);

#endif
