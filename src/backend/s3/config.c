/* config.c - the settings of an S3 target, checked before the first request.
 *
 * What is empty comes from the variables that other S3 programs read too. Everything that ends up
 * in a URL or in the signing scope is held to a strict alphabet, so nothing needs escaping there.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/s3/s3.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The setting, or the first variable that is set, or `otherwise`. */
static const char *choose(const char *setting, const char *variable, const char *other_variable,
                          const char *otherwise)
{
    if (setting != NULL && setting[0] != '\0')
        return setting;
    const char *names[] = {variable, other_variable};
    for (size_t i = 0; i < 2; i++) {
        const char *value = names[i] != NULL ? getenv(names[i]) : NULL;
        if (value != NULL && value[0] != '\0')
            return value;
    }
    return otherwise;
}

bool ps_s3_holds_only(const char *text, size_t len, const char *alphabet)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0' || strchr(alphabet, text[i]) == NULL)
            return false;
    return len > 0;
}

static int set_target(struct s3 *s, const char *target, struct ps_err *e)
{
    size_t len = strcspn(target, "/");
    if (len < S3_BUCKET_MIN || len > S3_BUCKET_MAX ||
        !ps_s3_holds_only(target, len, S3_LOWER_DIGITS ".-") || strchr(".-", target[0]) != NULL ||
        strchr(".-", target[len - 1]) != NULL)
        return ps_fail(e, PS_EINVAL,
                       "s3: a bucket's name has %d to %d of a-z 0-9 . - and begins and ends with a "
                       "letter or digit",
                       S3_BUCKET_MIN, S3_BUCKET_MAX);
    memcpy(s->bucket, target, len); /* the rest is zero */
    const char *prefix = target + len + strspn(target + len, "/");
    size_t prefix_len = strlen(prefix);
    while (prefix_len > 0 && prefix[prefix_len - 1] == '/')
        prefix_len--;
    if (prefix_len == 0)
        return 0;
    if (prefix_len <= S3_PREFIX_MAX) {
        memcpy(s->prefix, prefix, prefix_len);
        if (ps_object_key_is_valid(s->prefix)) {
            s->prefix[prefix_len] = '/';
            return 0;
        }
    }
    return ps_fail(e, PS_EINVAL, "s3: the prefix after the bucket is no valid key");
}

/* "https://host[:port]", nothing after it but slashes. */
static int set_origin(struct s3 *s, const char *endpoint, bool virtual_host, struct ps_err *e)
{
    size_t scheme = strncmp(endpoint, "https://", 8) == 0  ? 8
                    : strncmp(endpoint, "http://", 7) == 0 ? 7
                                                           : 0;
    const char *host = endpoint + scheme;
    size_t len = strcspn(host, "/");
    bool ends = strspn(host + len, "/") == strlen(host + len);
    if (scheme == 0 || !ends || scheme + len > S3_HOST_MAX ||
        !ps_s3_holds_only(host, len, S3_HOST_CHARS))
        return ps_fail(e, PS_EINVAL, "s3: the endpoint is written https://host[:port]");
    if (virtual_host)
        snprintf(s->origin, sizeof(s->origin), "%.*s%s.%.*s", (int)scheme, endpoint, s->bucket,
                 (int)len, host);
    else
        snprintf(s->origin, sizeof(s->origin), "%.*s/%s", (int)(scheme + len), endpoint, s->bucket);
    return 0;
}

static int set_place(struct s3 *s, const struct ps_objects_config *config, struct ps_err *e)
{
    char aws[S3_HOST_MAX];
    int r = set_target(s, config->target, e);
    if (r < 0)
        return r;
    const char *region = choose(config->region, "AWS_REGION", "AWS_DEFAULT_REGION", "us-east-1");
    if (strlen(region) > S3_REGION_MAX ||
        !ps_s3_holds_only(region, strlen(region), S3_REGION_CHARS))
        return ps_fail(e, PS_EINVAL, "s3: a region is a word like eu-central-1");
    snprintf(s->region, sizeof(s->region), "%s", region);
    snprintf(s->sigv4, sizeof(s->sigv4), "aws:amz:%s:s3", region);
    snprintf(aws, sizeof(aws), "https://s3.%s.amazonaws.com", region);
    return set_origin(s, choose(config->endpoint, NULL, NULL, aws), config->virtual_host, e);
}

static int set_credentials(struct s3 *s, const struct ps_objects_config *config, struct ps_err *e)
{
    const char *id = choose(config->access_key_id, "AWS_ACCESS_KEY_ID", NULL, NULL);
    const char *secret = choose(config->secret_access_key, "AWS_SECRET_ACCESS_KEY", NULL, NULL);
    const char *token = choose(config->session_token, "AWS_SESSION_TOKEN", NULL, NULL);
    if (id == NULL || secret == NULL)
        return ps_fail(e, PS_EINVAL,
                       "s3: no credentials; set them in the configuration, or AWS_ACCESS_KEY_ID "
                       "and AWS_SECRET_ACCESS_KEY");
    /* A token belongs to the key it came with: one from the environment is not for ours. */
    bool own_key = config->access_key_id != NULL && config->access_key_id[0] != '\0';
    if (own_key && (config->session_token == NULL || config->session_token[0] == '\0'))
        token = NULL;
    if (token != NULL && strpbrk(token, "\r\n") != NULL)
        return ps_fail(e, PS_EINVAL, "s3: the session token has a line break");
    s->access_key_id = strdup(id);
    s->secret_access_key = strdup(secret);
    s->session_token = token != NULL ? strdup(token) : NULL;
    if (s->access_key_id == NULL || s->secret_access_key == NULL ||
        (token != NULL && s->session_token == NULL))
        return ps_fail(e, PS_ENOMEM, "s3: no memory");
    return 0;
}

int ps_s3_configure(struct s3 *s, const struct ps_objects_config *config, struct ps_err *e)
{
    int r = set_place(s, config, e);
    if (r == 0)
        r = set_credentials(s, config, e);
    if (r < 0)
        return r;
    s->timeout_ms = config->timeout_ms > 0 ? config->timeout_ms : S3_TIMEOUT_DEFAULT_MS;
    s->retries = config->retries < S3_RETRIES_MAX ? config->retries : S3_RETRIES_MAX;
    return 0;
}

static void wipe(char *text)
{
    if (text != NULL)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

void ps_s3_forget(struct s3 *s)
{
    wipe(s->access_key_id);
    wipe(s->secret_access_key);
    wipe(s->session_token);
}
