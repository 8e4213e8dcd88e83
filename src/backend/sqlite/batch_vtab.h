/* batch_vtab.h - rows in memory as a table SQLite can SELECT from: ps_batch.
 *
 * One INSERT OR IGNORE ... SELECT over it costs a fraction of binding and stepping row by row.
 * While that statement runs, the preupdate hook fires for each row that is really inserted, and
 * marks the row the cursor stands on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_SQLITE_BATCH_VTAB_H
#define PS_BACKEND_SQLITE_BATCH_VTAB_H

#include "backend/sqlite/db.h"
#include "core/event.h"

#include <stdbool.h>

struct batch_row {
    const struct ps_event *event;
    int64_t path, method, user_agent, country; /* words; 0 is NULL */
    uint8_t *outcome;                          /* set to PS_OUTCOME_NEW when inserted */
};

/* What the virtual table shows at the moment; belongs to the store, registered once. */
struct batch_source {
    const struct batch_row *rows;
    size_t count;
    size_t cursor;
    size_t marked;
    bool marking;
    int64_t day_start_ms;
};

int ps_batch_vtab_register(struct db *db, struct batch_source *source, struct ps_err *e);

/* The columns of a day's events, in order; the same list serves both row-by-row and bulk. */
#define PS_EVENT_COLUMNS                                                                           \
    "id, ts, path, method, status, response_us, client_hash, user_agent, country, is_error"

/* Column `i` of the row, into a function result or a bound parameter. */
enum batch_column {
    COLUMN_ID,
    COLUMN_TS,
    COLUMN_PATH,
    COLUMN_METHOD,
    COLUMN_STATUS,
    COLUMN_RESPONSE_US,
    COLUMN_CLIENT_HASH,
    COLUMN_USER_AGENT,
    COLUMN_COUNTRY,
    COLUMN_IS_ERROR,
    COLUMN_COUNT,
};

/* False: NULL. Every column but the id is an integer. */
bool ps_batch_integer(const struct batch_row *row, int64_t day_start_ms, enum batch_column column,
                      int64_t *ret);

#endif
