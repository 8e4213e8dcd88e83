/* trouble.h - what is wrong right now: one small table that every thread writes and health reads.
 *
 * A part that fails calls ps_trouble_begin each time it fails, and ps_trouble_end when it works
 * again; both are cheap when nothing changes. The listener (the daemon's log) hears of a trouble
 * when it begins, once a minute while it lasts, and when it ends, so nothing fails in silence and
 * nothing fills a disk with lines. Health and metrics read the same table: they tell what happened,
 * not how old a heartbeat is.
 *
 * Threads: any, at any time; the listener is called without the lock, from the thread that reports.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_TROUBLE_H
#define PS_FLOW_TROUBLE_H

#include "base/err.h"
#include "port/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum ps_trouble {
    PS_TROUBLE_QUEUE,           /* events cannot be made durable: new ones are refused */
    PS_TROUBLE_STORE,           /* events cannot be stored: they wait in the queue */
    PS_TROUBLE_COMMITTER,       /* a write to the queue hangs: who posts gets no answer */
    PS_TROUBLE_CONSUMER,        /* its thread has ended, or hangs */
    PS_TROUBLE_DEAD_LETTERS,    /* a letter cannot be made durable: counting waits */
    PS_TROUBLE_LETTERS_FULL,    /* events that would become letters are refused */
    PS_TROUBLE_LETTERS_DAMAGED, /* some letters were lost to damage of their file */
    PS_TROUBLE_LOOK_UP,         /* letters cannot be compared with the archive of their day */
    PS_TROUBLE_WAL,             /* a reader keeps the write-ahead log from shrinking */
    PS_TROUBLE_CLOCK,           /* the wall clock jumped; archiving waits */
    PS_TROUBLE_DESCRIPTORS,     /* too few file descriptors */
    PS_TROUBLE_HEARTBEAT,       /* the kv cannot be written */
    PS_TROUBLE_ARCHIVE,         /* the job's last run failed */
    PS_TROUBLE_SNAPSHOT,
    PS_TROUBLE_CAPACITY,
    PS_TROUBLE_COUNT
};

enum ps_severity { PS_DEGRADED /* health says so with 200 */, PS_FAILING /* with 503 */ };

enum ps_trouble_phase { PS_TROUBLE_BEGINS, PS_TROUBLE_LASTS, PS_TROUBLE_ENDS };

#define PS_TROUBLE_TELL_EVERY_US (INT64_C(60) * 1000 * 1000)

/* One that comes and goes is told so often in that time, and then once, when it stays. */
enum { PS_TROUBLE_TOLD_MAX = 5 };

struct ps_trouble_state {
    bool present;
    bool quiet;                /* its beginning was not told, for that reason */
    int code;                  /* enum ps_code of the latest failure */
    uint64_t failures;         /* reported since it began */
    int64_t since_ms;          /* wall clock, for people */
    int64_t since_us, told_us; /* monotonic */
    char text[PS_ERR_TEXT_MAX];
};

/* `state` is a copy. `lasted_us` 0 when it begins. */
typedef void ps_trouble_fn(void *ctx, enum ps_trouble which, enum ps_trouble_phase phase,
                           const struct ps_trouble_state *state, int64_t lasted_us);

struct ps_troubles {
    pthread_mutex_t lock;
    struct ps_clock *clock;
    ps_trouble_fn *listener; /* may be NULL */
    void *ctx;
    struct ps_trouble_state states[PS_TROUBLE_COUNT];
    struct {
        int64_t since_us;
        unsigned told; /* beginnings since then */
    } pace[PS_TROUBLE_COUNT];
};

/* "queue", "store", ...: stable, for machines. */
const char *ps_trouble_name(enum ps_trouble which);
/* What it means, for people. */
const char *ps_trouble_help(enum ps_trouble which);
enum ps_severity ps_trouble_severity(enum ps_trouble which);

void ps_troubles_init(struct ps_troubles *t, struct ps_clock *clock, ps_trouble_fn *listener,
                      void *ctx);
void ps_troubles_done(struct ps_troubles *t);

/* `t` may be NULL (a command without a daemon). `code` is negative; `text` is copied. */
void ps_trouble_begin(struct ps_troubles *t, enum ps_trouble which, int code, const char *text);
void ps_trouble_end(struct ps_troubles *t, enum ps_trouble which);
/* Begins when code < 0, else ends. */
void ps_trouble_report(struct ps_troubles *t, enum ps_trouble which, int code, const char *text);

/* Whether any trouble is there with which health says 503. */
bool ps_troubles_are_failing(struct ps_troubles *t);
/* To be called now and then: the listener hears of those that last and were not reported for a
 * minute (a nightly job fails once, and its trouble lasts until the next run). */
void ps_troubles_remind(struct ps_troubles *t);

/* A copy of one state; false when it is not present. */
bool ps_trouble_get(struct ps_troubles *t, enum ps_trouble which, struct ps_trouble_state *ret);

#endif
