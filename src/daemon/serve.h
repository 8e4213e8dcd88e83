/* serve.h - the daemon: an engine with HTTP in front, until a signal says stop.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_SERVE_H
#define PS_DAEMON_SERVE_H

#include "base/err.h"
#include "config/options.h"

/* Runs until SIGTERM or SIGINT, then takes no more, stores what was acknowledged, and returns 0. A
 * second signal ends the process at once. Negative: it could not start, or not finish. */
int ps_serve(const struct ps_config *config, struct ps_err *e);

#endif
