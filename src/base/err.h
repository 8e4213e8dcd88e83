/* err.h - how a failure travels: a negative code, and one line of text in the caller's struct.
 *
 * Callers propagate the code and leave the text alone; only daemon, cli and api print it.
 * Only PS_EBUSY means "try the same again".
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_ERR_H
#define PS_BASE_ERR_H

enum ps_code {
    PS_OK = 0,
    PS_EINVAL = -1,   /* the input is wrong; the same input fails again */
    PS_ENOENT = -2,   /* there is no such thing */
    PS_EEXIST = -3,   /* it is there already */
    PS_EBUSY = -4,    /* for the moment; try the same again */
    PS_EFULL = -5,    /* a named limit is reached */
    PS_EIO = -6,      /* the disk, the network or an engine failed */
    PS_ECORRUPT = -7, /* stored bytes are not what was written */
    PS_ENOMEM = -8,
    PS_EDENIED = -9, /* not allowed */
    PS_ESTOP = -10,  /* a callback asked to stop */
};

enum { PS_ERR_TEXT_MAX = 512 };

struct ps_err {
    int code;
    char text[PS_ERR_TEXT_MAX];
};

/* Fills `e` (may be NULL) and returns `code`: `return ps_fail(e, PS_EIO, "open %s: %s", ...)`. */
int ps_fail(struct ps_err *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "io", "busy", ... ; a static string. */
const char *ps_code_name(int code);

#endif
