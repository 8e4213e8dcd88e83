/* args.c - a command's own options and words. See cli.h.  SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include "base/check.h"
#include "base/near.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void remove_args(struct ps_cli *c, int at, int n)
{
    memmove(&c->argv[at], &c->argv[at + n], (size_t)(c->argc - at - n + 1) * sizeof *c->argv);
    c->argc -= n;
}

static const struct ps_command_option *declared(const struct ps_command *command, const char *flag)
{
    for (const struct ps_command_option *o = command->options; o != NULL && o->flag != NULL; o++)
        if (strcmp(o->flag, flag) == 0)
            return o;
    return NULL;
}

/* The first --name or --name=VALUE before "--"; -1: there is none. */
static int find_arg(const struct ps_cli *c, const char *name)
{
    size_t len = strlen(name);
    for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++)
        if (strncmp(c->argv[i], name, len) == 0 &&
            (c->argv[i][len] == '\0' || c->argv[i][len] == '='))
            return i;
    return -1;
}

int ps_cli_option(struct ps_cli *c, const char *name, const char **ret, struct ps_err *e)
{
    size_t len = strlen(name);
    int found = 0;
    PS_ASSERT(declared(c->command, name) != NULL);
    for (int i; (i = find_arg(c, name)) >= 0; found = 1) { /* the last one counts */
        bool inside = c->argv[i][len] == '=';
        if (!inside && i + 1 >= c->argc)
            return ps_fail(e, PS_EINVAL, "%s: a value is missing", name);
        *ret = inside ? c->argv[i] + len + 1 : c->argv[i + 1];
        remove_args(c, i, inside ? 1 : 2);
    }
    return found;
}

bool ps_cli_flag(struct ps_cli *c, const char *name)
{
    bool found = false;
    PS_ASSERT(declared(c->command, name) != NULL);
    for (int i; (i = find_arg(c, name)) >= 0 && c->argv[i][strlen(name)] == '\0'; found = true)
        remove_args(c, i, 1);
    return found;
}

int ps_cli_number(struct ps_cli *c, const char *name, int64_t min, int64_t max, int64_t *ret,
                  struct ps_err *e)
{
    const char *text;
    char *end;
    int r = ps_cli_option(c, name, &text, e);
    if (r <= 0)
        return r;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
        return ps_fail(e, PS_EINVAL, "%s: \"%s\" is not a number from %" PRId64 " to %" PRId64,
                       name, text, min, max);
    *ret = value;
    return 1;
}

int ps_cli_usage(const struct ps_cli *c, struct ps_err *e)
{
    char forms[PS_ERR_TEXT_MAX / 2] = "";
    size_t at = 0;
    for (const struct ps_form *f = c->command->forms; f->arguments != NULL; f++) {
        int n = snprintf(forms + at, sizeof forms - at, "%s%s", at > 0 ? " | " : " ", f->arguments);
        if (n > 0 && (size_t)n < sizeof forms - at)
            at += (size_t)n;
    }
    return ps_fail(e, PS_EINVAL, "usage: pathstats %s%s; `pathstats %s --help` tells more",
                   c->command->name, forms[1] == '\0' ? "" : forms, c->command->name);
}

/* The value behind = is not repeated: it may be a secret. */
static int fail_unknown(const struct ps_cli *c, const char *arg, struct ps_err *e)
{
    struct ps_near near;
    char name[PS_NEAR_WORD_MAX];
    int len = (int)strcspn(arg, "=");
    snprintf(name, sizeof name, "%.*s", len, arg + strspn(arg, "-"));
    name[strcspn(name, "=")] = '\0';
    ps_near_init(&near, name);
    for (const struct ps_command_option *o = c->command->options; o != NULL && o->flag != NULL; o++)
        ps_near_try(&near, o->flag + 2);
    ps_config_nearer(&near);
    if (near.best == NULL)
        return ps_fail(e, PS_EINVAL, "there is no option %.*s; `pathstats %s --help` lists them",
                       len, arg, c->command->name);
    char meant[PS_NEAR_WORD_MAX];
    snprintf(meant, sizeof meant, "%s", near.best);
    for (char *p = meant; *p != '\0'; p++)
        *p = *p == '_' ? '-' : *p;
    return ps_fail(e, PS_EINVAL, "there is no option %.*s; did you mean --%s?", len, arg, meant);
}

int ps_cli_words(struct ps_cli *c, int min, int max, struct ps_err *e)
{
    int kept = 0;
    bool options = true;
    for (int i = 0; i < c->argc; i++) {
        const char *arg = c->argv[i];
        if (options && strcmp(arg, "--") == 0) {
            options = false;
            continue;
        }
        if (options && arg[0] == '-' && arg[1] != '\0')
            return fail_unknown(c, arg, e);
        c->argv[kept++] = c->argv[i];
    }
    c->argc = kept;
    return kept < min || kept > max ? ps_cli_usage(c, e) : 0;
}

int ps_cli_no_form(const struct ps_cli *c, const char *word, struct ps_err *e)
{
    struct ps_near near;
    char names[PS_COMMAND_FORMS_MAX][PS_NEAR_WORD_MAX];
    size_t n = 0;
    ps_near_init(&near, word);
    for (const struct ps_form *f = c->command->forms; f->arguments != NULL; f++, n++) {
        PS_ASSERT(n < PS_COMMAND_FORMS_MAX);
        snprintf(names[n], sizeof names[n], "%.*s", (int)strcspn(f->arguments, " "), f->arguments);
        ps_near_try(&near, names[n]);
    }
    if (near.best != NULL)
        return ps_fail(e, PS_EINVAL, "there is no `%s %s`; did you mean `%s %s`?", c->command->name,
                       word, c->command->name, near.best);
    return ps_cli_usage(c, e);
}
