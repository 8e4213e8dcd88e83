/* sink.h - where `import` brings events: an engine of its own, or the daemon that has the lock.
 *
 * The file can be read again, so it is its own queue: an engine takes the events as they are, and
 * they are durable with their statistics when `finish` returns (docs/decisions/0007). Two parcels
 * take turns: one is filled while the other is stored. The daemon answers each body when it is
 * stored, so that duplicates are known there too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_SINK_H
#define PS_CLI_SINK_H

#include "cli/cli.h"
#include "daemon/engine.h"
#include "flow/parcel.h"

struct ps_sink;

/* What became of the events. After a failure too, it claims only what is durable. */
struct ps_sunk {
    uint64_t accepted;   /* new, and stored */
    uint64_t duplicates; /* counted before */
    uint64_t refused;    /* dead letters now */
    uint64_t rejected;   /* by the daemon, which knows better (its clock, say) */
    bool by_daemon;      /* what is missing may be stored all the same */
    uint64_t waiting;    /* acknowledged by the daemon, which could not store them in time */
};

int ps_sink_open(struct ps_sink **ret, struct ps_cli *c, struct ps_err *e);
const uint8_t *ps_sink_secret(const struct ps_sink *s);
/* Takes a copy; sends when enough have come together. */
int ps_sink_add(struct ps_sink *s, const struct ps_event *event, struct ps_err *e);
/* Waits until all of it is stored. */
int ps_sink_finish(struct ps_sink *s, struct ps_err *e);
struct ps_sunk ps_sink_sunk(const struct ps_sink *s);
int ps_sink_close(struct ps_sink *s, struct ps_err *e); /* NULL is fine */

/* sink_daemon.c: the road through the daemon. Its events come in the caller's parcels. */
struct ps_sink_daemon;
int ps_sink_daemon_open(struct ps_sink_daemon **ret, const char *host_port, struct ps_err *e);
void ps_sink_daemon_close(struct ps_sink_daemon *d); /* NULL is fine */
/* Sends all of it and waits until it is stored; adds to *sunk what is known of it. */
int ps_sink_daemon_send(struct ps_sink_daemon *d, const struct ps_parcel *parcel,
                        struct ps_sunk *sunk, struct ps_err *e);

/* Waits, some seconds at most, until the statistics hold what was stored: `top` right after an
 * import shows it. Not a failure when that takes longer. */
void ps_sink_daemon_settle(struct ps_sink_daemon *d);

#endif
