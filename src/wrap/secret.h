/* secret.h - the per-installation secret and the keyed hash of client addresses (I7).
 *
 * HMAC-SHA-256 (RFC 2104) with OpenSSL's libcrypto, cut to its first 64 bits, of the text as it is
 * given: one spelling for one client is made before (core/address.h). So the 16 hex digits of the
 * value begin the output of `printf 1.2.3.4 | openssl dgst -sha256 -mac hmac ...`.
 *
 * Threads: a hasher belongs to one thread (it caches).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_WRAP_SECRET_H
#define PS_WRAP_SECRET_H

#include "base/err.h"
#include "base/str.h"

enum { PS_SECRET_BYTES = 32 };

enum ps_secret_use {
    PS_SECRET_READ,    /* PS_ENOENT when there is none */
    PS_SECRET_CREATE,  /* made when there is none, with mode 0600 */
    PS_SECRET_REPLACE, /* also when it is damaged, which is then set aside as FILE.damaged */
};

/* A file others can read, or of another size, is refused with what to do. *ret_made (may be NULL):
 * it was made by this call. */
int ps_secret_load(const char *file, enum ps_secret_use use, uint8_t ret[PS_SECRET_BYTES],
                   bool *ret_made, struct ps_err *e);

/* A number that is another one for another secret, and tells nothing of it. */
int ps_secret_print(const uint8_t secret[PS_SECRET_BYTES], int64_t *ret, struct ps_err *e);

/* Random bytes from the system, at most 256 in one go for one system call. */
void ps_random_fill(void *to, size_t n);
uint64_t ps_random64(void);

struct ps_hasher;
int ps_hasher_open(struct ps_hasher **ret, const uint8_t secret[PS_SECRET_BYTES], struct ps_err *e);
void ps_hasher_close(struct ps_hasher *h); /* wipes its memory */
uint64_t ps_hasher_client(struct ps_hasher *h, struct ps_str text);
/* Says that this text will be hashed soon. */
void ps_hasher_prefetch(struct ps_hasher *h, struct ps_str text);

#endif
