/* faulty_objects.h - objects and a ledger that do what they are told wrong, around ones that work.
 *
 * Every call is counted. One of them can be made to fail before anything happens; a read can hand
 * out other bytes than there are; a write can say it is done and leave nothing behind.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_FAULTY_OBJECTS_H
#define TESTS_SUPPORT_FAULTY_OBJECTS_H

#include "port/ledger.h"
#include "port/objects.h"

enum fault_read {
    READ_WELL,
    READ_TRUNCATED, /* the last byte is missing */
    READ_FLIPPED,   /* a bit in the middle is the other */
    READ_OTHER,     /* `other` instead */
    READ_NOTHING,   /* an object of 0 bytes */
};

struct object_faults {
    int calls;         /* so far, of any kind */
    int fail_at, code; /* the call with this number fails; 0: none */
    enum fault_read read;
    struct ps_str other;
    bool loses; /* what is written is gone at once */
};

struct ledger_faults {
    int calls;              /* mark, clean and restore */
    int fail_from, fail_to; /* the calls with these numbers fail; 0: none */
    int code;
    void (*before)(void *ctx, int call); /* told of each call; may be NULL */
    void *ctx;
};

extern struct object_faults object_faults;
extern struct ledger_faults ledger_faults;

/* Closing it closes `inner`. */
struct ps_objects *faulty_objects(struct ps_objects *inner);
struct ps_ledger *faulty_ledger(struct ps_ledger *inner);
/* Everything works again, and is counted from 0. */
void faults_end(void);

#endif
