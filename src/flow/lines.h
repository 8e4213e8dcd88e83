/* lines.h - the plain bytes of an archived day, line by line.
 *
 * Bytes come in pieces of any size; a line that one piece holds whole is not copied.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_FLOW_LINES_H
#define PS_FLOW_LINES_H

#include "base/err.h"
#include "core/archive_line.h"

/* Without the newline. Negative: stop with that code. */
typedef int ps_line_fn(void *ctx, const char *line, size_t len, struct ps_err *e);

struct ps_lines {
    ps_line_fn *fn;
    void *ctx;
    size_t len; /* of a line that is not all there yet; 0 at the beginning */
    char part[PS_ARCHIVE_LINE_MAX];
};

/* `lines` is a struct ps_lines; the shape is that of ps_pack_fn. PS_ECORRUPT: a line too long. */
int ps_lines_take(void *lines, const void *bytes, size_t len, struct ps_err *e);

#endif
