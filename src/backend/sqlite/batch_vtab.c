/* batch_vtab.c - see batch_vtab.h (https://www.sqlite.org/vtab.html: eponymous, no xCreate).
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/batch_vtab.h"

#include "port/store.h"

#include <stdlib.h>

struct table {
    sqlite3_vtab base;
    struct batch_source *source;
};

struct cursor {
    sqlite3_vtab_cursor base;
    struct batch_source *source;
};

static int connect_table(sqlite3 *db, void *aux, int argc, const char *const *argv,
                         sqlite3_vtab **ret, char **error)
{
    (void)argc;
    (void)argv;
    (void)error;
    int r = sqlite3_declare_vtab(db, "CREATE TABLE x(" PS_EVENT_COLUMNS ")");
    if (r != SQLITE_OK)
        return r;
    struct table *table = sqlite3_malloc(sizeof *table);
    if (table == NULL)
        return SQLITE_NOMEM;
    *table = (struct table){.source = aux};
    *ret = &table->base;
    return SQLITE_OK;
}

static int disconnect_table(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

static int best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    info->estimatedRows = (sqlite3_int64)((struct table *)table)->source->count;
    info->estimatedCost = (double)info->estimatedRows;
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
    struct cursor *cursor = sqlite3_malloc(sizeof *cursor);
    if (cursor == NULL)
        return SQLITE_NOMEM;
    *cursor = (struct cursor){.source = ((struct table *)table)->source};
    *ret = &cursor->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *cursor, int index, const char *text, int argc,
                  sqlite3_value **argv)
{
    (void)index;
    (void)text;
    (void)argc;
    (void)argv;
    ((struct cursor *)cursor)->source->cursor = 0;
    return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *cursor)
{
    ((struct cursor *)cursor)->source->cursor++;
    return SQLITE_OK;
}

static int eof(sqlite3_vtab_cursor *cursor)
{
    const struct batch_source *s = ((struct cursor *)cursor)->source;
    return s->cursor >= s->count;
}

static bool nullable(int64_t value, int64_t null, int64_t *ret)
{
    *ret = value;
    return value != null;
}

bool ps_batch_integer(const struct batch_row *row, int64_t day_start_ms, enum batch_column column,
                      int64_t *ret)
{
    const struct ps_event *event = row->event;
    switch (column) {
    case COLUMN_TS: *ret = event->timestamp_ms - day_start_ms; return true;
    case COLUMN_PATH: return nullable(row->path, 0, ret);
    case COLUMN_METHOD: return nullable(row->method, 0, ret);
    case COLUMN_STATUS: return nullable(event->status, PS_ABSENT, ret);
    case COLUMN_RESPONSE_US: return nullable(event->response_us, PS_ABSENT, ret);
    case COLUMN_CLIENT_HASH: *ret = (int64_t)event->client_hash; return event->has_client;
    case COLUMN_USER_AGENT: return nullable(row->user_agent, 0, ret);
    case COLUMN_COUNTRY: return nullable(row->country, 0, ret);
    case COLUMN_IS_ERROR: /* with a status it follows from that */
        return event->status == PS_ABSENT && nullable(event->is_error, PS_ABSENT, ret);
    default: return false;
    }
}

static int column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int n)
{
    const struct batch_source *s = ((struct cursor *)cursor)->source;
    const struct batch_row *row = &s->rows[s->cursor];
    int64_t value;
    if (n == COLUMN_ID)
        sqlite3_result_text(context, row->event->id.ptr, (int)row->event->id.len, SQLITE_STATIC);
    else if (ps_batch_integer(row, s->day_start_ms, (enum batch_column)n, &value))
        sqlite3_result_int64(context, value);
    return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *ret)
{
    *ret = (sqlite3_int64)((struct cursor *)cursor)->source->cursor;
    return SQLITE_OK;
}

static const sqlite3_module module = {
    .iVersion = 1,
    .xConnect = connect_table,
    .xBestIndex = best_index,
    .xDisconnect = disconnect_table,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column,
    .xRowid = rowid,
};

static void mark_inserted(void *aux, sqlite3 *db, int op, const char *schema, const char *table,
                          sqlite3_int64 old_key, sqlite3_int64 new_key)
{
    struct batch_source *s = aux;
    (void)db;
    (void)schema;
    (void)table;
    (void)old_key;
    (void)new_key;
    if (!s->marking || op != SQLITE_INSERT || s->cursor >= s->count)
        return;
    *s->rows[s->cursor].outcome = PS_OUTCOME_NEW;
    s->marked++;
}

int ps_batch_vtab_register(struct db *db, struct batch_source *source, struct ps_err *e)
{
    if (sqlite3_create_module(db->handle, "ps_batch", &module, source) != SQLITE_OK)
        return ps_db_fail(db, e, "register the batch table");
    sqlite3_preupdate_hook(db->handle, mark_inserted, source);
    return 0;
}
