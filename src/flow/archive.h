/* archive.h - a day leaves: archived as one object, read back, verified, and only then cleaned
 * (I5).
 *
 *     seal (pending) → stream to events-archive/YYYY/MM/YYYY-MM-DD.jsonl.gz → read it back: count
 * and SHA-256 → completed → drop the day → cleaned
 *
 * An object that is there already is replaced only when the store has all its events
 * (flow/overwrite.h).
 *
 * Safe to interrupt at any instruction: a day found pending is archived from its beginning, a
 * completed one is cleaned after its object was read back once more. A failure leaves the day in
 * the database, marked failed with the reason, and the next run tries again. Events for a sealed or
 * cleaned day are refused by the store (I6); they lie in the dead letters and can be replayed after
 * a restore. Memory does not depend on the number of events.
 *
 * Threads: one archiver at a time; store and ledger handles belong to its thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_ARCHIVE_H
#define PS_FLOW_ARCHIVE_H

#include "port/clock.h"
#include "port/ledger.h"
#include "port/objects.h"
#include "port/store.h"

#define PS_ARCHIVE_PREFIX "events-archive/"

enum { PS_ARCHIVE_KEY_BYTES = 64 };

enum ps_archive_phase { PS_PHASE_ARCHIVE, PS_PHASE_VERIFY, PS_PHASE_CLEAN, PS_PHASE_RESTORE };

struct ps_archiver {
    struct ps_store *store; /* for reading */
    struct ps_ledger *ledger;
    struct ps_objects *objects;
    struct ps_clock *clock;
    unsigned retention_days;
    /* May be NULL. `done` events so far; a negative return ends the work with that code. */
    int (*progress)(void *ctx, int32_t day, enum ps_archive_phase phase, uint64_t done);
    void *ctx;
    /* Days may be pending that nobody archives, because a failure could not be written down or a
     * process died, and why; ps_archive_mend looks. */
    bool left_pending;
    char why[PS_ERR_TEXT_MAX];
};

struct ps_archived {
    int32_t day;
    uint64_t events, object_bytes, json_bytes;
    char warning[PS_ERR_TEXT_MAX]; /* what went wrong and harms no event; or "" */
};

/* "events-archive/2025/10/2025-10-15.jsonl.gz" */
void ps_archive_key(char to[PS_ARCHIVE_KEY_BYTES], int32_t day);

/* Why a day can be archived now, or not. `ret` gets its present state; the texts are for a person.
 * PS_EINVAL: too young. PS_ENOENT: no events. PS_EEXIST: cleaned already. */
int ps_archive_check(struct ps_archiver *a, int32_t day, struct ps_err *e);

/* One day, all the way. */
int ps_archive_day(struct ps_archiver *a, int32_t day, struct ps_archived *ret, struct ps_err *e);

/* Every day that is older than the retention and not cleaned, oldest first. A day that fails does
 * not keep the others; the first failure is returned at the end. *ret sums up, and its day is the
 * number of days done. */
int ps_archive_run(struct ps_archiver *a, struct ps_archived *ret, struct ps_err *e);

/* Where not even a failure could be written down (a disk that is full is full for the ledger too),
 * writes it down now, so that the days take events again. Cheap when there is nothing to do; while
 * no archiver is at work. */
int ps_archive_mend(struct ps_archiver *a, struct ps_err *e);

/* The oldest day that may go; PS_ENOENT when there is none. */
int ps_archive_oldest(struct ps_archiver *a, int32_t *ret_day, struct ps_err *e);

/* Reads an archived day's object: its lines to fn (may be NULL), then checks count and SHA-256
 * against the ledger. PS_ECORRUPT says which differs. */
typedef int ps_archive_bytes_fn(void *ctx, const void *bytes, size_t len, struct ps_err *e);
int ps_archive_read(struct ps_archiver *a, int32_t day, ps_archive_bytes_fn *fn, void *ctx,
                    struct ps_archived *ret, struct ps_err *e);

/* Brings a cleaned day's events back for SQL, without counting them again. */
int ps_archive_restore(struct ps_archiver *a, int32_t day, struct ps_archived *ret,
                       struct ps_err *e);

#endif
