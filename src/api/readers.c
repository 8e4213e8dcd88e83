/* readers.c - see readers.h.  SPDX-License-Identifier: MIT */
#include "api/readers.h"

#include "api/respond.h"
#include "base/check.h"

#include <stdlib.h>

struct reader {
    struct ps_readers *all;
    pthread_t thread;
    bool started;
    struct ps_api_reader handles;
    struct ps_buf answer;
};

struct ps_readers {
    const struct ps_api_reading *reading; /* may be NULL */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ps_request *line[PS_READERS_WAITING_MAX]; /* a ring */
    size_t first, count;
    bool closing;
    size_t opened; /* threads that have told how their opening went */
    int open_code;
    struct ps_err open_error;
    struct reader readers[PS_READERS_THREADS];
};

static struct ps_request *take(struct ps_readers *r)
{
    struct ps_request *rq = NULL;
    pthread_mutex_lock(&r->lock);
    while (r->count == 0 && !r->closing)
        pthread_cond_wait(&r->changed, &r->lock);
    if (r->count > 0) {
        rq = r->line[r->first];
        r->first = (r->first + 1) % PS_READERS_WAITING_MAX;
        r->count--;
    }
    pthread_mutex_unlock(&r->lock);
    return rq;
}

static void answer(struct reader *me, struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    rq->reader = &me->handles;
    rq->answer = &me->answer;
    rq->route->handle(rq);
    rq->reader = NULL;
    rq->answer = &api->answer;
    rq->progress = PS_ANSWERED;
    ps_api_resume(rq); /* it is the server thread's from here */
    ps_api_end_wait(api);
}

static int open_handles(struct reader *me, struct ps_err *e)
{
    const struct ps_api_reading *reading = me->all->reading;
    return reading == NULL ? 0 : reading->open(reading->ctx, &me->handles, e);
}

static void tell_opened(struct ps_readers *r, int code, const struct ps_err *e)
{
    pthread_mutex_lock(&r->lock);
    r->opened++;
    if (code < 0) {
        r->open_code = code;
        r->open_error = *e;
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void *run(void *arg)
{
    struct reader *me = arg;
    struct ps_request *rq;
    struct ps_err e = {0};
    pthread_setname_np(pthread_self(), "reader"); /* for top and perf */
    int r = open_handles(me, &e);
    tell_opened(me->all, r, &e);
    while (r == 0 && (rq = take(me->all)) != NULL)
        answer(me, rq);
    if (r == 0 && me->all->reading != NULL)
        me->all->reading->close(me->all->reading->ctx, &me->handles);
    return NULL;
}

static int start(struct ps_readers *r, struct ps_err *e)
{
    size_t started = 0;
    for (size_t i = 0; i < PS_READERS_THREADS; i++) {
        struct reader *me = &r->readers[i];
        me->all = r;
        ps_buf_init(&me->answer, PS_API_ANSWER_MAX);
        me->started = pthread_create(&me->thread, NULL, run, me) == 0;
        started += me->started;
    }
    pthread_mutex_lock(&r->lock);
    while (r->opened < started)
        pthread_cond_wait(&r->changed, &r->lock);
    int code = r->open_code;
    if (code < 0 && e != NULL)
        *e = r->open_error;
    pthread_mutex_unlock(&r->lock);
    if (code == 0 && started < PS_READERS_THREADS)
        code = ps_fail(e, PS_ENOMEM, "http: cannot start a thread");
    return code;
}

int ps_readers_open(struct ps_readers **ret, const struct ps_api_reading *reading, struct ps_err *e)
{
    struct ps_readers *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ps_fail(e, PS_ENOMEM, "http: no memory");
    r->reading = reading;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    int code = start(r, e);
    if (code < 0) {
        ps_readers_close(r);
        return code;
    }
    *ret = r;
    return 0;
}

void ps_readers_close(struct ps_readers *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    PS_ASSERT(r->count == 0);
    r->closing = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < PS_READERS_THREADS; i++) {
        if (r->readers[i].started)
            pthread_join(r->readers[i].thread, NULL);
        ps_buf_done(&r->readers[i].answer);
    }
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    free(r);
}

/* Suspended before a reader can see it. */
static bool give(struct ps_readers *r, struct ps_request *rq)
{
    pthread_mutex_lock(&r->lock);
    bool fits = r->count < PS_READERS_WAITING_MAX;
    if (fits) {
        MHD_suspend_connection(rq->connection);
        r->line[(r->first + r->count) % PS_READERS_WAITING_MAX] = rq;
        r->count++;
        pthread_cond_signal(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    return fits;
}

void ps_readers_ask(struct ps_readers *r, struct ps_request *rq)
{
    if (!ps_api_begin_wait(rq->api)) {
        ps_respond_code(rq, PS_ESTOP, "the server is about to stop");
    } else if (!give(r, rq)) {
        ps_api_end_wait(rq->api);
        ps_respond_error(rq, MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
                         "%d questions are waiting already: ask again later",
                         PS_READERS_WAITING_MAX);
    }
}
