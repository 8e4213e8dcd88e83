/* queue.h - what was acknowledged and is not stored yet: an append-only log with positions.
 *
 * A position is opaque, 64 bits, strictly increasing; 0 is the start of a fresh queue. Records are
 * opaque bytes. What ps_queue_sync has covered survives kill -9 and power loss (I3), and readers
 * see nothing else, so the store can never be ahead of the queue.
 *
 * Dead letters are records that could not be stored, with reason, text and time. Each has the key
 * (position): burying the same position twice keeps one.
 *
 * A failure of the disk passes: what was appended since the last sync is gone and its producers are
 * told, what was durable stays, and each later call tries again (docs/decisions/0012).
 *
 * Threads: one thread appends and syncs, one reads and trims; any may bury, unbury, list the dead
 * or ask for info. The callback of ps_queue_dead must not use the queue. Errors: PS_EFULL the limit
 * is reached (answer 503); PS_EIO; PS_ECORRUPT.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_PORT_QUEUE_H
#define PS_PORT_QUEUE_H

#include "base/buf.h"
#include "base/err.h"
#include "core/reject.h"

struct ps_queue;

enum {
    PS_RECORD_BYTES_MAX = 65536,
    PS_RECORD_OVERHEAD_MAX = 16, /* bytes a backend may add to a record, */
    PS_APPEND_OVERHEAD_MAX = 64, /* ... and to all that are appended together */
    PS_READ_RECORDS_MAX = 65536,
    PS_UNBURY_MAX = 65536, /* positions of one call */
};

struct ps_queue_limits {
    uint64_t bytes_max;             /* of live segments */
    uint64_t segment_bytes;         /* a segment is closed at this size */
    uint64_t dead_letter_bytes_max; /* of dead letters: then they are full, and whoever can still
                                       be refused should be */
    uint64_t dead_letter_reserve;   /* so much more for what was acknowledged before */
};

enum ps_queue_mode { PS_QUEUE_READ, PS_QUEUE_WRITE };

struct ps_record {
    const uint8_t *bytes;
    uint32_t len;
    uint64_t position; /* its own; the next record's is larger */
};

/* A read's result. init with zeros; reuse it for many reads; done frees. */
struct ps_records {
    struct ps_record *items;
    size_t count;
    uint64_t next_position; /* read here next */
    struct ps_buf bytes;    /* backs the items; private */
    size_t cap;             /* private */
};

void ps_records_init(struct ps_records *r);
void ps_records_done(struct ps_records *r);

struct ps_dead_letter {
    uint64_t position; /* where it was in the queue */
    int64_t time_ms;
    enum ps_reject why;
    struct ps_str text; /* the error, for a person */
    const uint8_t *bytes;
    size_t len;
};

struct ps_queue_info {
    uint64_t first_position, end_position; /* oldest kept; end of what is durable */
    uint64_t bytes, bytes_max;
    uint64_t dead_letters, dead_letter_bytes, dead_letter_bytes_max;
    uint64_t dead_by_reason[PS_REJECT_COUNT];
    /* What this opening found and mended: bytes of torn tails, which are cut off and kept aside
     * (in doubt: it may be damage to what was acknowledged); places in the dead letters where at
     * least one letter is lost to damage. */
    uint64_t cut_bytes, letters_damaged;
    bool cut_in_doubt;
};

typedef int ps_dead_fn(void *ctx, const struct ps_dead_letter *letter);

struct ps_queue_ops {
    const char *name;
    int (*open)(struct ps_queue **ret, const char *target, enum ps_queue_mode mode,
                const struct ps_queue_limits *limits, struct ps_err *e);
    void (*close)(struct ps_queue *q);
    int (*append)(struct ps_queue *q, const struct ps_str *records, size_t count, struct ps_err *e);
    int (*sync)(struct ps_queue *q, uint64_t *ret_end, struct ps_err *e);
    int (*read)(struct ps_queue *q, uint64_t from, size_t records_max, struct ps_records *ret,
                struct ps_err *e);
    int (*trim)(struct ps_queue *q, uint64_t before, struct ps_err *e);
    int (*bury)(struct ps_queue *q, const struct ps_dead_letter *letters, size_t count,
                struct ps_err *e);
    int (*dead)(struct ps_queue *q, uint64_t from, ps_dead_fn *fn, void *ctx, struct ps_err *e);
    int (*unbury)(struct ps_queue *q, const uint64_t *positions, size_t count, struct ps_err *e);
    int (*info)(struct ps_queue *q, struct ps_queue_info *ret, struct ps_err *e);
};

struct ps_queue {
    const struct ps_queue_ops *ops;
};

int ps_queue_open(const struct ps_queue_ops *ops, struct ps_queue **ret, const char *target,
                  enum ps_queue_mode mode, const struct ps_queue_limits *limits, struct ps_err *e);
void ps_queue_close(struct ps_queue *q); /* NULL is fine; does not sync */

/* All of them or none; not durable and not readable before the next sync. */
int ps_queue_append(struct ps_queue *q, const struct ps_str *records, size_t count,
                    struct ps_err *e);
/* Makes every append so far durable. *ret_end (may be NULL): the end position. After a failure none
 * of them will ever be read in this process; whether one is after a crash is unknown. */
int ps_queue_sync(struct ps_queue *q, uint64_t *ret_end, struct ps_err *e);
/* Up to records_max durable records from position `from`, which came from a read, info or 0. Count
 * 0 at the end: next_position is then the end itself. `from` before the oldest kept record reads
 * from the oldest (0 only), else PS_ENOENT. */
int ps_queue_read(struct ps_queue *q, uint64_t from, size_t records_max, struct ps_records *ret,
                  struct ps_err *e);
/* Records before `before` may be forgotten. */
int ps_queue_trim(struct ps_queue *q, uint64_t before, struct ps_err *e);
/* All of them or none; durable when it returns 0. PS_EFULL: the reserve is used up too. */
int ps_queue_bury(struct ps_queue *q, const struct ps_dead_letter *letters, size_t count,
                  struct ps_err *e);
/* Every dead letter, oldest first. */
int ps_queue_dead(struct ps_queue *q, ps_dead_fn *fn, void *ctx, struct ps_err *e);
/* Those at `from` and after it. */
int ps_queue_dead_from(struct ps_queue *q, uint64_t from, ps_dead_fn *fn, void *ctx,
                       struct ps_err *e);
/* Removes those that are there and returns how many that were; durable then, with one sync. */
int ps_queue_unbury(struct ps_queue *q, const uint64_t *positions, size_t count, struct ps_err *e);
int ps_queue_info(struct ps_queue *q, struct ps_queue_info *ret, struct ps_err *e);

#endif
