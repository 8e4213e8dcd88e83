/* sweep.h - the program under test in a child, a disk that fails in it, and what is left.
 *
 * The command line of pathstats is linked into the sweep (its main under another name), so a case
 * costs a fork and no exec. A scenario is a command on a folder that was prepared for it:
 *
 *     copy the prepared folder; run the command with one fault, or kill it, or cut the power;
 *     run it again without, to its end; compare everything with an undisturbed run.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_SWEEP_H
#define PS_TEST_SWEEP_H

#include "support/faulty_disk.h"

#include <limits.h>
#include <sys/types.h>

enum {
    SWEEP_TEXT_MAX = 64 * 1024,  /* of what a child says */
    SWEEP_STATE_MAX = 64 * 1024, /* of what is left, as text */
    SWEEP_BATCHES_MAX = 8,
    SWEEP_PATIENCE_MS = 10 * 1000, /* for going on after a fault has passed */
    SWEEP_END_MS = 30 * 1000,      /* for any command to end */
};

/* --- run.c: children --- */

struct run {
    pid_t pid;
    int from; /* its standard error */
    char text[SWEEP_TEXT_MAX];
    size_t len;
    bool ended;
    int status; /* of waitpid */
};

/* argv ends with NULL; "--data-dir" is added. `plan` may be NULL: nothing fails. */
void run_start(struct run *r, const char *data, const char *const *argv,
               const struct faulty_plan *plan);
/* Until the child has said `text`. False: it ended, or the time is over. */
bool run_wait_text(struct run *r, const char *text, int ms);
/* Takes up what it said; true once it has ended. */
bool run_has_ended(struct run *r);
/* Until it ends; after `ms` it is killed, and false. */
bool run_wait_end(struct run *r, int ms);
int run_exit_code(const struct run *r); /* -1: a signal ended it */
const char *run_last_line(const struct run *r);
/* A command to its end: its exit code, -1 when it was killed, -2 when it did not end. */
int run_command(struct run *r, const char *data, const char *const *argv,
                const struct faulty_plan *plan);
/* POSTs to /api/events: the status, 0 without an answer. */
int run_post(uint16_t port, const char *body, size_t len);
uint16_t run_port(const struct run *r);
int64_t now_ms(void);

/* --- memory.c: allocations --- */

void memory_install(const struct faulty_plan *plan);

/* --- state.c: folders, and what is in them --- */

void copy_folder(const char *from, const char *to); /* which must not exist */
void remove_folder(const char *path);
/* Number of events stored and of requests counted; false: there is no database to ask. */
bool count_events(const char *data, long *ret_stored, long *ret_counted);
/* Everything that must come out the same, one line each. */
void describe(const char *data, char to[SWEEP_STATE_MAX]);
/* The secret as it lies there; "" without one. */
void read_secret_file(const char *data, char to[65]);
long count_letters(const char *data);

/* --- scenarios.c --- */

/* One case as it goes. */
struct attempt {
    const char *data;
    struct faulty_plan plan;
    bool acknowledged[SWEEP_BATCHES_MAX];
    bool done;      /* the command said it had done all of it */
    bool stuck;     /* a deadline passed */
    char why[1024]; /* what was wrong, "" for nothing */
};

struct scenario {
    const char *name;
    void (*prepare)(const char *data);
    void (*run)(struct attempt *a);    /* with a.plan; fills in the rest */
    void (*finish)(struct attempt *a); /* without faults, to the end */
    long letters;                      /* dead letters at the end, at least */
    long letters_max;
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;
/* Once, before any other: what the events are. */
void scenarios_init(const char *folder);

/* src/cli/main.c's */
int pathstats_main(int argc, char **argv);

#endif
