/* webhook.c - see webhook.h.  SPDX-License-Identifier: MIT */
#include "wrap/webhook.h"

#include <curl/curl.h>
#include <string.h>

static size_t ignore(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n;
}

/* "https://host" of the URL. */
static int host_length(const char *url)
{
    const char *host = strstr(url, "://");
    size_t skip = host == NULL ? 0 : (size_t)(host - url) + 3;
    return (int)(skip + strcspn(url + skip, "/?#"));
}

int ps_webhook_post(const char *url, struct ps_str json, struct ps_err *e)
{
    long status = 0;
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
        return ps_fail(e, PS_EIO, "webhook %.*s: %s", host_length(url), url,
                       curl_easy_strerror(code));
    if (status < 200 || status > 299)
        return ps_fail(e, PS_EIO, "webhook %.*s: answered with %ld", host_length(url), url, status);
    return 0;
}
