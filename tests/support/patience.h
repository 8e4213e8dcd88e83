/* patience.h - waiting for a condition, with an end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_PATIENCE_H
#define PS_TEST_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { PATIENCE_MS = 30000, PATIENCE_LOOK_MS = 2 };

/* By the monotonic clock. False: it is over. `until_ms` 0: it begins. */
static inline bool patience_left(int64_t *until_ms)
{
    static const struct timespec look = {.tv_nsec = PATIENCE_LOOK_MS * 1000000};
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (*until_ms == 0)
        *until_ms = now_ms + PATIENCE_MS;
    nanosleep(&look, NULL);
    return now_ms < *until_ms;
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        int64_t until_ms_ = 0;                                                                     \
        bool met_ = false;                                                                         \
        while (!(met_ = (condition)) && patience_left(&until_ms_))                                 \
            continue;                                                                              \
        assert_true(met_);                                                                         \
    } while (0)

#endif
