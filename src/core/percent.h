/* percent.h - the normal form of percent-encoding in a path (RFC 3986, 6.2.2.1 and 6.2.2.2).
 *
 * Hex digits become upper case and encoded unreserved characters (letters, digits, - . _ ~) become
 * themselves, so that /%7Euser and /~user are one path. Nothing else changes: reserved characters
 * stay encoded, because %2F is not a slash; dot segments and double slashes stay; nothing is
 * encoded that was not; what is no valid encoding ("%zz", "100%") stays as it is. The form is
 * stable: normalising twice gives the same.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_PERCENT_H
#define PS_CORE_PERCENT_H

#include "base/str.h"

/* `to` has path.len bytes and may be where the path lies; the result points into `path` when
 * nothing had to change. Never longer than `path`. */
struct ps_str ps_percent_normal(struct ps_str path, char *to);

#endif
