/* faulty_store.h - a store that fails when told to; otherwise the one behind it.
 *
 * A lie is the worst of failures: what was asked for is committed, and the answer says it was not,
 * as when a connection drops at the wrong moment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_FAULTY_STORE_H
#define TESTS_SUPPORT_FAULTY_STORE_H

#include "port/store.h"

struct faults {
    const struct ps_store_ops *behind; /* NULL: the mem store; for stores opened from now on */
    int apply_fails;                   /* this many more applies fail, before anything is written */
    int apply_code;
    int apply_lies;     /* this many more applies outside a transaction are committed and fail */
    int position_fails; /* this many more reads of the position fail */
    int settle_passes;  /* this many succeed first, then */
    int settle_fails;   /* this many more settles fail */
    int commit_fails;   /* this many more commits roll back instead */
    int commit_lies;    /* this many more commits are committed and fail */
    int stats_fails;    /* this many more reads of rows fail */
    const char *poison; /* an apply that contains this id fails, always */
    int poison_works;   /* so many times more, then no longer; 0: for good */
    bool forgets;       /* applies keep no event and no redo record, and every event is new */
    int poison_code;    /* 0: PS_EINVAL, which only the events can have caused */
};

extern struct faults faults;
extern const struct ps_store_ops store_faulty;

#endif
