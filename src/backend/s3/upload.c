/* upload.c - an object in parts.
 *
 * The list of parts that completes an upload is written as the parts go up, so an upload holds one
 * small line per part and never a part's bytes.
 *
 * Completing may be done although its answer was lost; trying it again then finds no such upload.
 * The object's ETag settles it: S3 makes it from the MD5 of the parts' ETags and their number,
 * which we can make too. Where a service makes ETags in another way this shows nothing and the
 * failure stands, which is safe: the caller writes the object again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/s3/s3.h"

#include "backend/s3/xml.h"
#include "base/check.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MD5_BYTES = 16,
    PARTS_XML_MAX = 256 + PS_OBJECT_PARTS_MAX * (S3_ETAG_MAX + 96),
    QUERY_MAX = 64 + 3 * S3_UPLOAD_ID_MAX,
};

struct ps_object_upload {
    struct s3 *s3;
    char key[PS_OBJECT_KEY_MAX + 1];
    char id[S3_UPLOAD_ID_MAX + 1];
    struct ps_buf parts_xml;
    unsigned parts;
    EVP_MD_CTX *md5; /* over the parts' ETags; NULL when they are no MD5s */
};

struct found {
    char *to;
    size_t size;
    bool ok;
};

static int take_upload_id(void *ctx, const struct s3_element *element)
{
    struct found *found = ctx;
    if (ps_s3_is(element->name, "UploadId"))
        found->ok = ps_s3_xml_text(element->text, found->to, found->size) && found->to[0] != '\0';
    return 0;
}

static int ignore_element(void *ctx, const struct s3_element *element)
{
    (void)ctx;
    (void)element;
    return 0;
}

static void free_upload(struct ps_object_upload *u)
{
    ps_buf_done(&u->parts_xml);
    EVP_MD_CTX_free(u->md5);
    free(u);
}

/* --- begin ------------------------------------------------------------------------------------ */

static int ask_for_id(struct ps_object_upload *u, struct ps_err *e)
{
    struct s3_answer answer;
    struct s3_request request = {.method = "POST", .key = u->key, .query = "uploads="};
    struct found found = {u->id, sizeof(u->id), false};
    ps_s3_answer_init(&answer);
    int r = ps_s3_send(u->s3, &request, &answer, e);
    if (r == 0)
        r = ps_s3_xml_walk(ps_buf_str(&answer.body), "InitiateMultipartUploadResult",
                           take_upload_id, &found, e);
    if (r == 0 && !found.ok)
        r = ps_fail(e, PS_ECORRUPT, "s3: POST %s: an upload without an id", u->key);
    ps_s3_answer_done(&answer);
    return r;
}

int ps_s3_upload_begin(struct ps_objects *o, const char *key, struct ps_object_upload **ret,
                       struct ps_err *e)
{
    struct ps_object_upload *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return ps_fail(e, PS_ENOMEM, "s3: no memory");
    u->s3 = (struct s3 *)o;
    strcpy(u->key, key);
    ps_buf_init(&u->parts_xml, PARTS_XML_MAX);
    ps_buf_text(&u->parts_xml, "<CompleteMultipartUpload>");
    u->md5 = EVP_MD_CTX_new();
    if (u->md5 != NULL && EVP_DigestInit_ex(u->md5, EVP_md5(), NULL) != 1) {
        EVP_MD_CTX_free(u->md5); /* a FIPS build has none */
        u->md5 = NULL;
    }
    int r = ask_for_id(u, e);
    if (r < 0) {
        free_upload(u);
        return r;
    }
    *ret = u;
    return 0;
}

/* --- parts ------------------------------------------------------------------------------------ */

/* 32 hex digits to 16 bytes. */
static bool parse_md5(const char *etag, uint8_t to[MD5_BYTES])
{
    if (strlen(etag) != 2 * MD5_BYTES || strspn(etag, "0123456789abcdefABCDEF") != 2 * MD5_BYTES)
        return false;
    for (size_t i = 0; i < MD5_BYTES; i++) {
        char pair[3] = {etag[2 * i], etag[2 * i + 1]};
        to[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

static int note_part(struct ps_object_upload *u, const char *etag, struct ps_err *e)
{
    uint8_t md5[MD5_BYTES];
    if (etag[0] == '\0')
        return ps_fail(e, PS_ECORRUPT, "s3: PUT %s: a part without an ETag", u->key);
    int r = ps_buf_format(&u->parts_xml,
                          "<Part><PartNumber>%u</PartNumber><ETag>&quot;%s&quot;</ETag></Part>",
                          u->parts + 1, etag);
    if (r < 0)
        return ps_fail(e, r, "s3: PUT %s: no room for the list of parts", u->key);
    u->parts++;
    if (u->md5 != NULL &&
        (!parse_md5(etag, md5) || EVP_DigestUpdate(u->md5, md5, sizeof(md5)) != 1)) {
        EVP_MD_CTX_free(u->md5);
        u->md5 = NULL;
    }
    return 0;
}

static int write_query(struct ps_buf *query, const char *id, unsigned part)
{
    if (part > 0)
        ps_buf_format(query, "partNumber=%u&", part);
    ps_buf_text(query, "uploadId=");
    ps_s3_escape(query, id, true);
    int r = ps_buf_append(query, "", 1);
    PS_ASSERT(r != PS_EFULL); /* QUERY_MAX holds the longest id */
    return r;
}

int ps_s3_upload_part(struct ps_object_upload *u, const void *bytes, size_t len, struct ps_err *e)
{
    struct s3_answer answer;
    struct ps_buf query;
    ps_s3_answer_init(&answer);
    ps_buf_init(&query, QUERY_MAX);
    int r = write_query(&query, u->id, u->parts + 1);
    struct s3_request request = {
        .method = "PUT", .key = u->key, .query = query.ptr, .body = {bytes, len}};
    r = r < 0 ? ps_fail(e, r, "s3: no memory") : ps_s3_send(u->s3, &request, &answer, e);
    if (r == 0)
        r = note_part(u, answer.etag, e);
    ps_buf_done(&query);
    ps_s3_answer_done(&answer);
    return r;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* True when the object under the key is the one made of our parts. */
static bool is_complete(struct ps_object_upload *u)
{
    uint8_t md5[MD5_BYTES];
    char expected[S3_ETAG_MAX + 1];
    struct s3_answer answer;
    struct s3_request request = {.method = "HEAD", .key = u->key};
    EVP_MD_CTX *copy = u->md5 != NULL ? EVP_MD_CTX_new() : NULL;
    bool ok = copy != NULL && EVP_MD_CTX_copy_ex(copy, u->md5) == 1 &&
              EVP_DigestFinal_ex(copy, md5, NULL) == 1;
    EVP_MD_CTX_free(copy);
    if (!ok)
        return false;
    for (size_t i = 0; i < MD5_BYTES; i++)
        snprintf(expected + 2 * i, 3, "%02x", md5[i]);
    snprintf(expected + 2 * MD5_BYTES, 16, "-%u", u->parts);
    ps_s3_answer_init(&answer);
    ok = ps_s3_send(u->s3, &request, &answer, NULL) == 0 && strcmp(answer.etag, expected) == 0;
    ps_s3_answer_done(&answer);
    return ok;
}

static int complete(struct ps_object_upload *u, const char *query, struct ps_err *e)
{
    struct s3_answer answer;
    struct s3_request request = {
        .method = "POST", .key = u->key, .query = query, .body = ps_buf_str(&u->parts_xml)};
    ps_s3_answer_init(&answer);
    int r = ps_s3_send(u->s3, &request, &answer, e);
    if (r == 0)
        r = ps_s3_xml_walk(ps_buf_str(&answer.body), "CompleteMultipartUploadResult",
                           ignore_element, NULL, e);
    if (r == PS_ENOENT)
        r = ps_fail(e, PS_EIO, "s3: POST %s: the upload is gone", u->key);
    ps_s3_answer_done(&answer);
    return r;
}

int ps_s3_upload_finish(struct ps_object_upload *u, struct ps_err *e)
{
    struct ps_buf query;
    ps_buf_init(&query, QUERY_MAX);
    int r = write_query(&query, u->id, 0);
    if (r == 0)
        r = ps_buf_text(&u->parts_xml, "</CompleteMultipartUpload>");
    r = r < 0 ? ps_fail(e, r, "s3: no memory") : complete(u, query.ptr, e);
    ps_buf_done(&query);
    if ((r == PS_EIO || r == PS_EBUSY) && is_complete(u))
        r = 0;
    if (r == 0)
        free_upload(u);
    return r;
}

int ps_s3_upload_remove(struct s3 *s, const char *key, const char *id, struct ps_err *e)
{
    struct s3_answer answer;
    struct ps_buf query;
    ps_s3_answer_init(&answer);
    ps_buf_init(&query, QUERY_MAX);
    int r = write_query(&query, id, 0);
    struct s3_request request = {.method = "DELETE", .key = key, .query = query.ptr};
    r = r < 0 ? ps_fail(e, r, "s3: no memory") : ps_s3_send(s, &request, &answer, e);
    ps_buf_done(&query);
    ps_s3_answer_done(&answer);
    return r == 0 ? 1 : r == PS_ENOENT ? 0 : r;
}

void ps_s3_upload_abort(struct ps_object_upload *u)
{
    (void)ps_s3_upload_remove(u->s3, u->key, u->id, NULL); /* else abort_uploads finds it */
    free_upload(u);
}
