/* decode.h - JSON (RFC 8259, strict, UTF-8) to ps_raw_event, without a libc and without allocating.
 *
 * null means absent; of a repeated key the last counts. `path`, `timestamp`, `idempotentId` or
 * `requestId` of the wrong type reject the event; any other field of the wrong type is left out
 * with a warning, and so is an unknown key. A string that is all one number is read as that number
 * in `status` and `responseTime`, because many log formats quote everything. Strings with escapes
 * are unescaped into `scratch`; characters that are none cost that string alone (ret->mended).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_DECODE_H
#define PS_CORE_DECODE_H

#include "core/event.h"

/* Decodes one JSON object at text[0..len). On PS_REJECT_NONE *ret_used is how many bytes it took
 * (leading white space included, trailing not). On a rejection *ret_used is the offset where the
 * trouble is (syntax) or the end of the well-formed value (all else), so an array can go on.
 * `scratch` has at least `len` bytes and must outlive `ret`. `warnings` (may be NULL) gets what was
 * left out of a well-formed object, whether it is rejected or not. */
enum ps_reject ps_event_from_json(const char *text, size_t len, char *scratch,
                                  struct ps_warnings *warnings, struct ps_raw_event *ret,
                                  size_t *ret_used);

/* Walks a request body, which is events and arrays of events one after the other: on lines of their
 * own or over several, with a comma between them or nothing.
 *
 * What is wrong with an event costs that event alone: where its JSON is broken, the walk goes on
 * where its brackets close, or where the next line begins with one. If the end of an event cannot
 * be told, it goes on in the next line; but in a body that begins with '[' it ends there with
 * `fatal` set. Such an array was cut off on its way: refuse the whole body, so that it is sent
 * again. */
struct ps_body {
    const char *text;
    size_t len, at;
    char *scratch;                /* len bytes; strings stay valid until the body is done */
    struct ps_warnings *warnings; /* may be NULL */
    unsigned index;               /* 0-based, of the event returned last */
    bool fatal;
    bool blank; /* after the end: there was nothing, not even an empty array */
    /* private */
    size_t started, line_at, steps; /* of the event; lines are counted up to; left to find ends */
    unsigned lines;
    bool is_array, in_array, behind_item, begun;
};

void ps_body_init(struct ps_body *body, const char *text, size_t len, char *scratch,
                  struct ps_warnings *warnings);
/* 1: an event or a rejection is in *ret / *ret_why. 0: the end. */
int ps_body_next(struct ps_body *body, struct ps_raw_event *ret, enum ps_reject *ret_why);
/* 1-based, of the line where the event returned last begins. */
unsigned ps_body_line(struct ps_body *body);

#endif
