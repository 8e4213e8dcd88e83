/* unpack.c - the way back of pack.h, and SHA-256.  SPDX-License-Identifier: MIT */
#include "wrap/pack.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

enum { PLAIN_BYTES = 256 * 1024, GZIP_WINDOW = 15 + 16 };

struct ps_unpacker {
    ps_pack_fn *fn;
    void *ctx;
    z_stream z;
    bool inside, begun; /* inside a member; there was one */
    unsigned char plain[PLAIN_BYTES];
};

int ps_unpacker_open(struct ps_unpacker **ret, ps_pack_fn *fn, void *ctx, struct ps_err *e)
{
    struct ps_unpacker *u = calloc(1, sizeof *u);
    if (u == NULL || inflateInit2(&u->z, GZIP_WINDOW) != Z_OK) {
        free(u);
        return ps_fail(e, PS_ENOMEM, "gzip: no memory");
    }
    u->fn = fn;
    u->ctx = ctx;
    *ret = u;
    return 0;
}

void ps_unpacker_close(struct ps_unpacker *u)
{
    if (u == NULL)
        return;
    inflateEnd(&u->z);
    free(u);
}

int ps_unpacker_feed(struct ps_unpacker *u, const void *bytes, size_t len, struct ps_err *e)
{
    u->z.next_in = (unsigned char *)bytes; /* zlib does not write there */
    u->z.avail_in = (unsigned)len;
    do {
        u->z.next_out = u->plain;
        u->z.avail_out = PLAIN_BYTES;
        if (u->z.avail_in > 0)
            u->inside = u->begun = true;
        int code = inflate(&u->z, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return ps_fail(e, code == Z_MEM_ERROR ? PS_ENOMEM : PS_ECORRUPT, "gzip: %s",
                           u->z.msg != NULL ? u->z.msg : "not gzip");
        size_t n = PLAIN_BYTES - u->z.avail_out;
        int r = n > 0 ? u->fn(u->ctx, u->plain, n, e) : 0;
        if (r < 0)
            return r;
        if (code == Z_STREAM_END) {
            u->inside = false;
            inflateReset(&u->z);
        }
    } while (u->z.avail_in > 0 || u->z.avail_out == 0);
    return 0;
}

int ps_unpacker_finish(struct ps_unpacker *u, struct ps_err *e)
{
    return u->begun && !u->inside ? 0 : ps_fail(e, PS_ECORRUPT, "gzip: it ends too early");
}

struct ps_sha256 {
    EVP_MD_CTX *md;
};

int ps_sha256_open(struct ps_sha256 **ret, struct ps_err *e)
{
    struct ps_sha256 *h = calloc(1, sizeof *h);
    if (h != NULL)
        h->md = EVP_MD_CTX_new();
    if (h == NULL || h->md == NULL || EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1) {
        ps_sha256_close(h);
        return ps_fail(e, PS_ENOMEM, "sha256: no memory");
    }
    *ret = h;
    return 0;
}

void ps_sha256_add(struct ps_sha256 *h, const void *bytes, size_t len)
{
    EVP_DigestUpdate(h->md, bytes, len);
}

void ps_sha256_finish(struct ps_sha256 *h, char ret[PS_SHA256_HEX + 1])
{
    unsigned char digest[PS_SHA256_BYTES];
    EVP_DigestFinal_ex(h->md, digest, NULL);
    for (int i = 0; i < PS_SHA256_BYTES; i++) {
        ret[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    ret[PS_SHA256_HEX] = '\0';
}

void ps_sha256_close(struct ps_sha256 *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->md);
    free(h);
}
