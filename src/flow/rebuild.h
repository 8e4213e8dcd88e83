/* rebuild.h - rows that do not decode, made again from their events.
 *
 * A row is a function of the set of its events (I2), so damage to one need not stop the counting:
 * while its events are in the store it is computed anew, as of the store's position, and replaces
 * the damaged one at the next settling. Pending events are part of it then and must not be counted
 * once more: ps_rebuilds_has tells which. The row of (other) cannot be had this way, nor one whose
 * events were archived.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_REBUILD_H
#define PS_FLOW_REBUILD_H

#include "port/store.h"

enum { PS_REBUILDS_MAX = 64 }; /* rows between two settlings */

struct ps_rebuild {
    int32_t hour;
    struct ps_str path;
    char bytes[PS_PATH_MAX]; /* of the path */
};

struct ps_rebuilds {
    struct ps_rebuild *list[PS_REBUILDS_MAX];
    size_t count;
};

void ps_rebuilds_clear(struct ps_rebuilds *r);
bool ps_rebuilds_has(const struct ps_rebuilds *r, int32_t hour, struct ps_str path);
/* PS_ECORRUPT with a text for a person: it cannot be made again. */
int ps_rebuilds_add(struct ps_rebuilds *r, int32_t hour, struct ps_str path, struct ps_err *e);

/* From every stored event of that path and hour, into an empty `ret`. */
int ps_rebuild_row(struct ps_store *store, const struct ps_rebuild *row,
                   const struct ps_alloc *alloc, struct ps_aggregate *ret, struct ps_err *e);

#endif
