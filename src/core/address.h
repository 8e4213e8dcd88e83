/* address.h - client addresses in one spelling, so that one client is one client.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_ADDRESS_H
#define PS_CORE_ADDRESS_H

#include "base/str.h"

enum { PS_ADDRESS_MAX = 39 }; /* bytes of the longest canonical text: eight times four digits */

/* The address in canonical text: IPv4 in dotted decimal, IPv6 as RFC 5952 has it, an IPv4-mapped
 * one as IPv4; a port, brackets, a zone and white space around it are removed. What is no address
 * is returned as given. Either a view into `given`, or in `to`. */
struct ps_str ps_address_canonical(struct ps_str given, char to[PS_ADDRESS_MAX]);

#endif
