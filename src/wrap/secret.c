/* secret.c - the secret's file, and client addresses to 64-bit pseudonyms. See secret.h.
 *
 * The file: a new secret is written and synced under a name of its own and then linked to the real
 * one. Link fails where a file exists, so of many processes starting at once one wins, the others
 * read its secret, and nobody ever reads half of one. Two secrets would make two clients of one.
 *
 * The hash: HMAC(key, m) = SHA256(key^opad . SHA256(key^ipad . m)). Both pads are whole blocks, so
 * their states are computed once and copied. Measured per address: HMAC() 1740 ns, EVP_MAC_dup
 * 710, EVP_MAC_init without a key 280, copied digest states 230; the deprecated SHA256_CTX would
 * take 110. A direct-mapped cache in front makes the difference moot: clients send many requests.
 *
 * I7: raw addresses live in the cache alone; closing wipes it and the key states.
 *
 * Threads: a hasher belongs to one thread; loading a secret is safe from anywhere.
 *
 * SPDX-License-Identifier: MIT
 */
#include "wrap/secret.h"

#include "base/check.h"
#include "base/disk.h"
#include "base/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SHA256_BLOCK = 64,
    SHA256_BYTES = 32,
    SHORT_BYTES = 16,     /* of a remembered text and its length: all of IPv4, ... */
    LONG_BYTES = 40,      /* ... all of IPv6 */
    CACHE_SETS = 1 << 16, /* of two texts each, twice: 9 MB once they are all used */
    LOAD_TRIES_MAX = 3,   /* somebody may delete the file between our looking and linking */
};

/* --- random bytes ----------------------------------------------------------------------------- */

void ps_random_fill(void *to, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = getrandom((char *)to + got, n - got, 0);
        PS_ASSERT(r >= 0 || errno == EINTR); /* no other failure exists for a valid buffer */
        got += r > 0 ? (size_t)r : 0;
    }
}

uint64_t ps_random64(void)
{
    uint64_t value;
    ps_random_fill(&value, sizeof(value));
    return value;
}

/* --- the file --------------------------------------------------------------------------------- */

static int check_file(int fd, const char *file, struct ps_err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return ps_fail(e, PS_EIO, "secret %s: %s", file, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ps_fail(e, PS_EINVAL, "secret %s: not a regular file", file);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return ps_fail(e, PS_EDENIED, "secret %s: others may read it (mode %03o); chmod 600 %s",
                       file, st.st_mode & 0777u, file);
    if (st.st_size != PS_SECRET_BYTES)
        return ps_fail(e, PS_ECORRUPT,
                       "secret %s: %lld bytes where %d belong; put it back from a backup, or start "
                       "once with --new-secret (then all clients count as new)",
                       file, (long long)st.st_size, PS_SECRET_BYTES);
    return 0;
}

static int read_secret(const char *file, uint8_t ret[PS_SECRET_BYTES], struct ps_err *e)
{
    uint8_t bytes[PS_SECRET_BYTES];
    int fd = ps_disk_open(AT_FDCWD, file, O_RDONLY | O_NONBLOCK, 0); /* a FIFO must not hang us */
    if (fd < 0) {
        int code = errno == ENOENT ? PS_ENOENT : errno == EACCES ? PS_EDENIED : PS_EIO;
        return ps_fail(e, code, "secret %s: %s", file, strerror(errno));
    }
    int r = check_file(fd, file, e);
    if (r == 0 && ps_disk_read(fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        r = ps_fail(e, PS_EIO, "secret %s: read failed", file);
    close(fd);
    if (r == 0)
        memcpy(ret, bytes, sizeof(bytes));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return r;
}

static int sync_folder_of(const char *file, struct ps_err *e)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", file);
    if (ps_disk_sync_folder(AT_FDCWD, dirname(copy)) < 0)
        return ps_fail(e, PS_EIO, "secret %s: sync the folder: %s", file, strerror(errno));
    return 0;
}

static int write_new(const char *temporary, struct ps_err *e)
{
    uint8_t bytes[PS_SECRET_BYTES];
    int fd = ps_disk_open(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        int code = errno == ENOENT ? PS_ENOENT : errno == EACCES ? PS_EDENIED : PS_EIO;
        return ps_fail(e, code, "secret: create %s: %s", temporary, strerror(errno));
    }
    ps_random_fill(bytes, sizeof(bytes));
    int r = 0;
    if (fchmod(fd, 0600) < 0 || /* a default ACL or an odd umask */
        ps_disk_write(fd, bytes, sizeof(bytes), 0) < 0 || ps_disk_sync(fd) < 0)
        r = ps_fail(e, PS_EIO, "secret: write %s: %s", temporary, strerror(errno));
    close(fd);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return r;
}

/* Gives `temporary` its real name unless that is taken, which is success too: the caller reads
 * whichever file is there. */
static int publish(const char *temporary, const char *file, struct ps_err *e)
{
    int r = ps_disk_link(AT_FDCWD, temporary, file);
    if (r < 0 && errno != EEXIST) /* no hard links on FAT and some network disks */
        r = ps_disk_rename_new(AT_FDCWD, temporary, file);
    if (r < 0 && errno != EEXIST)
        return ps_fail(e, PS_EIO, "secret %s: put in place: %s", file, strerror(errno));
    return 0;
}

static int create_secret(const char *file, struct ps_err *e)
{
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.%016" PRIx64 ".tmp", file, ps_random64());
    if (n < 0 || (size_t)n >= sizeof(temporary))
        return ps_fail(e, PS_EINVAL, "secret %s: the name is too long", file);
    int r = write_new(temporary, e);
    if (r == 0)
        r = publish(temporary, file, e);
    ps_disk_unlink(AT_FDCWD, temporary);
    return r;
}

static int set_aside(const char *file, struct ps_err *e)
{
    char aside[PATH_MAX];
    int n = snprintf(aside, sizeof(aside), "%s.damaged", file);
    if (n < 0 || (size_t)n >= sizeof(aside))
        return ps_fail(e, PS_EINVAL, "secret %s: the name is too long", file);
    if (ps_disk_rename(AT_FDCWD, file, aside) < 0)
        return ps_fail(e, PS_EIO, "secret %s: rename to %s: %s", file, aside, strerror(errno));
    return PS_ENOENT;
}

int ps_secret_load(const char *file, enum ps_secret_use use, uint8_t ret[PS_SECRET_BYTES],
                   bool *ret_made, struct ps_err *e)
{
    bool made = false;
    int r = read_secret(file, ret, e);
    if (r == PS_ECORRUPT && use == PS_SECRET_REPLACE)
        r = set_aside(file, e);
    for (int i = 0; r == PS_ENOENT && use != PS_SECRET_READ && i < LOAD_TRIES_MAX; i++) {
        r = create_secret(file, e);
        made = r == 0;
        if (r == 0)
            r = read_secret(file, ret, e);
    }
    /* Its name must be durable before our hashes are. Another process may have made it, and been
     * killed before it came to that. */
    if (r == 0 && use != PS_SECRET_READ)
        r = sync_folder_of(file, e);
    if (ret_made != NULL)
        *ret_made = r == 0 && made;
    return r;
}

/* --- the keyed hash --------------------------------------------------------------------------- */

/* A text of at least one byte, padded with zeros, its length last; all zeros is an empty place. */
struct known_short {
    uint8_t key[SHORT_BYTES];
    uint64_t hash;
};

struct known_long {
    uint8_t key[LONG_BYTES];
    uint64_t hash;
};

struct ps_hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *inner, *outer; /* after the key's block */
    EVP_MD_CTX *work;
    struct known_short shorts[CACHE_SETS][2]; /* of a set, the one used last comes first */
    struct known_long longs[CACHE_SETS][2];
};

static bool prepare(EVP_MD_CTX *to, const EVP_MD *sha256, const uint8_t *secret, uint8_t pad)
{
    uint8_t block[SHA256_BLOCK];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = pad ^ (i < PS_SECRET_BYTES ? secret[i] : 0);
    bool ok =
        EVP_DigestInit_ex(to, sha256, NULL) == 1 && EVP_DigestUpdate(to, block, sizeof(block)) == 1;
    OPENSSL_cleanse(block, sizeof(block));
    return ok;
}

int ps_hasher_open(struct ps_hasher **ret, const uint8_t secret[PS_SECRET_BYTES], struct ps_err *e)
{
    struct ps_hasher *h = ps_pages_alloc(sizeof(*h));
    if (h == NULL)
        return ps_fail(e, PS_ENOMEM, "hasher: no memory");
    h->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->inner = EVP_MD_CTX_new();
    h->outer = EVP_MD_CTX_new();
    h->work = EVP_MD_CTX_new();
    if (h->sha256 == NULL || h->inner == NULL || h->outer == NULL || h->work == NULL ||
        !prepare(h->inner, h->sha256, secret, 0x36) ||
        !prepare(h->outer, h->sha256, secret, 0x5c)) {
        ps_hasher_close(h);
        return ps_fail(e, PS_EIO, "hasher: libcrypto has no SHA-256");
    }
    *ret = h;
    return 0;
}

void ps_hasher_close(struct ps_hasher *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->inner); /* wipes the state it frees */
    EVP_MD_CTX_free(h->outer);
    EVP_MD_CTX_free(h->work);
    EVP_MD_free(h->sha256);
    OPENSSL_cleanse(h, sizeof(*h));
    ps_pages_free(h, sizeof(*h));
}

static uint64_t hmac64(struct ps_hasher *h, const void *bytes, size_t len)
{
    uint8_t digest[SHA256_BYTES];
    uint64_t value = 0;
    int ok = EVP_MD_CTX_copy_ex(h->work, h->inner) & EVP_DigestUpdate(h->work, bytes, len) &
             EVP_DigestFinal_ex(h->work, digest, NULL) & EVP_MD_CTX_copy_ex(h->work, h->outer) &
             EVP_DigestUpdate(h->work, digest, sizeof(digest)) &
             EVP_DigestFinal_ex(h->work, digest, NULL);
    PS_ASSERT(ok == 1); /* in-memory arithmetic: fails only on misuse */
    for (int i = 0; i < 8; i++)
        value = value << 8 | digest[i]; /* so that its hex is the first 16 digits of the HMAC's */
    return value;
}

static void make_key(uint8_t *to, size_t bytes, struct ps_str text)
{
    memset(to, 0, bytes);
    memcpy(to, text.ptr, text.len);
    to[bytes - 1] = (uint8_t)text.len;
}

static size_t set_of(const uint8_t *key, size_t bytes)
{
    uint64_t mixed = 0, word;
    for (size_t i = 0; i < bytes; i += sizeof(word)) {
        memcpy(&word, key + i, sizeof(word));
        mixed = (mixed ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        mixed ^= mixed >> 32;
    }
    return mixed % CACHE_SETS;
}

static bool is_short(struct ps_str text)
{
    return text.len > 0 && text.len < SHORT_BYTES;
}

static bool is_long(struct ps_str text)
{
    return text.len >= SHORT_BYTES && text.len < LONG_BYTES;
}

void ps_hasher_prefetch(struct ps_hasher *h, struct ps_str text)
{
    uint8_t key[LONG_BYTES];
    if (is_short(text)) {
        make_key(key, SHORT_BYTES, text);
        __builtin_prefetch(h->shorts[set_of(key, SHORT_BYTES)]);
    } else if (is_long(text)) {
        make_key(key, LONG_BYTES, text);
        __builtin_prefetch(h->longs[set_of(key, LONG_BYTES)]);
    }
}

static uint64_t hash_short(struct ps_hasher *h, struct ps_str text)
{
    struct known_short fresh;
    make_key(fresh.key, SHORT_BYTES, text);
    struct known_short *set = h->shorts[set_of(fresh.key, SHORT_BYTES)];
    if (memcmp(set[0].key, fresh.key, SHORT_BYTES) == 0)
        return set[0].hash;
    fresh.hash = memcmp(set[1].key, fresh.key, SHORT_BYTES) == 0 ? set[1].hash
                                                                 : hmac64(h, text.ptr, text.len);
    set[1] = set[0];
    set[0] = fresh;
    return fresh.hash;
}

static uint64_t hash_long(struct ps_hasher *h, struct ps_str text)
{
    struct known_long fresh;
    make_key(fresh.key, LONG_BYTES, text);
    struct known_long *set = h->longs[set_of(fresh.key, LONG_BYTES)];
    if (memcmp(set[0].key, fresh.key, LONG_BYTES) == 0)
        return set[0].hash;
    fresh.hash = memcmp(set[1].key, fresh.key, LONG_BYTES) == 0 ? set[1].hash
                                                                : hmac64(h, text.ptr, text.len);
    set[1] = set[0];
    set[0] = fresh;
    return fresh.hash;
}

uint64_t ps_hasher_client(struct ps_hasher *h, struct ps_str text)
{
    PS_ASSERT(text.ptr != NULL);
    return is_short(text)  ? hash_short(h, text)
           : is_long(text) ? hash_long(h, text)
                           : hmac64(h, text.ptr, text.len);
}

int ps_secret_print(const uint8_t secret[PS_SECRET_BYTES], int64_t *ret, struct ps_err *e)
{
    struct ps_hasher *h;
    int r = ps_hasher_open(&h, secret, e);
    if (r < 0)
        return r;
    /* No address is like it, so it is no client's hash. */
    *ret = (int64_t)(ps_hasher_client(h, PS_STR("the print of this secret")) >> 1);
    ps_hasher_close(h);
    return 0;
}
