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
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD(name) offsetof(struct ps_config, name)

enum {
    NAME_MAX_BYTES = 48, /* of an option with its prefix; longer names are unknown ones */
    DESCRIPTION_MAX = 128,
    VALUE_SHOWN_MAX = 80, /* of a wrong value in a message */
};

static const char env_prefix[] = "PATHSTATS_";
static const char *const system_file = "/etc/pathstats/pathstats.ini";

/* --- one value -------------------------------------------------------------------------------- */

static bool is_text(const struct ps_option *o)
{
    return o->rule.kind == PS_VALUE_TEXT || o->rule.kind == PS_VALUE_LISTEN;
}

static const struct ps_option *find_option(const char *name)
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
    if (is_text(o))
        snprintf(field, PS_CONFIG_TEXT_MAX, "%s", text);
    else if (o->rule.kind == PS_VALUE_BOOL)
        *(bool *)(void *)field = number != 0;
    else
        *(int64_t *)(void *)field = number;
}

/* What is printed ends up in logs and tickets. */
static bool is_secret(const struct ps_option *o)
{
    return o->field == FIELD(s3_secret_access_key);
}

/* `where` is the source as a person knows it: "a.ini:3", "PATHSTATS_LISTEN", "--listen". */
static int set_option(struct ps_config *c, const struct ps_option *o, const char *value,
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

static int fail_unknown(const char *where, const char *name, struct ps_err *e)
{
    const char *near = ps_config_nearest(name);
    if (near == NULL)
        return ps_fail(e, PS_EINVAL, "%s: there is no option \"%.*s\"; --help lists them", where,
                       VALUE_SHOWN_MAX, name);
    return ps_fail(e, PS_EINVAL, "%s: there is no option \"%.*s\"; did you mean %s?", where,
                   VALUE_SHOWN_MAX, name, near);
}

/* "data_dir" as "--data-dir" or "PATHSTATS_DATA_DIR". */
static void format_name(char to[NAME_MAX_BYTES], const struct ps_option *o,
                        enum ps_config_source source)
{
    const char *prefix = source == PS_FROM_ENV ? env_prefix : source == PS_FROM_FLAG ? "--" : "";
    int n = snprintf(to, NAME_MAX_BYTES, "%s%s", prefix, o->name);
    PS_ASSERT(n > 0 && n < NAME_MAX_BYTES);
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
        int r = set_option(c, &ps_options[i], ps_options[i].preset, PS_FROM_DEFAULT, 0, "default",
                           NULL);
        PS_ASSERT(r == 0);
    }
}

int ps_config_set(struct ps_config *c, const char *name, const char *value,
                  enum ps_config_source source, struct ps_err *e)
{
    char where[NAME_MAX_BYTES];
    const struct ps_option *o = find_option(name);
    if (o == NULL)
        return fail_unknown("option", name, e);
    format_name(where, o, source);
    return set_option(c, o, value, source, 0, where, e);
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

/* --- the file --------------------------------------------------------------------------------- */

struct reading {
    struct ps_config *c;
    const char *file;
    FILE *stream;
    struct ps_err *e;
    int line;
    int result; /* the first mistake */
};

/* inih asks for lines through here, because it does not say which line a handler is called for,
 * takes indented lines for continuations (people indent under sections), and would read the tail
 * of a long line as another one. */
static char *read_ini_line(char *to, int room, void *user)
{
    struct reading *r = user;
    if (r->result < 0 || fgets(to, room, r->stream) == NULL)
        return NULL;
    r->line++;
    size_t len = strlen(to), blanks = strspn(to, " \t");
    if (len + 1 == (size_t)room && to[len - 1] != '\n' && !feof(r->stream)) {
        r->result = ps_fail(r->e, PS_EINVAL, "%s:%d: the line is longer than %d bytes", r->file,
                            r->line, room - 2);
        return NULL;
    }
    memmove(to, to + blanks, len - blanks + 1);
    return to;
}

static int take_ini_value(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    char where[PS_CONFIG_TEXT_MAX + 16];
    (void)section;
    if (r->result < 0)
        return 0;
    snprintf(where, sizeof(where), "%s:%d", r->file, r->line);
    const struct ps_option *o = find_option(name);
    if (o == NULL)
        r->result = fail_unknown(where, name, r->e);
    else if (o->field == FIELD(config))
        r->result = ps_fail(r->e, PS_EINVAL, "%s: a configuration file cannot name another", where);
    else
        r->result = set_option(r->c, o, value, PS_FROM_FILE, r->line, where, r->e);
    return r->result == 0;
}

int ps_config_load_file(struct ps_config *c, const char *file, struct ps_err *e)
{
    struct reading r = {.c = c, .file = file, .e = e};
    r.stream = fopen(file, "re");
    if (r.stream == NULL)
        return ps_fail(e, errno == ENOENT ? PS_ENOENT : PS_EIO, "%s: %s", file, strerror(errno));
    int parsed = ini_parse_stream(read_ini_line, &r, take_ini_value, &r);
    if (r.result == 0 && ferror(r.stream))
        r.result = ps_fail(e, PS_EIO, "%s: %s", file, strerror(errno));
    else if (r.result == 0 && parsed != 0)
        r.result = ps_fail(e, PS_EINVAL, "%s:%d: neither [section] nor name = value", file, parsed);
    fclose(r.stream);
    if (r.result == 0)
        snprintf(c->config, sizeof(c->config), "%s", file);
    return r.result;
}

/* --- environment and flags -------------------------------------------------------------------- */

int ps_config_load_env(struct ps_config *c, struct ps_err *e)
{
    for (size_t i = 0; i < ps_option_count; i++) {
        char name[NAME_MAX_BYTES];
        format_name(name, &ps_options[i], PS_FROM_ENV);
        const char *value = getenv(name);
        if (value == NULL || value[0] == '\0')
            continue;
        int r = set_option(c, &ps_options[i], value, PS_FROM_ENV, 0, name, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The option of "--data-dir", "--data_dir=x" or "--no-json"; NULL for anything else. */
static const struct ps_option *match_flag(const char *arg, const char **ret_value, bool *ret_no)
{
    char name[NAME_MAX_BYTES];
    size_t len = strcspn(arg, "=");
    if (strncmp(arg, "--", 2) != 0 || len - 2 >= sizeof(name))
        return NULL;
    for (size_t i = 2; i < len; i++)
        name[i - 2] = arg[i] == '-' ? '_' : arg[i];
    name[len - 2] = '\0';
    *ret_value = arg[len] == '=' ? arg + len + 1 : NULL;
    *ret_no = false;
    const struct ps_option *o = find_option(name);
    if (o == NULL && strncmp(name, "no_", 3) == 0) {
        o = find_option(name + 3);
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

/* --- for people ------------------------------------------------------------------------------- */

static const char *value_word(const struct ps_option *o)
{
    switch (o->rule.kind) {
    case PS_VALUE_TEXT: return "TEXT";
    case PS_VALUE_LISTEN: return "HOST:PORT";
    case PS_VALUE_INT: return "N";
    case PS_VALUE_SIZE: return "SIZE";
    case PS_VALUE_DURATION: return "TIME";
    case PS_VALUE_CHOICE: return "LEVEL";
    case PS_VALUE_BOOL: return "";
    }
    return "";
}

bool ps_config_option(size_t i, struct ps_config_option *ret)
{
    if (i >= ps_option_count)
        return false;
    const struct ps_option *o = &ps_options[i];
    bool negative = o->rule.kind == PS_VALUE_BOOL && strcmp(o->preset, "true") == 0;
    char flag[NAME_MAX_BYTES];
    *ret = (struct ps_config_option){.name = o->name,
                                     .section = o->section,
                                     .help = o->help,
                                     .preset = o->preset,
                                     .value = value_word(o),
                                     .choices = o->rule.choices};
    format_name(flag, o, PS_FROM_FLAG);
    snprintf(ret->flag, sizeof(ret->flag), "%s%s", negative ? "--[no-]" : "--", flag + 2);
    return true;
}

static void format_value(const struct ps_config *c, const struct ps_option *o, char *to, size_t n)
{
    const char *field = (const char *)c + o->field;
    if (is_secret(o) && field[0] != '\0')
        snprintf(to, n, "; (set, not shown)");
    else if (is_text(o))
        snprintf(to, n, "%s", field);
    else if (o->rule.kind == PS_VALUE_BOOL)
        ps_value_format(&o->rule, *(const bool *)(const void *)field, to, n);
    else
        ps_value_format(&o->rule, *(const int64_t *)(const void *)field, to, n);
}

static void format_source(const struct ps_config *c, size_t i, char *to, size_t n)
{
    char name[NAME_MAX_BYTES];
    format_name(name, &ps_options[i], c->sources[i]);
    switch (c->sources[i]) {
    case PS_FROM_DEFAULT: snprintf(to, n, "default"); break;
    case PS_FROM_FILE: snprintf(to, n, "%s:%d", c->config, c->lines[i]); break;
    case PS_FROM_ENV:
    case PS_FROM_FLAG: snprintf(to, n, "%s", name); break;
    }
}

void ps_config_check(const struct ps_config *c, FILE *out)
{
    const char *section = "";
    for (size_t i = 0; i < ps_option_count; i++) {
        const struct ps_option *o = &ps_options[i];
        char value[PS_CONFIG_TEXT_MAX], source[PS_CONFIG_TEXT_MAX + 16],
            line[PS_CONFIG_TEXT_MAX + 64];
        if (strcmp(section, o->section) != 0)
            fprintf(out, "%s[%s]\n", section[0] != '\0' ? "\n" : "", o->section);
        section = o->section;
        format_value(c, o, value, sizeof(value));
        format_source(c, i, source, sizeof(source));
        /* The file cannot name itself, so that line is for the eye only. */
        snprintf(line, sizeof(line), "%s%s = %s", o->field == FIELD(config) ? "; " : "", o->name,
                 value);
        fprintf(out, "%-40s ; %s\n", line, source);
    }
}
