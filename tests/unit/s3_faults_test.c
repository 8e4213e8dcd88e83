/* s3_faults_test.c - S3 as it is on a bad day: a server in a thread that answers by a script.
 *
 * Every connection gets one step of the script and is closed; the last step repeats. So the number
 * of requests seen tells how often the client tried. Nothing waits by the clock: a stalled answer
 * lasts until the client has had enough.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "backend/registry.h"
#include "base/check.h"
#include "port/objects.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEPS_MAX = 8, REQUEST_MAX = 16 * 1024, LINE_MAX_BYTES = 512 };

#define SECRET "a-very-secret-key-0123456789"
#define TOKEN "a-session-token-0123456789"

enum how {
    ANSWER,    /* head and body */
    CUT,       /* a Content-Length beyond the body */
    NO_LENGTH, /* the end of the connection ends the body */
    CHUNKED,
    CUT_CHUNKED, /* without the last chunk, which is the end */
    HANG_UP,     /* nothing */
    STALL,       /* nothing, until the client goes */
    NOT_HTTP,    /* the body alone */
};

struct step {
    enum how how;
    int status;
    const char *more; /* header lines, each ending in \r\n */
    const char *body;
};

struct server {
    int listener;
    uint16_t port;
    pthread_t thread;
    const struct step *steps;
    size_t step_count;
    _Atomic unsigned requests;
    char lines[STEPS_MAX][LINE_MAX_BYTES]; /* the first request lines */
    bool signed_all;                       /* every request had what a signature needs */
};

struct rig {
    struct server server;
    struct ps_objects *o;
    struct ps_err e;
};

/* --- the server ------------------------------------------------------------------------------- */

static void send_text(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static void drain(int fd, size_t len)
{
    char bytes[64 * 1024];
    while (len > 0) {
        ssize_t n = recv(fd, bytes, len < sizeof(bytes) ? len : sizeof(bytes), 0);
        if (n <= 0)
            return;
        len -= (size_t)n;
    }
}

/* Reads a request to the end of its body; false when there was none. */
static bool read_request(struct server *s, int fd)
{
    char head[REQUEST_MAX + 1];
    size_t len = 0;
    char *end = NULL;
    while (end == NULL) {
        ssize_t n = len < REQUEST_MAX ? recv(fd, head + len, REQUEST_MAX - len, 0) : 0;
        if (n <= 0)
            return false;
        len += (size_t)n;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    size_t body = len - (size_t)(end + 4 - head);
    const char *length = strcasestr(head, "\r\ncontent-length:");
    size_t wanted = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
    if (strcasestr(head, "\r\nexpect: 100-continue") != NULL)
        send_text(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    drain(fd, wanted > body ? wanted - body : 0);
    unsigned number = s->requests;
    if (number < STEPS_MAX)
        snprintf(s->lines[number], LINE_MAX_BYTES, "%.*s", (int)strcspn(head, "\r"), head);
    if (strstr(head, "AWS4-HMAC-SHA256") == NULL || strstr(head, SECRET) != NULL ||
        strstr(head, "x-amz-content-sha256: ") == NULL ||
        strstr(head, "x-amz-security-token: " TOKEN) == NULL)
        s->signed_all = false;
    s->requests = number + 1;
    return true;
}

static void answer(int fd, const struct step *step)
{
    char head[1024];
    const char *body = step->body != NULL ? step->body : "";
    size_t len = strlen(body);
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %d Scripted\r\nConnection: close\r\n%s",
                     step->status, step->more != NULL ? step->more : "");
    if (step->how == ANSWER || step->how == CUT)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n",
                      len + (step->how == CUT ? 1000 : 0));
    if (step->how == CHUNKED || step->how == CUT_CHUNKED)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "Transfer-Encoding: chunked\r\n\r\n%zx",
                      len);
    send_text(fd, head, (size_t)n);
    send_text(fd, "\r\n", 2);
    send_text(fd, body, len);
    if (step->how == CHUNKED)
        send_text(fd, "\r\n0\r\n\r\n", 7);
}

static void take_step(struct server *s, int fd)
{
    unsigned number = s->requests;
    if (!read_request(s, fd))
        return;
    const struct step *step = &s->steps[number < s->step_count ? number : s->step_count - 1];
    char byte;
    switch (step->how) {
    case HANG_UP: break;
    case STALL: (void)!recv(fd, &byte, 1, 0); break;
    case NOT_HTTP: send_text(fd, step->body, strlen(step->body)); break;
    default: answer(fd, step); break;
    }
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; close(fd)) {
        take_step(s, fd);
        shutdown(fd, SHUT_WR);
    }
    return NULL;
}

static void start(struct server *s, const struct step *steps, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    *s = (struct server){.steps = steps, .step_count = count, .signed_all = true};
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &len), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

/* --- the rig ---------------------------------------------------------------------------------- */

static void open_client(struct rig *rig, unsigned retries)
{
    char endpoint[64];
    snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", rig->server.port);
    struct ps_objects_config config = {.target = "bucket/pre",
                                       .endpoint = endpoint,
                                       .region = "auto",
                                       .access_key_id = "id",
                                       .secret_access_key = SECRET,
                                       .session_token = TOKEN,
                                       .timeout_ms = 500,
                                       .retries = retries};
    rig->e.text[0] = '\0';
    assert_int_equal(ps_objects_open(&ps_objects_s3, &rig->o, &config, &rig->e), 0);
}

static void begin(struct rig *rig, const struct step *steps, size_t count, unsigned retries)
{
    start(&rig->server, steps, count);
    open_client(rig, retries);
}
#define BEGIN(rig, steps, retries) begin((rig), (steps), PS_COUNT_OF(steps), (retries))

/* The number of requests there were. */
static unsigned end(struct rig *rig)
{
    ps_objects_close(rig->o);
    shutdown(rig->server.listener, SHUT_RDWR);
    pthread_join(rig->server.thread, NULL);
    close(rig->server.listener);
    assert_true(rig->server.signed_all);
    assert_null(strstr(rig->e.text, SECRET));
    assert_null(strstr(rig->e.text, "a-session-tok"));
    return rig->server.requests;
}

static int collect(void *ctx, const void *bytes, size_t len)
{
    return ps_buf_append(ctx, bytes, len);
}

static int append_line(void *ctx, const struct ps_object_info *info)
{
    return ps_buf_format(ctx, "%.*s %llu\n", (int)info->key.len, info->key.ptr,
                         (unsigned long long)info->size_bytes);
}

#define FAILURE(code, message)                                                                     \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>" code "</Code><Message>" message      \
    "</Message><RequestId>1</RequestId></Error>"
#define LIST(inside)                                                                               \
    "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"http://s3\">" inside "</ListBucketResult>"
#define OBJECT(key, size) "<Contents><Key>" key "</Key><Size>" size "</Size></Contents>"

/* --- trying again ----------------------------------------------------------------------------- */

static void tries_again_what_may_pass(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {ANSWER, 500, NULL, FAILURE("InternalError", "again")},
        {ANSWER, 503, NULL, FAILURE("SlowDown", "slower")},
        {HANG_UP, 0, NULL, NULL},
        {ANSWER, 429, NULL, NULL},
        {ANSWER, 400, NULL, FAILURE("RequestTimeout", "idle")},
        {ANSWER, 200, NULL, NULL},
    };
    struct rig rig;
    BEGIN(&rig, steps, 5);
    assert_int_equal(ps_objects_put(rig.o, "a=1/b", "bytes", 5, &rig.e), 0);
    assert_int_equal(end(&rig), 6);
    assert_string_equal(rig.server.lines[5], "PUT /bucket/pre/a%3D1/b HTTP/1.1");
}

static void gives_up_after_its_tries(void **state) /* I8 */
{
    (void)state;
    static const struct step steps[] = {
        {ANSWER, 500, NULL, FAILURE("InternalError", "not &lt;today&gt;")}};
    struct rig rig;
    struct ps_object_info info;
    BEGIN(&rig, steps, 2);
    assert_int_equal(ps_objects_put(rig.o, "a", "b", 1, &rig.e), PS_EBUSY);
    assert_non_null(strstr(rig.e.text, "HTTP 500 InternalError: not <today>"));
    assert_int_equal(rig.server.requests, 3);
    assert_int_equal(ps_objects_head(rig.o, "a", &info, &rig.e), PS_EBUSY);
    assert_int_equal(end(&rig), 6);
}

static void does_not_repeat_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct step step;
        int code;
    } cases[] = {
        {{ANSWER, 403, NULL, FAILURE("AccessDenied", "no")}, PS_EDENIED},
        {{ANSWER, 403, NULL, FAILURE("Odd", "you sent " SECRET " and " TOKEN)}, PS_EDENIED},
        {{ANSWER, 403, NULL, "<html>a proxy"}, PS_EDENIED},
        {{ANSWER, 401, NULL, NULL}, PS_EDENIED},
        {{ANSWER, 403, NULL, FAILURE("QuotaExceeded", "full")}, PS_EFULL},
        {{ANSWER, 507, NULL, NULL}, PS_EFULL},
        {{ANSWER, 404, NULL, FAILURE("NoSuchKey", "no")}, PS_ENOENT},
        {{ANSWER, 404, NULL, FAILURE("NoSuchBucket", "no")}, PS_EINVAL},
        {{ANSWER, 301, "Location: http://127.0.0.1:1/\r\n", NULL}, PS_EINVAL},
        {{ANSWER, 400, NULL, FAILURE("AuthorizationHeaderMalformed", "region")}, PS_EINVAL},
        {{NOT_HTTP, 0, NULL, "220 mail.example ESMTP\r\n"}, PS_ECORRUPT},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct rig rig;
        struct ps_buf got;
        ps_buf_init(&got, 1000);
        begin(&rig, &cases[i].step, 1, 3);
        assert_int_equal(ps_objects_get(rig.o, "a", collect, &got, &rig.e), cases[i].code);
        assert_true(rig.e.text[0] != '\0');
        assert_int_equal(got.len, 0);
        assert_int_equal(end(&rig), 1);
    }
}

static void fails_when_nobody_listens(void **state)
{
    (void)state;
    static const struct step steps[] = {{HANG_UP, 0, NULL, NULL}};
    struct rig rig;
    BEGIN(&rig, steps, 0);
    assert_int_equal(end(&rig), 0); /* its port is closed now */
    open_client(&rig, 1);
    assert_int_equal(ps_objects_put(rig.o, "a", "b", 1, &rig.e), PS_EBUSY);
    assert_true(rig.e.text[0] != '\0');
    ps_objects_close(rig.o);
}

static void notices_a_stall(void **state)
{
    (void)state;
    static const struct step steps[] = {{STALL, 0, NULL, NULL}};
    struct rig rig;
    BEGIN(&rig, steps, 0);
    assert_int_equal(ps_objects_put(rig.o, "a", "b", 1, &rig.e), PS_EBUSY);
    assert_int_equal(end(&rig), 1);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void never_repeats_bytes_of_an_object(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, 500, NULL, NULL}, {CUT, 200, NULL, "half"}};
    struct rig rig;
    struct ps_buf got;
    ps_buf_init(&got, 1000);
    BEGIN(&rig, steps, 3);
    assert_int_equal(ps_objects_get(rig.o, "a", collect, &got, &rig.e), PS_EIO);
    assert_int_equal(got.len, 4);
    assert_memory_equal(got.ptr, "half", 4);
    assert_int_equal(end(&rig), 2);
    ps_buf_done(&got);
}

/* Behind some edges no GET has a length. Whoever reads knows what to compare: an archived day its
 * count and SHA-256. */
static void takes_an_object_of_unknown_length(void **state)
{
    (void)state;
    static const struct step steps[] = {{NO_LENGTH, 200, NULL, "one"},
                                        {CHUNKED, 200, NULL, ",two"},
                                        {CUT_CHUNKED, 200, NULL, ",thr"}};
    struct rig rig;
    struct ps_buf got;
    ps_buf_init(&got, 1000);
    BEGIN(&rig, steps, 3);
    assert_int_equal(ps_objects_get(rig.o, "a", collect, &got, &rig.e), 0);
    assert_int_equal(ps_objects_get(rig.o, "a", collect, &got, &rig.e), 0);
    assert_int_equal(ps_objects_get(rig.o, "a", collect, &got, &rig.e), PS_EIO);
    assert_int_equal(got.len, 11);
    assert_memory_equal(got.ptr, "one,two,thr", 11);
    assert_int_equal(end(&rig), 3);
    ps_buf_done(&got);
}

static void a_head_without_a_length_says_nothing(void **state)
{
    (void)state;
    static const struct step steps[] = {{NO_LENGTH, 200, NULL, NULL}};
    struct rig rig;
    struct ps_object_info info = {.size_bytes = 77};
    BEGIN(&rig, steps, 0);
    assert_int_equal(ps_objects_head(rig.o, "a", &info, &rig.e), PS_ECORRUPT);
    assert_int_equal(info.size_bytes, 77);
    assert_int_equal(end(&rig), 1);
}

/* --- elsewhere -------------------------------------------------------------------------------- */

#define ELSEWHERE(code, more)                                                                      \
    "<Error><Code>" code "</Code><Message>Use the specified endpoint.</Message>" more "</Error>"

static void says_where_the_bucket_is_and_what_to_set(void **state)
{
    (void)state;
    static const struct {
        struct step step;
        const char *told;
    } cases[] = {
        {{ANSWER, 301, "x-amz-bucket-region: eu-west-1\r\n",
          ELSEWHERE("PermanentRedirect", "<Endpoint>bucket.s3.eu-west-1.amazonaws.com</Endpoint>"
                                         "<Bucket>bucket</Bucket>")},
         "HTTP 301 PermanentRedirect: the bucket is in region eu-west-1: set s3_region = eu-west-1 "
         "(it is auto), or set s3_endpoint = http://s3.eu-west-1.amazonaws.com"},
        {{ANSWER, 400, NULL,
          ELSEWHERE("AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>")},
         "HTTP 400 AuthorizationHeaderMalformed: the bucket is in region eu-central-1: set "
         "s3_region = eu-central-1 (it is auto)"},
        {{ANSWER, 307, "Location: https://other.example:9000/bucket/pre/a?x\r\n", NULL},
         "HTTP 307: the bucket is elsewhere: set s3_endpoint = http://other.example:9000"},
        /* The body knows better than the header. */
        {{ANSWER, 307, "Location: https://a.example/\r\n",
          ELSEWHERE("TemporaryRedirect", "<Endpoint>b.example</Endpoint>")},
         "set s3_endpoint = http://b.example"},
        /* Nothing of use, or nothing that could be set: what the service says. */
        {{ANSWER, 301, "Location: /moved\r\n", ELSEWHERE("PermanentRedirect", "")},
         "HTTP 301 PermanentRedirect: Use the specified endpoint."},
        {{ANSWER, 301, "x-amz-bucket-region: eu west; rm\r\n",
          ELSEWHERE("PermanentRedirect", "<Endpoint>a b</Endpoint>")},
         "Use the specified endpoint."},
        {{ANSWER, 301, "x-amz-bucket-region: auto\r\n", ELSEWHERE("PermanentRedirect", "")},
         "Use the specified endpoint."},
        {{ANSWER, 403, "x-amz-bucket-region: eu-west-1\r\n", FAILURE("AccessDenied", "no")},
         "HTTP 403 AccessDenied: no"},
    };
    for (size_t i = 0; i < PS_COUNT_OF(cases); i++) {
        struct rig rig;
        begin(&rig, &cases[i].step, 1, 3);
        assert_true(ps_objects_put(rig.o, "a", "b", 1, &rig.e) < 0);
        if (strstr(rig.e.text, cases[i].told) == NULL)
            fail_msg("case %zu: %s", i, rig.e.text);
        assert_int_equal(end(&rig), 1);
    }
}

/* HEAD has no body; the header is enough. */
static void a_head_says_it_too(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, 400, "x-amz-bucket-region: eu-west-1\r\n", NULL}};
    struct rig rig;
    struct ps_object_info info;
    BEGIN(&rig, steps, 0);
    assert_int_equal(ps_objects_head(rig.o, "a", &info, &rig.e), PS_EINVAL);
    assert_non_null(strstr(rig.e.text, "set s3_region = eu-west-1"));
    assert_int_equal(end(&rig), 1);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* S3 may answer 200 and fail then, with a word we know or one we do not. */
static void a_200_with_an_error_is_one(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {ANSWER, 200, NULL, FAILURE("SomethingNew", "not stored")},
        {ANSWER, 200, NULL, FAILURE("AccessDenied", "not stored either")},
        {ANSWER, 200, NULL, NULL},
    };
    struct rig rig;
    BEGIN(&rig, steps, 0);
    assert_int_equal(ps_objects_put(rig.o, "a", "b", 1, &rig.e), PS_EIO);
    assert_non_null(strstr(rig.e.text, "SomethingNew: not stored"));
    assert_int_equal(ps_objects_put(rig.o, "a", "b", 1, &rig.e), PS_EDENIED);
    assert_int_equal(ps_objects_put(rig.o, "a", "b", 1, &rig.e), 0);
    assert_int_equal(end(&rig), 3);
}

/* I8: 80 GB are not written here; the writer is told that they were. */
static void an_object_has_so_many_parts(void **state)
{
    (void)state;
    static const struct step steps[] = {{ANSWER, 500, NULL, NULL}};
    struct rig rig;
    struct ps_object_writer w;
    char *part = calloc(1, PS_OBJECT_PART_BYTES);
    BEGIN(&rig, steps, 0);
    assert_int_equal(ps_object_writer_open(&w, rig.o, "a", &rig.e), 0);
    w.parts = PS_OBJECT_PARTS_MAX;
    assert_int_equal(ps_object_writer_write(&w, part, PS_OBJECT_PART_BYTES, &rig.e), 0);
    assert_int_equal(ps_object_writer_write(&w, "b", 1, &rig.e), PS_EFULL);
    assert_non_null(strstr(rig.e.text, "more than 10000 parts"));
    ps_object_writer_done(&w);
    assert_int_equal(end(&rig), 0);
    free(part);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void follows_pages_and_passes_over_what_is_not_ours(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {ANSWER, 200, NULL,
         LIST("<Name>bucket</Name><IsTruncated>true</IsTruncated>"
              "<NextContinuationToken>to/ken=&amp;1</NextContinuationToken>" OBJECT("pre/a", "1")
                  OBJECT("pre/a b&#x26;&lt;", "2") OBJECT("pre/a&#61;b", "18"))},
        {CUT, 200, NULL, "<ListBucket"}, /* tried again: nothing of it was used */
        {ANSWER, 200, NULL,
         LIST("<IsTruncated>false</IsTruncated><CommonPrefixes/>" OBJECT("pre/c", "0"))},
    };
    struct rig rig;
    struct ps_buf lines;
    ps_buf_init(&lines, 1000);
    BEGIN(&rig, steps, 1);
    assert_int_equal(ps_objects_list(rig.o, "", append_line, &lines, &rig.e), 0);
    ps_buf_append(&lines, "", 1);
    assert_string_equal(lines.ptr, "a 1\na=b 18\nc 0\n");
    assert_int_equal(end(&rig), 3);
    assert_string_equal(rig.server.lines[0],
                        "GET /bucket/?list-type=2&max-keys=1000&prefix=pre%2F HTTP/1.1");
    assert_string_equal(rig.server.lines[2],
                        "GET /bucket/?continuation-token=to%2Fken%3D%261&list-type=2&max-keys=1000"
                        "&prefix=pre%2F HTTP/1.1");
    ps_buf_done(&lines);
}

static void refuses_lists_that_make_no_sense(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "hello",
        "<",
        "<html><body>Welcome</body></html>",
        LIST("<Contents><Key>pre/a</Key></Contents>"),
        LIST(OBJECT("pre/a", "-1")),
        LIST(OBJECT("pre/a", "99999999999999999999")),
        LIST("<Contents><Key>pre/a</Size></Contents>"),
        LIST("<IsTruncated>true</IsTruncated>"),
        LIST("<!-- x -->" OBJECT("pre/a", "1")),
        LIST("") "<more/>",
        LIST("") "trailing",
        "<ListBucketResult>" OBJECT("pre/a", "1"),
        "<ListBucketResult a=\"",
        "<ListBucketResult/ >",
        LIST("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"),
    };
    for (size_t i = 0; i < PS_COUNT_OF(bodies); i++) {
        const struct step step = {ANSWER, 200, NULL, bodies[i]};
        struct rig rig;
        struct ps_buf lines;
        ps_buf_init(&lines, 1000);
        begin(&rig, &step, 1, 2);
        int r = ps_objects_list(rig.o, "", append_line, &lines, &rig.e);
        if (r != PS_ECORRUPT)
            fail_msg("%s: %d", bodies[i], r);
        assert_int_equal(lines.len, 0);
        assert_int_equal(end(&rig), 1);
    }
}

static void ends_on_a_server_that_goes_in_circles(void **state) /* I8 */
{
    (void)state;
    static const struct step steps[] = {
        {ANSWER, 200, NULL,
         LIST("<IsTruncated>true</IsTruncated><NextContinuationToken>t</"
              "NextContinuationToken>" OBJECT("pre/a", "1"))}};
    static const struct step empty[] = {
        {ANSWER, 200, NULL,
         LIST("<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>")}};
    struct rig rig;
    struct ps_buf lines;
    ps_buf_init(&lines, 1000);
    BEGIN(&rig, steps, 0);
    assert_int_equal(ps_objects_list(rig.o, "", append_line, &lines, &rig.e), PS_ECORRUPT);
    assert_int_equal(lines.len, 4);
    assert_int_equal(end(&rig), 2);
    BEGIN(&rig, empty, 0);
    assert_int_equal(ps_objects_list(rig.o, "", append_line, &lines, &rig.e), PS_ECORRUPT);
    assert_true(end(&rig) <= 1001);
    ps_buf_done(&lines);
}

/* --- uploads ---------------------------------------------------------------------------------- */

#define PART_1 "0123456789abcdef0123456789abcdef"
#define PART_2 "ffeeddccbbaa99887766554433221100"
#define BEGUN                                                                                      \
    {                                                                                              \
        ANSWER, 200, NULL,                                                                         \
            "<InitiateMultipartUploadResult><UploadId>u/1=</UploadId>"                             \
            "</InitiateMultipartUploadResult>"                                                     \
    }
#define TOOK(etag)                                                                                 \
    {                                                                                              \
        ANSWER, 200, "ETag: \"" etag "\"\r\n", NULL                                                \
    }
#define COMPLETED                                                                                  \
    {                                                                                              \
        ANSWER, 200, NULL,                                                                         \
            "\n <CompleteMultipartUploadResult><ETag>x</ETag>"                                     \
            "</CompleteMultipartUploadResult>"                                                     \
    }

/* Two parts up and the end; what finish returned. */
static int upload(struct rig *rig)
{
    struct ps_object_writer w;
    char *bytes = calloc(1, PS_OBJECT_PART_BYTES + 1);
    assert_int_equal(ps_object_writer_open(&w, rig->o, "big", &rig->e), 0);
    int r = ps_object_writer_write(&w, bytes, PS_OBJECT_PART_BYTES + 1, &rig->e);
    if (r == 0)
        r = ps_object_writer_finish(&w, &rig->e);
    ps_object_writer_done(&w);
    free(bytes);
    return r;
}

static void sees_a_failure_within_a_200(void **state)
{
    (void)state;
    static const struct step steps[] = {
        BEGUN,        TOOK(PART_1),
        TOOK(PART_2), {ANSWER, 200, NULL, FAILURE("InternalError", "after all")},
        COMPLETED,
    };
    static const struct step odd[] = {
        BEGUN,
        TOOK(PART_1),
        TOOK(PART_2),
        {ANSWER, 200, NULL, "<html/>"},
        {ANSWER, 204, NULL, NULL},
    };
    struct rig rig;
    BEGIN(&rig, steps, 1);
    assert_int_equal(upload(&rig), 0);
    assert_int_equal(end(&rig), 5);
    assert_string_equal(rig.server.lines[0], "POST /bucket/pre/big?uploads= HTTP/1.1");
    assert_string_equal(rig.server.lines[2],
                        "PUT /bucket/pre/big?partNumber=2&uploadId=u%2F1%3D HTTP/1.1");
    BEGIN(&rig, odd, 1);
    assert_int_equal(upload(&rig), PS_ECORRUPT);
    assert_int_equal(end(&rig), 5);
    assert_string_equal(rig.server.lines[4], "DELETE /bucket/pre/big?uploadId=u%2F1%3D HTTP/1.1");
}

/* The ETag S3 gives an object made of the two parts. */
static void make_etag(char *to, size_t size)
{
    static const unsigned char parts[32] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                            0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                            0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88,
                                            0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00};
    unsigned char md5[16];
    char hex[33];
    assert_int_equal(EVP_Digest(parts, sizeof(parts), md5, NULL, EVP_md5(), NULL), 1);
    for (size_t i = 0; i < sizeof(md5); i++)
        snprintf(hex + 2 * i, 3, "%02x", md5[i]);
    snprintf(to, size, "ETag: \"%s-2\"\r\n", hex);
}

static void knows_that_it_was_completed_when_the_answer_was_lost(void **state)
{
    (void)state;
    char etag[80];
    make_etag(etag, sizeof(etag));
    const char *const headers[] = {etag, "ETag: \"" PART_1 "-2\"\r\n"};
    const int codes[] = {0, PS_EIO};
    const unsigned requests[] = {6, 7};
    for (size_t i = 0; i < 2; i++) {
        const struct step steps[] = {
            BEGUN,
            TOOK(PART_1),
            TOOK(PART_2),
            {HANG_UP, 0, NULL, NULL},
            {ANSWER, 404, NULL, FAILURE("NoSuchUpload", "gone")},
            {ANSWER, 200, headers[i], NULL},                      /* HEAD */
            {ANSWER, 404, NULL, FAILURE("NoSuchUpload", "gone")}, /* the abort */
        };
        struct rig rig;
        BEGIN(&rig, steps, 1);
        assert_int_equal(upload(&rig), codes[i]);
        assert_int_equal(end(&rig), requests[i]);
        assert_string_equal(rig.server.lines[5], "HEAD /bucket/pre/big HTTP/1.1");
    }
}

static void aborts_when_a_part_fails(void **state)
{
    (void)state;
    static const struct step steps[] = {
        BEGUN,
        {ANSWER, 200, NULL, NULL}, /* a part without an ETag */
        {ANSWER, 204, NULL, NULL},
    };
    struct rig rig;
    BEGIN(&rig, steps, 1);
    assert_int_equal(upload(&rig), PS_ECORRUPT);
    assert_int_equal(end(&rig), 3);
    assert_string_equal(rig.server.lines[2], "DELETE /bucket/pre/big?uploadId=u%2F1%3D HTTP/1.1");
}

/* --- settings --------------------------------------------------------------------------------- */

static void refuses_settings_that_cannot_be(void **state)
{
    (void)state;
    static const struct ps_objects_config good = {.target = "bucket",
                                                  .endpoint = "https://[::1]:9000/",
                                                  .access_key_id = "id",
                                                  .secret_access_key = SECRET};
    static const char *const targets[] = {"",     "B",           "ab",          "under_score",
                                          "-abc", "bucket/../x", "bucket/a//b", "bucket/.hidden"};
    static const char *const endpoints[] = {"host",
                                            "ftp://host",
                                            "https://",
                                            "https://host/path",
                                            "https://user:pw@host",
                                            "https://host?x=1"};
    struct ps_objects *o = NULL;
    struct ps_err e;
    struct ps_objects_config config;
    unsetenv("AWS_SECRET_ACCESS_KEY");
    for (size_t i = 0; i < PS_COUNT_OF(targets); i++) {
        config = good, config.target = targets[i];
        assert_int_equal(ps_objects_open(&ps_objects_s3, &o, &config, &e), PS_EINVAL);
    }
    for (size_t i = 0; i < PS_COUNT_OF(endpoints); i++) {
        config = good, config.endpoint = endpoints[i];
        assert_int_equal(ps_objects_open(&ps_objects_s3, &o, &config, &e), PS_EINVAL);
        assert_null(strstr(e.text, "pw"));
    }
    config = good, config.region = "eu:s3";
    assert_int_equal(ps_objects_open(&ps_objects_s3, &o, &config, &e), PS_EINVAL);
    config = good, config.secret_access_key = "";
    assert_int_equal(ps_objects_open(&ps_objects_s3, &o, &config, &e), PS_EINVAL);
    assert_null(o);
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1), 0);
    assert_int_equal(ps_objects_open(&ps_objects_s3, &o, &config, &e), 0);
    ps_objects_close(o);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tries_again_what_may_pass),
        cmocka_unit_test(gives_up_after_its_tries),
        cmocka_unit_test(does_not_repeat_what_is_refused),
        cmocka_unit_test(fails_when_nobody_listens),
        cmocka_unit_test(notices_a_stall),
        cmocka_unit_test(never_repeats_bytes_of_an_object),
        cmocka_unit_test(takes_an_object_of_unknown_length),
        cmocka_unit_test(a_head_without_a_length_says_nothing),
        cmocka_unit_test(says_where_the_bucket_is_and_what_to_set),
        cmocka_unit_test(a_head_says_it_too),
        cmocka_unit_test(a_200_with_an_error_is_one),
        cmocka_unit_test(an_object_has_so_many_parts),
        cmocka_unit_test(follows_pages_and_passes_over_what_is_not_ours),
        cmocka_unit_test(refuses_lists_that_make_no_sense),
        cmocka_unit_test(ends_on_a_server_that_goes_in_circles),
        cmocka_unit_test(sees_a_failure_within_a_200),
        cmocka_unit_test(knows_that_it_was_completed_when_the_answer_was_lost),
        cmocka_unit_test(aborts_when_a_part_fails),
        cmocka_unit_test(refuses_settings_that_cannot_be),
    };
    setenv("NO_PROXY", "*", 1); /* the server is here, whatever the machine's proxy is */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
