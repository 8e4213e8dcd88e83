/* term.c - see term.h.  SPDX-License-Identifier: MIT */
#include "cli/term.h"

#include "base/utf8.h"
#include "base/visible.h"

#include <locale.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <wchar.h>

static const struct ps_str ellipsis = {"…", sizeof "…" - 1};

void ps_term_init(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
}

int ps_term_columns(int fd)
{
    const char *text = getenv("COLUMNS");
    struct winsize size;
    long columns = text == NULL ? 0 : strtol(text, NULL, 10);
    if (columns <= 0 && ioctl(fd, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (columns <= 0)
        return PS_COLUMNS_DEFAULT;
    return columns < PS_COLUMNS_MIN   ? PS_COLUMNS_MIN
           : columns > PS_COLUMNS_MAX ? PS_COLUMNS_MAX
                                      : (int)columns;
}

/* One character as it is shown. Returns its bytes in `text`; *ret_columns what it takes. */
static size_t next_shown(struct ps_str text, size_t at, char to[PS_VISIBLE_MAX + 1],
                         size_t *ret_len, int *ret_columns)
{
    size_t n = ps_visible_next(text.ptr + at, text.len - at, to, ret_len);
    if (to[0] == '\\' && *ret_len > 1) {
        *ret_columns = (int)*ret_len;
        return n;
    }
    int columns = wcwidth((wchar_t)ps_utf8_decode(to, *ret_len));
    *ret_columns = columns < 0 ? 1 : columns; /* unknown to the libc, maybe newer */
    return n;
}

int ps_term_width(struct ps_str text)
{
    char shown[PS_VISIBLE_MAX + 1];
    size_t len;
    int columns, width = 0;
    for (size_t i = 0; i < text.len; width += columns)
        i += next_shown(text, i, shown, &len, &columns);
    return width;
}

/* From the start, as far as it fits. */
static int put_head(struct ps_buf *out, struct ps_str text, int room)
{
    char shown[PS_VISIBLE_MAX + 1];
    size_t len;
    int columns, width = 0;
    for (size_t i = 0; i < text.len;) {
        i += next_shown(text, i, shown, &len, &columns);
        if (width + columns > room)
            break;
        ps_buf_append(out, shown, len);
        width += columns;
    }
    return width;
}

/* What is left when `skipped` columns from the start are not shown. */
static int put_tail(struct ps_buf *out, struct ps_str text, int skipped)
{
    char shown[PS_VISIBLE_MAX + 1];
    size_t len;
    int columns, at = 0, width = 0;
    for (size_t i = 0; i < text.len; at += columns) {
        i += next_shown(text, i, shown, &len, &columns);
        if (at < skipped || (columns == 0 && width == 0))
            continue;
        ps_buf_append(out, shown, len);
        width += columns;
    }
    return width;
}

int ps_term_fit(struct ps_buf *out, struct ps_str text, int columns)
{
    int width = ps_term_width(text);
    if (width <= columns || columns < 1)
        return put_head(out, text, columns);
    int taken = put_head(out, text, columns / 2) + 1;
    ps_buf_append(out, ellipsis.ptr, ellipsis.len);
    return taken + put_tail(out, text, width - (columns - taken));
}

int ps_term_cut(struct ps_buf *out, struct ps_str text, int columns)
{
    if (ps_term_width(text) <= columns || columns < 1)
        return put_head(out, text, columns);
    int taken = put_head(out, text, columns - 1);
    ps_buf_append(out, ellipsis.ptr, ellipsis.len);
    return taken + 1;
}
