/* ingest.c - see ingest.h.
 *
 * The scratch buffer is kept between bodies: a decoded string needs at most the bytes it had.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/ingest.h"

#include <stdlib.h>

struct ps_ingest {
    struct ps_hasher *hasher;
    struct ps_clock *clock;
    char *scratch;
    size_t scratch_cap;
};

int ps_ingest_open(struct ps_ingest **ret, const uint8_t secret[PS_SECRET_BYTES],
                   struct ps_clock *clock, struct ps_err *e)
{
    struct ps_ingest *in = calloc(1, sizeof *in);
    if (in == NULL)
        return ps_fail(e, PS_ENOMEM, "ingest: no memory");
    int r = ps_hasher_open(&in->hasher, secret, e);
    if (r < 0) {
        free(in);
        return r;
    }
    in->clock = clock;
    *ret = in;
    return 0;
}

void ps_ingest_close(struct ps_ingest *in)
{
    if (in == NULL)
        return;
    ps_hasher_close(in->hasher);
    free(in->scratch);
    free(in);
}

void ps_ingested_reset(struct ps_ingested *in)
{
    if (in->rejected > 0)
        *in = (struct ps_ingested){0};
    in->accepted = 0;
    in->fatal = false;
}

void ps_ingested_reject(struct ps_ingested *ret, unsigned line, unsigned index, enum ps_reject why)
{
    if (ret->listed < PS_REJECTIONS_LISTED_MAX)
        ret->rejections[ret->listed++] = (struct ps_rejection){line, index, why};
    ret->by_reason[why]++;
    ret->rejected++;
}

/* A hash as given passes; anything else in that field is an address as far as we know (I7). */
static void hash_client(struct ps_ingest *in, const struct ps_raw_event *raw,
                        struct ps_normal *with)
{
    struct ps_str given = raw->client_ip_hash;
    if (given.ptr != NULL && given.len > 0) {
        with->has_client = true;
        if (!ps_client_hash_parse(given, &with->client_hash))
            with->client_hash = ps_hasher_client(in->hasher, given);
    } else if (raw->client_ip.ptr != NULL && raw->client_ip.len > 0) {
        with->has_client = true;
        with->client_hash = ps_hasher_client(in->hasher, raw->client_ip);
    }
}

void ps_ingest_prefetch(struct ps_ingest *in, const struct ps_raw_event *raw)
{
    if (raw->client_ip.ptr != NULL)
        ps_hasher_prefetch(in->hasher, raw->client_ip);
}

static bool needs_fresh(const struct ps_raw_event *raw)
{
    return raw->id.ptr == NULL && !raw->has_id_hash && raw->request_id.ptr == NULL;
}

enum ps_reject ps_ingest_normalise(struct ps_ingest *in, int64_t now_ms,
                                   const struct ps_raw_event *raw, char *scratch,
                                   struct ps_event *ret)
{
    struct ps_normal with = {.now_ms = now_ms};
    hash_client(in, raw, &with);
    if (needs_fresh(raw))
        with.fresh = ps_random64();
    return ps_event_normalise(raw, &with, scratch, ret);
}

static int ingest_at(struct ps_ingest *in, int64_t now_ms, const struct ps_raw_event *raw,
                     unsigned line, unsigned index, struct ps_outbox *out, struct ps_ingested *ret)
{
    char rewritten[PS_EVENT_SCRATCH_BYTES];
    struct ps_event event;
    enum ps_reject why = ps_ingest_normalise(in, now_ms, raw, rewritten, &event);
    if (why != PS_REJECT_NONE) {
        ps_ingested_reject(ret, line, index, why);
        return 0;
    }
    int r = ps_outbox_event(out, &event);
    if (r == 0)
        ret->accepted++;
    return r;
}

int ps_ingest_event(struct ps_ingest *in, const struct ps_raw_event *raw, unsigned line,
                    unsigned index, struct ps_outbox *out, struct ps_ingested *ret)
{
    return ingest_at(in, ps_clock_now_ms(in->clock), raw, line, index, out, ret);
}

static int reserve_scratch(struct ps_ingest *in, size_t len)
{
    if (len <= in->scratch_cap)
        return 0;
    char *scratch = realloc(in->scratch, len);
    if (scratch == NULL)
        return PS_ENOMEM;
    in->scratch = scratch;
    in->scratch_cap = len;
    return 0;
}

static void rewind_outbox(struct ps_outbox *out, size_t count)
{
    out->count = count;
    out->bytes.len = count == 0 ? 0 : out->ends[count - 1];
}

int ps_ingest_body(struct ps_ingest *in, const char *text, size_t len, struct ps_outbox *out,
                   struct ps_ingested *ret)
{
    struct ps_body body;
    struct ps_raw_event raw;
    enum ps_reject why;
    size_t before = out->count;
    int64_t now_ms = ps_clock_now_ms(in->clock);
    int r = reserve_scratch(in, len);
    if (r < 0)
        return r;
    ps_body_init(&body, text, len, in->scratch);
    while (ps_body_next(&body, &raw, &why) > 0) {
        if (why != PS_REJECT_NONE) {
            ps_ingested_reject(ret, body.line, body.index, why);
            continue;
        }
        r = ingest_at(in, now_ms, &raw, body.line, body.index, out, ret);
        if (r < 0) {
            rewind_outbox(out, before);
            return r;
        }
    }
    if (body.fatal) {
        rewind_outbox(out, before);
        ret->accepted = 0;
        ret->fatal = true;
    }
    return 0;
}
