/* letters.h - the keeper's work on dead letters: orders to replay or purge them, and looking those
 * of closed days up in the archives.
 *
 * A letter whose event the archive holds is a duplicate: it leaves, and is counted as one. The
 * others stay (I6). Archives are read at most every LOOK_EVERY, and for no more than a tenth of the
 * time, as long as there are letters nobody has looked at.
 *
 * Threads: the keeper's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_LETTERS_H
#define PS_DAEMON_LETTERS_H

#include "base/buf.h"
#include "flow/archive.h"
#include "flow/letters.h"

struct ps_letter_care {
    struct ps_replaying with;
    struct ps_archiver *archiver;
    struct ps_troubles *troubles;   /* may be NULL */
    struct ps_aggregator *counting; /* is told of duplicates; may be NULL */
    /* private, zeros */
    uint64_t looked_to;   /* letters before it have been looked up */
    int64_t next_look_us; /* not before */
};

/* Appends a JSON object to `answer`. */
int ps_letter_care_replay(struct ps_letter_care *c, struct ps_buf *answer, struct ps_err *e);
int ps_letter_care_purge(struct ps_letter_care *c, const struct ps_letter_filter *f,
                         struct ps_buf *answer, struct ps_err *e);

/* Looks up what is new, when it is time. PS_ESTOP, or a failure of the queue. */
int ps_letter_care_look(struct ps_letter_care *c, struct ps_err *e);
/* A day was closed: its letters may be looked up now. */
void ps_letter_care_again(struct ps_letter_care *c);

#endif
