/* webhook.h - one JSON POST to a URL of the user's, with libcurl.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_WRAP_WEBHOOK_H
#define PS_WRAP_WEBHOOK_H

#include "base/err.h"
#include "base/str.h"

enum { PS_WEBHOOK_TIMEOUT_MS = 10000 };

/* Is it an http or https URL with a host? The text does not repeat it. */
int ps_webhook_check(const char *url, struct ps_err *e);

/* 0 when it was answered with 2xx. PS_EIO otherwise; the text names the host, not the whole URL,
 * whose path may hold a token. Follows no redirects. */
int ps_webhook_post(const char *url, struct ps_str json, struct ps_err *e);

#endif
