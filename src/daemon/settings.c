/* settings.c - see settings.h.  SPDX-License-Identifier: MIT */
#include "daemon/settings.h"

#include "api/api.h"
#include "backend/registry.h"
#include "base/check.h"
#include "cron/expr.h"
#include "daemon/datadir.h"
#include "daemon/life.h"
#include "wrap/webhook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Puts "pathstats.ini:3: cron_archive: " before the reason; a flag, a variable or the reason itself
 * may name the setting already. */
static int fail_at(const struct ps_config *c, const char *name, const struct ps_err *why,
                   struct ps_err *e)
{
    char where[PS_CONFIG_TEXT_MAX + 16];
    bool named = ps_config_where(c, name, where, sizeof where) >= PS_FROM_ENV ||
                 strncmp(why->text, name, strlen(name)) == 0;
    return ps_fail(e, PS_EINVAL, "%s: %s%s%s", where, named ? "" : name, named ? "" : ": ",
                   why->text);
}

static int fail_backend(const struct ps_config *c, const char *name, const char *value,
                        const char *right, struct ps_err *e)
{
    struct ps_err why;
    ps_fail(&why, PS_EINVAL, "there is no backend \"%s\"; try %s", value, right);
    return fail_at(c, name, &why, e);
}

static int check_backends(const struct ps_config *c, struct ps_err *e)
{
    if (ps_store_backend(c->store) == NULL || ps_ledger_backend(c->store) == NULL)
        return fail_backend(c, "store", c->store, "sqlite", e);
    if (ps_queue_backend(c->queue) == NULL)
        return fail_backend(c, "queue", c->queue, "file", e);
    if (ps_kv_backend(c->kv) == NULL)
        return fail_backend(c, "kv", c->kv, "sqlite", e);
    if (ps_objects_backend(c->objects) == NULL)
        return fail_backend(c, "objects", c->objects, "dir or s3", e);
    return 0;
}

/* Opening S3 asks nobody: bucket, endpoint, region and credentials are looked at. A folder is made
 * when the first day goes there. */
/* "/a/b" to "/a", "/a" to "/", "a" to ".". */
static void go_up(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        strcpy(path, ".");
    else
        slash[slash == path] = '\0';
}

/* The folder, or the nearest one above that is there: it has to take files. Makes nothing. */
static int check_archive_dir(const struct ps_config *c, struct ps_err *e)
{
    char path[PS_CONFIG_TEXT_MAX];
    struct stat st;
    struct ps_err why = {0};
    snprintf(path, sizeof path, "%s", c->archive_dir);
    while (stat(path, &st) < 0 && errno == ENOENT && strcmp(path, ".") != 0)
        go_up(path);
    if (stat(path, &st) < 0)
        ps_fail(&why, PS_EINVAL, "%s: %s", path, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        ps_fail(&why, PS_EINVAL, "%s is no folder", path);
    else if (access(path, W_OK | X_OK) < 0)
        ps_fail(&why, PS_EINVAL, "%s: %s; let this user write there", path, strerror(errno));
    return why.code < 0 ? fail_at(c, "archive_dir", &why, e) : 0;
}

static int check_objects(const struct ps_config *c, struct ps_err *e)
{
    struct ps_objects *objects = NULL;
    struct ps_datadir dir;
    struct ps_err why = {0};
    int r = ps_datadir_init(&dir, c->data_dir, &why);
    if (r < 0)
        return fail_at(c, "data_dir", &why, e);
    if (strcmp(c->objects, "dir") == 0 && c->archive_dir[0] != '\0')
        return check_archive_dir(c, e);
    if (strcmp(c->objects, "s3") != 0)
        return 0;
    r = ps_life_open_objects(&objects, c, &dir, &why);
    ps_objects_close(objects);
    return r < 0 ? fail_at(c, "objects", &why, e) : 0;
}

static int check_cron(const struct ps_config *c, const char *name, const char *text,
                      struct ps_err *e)
{
    struct ps_cron_expr when;
    struct ps_err why = {0};
    int64_t next_ms;
    if (strcmp(text, "off") == 0)
        return 0;
    int r = ps_cron_parse(&when, text, &why);
    if (r == 0 && ps_cron_next(&when, 0, &next_ms) < 0)
        r = ps_fail(&why, PS_EINVAL, "\"%s\" never comes; say off if that is meant", text);
    return r < 0 ? fail_at(c, name, &why, e) : 0;
}

int ps_settings_listen(const char *listen, char ret_host[PS_CONFIG_TEXT_MAX], uint16_t *ret_port,
                       struct ps_err *e)
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL)
        return ps_fail(e, PS_EINVAL, "\"%s\" is not HOST:PORT", listen);
    snprintf(ret_host, PS_CONFIG_TEXT_MAX, "%.*s", (int)(colon - listen), listen);
    if (ret_host[0] == '\0')
        snprintf(ret_host, PS_CONFIG_TEXT_MAX, "127.0.0.1");
    *ret_port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return 0;
}

static int check_listen(const struct ps_config *c, struct ps_err *e)
{
    char host[PS_CONFIG_TEXT_MAX];
    uint16_t port;
    struct ps_err why = {0};
    int r = ps_settings_listen(c->listen, host, &port, &why);
    if (r == 0)
        r = ps_api_check_host(host, &why);
    return r < 0 ? fail_at(c, "listen", &why, e) : 0;
}

static int check_webhook(const struct ps_config *c, struct ps_err *e)
{
    struct ps_err why = {0};
    if (c->webhook[0] == '\0' || ps_webhook_check(c->webhook, &why) == 0)
        return 0;
    return fail_at(c, "webhook", &why, e);
}

int ps_settings_check(const struct ps_config *c, struct ps_err *e)
{
    int r = ps_config_check_env(e);
    if (r == 0)
        r = check_backends(c, e);
    if (r == 0)
        r = check_objects(c, e);
    if (r == 0)
        r = check_cron(c, "cron_archive", c->cron_archive, e);
    if (r == 0)
        r = check_cron(c, "cron_snapshot", c->cron_snapshot, e);
    if (r == 0)
        r = check_cron(c, "cron_capacity", c->cron_capacity, e);
    if (r == 0)
        r = check_listen(c, e);
    return r < 0 ? r : check_webhook(c, e);
}
