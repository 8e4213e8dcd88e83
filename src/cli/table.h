/* table.h - paths and their numbers in columns, for a terminal.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_TABLE_H
#define PS_CLI_TABLE_H

#include "flow/ranking.h"

/* Columns left for a path beside the numbers and `taken` others. */
int ps_table_room(int taken);
void ps_table_head(const char *first, int room);
/* Filled up or shortened to exactly `room` characters. */
void ps_table_path(struct ps_str path, int room);
/* The rest of the line. */
void ps_table_numbers(const struct ps_ranked *p);

#endif
