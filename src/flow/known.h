/* known.h - which events of closed days their archive holds already.
 *
 * The store has forgotten the ids of a day that was archived and cleaned, so it refuses whatever
 * comes for it. What the archive holds was counted: it is a duplicate like any other and needs no
 * dead letter. Events in question are gathered, up to so many bytes; then the archive of each of
 * their days is read once, as a stream (docs/decisions/0013).
 *
 * Threads: one at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_KNOWN_H
#define PS_FLOW_KNOWN_H

#include "flow/archive.h"

struct ps_known;

enum { PS_KNOWN_BYTES_MAX = 64 * 1024 * 1024 }; /* a good choice: some 300,000 events */

enum ps_knowledge {
    PS_KNOWN_NOT,         /* the archive was read, and it is not there */
    PS_KNOWN_YES,         /* it is: a duplicate */
    PS_KNOWN_CANNOT_TELL, /* the archive could not be read */
};

struct ps_known_item {
    enum ps_knowledge knowledge;
    uint64_t tag; /* the caller's own */
    const uint8_t *record;
    size_t len;
};

/* PS_ENOMEM. */
int ps_known_open(struct ps_known **ret, size_t bytes_max, struct ps_err *e);
void ps_known_close(struct ps_known *k); /* NULL is fine */

/* Is the day archived, so that asking makes sense? */
bool ps_known_day_is_closed(enum ps_day_state state);

/* Copies both; the record is for the caller's own use. PS_EFULL: ask first. */
int ps_known_add(struct ps_known *k, int32_t day, struct ps_str id, const uint8_t *record,
                 size_t len, uint64_t tag, struct ps_err *e);
size_t ps_known_count(const struct ps_known *k);

/* Reads, and hands on each item in the order they were added; then none is left. A failure to read
 * an archive is told with its items and in *ret_unread (may be NULL), and is no failure of this
 * call; PS_ESTOP from the archiver's progress, or a negative return of fn, is. */
typedef int ps_known_fn(void *ctx, const struct ps_known_item *item, struct ps_err *e);
int ps_known_ask(struct ps_known *k, struct ps_archiver *a, ps_known_fn *fn, void *ctx,
                 struct ps_err *ret_unread, struct ps_err *e);

#endif
