/* table.h - rows in columns, as wide as the terminal and not wider.
 *
 * Rows are collected first, so that a column is as wide as what stands in it. What does not fit
 * gives way in this order: columns go in which every row says "-"; the gaps become one blank; the
 * elastic ones are cut (in the middle) down to their least width; other columns go, the one with
 * the highest `drop` first; then the elastic ones are cut further.
 *
 *     ps_table_init(&t, columns, n); for each row: ps_table_cell × n, ps_table_end_row;
 * ps_table_print
 *
 * Cells are text from data: shown as base/visible.h does. Failures stick; ps_table_print tells.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_TABLE_H
#define PS_CLI_TABLE_H

#include "base/buf.h"
#include "flow/ranking.h"

#include <stdio.h>

enum { PS_TABLE_COLUMNS_MAX = 16 };

struct ps_column {
    const char *name;
    bool right;    /* numbers */
    unsigned drop; /* 0: never */
    int least;     /* an elastic column's; 0: its width is what stands in it */
};

struct ps_table {
    const struct ps_column *columns;
    size_t count, at; /* columns; the next cell's */
    size_t rows;
    int widths[PS_TABLE_COLUMNS_MAX];
    bool says[PS_TABLE_COLUMNS_MAX]; /* more than "-" */
    struct ps_buf cells;             /* a flag byte, the text, a NUL; for each */
};

void ps_table_init(struct ps_table *t, const struct ps_column *columns, size_t count);
void ps_table_done(struct ps_table *t);
/* Of the row being filled, from left to right. `loud`: in red, where there is colour. */
void ps_table_cell(struct ps_table *t, struct ps_str text, bool loud);
void ps_table_text(struct ps_table *t, const char *text);
void ps_table_end_row(struct ps_table *t);
/* Heading and rows, at most `width` columns of the terminal. 0, or the code of what failed. */
int ps_table_print(const struct ps_table *t, FILE *out, int width, bool color);

/* The numbers of a path, as `top`, `show` and `snapshot show` have them: eight cells, for these
 * columns. */
#define PS_TABLE_NUMBERS                                                                           \
    {"requests", true, 0, 0}, {"errors", true, 0, 0}, {"err %", true, 4, 0}, {"avg", true, 5, 0},  \
        {"p50", true, 3, 0}, {"p95", true, 1, 0}, {"p99", true, 2, 0},                             \
    {                                                                                              \
        "clients", true, 3, 0                                                                      \
    }
void ps_table_numbers(struct ps_table *t, const struct ps_ranked *p);

#endif
