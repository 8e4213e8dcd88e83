/* known.c - see known.h.
 *
 * The items are sorted by day and the hash of their id, and each line of an archive looks itself up
 * there: memory is bounded by the events in question, not by the days.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/known.h"

#include "base/buf.h"
#include "base/check.h"
#include "core/hash.h"
#include "flow/lines.h"

#include <stdlib.h>
#include <string.h>

struct item {
    uint64_t hash, tag;
    size_t at; /* its id in bytes, then its record */
    int32_t day;
    uint32_t record_len;
    uint32_t number; /* in the order of adding */
    uint8_t id_len;
    bool seen; /* in an archive that is not yet known to be whole */
    uint8_t knowledge;
};
_Static_assert(PS_ID_MAX <= UINT8_MAX, "an id's length fits");

struct ps_known {
    struct ps_buf bytes;
    struct item *items;
    size_t count, cap, bytes_max;
};

int ps_known_open(struct ps_known **ret, size_t bytes_max, struct ps_err *e)
{
    struct ps_known *k = calloc(1, sizeof *k);
    if (k == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    ps_buf_init(&k->bytes, bytes_max);
    k->bytes_max = bytes_max;
    *ret = k;
    return 0;
}

void ps_known_close(struct ps_known *k)
{
    if (k == NULL)
        return;
    ps_buf_done(&k->bytes);
    free(k->items);
    free(k);
}

bool ps_known_day_is_closed(enum ps_day_state state)
{
    return state == PS_DAY_COMPLETED || state == PS_DAY_CLEANED;
}

size_t ps_known_count(const struct ps_known *k)
{
    return k->count;
}

static int make_room(struct ps_known *k, size_t bytes)
{
    size_t used = k->bytes.len + k->count * sizeof *k->items;
    if (used + bytes + sizeof *k->items > k->bytes_max || k->count == UINT32_MAX)
        return PS_EFULL;
    if (k->count == k->cap) {
        size_t cap = k->cap == 0 ? 1024 : k->cap * 2;
        struct item *items = realloc(k->items, cap * sizeof *items);
        if (items == NULL)
            return PS_ENOMEM;
        k->items = items;
        k->cap = cap;
    }
    return ps_buf_reserve(&k->bytes, bytes);
}

int ps_known_add(struct ps_known *k, int32_t day, struct ps_str id, const uint8_t *record,
                 size_t len, uint64_t tag, struct ps_err *e)
{
    PS_ASSERT(id.len > 0 && id.len <= PS_ID_MAX && len <= UINT32_MAX);
    int r = make_room(k, id.len + len);
    if (r < 0)
        return ps_fail(e, r, "no room for more events in question");
    k->items[k->count] = (struct item){
        .hash = ps_hash64(id.ptr, id.len, 0),
        .tag = tag,
        .at = k->bytes.len,
        .day = day,
        .record_len = (uint32_t)len,
        .number = (uint32_t)k->count,
        .id_len = (uint8_t)id.len,
    };
    k->count++;
    ps_buf_append(&k->bytes, id.ptr, id.len);
    ps_buf_append(&k->bytes, record, len);
    return 0;
}

static int compare_items(const void *x, const void *y)
{
    const struct item *a = x, *b = y;
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

static int compare_numbers(const void *x, const void *y)
{
    const struct item *a = x, *b = y;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* --- an archive, line by line --- */

struct reading {
    struct ps_known *known;
    struct item *items; /* of one day, by hash */
    size_t count;
    struct ps_lines lines;
    char scratch[PS_ARCHIVE_LINE_MAX];
};

static void look_up(struct reading *d, struct ps_str id)
{
    uint64_t hash = ps_hash64(id.ptr, id.len, 0);
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->items[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < d->count && d->items[low].hash == hash; low++) {
        struct item *item = &d->items[low];
        if (ps_str_equal(id, (struct ps_str){d->known->bytes.ptr + item->at, item->id_len}))
            item->seen = true;
    }
}

/* Every line begins with its id, and nearly none needs an escape (core/archive_line.h). That the
 * rest is as it was written shows in the SHA-256. */
static bool find_id(const char *line, size_t len, struct ps_str *ret)
{
    static const char begin[] = "{\"id\":\"";
    const size_t skip = sizeof begin - 1;
    if (len <= skip || memcmp(line, begin, skip) != 0)
        return false;
    const char *end = memchr(line + skip, '"', len - skip);
    *ret = (struct ps_str){line + skip, end == NULL ? 0 : (size_t)(end - line) - skip};
    return ret->len > 0 && memchr(ret->ptr, '\\', ret->len) == NULL;
}

static int take_line(void *ctx, const char *line, size_t len, struct ps_err *e)
{
    struct reading *d = ctx;
    struct ps_event event;
    struct ps_str id;
    if (find_id(line, len, &id)) {
        look_up(d, id);
        return 0;
    }
    if (len > sizeof d->scratch || ps_archive_line_parse(line, len, d->scratch, &event) < 0)
        return ps_fail(e, PS_ECORRUPT, "a line of the archive is not an event");
    look_up(d, event.id);
    return 0;
}

/* What was seen counts only when the object as a whole is what was archived. */
static int read_day(struct ps_known *k, struct ps_archiver *a, struct item *items, size_t count,
                    struct ps_err *e)
{
    struct ps_archived archived;
    struct reading *d = malloc(sizeof *d);
    int r = d == NULL ? ps_fail(e, PS_ENOMEM, "no memory to read an archive") : 0;
    if (r == 0) {
        d->known = k;
        d->items = items;
        d->count = count;
        d->lines.fn = take_line;
        d->lines.ctx = d;
        d->lines.len = 0;
        r = ps_archive_read(a, items[0].day, ps_lines_take, &d->lines, &archived, e);
    }
    free(d);
    for (size_t i = 0; i < count; i++)
        items[i].knowledge = r < 0           ? PS_KNOWN_CANNOT_TELL
                             : items[i].seen ? PS_KNOWN_YES
                                             : PS_KNOWN_NOT;
    return r;
}

static int read_days(struct ps_known *k, struct ps_archiver *a, struct ps_err *unread,
                     struct ps_err *e)
{
    qsort(k->items, k->count, sizeof *k->items, compare_items);
    for (size_t from = 0, to; from < k->count; from = to) {
        struct ps_err why = {0};
        for (to = from + 1; to < k->count && k->items[to].day == k->items[from].day;)
            to++;
        int r = read_day(k, a, k->items + from, to - from, &why);
        if (r == PS_ESTOP)
            return ps_fail(e, r, "%s", why.text);
        if (r < 0 && unread->code == 0)
            *unread = why;
    }
    qsort(k->items, k->count, sizeof *k->items, compare_numbers);
    return 0;
}

int ps_known_ask(struct ps_known *k, struct ps_archiver *a, ps_known_fn *fn, void *ctx,
                 struct ps_err *ret_unread, struct ps_err *e)
{
    struct ps_err unread = {0};
    int r = k->count == 0 ? 0 : read_days(k, a, &unread, e);
    for (size_t i = 0; r >= 0 && i < k->count; i++) {
        const struct item *item = &k->items[i];
        const struct ps_known_item told = {
            .knowledge = item->knowledge,
            .tag = item->tag,
            .record = (const uint8_t *)k->bytes.ptr + item->at + item->id_len,
            .len = item->record_len,
        };
        r = fn(ctx, &told, e);
    }
    k->count = 0;
    ps_buf_clear(&k->bytes);
    if (ret_unread != NULL)
        *ret_unread = unread;
    return r < 0 ? r : 0;
}
