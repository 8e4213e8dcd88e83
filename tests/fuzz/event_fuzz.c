/* event_fuzz.c - any bytes as a request body, as one event and as a queue record: no crash, views
 * stay in their memory, what passes normalising is within limits, and encoding is a round trip.
 *
 * SPDX-License-Identifier: MIT
 */
#include "base/check.h"
#include "core/decode.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    const char *text, *scratch;
    size_t size;
};

static void check_view(const struct memory *m, struct ps_str s)
{
    PS_ASSERT(s.ptr != NULL || s.len == 0);
    PS_ASSERT(s.ptr == NULL || (s.ptr >= m->text && s.ptr + s.len <= m->text + m->size) ||
              (s.ptr >= m->scratch && s.ptr + s.len <= m->scratch + m->size));
}

static void check_raw(const struct memory *m, const struct ps_raw_event *raw)
{
    check_view(m, raw->id);
    check_view(m, raw->path);
    check_view(m, raw->method);
    check_view(m, raw->user_agent);
    check_view(m, raw->country);
    check_view(m, raw->request_id);
    check_view(m, raw->client_ip);
    check_view(m, raw->client_ip_hash);
    PS_ASSERT(raw->timestamp_ms >= PS_ABSENT && raw->response_us >= PS_ABSENT);
    PS_ASSERT(raw->status >= PS_ABSENT && raw->is_error >= PS_ABSENT && raw->is_error <= 1);
    PS_ASSERT(!raw->has_id_hash);
}

static void check_clean(struct ps_str s, size_t max)
{
    PS_ASSERT(s.len <= max);
    for (size_t i = 0, n; i < s.len; i += n) {
        n = ps_utf8_length(s.ptr + i, s.len - i);
        PS_ASSERT(n > 0 && (unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f);
    }
}

static void check_event(const struct ps_event *event, const struct ps_normal *with)
{
    check_clean(event->path, PS_PATH_MAX);
    check_clean(event->user_agent, PS_USER_AGENT_MAX);
    PS_ASSERT(event->path.len > 0 && event->id.len <= PS_ID_MAX && ps_is_visible_ascii(event->id));
    for (size_t i = 0; i < event->path.len; i++)
        PS_ASSERT(event->path.ptr[i] != '?' && event->path.ptr[i] != '#');
    PS_ASSERT(event->timestamp_ms >= PS_TIMESTAMP_MIN_MS);
    PS_ASSERT(event->timestamp_ms <= with->now_ms + PS_FUTURE_MAX_MS);
    PS_ASSERT(event->response_us <= PS_RESPONSE_US_MAX);
    PS_ASSERT(event->status == PS_ABSENT || (event->is_error == 1) == (event->status >= 400));
}

/* What decodes encodes to the same bytes, unless these are of an older version, and decodes again.
 */
static void check_codec(const struct ps_event *event, const uint8_t *expected, size_t expected_len)
{
    uint8_t bytes[PS_EVENT_ENCODED_MAX];
    struct ps_event again;
    size_t n = ps_event_encode(event, bytes);
    PS_ASSERT(n <= sizeof bytes && ps_event_decode(bytes, n, &again) == 0);
    PS_ASSERT(ps_str_equal(again.id, event->id) && ps_str_equal(again.path, event->path));
    PS_ASSERT(again.timestamp_ms == event->timestamp_ms && again.status == event->status);
    PS_ASSERT(again.response_us == event->response_us && again.is_error == event->is_error);
    PS_ASSERT(again.response_bytes == event->response_bytes);
    PS_ASSERT(expected == NULL || bytes[0] != expected[0] ||
              (n == expected_len && memcmp(bytes, expected, n) == 0));
    PS_ASSERT(ps_event_decode(bytes, n - 1, &again) < 0);
    if (expected == NULL)
        check_codec(&again, bytes, n);
}

/* Every text has a sentence that fits; unknown fields are bounded. */
static void check_warnings(const struct ps_warnings *w)
{
    PS_ASSERT(w->count <= PS_WARNINGS_MAX);
    size_t unknown = 0;
    for (size_t i = 0; i < w->count; i++) {
        char text[PS_WARNING_TEXT_MAX];
        memset(text, 'x', sizeof text);
        ps_warning_text(&w->list[i], text);
        PS_ASSERT(memchr(text, '\0', sizeof text) != NULL);
        PS_ASSERT(w->list[i].count > 0 && w->list[i].len <= PS_WARNING_FIELD_MAX);
        unknown += w->list[i].why == PS_REJECT_UNKNOWN_FIELD;
    }
    PS_ASSERT(unknown <= PS_WARNINGS_UNKNOWN_MAX);
}

/* The canonical text of a canonical text is the same. */
static void check_sender(const struct ps_raw_event *raw, struct ps_normal *with)
{
    char first[PS_ADDRESS_MAX], second[PS_ADDRESS_MAX];
    struct ps_sender sender;
    ps_event_sender(raw, first, &sender);
    with->has_client = sender.present;
    with->client_hash = sender.hash;
    if (sender.text.ptr == NULL)
        return;
    struct ps_str again = ps_address_canonical(sender.text, second);
    PS_ASSERT(ps_str_equal(again, sender.text));
}

static void normalise(const struct ps_raw_event *raw)
{
    struct ps_normal with = {.now_ms = INT64_C(1760529600000), .fresh = 42};
    char *scratch = malloc(PS_EVENT_SCRATCH_BYTES);
    struct ps_event event, untouched;
    PS_ASSERT(scratch != NULL);
    memset(&event, 0x5a, sizeof event);
    memcpy(&untouched, &event, sizeof event);
    with.warnings = calloc(1, sizeof *with.warnings);
    PS_ASSERT(with.warnings != NULL);
    check_sender(raw, &with);
    if (ps_event_normalise(raw, &with, scratch, &event) == PS_REJECT_NONE) {
        check_event(&event, &with);
        check_codec(&event, NULL, 0);
        PS_ASSERT(raw->id.ptr != NULL || ps_event_id_is_dated(&event) ||
                  event.timestamp_ms < INT64_C(1000000000000)); /* before 2001: 12 digits */
    } else {
        PS_ASSERT(memcmp(&event, &untouched, sizeof event) == 0);
    }
    check_warnings(with.warnings);
    free(with.warnings);
    free(scratch);
}

static void walk_body(const struct memory *m, char *scratch)
{
    struct ps_body body;
    struct ps_raw_event raw;
    enum ps_reject why;
    unsigned count = 0, line = 1;
    struct ps_warnings *warnings = calloc(1, sizeof *warnings);
    PS_ASSERT(warnings != NULL);
    ps_body_init(&body, m->text, m->size, scratch, warnings);
    for (; ps_body_next(&body, &raw, &why) > 0; count++) {
        PS_ASSERT(body.at <= m->size && count <= m->size && body.index == count);
        PS_ASSERT(why < PS_REJECT_COUNT && (!body.fatal || why != PS_REJECT_NONE));
        PS_ASSERT(ps_body_line(&body) >= line);
        line = ps_body_line(&body);
        if (why != PS_REJECT_NONE)
            continue;
        check_raw(m, &raw);
        normalise(&raw);
    }
    PS_ASSERT(ps_body_next(&body, &raw, &why) == 0);
    PS_ASSERT(!body.blank || count == 0);
    check_warnings(warnings);
    free(warnings);
}

static void try_one(const struct memory *m, char *scratch)
{
    struct ps_raw_event raw;
    size_t used = SIZE_MAX;
    enum ps_reject why = ps_event_from_json(m->text, m->size, scratch, NULL, &raw, &used);
    PS_ASSERT(used <= m->size);
    if (why != PS_REJECT_NONE)
        return;
    check_raw(m, &raw);
    PS_ASSERT(m->text[used - 1] == '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Exact copies on the heap, so that a sanitizer sees one byte too many. */
    char *text = malloc(size + (size == 0)), *scratch = malloc(size + (size == 0));
    struct memory m = {text, scratch, size};
    struct ps_event event;
    PS_ASSERT(text != NULL && scratch != NULL);
    if (size > 0)
        memcpy(text, data, size);
    try_one(&m, scratch);
    walk_body(&m, scratch);
    if (ps_event_decode((const uint8_t *)text, size, &event) == 0)
        check_codec(&event, data, size);
    free(text);
    free(scratch);
    return 0;
}
