/* case_simulate.c - I2 by chance: see ps_case_simulate in case_run.h.
 *
 * Events crowd on few rows so that some pass the limits of sample, clients and sketch, while others
 * stay below. Each way shuffles them, deals them into parts, sends some parts through their packed
 * form, and merges the parts pair by pair in random order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "case_run.h"

#include "base/check.h"
#include "case_tools.h"

enum {
    EVENTS_MAX = 6000,
    ROWS_MAX = 6,
    PARTS_MAX = 9,
    WAYS = 6,
    ID_BYTES = 24,
};

struct item {
    char id[ID_BYTES];
    uint8_t id_len, row;
    struct ps_event event; /* its id is set when it is counted */
};

struct sim {
    uint64_t chance;
    uint32_t event_count, row_count;
    struct item *items;
    struct ps_aggregate parts[PARTS_MAX][ROWS_MAX];
};

static uint64_t draw_response(struct sim *sim)
{
    switch (ps_case_below(&sim->chance, 4)) {
    case 0: return ps_case_below(&sim->chance, 200);
    case 1: return 1000 * (uint64_t)ps_case_below(&sim->chance, 50);
    case 2: return ps_case_below(&sim->chance, 10000000);
    default: return (uint64_t)ps_case_random(&sim->chance) * 20 % PS_RESPONSE_US_MAX;
    }
}

static void draw_item(struct sim *sim, uint32_t number)
{
    struct item *item = &sim->items[number];
    uint32_t spread = 1 + ps_case_below(&sim->chance, 4000);
    item->id_len = (uint8_t)ps_format_u64(item->id, number);
    item->id[item->id_len++] = '-';
    item->id_len += (uint8_t)ps_format_u64(item->id + item->id_len, ps_case_random(&sim->chance));
    uint32_t row = ps_case_below(&sim->chance, sim->row_count);
    item->row = (uint8_t)ps_case_below(&sim->chance, row + 1); /* the first rows get most */
    item->event = (struct ps_event){.response_us = PS_ABSENT,
                                    .response_bytes = PS_ABSENT,
                                    .status = PS_ABSENT,
                                    .is_error = PS_ABSENT};
    item->event.is_error = (int8_t)((int)ps_case_below(&sim->chance, 3) - 1);
    item->event.has_client = ps_case_below(&sim->chance, 8) > 0;
    item->event.client_hash =
        (1 + (uint64_t)ps_case_below(&sim->chance, spread)) * UINT64_C(0x9e3779b97f4a7c15);
    if (ps_case_below(&sim->chance, 10) > 0)
        item->event.response_us = (int64_t)draw_response(sim);
}

static void shuffle(struct sim *sim)
{
    for (uint32_t i = sim->event_count; i > 1; i--) {
        uint32_t other = ps_case_below(&sim->chance, i);
        struct item item = sim->items[i - 1];
        sim->items[i - 1] = sim->items[other];
        sim->items[other] = item;
    }
}

static void count(struct sim *sim, struct ps_aggregate *part, struct item *item)
{
    item->event.id = (struct ps_str){item->id, item->id_len};
    int r = ps_aggregate_add(&part[item->row], &item->event, &ps_case_alloc);
    PS_ASSERT(r == 0 && item->row < sim->row_count);
}

static uint64_t hash_part(struct sim *sim, struct ps_aggregate *part)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < sim->row_count; i++)
        hash = ps_case_row_hash(&part[i], hash);
    return hash;
}

static void through_packed_form(struct sim *sim, struct ps_aggregate *part)
{
    static char packed[PS_STAT_BYTES_MAX];
    struct ps_stat stat;
    for (uint32_t i = 0; i < sim->row_count; i++) {
        ps_aggregate_pack(&part[i], packed, &stat);
        int r = ps_aggregate_unpack(&stat, &ps_case_alloc, &part[i]);
        PS_ASSERT(r == 0);
    }
}

static uint64_t one_way(struct sim *sim)
{
    uint32_t left = 1 + ps_case_below(&sim->chance, PARTS_MAX);
    ps_zero(sim->parts, sizeof sim->parts);
    shuffle(sim);
    for (uint32_t i = 0; i < sim->event_count; i++)
        count(sim, sim->parts[ps_case_below(&sim->chance, left)], &sim->items[i]);
    for (uint32_t i = 0; i < left; i++)
        if (ps_case_below(&sim->chance, 2) == 0)
            through_packed_form(sim, sim->parts[i]);
    for (; left > 1; left--) {
        uint32_t into = ps_case_below(&sim->chance, left - 1);
        for (uint32_t i = 0; i < sim->row_count; i++) {
            int r =
                ps_aggregate_merge(&sim->parts[into][i], &sim->parts[left - 1][i], &ps_case_alloc);
            PS_ASSERT(r == 0);
        }
    }
    return hash_part(sim, sim->parts[0]);
}

/* All in one pass, in the order they were drawn. */
static uint64_t straight_way(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->event_count; i++)
        count(sim, sim->parts[0], &sim->items[i]);
    return hash_part(sim, sim->parts[0]);
}

size_t ps_case_simulate(uint64_t seed, char *out, size_t out_max)
{
    struct ps_case_out o = {out, 0, out_max};
    size_t start = ps_case_arena_mark();
    struct sim *sim = ps_case_take(sizeof *sim);
    sim->chance = seed;
    ps_case_random(&sim->chance);
    sim->row_count = 1 + ps_case_below(&sim->chance, ROWS_MAX);
    sim->event_count = 1 + ps_case_below(&sim->chance, EVENTS_MAX);
    sim->items = ps_case_take(sim->event_count * sizeof *sim->items);
    for (uint32_t i = 0; i < sim->event_count; i++)
        draw_item(sim, i);
    size_t before_ways = ps_case_arena_mark();
    uint64_t hash = straight_way(sim);
    ps_case_put_u64(&o, PS_STR("simulate="), seed);
    ps_case_put_u64(&o, PS_STR(" events="), sim->event_count);
    ps_case_put_u64(&o, PS_STR(" rows="), sim->row_count);
    ps_case_put_hex(&o, PS_STR(" hash="), hash);
    ps_case_put(&o, PS_STR("\n"));
    for (unsigned way = 1; way <= WAYS; way++) {
        ps_case_arena_rewind(before_ways);
        if (one_way(sim) != hash) {
            ps_case_put_u64(&o, PS_STR("error: another hash, way "), way);
            ps_case_put(&o, PS_STR("\n"));
        }
    }
    ps_case_arena_rewind(start);
    return o.len;
}
