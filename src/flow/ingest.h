/* ingest.h - from what arrives to queue records: decode, hash the address, normalise, encode.
 *
 * Nothing durable happens here; hand the outbox to ps_commit. Raw addresses end here (I7).
 * Threads: an ingest belongs to one thread; the counters may be read from any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_INGEST_H
#define PS_FLOW_INGEST_H

#include "base/err.h"
#include "base/json.h"
#include "core/decode.h"
#include "flow/admission.h"
#include "flow/outbox.h"
#include "port/clock.h"
#include "wrap/secret.h"

enum {
    PS_REJECTIONS_LISTED_MAX = 100,
    PS_INGEST_REFUSED_MAX = 10000, /* refused events of one body; what follows is not read */
};

struct ps_rejection {
    unsigned line;  /* 1-based, in the body or file */
    unsigned index; /* 0-based, of the event in the body */
    enum ps_reject why;
};

struct ps_ingested {
    size_t accepted, rejected;
    size_t listed; /* of the rejections below; the rest is only counted */
    struct ps_rejection rejections[PS_REJECTIONS_LISTED_MAX];
    uint64_t by_reason[PS_REJECT_COUNT];
    struct ps_warnings warnings; /* of all events, the rejected ones too */
    bool fatal;                  /* an array that was cut off: nothing was accepted */
    bool stopped;      /* PS_INGEST_REFUSED_MAX were refused: the rest of the body was not read */
    bool blank;        /* a body of nothing, not even an empty array */
    bool letters_full; /* nothing was accepted, because of PS_ADMISSION_TEXT */
};

/* As new; cheap when nothing was rejected. */
void ps_ingested_reset(struct ps_ingested *in);

struct ps_ingest;

int ps_ingest_open(struct ps_ingest **ret, const uint8_t secret[PS_SECRET_BYTES],
                   struct ps_clock *clock, struct ps_err *e);
/* Whether paths get the normal form of RFC 3986 (core/percent.h); they do until told otherwise. */
void ps_ingest_set_percent(struct ps_ingest *in, bool normal);
void ps_ingest_close(struct ps_ingest *in);
/* From now on it asks there whether an event may come. */
void ps_ingest_admit(struct ps_ingest *in, struct ps_admission *admission);

/* Says that this event will be ingested soon. */
void ps_ingest_prefetch(struct ps_ingest *in, const struct ps_raw_event *raw);
/* What becomes of the event: hashes the address, cuts the path, makes the id. As
 * ps_event_normalise: *ret points into `raw`'s memory and `scratch`. Fields that cannot be used are
 * left out, and told to `warnings` (may be NULL). */
enum ps_reject ps_ingest_normalise(struct ps_ingest *in, int64_t now_ms,
                                   const struct ps_raw_event *raw, char *scratch,
                                   struct ps_warnings *warnings, struct ps_event *ret);
/* One event; on PS_REJECT_NONE it is in the outbox. *ret_error: 0, or PS_EFULL / PS_ENOMEM of the
 * outbox, or PS_EFULL with letters_full. `line` and `index` go to the rejection; *ret accumulates
 * (start it with zeros). */
int ps_ingest_event(struct ps_ingest *in, const struct ps_raw_event *raw, unsigned line,
                    unsigned index, struct ps_outbox *out, struct ps_ingested *ret);
/* Counts a rejection found before an event existed (a log line, say). */
void ps_ingested_reject(struct ps_ingested *ret, unsigned line, unsigned index, enum ps_reject why);
/* [{"field":…,"reason":…,"message":…,"count":…}], as the API and the CLI tell them. */
void ps_warnings_write(struct ps_json *w, const struct ps_warnings *warnings);
/* A whole request body (see ps_body) appended to `out`. 0, PS_EFULL (more than the outbox holds, or
 * letters_full) or PS_ENOMEM; then, and when ret->fatal, `out` is as before. */
int ps_ingest_body(struct ps_ingest *in, const char *body, size_t len, struct ps_outbox *out,
                   struct ps_ingested *ret);

#endif
