/* client.c - one request to S3: build, sign, send, judge, try again.
 *
 * Every try is signed anew, because a signature carries its time. Between tries the wait doubles
 * from BACKOFF_FIRST_MS to BACKOFF_MAX_MS, of which a random half is taken off, so that many
 * clients that failed together do not return together; a Retry-After of the server is kept when it
 * is longer, up to RETRY_AFTER_MAX_S.
 *
 * The handle is reset between requests: that forgets the options and keeps the connections.
 *
 * Invariant: bytes given to request->fn are never given again; after the first there is no retry.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/s3/s3.h"

#include "base/check.h"
#include "wrap/secret.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10 * 1000,
    RETRY_AFTER_MAX_S = 30,
    SHA256_BYTES = 32,
    STALLED_BYTES_PER_S = 1,
    HEADER_MAX = 8 * 1024, /* a session token is the longest */
};

/* One try: what libcurl's callbacks need. */
struct transfer {
    struct s3 *s3;
    const struct s3_request *request;
    struct s3_answer *answer;
    size_t sent;
    bool began;    /* request->fn has seen bytes */
    int fn_result; /* negative: it wants no more */
    bool too_big;
};

void ps_s3_answer_init(struct s3_answer *a)
{
    *a = (struct s3_answer){.length = -1};
    ps_buf_init(&a->body, S3_REPLY_MAX);
}

void ps_s3_answer_done(struct s3_answer *a)
{
    ps_buf_done(&a->body);
}

/* --- the address ------------------------------------------------------------------------------ */

int ps_s3_escape(struct ps_buf *to, const char *text, bool slashes)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~' || (c == '/' && !slashes);
        char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
        if (plain)
            ps_buf_append(to, text, 1);
        else
            ps_buf_append(to, escaped, sizeof(escaped));
    }
    return to->failed;
}

static int write_url(struct ps_buf *url, const struct s3 *s, const struct s3_request *request,
                     struct ps_err *e)
{
    ps_buf_text(url, s->origin);
    ps_buf_text(url, "/");
    if (request->key != NULL) {
        ps_s3_escape(url, s->prefix, false);
        ps_s3_escape(url, request->key, false);
    }
    if (request->query != NULL) {
        ps_buf_text(url, "?");
        ps_buf_text(url, request->query);
    }
    int r = ps_buf_append(url, "", 1);
    return r < 0 ? ps_fail(e, r, "s3: the address of a request is too long") : 0;
}

/* --- libcurl's callbacks ---------------------------------------------------------------------- */

static size_t give_body(char *to, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t left = t->request->body.len - t->sent;
    size_t n = left < size * count ? left : size * count;
    ps_copy(to, t->request->body.ptr + t->sent, n);
    t->sent += n;
    return n;
}

/* libcurl starts over by itself when a kept connection turns out to be closed. */
static int rewind_body(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->request->body.len)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(t->s3->curl, CURLINFO_RESPONSE_CODE, &status);
    bool good = status >= 200 && status <= 299;
    if (!good) { /* enough to read the reason; the rest is let go */
        size_t room = S3_ERROR_MAX > t->answer->body.len ? S3_ERROR_MAX - t->answer->body.len : 0;
        ps_buf_append(&t->answer->body, bytes, n < room ? n : room);
        return n;
    }
    if (t->request->fn == NULL) {
        t->too_big = ps_buf_append(&t->answer->body, bytes, n) < 0;
        return t->too_big ? CURL_WRITEFUNC_ERROR : n;
    }
    t->began = true;
    t->fn_result = n > 0 ? t->request->fn(t->request->ctx, bytes, n) : 0;
    return t->fn_result < 0 ? CURL_WRITEFUNC_ERROR : n;
}

static bool is_etag_char(char c)
{
    return c > ' ' && c < 0x7f && strchr("<>&\"'", c) == NULL;
}

/* The value of a header when the line is one of that name: without blanks and quotes. */
static bool header_value(const char *line, size_t n, const char *name, struct ps_str *ret)
{
    size_t at = strlen(name);
    if (n < at || strncasecmp(line, name, at) != 0)
        return false;
    while (at < n && (line[at] == ' ' || line[at] == '"'))
        at++;
    while (n > at && strchr(" \"\r\n", line[n - 1]) != NULL)
        n--;
    *ret = (struct ps_str){line + at, n - at};
    return true;
}

/* The host of a redirect; what the answer's body says of it comes later and wins. */
static void take_location(struct s3_answer *answer, struct ps_str url)
{
    const char *at = memmem(url.ptr, url.len, "://", 3);
    size_t len = 0, left = at == NULL ? 0 : (size_t)(url.ptr + url.len - at) - 3;
    while (len < left && at[3 + len] != '/' && at[3 + len] != '?')
        len++;
    if (len == 0 || len > S3_HOST_MAX || !ps_s3_holds_only(at + 3, len, S3_HOST_CHARS))
        return;
    memcpy(answer->endpoint, at + 3, len);
    answer->endpoint[len] = '\0';
}

/* An ETag that would not fit into our XML counts as absent. */
static size_t take_header(char *line, size_t size, size_t count, void *ctx)
{
    struct transfer *t = ctx;
    struct ps_str value;
    size_t n = size * count, len = 0;
    if (header_value(line, n, "etag:", &value)) {
        while (len < value.len && len < S3_ETAG_MAX && is_etag_char(value.ptr[len]))
            len++;
        len = len == value.len ? len : 0;
        memcpy(t->answer->etag, value.ptr, len);
        t->answer->etag[len] = '\0';
    } else if (header_value(line, n, "location:", &value)) {
        take_location(t->answer, value);
    } else if (header_value(line, n, "x-amz-bucket-region:", &value) &&
               value.len <= S3_REGION_MAX &&
               ps_s3_holds_only(value.ptr, value.len, S3_REGION_CHARS)) {
        memcpy(t->answer->region, value.ptr, value.len);
        t->answer->region[value.len] = '\0';
    }
    return n;
}

/* --- one try ---------------------------------------------------------------------------------- */

/* Appends to *list; on failure the list is freed, *list is NULL, and later calls do nothing. */
static void add_header(struct curl_slist **list, bool *ok, const char *name, const char *value)
{
    char line[HEADER_MAX];
    int n = snprintf(line, sizeof(line), "%s: %s", name, value);
    struct curl_slist *longer =
        *ok && n > 0 && (size_t)n < sizeof(line) ? curl_slist_append(*list, line) : NULL;
    if (longer != NULL)
        *list = longer;
    else
        *ok = false;
}

static int make_headers(const struct s3 *s, const struct s3_request *request,
                        struct curl_slist **ret, struct ps_err *e)
{
    uint8_t digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    const char *body = request->body.ptr != NULL ? request->body.ptr : "";
    bool ok = EVP_Digest(body, request->body.len, digest, NULL, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    add_header(ret, &ok, "x-amz-content-sha256", hex);
    if (s->session_token != NULL)
        add_header(ret, &ok, "x-amz-security-token", s->session_token);
    if (request->body.ptr != NULL)
        add_header(ret, &ok, "Content-Type",
                   request->method[1] == 'U' ? "application/octet-stream" : "application/xml");
    if (ok)
        return 0;
    curl_slist_free_all(*ret);
    *ret = NULL;
    return ps_fail(e, PS_ENOMEM, "s3: cannot make the headers of a request");
}

static void set_connection(struct transfer *t)
{
    struct s3 *s = t->s3;
    CURL *c = s->curl;
    long seconds = (long)((s->timeout_ms + 999) / 1000);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "pathstats/" PS_VERSION);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)s->timeout_ms);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)STALLED_BYTES_PER_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, seconds);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->curl_error);
    curl_easy_setopt(c, CURLOPT_AWS_SIGV4, s->sigv4);
    curl_easy_setopt(c, CURLOPT_USERNAME, s->access_key_id);
    curl_easy_setopt(c, CURLOPT_PASSWORD, s->secret_access_key);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
}

static void set_method(struct transfer *t)
{
    const struct s3_request *request = t->request;
    CURL *c = t->s3->curl;
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (strcmp(request->method, "PUT") == 0) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(c, CURLOPT_READDATA, t);
        curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, rewind_body);
        curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
    } else if (strcmp(request->method, "POST") == 0) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, request->body.ptr != NULL ? request->body.ptr : "");
    } else if (strcmp(request->method, "GET") != 0) {
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static CURLcode perform(struct transfer *t, const char *url, struct curl_slist *headers)
{
    CURL *c = t->s3->curl;
    curl_off_t length = -1;
    curl_easy_reset(c);
    t->s3->curl_error[0] = '\0';
    set_connection(t);
    set_method(t);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    CURLcode failed = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &t->answer->status);
    curl_easy_getinfo(c, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    t->answer->length = length;
    return failed;
}

/* --- judging and trying again ----------------------------------------------------------------- */

static int fail_transfer(const struct transfer *t, CURLcode failed, int code, struct ps_err *e)
{
    const struct s3_request *request = t->request;
    char text[CURL_ERROR_SIZE];
    const char *said = t->s3->curl_error;
    snprintf(text, sizeof(text), "%s", said[0] != '\0' ? said : curl_easy_strerror(failed));
    ps_s3_clean(t->s3, text);
    return ps_fail(e, code, "s3: %s %s: %s%s", request->method,
                   request->key != NULL ? request->key : "the bucket", text,
                   t->began ? " (the object is cut)" : "");
}

static int fail_status(const struct transfer *t, int code, char *message, struct ps_err *e)
{
    const struct s3_request *request = t->request;
    char word[S3_CODE_MAX + 1], advice[2 * S3_HOST_MAX];
    strcpy(word, t->answer->code);
    ps_s3_clean(t->s3, word);
    ps_s3_clean(t->s3, message);
    if (ps_s3_advise(t->s3, t->answer, advice, sizeof(advice)))
        message = advice;
    return ps_fail(e, code, "s3: %s %s: HTTP %ld%s%s%s%s", request->method,
                   request->key != NULL ? request->key : "the bucket", t->answer->status,
                   word[0] != '\0' ? " " : "", word, message[0] != '\0' ? ": " : "", message);
}

/* Sets *again when another try may help. */
static int try_once(struct transfer *t, const char *url, struct curl_slist *headers, bool *again,
                    struct ps_err *e)
{
    char message[S3_MESSAGE_MAX + 1];
    ps_buf_clear(&t->answer->body);
    t->answer->etag[0] = t->answer->code[0] = t->answer->region[0] = t->answer->endpoint[0] = '\0';
    t->answer->status = 0;
    t->sent = 0;
    CURLcode failed = perform(t, url, headers);
    *again = false;
    if (t->fn_result < 0)
        return t->fn_result;
    if (t->too_big)
        return ps_fail(e, PS_ECORRUPT, "s3: an answer of more than %d bytes", S3_REPLY_MAX);
    struct s3_verdict verdict = ps_s3_judge_transfer(failed);
    if (verdict.code < 0) {
        *again = verdict.again && !t->began;
        return fail_transfer(t, failed, t->began ? PS_EIO : verdict.code, e);
    }
    verdict = ps_s3_judge_status(t->answer, message);
    if (verdict.code == 0)
        return 0;
    *again = verdict.again;
    return fail_status(t, verdict.code, message, e);
}

static void wait_before_retry(struct s3 *s, unsigned tries)
{
    curl_off_t asked_s = 0;
    int64_t ms = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < tries && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    ms -= (int64_t)(ps_random64() % (uint64_t)(ms / 2 + 1));
    curl_easy_getinfo(s->curl, CURLINFO_RETRY_AFTER, &asked_s);
    if (asked_s > RETRY_AFTER_MAX_S)
        asked_s = RETRY_AFTER_MAX_S;
    if (asked_s > 0 && asked_s * 1000 > ms)
        ms = asked_s * 1000;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
}

int ps_s3_send(struct s3 *s, const struct s3_request *request, struct s3_answer *ret,
               struct ps_err *e)
{
    struct transfer t = {.s3 = s, .request = request, .answer = ret};
    struct curl_slist *headers = NULL;
    struct ps_buf url;
    ps_buf_init(&url, S3_URL_MAX);
    bool again = false;
    int r = write_url(&url, s, request, e);
    if (r == 0)
        r = make_headers(s, request, &headers, e);
    if (r == 0) {
        ret->tries = 0;
        do {
            if (ret->tries > 0)
                wait_before_retry(s, ret->tries);
            ret->tries++;
            r = try_once(&t, url.ptr, headers, &again, e);
        } while (r < 0 && again && ret->tries <= s->retries);
    }
    curl_slist_free_all(headers);
    ps_buf_done(&url);
    return r;
}
