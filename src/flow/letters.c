/* letters.c - see letters.h.
 *
 * A replay is durable in the queue before the letter leaves: a crash in between delivers twice, and
 * twice counts once. It takes positions below the end of the queue as it was in the beginning, so
 * that a letter which comes back is not taken again. Those that come back are told from letters of
 * other events by a hash of their bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/letters.h"

#include "core/hash.h"

#include <stdlib.h>

enum {
    AT_ONCE_MAX = 10000, /* letters that go back together: two syncs */
    AT_ONCE_BYTES = 2 * 1024 * 1024,
    WAIT_MS = 20,
};
_Static_assert((int)AT_ONCE_MAX <= (int)PS_UNBURY_MAX, "they leave together");

struct replay {
    const struct ps_replaying *with;
    struct ps_outbox outbox;
    uint64_t positions[AT_ONCE_MAX];
    size_t count;
    uint64_t end;     /* of the queue when it began */
    uint64_t *hashes; /* of all that went back */
    size_t hash_count, hash_cap;
    uint64_t returned;
};

static int wait_a_little(const struct ps_replaying *with, int64_t until_us, struct ps_err *e)
{
    if (with->stopping != NULL && *with->stopping)
        return ps_fail(e, PS_ESTOP, "it is stopping");
    if (ps_clock_monotonic_us(with->clock) >= until_us)
        return PS_EBUSY;
    ps_clock_sleep_ms(with->clock, WAIT_MS);
    return 0;
}

static int remember(struct replay *p, uint64_t hash)
{
    if (p->hash_count == p->hash_cap) {
        size_t cap = p->hash_cap == 0 ? AT_ONCE_MAX : p->hash_cap * 2;
        uint64_t *hashes = realloc(p->hashes, cap * sizeof *hashes);
        if (hashes == NULL)
            return PS_ENOMEM;
        p->hashes = hashes;
        p->hash_cap = cap;
    }
    p->hashes[p->hash_count++] = hash;
    return 0;
}

static int collect(void *ctx, const struct ps_dead_letter *letter)
{
    struct replay *p = ctx;
    if (p->count == AT_ONCE_MAX || letter->position >= p->end)
        return PS_ESTOP;
    int r = ps_outbox_record(&p->outbox, letter->bytes, letter->len);
    if (r == PS_EFULL && p->count > 0)
        return PS_ESTOP;
    if (r == 0)
        r = remember(p, ps_hash64(letter->bytes, letter->len, 0));
    if (r == 0)
        p->positions[p->count++] = letter->position;
    return r;
}

/* A queue that is full is being emptied meanwhile. */
static int put_back(struct replay *p, struct ps_err *e)
{
    const struct ps_replaying *with = p->with;
    int64_t until_us = ps_clock_monotonic_us(with->clock) + PS_REPLAY_PATIENCE_MS * 1000;
    int r;
    while ((r = ps_commit_wait(with->commit, &p->outbox, e)) == PS_EFULL) {
        int waited = wait_a_little(with, until_us, e);
        if (waited < 0)
            return waited == PS_EBUSY ? r : waited;
    }
    return r < 0 ? r : ps_queue_unbury(with->queue, p->positions, p->count, e);
}

/* How many it were; 0: none is left. */
static int replay_some(struct replay *p, struct ps_replayed *ret, struct ps_err *e)
{
    p->count = 0;
    ps_outbox_clear(&p->outbox);
    int r = ps_queue_dead(p->with->queue, collect, p, e);
    if (r < 0 && r != PS_ESTOP)
        return ps_fail(e, r, "dead letters: %s",
                       r == PS_ENOMEM ? "no memory to replay them" : "they cannot be read");
    if (p->count == 0)
        return 0;
    r = put_back(p, e);
    if (r >= 0)
        ret->replayed += p->count;
    return r < 0 ? r : (int)p->count;
}

/* --- what came back --- */

static int compare_hashes(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

static int count_returned(void *ctx, const struct ps_dead_letter *letter)
{
    struct replay *p = ctx;
    uint64_t hash = ps_hash64(letter->bytes, letter->len, 0);
    p->returned +=
        bsearch(&hash, p->hashes, p->hash_count, sizeof hash, compare_hashes) != NULL ? 1 : 0;
    return 0;
}

static int settle(struct replay *p, struct ps_replayed *ret, struct ps_err *e)
{
    const struct ps_replaying *with = p->with;
    struct ps_queue_info info;
    int64_t until_us = ps_clock_monotonic_us(with->clock) + PS_REPLAY_PATIENCE_MS * 1000;
    int r = ps_queue_info(with->queue, &info, e);
    while (r == 0 && with->aggregator->reached < info.end_position)
        r = wait_a_little(with, until_us, e);
    ret->settled = r == 0;
    if (r < 0)
        return r == PS_EBUSY ? 0 : r;
    qsort(p->hashes, p->hash_count, sizeof *p->hashes, compare_hashes);
    r = ps_queue_dead_from(with->queue, p->end, count_returned, p, e);
    ret->returned = p->returned;
    return r;
}

int ps_letters_replay(const struct ps_replaying *with, struct ps_replayed *ret, struct ps_err *e)
{
    struct ps_queue_info info;
    struct replay *p = calloc(1, sizeof *p);
    *ret = (struct ps_replayed){.settled = true};
    if (p == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    p->with = with;
    ps_outbox_init(&p->outbox, AT_ONCE_BYTES);
    int r = ps_queue_info(with->queue, &info, e);
    p->end = r == 0 ? info.end_position : 0;
    while (r == 0 && (r = replay_some(p, ret, e)) > 0)
        r = 0;
    if (r == 0 && ret->replayed > 0)
        r = settle(p, ret, e);
    ps_outbox_done(&p->outbox);
    free(p->hashes);
    free(p);
    return r;
}

/* --- throwing away --- */

struct purge {
    const struct ps_letter_filter *filter;
    uint64_t positions[AT_ONCE_MAX];
    size_t count;
};

bool ps_letter_matches(const struct ps_letter_filter *f, const struct ps_dead_letter *letter)
{
    return (f->why == PS_REJECT_NONE || f->why == letter->why) && letter->time_ms < f->before_ms;
}

static int choose(void *ctx, const struct ps_dead_letter *letter)
{
    struct purge *p = ctx;
    if (!ps_letter_matches(p->filter, letter))
        return 0;
    p->positions[p->count++] = letter->position;
    return p->count == AT_ONCE_MAX ? PS_ESTOP : 0;
}

int ps_letters_purge(struct ps_queue *queue, const struct ps_letter_filter *f, uint64_t *ret,
                     struct ps_err *e)
{
    struct purge *p = calloc(1, sizeof *p);
    uint64_t from = 0;
    *ret = 0;
    if (p == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    p->filter = f;
    int r;
    do {
        p->count = 0;
        r = ps_queue_dead_from(queue, from, choose, p, e);
        if ((r < 0 && r != PS_ESTOP) || p->count == 0)
            break;
        from = p->positions[p->count - 1] + 1;
        r = ps_queue_unbury(queue, p->positions, p->count, e);
        *ret += r > 0 ? (uint64_t)r : 0;
    } while (r >= 0 && p->count == AT_ONCE_MAX);
    free(p);
    return r < 0 ? r : 0;
}
