/* man.c - the command table as a man page, pathstats(1), in the man macros of roff.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/command.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

/* Text as roff wants it: nothing of ours is a macro, a hyphen is a minus, the rest has a name. */
static void put(FILE *out, const char *text)
{
    size_t len = strlen(text);
    if (text[0] == '.' || text[0] == '\'')
        fputs("\\&", out);
    for (size_t i = 0; i < len;) {
        size_t n = ps_utf8_length(text + i, len - i);
        if (n > 1)
            fprintf(out, "\\[u%04X]", ps_utf8_decode(text + i, n));
        else if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == '-')
            fputs("\\-", out);
        else if (text[i] == '\'')
            fputs("\\(aq", out);
        else
            fputc(text[i], out);
        i += n > 0 ? n : 1;
    }
}

static void put_bold(FILE *out, const char *text)
{
    fputs("\\fB", out);
    put(out, text);
    fputs("\\fR", out);
}

static void put_paragraph(FILE *out, const char *text)
{
    fputs(".PP\n", out);
    put(out, text);
    fputc('\n', out);
}

/* A tagged paragraph: the flag in bold, its value in italics. */
static void put_option(FILE *out, const char *flag, const char *value, const char *help,
                       const char *choices, const char *preset)
{
    fputs(".TP\n", out);
    put_bold(out, flag);
    if (value[0] != '\0') {
        fputs(" \\fI", out);
        put(out, value);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put(out, help);
    if (choices != NULL) {
        fputs(": ", out);
        put(out, choices);
    }
    if (preset[0] != '\0') {
        fputs(" [", out);
        put(out, preset);
        fputc(']', out);
    }
    fputc('\n', out);
}

static void put_command(FILE *out, const struct ps_command *c)
{
    fputs(".SS ", out);
    put(out, c->name);
    fputc('\n', out);
    put(out, c->summary);
    fputs(".\n", out);
    for (const struct ps_form *f = c->forms; f->arguments != NULL; f++) {
        char line[160];
        snprintf(line, sizeof line, "pathstats %s%s%s", c->name, f->arguments[0] != '\0' ? " " : "",
                 f->arguments);
        fputs(".TP\n", out);
        put_bold(out, line);
        fputc('\n', out);
        put(out, f->help[0] != '\0' ? f->help : c->summary);
        fputc('\n', out);
    }
    if (c->about[0] != '\0')
        put_paragraph(out, c->about);
    for (const struct ps_command_option *o = c->options; o != NULL && o->flag != NULL; o++)
        put_option(out, o->flag, o->value, o->help, NULL, o->preset);
    for (const struct ps_example *x = c->examples; x->line != NULL; x++) {
        fputs(".TP\n", out);
        put_bold(out, x->line);
        fputc('\n', out);
        put(out, x->help);
        fputc('\n', out);
    }
    if (c->found != NULL) {
        fputs(".PP\nExit code 2: ", out);
        put(out, c->found);
        fputs(".\n", out);
    }
}

static void put_settings(FILE *out)
{
    struct ps_config_option o;
    const char *section = "";
    fputs(".SH SETTINGS\n", out);
    put(out, "Every command takes them: as --name, as PATHSTATS_NAME in the environment, or as "
             "name = value in the configuration file. A flag counts more than the environment, "
             "which counts more than the file. Sizes: 64k, 16MB, 10GB (units of 1024). Times: "
             "100ms, 5s, 10m, 72h, 3d.");
    fputc('\n', out);
    for (size_t i = 0; ps_config_option(i, &o); i++) {
        if (strcmp(section, o.section) != 0) {
            fputs(".SS ", out);
            put(out, o.section);
            fputc('\n', out);
        }
        section = o.section;
        put_option(out, o.flag, o.value, o.help, o.choices, o.preset);
    }
}

static void put_files(FILE *out)
{
    static const struct {
        const char *name, *help;
    } files[] = {
        {"DATA_DIR/pathstats.db", "events and statistics, an SQLite database"},
        {"DATA_DIR/queue/", "what was accepted and is not stored yet, and the dead letters"},
        {"DATA_DIR/secret", "the key that client addresses are hashed with; keep it with the data"},
        {"DATA_DIR/objects/", "archived days, unless they go to S3"},
        {"DATA_DIR/pathstats.ini", "the configuration file"},
        {"/etc/pathstats/pathstats.ini", "the configuration file when there is none in DATA_DIR"},
    };
    fputs(".SH FILES\n", out);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        fputs(".TP\n.I ", out);
        put(out, files[i].name);
        fputc('\n', out);
        put(out, files[i].help);
        fputc('\n', out);
    }
}

static void put_exits(FILE *out)
{
    fputs(".SH \"EXIT STATUS\"\n", out);
    for (size_t i = 0; i < ps_exit_count; i++) {
        fprintf(out, ".TP\n.B %d\n", ps_exits[i].code);
        put(out, ps_exits[i].meaning);
        fputc('\n', out);
    }
}

void ps_help_man(FILE *out)
{
    fprintf(out,
            ".TH PATHSTATS 1 \"\" \"pathstats %s\" \"User Commands\"\n"
            ".SH NAME\npathstats \\- HTTP traffic statistics per path and hour\n"
            ".SH SYNOPSIS\n.B pathstats\n.I COMMAND\n[\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]\n"
            ".SH DESCRIPTION\n",
            PS_VERSION);
    put(out,
        "pathstats counts HTTP traffic per path and hour: requests, errors, latency "
        "percentiles, unique clients. Every event counts once, however often a log is imported "
        "or a message delivered. The data is one SQLite database, which any tool can read.");
    fputs("\n.SH COMMANDS\n", out);
    for (size_t i = 0; i < ps_command_count; i++)
        put_command(out, &ps_commands[i]);
    put_settings(out);
    put_exits(out);
    fputs(".SH ENVIRONMENT\n.TP\n.B PATHSTATS_NAME\na setting, in capitals\n"
          ".TP\n.B COLUMNS\nhow wide tables may be, else the terminal is asked\n"
          ".TP\n.B NO_COLOR\nno colours when it is set\n",
          out);
    put_files(out);
    fputs(".SH \"SEE ALSO\"\n.BR sqlite3 (1)\n", out);
}
