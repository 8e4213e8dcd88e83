/* descriptors.h - how many files and connections the process may have open, shared out.
 *
 * Each connection takes one, and so do segments of the queue, the database, its log and its
 * readers, objects, the connections to S3. When clients take the last one, the queue cannot begin a
 * segment and counting stops. So the soft limit is raised to the hard one, PS_DESCRIPTORS_RESERVE
 * are kept for everything but clients, and the number of connections follows from what is left.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_DAEMON_DESCRIPTORS_H
#define PS_DAEMON_DESCRIPTORS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PS_DESCRIPTORS_RESERVE = 128,
    PS_DESCRIPTORS_CONNECTIONS_MIN = 16, /* with fewer a server makes no sense */
};

/* Raises the limit; returns it. */
uint64_t ps_descriptors_raise(void);

/* How many connections, at most `wanted`, go with `limit` descriptors, when `spare` more than that
 * may be open for a moment. PS_EFULL with what to do: not even PS_DESCRIPTORS_CONNECTIONS_MIN. */
int ps_descriptors_share(uint64_t limit, size_t wanted, size_t spare, size_t *ret,
                         struct ps_err *e);

#endif
