/* cron_fuzz.c - any text as a cron expression: no crash, and what next and prev say fits together.
 *
 * The first eight bytes are the time, the rest is the text; a file of text alone works as well.
 *
 * SPDX-License-Identifier: MIT
 */
#include "base/check.h"
#include "cron/expr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_times(const struct ps_cron_expr *x, int64_t at_ms)
{
    int64_t next_ms = INT64_MIN, back_ms = INT64_MIN;
    int code = ps_cron_next(x, at_ms, &next_ms);
    if (code < 0) {
        PS_ASSERT(next_ms == INT64_MIN);
        PS_ASSERT(code == PS_ENOENT || at_ms < PS_CRON_MS_MIN || at_ms > PS_CRON_MS_MAX);
        return;
    }
    PS_ASSERT(next_ms > at_ms && next_ms % PS_MS_PER_MINUTE == 0);
    if (next_ms > PS_CRON_MS_MAX)
        return;
    PS_ASSERT(ps_cron_prev(x, next_ms, &back_ms) == PS_OK && back_ms == next_ms);
    /* Nothing matches between the two: what is before next is not after `at`. */
    if (ps_cron_prev(x, next_ms - 1, &back_ms) == PS_OK)
        PS_ASSERT(back_ms <= at_ms);
}

static void try_text(const uint8_t *data, size_t size, int64_t at_ms)
{
    struct ps_cron_expr x;
    struct ps_err e = {0};
    char *text = malloc(size + 1); /* on the heap, so that a sanitizer sees one byte too many */
    PS_ASSERT(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (ps_cron_parse(&x, text, &e) == PS_OK) {
        PS_ASSERT(x.minutes != 0 && x.minutes >> 60 == 0 && x.hours != 0 && x.hours >> 24 == 0);
        PS_ASSERT(x.mdays != 0 && (x.mdays & 1) == 0 && x.months != 0 && x.months >> 13 == 0);
        PS_ASSERT((x.months & 1) == 0 && x.wdays != 0 && x.wdays >> 7 == 0);
        check_times(&x, at_ms);
    } else {
        PS_ASSERT(e.code == PS_EINVAL && e.text[0] != '\0');
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t at_ms = 0;
    try_text(data, size, INT64_C(1760486400000));
    if (size < sizeof at_ms)
        return 0;
    memcpy(&at_ms, data, sizeof at_ms);
    try_text(data + sizeof at_ms, size - sizeof at_ms, at_ms);
    try_text(data + sizeof at_ms, size - sizeof at_ms, at_ms % PS_CRON_MS_MAX);
    return 0;
}
