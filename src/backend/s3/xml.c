/* xml.c - see xml.h.
 *
 * One pass over the bytes with a stack of open names. `at` only grows, so the walk ends.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/s3/xml.h"

#include <string.h>

struct walk {
    struct ps_str doc;
    size_t at;
    struct ps_str open[S3_XML_DEPTH_MAX];
    unsigned depth;
    struct ps_str text; /* since the last tag */
};

struct tag {
    struct ps_str name;
    bool closing, empty;
};

bool ps_s3_is(struct ps_str s, const char *text)
{
    return ps_str_equal(s, (struct ps_str){text, strlen(text)});
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_blank(struct ps_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_space(s.ptr[i]))
            return false;
    return true;
}

/* A byte order mark, blanks, and the declaration. */
static size_t skip_prolog(struct ps_str doc)
{
    size_t at = doc.len >= 3 && memcmp(doc.ptr, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < doc.len && is_space(doc.ptr[at]))
        at++;
    if (doc.len - at >= 5 && memcmp(doc.ptr + at, "<?xml", 5) == 0) {
        const char *end = memmem(doc.ptr + at, doc.len - at, "?>", 2);
        at = end != NULL ? (size_t)(end + 2 - doc.ptr) : doc.len;
    }
    return at;
}

/* Where the tag beginning at `at` has its '>', minding quoted attribute values; doc.len if none. */
static size_t find_tag_end(struct ps_str doc, size_t at)
{
    char quote = '\0';
    for (; at < doc.len; at++) {
        char c = doc.ptr[at];
        if (quote != '\0')
            quote = c == quote ? '\0' : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>')
            break;
    }
    return at;
}

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == ':';
}

static size_t name_length(struct ps_str s)
{
    size_t n = 0;
    while (n < s.len && is_name_char(s.ptr[n]))
        n++;
    return n;
}

/* 1: a tag, and the text before it; 0: no tag follows; -1: nonsense. */
static int next_tag(struct walk *w, struct tag *ret)
{
    const char *from = w->doc.ptr + w->at;
    const char *open = w->at < w->doc.len ? memchr(from, '<', w->doc.len - w->at) : NULL;
    if (open == NULL) {
        w->text = (struct ps_str){from, w->doc.len - w->at};
        return 0;
    }
    w->text = (struct ps_str){from, (size_t)(open - from)};
    size_t at = (size_t)(open - w->doc.ptr) + 1;
    size_t end = find_tag_end(w->doc, at);
    if (end == w->doc.len)
        return -1;
    *ret = (struct tag){.closing = w->doc.ptr[at] == '/'};
    at += ret->closing;
    ret->empty = !ret->closing && end > at && w->doc.ptr[end - 1] == '/';
    struct ps_str inside = {w->doc.ptr + at, end - at - ret->empty};
    ret->name = (struct ps_str){inside.ptr, name_length(inside)};
    w->at = end + 1;
    if (ret->name.len == 0)
        return -1;
    struct ps_str rest = {inside.ptr + ret->name.len, inside.len - ret->name.len};
    bool separated = rest.len == 0 || is_space(rest.ptr[0]);
    return separated && (!ret->closing || is_blank(rest)) ? 1 : -1;
}

static int end_element(struct walk *w, struct ps_str text, s3_element_fn *fn, void *ctx)
{
    struct s3_element element = {.name = w->open[w->depth - 1], .text = text};
    w->depth--;
    if (w->depth > 0)
        element.parent = w->open[w->depth - 1];
    return fn(ctx, &element);
}

static int refuse(struct ps_err *e, const char *why)
{
    return ps_fail(e, PS_ECORRUPT, "s3: the answer is not the XML expected: %s", why);
}

static int take_tag(struct walk *w, const struct tag *tag, const char *root, s3_element_fn *fn,
                    void *ctx, struct ps_err *e)
{
    if (tag->closing) {
        if (!ps_str_equal(w->open[w->depth - 1], tag->name))
            return refuse(e, "tags that do not match");
        return end_element(w, w->text, fn, ctx);
    }
    if (w->depth == 0 && !ps_s3_is(tag->name, root))
        return refuse(e, "another root element");
    if (w->depth == S3_XML_DEPTH_MAX)
        return refuse(e, "too deep");
    w->open[w->depth++] = tag->name;
    return tag->empty ? end_element(w, PS_STR(""), fn, ctx) : 0;
}

int ps_s3_xml_walk(struct ps_str doc, const char *root, s3_element_fn *fn, void *ctx,
                   struct ps_err *e)
{
    struct walk w = {.doc = doc, .at = skip_prolog(doc)};
    struct tag tag;
    bool began = false;
    for (int found; (found = next_tag(&w, &tag)) != 0; began = true) {
        if (found < 0)
            return refuse(e, "a broken tag");
        if (w.depth == 0 && (began || tag.closing || !is_blank(w.text)))
            return refuse(e, "more than one element");
        int r = take_tag(&w, &tag, root, fn, ctx, e);
        if (r < 0)
            return r;
    }
    if (!began)
        return refuse(e, "no element");
    return w.depth > 0 || !is_blank(w.text) ? refuse(e, "it is cut") : 0;
}

bool ps_s3_xml_begins(struct ps_str doc, const char *name)
{
    struct walk w = {.doc = doc, .at = skip_prolog(doc)};
    struct tag tag;
    return next_tag(&w, &tag) == 1 && is_blank(w.text) && !tag.closing && ps_s3_is(tag.name, name);
}

/* --- text ------------------------------------------------------------------------------------- */

static size_t encode_utf8(uint32_t code, char to[4])
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)(lead[n] | code);
    return n;
}

/* 16 when it is none. */
static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

/* "#38" or "#x26" to its bytes; 0 when it is no character. */
static size_t decode_reference(struct ps_str s, char to[4])
{
    unsigned base = s.len > 1 && s.ptr[1] == 'x' ? 16 : 10;
    size_t i = base == 16 ? 2 : 1;
    uint32_t code = 0;
    if (i >= s.len || s.len - i > 7)
        return 0;
    for (; i < s.len; i++) {
        unsigned value = hex_digit(s.ptr[i]);
        if (value >= base)
            return 0;
        code = code * base + value;
    }
    bool is_character = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return is_character ? encode_utf8(code, to) : 0;
}

static size_t decode_entity(struct ps_str s, char to[4])
{
    static const struct {
        const char *name;
        char character;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    if (s.len > 0 && s.ptr[0] == '#')
        return decode_reference(s, to);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (ps_s3_is(s, known[i].name)) {
            to[0] = known[i].character;
            return 1;
        }
    return 0;
}

bool ps_s3_xml_text(struct ps_str raw, char *to, size_t size)
{
    size_t len = 0;
    for (size_t at = 0; at < raw.len;) {
        char bytes[4] = {raw.ptr[at]};
        size_t n = 1, used = 1;
        if (raw.ptr[at] == '&') {
            const char *from = raw.ptr + at + 1;
            const char *end = memchr(from, ';', raw.len - at - 1);
            n = end != NULL ? decode_entity((struct ps_str){from, (size_t)(end - from)}, bytes) : 0;
            used = end != NULL ? (size_t)(end + 1 - raw.ptr) - at : 1;
        }
        if (n == 0 || bytes[0] == '\0' || len + n >= size)
            return false;
        memcpy(to + len, bytes, n);
        len += n;
        at += used;
    }
    if (size == 0)
        return false;
    to[len] = '\0';
    return true;
}

bool ps_s3_xml_number(struct ps_str raw, uint64_t *ret)
{
    uint64_t value = 0;
    if (raw.len == 0)
        return false;
    for (size_t i = 0; i < raw.len; i++) {
        unsigned digit = (unsigned)(unsigned char)raw.ptr[i] - '0';
        if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}
