/* lines.c - see lines.h.  SPDX-License-Identifier: MIT */
#include "flow/lines.h"

#include <string.h>

int ps_lines_take(void *lines, const void *bytes, size_t len, struct ps_err *e)
{
    struct ps_lines *l = lines;
    const char *p = bytes, *end = p + len;
    int r = 0;
    while (r == 0 && p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline != NULL ? newline : end) - p);
        if (l->len + n > sizeof l->part)
            return ps_fail(e, PS_ECORRUPT, "a line of the archive is too long");
        if (newline != NULL && l->len == 0) {
            r = l->fn(l->ctx, p, n, e);
        } else {
            memcpy(l->part + l->len, p, n);
            l->len += n;
            if (newline != NULL) {
                r = l->fn(l->ctx, l->part, l->len, e);
                l->len = 0;
            }
        }
        p += n + (newline != NULL);
    }
    return r;
}
