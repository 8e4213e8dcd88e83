/* client.c - HTTP to the daemon on this machine, with libcurl. See cli.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/cli.h"

#include "core/decimal.h"
#include "core/json_walk.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_S = 120, CONNECT_TIMEOUT_S = 5, URL_MAX = 1024 };

struct ps_client {
    CURL *curl;
    long timeout_s;
    char host_port[PS_DATADIR_NOTE_MAX];
    char message[CURL_ERROR_SIZE];
};

int ps_client_open(struct ps_client **ret, const char *host_port, struct ps_err *e)
{
    struct ps_client *k = calloc(1, sizeof *k);
    if (k != NULL)
        k->curl = curl_easy_init();
    if (k == NULL || k->curl == NULL) {
        free(k);
        return ps_fail(e, PS_ENOMEM, "no memory for an HTTP client");
    }
    k->timeout_s = TIMEOUT_S;
    snprintf(k->host_port, sizeof k->host_port, "%s", host_port);
    *ret = k;
    return 0;
}

void ps_client_set_timeout(struct ps_client *k, long timeout_s)
{
    k->timeout_s = timeout_s;
}

void ps_client_close(struct ps_client *k)
{
    if (k == NULL)
        return;
    curl_easy_cleanup(k->curl);
    free(k);
}

static size_t take(char *bytes, size_t size, size_t n, void *ctx)
{
    return ps_buf_append(ctx, bytes, size * n) == 0 ? size * n : 0;
}

int ps_client_ask(struct ps_client *k, const char *method, const char *path, struct ps_str body,
                  struct ps_buf *ret, long *ret_status, struct ps_err *e)
{
    char url[URL_MAX];
    snprintf(url, sizeof url, "http://%s%s", k->host_port, path);
    curl_easy_reset(k->curl);
    curl_easy_setopt(k->curl, CURLOPT_URL, url);
    curl_easy_setopt(k->curl, CURLOPT_ERRORBUFFER, k->message);
    curl_easy_setopt(k->curl, CURLOPT_TIMEOUT, k->timeout_s);
    curl_easy_setopt(k->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(k->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(k->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(k->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(k->curl, CURLOPT_WRITEDATA, ret);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/x-ndjson");
    headers = curl_slist_append(headers, "Expect:");
    if (body.ptr != NULL) {
        curl_easy_setopt(k->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(k->curl, CURLOPT_POSTFIELDS, body.ptr);
        curl_easy_setopt(k->curl, CURLOPT_HTTPHEADER, headers);
    }
    curl_easy_setopt(k->curl, CURLOPT_CUSTOMREQUEST, method);
    CURLcode code = curl_easy_perform(k->curl);
    curl_easy_getinfo(k->curl, CURLINFO_RESPONSE_CODE, ret_status);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return ps_fail(e, PS_EIO, "the daemon on %s does not answer: %s", k->host_port,
                       k->message[0] != '\0' ? k->message : curl_easy_strerror(code));
    return 0;
}

/* --- orders --- */

/* The member of a flat JSON object as text; absent when there is none. `scratch` is as long. */
static struct ps_str member(struct ps_str json, const char *name, char *scratch)
{
    struct ps_json_walk walk;
    struct ps_str key, text, wanted = {name, strlen(name)};
    enum ps_json_kind kind;
    ps_json_walk_init(&walk, json, scratch);
    while (ps_json_walk_next(&walk, &key, &kind, &text) == 1)
        if (ps_str_equal(key, wanted))
            return text;
    return PS_STR_NONE;
}

/* {"error":{"code":…,"message":…}}, or whatever it was instead. */
static int fail_refused(const char *host_port, long status, struct ps_str answer, struct ps_err *e)
{
    struct ps_str message = PS_STR_NONE;
    char *scratch = malloc(2 * answer.len + 1);
    if (scratch != NULL) {
        struct ps_str error = member(answer, "error", scratch);
        if (error.ptr != NULL)
            message = member(error, "message", scratch + answer.len);
    }
    if (message.ptr == NULL)
        message = answer;
    int r = ps_fail(e, PS_EIO, "the daemon on %s refuses (%ld): %.*s", host_port, status,
                    (int)message.len, message.ptr);
    free(scratch);
    return r;
}

int ps_cli_order(const char *host_port, const char *path, struct ps_str body, struct ps_buf *ret,
                 struct ps_err *e)
{
    struct ps_client *client;
    long status = 0;
    int r = ps_client_open(&client, host_port, e);
    if (r < 0)
        return r;
    r = ps_client_ask(client, "POST", path, body, ret, &status, e);
    ps_client_close(client);
    return r == 0 && status != 200 ? fail_refused(host_port, status, ps_buf_str(ret), e) : r;
}

uint64_t ps_cli_answer(const struct ps_buf *answer, const char *name)
{
    char *scratch = malloc(answer->len + 1);
    if (scratch == NULL)
        return 0;
    struct ps_str text = member(ps_buf_str(answer), name, scratch);
    uint64_t value = text.ptr == NULL ? 0 : (uint64_t)ps_decimal_int64(text, 0, PS_TRUNCATE, NULL);
    free(scratch);
    return value;
}
