/* day_object.h - one archived day as an object: written from the store, read back, restored.
 *
 * The object is gzip of lines (core/archive_line.h) ordered by timestamp, then id. Constant memory.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_DAY_OBJECT_H
#define PS_FLOW_DAY_OBJECT_H

#include "port/ledger.h"
#include "port/objects.h"
#include "wrap/pack.h"

struct ps_day_object {
    uint64_t events, json_bytes, object_bytes;
    char sha256[PS_SHA256_HEX + 1]; /* of the object's bytes */
};

/* Now and then; `done` events. Negative: stop with that code. */
typedef int ps_day_progress_fn(void *ctx, uint64_t done);

int ps_day_object_write(struct ps_store *store, int32_t day, struct ps_objects *objects,
                        const char *key, ps_day_progress_fn *progress, void *ctx,
                        struct ps_day_object *ret, struct ps_err *e);

/* Hands the plain bytes to fn (may be NULL), counts lines, hashes. */
int ps_day_object_read(struct ps_objects *objects, const char *key, ps_pack_fn *fn, void *fn_ctx,
                       ps_day_progress_fn *progress, void *ctx, struct ps_day_object *ret,
                       struct ps_err *e);

int ps_day_object_restore(struct ps_objects *objects, const char *key, struct ps_ledger *ledger,
                          int32_t day, ps_day_progress_fn *progress, void *ctx, struct ps_err *e);

#endif
