/* life.c - see life.h.  SPDX-License-Identifier: MIT */
#include "daemon/life.h"

#include "backend/registry.h"

#include <stdio.h>
#include <string.h>

int ps_life_open_objects(struct ps_objects **ret, const struct ps_config *c,
                         const struct ps_datadir *dir, struct ps_err *e)
{
    char folder[PS_DATADIR_PATH_MAX];
    bool is_s3 = strcmp(c->objects, "s3") == 0;
    const struct ps_objects_ops *ops = ps_objects_backend(c->objects);
    if (ops == NULL)
        return ps_fail(e, PS_EINVAL, "objects: there is no backend \"%s\"; try dir or s3",
                       c->objects);
    if (is_s3 && c->s3_bucket[0] == '\0')
        return ps_fail(e, PS_EINVAL, "s3 needs s3_bucket");
    if (c->archive_dir[0] != '\0')
        snprintf(folder, sizeof folder, "%s", c->archive_dir);
    else
        snprintf(folder, sizeof folder, "%s/objects", dir->path);
    struct ps_objects_config config = {
        .target = is_s3 ? c->s3_bucket : folder,
        .endpoint = c->s3_endpoint,
        .region = c->s3_region,
        .access_key_id = c->s3_access_key_id,
        .secret_access_key = c->s3_secret_access_key,
        .virtual_host = c->s3_virtual_host,
        .timeout_ms = c->s3_timeout,
        .retries = (unsigned)c->s3_retries,
    };
    return ps_objects_open(ops, ret, &config, e);
}

int ps_life_open(struct ps_life *ret, const struct ps_config *config, const struct ps_datadir *dir,
                 struct ps_clock *clock, enum ps_life_use use, struct ps_err *e)
{
    struct ps_life l = {0};
    enum ps_store_mode mode = use == PS_LIFE_WRITE ? PS_STORE_WRITE : PS_STORE_READ;
    const struct ps_ledger_ops *ledger = ps_ledger_backend(config->store);
    if (ledger == NULL || ps_store_backend(config->store) == NULL)
        return ps_fail(e, PS_EINVAL, "store: there is no backend \"%s\"", config->store);
    int r = ps_ledger_open(ledger, &l.ledger, dir->database, mode, e);
    if (r == 0)
        r = ps_store_open(ps_store_backend(config->store), &l.store, dir->database, PS_STORE_READ,
                          e);
    if (r == 0 && use != PS_LIFE_READ)
        r = ps_life_open_objects(&l.objects, config, dir, e);
    if (r < 0) {
        ps_life_close(&l);
        return r;
    }
    l.archiver = (struct ps_archiver){
        .store = l.store,
        .ledger = l.ledger,
        .objects = l.objects,
        .clock = clock,
        .retention_days = (unsigned)config->retention_days,
    };
    *ret = l;
    return 0;
}

void ps_life_close(struct ps_life *l)
{
    ps_objects_close(l->objects);
    ps_store_close(l->store);
    ps_ledger_close(l->ledger);
    *l = (struct ps_life){0};
}
