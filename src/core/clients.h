/* clients.h - distinct clients by KMV; see aggregate.h.  SPDX-License-Identifier: MIT */
#ifndef PS_CORE_CLIENTS_H
#define PS_CORE_CLIENTS_H

#include "base/str.h"
#include "core/alloc.h"
#include "core/limits.h"

struct ps_clients {
    uint64_t *hashes; /* ascending */
    uint32_t len, cap;
};

int ps_clients_reserve(struct ps_clients *c, size_t more, const struct ps_alloc *alloc);
/* Room must have been reserved. */
void ps_clients_put(struct ps_clients *c, uint64_t hash);
uint64_t ps_clients_estimate(const struct ps_clients *c, bool *ret_exact);

#endif
