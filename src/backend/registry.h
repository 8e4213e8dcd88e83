/* registry.h - the backends built into this binary, by port.  SPDX-License-Identifier: MIT */
#ifndef PS_BACKEND_REGISTRY_H
#define PS_BACKEND_REGISTRY_H

#include "port/clock.h"
#include "port/kv.h"
#include "port/ledger.h"
#include "port/objects.h"
#include "port/queue.h"
#include "port/store.h"

extern const struct ps_store_ops ps_store_mem, ps_store_sqlite;
extern const struct ps_ledger_ops ps_ledger_mem, ps_ledger_sqlite;
extern const struct ps_queue_ops ps_queue_mem, ps_queue_file;
extern const struct ps_kv_ops ps_kv_mem, ps_kv_sqlite;
extern const struct ps_objects_ops ps_objects_dir, ps_objects_s3;

/* NULL-terminated; the first is the default. */
extern const struct ps_store_ops *const ps_store_backends[];
extern const struct ps_ledger_ops *const ps_ledger_backends[];
extern const struct ps_queue_ops *const ps_queue_backends[];
extern const struct ps_kv_ops *const ps_kv_backends[];
extern const struct ps_objects_ops *const ps_objects_backends[];

/* By its word, or NULL. */
const struct ps_store_ops *ps_store_backend(const char *name);
/* By the store's word. */
const struct ps_ledger_ops *ps_ledger_backend(const char *name);
const struct ps_queue_ops *ps_queue_backend(const char *name);
const struct ps_kv_ops *ps_kv_backend(const char *name);
const struct ps_objects_ops *ps_objects_backend(const char *name);

/* The machine's clock. */
struct ps_clock *ps_clock_system(void);

/* A clock for tests: stands still until moved; sleep moves it. now_ms is both its times; the wall's
 * is ahead of the monotonic one (or behind) by wall_ahead_ms: somebody has set it. */
struct ps_clock_manual {
    struct ps_clock clock;
    _Atomic int64_t now_ms, wall_ahead_ms;
};
void ps_clock_manual_init(struct ps_clock_manual *c, int64_t now_ms);

#endif
