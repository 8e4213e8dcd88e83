/* folder.h - where a test may write: a new folder in TMPDIR, or in /tmp.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TESTS_SUPPORT_FOLDER_H
#define PS_TESTS_SUPPORT_FOLDER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEST_FOLDER_MAX = 512 };

static inline bool test_folder(char to[TEST_FOLDER_MAX], const char *name)
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(to, TEST_FOLDER_MAX, "%s/pathstats-%s-XXXXXX",
                     tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp", name);
    return n > 0 && n < TEST_FOLDER_MAX && mkdtemp(to) != NULL;
}

#endif
