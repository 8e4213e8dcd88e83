/* watch.h - troubles (flow/trouble.h) as log lines.  SPDX-License-Identifier: MIT */
#ifndef PS_DAEMON_WATCH_H
#define PS_DAEMON_WATCH_H

#include "flow/trouble.h"

/* A ps_trouble_fn: one line when a trouble begins, each minute while it lasts, and when it ends. */
void ps_watch_log(void *ctx, enum ps_trouble which, enum ps_trouble_phase phase,
                  const struct ps_trouble_state *state, int64_t lasted_us);

#endif
