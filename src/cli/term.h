/* term.h - text on a terminal: how wide it is, how wide a text is, and cutting one to fit.
 *
 * Whatever comes from data is shown as base/visible.h does, so that a column of the screen is a
 * column here. Widths are wcwidth(3)'s, so a Chinese character takes two and an accent none.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_TERM_H
#define PS_CLI_TERM_H

#include "base/buf.h"

enum { PS_COLUMNS_DEFAULT = 80, PS_COLUMNS_MIN = 20, PS_COLUMNS_MAX = 1000 };

/* Once, before the others: wcwidth needs to be told that characters are UTF-8. */
void ps_term_init(void);

/* COLUMNS of the environment, else what the terminal behind `fd` has, else PS_COLUMNS_DEFAULT. */
int ps_term_columns(int fd);

/* Columns that `text` takes when it is shown. */
int ps_term_width(struct ps_str text);

/* Appends `text`, at most `columns` wide: its middle becomes … where it is longer, because the ends
 * of a path tell most. Returns the columns taken. */
int ps_term_fit(struct ps_buf *out, struct ps_str text, int columns);

/* The same, cut at the end. */
int ps_term_cut(struct ps_buf *out, struct ps_str text, int columns);

#endif
