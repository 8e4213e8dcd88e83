/* body.c - a request body as a walk over its events; see decode.h.
 *
 * Finding the end of a broken event: its brackets are matched, strings skipped. A bracket of the
 * other kind closes all that was opened behind its own. An opening one that begins a line ends it,
 * because there the next event begins, whatever is missing before.
 *
 * Time is linear in the body, whatever it is: a byte may be read by one broken event, by the search
 * for its end, and again by events that begin inside it, and `steps` bounds all of that together.
 * When it is used up, the walk goes on in the line where an event broke.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/decode.h"

enum {
    STEPS_EACH = 4, /* for a byte of the body; broken events that are not nested take two */
    STEPS_MORE = PS_EVENT_JSON_MAX,
    NESTING_BITS = 64, /* of brackets whose kind is remembered while an end is searched */
};

static const char bom[] = "\xef\xbb\xbf";

void ps_body_init(struct ps_body *body, const char *text, size_t len, char *scratch,
                  struct ps_warnings *warnings)
{
    *body = (struct ps_body){.text = text,
                             .len = len,
                             .scratch = scratch,
                             .warnings = warnings,
                             .steps = STEPS_EACH * len + STEPS_MORE,
                             .lines = 1};
    if (len >= sizeof bom - 1 && ps_bytes_compare(text, bom, sizeof bom - 1) == 0)
        body->at = sizeof bom - 1;
}

unsigned ps_body_line(struct ps_body *b)
{
    for (; b->line_at < b->started; b->line_at++)
        b->lines += b->text[b->line_at] == '\n';
    return b->lines;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* White space, and behind an event one comma. */
static void skip_separator(struct ps_body *b)
{
    while (b->at < b->len &&
           (is_space(b->text[b->at]) || (b->behind_item && b->text[b->at] == ','))) {
        b->behind_item &= b->text[b->at] != ',';
        b->at++;
    }
}

/* --- behind a broken event --- */

struct search {
    size_t at, end;
    unsigned depth;
    uint64_t kinds; /* bit i: level i was opened by '[' */
    bool in_array;
};

enum found { GO_ON, END_BEFORE, END_BEHIND, NO_END };

static bool begins_line(const struct search *s, const char *text)
{
    return s->at > 0 && text[s->at - 1] == '\n';
}

/* At a quote: to the one that closes the string. A string has no newline; in an array it may be a
 * stray one, but where a line begins with a bracket the string was not closed. */
static enum found skip_string(struct search *s, const char *text)
{
    for (s->at++; s->at < s->end && text[s->at] != '"'; s->at++) {
        if (text[s->at] == '\\')
            s->at++;
        else if (text[s->at] == '\n' && !s->in_array)
            return NO_END;
        else if (text[s->at] == '{' && begins_line(s, text))
            return END_BEFORE;
    }
    return s->at < s->end ? GO_ON : NO_END;
}

static void open_bracket(struct search *s, bool square)
{
    if (s->depth < NESTING_BITS) {
        uint64_t bit = UINT64_C(1) << s->depth;
        s->kinds = square ? s->kinds | bit : s->kinds & ~bit;
    }
    s->depth++;
}

static enum found close_bracket(struct search *s, bool square)
{
    while (s->depth > 0) {
        s->depth--;
        if (s->depth >= NESTING_BITS || (s->kinds >> s->depth & 1) == square)
            return s->depth == 0 ? END_BEHIND : GO_ON;
    }
    return square && s->in_array ? END_BEFORE : END_BEHIND; /* it closes the array around us */
}

static enum found look(struct search *s, const char *text)
{
    switch (text[s->at]) {
    case '"': return skip_string(s, text);
    case '{':
        if (s->depth > 0 && begins_line(s, text))
            return END_BEFORE;
        open_bracket(s, false);
        return GO_ON;
    case '[': open_bracket(s, true); return GO_ON;
    case '}': return close_bracket(s, false);
    case ']': return close_bracket(s, true);
    case ',': return s->depth == 0 ? END_BEFORE : GO_ON;
    case '\n': return s->depth == 0 && !s->in_array ? END_BEFORE : GO_ON;
    default: return GO_ON;
    }
}

static void spend(struct ps_body *b, size_t steps)
{
    b->steps -= steps < b->steps ? steps : b->steps;
}

/* Where the broken event that begins at `start` ends; false when that cannot be told. */
static bool find_end(struct ps_body *b, size_t start, size_t *ret)
{
    size_t room = b->len - start;
    struct search s = {.at = start, .in_array = b->in_array};
    enum found found = GO_ON;
    s.end = start + (b->steps < room ? b->steps : room);
    while (s.at < s.end && (found = look(&s, b->text)) == GO_ON)
        s.at++;
    spend(b, s.at < s.end ? s.at - start : s.end - start);
    if (found != END_BEFORE && found != END_BEHIND)
        return false;
    *ret = s.at + (found == END_BEHIND || s.at == start); /* never nothing */
    return true;
}

static size_t next_line(const struct ps_body *b, size_t at)
{
    while (at < b->len && b->text[at] != '\n')
        at++;
    return at;
}

/* Behind an event that was broken after `used` bytes. */
static void go_on(struct ps_body *b, size_t used)
{
    size_t end;
    b->behind_item = true;
    spend(b, used);
    if (find_end(b, b->started, &end)) {
        b->at = end;
    } else if (b->is_array && b->in_array) {
        b->fatal = true;
    } else {
        b->in_array = false;
        b->at = next_line(b, b->steps > 0 ? b->started : b->started + used);
    }
}

/* --- the walk --- */

static int give_item(struct ps_body *b, struct ps_raw_event *ret, enum ps_reject *why)
{
    size_t used;
    b->started = b->at;
    *why = ps_event_from_json(b->text + b->at, b->len - b->at, b->scratch + b->at, b->warnings, ret,
                              &used);
    if (*why == PS_REJECT_JSON_SYNTAX || *why == PS_REJECT_JSON_DEPTH) {
        go_on(b, used);
    } else {
        b->at += used;
        b->behind_item = true;
    }
    return 1;
}

/* The text ended in an array. */
static int give_cut_off(struct ps_body *b, enum ps_reject *why)
{
    b->started = b->len;
    b->in_array = false;
    b->fatal = b->is_array;
    *why = PS_REJECT_JSON_SYNTAX;
    return 1;
}

int ps_body_next(struct ps_body *b, struct ps_raw_event *ret, enum ps_reject *ret_why)
{
    *ret_why = PS_REJECT_NONE;
    if (b->begun)
        b->index++;
    for (;;) {
        skip_separator(b);
        if (b->fatal || (b->at == b->len && !b->in_array)) {
            b->blank = !b->begun && !b->is_array;
            return 0;
        }
        if (b->at == b->len)
            break;
        char c = b->text[b->at];
        if (c != (b->in_array ? ']' : '['))
            break;
        b->is_array |= !b->begun;
        b->in_array = !b->in_array;
        b->behind_item = !b->in_array;
        b->at++;
    }
    b->begun = true;
    return b->at == b->len ? give_cut_off(b, ret_why) : give_item(b, ret, ret_why);
}
