/* list.c - pages of keys, and of unfinished uploads.
 *
 * A page is read twice: first as a whole, which shows that it is complete and where the next one
 * begins, then to hand out what it holds. So nothing of a cut answer is believed. The page belongs
 * to this call and not to the client, hence a callback may send requests of its own.
 *
 * Both loops end whatever the server says: keys must ascend and pages without any are counted;
 * pages of uploads are counted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/s3/s3.h"

#include "backend/s3/xml.h"

#include <string.h>

enum {
    TOKEN_MAX = 2048,
    EMPTY_PAGES_MAX = 1000, /* in a row: a store may skip over what was removed */
    UPLOAD_PAGES_MAX = 10000,
};

#define LIST_ROOT "ListBucketResult"
#define UPLOADS_ROOT "ListMultipartUploadsResult"

/* What one element of a page told so far, and what the page said of the next one. */
struct page {
    struct s3 *s3;
    const char *prefix;
    struct ps_err *e;
    ps_object_fn *fn;
    void *ctx;
    bool truncated, odd;
    char token[TOKEN_MAX + 1];       /* of the next page of keys */
    char key_marker[S3_KEY_MAX + 1]; /* of the next page of uploads */
    char id_marker[S3_UPLOAD_ID_MAX + 1];
    char key[S3_KEY_MAX + 1]; /* "" when it did not fit: not ours */
    char id[S3_UPLOAD_ID_MAX + 1];
    uint64_t size_bytes;
    bool has_size;
    char last[PS_OBJECT_KEY_MAX + 1]; /* handed out before */
    unsigned elements;
    int removed;
};

static int refuse(struct page *p, const char *why)
{
    return ps_fail(p->e, PS_ECORRUPT, "s3: a list makes no sense: %s", why);
}

/* The key below our prefix when it is one of ours, NULL when it is somebody else's. */
static const char *own_key(const struct page *p, struct ps_str raw, char to[S3_KEY_MAX + 1])
{
    size_t skip = strlen(p->s3->prefix);
    if (!ps_s3_xml_text(raw, to, S3_KEY_MAX + 1) || strncmp(to, p->s3->prefix, skip) != 0)
        return NULL;
    return ps_object_key_is_valid(to + skip) &&
                   strncmp(to + skip, p->prefix, strlen(p->prefix)) == 0
               ? to + skip
               : NULL;
}

static void take_key(struct page *p, struct ps_str raw)
{
    char whole[S3_KEY_MAX + 1];
    const char *key = own_key(p, raw, whole);
    strcpy(p->key, key != NULL ? key : "");
}

static void take_text(struct page *p, struct ps_str raw, char *to, size_t size)
{
    if (!ps_s3_xml_text(raw, to, size))
        p->odd = true;
}

static int walk(struct page *p, const struct s3_answer *answer, const char *root, s3_element_fn *fn)
{
    return ps_s3_xml_walk(ps_buf_str(&answer->body), root, fn, p, p->e);
}

/* prefix=<ours><theirs>, the value escaped. */
static void add_prefix(struct ps_buf *query, const struct page *p)
{
    ps_buf_text(query, "prefix=");
    ps_s3_escape(query, p->s3->prefix, true);
    ps_s3_escape(query, p->prefix, true);
}

static int fetch(struct page *p, struct ps_buf *query, struct s3_answer *answer)
{
    int r = ps_buf_append(query, "", 1);
    if (r < 0)
        return ps_fail(p->e, r, "s3: the query of a list is too long");
    struct s3_request request = {.method = "GET", .query = query->ptr};
    return ps_s3_send(p->s3, &request, answer, p->e);
}

/* --- keys ------------------------------------------------------------------------------------- */

static int read_list_head(void *ctx, const struct s3_element *element)
{
    struct page *p = ctx;
    if (ps_s3_is(element->name, "Contents"))
        p->elements++;
    if (!ps_s3_is(element->parent, LIST_ROOT))
        return 0;
    if (ps_s3_is(element->name, "IsTruncated"))
        p->truncated = ps_s3_is(element->text, "true");
    else if (ps_s3_is(element->name, "NextContinuationToken"))
        take_text(p, element->text, p->token, sizeof(p->token));
    return 0;
}

static int give_object(struct page *p)
{
    if (p->key[0] == '\0')
        return 0;
    if (!p->has_size)
        return refuse(p, "an object without a size");
    if (strcmp(p->key, p->last) <= 0)
        return refuse(p, "the keys do not ascend");
    strcpy(p->last, p->key);
    struct ps_object_info info = {.key = {p->key, strlen(p->key)}, .size_bytes = p->size_bytes};
    return p->fn(p->ctx, &info);
}

static int read_object(void *ctx, const struct s3_element *element)
{
    struct page *p = ctx;
    int r = 0;
    if (ps_s3_is(element->parent, "Contents")) {
        if (ps_s3_is(element->name, "Key"))
            take_key(p, element->text);
        else if (ps_s3_is(element->name, "Size"))
            p->has_size = ps_s3_xml_number(element->text, &p->size_bytes);
    } else if (ps_s3_is(element->name, "Contents")) {
        r = give_object(p);
        p->key[0] = '\0';
        p->has_size = false;
    }
    return r < 0 ? r : 0;
}

static int list_page(struct page *p)
{
    struct s3_answer answer;
    struct ps_buf query;
    ps_buf_init(&query, S3_URL_MAX);
    ps_s3_answer_init(&answer);
    if (p->token[0] != '\0') {
        ps_buf_text(&query, "continuation-token=");
        ps_s3_escape(&query, p->token, true);
        ps_buf_text(&query, "&");
    }
    ps_buf_text(&query, "list-type=2&max-keys=1000&");
    add_prefix(&query, p);
    int r = fetch(p, &query, &answer);
    p->truncated = p->odd = false;
    p->token[0] = '\0';
    p->elements = 0;
    if (r == 0)
        r = walk(p, &answer, LIST_ROOT, read_list_head);
    if (r == 0 && (p->odd || (p->truncated && p->token[0] == '\0')))
        r = refuse(p, "more is said to follow, but not where");
    if (r == 0)
        r = walk(p, &answer, LIST_ROOT, read_object);
    ps_s3_answer_done(&answer);
    ps_buf_done(&query);
    return r;
}

int ps_s3_list(struct ps_objects *o, const char *prefix, ps_object_fn *fn, void *ctx,
               struct ps_err *e)
{
    struct page p = {.s3 = (struct s3 *)o, .prefix = prefix, .e = e, .fn = fn, .ctx = ctx};
    unsigned empty = 0;
    do {
        int r = list_page(&p);
        if (r < 0)
            return r;
        empty = p.elements == 0 ? empty + 1 : 0;
        if (empty > EMPTY_PAGES_MAX)
            return refuse(&p, "page after page without a key");
    } while (p.truncated);
    return 0;
}

/* --- unfinished uploads ----------------------------------------------------------------------- */

static int read_uploads_head(void *ctx, const struct s3_element *element)
{
    struct page *p = ctx;
    if (!ps_s3_is(element->parent, UPLOADS_ROOT))
        return 0;
    if (ps_s3_is(element->name, "IsTruncated"))
        p->truncated = ps_s3_is(element->text, "true");
    else if (ps_s3_is(element->name, "NextKeyMarker"))
        take_text(p, element->text, p->key_marker, sizeof(p->key_marker));
    else if (ps_s3_is(element->name, "NextUploadIdMarker"))
        take_text(p, element->text, p->id_marker, sizeof(p->id_marker));
    return 0;
}

static int read_upload(void *ctx, const struct s3_element *element)
{
    struct page *p = ctx;
    int r = 0;
    if (ps_s3_is(element->parent, "Upload")) {
        if (ps_s3_is(element->name, "Key"))
            take_key(p, element->text);
        else if (ps_s3_is(element->name, "UploadId") &&
                 !ps_s3_xml_text(element->text, p->id, sizeof(p->id)))
            p->id[0] = '\0';
    } else if (ps_s3_is(element->name, "Upload")) {
        if (p->key[0] != '\0' && p->id[0] == '\0')
            return refuse(p, "an upload without an id");
        r = p->key[0] != '\0' ? ps_s3_upload_remove(p->s3, p->key, p->id, p->e) : 0;
        p->removed += r > 0 ? 1 : 0;
        p->key[0] = p->id[0] = '\0';
    }
    return r < 0 ? r : 0;
}

static int uploads_page(struct page *p)
{
    struct s3_answer answer;
    struct ps_buf query;
    ps_buf_init(&query, S3_URL_MAX);
    ps_s3_answer_init(&answer);
    if (p->key_marker[0] != '\0') {
        ps_buf_text(&query, "key-marker=");
        ps_s3_escape(&query, p->key_marker, true);
        ps_buf_text(&query, "&");
    }
    add_prefix(&query, p);
    if (p->key_marker[0] != '\0') {
        ps_buf_text(&query, "&upload-id-marker=");
        ps_s3_escape(&query, p->id_marker, true);
    }
    ps_buf_text(&query, "&uploads=");
    int r = fetch(p, &query, &answer);
    p->truncated = p->odd = false;
    p->key_marker[0] = p->id_marker[0] = '\0';
    if (r == 0)
        r = walk(p, &answer, UPLOADS_ROOT, read_uploads_head);
    if (r == 0 && (p->odd || (p->truncated && p->key_marker[0] == '\0')))
        r = refuse(p, "more uploads are said to follow, but not where");
    if (r == 0)
        r = walk(p, &answer, UPLOADS_ROOT, read_upload);
    ps_s3_answer_done(&answer);
    ps_buf_done(&query);
    return r;
}

int ps_s3_abort_uploads(struct ps_objects *o, const char *prefix, struct ps_err *e)
{
    struct page p = {.s3 = (struct s3 *)o, .prefix = prefix, .e = e};
    unsigned pages = 0;
    do {
        int r = uploads_page(&p);
        if (r < 0)
            return r;
        if (++pages > UPLOAD_PAGES_MAX)
            return refuse(&p, "pages of uploads without end");
    } while (p.truncated);
    return p.removed;
}
