/* objects.h - whole files under names, far away or in a folder: where archived days live.
 *
 * An object appears whole or not at all: a reader never sees half of one, and a write that was
 * interrupted leaves what was there before. Keys are '/'-separated segments of [A-Za-z0-9._=-] with
 * 1 to PS_OBJECT_SEGMENT_MAX bytes, none beginning with a dot ("..", and names a backend may want
 * for itself), at most PS_OBJECT_KEY_MAX bytes together. What else lies there is not ours: never
 * listed. A key should not also be the folder of another ("a" beside "a/b"): `dir` refuses that.
 *
 * Large objects go up in parts. ps_object_writer buffers one part: what fits goes as one put, what
 * does not as a multipart upload, so memory is constant. An upload that a crash left behind is
 * found and removed by ps_objects_abort_uploads.
 *
 * Ownership: arguments belong to the caller. Threads: a handle belongs to one thread at a time.
 * Errors: PS_ENOENT no such object; PS_EBUSY worth trying again (the backend has tried already);
 * PS_EDENIED credentials; PS_EFULL disk full; PS_EIO; PS_ECORRUPT an answer that makes no sense.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_PORT_OBJECTS_H
#define PS_PORT_OBJECTS_H

#include "base/buf.h"
#include "base/err.h"

struct ps_objects;

enum {
    PS_OBJECT_KEY_MAX = 512,
    PS_OBJECT_SEGMENT_MAX = 200,
    PS_OBJECT_PUT_MAX = 128 * 1024 * 1024, /* in one piece; beyond: a writer */
    PS_OBJECT_PART_MIN = 5 * 1024 * 1024,  /* what S3 asks of every part but the last */
    PS_OBJECT_PART_BYTES = 8 * 1024 * 1024,
    PS_OBJECT_PARTS_MAX = 10000,
};

/* Where and how. Texts may be NULL or empty where a backend does not need them. */
struct ps_objects_config {
    const char *target;   /* dir: a folder; s3: "bucket" or "bucket/prefix" */
    const char *endpoint; /* s3: "https://host[:port]"; empty: AWS for the region */
    const char *region;   /* s3: empty: AWS_REGION, AWS_DEFAULT_REGION, us-east-1 */
    const char *access_key_id, *secret_access_key; /* s3: empty: AWS_ACCESS_KEY_ID, ... */
    const char *session_token;                     /* s3: empty: AWS_SESSION_TOKEN */
    bool virtual_host;  /* s3: bucket.host/key instead of host/bucket/key */
    int64_t timeout_ms; /* s3: connect, and for a transfer that stands still; 0: 30 s */
    unsigned retries;   /* s3: of a request, on 5xx, 429, resets and time-outs */
};

struct ps_object_info {
    struct ps_str key; /* valid during the callback; absent from head */
    uint64_t size_bytes;
};

typedef int ps_object_bytes_fn(void *ctx, const void *bytes, size_t len);
typedef int ps_object_fn(void *ctx, const struct ps_object_info *info);

struct ps_object_upload; /* a backend's: a multipart upload in progress */

struct ps_objects_ops {
    const char *name; /* the word in the config file */
    int (*open)(struct ps_objects **ret, const struct ps_objects_config *config, struct ps_err *e);
    void (*close)(struct ps_objects *o);
    int (*put)(struct ps_objects *o, const char *key, const void *bytes, size_t len,
               struct ps_err *e);
    int (*get)(struct ps_objects *o, const char *key, ps_object_bytes_fn *fn, void *ctx,
               struct ps_err *e);
    int (*head)(struct ps_objects *o, const char *key, struct ps_object_info *ret,
                struct ps_err *e);
    int (*list)(struct ps_objects *o, const char *prefix, ps_object_fn *fn, void *ctx,
                struct ps_err *e);
    int (*remove)(struct ps_objects *o, const char *key, struct ps_err *e);
    int (*upload_begin)(struct ps_objects *o, const char *key, struct ps_object_upload **ret,
                        struct ps_err *e);
    int (*upload_part)(struct ps_object_upload *u, const void *bytes, size_t len, struct ps_err *e);
    int (*upload_finish)(struct ps_object_upload *u, struct ps_err *e); /* frees u when 0 */
    void (*upload_abort)(struct ps_object_upload *u);                   /* frees u */
    int (*abort_uploads)(struct ps_objects *o, const char *prefix, struct ps_err *e);
};

struct ps_objects {
    const struct ps_objects_ops *ops;
};

int ps_objects_open(const struct ps_objects_ops *ops, struct ps_objects **ret,
                    const struct ps_objects_config *config, struct ps_err *e);
void ps_objects_close(struct ps_objects *o); /* NULL is fine */

/* True for a key as described above. */
bool ps_object_key_is_valid(const char *key);

/* Durable when it returns 0; replaces what was there. */
int ps_objects_put(struct ps_objects *o, const char *key, const void *bytes, size_t len,
                   struct ps_err *e);
/* The bytes in order, in pieces; a negative return of fn ends it and is handed on. PS_EIO when the
 * object ends before its length; some services say none, so compare what you know of it. Retries
 * happen only before the first piece. fn must not use `o`. */
int ps_objects_get(struct ps_objects *o, const char *key, ps_object_bytes_fn *fn, void *ctx,
                   struct ps_err *e);
int ps_objects_head(struct ps_objects *o, const char *key, struct ps_object_info *ret,
                    struct ps_err *e);
/* Objects whose key begins with `prefix` ("" is all), in byte order, however many. A negative
 * return of fn ends it and is handed on; fn may use `o`, and remove what it was shown. */
int ps_objects_list(struct ps_objects *o, const char *prefix, ps_object_fn *fn, void *ctx,
                    struct ps_err *e);
/* 0 also when there was none. */
int ps_objects_remove(struct ps_objects *o, const char *key, struct ps_err *e);
/* Removes unfinished uploads (and temporary files) of keys with the prefix; returns how many. Only
 * when nobody is uploading there. "" is all. */
int ps_objects_abort_uploads(struct ps_objects *o, const char *prefix, struct ps_err *e);

/* Streams one object up. PS_EFULL beyond PS_OBJECT_PARTS_MAX parts. */
struct ps_object_writer {
    struct ps_objects *objects;
    struct ps_object_upload *upload; /* NULL while everything fits one part */
    char key[PS_OBJECT_KEY_MAX + 1];
    char *part; /* PS_OBJECT_PART_BYTES */
    size_t part_len;
    unsigned parts;
    uint64_t size_bytes;
};

int ps_object_writer_open(struct ps_object_writer *w, struct ps_objects *o, const char *key,
                          struct ps_err *e);
int ps_object_writer_write(struct ps_object_writer *w, const void *bytes, size_t len,
                           struct ps_err *e);
/* Durable and visible when it returns 0. After a failure of it or of a write: done. */
int ps_object_writer_finish(struct ps_object_writer *w, struct ps_err *e);
/* Frees everything, removes what is unfinished; also fine after finish. */
void ps_object_writer_done(struct ps_object_writer *w);

#endif
