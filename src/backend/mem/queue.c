/* queue.c - `ps_queue_mem`: an array of records under a lock; a position is a record's number.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/mem/mem.h"
#include "backend/registry.h"
#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint8_t *bytes;
    uint32_t len;
};

struct letter {
    struct letter *next;
    struct ps_dead_letter letter;
    struct ps_buf text, bytes;
    bool is_fresh; /* of the call that is under way */
};

struct shared {
    struct shared *next;
    char *target;
    struct entry *entries; /* of positions first .. first + count - 1 */
    size_t count, cap;
    uint64_t first, durable; /* durable: end of what is readable */
    uint64_t bytes, dead_bytes, dead_count, by_reason[PS_REJECT_COUNT];
    struct letter *letters; /* by position */
};

struct mem_queue {
    struct ps_queue base;
    struct shared *shared;
    struct ps_queue_limits limits;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *all;

static struct shared *shared_of(struct ps_queue *q)
{
    return ((struct mem_queue *)q)->shared;
}

static int open_queue(struct ps_queue **ret, const char *target, enum ps_queue_mode mode,
                      const struct ps_queue_limits *limits, struct ps_err *e)
{
    struct mem_queue *q = calloc(1, sizeof *q);
    if (q == NULL)
        return ps_fail(e, PS_ENOMEM, "queue: no memory");
    pthread_mutex_lock(&lock);
    struct shared *s = all;
    while (s != NULL && strcmp(s->target, target) != 0)
        s = s->next;
    if (s == NULL && (s = calloc(1, sizeof *s)) != NULL) {
        s->target = strdup(target);
        s->next = all;
        all = s;
    } else if (s != NULL && mode == PS_QUEUE_WRITE) {
        while (s->first + s->count > s->durable) { /* never synced: lost, as in a crash */
            struct entry *last = &s->entries[--s->count];
            s->bytes -= last->len;
            free(last->bytes);
        }
    }
    pthread_mutex_unlock(&lock);
    q->shared = s;
    q->limits = *limits;
    *ret = &q->base;
    return 0;
}

static void close_queue(struct ps_queue *q)
{
    free(q);
}

static int append(struct ps_queue *q, const struct ps_str *records, size_t count, struct ps_err *e)
{
    struct shared *s = shared_of(q);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += records[i].len;
    pthread_mutex_lock(&lock);
    if (s->bytes + bytes > ((struct mem_queue *)q)->limits.bytes_max) {
        pthread_mutex_unlock(&lock);
        return ps_fail(e, PS_EFULL, "queue: full");
    }
    if (s->count + count > s->cap) {
        s->cap = (s->count + count) * 2;
        s->entries = realloc(s->entries, s->cap * sizeof *s->entries);
        PS_ASSERT(s->entries != NULL);
    }
    for (size_t i = 0; i < count; i++) {
        struct entry entry = {malloc(records[i].len + 1), (uint32_t)records[i].len};
        PS_ASSERT(entry.bytes != NULL);
        ps_copy(entry.bytes, records[i].ptr, records[i].len);
        s->entries[s->count++] = entry;
    }
    s->bytes += bytes;
    pthread_mutex_unlock(&lock);
    return 0;
}

static int sync_queue(struct ps_queue *q, uint64_t *ret_end, struct ps_err *e)
{
    struct shared *s = shared_of(q);
    (void)e;
    pthread_mutex_lock(&lock);
    s->durable = s->first + s->count;
    *ret_end = s->durable;
    pthread_mutex_unlock(&lock);
    return 0;
}

static int reserve(struct ps_records *r, size_t n)
{
    if (n <= r->cap)
        return 0;
    struct ps_record *items = realloc(r->items, n * sizeof *items);
    if (items == NULL)
        return PS_ENOMEM;
    r->items = items;
    r->cap = n;
    return 0;
}

static int copy_out(struct shared *s, uint64_t from, size_t n, struct ps_records *ret)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += s->entries[from - s->first + i].len;
    ps_buf_clear(&ret->bytes);
    if (reserve(ret, n) < 0 || ps_buf_reserve(&ret->bytes, bytes + 1) < 0)
        return PS_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct entry *entry = &s->entries[from - s->first + i];
        const uint8_t *at = (const uint8_t *)ret->bytes.ptr + ret->bytes.len;
        ps_buf_append(&ret->bytes, entry->bytes, entry->len);
        ret->items[i] = (struct ps_record){at, entry->len, from + i};
    }
    ret->count = n;
    ret->next_position = from + n;
    return 0;
}

static int read_queue(struct ps_queue *q, uint64_t from, size_t records_max, struct ps_records *ret,
                      struct ps_err *e)
{
    struct shared *s = shared_of(q);
    int r = 0;
    pthread_mutex_lock(&lock);
    if (from == 0)
        from = s->first;
    if (from < s->first)
        r = ps_fail(e, PS_ENOENT, "queue: %llu was trimmed", (unsigned long long)from);
    else if (from < s->durable)
        r = copy_out(s, from, s->durable - from < records_max ? s->durable - from : records_max,
                     ret);
    else
        ret->next_position = from > s->durable ? from : s->durable;
    pthread_mutex_unlock(&lock);
    return r;
}

static int trim(struct ps_queue *q, uint64_t before, struct ps_err *e)
{
    struct shared *s = shared_of(q);
    size_t n = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    for (; s->first + n < before && s->first + n < s->durable; n++) {
        s->bytes -= s->entries[n].len;
        free(s->entries[n].bytes);
    }
    if (n > 0)
        memmove(s->entries, s->entries + n, (s->count - n) * sizeof *s->entries);
    s->first += n;
    s->count -= n;
    pthread_mutex_unlock(&lock);
    return 0;
}

/* Where the letter of this position is, or belongs. */
static struct letter **find_letter(struct shared *s, uint64_t position)
{
    struct letter **link = &s->letters;
    while (*link != NULL && (*link)->letter.position < position)
        link = &(*link)->next;
    return link;
}

static bool is_at(const struct letter *l, uint64_t position)
{
    return l != NULL && l->letter.position == position;
}

static void free_letter(struct letter *l)
{
    ps_buf_done(&l->text);
    ps_buf_done(&l->bytes);
    free(l);
}

static void add_letter(struct shared *s, struct letter **link, const struct ps_dead_letter *letter)
{
    struct letter *l = calloc(1, sizeof *l);
    PS_ASSERT(l != NULL);
    l->letter = *letter;
    ps_buf_init(&l->text, SIZE_MAX / 2);
    ps_buf_init(&l->bytes, SIZE_MAX / 2);
    ps_buf_append(&l->text, letter->text.ptr, letter->text.len);
    ps_buf_append(&l->bytes, letter->bytes, letter->len);
    l->letter.text = ps_buf_str(&l->text);
    l->letter.bytes = (const uint8_t *)l->bytes.ptr;
    l->is_fresh = true;
    l->next = *link;
    *link = l;
    s->dead_bytes += l->letter.text.len + l->letter.len;
    s->dead_count++;
    s->by_reason[l->letter.why]++;
}

static void remove_letter(struct shared *s, struct letter **link)
{
    struct letter *l = *link;
    *link = l->next;
    s->dead_bytes -= l->letter.text.len + l->letter.len;
    s->dead_count--;
    s->by_reason[l->letter.why]--;
    free_letter(l);
}

/* All or none: those of a call that failed are taken back. */
static void end_burial(struct shared *s, bool failed)
{
    for (struct letter **link = &s->letters; *link != NULL;) {
        if (failed && (*link)->is_fresh) {
            remove_letter(s, link);
        } else {
            (*link)->is_fresh = false;
            link = &(*link)->next;
        }
    }
}

static int bury(struct ps_queue *q, const struct ps_dead_letter *letters, size_t count,
                struct ps_err *e)
{
    struct shared *s = shared_of(q);
    const struct ps_queue_limits *limits = &((struct mem_queue *)q)->limits;
    int r = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct letter **link = find_letter(s, letters[i].position);
        size_t size = letters[i].text.len + letters[i].len;
        if (is_at(*link, letters[i].position))
            continue;
        if (s->dead_bytes + size > limits->dead_letter_bytes_max + limits->dead_letter_reserve)
            r = ps_fail(e, PS_EFULL, "dead letters: full");
        else
            add_letter(s, link, &letters[i]);
    }
    end_burial(s, r < 0);
    pthread_mutex_unlock(&lock);
    return r;
}

static int each_dead(struct ps_queue *q, uint64_t from, ps_dead_fn *fn, void *ctx, struct ps_err *e)
{
    int r = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    for (struct letter *l = *find_letter(shared_of(q), from); l != NULL && r == 0; l = l->next)
        r = fn(ctx, &l->letter);
    pthread_mutex_unlock(&lock);
    return r;
}

static int unbury(struct ps_queue *q, const uint64_t *positions, size_t count, struct ps_err *e)
{
    struct shared *s = shared_of(q);
    int removed = 0;
    (void)e;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++) {
        struct letter **link = find_letter(s, positions[i]);
        if (!is_at(*link, positions[i]))
            continue;
        remove_letter(s, link);
        removed++;
    }
    pthread_mutex_unlock(&lock);
    return removed;
}

static int info(struct ps_queue *q, struct ps_queue_info *ret, struct ps_err *e)
{
    struct shared *s = shared_of(q);
    (void)e;
    pthread_mutex_lock(&lock);
    const struct ps_queue_limits *limits = &((struct mem_queue *)q)->limits;
    *ret = (struct ps_queue_info){.first_position = s->first,
                                  .end_position = s->durable,
                                  .bytes = s->bytes,
                                  .bytes_max = limits->bytes_max,
                                  .dead_letters = s->dead_count,
                                  .dead_letter_bytes = s->dead_bytes,
                                  .dead_letter_bytes_max = limits->dead_letter_bytes_max};
    memcpy(ret->dead_by_reason, s->by_reason, sizeof ret->dead_by_reason);
    pthread_mutex_unlock(&lock);
    return 0;
}

void ps_mem_queue_forget(const char *target)
{
    pthread_mutex_lock(&lock);
    for (struct shared **link = &all; *link != NULL; link = &(*link)->next) {
        struct shared *s = *link;
        if (strcmp(s->target, target) != 0)
            continue;
        *link = s->next;
        for (size_t i = 0; i < s->count; i++)
            free(s->entries[i].bytes);
        while (s->letters != NULL) {
            struct letter *l = s->letters;
            s->letters = l->next;
            free_letter(l);
        }
        free(s->entries);
        free(s->target);
        free(s);
        break;
    }
    pthread_mutex_unlock(&lock);
}

void ps_mem_forget(const char *target)
{
    ps_mem_store_forget(target);
    ps_mem_queue_forget(target);
    ps_mem_kv_forget(target);
    ps_mem_ledger_forget(target);
}

const struct ps_queue_ops ps_queue_mem = {
    .name = "mem",
    .open = open_queue,
    .close = close_queue,
    .append = append,
    .sync = sync_queue,
    .read = read_queue,
    .trim = trim,
    .bury = bury,
    .dead = each_dead,
    .unbury = unbury,
    .info = info,
};
