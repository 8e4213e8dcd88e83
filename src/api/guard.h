/* guard.h - who may talk to a server on loopback.
 *
 * A web page anywhere can make a browser send requests to 127.0.0.1, and with DNS rebinding it can
 * even read the answers, because for the browser they come from the page's own host name. Such
 * requests give themselves away by their Host and Origin.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_GUARD_H
#define PS_API_GUARD_H

#include "base/str.h"

/* A Host header: localhost, an address of 127.0.0.0/8, or [::1], each with or without ":port". */
bool ps_guard_host(struct ps_str host);
/* An Origin header: http or https and such a host. "null" is not. */
bool ps_guard_origin(struct ps_str origin);

#endif
