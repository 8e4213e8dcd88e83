/* events.c - reading the events of a day.
 *
 * In slices that are copied: between two of them no transaction is open. A reader that takes its
 * time with an event, as an upload does, would otherwise keep the write-ahead log from shrinking.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/store.h"

#include "base/check.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLICE_EVENTS = 8192,
    SLICE_BYTES = 4 << 20,
    EVENT_BYTES_MAX = PS_ID_MAX + PS_PATH_MAX + PS_METHOD_MAX + PS_USER_AGENT_MAX + PS_COUNTRY_MAX,
};

struct slice {
    struct sqlite_store *s;
    int32_t day;
    enum ps_event_order order;
    /* the last event of the slice before */
    int64_t after_ms;
    struct ps_str after_id; /* PS_STR_NONE: from the day's beginning */
    char after_bytes[PS_ID_MAX];
    struct ps_event *events;
    size_t count;
    char *bytes; /* of their texts */
    size_t used;
};

/* PS_ENOENT when it is not stored, without a text. */
static int look_up_day(struct sqlite_store *s, int32_t day, struct stored_day *ret,
                       struct ps_err *e)
{
    sqlite3_stmt *q;
    int r = ps_db_prepare(&s->db, "SELECT own, has_text_ids FROM days WHERE day = ?", &q, e);
    if (r < 0)
        return r;
    sqlite3_bind_int(q, 1, day);
    int step = sqlite3_step(q);
    *ret = (struct stored_day){.day = day};
    if (step == SQLITE_ROW) {
        ret->own = sqlite3_column_int(q, 0);
        ret->has_text_ids = sqlite3_column_int(q, 1);
    } else {
        r = step == SQLITE_DONE ? PS_ENOENT : ps_db_fail(&s->db, e, "days");
    }
    sqlite3_finalize(q);
    return r;
}

/* As formats, because PS_EVENT_ID_SQL is one. */
#define EVENTS_BY(ID)                                                                              \
    "SELECT e.ts, e.id, p.word, s.method, s.status, s.country, s.is_error, e.response_us,"         \
    " e.client_hash, u.word, e.response_bytes FROM events_%s e LEFT JOIN words_%s p ON p.id = "    \
    "e.path LEFT JOIN"                                                                             \
    " shapes_%s s ON s.id = e.shape LEFT JOIN words_%s u ON u.id = e.user_agent"                   \
    " WHERE e.ts >= ?1 AND e.ts < ?2 AND (e.ts > ?1 OR " ID " > ?3) ORDER BY e.ts, " ID

/* A day whose ids are all numbers is in order by its primary key. */
static int prepare(const struct slice *slice, const struct stored_day *day, bool by_text,
                   sqlite3_stmt **ret, struct ps_err *e)
{
    char name[9], sql[1024];
    ps_sqlite_shelf_name(name, day->day, day->own);
    sqlite3_snprintf(sizeof sql, sql, by_text ? EVENTS_BY(PS_EVENT_ID_SQL) : EVENTS_BY("e.id"),
                     name, name, name, name);
    int r = ps_db_prepare(&slice->s->db, sql, ret, e);
    if (r < 0)
        return r;
    sqlite3_bind_int64(*ret, 1, slice->after_ms);
    sqlite3_bind_int64(*ret, 2, (int64_t)(day->day + 1) * PS_MS_PER_DAY);
    struct event_key key = {.text = slice->after_id}; /* NULL is neither greater nor smaller */
    if (!by_text && slice->after_id.ptr != NULL)
        key = ps_event_key(
            &(struct ps_event){.id = slice->after_id, .timestamp_ms = slice->after_ms});
    ps_event_key_bind(*ret, 3, &key);
    return 0;
}

/* --- copying --- */

static struct ps_str keep(struct slice *slice, struct ps_str s)
{
    char *to = slice->bytes + slice->used;
    if (s.ptr == NULL)
        return s;
    ps_copy(to, s.ptr, s.len);
    slice->used += s.len;
    return (struct ps_str){to, s.len};
}

static int64_t column_or_absent(sqlite3_stmt *q, int column)
{
    return sqlite3_column_type(q, column) == SQLITE_NULL ? PS_ABSENT
                                                         : sqlite3_column_int64(q, column);
}

/* More than the core lets in would not fit: somebody else wrote it. */
static bool fits(sqlite3_stmt *q)
{
    static const int texts[] = {1, 2, 3, 5, 9};
    size_t bytes = 0;
    for (size_t i = 0; i < PS_COUNT_OF(texts); i++)
        if (sqlite3_column_type(q, texts[i]) != SQLITE_INTEGER)
            bytes += (size_t)sqlite3_column_bytes(q, texts[i]);
    return bytes <= EVENT_BYTES_MAX && sqlite3_column_bytes(q, 1) <= PS_ID_MAX;
}

static void keep_event(struct slice *slice, sqlite3_stmt *q)
{
    char id[PS_MADE_ID_BYTES];
    struct ps_event event = {
        .timestamp_ms = sqlite3_column_int64(q, 0),
        .path = keep(slice, ps_db_column_str(q, 2)),
        .method = keep(slice, ps_db_column_str(q, 3)),
        .status = (int32_t)column_or_absent(q, 4),
        .country = keep(slice, ps_db_column_str(q, 5)),
        .is_error = (int8_t)column_or_absent(q, 6),
        .response_us = column_or_absent(q, 7),
        .client_hash = (uint64_t)sqlite3_column_int64(q, 8),
        .has_client = sqlite3_column_type(q, 8) != SQLITE_NULL,
        .user_agent = keep(slice, ps_db_column_str(q, 9)),
        .response_bytes = column_or_absent(q, 10),
    };
    event.id = keep(slice, sqlite3_column_type(q, 1) == SQLITE_INTEGER
                               ? ps_event_key_id(sqlite3_column_int64(q, 1), event.timestamp_ms, id)
                               : ps_db_column_str(q, 1));
    if (event.status != PS_ABSENT)
        event.is_error = event.status >= 400;
    slice->events[slice->count++] = event;
}

static bool is_full(const struct slice *slice)
{
    return slice->count == SLICE_EVENTS || slice->used + EVENT_BYTES_MAX > SLICE_BYTES;
}

/* The next events; none when there are no more. */
static int read_slice(struct slice *slice, struct ps_err *e)
{
    struct stored_day day;
    sqlite3_stmt *q = NULL;
    int r = look_up_day(slice->s, slice->day, &day, e);
    slice->count = slice->used = 0;
    if (r == PS_ENOENT)
        return 0;
    if (r == 0)
        r = prepare(slice, &day, slice->order == PS_ORDER_TIME && day.has_text_ids, &q, e);
    int step = SQLITE_ROW;
    while (r == 0 && !is_full(slice) && (step = sqlite3_step(q)) == SQLITE_ROW) {
        if (fits(q))
            keep_event(slice, q);
        else
            r = ps_fail(e, PS_ECORRUPT, "%s: an event that is longer than one can be",
                        sqlite3_db_filename(slice->s->db.handle, "main"));
    }
    if (r == 0 && step != SQLITE_ROW && step != SQLITE_DONE)
        r = ps_db_fail(&slice->s->db, e, "events");
    sqlite3_finalize(q);
    return r;
}

static int hand_on(struct slice *slice, ps_event_fn *fn, void *ctx)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < slice->count; i++)
        r = fn(ctx, &slice->events[i]);
    const struct ps_event *last = &slice->events[slice->count - 1];
    slice->after_ms = last->timestamp_ms;
    ps_copy(slice->after_bytes, last->id.ptr, last->id.len);
    slice->after_id = (struct ps_str){slice->after_bytes, last->id.len};
    return r;
}

int ps_sqlite_events(struct ps_store *store, int32_t day, enum ps_event_order order,
                     ps_event_fn *fn, void *ctx, struct ps_err *e)
{
    struct slice slice = {.s = sqlite_of(store),
                          .day = day,
                          .order = order,
                          .after_ms = (int64_t)day * PS_MS_PER_DAY - 1,
                          .after_id = PS_STR_NONE};
    slice.events = malloc(SLICE_EVENTS * sizeof *slice.events);
    slice.bytes = malloc(SLICE_BYTES);
    int r = slice.events == NULL || slice.bytes == NULL
                ? ps_fail(e, PS_ENOMEM, "store: no memory for the events of a day")
                : read_slice(&slice, e);
    while (r == 0 && slice.count > 0) {
        bool more = is_full(&slice);
        r = hand_on(&slice, fn, ctx);
        if (r < 0 || !more)
            break;
        r = read_slice(&slice, e);
    }
    free(slice.events);
    free(slice.bytes);
    return r;
}
