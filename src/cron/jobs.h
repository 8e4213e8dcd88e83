/* jobs.h - runs a table of jobs when they are due: one after the other, on the calling thread.
 *
 * A scheduler that knows neither what a job does nor where runs are recorded, and that has no clock
 * of its own: the caller gives all three. So a year of runs takes a test no time.
 *
 * Each job has a mark: the time up to which its scheduled times are dealt with. It never moves
 * back on its own. A job is due when a scheduled time lies after the mark and not after now; it
 * then runs once for the last such time, and the mark moves there. All the rules follow from that:
 *   - however many times were missed (a stopped daemon, a long run, a clock set forward): one run;
 *   - a clock set back by up to PS_JOBS_BACK_MAX_MS: the job waits until its mark is passed, no
 *     scheduled minute comes twice; set back further: the mark goes back to now, so that nothing
 *     waits an hour because an hour comes twice;
 *   - the mark at open is the last recorded start, so that a missed run is made up for; without
 *     one (0) it is the time of open, so that a new job waits for its first scheduled time.
 * A recorded start further ahead of now than that came from a clock that was wrong, and would keep
 * the job waiting, maybe for years; it counts as if the job started now.
 *
 * A scheduled run that failed is tried again after PS_JOBS_RETRY_MS, then after twice as long, up
 * to PS_JOBS_RETRY_MAX_MS or the next scheduled time: what failed because a disk was full for ten
 * minutes does not wait for the next night. A run that did not finish counts as run.
 *
 * Ownership: the config and its table are copied, the names and contexts in it only pointed to.
 * Threads: a handle serves one thread at a time; jobs and hooks run on it and must not close it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CRON_JOBS_H
#define PS_CRON_JOBS_H

#include "base/buf.h"
#include "cron/expr.h"

#include <stddef.h>

#define PS_JOBS_NEVER INT64_MAX

enum {
    PS_JOBS_DETAIL_MAX = 4096,
    PS_JOBS_RETRY_MS = 60 * 1000, /* after a failure, or a start that could not be recorded */
    PS_JOBS_RETRY_MAX_MS = 60 * 60 * 1000,
    PS_JOBS_BACK_MAX_MS = 60 * 1000, /* by which a clock may go back unnoticed */
};

/* `run` returns 0 or more for success, else a code with its text in `e`; what it appends to
 * `detail` is recorded, at a failure with the text of `e` behind it. PS_ESTOP also ends the step:
 * the other jobs stay due. */
struct ps_job {
    const char *name;
    struct ps_cron_expr when;
    bool enabled; /* when not, only ps_jobs_run_now runs it */
    int (*run)(void *ctx, int64_t scheduled_ms, struct ps_buf *detail, struct ps_err *e);
    void *ctx;
};

/* `started` must have recorded the start for good when it returns: it is what the next open reads.
 * If it fails the job does not run and is tried again after PS_JOBS_RETRY_MS; the hook is the one
 * to log that, as a step has nobody to tell. `finished` follows each recorded start exactly once;
 * `detail` is its own only for the call, and empty when nothing was said. */
struct ps_jobs_hooks {
    void *ctx;
    int64_t (*now_ms)(void *ctx);
    int (*started)(void *ctx, const char *job, int64_t scheduled_ms, int64_t started_ms,
                   int64_t *ret_run_id, struct ps_err *e);
    void (*finished)(void *ctx, int64_t run_id, int64_t finished_ms, int outcome_code,
                     struct ps_str detail);
};

struct ps_jobs_config {
    const struct ps_job *jobs;    /* they run in this order */
    const int64_t *last_start_ms; /* the greatest of each job, 0 is never; NULL: all never */
    size_t n;
    struct ps_jobs_hooks hooks;
};

struct ps_jobs;

/* PS_EEXIST: two jobs of one name. PS_ENOMEM. Calls now_ms and nothing else. */
int ps_jobs_open(struct ps_jobs **ret, const struct ps_jobs_config *config, struct ps_err *e);
void ps_jobs_close(struct ps_jobs *j);

/* Runs each job that is due at most once. Time passes meanwhile: whether a job is due is decided
 * with the clock read anew after each run. Returns when to come again (not after the present if
 * something came due during the step), PS_JOBS_NEVER when nothing is planned. */
int64_t ps_jobs_step(struct ps_jobs *j, int64_t now_ms);

struct ps_jobs_run {
    int64_t run_id;
    int outcome_code; /* what the job returned */
};

/* Runs a job now, enabled or not, scheduled for `now_ms`; scheduled times up to now count as dealt
 * with. PS_ENOENT: no such job; PS_EBUSY: asked from within a run; else what `started` returned.
 * 0 when the job ran, whatever came of it. */
int ps_jobs_run_now(struct ps_jobs *j, const char *name, int64_t now_ms, struct ps_jobs_run *ret,
                    struct ps_err *e);

#endif
