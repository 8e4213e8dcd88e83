/* wait.c - see wait.h.  SPDX-License-Identifier: MIT */
#include "base/wait.h"

#include "base/check.h"

#include <errno.h>

void ps_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int r = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    PS_ASSERT(r == 0);
}

struct timespec ps_wait_deadline(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

bool ps_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
                        const struct timespec *deadline)
{
    return pthread_cond_timedwait(cond, lock, deadline) != ETIMEDOUT;
}
