/* err.c - see err.h.  SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

int ps_fail(struct ps_err *e, int code, const char *format, ...)
{
    if (e != NULL) {
        va_list args;
        e->code = code;
        va_start(args, format);
        vsnprintf(e->text, sizeof e->text, format, args);
        va_end(args);
    }
    return code;
}

const char *ps_code_name(int code)
{
    static const char *const names[] = {
        "ok", "invalid", "missing", "exists", "busy",    "full",
        "io", "corrupt", "memory",  "denied", "stopped",
    };
    int i = -code;
    return i >= 0 && i < (int)(sizeof names / sizeof names[0]) ? names[i] : "unknown";
}
