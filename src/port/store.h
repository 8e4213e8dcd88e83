/* store.h - where events and their hourly statistics live.
 *
 * One rule makes a crash harmless, and every backend must keep it (I4):
 *     events, the queue position and the redo record change in one transaction, or not at all.
 *
 * Statistics are written behind: ps_store_settle writes rows and moves the watermark. A redo record
 * per applied batch says which events of which queue range were new, so that recovery reads the
 * range again and counts exactly those. ps_store_settle forgets the redo records it covers.
 *
 * Ownership: arguments belong to the caller and are not kept. Rows handed to a callback are valid
 * during the call alone; a callback returns 0 to go on, or a negative code that ends the walk.
 * Threads: a handle belongs to the thread that opened it; several handles on one target are fine,
 * one of them writes at a time (the backend waits its turn).
 * Errors: PS_EBUSY try again; PS_EIO the engine; PS_EFULL no room; PS_ECORRUPT.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_PORT_STORE_H
#define PS_PORT_STORE_H

#include "base/err.h"
#include "core/aggregate.h"
#include "core/event.h"

struct ps_store;

enum { PS_BATCH_EVENTS_MAX = 65536 };

enum ps_store_mode { PS_STORE_READ, PS_STORE_WRITE /* creates and migrates */ };

enum ps_outcome {
    PS_OUTCOME_NEW,
    PS_OUTCOME_DUPLICATE,
    PS_OUTCOME_CLOSED_DAY,
    PS_OUTCOME_COUNT,
};

/* Events that arrived together, in queue order. */
struct ps_batch {
    const struct ps_event *events;
    size_t count; /* may be 0: only the position moves */
    /* These did not come from the queue: its position stays and there is no redo record, so their
     * statistics have to be settled in the same transaction (ps_store_begin). */
    bool direct;
    /* A permutation of 0..count-1 by timestamp, then id; equal ones by index. See ps_batch_sort. */
    const uint32_t *order;
    uint32_t partition;
    uint64_t first_position, next_position; /* the queue range they came from, unless direct */
    /* Called once before the commit when any outcome is neither NEW nor DUPLICATE: the last moment
     * to keep those events elsewhere. A negative return aborts the transaction. */
    int (*refused)(void *ctx, const uint8_t *outcomes, struct ps_err *e);
    void *ctx;
};

/* What decides the order nearly always, side by side in memory. */
struct ps_sort_key {
    int64_t timestamp_ms;
    uint64_t head[2]; /* of the id: the number of a made one, else bytes */
    uint32_t index;
};

/* Sorts `order` (count entries, contents ignored) as ps_batch wants it; `scratch` has 2 * count
 * keys. At one time made ids (ps_event_id_is_made) are in their order, and so are other dated ones;
 * how these and the rest lie to each other is nobody's concern, as long as equal ids are together.
 */
void ps_batch_sort(const struct ps_event *events, size_t count, uint32_t *order,
                   struct ps_sort_key *scratch);

struct ps_applied {
    uint8_t *outcomes; /* caller's, one enum ps_outcome per event, in queue order */
    size_t fresh, duplicates, refused;
};

/* The statistics of one path and hour. */
struct ps_stat_row {
    int32_t hour; /* hours since 1970 */
    struct ps_str path;
    struct ps_stat stat;
};

/* One batch applied after the watermark. Bit i of `fresh` (byte i/8, least significant first):
 * event i of the range was new. */
struct ps_redo {
    uint32_t partition;
    uint64_t first_position, next_position;
    size_t count;
    const uint8_t *fresh;
};

struct ps_stats_query {
    int32_t from_hour, to_hour; /* both inclusive */
    struct ps_str path;         /* absent: every path */
    bool brief;                 /* requests alone are wanted: the rest may be absent */
    struct ps_str after;        /* only paths behind this one; of a single hour, without `path` */
};

enum ps_day_state {
    PS_DAY_OPEN,      /* takes events */
    PS_DAY_PENDING,   /* being archived: sealed */
    PS_DAY_COMPLETED, /* object verified; sealed */
    PS_DAY_CLEANED,   /* events are gone from the store; sealed */
    PS_DAY_FAILED,    /* the last archive run failed: takes events, will be tried again */
    PS_DAY_RESTORED,  /* brought back: takes events, will be archived again */
};

const char *ps_day_state_name(enum ps_day_state state); /* "pending"; open is "open" */

/* A day with events in the store, an archive record, or both. */
struct ps_day {
    int32_t day;
    enum ps_day_state state;
    bool stored;          /* the store holds its events now */
    struct ps_str object; /* archive_metadata.r2_path; absent when never archived */
    int64_t record_count, file_size_bytes, archived_at_ms; /* of the archive; 0 */
    struct ps_str sha256;                                  /* hex, of the object's bytes */
    struct ps_str error;                                   /* of the last failure */
};

typedef int ps_event_fn(void *ctx, const struct ps_event *event);
typedef int ps_stat_fn(void *ctx, const struct ps_stat_row *row);
typedef int ps_redo_fn(void *ctx, const struct ps_redo *redo);
typedef int ps_day_fn(void *ctx, const struct ps_day *day);

enum ps_transact { PS_BEGIN, PS_COMMIT, PS_ROLLBACK };

enum ps_event_order { PS_ORDER_ANY, PS_ORDER_TIME /* timestamp, then id */ };

struct ps_store_ops {
    const char *name; /* the word in the config file */
    int (*open)(struct ps_store **ret, const char *target, enum ps_store_mode mode,
                struct ps_err *e);
    void (*close)(struct ps_store *s);
    int (*apply)(struct ps_store *s, const struct ps_batch *b, struct ps_applied *ret,
                 struct ps_err *e);
    int (*settle)(struct ps_store *s, const struct ps_stat_row *rows, size_t count,
                  uint32_t partition, uint64_t watermark, int64_t now_ms, struct ps_err *e);
    int (*position)(struct ps_store *s, uint32_t partition, uint64_t *ret_position,
                    uint64_t *ret_watermark, struct ps_err *e);
    int (*redo)(struct ps_store *s, uint32_t partition, ps_redo_fn *fn, void *ctx,
                struct ps_err *e);
    int (*stats)(struct ps_store *s, const struct ps_stats_query *q, ps_stat_fn *fn, void *ctx,
                 struct ps_err *e);
    int (*events)(struct ps_store *s, int32_t day, enum ps_event_order order, ps_event_fn *fn,
                  void *ctx, struct ps_err *e);
    int (*days)(struct ps_store *s, ps_day_fn *fn, void *ctx, struct ps_err *e);
    int (*freeze)(struct ps_store *s, bool on, struct ps_err *e);
    int (*transact)(struct ps_store *s, enum ps_transact what, struct ps_err *e);
    /* Both may be NULL: there is no log that a reader could keep long. */
    void (*limit_log)(struct ps_store *s, uint64_t max_bytes);
    int (*pressure)(struct ps_store *s, struct ps_err *e);
    /* Both may be NULL. */
    int (*meta)(struct ps_store *s, const char *name, int64_t *ret, struct ps_err *e);
    int (*set_meta)(struct ps_store *s, const char *name, int64_t value, struct ps_err *e);
};

struct ps_store {
    const struct ps_store_ops *ops;
    bool in_transaction, spoiled; /* the front door's; spoiled: a part of it has failed */
};

/* The front door: checks the contract once for every backend. `target` is the backend's own word
 * for where (a file name). On failure *ret is untouched. */
int ps_store_open(const struct ps_store_ops *ops, struct ps_store **ret, const char *target,
                  enum ps_store_mode mode, struct ps_err *e);
void ps_store_close(struct ps_store *s); /* NULL is fine */

/* Stores what is new, moves the position, writes the redo record; all or nothing. */
int ps_store_apply(struct ps_store *s, const struct ps_batch *b, struct ps_applied *ret,
                   struct ps_err *e);

/* Inserts or replaces rows (a row with requests == 0 is removed), sets the watermark, forgets the
 * redo records up to it; all or nothing. */
int ps_store_settle(struct ps_store *s, const struct ps_stat_row *rows, size_t count,
                    uint32_t partition, uint64_t watermark, int64_t now_ms, struct ps_err *e);

/* Both 0 in a fresh store. position >= watermark. */
int ps_store_position(struct ps_store *s, uint32_t partition, uint64_t *ret_position,
                      uint64_t *ret_watermark, struct ps_err *e);

/* Redo records after the watermark, by position. */
int ps_store_redo(struct ps_store *s, uint32_t partition, ps_redo_fn *fn, void *ctx,
                  struct ps_err *e);

/* Rows by (hour, path bytes). */
int ps_store_stats(struct ps_store *s, const struct ps_stats_query *q, ps_stat_fn *fn, void *ctx,
                   struct ps_err *e);

/* The events of one UTC day. Without a freeze they may be read in several parts, so that no part
 * keeps the engine waiting: of a day that takes events meanwhile, those that were there are among
 * them. */
int ps_store_events(struct ps_store *s, int32_t day, enum ps_event_order order, ps_event_fn *fn,
                    void *ctx, struct ps_err *e);

/* Every known day, oldest first. */
int ps_store_days(struct ps_store *s, ps_day_fn *fn, void *ctx, struct ps_err *e);

/* Numbers of days; zeros are an empty list. The calendar bounds it. */
struct ps_day_list {
    int32_t *days;
    size_t count, room;
};
int ps_day_list_add(struct ps_day_list *list, int32_t day, struct ps_err *e);
void ps_day_list_done(struct ps_day_list *list);

/* While on, every read of this handle sees the state of the moment it was turned on. */
int ps_store_freeze(struct ps_store *s, bool on, struct ps_err *e);

/* How long a write-ahead log may become, which a reader can keep from shrinking. At the maximum
 * apply and begin say PS_EBUSY and store nothing, until the reader ends. */
void ps_store_limit_log(struct ps_store *s, uint64_t max_bytes);
/* PS_EBUSY with a text while readers keep the log at half of its maximum or more; else 0. */
int ps_store_pressure(struct ps_store *s, struct ps_err *e);

/* Numbers about the store as a whole, by name; for a store that has them. PS_ENOENT: not set. */
bool ps_store_has_meta(const struct ps_store *s);
int ps_store_meta(struct ps_store *s, const char *name, int64_t *ret, struct ps_err *e);
/* Durable when it returns; not inside a transaction. */
int ps_store_set_meta(struct ps_store *s, const char *name, int64_t value, struct ps_err *e);

/* What is applied and settled from begin to commit is durable together, or not at all; other
 * handles do not write meanwhile. Once an apply or settle in between has failed, so does all that
 * follows, and commit: nothing since begin stays. Begin may say PS_EBUSY. Closing rolls back. */
int ps_store_begin(struct ps_store *s, struct ps_err *e);
int ps_store_commit(struct ps_store *s, struct ps_err *e);
void ps_store_rollback(struct ps_store *s);

#endif
