/* faulty_store.h - a store that fails when told to; otherwise the mem store.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_FAULTY_STORE_H
#define TESTS_SUPPORT_FAULTY_STORE_H

#include "port/store.h"

struct faults {
    int apply_fails; /* this many more applies fail, before anything is written */
    int apply_code;
    int settle_passes;  /* this many succeed first, then */
    int settle_fails;   /* this many more settles fail */
    int commit_fails;   /* this many more commits roll back instead */
    int stats_fails;    /* this many more reads of rows fail */
    const char *poison; /* an apply that contains this id fails, always */
};

extern struct faults faults;
extern const struct ps_store_ops store_faulty;

#endif
