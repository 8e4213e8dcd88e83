/* words.c - see words.h.  SPDX-License-Identifier: MIT */
#include "backend/sqlite/words.h"

#include "core/hash.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 1024 };

struct word {
    struct word *next;
    uint64_t hash;
    int64_t number;
    size_t len;
    char text[];
};

int ps_words_open(struct words *w, struct db *db, const char *day_name, struct ps_err *e)
{
    char sql[128];
    *w = (struct words){0};
    sqlite3_snprintf(sizeof sql, sql, "SELECT id FROM words_%s WHERE word = ?", day_name);
    int r = ps_db_prepare(db, sql, &w->find, e);
    if (r < 0)
        return r;
    sqlite3_snprintf(sizeof sql, sql, "INSERT INTO words_%s(word) VALUES (?)", day_name);
    return ps_db_prepare(db, sql, &w->add, e);
}

static void clear_cache(struct words *w)
{
    for (size_t i = 0; i < w->slot_count; i++) {
        struct word *word = w->slots[i], *next;
        for (; word != NULL; word = next) {
            next = word->next;
            free(word);
        }
    }
    free(w->slots);
    w->slots = NULL;
    w->slot_count = w->count = 0;
}

void ps_words_close(struct words *w)
{
    clear_cache(w);
    sqlite3_finalize(w->find);
    sqlite3_finalize(w->add);
    *w = (struct words){0};
}

static int grow(struct words *w)
{
    size_t count = w->slot_count == 0 ? FIRST_SLOTS : w->slot_count * 2;
    struct word **slots = calloc(count, sizeof(struct word *));
    if (slots == NULL)
        return PS_ENOMEM;
    for (size_t i = 0; i < w->slot_count; i++) {
        struct word *word = w->slots[i], *next;
        for (; word != NULL; word = next) {
            next = word->next;
            word->next = slots[word->hash & (count - 1)];
            slots[word->hash & (count - 1)] = word;
        }
    }
    free(w->slots);
    w->slots = slots;
    w->slot_count = count;
    return 0;
}

static int remember(struct words *w, struct ps_str text, uint64_t hash, int64_t number)
{
    if (w->count >= PS_WORDS_CACHED_MAX)
        clear_cache(w);
    if (w->count >= w->slot_count && grow(w) < 0)
        return PS_ENOMEM;
    struct word *word = malloc(sizeof *word + text.len);
    if (word == NULL)
        return PS_ENOMEM;
    struct word **slot = &w->slots[hash & (w->slot_count - 1)];
    *word = (struct word){*slot, hash, number, text.len};
    ps_copy(word->text, text.ptr, text.len);
    *slot = word;
    w->count++;
    return 0;
}

static int look_up(struct words *w, struct db *db, struct ps_str text, int64_t *ret,
                   struct ps_err *e)
{
    ps_db_bind_str(w->find, 1, text);
    int step = sqlite3_step(w->find);
    if (step == SQLITE_ROW)
        *ret = sqlite3_column_int64(w->find, 0);
    sqlite3_reset(w->find);
    if (step == SQLITE_ROW)
        return 0;
    if (step != SQLITE_DONE)
        return ps_db_fail(db, e, "words");
    ps_db_bind_str(w->add, 1, text);
    int r = ps_db_run(db, w->add, e);
    *ret = sqlite3_last_insert_rowid(db->handle);
    return r;
}

int ps_words_number(struct words *w, struct db *db, struct ps_str text, int64_t *ret,
                    struct ps_err *e)
{
    if (text.ptr == NULL) {
        *ret = 0;
        return 0;
    }
    uint64_t hash = ps_hash64(text.ptr, text.len, 0);
    for (struct word *word = w->slot_count == 0 ? NULL : w->slots[hash & (w->slot_count - 1)];
         word != NULL; word = word->next)
        if (word->hash == hash && ps_str_equal((struct ps_str){word->text, word->len}, text)) {
            *ret = word->number;
            return 0;
        }
    int r = look_up(w, db, text, ret, e);
    if (r == 0 && remember(w, text, hash, *ret) < 0)
        r = ps_fail(e, PS_ENOMEM, "sqlite: no memory for words");
    return r;
}
