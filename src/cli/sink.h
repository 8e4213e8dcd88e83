/* sink.h - where `import` brings events: an engine of its own, or the daemon that has the lock.
 *
 * The file can be read again, so it is its own queue: an engine takes the events as they are, and
 * they are durable with their statistics when `finish` returns (docs/decisions/0007). Two parcels
 * take turns: one is filled while the other is stored.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_SINK_H
#define PS_CLI_SINK_H

#include "cli/cli.h"
#include "daemon/engine.h"
#include "flow/parcel.h"

struct ps_sink;

int ps_sink_open(struct ps_sink **ret, struct ps_cli *c, struct ps_err *e);
const uint8_t *ps_sink_secret(const struct ps_sink *s);
/* Takes a copy; sends when enough have come together. */
int ps_sink_add(struct ps_sink *s, const struct ps_event *event, struct ps_err *e);
/* Waits until all of it is stored; *ret_known: fresh and duplicates could be told apart. */
int ps_sink_finish(struct ps_sink *s, bool *ret_known, uint64_t *ret_fresh,
                   uint64_t *ret_duplicates, uint64_t *ret_refused, struct ps_err *e);
int ps_sink_close(struct ps_sink *s, struct ps_err *e); /* NULL is fine */

#endif
