/* logline_fuzz.c - any bytes as a log line: no crash, and every view stays in the line or scratch.
 *
 * SPDX-License-Identifier: MIT
 */
#include "base/check.h"
#include "intake/logline.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_view(struct ps_str s, const char *line, const char *scratch, size_t size)
{
    PS_ASSERT(s.ptr == NULL || (s.ptr >= line && s.ptr + s.len <= line + size) ||
              (s.ptr >= scratch && s.ptr + s.len <= scratch + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Exact copies on the heap, so that a sanitizer sees one byte too many. */
    char *line = malloc(size + (size == 0)), *scratch = malloc(size + (size == 0));
    struct ps_raw_event raw;
    PS_ASSERT(line != NULL && scratch != NULL);
    if (size > 0)
        memcpy(line, data, size);
    if (ps_logline_parse(line, size, scratch, &raw) == PS_REJECT_NONE) {
        check_view(raw.path, line, scratch, size);
        check_view(raw.method, line, scratch, size);
        check_view(raw.user_agent, line, scratch, size);
        check_view(raw.client_ip, line, scratch, size);
        PS_ASSERT(raw.path.ptr != NULL && raw.path.len > 0 && raw.method.len > 0);
        PS_ASSERT(raw.status == PS_ABSENT || raw.status > 0);
        PS_ASSERT(raw.response_us == PS_ABSENT || raw.response_us >= 0);
    }
    free(line);
    free(scratch);
    return 0;
}
