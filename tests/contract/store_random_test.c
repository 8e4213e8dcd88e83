/* store_random_test.c - one random history, played to mem and to every other backend: outcomes,
 * positions, redo, rows, days and events must be the same after every step.
 *
 * The world is small on purpose, so that ids collide: a few days, a few ids of every kind (dated,
 * foreign, dated for another day), two partitions. Steps: a batch, a batch whose refused() fails, a
 * range that was applied before, a settle, a day sealed or opened, a new handle.
 *
 * A failure names its seed; PS_SEED plays it again, PS_ROUNDS sets how many histories.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

enum {
    HISTORIES = 12,
    STEPS = 40,
    BATCH_MAX = 24,
    DAYS = 5,
    TIMES_A_DAY = 3,
    NUMBERS = 4, /* ids per time */
    FOREIGN_IDS = 25,
    PATHS = 6,
    DUMP_EVERY = 4,
};

enum mix { MIX_DATED, MIX_ALL };

struct history {
    struct world *worlds[2]; /* the oracle, and the one under test */
    const struct backend *backend;
    struct dice dice;
    enum mix mix;
};

static int64_t random_time(struct dice *d)
{
    return NOON + below(d, DAYS) * PS_MS_PER_DAY + below(d, TIMES_A_DAY) * 2 * PS_MS_PER_HOUR;
}

static void add_random_event(struct world *w, struct dice *d, enum mix mix)
{
    static const struct ps_str words[] = {{NULL, 0}, {"GET", 3}, {"a'b", 3}, {"\xc3\xa4", 2}};
    char id[PS_ID_MAX], path[32];
    int64_t time = random_time(d), told = time;
    uint32_t kind = mix == MIX_DATED ? 99 : below(d, 100);
    if (kind < 8)
        told = random_time(d); /* most likely of another day */
    if (kind < 40 && kind >= 8)
        snprintf(id, sizeof id, "foreign %u", below(d, FOREIGN_IDS));
    else
        snprintf(id, sizeof id, "%lld-%016x", (long long)told, below(d, NUMBERS));
    struct ps_event *event = add_event(w, id, time);
    int n = snprintf(path, sizeof path, "/path/%u", below(d, PATHS));
    event->path = keep_text(w, path, (size_t)n);
    event->method = words[below(d, 4)];
    event->user_agent = words[below(d, 4)];
    event->country = words[below(d, 4)];
    event->response_bytes = below(d, 3) == 0 ? PS_ABSENT : (int64_t)below(d, 1u << 30) << 20;
    event->response_us = below(d, 3) == 0 ? PS_ABSENT : (int64_t)below(d, 1u << 30) * 70;
    event->has_client = below(d, 2);
    event->client_hash = event->has_client ? throw_dice(d) : 0;
    event->status = below(d, 2) ? PS_ABSENT : (int32_t)(100 + below(d, 900));
    event->is_error = event->status == PS_ABSENT ? (int8_t)below(d, 3) - 1 : event->status >= 400;
}

static int answer_with_ctx(void *ctx, const uint8_t *outcomes, struct ps_err *e)
{
    (void)outcomes;
    return *(int *)ctx < 0 ? ps_fail(e, *(int *)ctx, "refused") : 0;
}

static void play_batch(struct world *w, struct dice *d, enum mix mix, struct ps_buf *told)
{
    struct ps_applied applied = {0};
    int answer = below(d, 4) == 0 ? PS_EFULL : 0;
    w->partition = below(d, 2);
    for (uint32_t n = below(d, BATCH_MAX); n > 0; n--)
        add_random_event(w, d, mix);
    struct ps_batch b = take_batch(w);
    if (below(d, 8) == 0 && b.count > 0 && b.first_position > 0) { /* what was applied before */
        b.first_position = below(d, (uint32_t)b.first_position);
        b.next_position = b.first_position + 1;
    }
    b.refused = answer_with_ctx;
    b.ctx = &answer;
    uint64_t position = w->positions[w->partition];
    int r = apply_at(w, w->store, &b, &applied);
    if (w->positions[w->partition] < position)
        w->positions[w->partition] = position;
    ps_buf_format(told, "apply %d ", r);
    if (r == 0)
        dump_outcomes(told, w->outcomes, w->count);
    ps_buf_text(told, "\n");
    clear_batch(w);
}

static void play_settle(struct world *w, struct dice *d, struct ps_buf *told)
{
    struct ps_stat_row rows[4];
    char paths[4][16], blobs[4][64];
    uint64_t position, watermark;
    uint32_t count = below(d, 5), partition = below(d, 2);
    for (uint32_t i = 0; i < count; i++) {
        int n = snprintf(paths[i], sizeof paths[i], "/%u", below(d, PATHS));
        rows[i] =
            row_of(NOON_HOUR + (int)below(d, 4), (struct ps_str){paths[i], (size_t)n}, below(d, 4));
        for (size_t k = 0; k < sizeof blobs[i]; k++)
            blobs[i][k] = (char)throw_dice(d);
        rows[i].stat.clients = (struct ps_str){blobs[i], 8 * below(d, 8)};
        rows[i].stat.sketch = (struct ps_str){blobs[i], below(d, 64)};
        rows[i].stat.methods = below(d, 2) ? PS_STR("GET:1") : PS_STR("");
        rows[i].stat.statuses = below(d, 2) ? PS_STR("200:1") : PS_STR("");
        rows[i].stat.count_bytes = below(d, 2);
        rows[i].stat.sum_bytes = rows[i].stat.count_bytes * below(d, 1000);
        rows[i].stat.count_us = below(d, 2);
        rows[i].stat.sum_us = rows[i].stat.min_us = rows[i].stat.max_us =
            rows[i].stat.count_us * below(d, 1000);
    }
    OK(ps_store_position(w->store, partition, &position, &watermark, &test_err));
    watermark += below(d, (uint32_t)(position - watermark) + 1);
    int r = ps_store_settle(w->store, rows, count, partition, watermark, NOON, &test_err);
    ps_buf_format(told, "settle %d\n", r);
}

static void play_step(struct world *w, struct dice d, enum mix mix, struct ps_buf *told)
{
    static const enum ps_day_state states[] = {PS_DAY_PENDING, PS_DAY_COMPLETED, PS_DAY_FAILED,
                                               PS_DAY_RESTORED};
    uint32_t what = below(&d, 100);
    if (what < 65)
        play_batch(w, &d, mix, told);
    else if (what < 80)
        play_settle(w, &d, told);
    else if (what < 90)
        reopen(w);
    else
        w->backend->set_state(w->place.target, DAY + (int32_t)below(&d, DAYS),
                              states[below(&d, 4)]);
}

static void play_history(struct history *h, uint64_t seed)
{
    char what[128];
    struct ps_buf told[2];
    dump_init(&told[0]);
    dump_init(&told[1]);
    for (int step = 0; step < STEPS; step++) {
        struct dice same = {throw_dice(&h->dice)};
        for (int i = 0; i < 2; i++) {
            ps_buf_clear(&told[i]);
            ps_buf_format(&told[i], "step %d\n", step);
            play_step(h->worlds[i], same, h->mix, &told[i]);
            if (step % DUMP_EVERY == DUMP_EVERY - 1)
                dump_store(h->worlds[i]->store, &told[i]);
            dump_end(&told[i]);
        }
        snprintf(what, sizeof what, "PS_SEED=%llu, step %d: not as mem has it",
                 (unsigned long long)seed, step);
        expect_same(&told[0], &told[1], what);
    }
    ps_buf_done(&told[0]);
    ps_buf_done(&told[1]);
}

static void drop_worlds(struct history *h)
{
    for (int i = 0; i < 2; i++) {
        if (h->worlds[i] != NULL)
            drop_world(h->worlds[i]);
        h->worlds[i] = NULL;
    }
}

static void play_histories(struct history *h, enum mix mix)
{
    const char *rounds = getenv("PS_ROUNDS");
    uint64_t seed = seed_of_run();
    h->mix = mix;
    for (int i = rounds != NULL ? atoi(rounds) : HISTORIES; i > 0; i--, seed++) {
        h->dice.state = seed;
        h->worlds[0] = make_world(&store_backends[0]);
        h->worlds[1] = make_world(h->backend);
        play_history(h, seed);
        drop_worlds(h);
    }
}

static int set_up_history(void **state)
{
    struct history *h = calloc(1, sizeof *h);
    h->backend = *state;
    *state = h;
    return 0;
}

static int tear_down_history(void **state)
{
    drop_worlds(*state);
    free(*state);
    return 0;
}

/* I1, I4: the ids intake makes itself, and the bulk path for them. */
static void test_dated_ids(void **state)
{
    play_histories(*state, MIX_DATED);
}

/* I1: ids of all kinds in one batch, the earlier in the queue counts. */
static void test_ids_of_all_kinds(void **state)
{
    play_histories(*state, MIX_ALL);
}

static const struct contract_case cases[] = {
    {"random histories of dated ids", test_dated_ids},
    {"random histories of ids of all kinds", test_ids_of_all_kinds},
};

int main(void)
{
    int failed = 0;
    for (size_t i = 1; i < PS_COUNT_OF(store_backends); i++) /* the first is the oracle */
        failed += run_contract("store", store_backends[i].ops->name, (void *)&store_backends[i],
                               cases, PS_COUNT_OF(cases), set_up_history, tear_down_history);
    return failed;
}
