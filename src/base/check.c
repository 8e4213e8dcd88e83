/* check.c - see check.h.  SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ps_panic(const char *file, int line, const char *condition)
{
    fprintf(stderr, "pathstats: bug at %s:%d: %s is false\n", file, line, condition);
    abort();
}
