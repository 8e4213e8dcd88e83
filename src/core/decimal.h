/* decimal.h - JSON number text to integers without floating point.  SPDX-License-Identifier: MIT */
#ifndef PS_CORE_DECIMAL_H
#define PS_CORE_DECIMAL_H

#include "base/str.h"

enum ps_rounding { PS_TRUNCATE, PS_ROUND_HALF_UP };

/* value(text) * 10^shift as an integer; magnitudes beyond INT64_MAX saturate. `text` is a valid
 * JSON number. *ret_whole (may be NULL): nothing was cut off. */
int64_t ps_decimal_int64(struct ps_str text, int shift, enum ps_rounding rounding, bool *ret_whole);

#endif
