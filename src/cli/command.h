/* command.h - the table of commands, and what is derived from it: running one, its --help, the man
 * page, hints for what was mistyped.
 *
 * A command takes exactly the options that its entry lists, and those of the option table
 * (config/table.c), of which `settings` names the ones that matter to it. Asking for an option that
 * the entry does not list is a mistake of ours (ps_cli_option asserts it), so help cannot lag.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_COMMAND_H
#define PS_CLI_COMMAND_H

#include "cli/cli.h"

enum { PS_COMMAND_FORMS_MAX = 12 };

/* `arguments` NULL ends a list of forms, `flag` one of options, `line` one of examples. */
struct ps_form {
    const char *arguments, *help; /* "list", "cat DATE", or "" */
};
struct ps_command_option {
    const char *flag, *value, *preset, *help; /* value "": takes none; preset "": there is none */
};
struct ps_example {
    const char *line, *help;
};

struct ps_command {
    const char *name, *summary; /* a line in the list of commands */
    const char *about;          /* sentences */
    const struct ps_form *forms;
    const struct ps_command_option *options; /* NULL: none of its own */
    const char *settings;                    /* sections or names, parted by blanks */
    const struct ps_example *examples;
    const char *found;       /* what exit code 2 means here; NULL: does not happen */
    bool may_be_locked_out;  /* exit code 3 */
    bool may_be_interrupted; /* exit code 130 */
    ps_command_fn *run;
};

extern const struct ps_command ps_commands[];
extern const size_t ps_command_count;

struct ps_exit {
    int code;
    const char *meaning;
};
extern const struct ps_exit ps_exits[];
extern const size_t ps_exit_count;

/* NULL: there is none of that name. */
const struct ps_command *ps_command_find(const char *name);
/* Prints that there is no such command and which one was meant; returns PS_EXIT_USAGE. */
int ps_command_unknown(const char *name);

/* All commands, all settings; one command. `columns`: how wide. */
void ps_help_all(FILE *out, int columns);
void ps_help_command(FILE *out, const struct ps_command *command, int columns);
/* The man page, in the man macros of roff. */
void ps_help_man(FILE *out);

#endif
