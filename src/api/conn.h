/* conn.h - the table of connections: how long each may take, and who goes when it is full.
 *
 * A connection is in one of four phases, and three of them have a deadline, so that nobody holds a
 * place, or memory for a body, by being slow:
 *
 *     quiet    no complete head: PS_CONN_HEAD_S for the first one of a connection, PS_CONN_IDLE_S
 *              after an answer
 *     body     PS_CONN_RATE bytes a second, looked at in windows of PS_CONN_WINDOW_S
 *     work     ours: no deadline
 *     answer   PS_CONN_IDLE_S, and a second more for each PS_CONN_RATE bytes
 *
 * When the table is full a new connection is let in all the same, and of those in "quiet" and
 * "body" the one that has been there longest is closed. libmicrohttpd alone would leave new ones
 * waiting until somebody goes.
 *
 * Threads: everything belongs to the server's thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_CONN_H
#define PS_API_CONN_H

#include "api/head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PS_CONN_CROWD = 16, /* incomplete ones in a full table that get no moment */
    PS_CONN_HEAD_S = 10,
    PS_CONN_IDLE_S = 30,
    PS_CONN_WINDOW_S = 10,
    PS_CONN_RATE = 16 * 1024,
    PS_CONN_MOMENT_US = 1000 * 1000, /* that a new one has when the table is full */
    PS_CONN_SWEEP_US = 1000 * 1000,  /* between two looks for overdue ones */
};

enum ps_conn_phase { PS_CONN_QUIET, PS_CONN_BODY, PS_CONN_WORK, PS_CONN_ANSWER };

struct ps_conn {
    struct ps_conn *prev, *next; /* in the list of its phase, the oldest first */
    struct ps_conns *table;
    int fd;
    enum ps_conn_phase phase;
    bool used;        /* it had an answer */
    bool closing;     /* told to go; libmicrohttpd has not let go of it yet */
    int64_t since_us; /* in this phase; of a body, in this window */
    uint64_t bytes;   /* of the body in this window; of the answer */
    struct ps_target target;
};

struct ps_conn_list {
    struct ps_conn *first, *last;
    size_t count;
};

struct ps_conns {
    struct ps_conn_list incomplete; /* quiet and body, in the order they came there */
    struct ps_conn_list answering;
    size_t count, closing, max;
    int64_t now_us, swept_us; /* the caller sets now_us each round */
};

void ps_conns_init(struct ps_conns *t, size_t max, int64_t now_us);
/* Closes what is overdue, at most once in PS_CONN_SWEEP_US, and what is too many. */
void ps_conns_sweep(struct ps_conns *t);

/* libmicrohttpd's MHD_OPTION_NOTIFY_CONNECTION and MHD_OPTION_URI_LOG_CALLBACK; cls is the table.
 */
void ps_conns_notify(void *cls, struct MHD_Connection *connection, void **context,
                     enum MHD_ConnectionNotificationCode what);
void *ps_conns_target(void *cls, const char *target, struct MHD_Connection *connection);

struct ps_conn *ps_conn_of(struct MHD_Connection *connection);
void ps_conn_enter(struct ps_conn *c, enum ps_conn_phase phase);
/* So many bytes of the body came, or are the answer. */
void ps_conn_add(struct ps_conn *c, size_t bytes);

#endif
