/* ingest.c - see ingest.h.
 *
 * The scratch buffer is kept between bodies: a decoded string needs at most the bytes it had.
 *
 * Checks come before work: a client is hashed and a random id drawn only for an event that will be
 * taken, and random numbers are drawn many at once, so that 16 KB of gzip that inflate to millions
 * of bad events cost next to nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/ingest.h"

#include <stdlib.h>

enum { RANDOM_NUMBERS = 32 };

struct ps_ingest {
    bool percent_as_is;
    struct ps_hasher *hasher;
    struct ps_clock *clock;
    uint64_t random[RANDOM_NUMBERS];
    size_t random_left;
    struct ps_admission *admission; /* may be NULL */
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

void ps_ingest_set_percent(struct ps_ingest *in, bool normal)
{
    in->percent_as_is = !normal;
}

void ps_ingest_close(struct ps_ingest *in)
{
    if (in == NULL)
        return;
    ps_hasher_close(in->hasher);
    free(in->scratch);
    free(in);
}

void ps_ingest_admit(struct ps_ingest *in, struct ps_admission *admission)
{
    in->admission = admission;
}

void ps_ingested_reset(struct ps_ingested *in)
{
    if (in->rejected > 0 || in->warnings.count > 0)
        *in = (struct ps_ingested){0};
    in->accepted = 0;
    in->fatal = in->stopped = in->blank = in->letters_full = false;
}

void ps_ingested_reject(struct ps_ingested *ret, unsigned line, unsigned index, enum ps_reject why)
{
    if (ret->listed < PS_REJECTIONS_LISTED_MAX)
        ret->rejections[ret->listed++] = (struct ps_rejection){line, index, why};
    ret->by_reason[why]++;
    ret->rejected++;
}

void ps_ingest_prefetch(struct ps_ingest *in, const struct ps_raw_event *raw)
{
    if (raw->client_ip.ptr != NULL) /* most are canonical as they come */
        ps_hasher_prefetch(in->hasher, raw->client_ip);
}

static void hash_client(struct ps_ingest *in, const struct ps_raw_event *raw,
                        struct ps_normal *with)
{
    char canonical[PS_ADDRESS_MAX];
    struct ps_sender sender;
    ps_event_sender(raw, canonical, &sender);
    with->has_client = sender.present;
    if (sender.present)
        with->client_hash =
            sender.is_hash ? sender.hash : ps_hasher_client(in->hasher, sender.text);
}

static uint64_t next_random(struct ps_ingest *in)
{
    if (in->random_left == 0) {
        ps_random_fill(in->random, sizeof in->random);
        in->random_left = RANDOM_NUMBERS;
    }
    return in->random[--in->random_left];
}

enum ps_reject ps_ingest_normalise(struct ps_ingest *in, int64_t now_ms,
                                   const struct ps_raw_event *raw, char *scratch,
                                   struct ps_warnings *warnings, struct ps_event *ret)
{
    struct ps_normal with = {
        .now_ms = now_ms, .warnings = warnings, .percent_as_is = in->percent_as_is};
    enum ps_reject why = ps_event_check(raw, now_ms);
    if (why != PS_REJECT_NONE)
        return why;
    hash_client(in, raw, &with);
    if (ps_event_needs_fresh(raw))
        with.fresh = next_random(in);
    ps_event_make(raw, &with, scratch, ret);
    return PS_REJECT_NONE;
}

/* 1: in the outbox. 0: refused, and why. Negative: PS_EFULL or PS_ENOMEM. */
static int ingest_at(struct ps_ingest *in, int64_t now_ms, const struct ps_raw_event *raw,
                     struct ps_outbox *out, struct ps_ingested *ret, enum ps_reject *ret_why)
{
    char rewritten[PS_EVENT_SCRATCH_BYTES];
    struct ps_event event;
    *ret_why = ps_ingest_normalise(in, now_ms, raw, rewritten, &ret->warnings, &event);
    if (*ret_why != PS_REJECT_NONE)
        return 0;
    if (ps_admission_refuses(in->admission, event.timestamp_ms)) {
        ret->letters_full = true;
        return PS_EFULL;
    }
    int r = ps_outbox_event(out, &event);
    if (r < 0)
        return r;
    ret->accepted++;
    return 1;
}

int ps_ingest_event(struct ps_ingest *in, const struct ps_raw_event *raw, unsigned line,
                    unsigned index, struct ps_outbox *out, struct ps_ingested *ret)
{
    enum ps_reject why;
    int r = ingest_at(in, ps_clock_now_ms(in->clock), raw, out, ret, &why);
    if (r == 0)
        ps_ingested_reject(ret, line, index, why);
    return r < 0 ? r : 0;
}

void ps_warnings_write(struct ps_json *w, const struct ps_warnings *warnings)
{
    char text[PS_WARNING_TEXT_MAX];
    ps_json_open(w, '[');
    for (size_t i = 0; i < warnings->count; i++) {
        const struct ps_warning *warning = &warnings->list[i];
        ps_warning_text(warning, text);
        ps_json_open(w, '{');
        ps_json_key(w, "field");
        ps_json_str(w, (struct ps_str){warning->field, warning->len});
        ps_json_key(w, "reason");
        ps_json_text(w, ps_reject_name(warning->why));
        ps_json_key(w, "message");
        ps_json_text(w, text);
        ps_json_key(w, "count");
        ps_json_uint(w, warning->count);
        ps_json_close(w, '}');
    }
    ps_json_close(w, ']');
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

static int take_events(struct ps_ingest *in, struct ps_body *body, struct ps_outbox *out,
                       struct ps_ingested *ret)
{
    struct ps_raw_event raw;
    enum ps_reject why;
    int64_t now_ms = ps_clock_now_ms(in->clock);
    size_t refused = 0;
    while (ps_body_next(body, &raw, &why) > 0) {
        int r = why == PS_REJECT_NONE ? ingest_at(in, now_ms, &raw, out, ret, &why) : 0;
        if (r < 0)
            return r;
        if (r > 0)
            continue;
        ps_ingested_reject(ret, ps_body_line(body), body->index, why);
        ret->stopped = ++refused == PS_INGEST_REFUSED_MAX && body->at < body->len;
        if (ret->stopped)
            break;
    }
    return 0;
}

int ps_ingest_body(struct ps_ingest *in, const char *text, size_t len, struct ps_outbox *out,
                   struct ps_ingested *ret)
{
    struct ps_body body;
    size_t before = out->count, accepted = ret->accepted;
    int r = reserve_scratch(in, len);
    if (r < 0)
        return r;
    ps_body_init(&body, text, len, in->scratch, &ret->warnings);
    r = take_events(in, &body, out, ret);
    if (r < 0 || body.fatal) {
        rewind_outbox(out, before);
        ret->accepted = accepted;
    }
    ret->fatal = body.fatal;
    ret->blank = body.blank;
    return r;
}
