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

#define SIGN UINT64_C(0x8000000000000000)

struct event_key ps_event_key(const struct ps_event *event)
{
    uint64_t number;
    if (!ps_event_id_is_made(event, &number))
        return (struct event_key){.text = event->id};
    return (struct event_key){.is_number = true, .number = (int64_t)(number ^ SIGN)};
}

struct ps_str ps_event_key_id(int64_t number, int64_t timestamp_ms, char *to)
{
    size_t n = ps_format_u64(to, (uint64_t)timestamp_ms);
    to[n++] = '-';
    ps_format_hex64(to + n, (uint64_t)number ^ SIGN);
    return (struct ps_str){to, n + 16};
}

void ps_event_key_bind(sqlite3_stmt *q, int index, const struct event_key *key)
{
    if (key->is_number)
        sqlite3_bind_int64(q, index, key->number);
    else
        ps_db_bind_str(q, index, key->text);
}

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

static void result_number(sqlite3_context *context, int64_t value, int64_t null)
{
    if (value != null)
        sqlite3_result_int64(context, value);
}

static void result_key(sqlite3_context *context, const struct ps_event *event)
{
    struct event_key key = ps_event_key(event);
    if (key.is_number)
        sqlite3_result_int64(context, key.number);
    else
        sqlite3_result_text(context, key.text.ptr, (int)key.text.len, SQLITE_STATIC);
}

/* In the order of PS_EVENT_COLUMNS. */
static int column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int n)
{
    const struct batch_source *s = ((struct cursor *)cursor)->source;
    const struct batch_row *row = &s->rows[s->cursor];
    const struct ps_event *event = row->event;
    switch (n) {
    case 0: sqlite3_result_int64(context, event->timestamp_ms); break;
    case 1: result_key(context, event); break;
    case 2: sqlite3_result_int64(context, row->path); break;
    case 3: sqlite3_result_int64(context, row->shape); break;
    case 4: result_number(context, event->response_us, PS_ABSENT); break;
    case 5:
        if (event->has_client)
            sqlite3_result_int64(context, (int64_t)event->client_hash);
        break;
    case 6: result_number(context, row->user_agent, 0); break;
    default: result_number(context, event->response_bytes, PS_ABSENT); break;
    }
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

/* ps_batch_known(): false, so that nothing is updated. */
static void mark_known(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct batch_source *s = sqlite3_user_data(context);
    (void)argc;
    (void)argv;
    *s->rows[s->cursor].outcome = PS_OUTCOME_DUPLICATE;
    s->known++;
    sqlite3_result_int(context, 0);
}

int ps_batch_vtab_register(struct db *db, struct batch_source *source, struct ps_err *e)
{
    return sqlite3_create_module(db->handle, "ps_batch", &module, source) == SQLITE_OK &&
                   sqlite3_create_function(db->handle, "ps_batch_known", 0,
                                           SQLITE_UTF8 | SQLITE_DIRECTONLY, source, mark_known,
                                           NULL, NULL) == SQLITE_OK
               ? 0
               : ps_db_fail(db, e, "register the batch table");
}
