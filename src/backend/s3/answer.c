/* answer.c - which failure an answer is.
 *
 * Two sources: libcurl's code when no answer came, and the HTTP status with S3's own word from the
 * <Error> body when one came. The word wins over the status, because 403 may mean a full quota and
 * 200 may carry a failure that happened after the headers were sent.
 *
 * Only what may pass by itself is PS_EBUSY and tried again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/s3/s3.h"

#include "backend/s3/xml.h"
#include "base/check.h"

#include <string.h>

enum { MASKED_MIN = 12 }; /* so much of a secret is recognised as one */

struct word {
    const char *code;
    struct s3_verdict verdict;
};

static const struct word words[] = {
    {"NoSuchKey", {PS_ENOENT, false}},
    {"NoSuchUpload", {PS_ENOENT, false}},
    /* A wrong bucket must not look like a missing object, which some callers take for "not yet". */
    {"NoSuchBucket", {PS_EINVAL, false}},
    {"AccessDenied", {PS_EDENIED, false}},
    {"InvalidAccessKeyId", {PS_EDENIED, false}},
    {"SignatureDoesNotMatch", {PS_EDENIED, false}},
    {"RequestTimeTooSkewed", {PS_EDENIED, false}},
    {"ExpiredToken", {PS_EDENIED, false}},
    {"InvalidToken", {PS_EDENIED, false}},
    {"QuotaExceeded", {PS_EFULL, false}},
    {"EntityTooLarge", {PS_EFULL, false}},
    {"InternalError", {PS_EBUSY, true}},
    {"OperationAborted", {PS_EBUSY, true}},
    {"RequestTimeout", {PS_EBUSY, true}},
    {"ServiceUnavailable", {PS_EBUSY, true}},
    {"SlowDown", {PS_EBUSY, true}},
    /* Bytes were changed on the way. */
    {"BadDigest", {PS_EBUSY, true}},
    {"XAmzContentSHA256Mismatch", {PS_EBUSY, true}},
};

static const struct {
    long from, to;
    struct s3_verdict verdict;
} statuses[] = {
    {200, 299, {PS_OK, false}},
    {300, 399, {PS_EINVAL, false}}, /* another region or endpoint; a redirect breaks the signature
                                     */
    {401, 401, {PS_EDENIED, false}},
    {403, 403, {PS_EDENIED, false}},
    {404, 404, {PS_ENOENT, false}},
    {408, 408, {PS_EBUSY, true}},
    {409, 409, {PS_EBUSY, true}},
    {413, 413, {PS_EFULL, false}},
    {429, 429, {PS_EBUSY, true}},
    {400, 499, {PS_EINVAL, false}},
    {501, 501, {PS_EINVAL, false}},
    {507, 507, {PS_EFULL, false}},
    {500, 599, {PS_EBUSY, true}},
};

struct s3_verdict ps_s3_judge_transfer(CURLcode failed)
{
    switch (failed) {
    case CURLE_OK: return (struct s3_verdict){PS_OK, false};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return (struct s3_verdict){PS_EBUSY, true};
    case CURLE_UNSUPPORTED_PROTOCOL: /* what curl says of an answer that is not HTTP/1 */
    case CURLE_WEIRD_SERVER_REPLY: return (struct s3_verdict){PS_ECORRUPT, false};
    case CURLE_PEER_FAILED_VERIFICATION: return (struct s3_verdict){PS_EDENIED, false};
    case CURLE_OUT_OF_MEMORY: return (struct s3_verdict){PS_ENOMEM, false};
    default: return (struct s3_verdict){PS_EIO, false};
    }
}

struct failure {
    struct s3_answer *answer;
    char *message;
};

/* Into `to` when it is made of the alphabet alone; else what stands there stays. */
static void take_word(struct ps_str raw, const char *alphabet, char *to, size_t size)
{
    char text[S3_HOST_MAX + 1];
    PS_ASSERT(size <= sizeof text);
    if (ps_s3_xml_text(raw, text, size) && ps_s3_holds_only(text, strlen(text), alphabet))
        strcpy(to, text);
}

static int take_failure(void *ctx, const struct s3_element *element)
{
    struct failure *f = ctx;
    struct ps_str text = element->text;
    if (!ps_s3_is(element->parent, "Error"))
        return 0;
    if (ps_s3_is(element->name, "Code") && !ps_s3_xml_text(text, f->answer->code, S3_CODE_MAX + 1))
        f->answer->code[0] = '\0';
    if (ps_s3_is(element->name, "Region"))
        take_word(text, S3_REGION_CHARS, f->answer->region, sizeof(f->answer->region));
    if (ps_s3_is(element->name, "Endpoint"))
        take_word(text, S3_HOST_CHARS, f->answer->endpoint, sizeof(f->answer->endpoint));
    if (text.len > S3_MESSAGE_MAX)
        text.len = S3_MESSAGE_MAX;
    if (ps_s3_is(element->name, "Message") && !ps_s3_xml_text(text, f->message, S3_MESSAGE_MAX + 1))
        f->message[0] = '\0';
    return 0;
}

static struct s3_verdict judge_number(long status)
{
    for (size_t i = 0; i < PS_COUNT_OF(statuses); i++)
        if (status >= statuses[i].from && status <= statuses[i].to)
            return statuses[i].verdict;
    return (struct s3_verdict){PS_ECORRUPT, false};
}

struct s3_verdict ps_s3_judge_status(struct s3_answer *answer, char message[S3_MESSAGE_MAX + 1])
{
    struct s3_verdict verdict = judge_number(answer->status);
    struct ps_str body = ps_buf_str(&answer->body);
    struct failure failure = {answer, message};
    message[0] = answer->code[0] = '\0';
    if (!ps_s3_xml_begins(body, "Error"))
        return verdict;
    if (verdict.code == 0) /* a 200 that failed later */
        verdict = (struct s3_verdict){PS_EIO, false};
    /* A body that is cut or odd still had its say up to there. */
    (void)ps_s3_xml_walk(body, "Error", take_failure, &failure, NULL);
    for (size_t i = 0; i < PS_COUNT_OF(words); i++)
        if (strcmp(words[i].code, answer->code) == 0)
            return words[i].verdict;
    return verdict;
}

/* --- a bucket that is elsewhere --- */

/* The host that a bucket's own host belongs to: "bucket.s3.example" is "s3.example". */
static const char *host_of(const struct s3 *s, const char *endpoint)
{
    size_t len = strlen(s->bucket);
    bool own = strncmp(endpoint, s->bucket, len) == 0 && endpoint[len] == '.';
    return own ? endpoint + len + 1 : endpoint;
}

bool ps_s3_advise(const struct s3 *s, const struct s3_answer *answer, char *to, size_t size)
{
    const char *host = host_of(s, answer->endpoint);
    bool elsewhere = (answer->status >= 300 && answer->status <= 399) || answer->status == 400;
    bool region = answer->region[0] != '\0' && strcmp(answer->region, s->region) != 0;
    bool endpoint = host[0] != '\0' && strstr(s->origin, host) == NULL;
    if (!elsewhere || (!region && !endpoint))
        return false;
    int n = 0;
    if (region)
        n = snprintf(to, size, "the bucket is in region %s: set s3_region = %s (it is %s)",
                     answer->region, answer->region, s->region);
    if (endpoint && (size_t)n < size)
        snprintf(to + n, size - (size_t)n, "%sset s3_endpoint = %.*s://%s",
                 region ? ", or " : "the bucket is elsewhere: ", (int)strcspn(s->origin, ":"),
                 s->origin, host);
    return true;
}

/* --- what may be shown --- */

/* Cuts `text` where `secret`, or its beginning, stands: the text may have been cut within it. */
static void cut_at(char *text, const char *secret)
{
    char beginning[MASKED_MIN + 1] = "";
    if (secret == NULL)
        return;
    strncat(beginning, secret, MASKED_MIN);
    char *at = strstr(text, beginning);
    if (at != NULL)
        *at = '\0';
}

void ps_s3_clean(const struct s3 *s, char *text)
{
    cut_at(text, s->secret_access_key);
    cut_at(text, s->session_token);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
}
