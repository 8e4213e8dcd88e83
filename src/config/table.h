/* table.h - the table everything about settings derives from. Private to config/.
 *
 * A new option is a line in table.c and a field of its name in struct ps_config; reading it from
 * file, environment and flags, --help and `config check` follow.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CONFIG_TABLE_H
#define PS_CONFIG_TABLE_H

#include "config/options.h"
#include "config/value.h"

struct ps_option {
    const char *name, *section, *preset, *help;
    size_t field; /* offset in struct ps_config */
    struct ps_value_rule rule;
};

extern const struct ps_option ps_options[];
extern const size_t ps_option_count;

#endif
