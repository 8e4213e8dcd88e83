/* head.c - see head.h.  SPDX-License-Identifier: MIT */
#include "api/head.h"

#include "base/check.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

enum { VERSION_BYTES = 8 /* "HTTP/1.1" */, LINE_END = 2 /* CR LF */ };

/* Of these a request may have one. */
enum { HOST, LENGTH, CODING, ORIGIN, ENCODING, SINGLES };
#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct ps_str singles[SINGLES] = {
    [HOST] = NAME(MHD_HTTP_HEADER_HOST),
    [LENGTH] = NAME(MHD_HTTP_HEADER_CONTENT_LENGTH),
    [CODING] = NAME(MHD_HTTP_HEADER_TRANSFER_ENCODING),
    [ORIGIN] = NAME(MHD_HTTP_HEADER_ORIGIN),
    [ENCODING] = NAME(MHD_HTTP_HEADER_CONTENT_ENCODING),
};

struct walk {
    const char *next; /* where the next header must begin; NULL: the layout is not known */
    const char *wrong;
    struct ps_str found[SINGLES];
};

static bool is_token(struct ps_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && strchr("-!#$%&'*+.^_`|~", c) == NULL)
            return false;
    }
    return s.len > 0;
}

static bool has_control(struct ps_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.ptr[i] < ' ' && s.ptr[i] != '\t') || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool equals(struct ps_str s, struct ps_str word)
{
    return s.len == word.len && strncasecmp(s.ptr, word.ptr, s.len) == 0;
}

/* Name, colon, spaces, value, CR LF, with nothing left out. */
static bool is_in_place(struct walk *w, struct ps_str name, struct ps_str value)
{
    const char *at = name.ptr + name.len + 1;
    if (w->next == NULL)
        return true;
    if (name.ptr != w->next || value.ptr < at)
        return false;
    at += strspn(at, " \t");
    w->next = value.ptr + value.len + LINE_END;
    return at == value.ptr && value.ptr[value.len] == '\0' && value.ptr[value.len + 1] == '\0';
}

static enum MHD_Result look_at(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_len,
                               const char *text, size_t len)
{
    struct walk *w = cls;
    struct ps_str name = {key, key_len}, value = {text == NULL ? "" : text, len};
    (void)kind;
    if (!is_token(name))
        w->wrong = "a header's name has a space or another character that may not be there";
    else if (has_control(value))
        w->wrong = "a header has a control character";
    else if (!is_in_place(w, name, value))
        w->wrong = "a header is folded, has a NUL, or a line does not end in CR LF";
    for (size_t i = 0; w->wrong == NULL && i < PS_COUNT_OF(singles); i++) {
        if (!equals(name, singles[i]))
            continue;
        if (w->found[i].ptr != NULL)
            w->wrong = "Host, Origin, Content-Length, Content-Encoding and Transfer-Encoding may "
                       "be there once";
        w->found[i] = value;
    }
    return w->wrong == NULL ? MHD_YES : MHD_NO;
}

static const char *check_body(const struct ps_str *found, bool is_1_0)
{
    struct ps_str length = found[LENGTH], coding = found[CODING];
    if (coding.ptr != NULL && length.ptr != NULL)
        return "Content-Length and Transfer-Encoding exclude each other";
    if (coding.ptr != NULL && (is_1_0 || !equals(coding, PS_STR("chunked"))))
        return "of Transfer-Encoding there is only chunked, in HTTP/1.1";
    if (length.ptr == NULL)
        return NULL;
    for (size_t i = 0; i < length.len; i++)
        if (length.ptr[i] < '0' || length.ptr[i] > '9')
            return "Content-Length is not a number";
    return length.len > 0 ? NULL : "Content-Length is empty";
}

/* "http://localhost:8787/api/events": the authority and the path. The target's goes before the
 * Host, which may name whatever the client's proxy does. */
static void split_target(const char *url, struct ps_head *head)
{
    static const char *const schemes[] = {"http://", "https://"};
    head->path = url;
    for (size_t i = 0; i < PS_COUNT_OF(schemes); i++) {
        size_t skip = strlen(schemes[i]);
        if (strncasecmp(url, schemes[i], skip) != 0)
            continue;
        head->authority = (struct ps_str){url + skip, strcspn(url + skip, "/")};
        head->path = url + skip + head->authority.len;
        if (head->path[0] == '\0')
            head->path = "/";
    }
}

/* Bytes of the head, when libmicrohttpd is one whose buffer we know, else 0. */
static size_t known_size(struct MHD_Connection *connection)
{
    if (strverscmp(MHD_get_version(), "0.9.76") >= 0)
        return 0;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info == NULL ? 0 : info->header_size;
}

void ps_head_target(const char *target, struct ps_target *ret)
{
    *ret = (struct ps_target){0};
    if (target == NULL)
        return;
    ret->len = strlen(target);
    for (const char *c = target; *c != '\0' && !ret->is_bad; c++)
        ret->is_bad = (unsigned char)*c <= ' ' || *c == 0x7f ||
                      (c[0] == '%' && (c[1] == '0' || c[1] == '1')); /* %00 to %1f */
}

const char *ps_head_check(struct MHD_Connection *connection, const char *method, const char *url,
                          const char *version, const struct ps_target *target, struct ps_head *ret)
{
    struct walk w = {0};
    struct ps_head head = {0};
    size_t size = known_size(connection);
    bool is_1_0 = strcmp(version, "HTTP/1.0") == 0;
    if (size > 0)
        w.next = version + VERSION_BYTES + LINE_END;
    struct ps_str verb = {method, strlen(method)};
    if (!is_token(verb) || url != method + verb.len + 1)
        return "the request's line does not begin with a method and one space";
    if (target->is_bad || url + target->len + 1 != version)
        return "the request's target has a space or a control character";
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, look_at, &w);
    if (w.wrong == NULL && w.next != NULL && w.next + LINE_END != method + size)
        w.wrong = "the head does not end where it should: a NUL, or a line without CR LF";
    if (w.wrong == NULL)
        w.wrong = check_body(w.found, is_1_0);
    if (w.wrong == NULL && w.found[HOST].ptr == NULL && !is_1_0)
        w.wrong = "the Host header is missing";
    if (w.wrong != NULL)
        return w.wrong;
    head.authority = w.found[HOST];
    head.length = w.found[LENGTH];
    head.chunked = w.found[CODING].ptr != NULL;
    split_target(url, &head);
    *ret = head;
    return NULL;
}
