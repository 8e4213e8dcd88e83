/* overwrite.h - may what lies under a day's name already be replaced?
 *
 * Only when every event in it (id and timestamp) is also in the store, and so in the object that is
 * about to be written. It is when a run was killed after the upload, or a restored day is archived
 * again; it is not when another data directory archives to the same place, or the database was
 * replaced: then nothing else may have those events (I5, docs/decisions/0029).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_OVERWRITE_H
#define PS_FLOW_OVERWRITE_H

#include "flow/day_object.h"

/* A good choice: 16 MB. The object is read once, the store's day once for so many of its events. */
enum { PS_OVERWRITE_EVENTS_MAX = 1000 * 1000 };

/* The day is sealed. 0: yes, or nothing is there. PS_EEXIST: it has events that the store has not,
 * or cannot be read as an archive; the text says which and what to do. Else what kept us from
 * finding out, which is a no as well. */
int ps_overwrite_check(struct ps_store *store, int32_t day, struct ps_objects *objects,
                       const char *key, size_t events_max, ps_day_progress_fn *progress, void *ctx,
                       struct ps_err *e);

#endif
