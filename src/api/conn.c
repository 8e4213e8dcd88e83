/* conn.c - see conn.h.  SPDX-License-Identifier: MIT */
#include "api/conn.h"

#include "base/check.h"

#include <stdlib.h>
#include <sys/socket.h>

#define SECOND_US INT64_C(1000000)

static struct ps_conn_list *list_of(struct ps_conn *c)
{
    switch (c->phase) {
    case PS_CONN_QUIET:
    case PS_CONN_BODY: return &c->table->incomplete;
    case PS_CONN_ANSWER: return &c->table->answering;
    case PS_CONN_WORK: break;
    }
    return NULL;
}

static void unlink_from(struct ps_conn_list *list, struct ps_conn *c)
{
    if (list == NULL)
        return;
    *(c->prev == NULL ? &list->first : &c->prev->next) = c->next;
    *(c->next == NULL ? &list->last : &c->next->prev) = c->prev;
    c->prev = c->next = NULL;
    list->count--;
}

static void append_to(struct ps_conn_list *list, struct ps_conn *c)
{
    if (list == NULL)
        return;
    c->prev = list->last;
    c->next = NULL;
    *(list->last == NULL ? &list->first : &list->last->next) = c;
    list->last = c;
    list->count++;
}

void ps_conn_enter(struct ps_conn *c, enum ps_conn_phase phase)
{
    if (!c->closing)
        unlink_from(list_of(c), c);
    c->used = c->used || phase == PS_CONN_ANSWER;
    c->phase = phase;
    c->since_us = c->table->now_us;
    c->bytes = 0;
    if (!c->closing)
        append_to(list_of(c), c);
}

void ps_conn_add(struct ps_conn *c, size_t bytes)
{
    c->bytes += bytes;
}

struct ps_conn *ps_conn_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void add(struct ps_conns *t, struct MHD_Connection *connection, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ps_conn *c = calloc(1, sizeof *c);
    if (info == NULL || c == NULL) { /* then its first request finds no context, and is the last */
        free(c);
        return;
    }
    c->table = t;
    c->fd = info->connect_fd;
    c->since_us = t->now_us;
    append_to(list_of(c), c);
    t->count++;
    *context = c;
}

void ps_conns_notify(void *cls, struct MHD_Connection *connection, void **context,
                     enum MHD_ConnectionNotificationCode what)
{
    struct ps_conns *t = cls;
    struct ps_conn *c = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        add(t, connection, context);
        return;
    }
    if (c == NULL)
        return;
    if (!c->closing)
        unlink_from(list_of(c), c);
    t->closing -= c->closing;
    t->count--;
    free(c);
    *context = NULL;
}

void *ps_conns_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct ps_conn *c = ps_conn_of(connection);
    (void)cls;
    if (c != NULL)
        ps_head_target(target, &c->target);
    return NULL; /* the request's context, before there is one */
}

void ps_conns_init(struct ps_conns *t, size_t max, int64_t now_us)
{
    PS_ASSERT(max > 0);
    *t = (struct ps_conns){.max = max, .now_us = now_us, .swept_us = now_us};
}

/* libmicrohttpd sees the end of the connection, as if the client had closed it. Who is in the
 * middle of a body is told why. */
static void put_out(struct ps_conn *c)
{
    static const char late[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                               "Content-Length: 0\r\n\r\n";
    if (c->phase == PS_CONN_BODY)
        send(c->fd, late, sizeof late - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(c->fd, SHUT_RDWR);
    unlink_from(list_of(c), c);
    c->closing = true;
    c->table->closing++;
}

static bool is_overdue(struct ps_conn *c)
{
    int64_t waited_us = c->table->now_us - c->since_us;
    switch (c->phase) {
    case PS_CONN_QUIET: return waited_us >= (c->used ? PS_CONN_IDLE_S : PS_CONN_HEAD_S) * SECOND_US;
    case PS_CONN_BODY:
        return waited_us >= PS_CONN_WINDOW_S * SECOND_US &&
               c->bytes < (uint64_t)PS_CONN_WINDOW_S * PS_CONN_RATE;
    case PS_CONN_ANSWER:
        return waited_us >= (PS_CONN_IDLE_S + (int64_t)(c->bytes / PS_CONN_RATE)) * SECOND_US;
    case PS_CONN_WORK: break;
    }
    return false;
}

static void sweep_list(struct ps_conn_list *list)
{
    for (struct ps_conn *c = list->first, *next; c != NULL; c = next) {
        next = c->next;
        if (is_overdue(c)) {
            put_out(c);
        } else if (c->phase == PS_CONN_BODY &&
                   c->table->now_us - c->since_us >= PS_CONN_WINDOW_S * SECOND_US) {
            c->since_us = c->table->now_us; /* it earned another window, in its old place */
            c->bytes = 0;
        }
    }
}

/* While nearly all are being worked on, a new one gets a moment to send its request. */
static bool is_too_full(const struct ps_conns *t)
{
    const struct ps_conn *oldest = t->incomplete.first;
    if (t->count - t->closing <= t->max || oldest == NULL)
        return false;
    return t->incomplete.count > PS_CONN_CROWD || t->now_us - oldest->since_us >= PS_CONN_MOMENT_US;
}

void ps_conns_sweep(struct ps_conns *t)
{
    if (t->now_us - t->swept_us >= PS_CONN_SWEEP_US) {
        t->swept_us = t->now_us;
        sweep_list(&t->incomplete);
        sweep_list(&t->answering);
    }
    while (is_too_full(t))
        put_out(t->incomplete.first);
}
