/* settings.h - is this configuration one that a server can run with?
 *
 * What the option table (config/table.c) cannot know by itself: that a cron expression is one, that
 * a backend is built in, that S3 has a bucket and credentials, that the address is this machine's,
 * that the webhook is a URL, that a PATHSTATS_… variable is a setting. `serve` asks here before it
 * makes anything, and `config check` asks the same, so that what passes the one passes the other.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_SETTINGS_H
#define PS_DAEMON_SETTINGS_H

#include "config/options.h"

/* PS_EINVAL for the first mistake; the text begins with where it stands (file:line, variable or
 * flag) and names the setting. Values that may hold a secret are not repeated. */
int ps_settings_check(const struct ps_config *config, struct ps_err *e);

/* "127.0.0.1:8787", "[::1]:8787" or ":8787" (then 127.0.0.1) as a host and a port. */
int ps_settings_listen(const char *listen, char ret_host[PS_CONFIG_TEXT_MAX], uint16_t *ret_port,
                       struct ps_err *e);

#endif
