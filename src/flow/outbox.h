/* outbox.h - encoded events on their way to the queue: one byte buffer and where each record ends.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_OUTBOX_H
#define PS_FLOW_OUTBOX_H

#include "base/buf.h"
#include "core/event.h"

struct ps_outbox {
    struct ps_buf bytes;
    uint32_t *ends; /* of record i in bytes */
    size_t count, cap;
};

void ps_outbox_init(struct ps_outbox *o, size_t bytes_max);
void ps_outbox_done(struct ps_outbox *o);
void ps_outbox_clear(struct ps_outbox *o);
/* 0, PS_EFULL or PS_ENOMEM; a failure changes nothing. */
int ps_outbox_event(struct ps_outbox *o, const struct ps_event *event);
int ps_outbox_record(struct ps_outbox *o, const uint8_t *bytes, size_t len);
int ps_outbox_append(struct ps_outbox *o, const struct ps_outbox *more);

#endif
