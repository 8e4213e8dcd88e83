/* core_bench.c - the core alone, for counting instructions: JSON to events, checked, encoded for
 * the queue, decoded again and added to their aggregates. No thread, no file, no library.
 *
 *     core_bench [EVENTS]
 *
 * Under callgrind only count_events counts (--toggle-collect=count_events), not the making of the
 * text. Run alone it prints events a second.
 *
 * SPDX-License-Identifier: MIT
 */
#include "traffic.h"

#include "core/aggregate.h"
#include "core/decode.h"
#include "core/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEFAULT_EVENTS = 20000, SLOTS = 1 << 12, PATHS = 500, CLIENTS = 50000 };

/* Not the project's: a call of malloc would count the libc's instructions. Never frees. */
struct arena {
    uint8_t *bytes;
    size_t len, cap;
};

static void *resize(void *ctx, void *ptr, size_t old_size, size_t new_size)
{
    struct arena *arena = ctx;
    size_t at = (arena->len + 15) & ~(size_t)15;
    if (new_size == 0)
        return NULL;
    if (at + new_size > arena->cap)
        return NULL;
    uint8_t *to = arena->bytes + at;
    arena->len = at + new_size;
    for (size_t i = 0; ptr != NULL && i < old_size && i < new_size; i++)
        to[i] = ((uint8_t *)ptr)[i];
    return to;
}

int count_events(const char *text, size_t len, char *scratch, struct ps_aggregate *slots,
                 const struct ps_alloc *alloc, int64_t now_ms);

/* Exported, so that callgrind finds it by name. Returns how many events were counted. */
__attribute__((noinline)) int count_events(const char *text, size_t len, char *scratch,
                                           struct ps_aggregate *slots, const struct ps_alloc *alloc,
                                           int64_t now_ms)
{
    static char event_scratch[PS_EVENT_SCRATCH_BYTES];
    static uint8_t record[PS_EVENT_ENCODED_MAX];
    struct ps_body body;
    struct ps_raw_event raw;
    enum ps_reject why;
    int counted = 0;
    ps_body_init(&body, text, len, scratch, NULL);
    while (ps_body_next(&body, &raw, &why) == 1) {
        struct ps_event event, stored;
        struct ps_normal with = {.now_ms = now_ms, .has_client = true};
        with.client_hash = ps_hash64(raw.client_ip.ptr, raw.client_ip.len, 0);
        if (why != PS_REJECT_NONE ||
            ps_event_normalise(&raw, &with, event_scratch, &event) != PS_REJECT_NONE)
            continue;
        size_t n = ps_event_encode(&event, record);
        if (ps_event_decode(record, n, &stored) != 0)
            continue;
        uint64_t slot = ps_hash64(stored.path.ptr, stored.path.len, 0) % SLOTS;
        counted += ps_aggregate_add(&slots[slot], &stored, alloc) == 0;
    }
    return counted;
}

int main(int argc, char **argv)
{
    size_t events = argc > 1 ? strtoul(argv[1], NULL, 10) : DEFAULT_EVENTS;
    struct traffic_config config = {.seed = 1,
                                    .events = events,
                                    .paths = PATHS,
                                    .clients = CLIENTS,
                                    .start_ms = INT64_C(1760529600000),
                                    .span_ms = 3600000};
    struct traffic *t = events > 0 ? traffic_open(&config) : NULL;
    char *text = malloc(events * TRAFFIC_LINE_MAX), *scratch = malloc(events * TRAFFIC_LINE_MAX);
    struct arena arena = {malloc(256 << 20), 0, 256 << 20};
    struct ps_aggregate *slots = calloc(SLOTS, sizeof *slots);
    struct ps_alloc alloc = {resize, &arena};
    size_t len = 0;
    if (t == NULL || text == NULL || scratch == NULL || arena.bytes == NULL || slots == NULL)
        return 1;
    for (size_t i = 0; i < events; i++) {
        struct traffic_hit hit;
        traffic_next(t, &hit);
        len += traffic_write(t, TRAFFIC_NDJSON, &hit, text + len);
    }
    for (size_t i = 0; i < SLOTS; i++)
        ps_aggregate_init(&slots[i]);
    clock_t start = clock();
    int counted = count_events(text, len, scratch, slots, &alloc, config.start_ms + config.span_ms);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    printf("%d events through the core, %.0f a second\n", counted, (double)counted / seconds);
    return counted == (int)events ? 0 : 1;
}
