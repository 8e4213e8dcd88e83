/* alloc.h - memory from the caller; see aggregate.h.  SPDX-License-Identifier: MIT */
#ifndef PS_CORE_ALLOC_H
#define PS_CORE_ALLOC_H

#include <stddef.h>

/* resize(ctx, ptr, old, new): like realloc; new 0 frees and returns NULL; NULL means no memory. */
struct ps_alloc {
    void *(*resize)(void *ctx, void *ptr, size_t old_size, size_t new_size);
    void *ctx;
};

#endif
