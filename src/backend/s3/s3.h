/* s3.h - what the files of the S3 backend share: the client, and one request with its answer.
 *
 * Layers, each knowing only those above it in this list:
 *     xml.c      the few XML elements that S3 answers with
 *     config.c   settings and environment to a checked client
 *     answer.c   which failure an answer is, whether it may be tried again, its text
 *     client.c   builds, signs, sends, tries again
 *     list.c     pages of keys and of unfinished uploads
 *     upload.c   multipart uploads
 *     objects.c  the verbs of port/objects.h
 *
 * Signing is libcurl's (AWS Signature Version 4). It signs the query as it finds it, so a query is
 * given with its names in byte order and every name followed by '='; and it hashes no body, so the
 * payload's SHA-256 goes along as a header, which the server checks against the bytes.
 *
 * No text that leaves here contains the secret key or the session token.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_S3_H
#define PS_BACKEND_S3_H

#include "port/objects.h"

#include <curl/curl.h>

#define S3_LOWER_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define S3_UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define S3_HOST_CHARS S3_LOWER_DIGITS S3_UPPER ".-_:[]"
#define S3_REGION_CHARS S3_LOWER_DIGITS S3_UPPER "-_"

enum {
    S3_KEY_MAX = 1024, /* of the service, prefix included */
    S3_PREFIX_MAX = S3_KEY_MAX - PS_OBJECT_KEY_MAX - 1,
    S3_BUCKET_MIN = 3,
    S3_BUCKET_MAX = 63,
    S3_HOST_MAX = 512, /* the endpoint, with its scheme and port */
    S3_REGION_MAX = 64,
    S3_ETAG_MAX = 128,
    S3_UPLOAD_ID_MAX = 1024,
    S3_URL_MAX = 16 * 1024,          /* a key and a query, every byte escaped */
    S3_REPLY_MAX = 16 * 1024 * 1024, /* a page of 1000 of the longest keys, every byte an entity */
    S3_ERROR_MAX = 64 * 1024,        /* of a failure's body; the rest is dropped */
    S3_CODE_MAX = 64,                /* "NoSuchKey" */
    S3_MESSAGE_MAX = 256,            /* what we show of the server's sentence */
    S3_TIMEOUT_DEFAULT_MS = 30 * 1000,
    S3_RETRIES_MAX = 20,
};

struct s3 {
    struct ps_objects base;
    CURL *curl; /* one handle, so that connections live on from request to request */
    char curl_error[CURL_ERROR_SIZE];
    char origin[S3_HOST_MAX + S3_BUCKET_MAX + 2]; /* "https://host:443" + "/bucket" if path-style */
    char prefix[S3_PREFIX_MAX + 2];               /* "" or ending in '/' */
    char bucket[S3_BUCKET_MAX + 1];
    char region[S3_REGION_MAX + 1];
    char sigv4[S3_REGION_MAX + 16];
    char *access_key_id, *secret_access_key, *session_token; /* the token may be NULL */
    int64_t timeout_ms;
    unsigned retries;
};

struct s3_request {
    const char *method;     /* GET HEAD PUT POST DELETE */
    const char *key;        /* without the prefix; NULL: the bucket */
    const char *query;      /* as described above, or NULL */
    struct ps_str body;     /* PUT and POST */
    ps_object_bytes_fn *fn; /* takes the body of a 200; NULL: collected in the answer */
    void *ctx;
};

/* init/done. Filled also when the request failed. */
struct s3_answer {
    struct ps_buf body;
    char etag[S3_ETAG_MAX + 1]; /* without quotes; "" when there was none, or it was odd */
    char code[S3_CODE_MAX + 1]; /* S3's word for the failure, or "" */
    /* Where the bucket is, when the service says that it is elsewhere; or "". */
    char region[S3_REGION_MAX + 1], endpoint[S3_HOST_MAX + 1];
    int64_t length; /* Content-Length, -1 when not said */
    long status;    /* 0: none came */
    unsigned tries;
};

/* --- config.c --- */
int ps_s3_configure(struct s3 *s, const struct ps_objects_config *config, struct ps_err *e);
void ps_s3_forget(struct s3 *s); /* wipes and frees what configure made */

/* --- answer.c --- */
struct s3_verdict {
    int code; /* 0 or an enum ps_code */
    bool again;
};
struct s3_verdict ps_s3_judge_transfer(CURLcode failed);
/* Also reads the body's <Error>, which a 200 may carry. Fills answer->code and `message`. */
struct s3_verdict ps_s3_judge_status(struct s3_answer *answer, char message[S3_MESSAGE_MAX + 1]);
/* What to set when the bucket is elsewhere, in place of the service's message; true when it was. */
bool ps_s3_advise(const struct s3 *s, const struct s3_answer *answer, char *to, size_t size);
/* True when there is text and every character of it is one of the alphabet. */
bool ps_s3_holds_only(const char *text, size_t len, const char *alphabet);
/* Makes a text from elsewhere fit to be shown: one line, printable, without our secrets. */
void ps_s3_clean(const struct s3 *s, char *text);

/* --- client.c --- */
void ps_s3_answer_init(struct s3_answer *a);
void ps_s3_answer_done(struct s3_answer *a);
/* Percent-encodes as the signature wants it: all but A-Z a-z 0-9 - _ . ~, and '/' if `slashes`. */
int ps_s3_escape(struct ps_buf *to, const char *text, bool slashes);
/* 0 when S3 did it. Tries again what may be, as often as configured; after bytes were given to fn
 * never. A negative return of fn is handed on. */
int ps_s3_send(struct s3 *s, const struct s3_request *request, struct s3_answer *ret,
               struct ps_err *e);

/* --- list.c --- */
int ps_s3_list(struct ps_objects *o, const char *prefix, ps_object_fn *fn, void *ctx,
               struct ps_err *e);
int ps_s3_abort_uploads(struct ps_objects *o, const char *prefix, struct ps_err *e);

/* --- upload.c --- */
int ps_s3_upload_begin(struct ps_objects *o, const char *key, struct ps_object_upload **ret,
                       struct ps_err *e);
int ps_s3_upload_part(struct ps_object_upload *u, const void *bytes, size_t len, struct ps_err *e);
int ps_s3_upload_finish(struct ps_object_upload *u, struct ps_err *e);
void ps_s3_upload_abort(struct ps_object_upload *u);
/* 1 when it was there. */
int ps_s3_upload_remove(struct s3 *s, const char *key, const char *id, struct ps_err *e);

#endif
