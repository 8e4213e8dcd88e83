/* identity.c - see identity.h.  SPDX-License-Identifier: MIT */
#include "daemon/identity.h"

#include "base/log.h"
#include "wrap/secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KV_KEY PS_STR("database:id")
#define ID_NAME "id"
#define PRINT_NAME "secret"

enum { ID_TEXT_MAX = 24 };

static int tell_later(const char *what, const struct ps_err *why)
{
    ps_log(PS_LOG_WARN, "%s will be written down at the next start: %s", what, why->text);
    return 0;
}

/* --- the database --- */

/* "": the kv knows of no database. */
static int read_known(const struct ps_identity *i, char ret[ID_TEXT_MAX], struct ps_err *e)
{
    struct ps_buf value;
    ps_buf_init(&value, ID_TEXT_MAX - 1);
    int r = ps_kv_get(i->kv, KV_KEY, i->now_ms, &value, e);
    ret[0] = '\0';
    if (r == 0)
        snprintf(ret, ID_TEXT_MAX, "%.*s", (int)value.len, value.ptr);
    ps_buf_done(&value);
    return r == PS_ENOENT ? 0 : r;
}

static int check_database(const struct ps_identity *i, struct ps_err *e)
{
    int64_t id = 0;
    char own[ID_TEXT_MAX], known[ID_TEXT_MAX];
    struct ps_err why;
    int found = ps_store_meta(i->store, ID_NAME, &id, e);
    if (found < 0 && found != PS_ENOENT)
        return found;
    int r = read_known(i, known, e);
    if (r < 0)
        return r;
    if (found < 0)
        id = (int64_t)(ps_random64() >> 1);
    snprintf(own, sizeof own, "%" PRId64, id);
    bool same = strcmp(own, known) == 0;
    if (known[0] != '\0' && !same && !i->new_database)
        return ps_fail(e, PS_ENOENT,
                       "%s is %s, not the one that was here last: put that one back (or a backup "
                       "of it), or start once with --new-database (then what was counted and "
                       "which days were archived is forgotten)",
                       i->database, found < 0 ? "new" : "another one");
    if (found < 0 && ps_store_set_meta(i->store, ID_NAME, id, &why) < 0)
        return tell_later("the number of the database", &why);
    if (!same &&
        ps_kv_put(i->kv, KV_KEY, (struct ps_str){own, strlen(own)}, 0, i->now_ms, &why) < 0)
        return tell_later("the number of the database", &why);
    return 0;
}

/* --- the secret --- */

static int check_secret(const struct ps_identity *i, struct ps_err *e)
{
    int64_t known = 0, print = 0;
    struct ps_err why;
    int r = ps_secret_print(i->secret, &print, e);
    if (r < 0)
        return r;
    r = ps_store_meta(i->store, PRINT_NAME, &known, e);
    if (r < 0 && r != PS_ENOENT)
        return r;
    if (r == 0 && known == print)
        return 0;
    if (r == 0 && !i->new_secret)
        return ps_fail(e, PS_ENOENT,
                       "%s is another one than %s was made with: put that one back from a backup, "
                       "or start once with --new-secret (then all clients count as new, and events "
                       "with a requestId that are sent again count twice)",
                       i->secret_file, i->database);
    if (ps_store_set_meta(i->store, PRINT_NAME, print, &why) < 0)
        return tell_later("the print of the secret", &why);
    return 0;
}

int ps_identity_check(const struct ps_identity *i, struct ps_err *e)
{
    if (!ps_store_has_meta(i->store))
        return 0;
    int r = check_database(i, e);
    return r < 0 ? r : check_secret(i, e);
}
