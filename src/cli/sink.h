/* sink.h - where `import` brings events: an engine of its own, or the daemon that has the lock.
 *
 * The file can be read again, so it is its own queue: an engine takes the events as they are, and
 * they are durable with their statistics when `finish` returns (docs/decisions/0007). Two outboxes
 * take turns: one is filled while the other is stored.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_SINK_H
#define PS_CLI_SINK_H

#include "cli/cli.h"
#include "daemon/engine.h"
#include "flow/outbox.h"

enum { PS_SINK_OUTBOX_BYTES = 4 * 1024 * 1024 };

struct ps_sink;

int ps_sink_open(struct ps_sink **ret, struct ps_cli *c, struct ps_err *e);
const uint8_t *ps_sink_secret(const struct ps_sink *s);
/* The outbox to fill next; valid until the next flush. */
struct ps_outbox *ps_sink_outbox(struct ps_sink *s);
/* Sends what is in it. */
int ps_sink_flush(struct ps_sink *s, struct ps_err *e);
/* Waits until all of it is stored; *ret_known: fresh and duplicates could be told apart. */
int ps_sink_finish(struct ps_sink *s, bool *ret_known, uint64_t *ret_fresh,
                   uint64_t *ret_duplicates, uint64_t *ret_refused, struct ps_err *e);
int ps_sink_close(struct ps_sink *s, struct ps_err *e); /* NULL is fine */

#endif
