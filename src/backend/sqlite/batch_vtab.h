/* batch_vtab.h - rows in memory as a table SQLite can SELECT from: ps_batch.
 *
 * One INSERT ... SELECT over it costs a fraction of binding and stepping row by row. Where a key is
 * there already, its conflict clause calls ps_batch_known(), which marks the row the cursor stands
 * on: so the many that are new cost nothing more.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_SQLITE_BATCH_VTAB_H
#define PS_BACKEND_SQLITE_BATCH_VTAB_H

#include "backend/sqlite/db.h"
#include "core/event.h"

#include <stdbool.h>

/* An event's id in its table, where ts is the other half of the primary key: a made one
 * (ps_event_id_is_made) is the number of its hash, moved so that the order of signed numbers is
 * that of the digits; any other is the text itself. */
struct event_key {
    bool is_number;
    int64_t number;
    struct ps_str text;
};

struct event_key ps_event_key(const struct ps_event *event);
/* The id of a number, PS_MADE_ID_BYTES into `to`. */
enum { PS_MADE_ID_BYTES = 20 + 1 + 16 };
struct ps_str ps_event_key_id(int64_t number, int64_t timestamp_ms, char *to);
/* The same in SQL, of a row `e`. */
#define PS_EVENT_ID_SQL                                                                            \
    "CASE typeof(e.id) WHEN 'integer' THEN printf('%%d-%%016x', e.ts, (e.id |"                     \
    " 0x8000000000000000) - (e.id & 0x8000000000000000)) ELSE e.id END"
void ps_event_key_bind(sqlite3_stmt *q, int index, const struct event_key *key);

struct batch_row {
    const struct ps_event *event;
    int64_t path, shape, user_agent; /* words; 0 is NULL */
    uint8_t *outcome;                /* set to PS_OUTCOME_DUPLICATE when its key is there */
};

/* What the virtual table shows at the moment; belongs to the store, registered once. */
struct batch_source {
    const struct batch_row *rows;
    size_t count;
    size_t cursor;
    size_t known; /* rows that were not inserted */
};

/* The end of an INSERT ... SELECT from ps_batch. */
#define PS_BATCH_ON_CONFLICT " ON CONFLICT (ts, id) DO UPDATE SET ts = ts WHERE ps_batch_known()"

int ps_batch_vtab_register(struct db *db, struct batch_source *source, struct ps_err *e);

/* The columns of a day's events, in order. */
#define PS_EVENT_COLUMNS "ts, id, path, shape, response_us, client_hash, user_agent, response_bytes"

#endif
