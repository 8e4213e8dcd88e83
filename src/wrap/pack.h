/* pack.h - gzip as a stream out, on several threads, and as a stream back in.
 *
 * Out: pieces of PS_PACK_PIECE_BYTES become gzip members of their own (RFC 1952 allows any number),
 * compressed side by side by libdeflate and handed on in order; `zcat` sees one file. Equal input
 * gives equal bytes, whatever the number of threads. In: zlib, with bounded memory.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_WRAP_PACK_H
#define PS_WRAP_PACK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PS_PACK_PIECE_BYTES = 1024 * 1024,
    PS_PACK_THREADS_MAX = 8,
    PS_PACK_LEVEL = 6,
    PS_SHA256_BYTES = 32,
    PS_SHA256_HEX = 64,
};

/* 0, or a negative code that ends the stream and is handed on. */
typedef int ps_pack_fn(void *ctx, const void *bytes, size_t len, struct ps_err *e);

struct ps_packer;

/* fn gets the compressed bytes, on the caller's thread. threads 0: as many as processors. */
int ps_packer_open(struct ps_packer **ret, unsigned threads, ps_pack_fn *fn, void *ctx,
                   struct ps_err *e);
int ps_packer_write(struct ps_packer *p, const void *bytes, size_t len, struct ps_err *e);
/* Everything has been handed to fn when it returns 0. */
int ps_packer_finish(struct ps_packer *p, struct ps_err *e);
void ps_packer_close(struct ps_packer *p); /* NULL is fine */

struct ps_unpacker;

/* fn gets the plain bytes. */
int ps_unpacker_open(struct ps_unpacker **ret, ps_pack_fn *fn, void *ctx, struct ps_err *e);
/* PS_ECORRUPT: not gzip. */
int ps_unpacker_feed(struct ps_unpacker *u, const void *bytes, size_t len, struct ps_err *e);
/* PS_ECORRUPT when it ends inside a member. */
int ps_unpacker_finish(struct ps_unpacker *u, struct ps_err *e);
void ps_unpacker_close(struct ps_unpacker *u); /* NULL is fine */

struct ps_sha256;
int ps_sha256_open(struct ps_sha256 **ret, struct ps_err *e);
void ps_sha256_add(struct ps_sha256 *h, const void *bytes, size_t len);
/* Hex digits and a NUL; the hash takes no more after that. */
void ps_sha256_finish(struct ps_sha256 *h, char ret[PS_SHA256_HEX + 1]);
void ps_sha256_close(struct ps_sha256 *h); /* NULL is fine */

#endif
