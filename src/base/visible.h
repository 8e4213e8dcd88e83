/* visible.h - text from outside, made fit to be read on a terminal.
 *
 * Paths, user agents, ids and file names are written by strangers. A C1 control (U+009B is CSI) or
 * a bidirectional mark is valid UTF-8 and belongs in the store as it came; on a terminal it would
 * move the cursor, colour the screen or show a name backwards. And what cannot be seen lets two
 * different paths look alike. So whatever prints text from data prints it through here.
 *
 * Such a character becomes \u009b or \U000e0001, a byte that is no UTF-8 becomes \xff: what bash
 * takes within $'...'. A backslash stays as it is: this is for eyes, nothing reads it back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_VISIBLE_H
#define PS_BASE_VISIBLE_H

#include "base/buf.h"

enum { PS_VISIBLE_MAX = 10 }; /* bytes of one character as it is shown */

/* Controls (C0, DEL, C1), bidirectional marks, line separators, and everything that takes no place
 * (Default_Ignorable_Code_Point of Unicode 15.1). */
bool ps_is_unseen(uint32_t character);

/* How the character at `text` is shown, into `to`; *ret_len its bytes. Returns how many bytes of
 * `text` it was. */
size_t ps_visible_next(const char *text, size_t left, char to[PS_VISIBLE_MAX + 1], size_t *ret_len);

int ps_visible_append(struct ps_buf *out, struct ps_str text);

/* Into `to`, with a NUL, cut before a character to fit `room`; returns the bytes without the NUL.
 */
size_t ps_visible(char *to, size_t room, struct ps_str text);

/* The same for JSON text: the escapes are those of JSON, so it stays what it is. */
int ps_visible_json(struct ps_buf *out, struct ps_str json);

/* The JSON escape of a character: \uXXXX, or two of them. Returns its bytes. */
size_t ps_json_escape(char to[PS_VISIBLE_MAX + 3], uint32_t character);

#endif
