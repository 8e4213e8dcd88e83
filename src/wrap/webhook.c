/* webhook.c - see webhook.h.  SPDX-License-Identifier: MIT */
#include "wrap/webhook.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum { TOLD_MAX = 256 };

static size_t ignore(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n;
}

/* How the URL is told: scheme and host, without user, password or path. */
static void tell_host(const char *url, char to[TOLD_MAX])
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme == NULL ? url : scheme + 3;
    size_t len = strcspn(host, "/?#"), from = len;
    while (from > 0 && host[from - 1] != '@')
        from--;
    snprintf(to, TOLD_MAX, "%.*s%.*s", (int)(host - url), url, (int)(len - from), host + from);
}

int ps_webhook_check(const char *url, struct ps_err *e)
{
    CURLU *parts = curl_url();
    char *host = NULL, *scheme = NULL;
    if (parts == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    bool ok = curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
              curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] != '\0';
    curl_free(host);
    curl_free(scheme);
    curl_url_cleanup(parts);
    return ok ? 0 : ps_fail(e, PS_EINVAL, "not a URL; write http://host/path or https://host/path");
}

int ps_webhook_post(const char *url, struct ps_str json, struct ps_err *e)
{
    long status = 0;
    char host[TOLD_MAX];
    tell_host(url, host);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (curl == NULL || headers == NULL) {
        curl_easy_cleanup(curl);
        curl_slist_free_all(headers);
        return ps_fail(e, PS_ENOMEM, "webhook: no memory");
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PS_WEBHOOK_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json.ptr);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)json.len);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "pathstats/" PS_VERSION);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return ps_fail(e, PS_EIO, "webhook %s: %s", host, curl_easy_strerror(code));
    if (status < 200 || status > 299)
        return ps_fail(e, PS_EIO, "webhook %s: answered with %ld", host, status);
    return 0;
}
