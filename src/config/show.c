/* show.c - settings as people read them: for --help, and with where each comes from. See options.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "config/options.h"

#include "base/visible.h"
#include "base/check.h"
#include "config/table.h"

#include <string.h>

static const char *value_word(const struct ps_option *o)
{
    switch (o->rule.kind) {
    case PS_VALUE_TEXT:
    case PS_VALUE_SECRET: return "TEXT";
    case PS_VALUE_URL: return "URL";
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
    char flag[PS_OPTION_NAME_MAX];
    *ret = (struct ps_config_option){.name = o->name,
                                     .section = o->section,
                                     .help = o->help,
                                     .preset = o->preset,
                                     .value = value_word(o),
                                     .choices = o->rule.choices};
    ps_option_name(flag, o, PS_FROM_FLAG);
    snprintf(ret->flag, sizeof(ret->flag), "%s%s", negative ? "--[no-]" : "--", flag + 2);
    return true;
}

/* Scheme and host of a URL are shown; a user, a password, a path or a query may be a secret. Where
 * there is nothing of that, it is the value. */
static void format_url(const char *url, char *to, size_t n)
{
    const char *scheme = strstr(url, "://"), *host = scheme == NULL ? url : scheme + 3;
    size_t len = strcspn(host, "/?#"), from = len;
    while (from > 0 && host[from - 1] != '@')
        from--;
    bool whole = from == 0 && strspn(host + len, "/") == strlen(host + len);
    snprintf(to, n, whole ? "%.*s%.*s%s" : "; %.*s%.*s, the rest is not shown", (int)(host - url),
             url, (int)(len - from), host + from, host + len);
}

/* A terminal must not obey it, and what replaces it would not be the value. */
static bool has_unseen(const char *text)
{
    char seen[PS_CONFIG_TEXT_MAX * PS_VISIBLE_MAX];
    size_t len = strlen(text);
    return ps_visible(seen, sizeof seen, (struct ps_str){text, len}) != len ||
           memcmp(seen, text, len) != 0;
}

static void format_value(const struct ps_config *c, const struct ps_option *o, char *to, size_t n)
{
    const char *field = (const char *)c + o->field;
    if (ps_option_is_text(o) && has_unseen(field))
        snprintf(to, n, "; (not shown: it has characters that cannot be seen)");
    else if (o->rule.kind == PS_VALUE_SECRET && field[0] != '\0')
        snprintf(to, n, "; (set, not shown)");
    else if (o->rule.kind == PS_VALUE_URL)
        format_url(field, to, n);
    else if (ps_option_is_text(o))
        snprintf(to, n, "%s", field);
    else if (o->rule.kind == PS_VALUE_BOOL)
        ps_value_format(&o->rule, *(const bool *)(const void *)field, to, n);
    else
        ps_value_format(&o->rule, *(const int64_t *)(const void *)field, to, n);
}

static void format_source(const struct ps_config *c, size_t i, char *to, size_t n)
{
    char name[PS_OPTION_NAME_MAX];
    ps_option_name(name, &ps_options[i], c->sources[i]);
    switch (c->sources[i]) {
    case PS_FROM_DEFAULT: snprintf(to, n, "default"); break;
    case PS_FROM_FILE: snprintf(to, n, "%s:%d", c->config, c->lines[i]); break;
    case PS_FROM_ENV:
    case PS_FROM_FLAG: snprintf(to, n, "%s", name); break;
    }
}

enum ps_config_source ps_config_where(const struct ps_config *c, const char *name, char *to,
                                      size_t n)
{
    const struct ps_option *o = ps_option_find(name);
    PS_ASSERT(o != NULL);
    format_source(c, (size_t)(o - ps_options), to, n);
    return c->sources[o - ps_options];
}

void ps_config_print(const struct ps_config *c, FILE *out)
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
        snprintf(line, sizeof(line), "%s%s = %s", o->field == PS_OPTION_FIELD(config) ? "; " : "",
                 o->name, value);
        fprintf(out, "%-40s ; %s\n", line, source);
    }
}
