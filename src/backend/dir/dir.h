/* dir.h - what the files of the folder backend share.
 *
 * A key is a path below the root. A file being written lies beside its target under the reserved
 * name ".tmp-<16 hex>-<last segment>": the same folder makes the rename atomic, and the name tells
 * which key it was for, so that abort_uploads can respect its prefix. No key has such a segment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_DIR_H
#define PS_BACKEND_DIR_H

#include "port/objects.h"

#define DIR_TEMPORARY ".tmp-"

enum {
    DIR_TEMPORARY_LEN = sizeof(DIR_TEMPORARY) - 1 + 16 + 1, /* what precedes the segment */
    DIR_PATH_MAX = PS_OBJECT_KEY_MAX + DIR_TEMPORARY_LEN,
    DIR_NAMES_MAX = 64 * 1024 * 1024, /* bytes of names in one folder, while it is listed */
};

struct dir {
    struct ps_objects base;
    int root; /* every path is relative to this */
};

/* The failure `number` (an errno) as our code, with "objects: <what> <path>: ...". */
int ps_dir_fail(struct ps_err *e, int number, const char *what, const char *path);

/* Told of every regular file whose name is a key's, or a temporary one's, in byte order of the
 * paths. `key` is the object's own key in both cases. A negative return ends the walk. */
struct dir_entry {
    const char *path, *key;
    bool temporary;
};
typedef int dir_entry_fn(void *ctx, const struct dir_entry *entry, struct ps_err *e);
int ps_dir_walk(struct dir *d, const char *prefix, dir_entry_fn *fn, void *ctx, struct ps_err *e);

#endif
