/* pack.c - see pack.h. A ring of slots: the caller fills the youngest, workers compress, the caller
 * hands on the oldest when it needs its place.
 *
 * SPDX-License-Identifier: MIT
 */
#include "wrap/pack.h"

#include <libdeflate.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum slot_state { SLOT_FREE, SLOT_FULL, SLOT_BUSY, SLOT_DONE };

struct slot {
    enum slot_state state;
    size_t len, packed_len;
    char *plain, *packed;
};

struct ps_packer {
    ps_pack_fn *fn;
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    bool closing;
    unsigned thread_count, slot_count, filling, oldest, next;
    size_t packed_max;
    pthread_t threads[PS_PACK_THREADS_MAX];
    struct slot slots[PS_PACK_THREADS_MAX * 2 + 1];
};

static void *compress_slots(void *ctx)
{
    struct ps_packer *p = ctx;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(PS_PACK_LEVEL);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct slot *s = &p->slots[p->next];
        if (s->state == SLOT_FULL) {
            s->state = SLOT_BUSY;
            p->next = (p->next + 1) % p->slot_count;
            pthread_mutex_unlock(&p->lock);
            size_t n =
                c == NULL ? 0
                          : libdeflate_gzip_compress(c, s->plain, s->len, s->packed, p->packed_max);
            pthread_mutex_lock(&p->lock);
            s->packed_len = n;
            s->state = SLOT_DONE;
            pthread_cond_broadcast(&p->done);
        } else if (p->closing) {
            break;
        } else {
            pthread_cond_wait(&p->work, &p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
    libdeflate_free_compressor(c);
    return NULL;
}

static unsigned processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > PS_PACK_THREADS_MAX ? PS_PACK_THREADS_MAX : (unsigned)n;
}

static int make_slots(struct ps_packer *p)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(PS_PACK_LEVEL);
    if (c == NULL)
        return PS_ENOMEM;
    p->packed_max = libdeflate_gzip_compress_bound(c, PS_PACK_PIECE_BYTES);
    libdeflate_free_compressor(c);
    for (unsigned i = 0; i < p->slot_count; i++) {
        p->slots[i].plain = malloc(PS_PACK_PIECE_BYTES);
        p->slots[i].packed = malloc(p->packed_max);
        if (p->slots[i].plain == NULL || p->slots[i].packed == NULL)
            return PS_ENOMEM;
    }
    return 0;
}

int ps_packer_open(struct ps_packer **ret, unsigned threads, ps_pack_fn *fn, void *ctx,
                   struct ps_err *e)
{
    struct ps_packer *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ps_fail(e, PS_ENOMEM, "gzip: no memory");
    unsigned wanted = threads == 0 ? processors() : threads;
    wanted = wanted > PS_PACK_THREADS_MAX ? PS_PACK_THREADS_MAX : wanted;
    p->fn = fn;
    p->ctx = ctx;
    p->slot_count = wanted * 2 + 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    int r = make_slots(p);
    for (unsigned i = 0; r == 0 && i < wanted; i++) {
        if (pthread_create(&p->threads[i], NULL, compress_slots, p) != 0)
            r = PS_ENOMEM;
        else
            p->thread_count++;
    }
    if (r < 0) {
        ps_packer_close(p);
        return ps_fail(e, r, "gzip: no memory or threads");
    }
    *ret = p;
    return 0;
}

/* Waits for the oldest slot and hands it on. */
static int hand_on_oldest(struct ps_packer *p, struct ps_err *e)
{
    struct slot *s = &p->slots[p->oldest];
    pthread_mutex_lock(&p->lock);
    while (s->state != SLOT_DONE)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
    if (s->packed_len == 0)
        return ps_fail(e, PS_ENOMEM, "gzip: cannot compress");
    int r = p->fn(p->ctx, s->packed, s->packed_len, e);
    s->len = 0;
    pthread_mutex_lock(&p->lock); /* a worker may be looking at it */
    s->state = SLOT_FREE;
    pthread_mutex_unlock(&p->lock);
    p->oldest = (p->oldest + 1) % p->slot_count;
    return r;
}

static int submit(struct ps_packer *p, struct ps_err *e)
{
    unsigned following = (p->filling + 1) % p->slot_count;
    pthread_mutex_lock(&p->lock);
    p->slots[p->filling].state = SLOT_FULL;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
    p->filling = following;
    return p->filling == p->oldest ? hand_on_oldest(p, e) : 0;
}

int ps_packer_write(struct ps_packer *p, const void *bytes, size_t len, struct ps_err *e)
{
    const char *at = bytes;
    while (len > 0) {
        struct slot *s = &p->slots[p->filling];
        size_t room = PS_PACK_PIECE_BYTES - s->len, n = len < room ? len : room;
        memcpy(s->plain + s->len, at, n);
        s->len += n;
        at += n;
        len -= n;
        int r = s->len == PS_PACK_PIECE_BYTES ? submit(p, e) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

int ps_packer_finish(struct ps_packer *p, struct ps_err *e)
{
    int r = 0;
    if (p->slots[p->filling].len > 0 || p->filling == p->oldest) /* no input is a member, too */
        r = submit(p, e);
    while (r == 0 && p->oldest != p->filling)
        r = hand_on_oldest(p, e);
    return r;
}

void ps_packer_close(struct ps_packer *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    for (unsigned i = 0; i < p->slot_count; i++) {
        free(p->slots[i].plain);
        free(p->slots[i].packed);
    }
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    free(p);
}
