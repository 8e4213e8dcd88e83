/* words.h - the dictionary of one day: path, method, user agent and country as small numbers.
 *
 * Every day has its own, so that a day is self-contained and goes as a whole. In memory only a
 * bounded cache. After a rollback clear it: it may name words that were never committed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_SQLITE_WORDS_H
#define PS_BACKEND_SQLITE_WORDS_H

#include "backend/sqlite/db.h"

enum { PS_WORDS_CACHED_MAX = 1 << 17 };

struct words {
    struct word **slots;
    size_t slot_count, count;
    sqlite3_stmt *find, *add;
};

int ps_words_open(struct words *w, struct db *db, const char *day_name, struct ps_err *e);
void ps_words_close(struct words *w);
/* The number of the word, made when it is new; 0 for an absent one. */
int ps_words_number(struct words *w, struct db *db, struct ps_str text, int64_t *ret,
                    struct ps_err *e);

#endif
