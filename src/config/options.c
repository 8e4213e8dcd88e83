/* options.c - what is derived from the option table (table.c). See options.h.
 *
 * Bool, choice and all numbers live in int64_t or bool fields found by
 * offset; texts are arrays inside the struct, so a config is copied like an int and owns nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "config/options.h"

#include "base/check.h"
#include "config/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DESCRIPTION_MAX = 128,
    VALUE_SHOWN_MAX = 80, /* of a wrong value in a message */
};

static const char env_prefix[] = "PATHSTATS_";
static const char *const system_file = "/etc/pathstats/pathstats.ini";

/* --- one value -------------------------------------------------------------------------------- */

bool ps_option_is_text(const struct ps_option *o)
{
    return o->rule.kind == PS_VALUE_TEXT || o->rule.kind == PS_VALUE_LISTEN ||
           o->rule.kind == PS_VALUE_SECRET || o->rule.kind == PS_VALUE_URL;
}

const struct ps_option *ps_option_find(const char *name)
{
    for (size_t i = 0; i < ps_option_count; i++)
        if (strcmp(ps_options[i].name, name) == 0)
            return &ps_options[i];
    return NULL;
}

static void store_value(struct ps_config *c, const struct ps_option *o, const char *text,
                        int64_t number)
{
    char *field = (char *)c + o->field;
    if (ps_option_is_text(o))
        snprintf(field, PS_CONFIG_TEXT_MAX, "%s", text);
    else if (o->rule.kind == PS_VALUE_BOOL)
        *(bool *)(void *)field = number != 0;
    else
        *(int64_t *)(void *)field = number;
}

/* What is printed ends up in logs and tickets; a URL may hold a password, or be one. */
static bool is_secret(const struct ps_option *o)
{
    return o->rule.kind == PS_VALUE_SECRET || o->rule.kind == PS_VALUE_URL;
}

int ps_option_set(struct ps_config *c, const struct ps_option *o, const char *value,
                  enum ps_config_source source, int line, const char *where, struct ps_err *e)
{
    int64_t number = 0;
    size_t index = (size_t)(o - ps_options);
    if (!ps_value_parse(&o->rule, value, &number)) {
        value = is_secret(o) ? "(not shown)" : value;
        char right[DESCRIPTION_MAX];
        ps_value_describe(&o->rule, right, sizeof(right));
        return ps_fail(e, PS_EINVAL, "%s: %s cannot be \"%.*s\"; it takes %s", where, o->name,
                       VALUE_SHOWN_MAX, value, right);
    }
    if (source < c->sources[index])
        return 0;
    store_value(c, o, value, number);
    c->sources[index] = source;
    c->lines[index] = line;
    return 0;
}

int ps_option_unknown(const char *where, const char *name, struct ps_err *e)
{
    const char *near = ps_config_nearest(name);
    if (near == NULL)
        return ps_fail(e, PS_EINVAL, "%s: there is no option \"%.*s\"; --help lists them", where,
                       VALUE_SHOWN_MAX, name);
    return ps_fail(e, PS_EINVAL, "%s: there is no option \"%.*s\"; did you mean %s?", where,
                   VALUE_SHOWN_MAX, name, near);
}

void ps_option_name(char to[PS_OPTION_NAME_MAX], const struct ps_option *o,
                    enum ps_config_source source)
{
    const char *prefix = source == PS_FROM_ENV ? env_prefix : source == PS_FROM_FLAG ? "--" : "";
    int n = snprintf(to, PS_OPTION_NAME_MAX, "%s%s", prefix, o->name);
    PS_ASSERT(n > 0 && n < PS_OPTION_NAME_MAX);
    for (char *p = to; *p != '\0'; p++) {
        if (source == PS_FROM_ENV && *p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
        else if (source == PS_FROM_FLAG && *p == '_')
            *p = '-';
    }
}

void ps_config_init(struct ps_config *c)
{
    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < ps_option_count; i++) {
        int r = ps_option_set(c, &ps_options[i], ps_options[i].preset, PS_FROM_DEFAULT, 0,
                              "default", NULL);
        PS_ASSERT(r == 0);
    }
}

int ps_config_set(struct ps_config *c, const char *name, const char *value,
                  enum ps_config_source source, struct ps_err *e)
{
    char where[PS_OPTION_NAME_MAX];
    const struct ps_option *o = ps_option_find(name);
    if (o == NULL)
        return ps_option_unknown("option", name, e);
    ps_option_name(where, o, source);
    return ps_option_set(c, o, value, source, 0, where, e);
}

/* --- the nearest name ------------------------------------------------------------------------- */

void ps_config_nearer(struct ps_near *n)
{
    for (size_t i = 0; i < ps_option_count; i++)
        ps_near_try(n, ps_options[i].name);
}

const char *ps_config_nearest(const char *name)
{
    struct ps_near n;
    ps_near_init(&n, name);
    ps_config_nearer(&n);
    return n.best;
}

/* --- environment and flags -------------------------------------------------------------------- */

int ps_config_load_env(struct ps_config *c, struct ps_err *e)
{
    for (size_t i = 0; i < ps_option_count; i++) {
        char name[PS_OPTION_NAME_MAX];
        ps_option_name(name, &ps_options[i], PS_FROM_ENV);
        const char *value = getenv(name);
        if (value == NULL || value[0] == '\0')
            continue;
        int r = ps_option_set(c, &ps_options[i], value, PS_FROM_ENV, 0, name, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Kubernetes sets these for a service of that name (PATHSTATS_PORT_8787_TCP=tcp://10.0.0.1:8787).
 */
static bool is_service_link(const char *name, const char *value)
{
    return strncmp(name, "SERVICE_", 8) == 0 ||
           (strncmp(name, "PORT", 4) == 0 && (name[4] == '_' || strstr(value, "://") != NULL));
}

static int check_variable(const char *variable, struct ps_err *e)
{
    char name[PS_NEAR_WORD_MAX];
    const char *at = variable + strlen(env_prefix);
    size_t len = strcspn(at, "=");
    if (at[len] == '\0' || at[len + 1] == '\0')
        return 0; /* empty is unset */
    snprintf(name, sizeof(name), "%.*s", (int)len, at);
    if (is_service_link(name, at + len + 1))
        return 0;
    for (char *p = name; *p != '\0'; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    if (len < sizeof(name) && ps_option_find(name) != NULL)
        return 0;
    char near[PS_OPTION_NAME_MAX];
    const char *best = ps_config_nearest(name);
    if (best == NULL)
        return ps_fail(e, PS_EINVAL,
                       "%.*s: there is no such setting; `pathstats --help` lists them",
                       (int)(at + len - variable), variable);
    ps_option_name(near, ps_option_find(best), PS_FROM_ENV);
    return ps_fail(e, PS_EINVAL, "%.*s: there is no such setting; did you mean %s?",
                   (int)(at + len - variable), variable, near);
}

int ps_config_check_env(struct ps_err *e)
{
    int r = 0;
    for (char **variable = environ; r == 0 && variable != NULL && *variable != NULL; variable++)
        if (strncmp(*variable, env_prefix, strlen(env_prefix)) == 0)
            r = check_variable(*variable, e);
    return r;
}

/* The option of "--data-dir", "--data_dir=x" or "--no-json"; NULL for anything else. */
static const struct ps_option *match_flag(const char *arg, const char **ret_value, bool *ret_no)
{
    char name[PS_OPTION_NAME_MAX];
    size_t len = strcspn(arg, "=");
    if (strncmp(arg, "--", 2) != 0 || len - 2 >= sizeof(name))
        return NULL;
    for (size_t i = 2; i < len; i++)
        name[i - 2] = arg[i] == '-' ? '_' : arg[i];
    name[len - 2] = '\0';
    *ret_value = arg[len] == '=' ? arg + len + 1 : NULL;
    *ret_no = false;
    const struct ps_option *o = ps_option_find(name);
    if (o == NULL && strncmp(name, "no_", 3) == 0) {
        o = ps_option_find(name + 3);
        *ret_no = true;
        if (o != NULL && o->rule.kind != PS_VALUE_BOOL)
            return NULL;
    }
    return o;
}

/* Sets the flag at argv[i]; returns how many arguments it took, 0 when it is not ours. */
static int take_flag(struct ps_config *c, int argc, char **argv, int i, struct ps_err *e)
{
    const char *value;
    bool no;
    int taken = 1;
    const struct ps_option *o = match_flag(argv[i], &value, &no);
    if (o == NULL)
        return 0;
    if (no && value != NULL)
        return ps_fail(e, PS_EINVAL, "%s: --no- takes no value", argv[i]);
    if (o->rule.kind == PS_VALUE_BOOL) {
        value = no ? "false" : value == NULL ? "true" : value;
    } else if (value == NULL) {
        char right[DESCRIPTION_MAX];
        ps_value_describe(&o->rule, right, sizeof(right));
        if (i + 1 >= argc)
            return ps_fail(e, PS_EINVAL, "%s: a value is missing; it takes %s", argv[i], right);
        value = argv[i + 1];
        taken = 2;
    }
    int r = ps_config_set(c, o->name, value, PS_FROM_FLAG, e);
    return r < 0 ? r : taken;
}

int ps_config_load_flags(struct ps_config *c, int argc, char **argv, struct ps_err *e)
{
    int kept = argc > 0 ? 1 : 0;
    for (int i = kept; i < argc;) {
        if (strcmp(argv[i], "--") == 0) {
            while (i < argc)
                argv[kept++] = argv[i++];
            break;
        }
        int taken = take_flag(c, argc, argv, i, e);
        if (taken < 0)
            return taken;
        if (taken == 0)
            argv[kept++] = argv[i++];
        i += taken;
    }
    if (kept < argc)
        argv[kept] = NULL;
    return kept;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int load_found_file(struct ps_config *c, struct ps_err *e)
{
    char beside[PS_CONFIG_TEXT_MAX + sizeof("/pathstats.ini")];
    if (c->config[0] != '\0') {
        char asked[PS_CONFIG_TEXT_MAX];
        memcpy(asked, c->config, sizeof(asked));
        return ps_config_load_file(c, asked, e);
    }
    snprintf(beside, sizeof(beside), "%s/pathstats.ini", c->data_dir);
    const char *found = access(beside, F_OK) == 0        ? beside
                        : access(system_file, F_OK) == 0 ? system_file
                                                         : NULL;
    return found == NULL ? 0 : ps_config_load_file(c, found, e);
}

int ps_config_load_rest(struct ps_config *c, struct ps_err *e)
{
    int r = ps_config_load_env(c, e);
    return r < 0 ? r : load_found_file(c, e);
}

int ps_config_load(struct ps_config *c, int argc, char **argv, struct ps_err *e)
{
    ps_config_init(c);
    int kept = ps_config_load_flags(c, argc, argv, e);
    if (kept < 0)
        return kept;
    int r = ps_config_load_rest(c, e);
    return r < 0 ? r : kept;
}
