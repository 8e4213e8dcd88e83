/* server.h - what the files of the HTTP server share. Private to api/.
 *
 * A ps_request lives from its first header to the answer's last byte. libmicrohttpd calls from its
 * one thread, and all of ps_api but the part under `lock` and the atomics belongs to that thread.
 * While a request waits for the committer, a reader, or the one who got its order, it belongs to
 * them, up to the resume.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_SERVER_H
#define PS_API_SERVER_H

#include "api/api.h"
#include "api/conn.h"
#include "api/routes.h"
#include "flow/ingest.h"

#include <microhttpd.h>
#include <pthread.h>

enum {
    PS_API_CONNECTION_BYTES = 16 * 1024, /* for headers and reading ahead; libmicrohttpd clears it
                                            for each request, so more costs time */
    PS_API_READ_BYTES = 8 * 1024,        /* by which its read buffer grows */
    PS_API_BACKLOG = 1024,
    PS_API_LOOP_MS = 1000,    /* the server's thread looks up at least so often */
    PS_API_IN_PLACE_MS = 1,   /* ... and this often while requests wait in place */
    PS_API_CLOSE_WAIT_S = 10, /* for requests in flight, when the server closes */
    PS_API_RETRY_AFTER_S = 1, /* told with every 503 that is about load */
    PS_API_YOUNG_S = 30,      /* so long after the start a missing heartbeat is no trouble */
    PS_API_HEALTH_CACHE_US = 1000 * 1000,
    PS_API_POOL_MAX = 256,                /* idle request objects kept */
    PS_API_KEEP_BYTES = 256 * 1024,       /* a buffer above this is not kept for the next one */
    PS_API_BODIES_OF_LIMIT = 16,          /* bodies of body_limit that fit into memory together */
    PS_API_SMALL_BODY = 64 * 1024,        /* above this a body counts as large, */
    PS_API_BODY_SHARE = 4,                /* ... and may take so large a part of what is left */
    PS_API_DRAIN_MAX = 16 * 1024 * 1024,  /* of a refused body, read so that the client listens */
    PS_API_ANSWER_MAX = 16 * 1024 * 1024, /* bytes of one answer */
    PS_API_DEAD_LETTERS_MAX = 1000,       /* listed in one answer */
    PS_API_JOBS_MAX = 1000,               /* listed in one answer; see also: */
    PS_API_JOBS_DEFAULT = 100,            /* ... when nobody says how many */
    PS_API_ORDER_BODY_MAX = 4096,         /* bytes of an administrator's order */
    PS_API_ORDER_TEXT_MAX = 1024 * 1024,  /* bytes of the answer to it */
    PS_API_ACCEPTED_CACHED = 64,          /* ready-made answers "n accepted, 0 rejected" */
    PS_API_STORED_WAIT_US = 10 * 1000 * 1000, /* so long for ?wait=stored, then it says "durable" */
    PS_API_CODE_CLASSES = 6,                  /* 1xx to 5xx, by the first digit */
};

/* Of a request whose answer another thread knows. Who changes it last to PS_ANSWERED or
 * PS_ABANDONED sees the other and frees the request. */
enum ps_progress {
    PS_NOT_SENT,
    PS_SENT,      /* to the committer */
    PS_ANSWERED,  /* by it */
    PS_ABANDONED, /* the client went away meanwhile */
};

struct ps_request {
    struct ps_request *next; /* in the pool */
    struct ps_api *api;
    struct MHD_Connection *connection;
    struct ps_conn *conn;
    const struct ps_route *route; /* NULL when refused before there was one */
    const char *path;             /* of the target, without an authority */
    bool head;
    bool closes;        /* the connection ends with the answer */
    uint64_t announced; /* Content-Length; 0 also when the body comes in chunks */
    int64_t started_us;
    unsigned status; /* of the answer; 0 before there is one */

    struct ps_buf body;
    size_t drained;             /* bytes of a refused body thrown away */
    unsigned refused;           /* the status to answer with, or 0 */
    const char *refusal;        /* its stable code */
    char text[PS_ERR_TEXT_MAX]; /* the refusal's message, or the committer's failure */

    _Atomic enum ps_progress progress;
    bool in_place;            /* counted in the api's; the server thread's own */
    int commit_code;          /* once PS_ANSWERED, by the committer or by who got the order */
    struct ps_buf order_text; /* what an order's answer says */
    struct ps_buf *answer;    /* of the thread that runs the handler */
    const struct ps_api_reader *reader; /* while a reader runs it, else NULL */
    struct MHD_Response *kept;          /* a reader's answer, or NULL */
    unsigned kept_status;
    size_t answer_bytes;
    struct ps_ingested ingested;
    struct {
        bool wanted, known;
        _Atomic bool durable;
        struct ps_receipt receipt;
    } stored; /* of ?wait=stored */
};

struct ps_api_counters {
    _Atomic uint64_t accepted, rejected[PS_REJECT_COUNT]; /* or fields left out, by the reason */
    _Atomic uint64_t self_recorded, self_dropped;
    _Atomic uint64_t requests[PS_API_CODE_CLASSES];
};

struct ps_api {
    struct ps_api_config config;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    int listen_fd, wake_fd;
    uint16_t port;
    int64_t started_us;
    uint64_t queue_bytes_max;
    struct ps_readers *readers;
    struct ps_api_counters counters;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t requests;           /* begun and not completed */
    size_t waiting;            /* submissions the committer has not answered */
    bool closing;              /* nothing may start to wait any more */
    int64_t failure_logged_us; /* INT64_MIN: never */
    uint64_t failures_unlogged;
    _Atomic bool draining, stopping;
    _Atomic bool woken; /* wake_fd was written and the server's thread has not looked yet */

    /* The server thread's own from here. The outbox and the buffers serve one request at a time:
     * ps_commit_submit copies, and so does ps_respond. */
    struct ps_ingest *ingest;
    struct ps_outbox outbox;
    struct ps_buf inflated, answer;
    struct ps_request *pool;
    size_t pooled;
    struct ps_conns conns;
    size_t bodies_bytes; /* capacity of all large body buffers in use */
    size_t in_place;     /* requests that wait for the committer and are not suspended */
    bool progressed;     /* some handler call of this round did more than wait */
    struct {
        size_t count;
        struct MHD_Response *response;
    } accepted[PS_API_ACCEPTED_CACHED];
    struct {
        int64_t checked_us; /* INT64_MIN: never */
        bool beats, failed;
        int64_t heartbeat_ms;
        struct ps_queue_info queue;
    } health;
};

/* request.c: libmicrohttpd's callbacks; cls is the ps_api. */
enum MHD_Result ps_request_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **req_cls);
void ps_request_completed(void *cls, struct MHD_Connection *connection, void **req_cls,
                          enum MHD_RequestTerminationCode why);
void ps_request_pool_done(struct ps_api *api);
/* It no longer waits in place, if it did. */
void ps_request_leave_place(struct ps_request *rq);
/* ingest_handler.c: a request that waits for its receipt waits no more. True: nobody else has it.
 */
bool ps_stored_give_up(struct ps_request *rq);
/* Any thread: one that was abandoned. */
void ps_request_free(struct ps_request *rq);
/* The header's value as sent, or absent. Of a repeated header the first. */
struct ps_str ps_request_header(struct ps_request *rq, const char *name);
/* ?name=N: 1 there, 0 not there, PS_EINVAL when it is not a decimal of 1 to `max`. */
int ps_request_number(struct ps_request *rq, const char *name, size_t max, size_t *ret);

/* server.c: between the two, ps_api_close waits. False: the server closes, start nothing. */
bool ps_api_begin_wait(struct ps_api *api);
void ps_api_end_wait(struct ps_api *api);

/* Any thread: the suspended request goes on, at once. Before ps_api_end_wait. */
void ps_api_resume(struct ps_request *rq);
/* Any thread: the server's looks whether a request that waits in place was answered. */
void ps_api_wake(struct ps_api *api);

/* record.c: the finished request as an event, without waiting for it. */
void ps_api_record(struct ps_request *rq);

/* health.c: the queue's numbers and the heartbeat, at most PS_API_HEALTH_CACHE_US old. */
void ps_health_refresh(struct ps_api *api);

#endif
