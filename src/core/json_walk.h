/* json_walk.h - the members of one object, or the items of one array, one after the other.
 *
 * For small documents whose shape is known; the event decoder is its own, faster walk. Strict
 * (RFC 8259), like json_scan.h, on which it stands.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_JSON_WALK_H
#define PS_CORE_JSON_WALK_H

#include "core/json_scan.h"

struct ps_json_walk {
    struct ps_json_scan scan;
    char close; /* 0 before the first step */
};

/* `scratch` has text.len bytes and outlives what is handed out. */
void ps_json_walk_init(struct ps_json_walk *w, struct ps_str text, char *scratch);
/* 1: a member or an item (name absent); a container's text is all of it, brackets included. 0: the
 * container has ended. PS_EINVAL: no container, or not JSON. */
int ps_json_walk_next(struct ps_json_walk *w, struct ps_str *ret_name, enum ps_json_kind *ret_kind,
                      struct ps_str *ret_text);
/* After 0: is there nothing but white space behind it? */
bool ps_json_walk_is_all(struct ps_json_walk *w);

#endif
