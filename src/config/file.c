/* file.c - the configuration file, read with inih. See options.h.  SPDX-License-Identifier: MIT */
#include "config/options.h"

#include "config/table.h"

#include <errno.h>
#include <ini.h>
#include <string.h>

struct reading {
    struct ps_config *c;
    const char *file;
    FILE *stream;
    struct ps_err *e;
    int line;
    int result; /* the first mistake */
};

static int fail_section(const struct reading *r, const char *name)
{
    struct ps_near near;
    ps_near_init(&near, name);
    for (size_t i = 0; i < ps_option_count; i++)
        ps_near_try(&near, ps_options[i].section);
    if (near.best != NULL)
        return ps_fail(r->e, PS_EINVAL, "%s:%d: there is no section [%s]; did you mean [%s]?",
                       r->file, r->line, name, near.best);
    return ps_fail(r->e, PS_EINVAL,
                   "%s:%d: there is no section [%s]; `pathstats config check` shows "
                   "them all",
                   r->file, r->line, name);
}

/* inih tells a section only with the first name in it; an empty one with a mistake in its name is
 * looked for, too. What has no ] is left to inih. */
static int check_section(const struct reading *r, const char *line)
{
    char name[PS_NEAR_WORD_MAX];
    size_t len = strcspn(line, "]");
    if (line[0] != '[' || line[len] != ']')
        return 0;
    snprintf(name, sizeof(name), "%.*s", (int)len - 1, line + 1);
    for (size_t i = 0; i < ps_option_count; i++)
        if (strcmp(ps_options[i].section, name) == 0)
            return 0;
    return fail_section(r, name);
}

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
    r->result = check_section(r, to);
    return r->result < 0 ? NULL : to;
}

static int take_ini_value(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    char where[PS_CONFIG_TEXT_MAX + 16];
    (void)section;
    if (r->result < 0)
        return 0;
    snprintf(where, sizeof(where), "%s:%d", r->file, r->line);
    const struct ps_option *o = ps_option_find(name);
    if (o == NULL)
        r->result = ps_option_unknown(where, name, r->e);
    else if (o->field == PS_OPTION_FIELD(config))
        r->result = ps_fail(r->e, PS_EINVAL, "%s: a configuration file cannot name another", where);
    else
        r->result = ps_option_set(r->c, o, value, PS_FROM_FILE, r->line, where, r->e);
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
