/* overwrite.c - see overwrite.h.
 *
 * Object and store both hand out their events as they please, so neither can wait for the other: a
 * part of the object's events is gathered and sorted, and each event of the store looks itself up
 * there.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/overwrite.h"

#include "core/hash.h"
#include "flow/lines.h"

#include <stdlib.h>

enum { PROGRESS_EVENTS = 4096 };

/* What an event is known by. Two of one millisecond and one hash: not in the life of the sun. */
struct item {
    int64_t timestamp_ms;
    uint64_t id_hash : 63;
    uint64_t stored : 1;
};

struct look {
    struct ps_lines lines;
    struct ps_store *store;
    int32_t day;
    struct item *items;
    size_t count, max;
    uint64_t events, missing; /* of the object */
    uint64_t walked;          /* of the store */
    bool store_failed;
    ps_day_progress_fn *progress;
    void *ctx;
    char scratch[PS_ARCHIVE_LINE_MAX];
};

static struct item item_of(const struct ps_event *event)
{
    return (struct item){.timestamp_ms = event->timestamp_ms,
                         .id_hash = ps_hash64(event->id.ptr, event->id.len, 0) >> 1};
}

static int compare_items(const void *x, const void *y)
{
    const struct item *a = x, *b = y;
    if (a->timestamp_ms != b->timestamp_ms)
        return a->timestamp_ms < b->timestamp_ms ? -1 : 1;
    return a->id_hash < b->id_hash ? -1 : a->id_hash > b->id_hash;
}

static int see_stored(void *ctx, const struct ps_event *event)
{
    struct look *k = ctx;
    const struct item wanted = item_of(event);
    size_t low = 0, high = k->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_items(&k->items[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < k->count && compare_items(&k->items[low], &wanted) == 0; low++)
        k->items[low].stored = 1;
    return k->progress != NULL && ++k->walked % PROGRESS_EVENTS == 0
               ? k->progress(k->ctx, k->events)
               : 0;
}

static int look_for_items(struct look *k, struct ps_err *e)
{
    if (k->count == 0)
        return 0;
    qsort(k->items, k->count, sizeof *k->items, compare_items);
    int r = ps_store_events(k->store, k->day, PS_ORDER_ANY, see_stored, k, e);
    k->store_failed = r < 0;
    for (size_t i = 0; i < k->count; i++)
        k->missing += !k->items[i].stored;
    k->count = 0;
    return r;
}

static int take_line(void *ctx, const char *line, size_t len, struct ps_err *e)
{
    struct look *k = ctx;
    struct ps_event event;
    if (len > sizeof k->scratch || ps_archive_line_parse(line, len, k->scratch, &event) < 0)
        return ps_fail(e, PS_ECORRUPT, "a line of it is not an event");
    k->items[k->count++] = item_of(&event);
    k->events++;
    return k->count == k->max ? look_for_items(k, e) : 0;
}

static int judge(const struct look *k, const char *key, int r, const struct ps_err *why,
                 struct ps_err *e)
{
    if (k->store_failed)
        return ps_fail(e, r, "%s", why->text);
    if (r == PS_ENOENT)
        return 0;
    if (r == PS_ECORRUPT)
        return ps_fail(e, PS_EEXIST,
                       "%s is there already and reads as damaged or no archive, so it is "
                       "not overwritten: move it away, then archive again (%.250s)",
                       key, why->text);
    if (r == PS_EDENIED)
        return ps_fail(e, r,
                       "cannot see whether %s is there already, and nothing is overwritten unseen "
                       "(S3 wants s3:ListBucket to tell): %.250s",
                       key, why->text);
    if (r < 0)
        return ps_fail(e, r, "%s", why->text);
    if (k->missing == 0)
        return 0;
    return ps_fail(e, PS_EEXIST,
                   "%s already holds %llu events, %llu of which this database does not have, so it "
                   "is not overwritten: another data directory archives there too, or the database "
                   "was replaced; set archive_dir (or s3_bucket = bucket/prefix) to a place of its "
                   "own, or move that object away, or import its events first",
                   key, (unsigned long long)k->events, (unsigned long long)k->missing);
}

int ps_overwrite_check(struct ps_store *store, int32_t day, struct ps_objects *objects,
                       const char *key, size_t events_max, ps_day_progress_fn *progress, void *ctx,
                       struct ps_err *e)
{
    struct ps_day_object object;
    struct ps_err why = {0};
    struct look *k = calloc(1, sizeof *k);
    struct item *items = calloc(events_max, sizeof *items);
    int r = PS_ENOMEM;
    if (k != NULL && items != NULL) {
        k->store = store;
        k->day = day;
        k->items = items;
        k->max = events_max;
        k->progress = progress;
        k->ctx = ctx;
        k->lines.fn = take_line;
        k->lines.ctx = k;
        r = ps_day_object_read(objects, key, ps_lines_take, &k->lines, progress, ctx, &object,
                               &why);
        if (r == 0)
            r = look_for_items(k, &why);
        r = judge(k, key, r, &why, e);
    } else {
        ps_fail(e, r, "no memory to look at %s", key);
    }
    free(items);
    free(k);
    return r;
}
