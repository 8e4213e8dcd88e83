/* words.c - see words.h.  SPDX-License-Identifier: MIT */
#include "backend/sqlite/words.h"

#include "base/check.h"

#include <string.h>

static int prepare(struct dictionary *d, struct db *db, const char *day_name, const char *find,
                   const char *add, struct ps_err *e)
{
    char sql[192];
    ps_dict_init(&d->cache);
    sqlite3_snprintf(sizeof sql, sql, find, day_name);
    int r = ps_db_prepare(db, sql, &d->find, e);
    if (r < 0)
        return r;
    sqlite3_snprintf(sizeof sql, sql, add, day_name);
    return ps_db_prepare(db, sql, &d->add, e);
}

int ps_words_open(struct words *w, struct db *db, const char *day_name, struct ps_err *e)
{
    *w = (struct words){0};
    int r = prepare(&w->texts, db, day_name, "SELECT id FROM words_%s WHERE word = ?1",
                    "INSERT INTO words_%s(word) VALUES (?1)", e);
    if (r == 0)
        r = prepare(&w->shapes, db, day_name,
                    "SELECT id FROM shapes_%s WHERE method IS ?1 AND status IS ?2 AND country IS ?3"
                    " AND is_error IS ?4",
                    "INSERT INTO shapes_%s(method, status, country, is_error) VALUES (?1,?2,?3,?4)",
                    e);
    return r;
}

static void finish(struct dictionary *d)
{
    ps_dict_done(&d->cache);
    sqlite3_finalize(d->find);
    sqlite3_finalize(d->add);
}

void ps_words_close(struct words *w)
{
    finish(&w->texts);
    finish(&w->shapes);
    *w = (struct words){0};
}

/* The row that the bound parameters describe, made when there is none. */
static int find_or_add(struct dictionary *d, struct db *db, int64_t *ret, struct ps_err *e)
{
    int step = sqlite3_step(d->find);
    if (step == SQLITE_ROW)
        *ret = sqlite3_column_int64(d->find, 0);
    sqlite3_reset(d->find);
    if (step == SQLITE_ROW)
        return 0;
    if (step != SQLITE_DONE)
        return ps_db_fail(db, e, "words");
    int r = ps_db_run(db, d->add, e);
    *ret = sqlite3_last_insert_rowid(db->handle);
    return r;
}

static int remember(struct dictionary *d, struct ps_str key, uint64_t hash, int64_t number,
                    struct ps_err *e)
{
    if (number > UINT32_MAX) /* not cached: looked up each time */
        return 0;
    return ps_dict_put(&d->cache, key, hash, (uint32_t)number) < 0
               ? ps_fail(e, PS_ENOMEM, "store: no memory for words")
               : 0;
}

int ps_words_text(struct words *w, struct db *db, struct ps_str text, uint64_t hash, int64_t *ret,
                  struct ps_err *e)
{
    struct dictionary *d = &w->texts;
    *ret = 0;
    if (text.ptr == NULL)
        return 0;
    *ret = ps_dict_find(&d->cache, text, hash);
    if (*ret != 0)
        return 0;
    ps_db_bind_str(d->find, 1, text);
    ps_db_bind_str(d->add, 1, text);
    int r = find_or_add(d, db, ret, e);
    return r < 0 ? r : remember(d, text, hash, *ret, e);
}

/* What tells one shape from another, without padding. */
struct shape_key {
    char method[PS_METHOD_MAX], country[PS_COUNTRY_MAX];
    int32_t status;
    int8_t is_error; /* of an event without a status; with one it follows from that */
    int8_t method_len, country_len, unused;
};

_Static_assert(sizeof(struct shape_key) == PS_METHOD_MAX + PS_COUNTRY_MAX + 8, "no padding");

/* Of the key's four words; need not be good, only quick. */
static uint64_t hash_key(const struct shape_key *key)
{
    uint64_t words[4], hash = 0;
    _Static_assert(sizeof words == sizeof *key, "four words");
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < 4; i++)
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static struct shape_key key_of(const struct ps_event *event)
{
    struct shape_key key = {
        .status = event->status,
        .is_error = event->status == PS_ABSENT ? event->is_error : PS_ABSENT,
        .method_len = event->method.ptr == NULL ? PS_ABSENT : (int8_t)event->method.len,
        .country_len = event->country.ptr == NULL ? PS_ABSENT : (int8_t)event->country.len,
    };
    ps_copy(key.method, event->method.ptr, event->method.len);
    ps_copy(key.country, event->country.ptr, event->country.len);
    return key;
}

static void bind_number(sqlite3_stmt *q, int index, int value)
{
    if (value == PS_ABSENT)
        sqlite3_bind_null(q, index);
    else
        sqlite3_bind_int(q, index, value);
}

static void bind_shape(sqlite3_stmt *q, const struct ps_event *event, const struct shape_key *key)
{
    ps_db_bind_str(q, 1, event->method);
    bind_number(q, 2, key->status);
    ps_db_bind_str(q, 3, event->country);
    bind_number(q, 4, key->is_error);
}

int ps_words_shape(struct words *w, struct db *db, const struct ps_event *event, int64_t *ret,
                   struct ps_err *e)
{
    struct dictionary *d = &w->shapes;
    struct shape_key key = key_of(event);
    struct ps_str bytes = {(const char *)&key, sizeof key};
    uint64_t hash = hash_key(&key);
    *ret = ps_dict_find(&d->cache, bytes, hash);
    if (*ret != 0)
        return 0;
    bind_shape(d->find, event, &key);
    bind_shape(d->add, event, &key);
    int r = find_or_add(d, db, ret, e);
    return r < 0 ? r : remember(d, bytes, hash, *ret, e);
}
