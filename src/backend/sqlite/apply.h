/* apply.h - a batch on its way into the tables: shared by apply.c, insert.c and foreign.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_SQLITE_APPLY_H
#define PS_BACKEND_SQLITE_APPLY_H

#include "backend/sqlite/store.h"

struct applying {
    struct sqlite_store *s;
    const struct ps_batch *batch;
    uint8_t *outcomes; /* PS_OUTCOME_DUPLICATE until an event is stored */
    struct ps_err *e;
};

/* A day that is being written, and where. */
struct day_shelf {
    struct stored_day *day;
    struct shelf *shelf;
};

/* insert.c */

/* The tables for so many events of this one's day, made if need be, ready to write. */
int ps_sqlite_day_to_write(struct applying *a, size_t index, size_t coming, struct day_shelf *ret);
/* The event as a row, its texts as words. */
int ps_sqlite_fill_row(struct applying *a, const struct day_shelf *to, size_t index,
                       struct batch_row *row);
/* s->rows[0..count) in one statement, fastest when sorted by key. */
int ps_sqlite_insert_rows(struct applying *a, const struct day_shelf *to, size_t count);
/* One event; overwrites s->rows[0]. */
int ps_sqlite_insert_row(struct applying *a, size_t index);
/* Remembers that an event with a foreign id of this hash lies at this time. */
int ps_sqlite_note_foreign(struct applying *a, int64_t hash, int64_t timestamp_ms);

/* foreign.c: ids that do not begin with their event's timestamp */

struct foreign {
    int64_t hash; /* XXH64 of the id */
    uint32_t index;
};

struct foreign_plan {
    struct foreign *fresh; /* certainly new: no stored or earlier id has this hash */
    size_t fresh_count;
    bool *in_bulk; /* by event: is among the fresh */
};

/* Which foreign events that were admitted can go in bulk. Done frees. */
int ps_sqlite_plan_foreign(struct applying *a, struct foreign_plan *ret);
void ps_sqlite_foreign_plan_done(struct foreign_plan *plan);
/* After the bulk: remembers the hashes of the fresh. */
int ps_sqlite_note_plan(struct applying *a, const struct foreign_plan *plan);
/* One event, compared with every stored day. */
int ps_sqlite_insert_foreign(struct applying *a, size_t index);
/* The same for a dated id where misdated ones are about. */
int ps_sqlite_insert_suspicious(struct applying *a, size_t index);

#endif
