/* registry.c - see registry.h.  SPDX-License-Identifier: MIT */
#include "backend/registry.h"

#include <string.h>

const struct ps_store_ops *const ps_store_backends[] = {&ps_store_sqlite, &ps_store_mem, NULL};
const struct ps_ledger_ops *const ps_ledger_backends[] = {&ps_ledger_sqlite, &ps_ledger_mem, NULL};
const struct ps_queue_ops *const ps_queue_backends[] = {&ps_queue_file, &ps_queue_mem, NULL};
const struct ps_kv_ops *const ps_kv_backends[] = {&ps_kv_sqlite, &ps_kv_mem, NULL};
const struct ps_objects_ops *const ps_objects_backends[] = {&ps_objects_dir, &ps_objects_s3, NULL};

const struct ps_store_ops *ps_store_backend(const char *name)
{
    for (size_t i = 0; ps_store_backends[i] != NULL; i++)
        if (strcmp(ps_store_backends[i]->name, name) == 0)
            return ps_store_backends[i];
    return NULL;
}

const struct ps_ledger_ops *ps_ledger_backend(const char *name)
{
    for (size_t i = 0; ps_ledger_backends[i] != NULL; i++)
        if (strcmp(ps_ledger_backends[i]->name, name) == 0)
            return ps_ledger_backends[i];
    return NULL;
}

const struct ps_queue_ops *ps_queue_backend(const char *name)
{
    for (size_t i = 0; ps_queue_backends[i] != NULL; i++)
        if (strcmp(ps_queue_backends[i]->name, name) == 0)
            return ps_queue_backends[i];
    return NULL;
}

const struct ps_kv_ops *ps_kv_backend(const char *name)
{
    for (size_t i = 0; ps_kv_backends[i] != NULL; i++)
        if (strcmp(ps_kv_backends[i]->name, name) == 0)
            return ps_kv_backends[i];
    return NULL;
}

const struct ps_objects_ops *ps_objects_backend(const char *name)
{
    for (size_t i = 0; ps_objects_backends[i] != NULL; i++)
        if (strcmp(ps_objects_backends[i]->name, name) == 0)
            return ps_objects_backends[i];
    return NULL;
}
