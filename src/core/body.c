/* body.c - a request body as a walk over its events; see decode.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/decode.h"

enum form { FORM_UNKNOWN, FORM_ARRAY, FORM_LINES, FORM_DONE };

void ps_body_init(struct ps_body *body, const char *text, size_t len, char *scratch)
{
    *body = (struct ps_body){.text = text, .len = len, .scratch = scratch, .lines = 1};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_space(struct ps_body *b)
{
    while (b->at < b->len && is_space(b->text[b->at]))
        b->at++;
}

/* b->line := the line number of offset `at`; counts each newline once over the whole walk. */
static void mark_line(struct ps_body *b, size_t at)
{
    for (; b->line_at < at; b->line_at++)
        b->lines += b->text[b->line_at] == '\n';
    b->line = b->lines;
}

/* Is the whole body one object? Then it is here already, in *ret. */
static bool is_one_object(struct ps_body *b, struct ps_raw_event *ret, enum ps_reject *why)
{
    size_t used;
    *why = ps_event_from_json(b->text + b->at, b->len - b->at, b->scratch, ret, &used);
    bool syntax = *why >= PS_REJECT_JSON_SYNTAX && *why <= PS_REJECT_JSON_DEPTH;
    for (used += b->at; !syntax && used < b->len; used++)
        if (!is_space(b->text[used]))
            return false;
    return !syntax;
}

static int next_line(struct ps_body *b, struct ps_raw_event *ret, enum ps_reject *why)
{
    skip_space(b);
    if (b->at == b->len)
        return 0;
    const char *start = b->text + b->at;
    const char *end = start, *limit = b->text + b->len;
    while (end < limit && *end != '\n')
        end++;
    size_t len = (size_t)(end - start), used;
    mark_line(b, b->at);
    *why = len > PS_EVENT_JSON_MAX ? PS_REJECT_TOO_LARGE
                                   : ps_event_from_json(start, len, b->scratch + b->at, ret, &used);
    if (*why == PS_REJECT_NONE)
        for (; used < len; used++)
            if (!is_space(start[used]))
                *why = PS_REJECT_JSON_SYNTAX; /* two values on one line */
    b->at += len;
    return 1;
}

static int fail_array(struct ps_body *b, enum ps_reject reason, enum ps_reject *why)
{
    mark_line(b, b->at);
    b->fatal = true;
    b->form = FORM_DONE;
    *why = reason;
    return 1;
}

static int next_element(struct ps_body *b, struct ps_raw_event *ret, enum ps_reject *why)
{
    size_t used;
    skip_space(b);
    if (b->at < b->len && b->text[b->at] == ']' && b->index == 0) {
        b->at++; /* "[]" */
    } else {
        mark_line(b, b->at);
        unsigned line = b->line;
        *why = ps_event_from_json(b->text + b->at, b->len - b->at, b->scratch + b->at, ret, &used);
        b->at += used;
        if (*why >= PS_REJECT_JSON_SYNTAX && *why <= PS_REJECT_JSON_DEPTH)
            return fail_array(b, *why, why);
        skip_space(b);
        if (b->at == b->len || (b->text[b->at] != ',' && b->text[b->at] != ']'))
            return fail_array(b, PS_REJECT_JSON_SYNTAX, why);
        b->line = line;
        if (b->text[b->at++] == ',')
            return 1;
    }
    b->form = FORM_DONE;
    skip_space(b);
    if (b->at < b->len)
        return fail_array(b, PS_REJECT_JSON_SYNTAX, why);
    return b->line > 0;
}

static int begin(struct ps_body *b, struct ps_raw_event *ret, enum ps_reject *why)
{
    skip_space(b);
    if (b->at == b->len)
        return 0;
    if (b->text[b->at] == '[') {
        b->form = FORM_ARRAY;
        b->at++;
        return next_element(b, ret, why);
    }
    if (is_one_object(b, ret, why)) {
        mark_line(b, b->at);
        b->form = FORM_DONE;
        return 1;
    }
    b->form = FORM_LINES;
    return next_line(b, ret, why);
}

int ps_body_next(struct ps_body *b, struct ps_raw_event *ret, enum ps_reject *ret_why)
{
    *ret_why = PS_REJECT_NONE;
    switch ((enum form)b->form) {
    case FORM_UNKNOWN: return begin(b, ret, ret_why);
    case FORM_ARRAY: b->index++; return next_element(b, ret, ret_why);
    case FORM_LINES: b->index++; return next_line(b, ret, ret_why);
    case FORM_DONE: break;
    }
    return 0;
}
