/* mem.h - what tests may do to the mem backends.
 *
 * State lives by target name until the process ends or ps_mem_forget: closing every handle and
 * opening again is a crash that loses nothing "on disk".
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_MEM_MEM_H
#define PS_BACKEND_MEM_MEM_H

#include "port/store.h"

/* Drops the state of stores, queues and kvs of this name; no handle may be open. */
void ps_mem_forget(const char *target);
/* Sets a day's state; PS_DAY_CLEANED also drops its events. */
void ps_mem_store_seal(const char *target, int32_t day, enum ps_day_state state);

/* The store's and the ledger's parts of each other. put: an event is there, counted or not. state:
 * of a day. record: fills in what the ledger wrote of the day. */
void ps_mem_store_put(const char *target, const struct ps_event *event);
enum ps_day_state ps_mem_store_state(const char *target, int32_t day);
void ps_mem_ledger_record(const char *target, struct ps_day *day);
void ps_mem_ledger_forget(const char *target);

void ps_mem_store_forget(const char *target);
void ps_mem_queue_forget(const char *target);
void ps_mem_kv_forget(const char *target);

#endif
