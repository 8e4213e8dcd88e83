/* sieve.h - an import's events of closed days, held back until their archives are read.
 *
 * A log that was imported and archived is often imported again, whole. The store has forgotten its
 * ids and would make a dead letter of each line. Here they are gathered, and those that the archive
 * of their day holds are duplicates; only the others go on (docs/decisions/0013). The same with a
 * daemon as without one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_SIEVE_H
#define PS_CLI_SIEVE_H

#include "cli/cli.h"
#include "core/event.h"

struct ps_sieve;

/* Takes what passes. The event is valid during the call. */
typedef int ps_sieve_fn(void *ctx, const struct ps_event *event, struct ps_err *e);

/* *ret stays NULL when no day is closed: there is nothing to hold back. */
int ps_sieve_open(struct ps_sieve **ret, struct ps_cli *c, const struct ps_datadir *dir,
                  ps_sieve_fn *pass, void *ctx, struct ps_err *e);
void ps_sieve_close(struct ps_sieve *s); /* NULL is fine */

/* Is the event of a closed day? NULL: none is. */
bool ps_sieve_holds(struct ps_sieve *s, const struct ps_event *event);
/* Takes a copy; when it is full, reads archives. */
int ps_sieve_add(struct ps_sieve *s, const struct ps_event *event, struct ps_err *e);
/* Reads archives for what is left. */
int ps_sieve_finish(struct ps_sieve *s, struct ps_err *e);
uint64_t ps_sieve_duplicates(const struct ps_sieve *s);

#endif
