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

enum { PS_OPTION_NAME_MAX = PS_NEAR_WORD_MAX }; /* with its prefix; longer names are unknown ones */

#define PS_OPTION_FIELD(name) offsetof(struct ps_config, name)

extern const struct ps_option ps_options[];
extern const size_t ps_option_count;

/* --- options.c --- */

const struct ps_option *ps_option_find(const char *name); /* NULL: there is none */
bool ps_option_is_text(const struct ps_option *o);
/* `where` is the source as a person knows it: "a.ini:3", "PATHSTATS_LISTEN", "--listen". */
int ps_option_set(struct ps_config *c, const struct ps_option *o, const char *value,
                  enum ps_config_source source, int line, const char *where, struct ps_err *e);
/* PS_EINVAL: no such option; maybe another was meant. */
int ps_option_unknown(const char *where, const char *name, struct ps_err *e);
/* "data_dir" as "--data-dir" or "PATHSTATS_DATA_DIR". */
void ps_option_name(char to[PS_OPTION_NAME_MAX], const struct ps_option *o,
                    enum ps_config_source source);

#endif
