/* text.h - UTF-8 and character classes for the core.  SPDX-License-Identifier: MIT */
#ifndef PS_CORE_TEXT_H
#define PS_CORE_TEXT_H

#include "base/str.h"
#include "base/utf8.h"

/* Bytes 0x21-0x7e, and at least one. */
bool ps_is_visible_ascii(struct ps_str s);
/* Copies with invalid UTF-8 and control bytes as %XX, cut to `max` bytes at a character. Returns
 * `s` itself (shortened at most) where nothing had to change; else `to`, which has `max` bytes. */
struct ps_str ps_text_clean(struct ps_str s, char *to, size_t max);
/* The same, with each byte that is not UTF-8 as U+FFFD. */
struct ps_str ps_text_mend(struct ps_str s, char *to, size_t max);

/* A decimal of 1 to `max` without leading zeros at *at, which moves past it; false for anything
 * else. */
bool ps_text_take_count(const char **at, const char *end, uint64_t max, uint64_t *ret);

#endif
