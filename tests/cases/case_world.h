/* case_world.h - what a case has counted so far: rows by (path, hour), and every id seen.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TESTS_CASES_CASE_WORLD_H
#define PS_TESTS_CASES_CASE_WORLD_H

#include "case_tools.h"

enum {
    PS_CASE_ROWS_MAX = 256,
    PS_CASE_ID_SLOTS = 1 << 16, /* half of them may be taken */
};

struct ps_case_world; /* lives in the arena */

struct ps_case_counts {
    uint64_t accepted, rejected, fresh;
};

struct ps_case_world *ps_case_world(void);
/* Counts the event unless its id was seen; a rejection is for the caller to count. */
enum ps_reject ps_case_event(struct ps_case_world *w, int64_t now_ms,
                             const struct ps_raw_event *raw, struct ps_warnings *warnings,
                             struct ps_case_counts *counts);
void ps_case_rows(struct ps_case_world *w, struct ps_case_out *o);
/* Merges up and down the hours: an "error" line follows when the two differ. */
void ps_case_merge(struct ps_case_world *w, struct ps_str path, struct ps_case_out *o);

#endif
