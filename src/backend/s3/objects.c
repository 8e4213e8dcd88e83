/* objects.c - `s3`: objects in a bucket of Amazon S3 or of a service that speaks its protocol.
 *
 * S3 itself keeps the port's promise: an object appears when its PUT, or the completion of its
 * upload, is answered, and not before. See s3.h for how the work is divided.
 *
 * Threads: a handle, with its connections, belongs to one thread at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/s3/s3.h"

#include "backend/registry.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

/* Stays until the process ends: others may use libcurl too. */
static void start_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void s3_close(struct ps_objects *o)
{
    struct s3 *s = (struct s3 *)o;
    curl_easy_cleanup(s->curl);
    ps_s3_forget(s);
    free(s);
}

static int s3_open(struct ps_objects **ret, const struct ps_objects_config *config,
                   struct ps_err *e)
{
    pthread_once(&curl_once, start_curl);
    if (curl_ready != CURLE_OK)
        return ps_fail(e, PS_EIO, "s3: libcurl: %s", curl_easy_strerror(curl_ready));
    struct s3 *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return ps_fail(e, PS_ENOMEM, "s3: no memory");
    int r = ps_s3_configure(s, config, e);
    if (r == 0 && (s->curl = curl_easy_init()) == NULL)
        r = ps_fail(e, PS_ENOMEM, "s3: no memory");
    if (r < 0) {
        s3_close(&s->base);
        return r;
    }
    *ret = &s->base;
    return 0;
}

static int s3_put(struct ps_objects *o, const char *key, const void *bytes, size_t len,
                  struct ps_err *e)
{
    struct s3_answer answer;
    struct s3_request request = {.method = "PUT", .key = key, .body = {bytes, len}};
    ps_s3_answer_init(&answer);
    int r = ps_s3_send((struct s3 *)o, &request, &answer, e);
    ps_s3_answer_done(&answer);
    return r;
}

static int check_status(const struct s3_answer *answer, const struct s3_request *request,
                        struct ps_err *e)
{
    return answer->status == 200 ? 0
                                 : ps_fail(e, PS_ECORRUPT, "s3: %s %s: HTTP %ld", request->method,
                                           request->key, answer->status);
}

static int s3_get(struct ps_objects *o, const char *key, ps_object_bytes_fn *fn, void *ctx,
                  struct ps_err *e)
{
    struct s3_answer answer;
    struct s3_request request = {.method = "GET", .key = key, .fn = fn, .ctx = ctx};
    ps_s3_answer_init(&answer);
    int r = ps_s3_send((struct s3 *)o, &request, &answer, e);
    if (r == 0)
        r = check_status(&answer, &request, e);
    ps_s3_answer_done(&answer);
    return r;
}

static int s3_head(struct ps_objects *o, const char *key, struct ps_object_info *ret,
                   struct ps_err *e)
{
    struct s3_answer answer;
    struct s3_request request = {.method = "HEAD", .key = key};
    ps_s3_answer_init(&answer);
    int r = ps_s3_send((struct s3 *)o, &request, &answer, e);
    if (r == 0)
        r = check_status(&answer, &request, e);
    if (r == 0 && answer.length < 0)
        r = ps_fail(e, PS_ECORRUPT, "s3: HEAD %s: the answer does not say its length", key);
    if (r == 0)
        *ret = (struct ps_object_info){.size_bytes = (uint64_t)answer.length};
    ps_s3_answer_done(&answer);
    return r;
}

static int s3_remove(struct ps_objects *o, const char *key, struct ps_err *e)
{
    struct s3_answer answer;
    struct s3_request request = {.method = "DELETE", .key = key};
    ps_s3_answer_init(&answer);
    int r = ps_s3_send((struct s3 *)o, &request, &answer, e);
    ps_s3_answer_done(&answer);
    return r == PS_ENOENT ? 0 : r;
}

const struct ps_objects_ops ps_objects_s3 = {
    .name = "s3",
    .open = s3_open,
    .close = s3_close,
    .put = s3_put,
    .get = s3_get,
    .head = s3_head,
    .list = ps_s3_list,
    .remove = s3_remove,
    .upload_begin = ps_s3_upload_begin,
    .upload_part = ps_s3_upload_part,
    .upload_finish = ps_s3_upload_finish,
    .upload_abort = ps_s3_upload_abort,
    .abort_uploads = ps_s3_abort_uploads,
};
