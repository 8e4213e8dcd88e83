/* help.c - the command table as --help tells it. See command.h.  SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include "base/near.h"
#include "cli/term.h"

#include <stdio.h>
#include <string.h>

enum {
    LINE_MAX_COLUMNS = 100, /* longer ones are tiring to read, however wide the terminal */
    OPTION_WIDTH = 30,
    EXAMPLE_WIDTH = 42,
    COMMAND_WIDTH = 13,
    RIGHT_LEAST = 28, /* narrower, and the right side goes below the left one */
    NARROW_INDENT = 8,
    LEFT_MAX = 128,
};

/* --- layout --- */

/* Words of `text` from column `at` on; lines that follow begin at `indent`. Ends the line. */
static void put_wrapped(FILE *out, const char *text, int at, int indent, int columns)
{
    bool first = true;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        int width = ps_term_width((struct ps_str){text, len});
        if (!first && at + 1 + width > columns) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", (int)len, text);
        at += width + !first;
        first = false;
        text += len + strspn(text + len, " ");
    }
    fputc('\n', out);
}

/* "    --limit N        so many paths": the right side wraps in its own column. */
static void put_entry(FILE *out, const char *left, int width, const char *right, int columns)
{
    int taken = 2 + ps_term_width((struct ps_str){left, strlen(left)});
    fprintf(out, right[0] != '\0' ? "  %s" : "  %s\n", left);
    if (right[0] == '\0')
        return;
    int indent = columns - width - 2 < RIGHT_LEAST ? NARROW_INDENT : width + 2;
    if (taken >= indent) {
        fputc('\n', out);
        taken = 0;
    }
    fprintf(out, "%*s", indent - taken, "");
    put_wrapped(out, right, indent, indent, columns);
}

static int line_columns(int columns)
{
    return columns > LINE_MAX_COLUMNS ? LINE_MAX_COLUMNS : columns;
}

/* --- settings --- */

static void put_setting(FILE *out, const struct ps_config_option *o, int columns)
{
    char left[LEFT_MAX], right[2 * LEFT_MAX];
    snprintf(left, sizeof left, "%s%s%s", o->flag, o->value[0] != '\0' ? " " : "", o->value);
    bool said = o->preset[0] != '\0' && strcmp(o->preset, "false") != 0;
    snprintf(right, sizeof right, "%s%s%s%s%s%s", o->help, o->choices != NULL ? ": " : "",
             o->choices != NULL ? o->choices : "", said ? " [" : "", said ? o->preset : "",
             said ? "]" : "");
    put_entry(out, left, OPTION_WIDTH, right, columns);
}

static bool lists(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += len)
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

static void put_settings(FILE *out, const char *wanted, bool with_sections, int columns)
{
    struct ps_config_option o;
    const char *section = "";
    for (size_t i = 0; ps_config_option(i, &o); i++) {
        if (wanted != NULL && !lists(wanted, o.section) && !lists(wanted, o.name))
            continue;
        if (with_sections && strcmp(section, o.section) != 0)
            fprintf(out, "\n%s\n", o.section);
        section = o.section;
        put_setting(out, &o, columns);
    }
}

/* --- exit codes --- */

static bool may_end_with(const struct ps_command *c, int code)
{
    return code == PS_EXIT_DIFFERS       ? c->found != NULL
           : code == PS_EXIT_IN_USE      ? c->may_be_locked_out
           : code == PS_EXIT_INTERRUPTED ? c->may_be_interrupted
                                         : true;
}

static void put_exits(FILE *out, const struct ps_command *c, int columns)
{
    fputs("\nExit codes:\n", out);
    for (size_t i = 0; i < ps_exit_count; i++) {
        char code[8];
        if (c != NULL && !may_end_with(c, ps_exits[i].code))
            continue;
        snprintf(code, sizeof code, "%d", ps_exits[i].code);
        bool found = c != NULL && ps_exits[i].code == PS_EXIT_DIFFERS;
        put_entry(out, code, 5, found ? c->found : ps_exits[i].meaning, columns);
    }
}

/* --- help --- */

void ps_help_command(FILE *out, const struct ps_command *c, int columns)
{
    columns = line_columns(columns);
    fprintf(out, "pathstats %s: ", c->name);
    put_wrapped(out, c->summary, (int)strlen(c->name) + 12, 2, columns);
    fputs("\nUsage:\n", out);
    for (const struct ps_form *f = c->forms; f->arguments != NULL; f++) {
        char left[LEFT_MAX];
        snprintf(left, sizeof left, "pathstats %s%s%s", c->name, f->arguments[0] != '\0' ? " " : "",
                 f->arguments);
        put_entry(out, left, EXAMPLE_WIDTH, f->help, columns);
    }
    if (c->about[0] != '\0') {
        fputc('\n', out);
        put_wrapped(out, c->about, 0, 0, columns);
    }
    fputs("\nOptions:\n", out);
    for (const struct ps_command_option *o = c->options; o != NULL && o->flag != NULL; o++) {
        const struct ps_config_option as = {
            .help = o->help, .preset = o->preset, .value = o->value};
        struct ps_config_option shown = as;
        snprintf(shown.flag, sizeof shown.flag, "%s", o->flag);
        put_setting(out, &shown, columns);
    }
    put_settings(out, c->settings, strchr(c->settings, ' ') != NULL && lists(c->settings, "server"),
                 columns);
    fputs("\nExamples:\n", out);
    for (const struct ps_example *x = c->examples; x->line != NULL; x++)
        put_entry(out, x->line, EXAMPLE_WIDTH, x->help, columns);
    put_exits(out, c, columns);
}

void ps_help_all(FILE *out, int columns)
{
    columns = line_columns(columns);
    fprintf(out,
            "pathstats %s: HTTP traffic statistics per path and hour that you can trust\n\n"
            "Usage: pathstats COMMAND [ARGUMENTS] [OPTIONS]\n\n",
            PS_VERSION);
    for (size_t i = 0; i < ps_command_count; i++)
        put_entry(out, ps_commands[i].name, COMMAND_WIDTH, ps_commands[i].summary, columns);
    fputs("\n`pathstats COMMAND --help` tells more, with examples.\n\n", out);
    put_wrapped(out,
                "Settings, for every command: as --name, as PATHSTATS_NAME in the environment, or "
                "as `name = value` in DATA_DIR/pathstats.ini.",
                0, 0, columns);
    put_settings(out, NULL, true, columns);
    fputs("\nSizes: 64k, 16MB, 10GB (units of 1024). Times: 100ms, 5s, 10m, 72h, 3d.\n", out);
    put_exits(out, NULL, columns);
}

/* --- what was mistyped --- */

const struct ps_command *ps_command_find(const char *name)
{
    for (size_t i = 0; i < ps_command_count; i++)
        if (strcmp(ps_commands[i].name, name) == 0)
            return &ps_commands[i];
    return NULL;
}

int ps_command_unknown(const char *name)
{
    struct ps_near near;
    struct ps_err e;
    ps_near_init(&near, name);
    for (size_t i = 0; i < ps_command_count; i++)
        ps_near_try(&near, ps_commands[i].name);
    if (near.best != NULL)
        ps_fail(&e, PS_EINVAL, "there is no command \"%s\"; did you mean %s?", name, near.best);
    else
        ps_fail(&e, PS_EINVAL, "there is no command \"%s\"; `pathstats --help` lists them", name);
    return ps_cli_fail(&e);
}
