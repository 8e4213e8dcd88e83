/* words.h - the dictionary of one day: what repeats from event to event, as small numbers.
 *
 * Texts (path, user agent) and shapes: a shape is the method, status, country and error of an
 * event together, of which there are few. Every day has its own tables, so that a day is
 * self-contained and goes as a whole. In memory only a bounded cache. After a rollback close it: it
 * may name rows that were never committed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_SQLITE_WORDS_H
#define PS_BACKEND_SQLITE_WORDS_H

#include "backend/sqlite/db.h"
#include "backend/sqlite/dict.h"
#include "core/event.h"

struct dictionary {
    struct dict cache;
    sqlite3_stmt *find, *add;
};

struct words {
    struct dictionary texts, shapes;
};

/* The day's tables, for a CREATE; %s is the day's name, twice. */
#define PS_WORDS_TABLES                                                                            \
    "CREATE TABLE words_%s(id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);"                    \
    "CREATE TABLE shapes_%s(id INTEGER PRIMARY KEY, method TEXT, status INTEGER, country TEXT,"    \
    " is_error INTEGER, UNIQUE (method, status, country, is_error));"

int ps_words_open(struct words *w, struct db *db, const char *day_name, struct ps_err *e);
void ps_words_close(struct words *w); /* one of zeros is fine */
/* The number of the text, made when it is new; 0 for an absent one. `hash` is ps_hash64 of it. */
int ps_words_text(struct words *w, struct db *db, struct ps_str text, uint64_t hash, int64_t *ret,
                  struct ps_err *e);
int ps_words_shape(struct words *w, struct db *db, const struct ps_event *event, int64_t *ret,
                   struct ps_err *e);

#endif
