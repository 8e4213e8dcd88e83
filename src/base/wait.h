/* wait.h - waiting on a condition with a deadline, by the monotonic clock: setting the machine's
 * time neither ends such a wait nor makes it longer. Nobody else waits with a deadline; the check
 * of the rooms looks.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_WAIT_H
#define PS_BASE_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A condition that ps_cond_wait_until may wait on; pthread_cond_destroy ends it. */
void ps_cond_init(pthread_cond_t *cond);

/* So many milliseconds from now. */
struct timespec ps_wait_deadline(int64_t ms);

/* As pthread_cond_timedwait. False: the deadline has passed. */
bool ps_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
                        const struct timespec *deadline);

#endif
