/* archive_line_fuzz.c - any bytes as a line of an archived day: it is one or it is corrupt; what is
 * taken keeps the limits, and written again it is a line that says the same.
 *
 * SPDX-License-Identifier: MIT
 */
#include "base/check.h"
#include "base/err.h"
#include "core/archive_line.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_view(struct ps_str s, const char *line, const char *scratch, size_t size,
                       size_t max)
{
    PS_ASSERT(s.len <= max);
    PS_ASSERT(s.ptr == NULL || (s.ptr >= line && s.ptr + s.len <= line + size) ||
              (s.ptr >= scratch && s.ptr + s.len <= scratch + size));
}

static void check_event(const struct ps_event *event, const char *line, const char *scratch,
                        size_t size)
{
    check_view(event->id, line, scratch, size, PS_ID_MAX);
    check_view(event->path, line, scratch, size, PS_PATH_MAX);
    check_view(event->method, line, scratch, size, PS_METHOD_MAX);
    check_view(event->user_agent, line, scratch, size, PS_USER_AGENT_MAX);
    check_view(event->country, line, scratch, size, PS_COUNTRY_MAX);
    PS_ASSERT(event->id.len > 0 && event->path.ptr != NULL);
    PS_ASSERT(event->timestamp_ms >= PS_TIMESTAMP_MIN_MS &&
              event->timestamp_ms <= PS_TIMESTAMP_MAX_MS);
    PS_ASSERT(event->status == PS_ABSENT ||
              (event->status >= PS_STATUS_MIN && event->status <= PS_STATUS_MAX));
    PS_ASSERT(event->response_us >= PS_ABSENT && event->response_us <= PS_RESPONSE_US_MAX);
    PS_ASSERT(event->is_error >= PS_ABSENT && event->is_error <= 1);
}

/* Once written it is in the one form there is: it comes back and is written the same. */
static void check_writing(const struct ps_event *event)
{
    char *first = malloc(PS_ARCHIVE_LINE_MAX), *second = malloc(PS_ARCHIVE_LINE_MAX);
    char *scratch = malloc(PS_ARCHIVE_LINE_MAX);
    struct ps_event back;
    PS_ASSERT(first != NULL && second != NULL && scratch != NULL);
    size_t len = ps_archive_line_write(event, first);
    PS_ASSERT(len <= PS_ARCHIVE_LINE_MAX && first[len - 1] == '\n');
    PS_ASSERT(memchr(first, '\n', len - 1) == NULL);
    PS_ASSERT(ps_archive_line_parse(first, len - 1, scratch, &back) == 0);
    PS_ASSERT(ps_archive_line_write(&back, second) == len && memcmp(first, second, len) == 0);
    PS_ASSERT(ps_str_equal(event->id, back.id) && ps_str_equal(event->path, back.path));
    PS_ASSERT(event->timestamp_ms == back.timestamp_ms && event->response_us == back.response_us);
    free(first);
    free(second);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Exact copies on the heap, so that a sanitizer sees one byte too many. */
    char *line = malloc(size + (size == 0)), *scratch = malloc(size + (size == 0));
    struct ps_event event;
    PS_ASSERT(line != NULL && scratch != NULL);
    if (size > 0)
        memcpy(line, data, size);
    int r = ps_archive_line_parse(line, size, scratch, &event);
    PS_ASSERT(r == 0 || r == PS_ECORRUPT);
    if (r == 0) {
        check_event(&event, line, scratch, size);
        check_writing(&event);
    }
    free(line);
    free(scratch);
    return 0;
}
