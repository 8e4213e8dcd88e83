/* secret_test.c - the secret's file and the keyed hash of clients.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wrap/secret.h"

#include "base/check.h"
#include "base/disk.h"
#include "support/folder.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 8, LONGEST = 50 };

static char folder[TEST_FOLDER_MAX], file[TEST_FOLDER_MAX + 32];

static int make_folder(void **state)
{
    (void)state;
    if (!test_folder(folder, "secret"))
        return -1;
    snprintf(file, sizeof(file), "%s/secret", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

static void write_file(const char *text, size_t len, mode_t mode)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(file, mode), 0);
}

static uint64_t reference(const uint8_t *secret, const char *text)
{
    uint8_t digest[32];
    unsigned len = 0;
    uint64_t value = 0;
    assert_non_null(HMAC(EVP_sha256(), secret, PS_SECRET_BYTES, (const uint8_t *)text, strlen(text),
                         digest, &len));
    assert_int_equal(len, 32);
    for (int i = 0; i < 8; i++)
        value = value << 8 | digest[i];
    return value;
}

static uint64_t client(struct ps_hasher *h, const char *text)
{
    return ps_hasher_client(h, (struct ps_str){text, strlen(text)});
}

/* I7: the value is the HMAC-SHA-256 of RFC 2104, cut to 64 bits, of the text as it is. */
static void hash_is_hmac(void **state)
{
    static const char *const canonical[] = {
        "1.2.3.4",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "::1",
        "2001:db8::1",
        "fe80::1%eth0",
        "not an address",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.256",
        "1.2.3",
        "1.2.3.4:80",
        "[::1]",
        "2001:db8:::1",
        "unix:/run/me",
        "",
        "1.2.3.4, 5.6.7.8",
        "::g",
        "1.2.3.",
        "2001:DB8::1",
        "123456789012345",                          /* the longest short one, */
        "1234567890123456",                         /* the shortest long one, */
        "2001:db8:1111:2222:3333:4444:5555:6666",   /* one that is nearly too long, */
        "2001:0db8:1111:2222:3333:4444:5555:66667", /* and one that is not kept */
    };
    uint8_t secret[PS_SECRET_BYTES];
    struct ps_hasher *h;
    struct ps_err e;
    (void)state;
    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = (uint8_t)(i * 7 + 200);
    assert_int_equal(ps_hasher_open(&h, secret, &e), 0);
    for (int round = 0; round < 2; round++) /* then from the cache */
        for (size_t i = 0; i < PS_COUNT_OF(canonical); i++)
            if (client(h, canonical[i]) != reference(secret, canonical[i]))
                fail_msg("%s, round %d", canonical[i], round);
    ps_hasher_close(h);
    ps_hasher_close(NULL);
}

/* RFC 4231, test case 2 has a key of 4 bytes; HMAC pads keys with zeroes, so 32 bytes hold it. */
static void hash_keeps_the_rfc_vector(void **state)
{
    const uint8_t secret[PS_SECRET_BYTES] = "Jefe";
    struct ps_hasher *h;
    struct ps_err e;
    (void)state;
    assert_int_equal(ps_hasher_open(&h, secret, &e), 0);
    assert_true(client(h, "what do ya want for nothing?") == UINT64_C(0x5bdcc146bf60754e));
    ps_hasher_close(h);
}

/* Texts that are kept and differ by their last byte, or by a NUL behind them. */
static void texts_that_are_nearly_equal(void **state)
{
    const uint8_t secret[PS_SECRET_BYTES] = {9};
    static const char bytes[LONGEST] = {'a'};
    char text[LONGEST];
    struct ps_hasher *h;
    struct ps_err e;
    (void)state;
    assert_int_equal(ps_hasher_open(&h, secret, &e), 0);
    for (size_t len = 1; len < LONGEST; len++) {
        memset(text, '7', sizeof text);
        uint64_t sevens = ps_hasher_client(h, (struct ps_str){text, len});
        text[len - 1] = '8';
        assert_true(ps_hasher_client(h, (struct ps_str){text, len}) != sevens);
        assert_true(ps_hasher_client(h, (struct ps_str){bytes, len}) !=
                    ps_hasher_client(h, (struct ps_str){bytes, len + 1}));
    }
    ps_hasher_close(h);
}

/* More addresses than slots: an evicted one is computed again, never mistaken for its neighbour. */
static void cache_never_mixes_clients_up(void **state)
{
    const uint8_t secret[PS_SECRET_BYTES] = {3};
    enum { ADDRESSES = 100000, STEP = 97 };
    struct ps_hasher *h;
    struct ps_err e;
    char text[INET6_ADDRSTRLEN];
    (void)state;
    assert_int_equal(ps_hasher_open(&h, secret, &e), 0);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < ADDRESSES; i++) {
            snprintf(text, sizeof(text), i % 2 ? "10.%u.%u.%u" : "2001:db8:%x:%x::%x", i >> 16,
                     i >> 8 & 255, i & 255);
            uint64_t got = client(h, text);
            if (i % STEP == 0)
                assert_true(got == reference(secret, text));
        }
    ps_hasher_close(h);
}

static void secret_is_created_once(void **state)
{
    uint8_t first[PS_SECRET_BYTES], second[PS_SECRET_BYTES], zero[PS_SECRET_BYTES] = {0};
    struct ps_err e;
    struct stat st;
    (void)state;
    assert_int_equal(ps_secret_load(file, PS_SECRET_READ, first, NULL, &e), PS_ENOENT);
    mode_t before = umask(0);
    int r = ps_secret_load(file, PS_SECRET_CREATE, first, NULL, &e);
    umask(before);
    assert_int_equal(r, 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, PS_SECRET_BYTES);
    assert_int_equal(st.st_nlink, 1);
    assert_memory_not_equal(first, zero, sizeof(zero));
    assert_int_equal(ps_secret_load(file, PS_SECRET_CREATE, second, NULL, &e), 0);
    assert_memory_equal(first, second, sizeof(first));
    assert_int_equal(ps_secret_load(file, PS_SECRET_READ, second, NULL, &e), 0);
    assert_memory_equal(first, second, sizeof(first));
}

/* I7 */
static void unsafe_secrets_are_refused(void **state)
{
    static const mode_t open_to_others[] = {0640, 0604, 0660, 0620, 0602};
    uint8_t got[PS_SECRET_BYTES], untouched[PS_SECRET_BYTES];
    struct ps_err e;
    (void)state;
    memset(got, 0xab, sizeof(got));
    memset(untouched, 0xab, sizeof(untouched));
    for (size_t i = 0; i < PS_COUNT_OF(open_to_others); i++) {
        write_file("0123456789abcdef0123456789abcdef", PS_SECRET_BYTES, open_to_others[i]);
        assert_int_equal(ps_secret_load(file, PS_SECRET_CREATE, got, NULL, &e), PS_EDENIED);
        assert_non_null(strstr(e.text, "chmod 600"));
    }
    write_file("too short", 9, 0600);
    assert_int_equal(ps_secret_load(file, PS_SECRET_CREATE, got, NULL, &e), PS_ECORRUPT);
    assert_non_null(strstr(e.text, "9 bytes where 32 belong"));
    write_file("", 0, 0600);
    assert_int_equal(ps_secret_load(file, PS_SECRET_CREATE, got, NULL, &e), PS_ECORRUPT);
    assert_int_equal(ps_secret_load(folder, PS_SECRET_CREATE, got, NULL, &e),
                     PS_EINVAL); /* a folder */
    assert_memory_equal(got, untouched, sizeof(got));
    write_file("0123456789abcdef0123456789abcdef", PS_SECRET_BYTES, 0400);
    assert_int_equal(ps_secret_load(file, PS_SECRET_READ, got, NULL, &e), 0);
    assert_memory_equal(got, "0123456789abcdef", 16);
}

static void a_damaged_secret_is_replaced_only_when_told(void **state)
{
    uint8_t got[PS_SECRET_BYTES], again[PS_SECRET_BYTES];
    char aside[sizeof(file) + 16];
    struct stat st;
    struct ps_err e;
    bool made = true;
    (void)state;
    snprintf(aside, sizeof(aside), "%s.damaged", file);
    write_file("too short", 9, 0600);
    assert_int_equal(ps_secret_load(file, PS_SECRET_CREATE, got, &made, &e), PS_ECORRUPT);
    assert_non_null(strstr(e.text, "--new-secret"));
    assert_false(made);
    assert_int_equal(ps_secret_load(file, PS_SECRET_REPLACE, got, &made, &e), 0);
    assert_true(made);
    assert_int_equal(stat(aside, &st), 0); /* perhaps somebody can still make sense of it */
    assert_int_equal(st.st_size, 9);
    assert_int_equal(unlink(aside), 0);
    assert_int_equal(ps_secret_load(file, PS_SECRET_REPLACE, again, &made, &e), 0);
    assert_false(made); /* a good one stays */
    assert_memory_equal(got, again, sizeof(got));
    unlink(file);
    assert_int_equal(ps_secret_load(file, PS_SECRET_REPLACE, again, &made, &e), 0);
    assert_true(made);
    assert_memory_not_equal(got, again, sizeof(got));
    write_file("0123456789abcdef0123456789abcdef", PS_SECRET_BYTES, 0640);
    assert_int_equal(ps_secret_load(file, PS_SECRET_REPLACE, again, &made, &e), PS_EDENIED);
}

/* What was synced since the last write, by what it is. */
static struct {
    bool content, names_after_link, linked, named_too_early;
} synced;

static int note_write_sync(int fd, bool data_only)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    if (S_ISREG(st.st_mode) && st.st_size == PS_SECRET_BYTES)
        synced.content = true;
    if (S_ISDIR(st.st_mode) && synced.linked)
        synced.names_after_link = true;
    return ps_disk_real.sync(fd, data_only);
}

static int note_link(int dir, const char *from, const char *to)
{
    synced.named_too_early = !synced.content; /* it would be empty after a power failure */
    synced.linked = true;
    return ps_disk_real.link(dir, from, to);
}

/* I3: hashes made with it are durable at once, so it has to be before. */
static void a_new_secret_is_synced_with_its_name(void **state)
{
    uint8_t got[PS_SECRET_BYTES];
    struct ps_disk_ops ops = ps_disk_real;
    struct ps_err e;
    (void)state;
    ops.sync = note_write_sync;
    ops.link = note_link;
    memset(&synced, 0, sizeof(synced));
    ps_disk_set(&ops);
    int r = ps_secret_load(file, PS_SECRET_CREATE, got, NULL, &e);
    ps_disk_set(&ps_disk_real);
    assert_int_equal(r, 0);
    assert_true(synced.content);
    assert_true(synced.linked);
    assert_false(synced.named_too_early);
    assert_true(synced.names_after_link);
}

/* libcrypto's function of this name, as far as this program is concerned. */
static struct {
    size_t largest;
    bool held_address;
} wiped;

void OPENSSL_cleanse(void *ptr, size_t len)
{
    if (len > wiped.largest) {
        wiped.largest = len;
        wiped.held_address = memmem(ptr, len, "192.0.2.77", 10) != NULL;
    }
    explicit_bzero(ptr, len);
}

/* I7: addresses are in memory while they are needed, and not a moment longer. */
static void closing_wipes_the_addresses(void **state)
{
    const uint8_t secret[PS_SECRET_BYTES] = {9};
    struct ps_hasher *h;
    struct ps_err e;
    (void)state;
    assert_int_equal(ps_hasher_open(&h, secret, &e), 0);
    client(h, "192.0.2.77");
    memset(&wiped, 0, sizeof(wiped));
    ps_hasher_close(h);
    assert_true(wiped.held_address);
    assert_true(wiped.largest > 100000); /* the cache as a whole */
}

static void missing_folder_is_said(void **state)
{
    uint8_t got[PS_SECRET_BYTES];
    struct ps_err e;
    (void)state;
    assert_int_equal(
        ps_secret_load("/nowhere/no-such-folder/secret", PS_SECRET_CREATE, got, NULL, &e),
        PS_ENOENT);
    assert_non_null(strstr(e.text, "/nowhere/no-such-folder/secret"));
}

struct racer {
    pthread_t thread;
    pthread_barrier_t *start;
    int result;
    uint8_t secret[PS_SECRET_BYTES];
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct ps_err e;
    pthread_barrier_wait(r->start);
    r->result = ps_secret_load(file, PS_SECRET_CREATE, r->secret, NULL, &e);
    return NULL;
}

/* All who start at once end up with the one secret that is on the disk. */
static void creation_has_one_winner(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct racer racers[THREADS];
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, THREADS);
        for (int i = 0; i < THREADS; i++) {
            racers[i].start = &start;
            assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(racers[i].thread, NULL);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(racers[i].result, 0);
            assert_memory_equal(racers[i].secret, racers[0].secret, PS_SECRET_BYTES);
        }
        pthread_barrier_destroy(&start);
        unlink(file);
        DIR *d = opendir(folder);
        int entries = 0;
        while (readdir(d) != NULL)
            entries++;
        closedir(d);
        assert_int_equal(entries, 2); /* . and .. */
    }
}

static void random_numbers_differ(void **state)
{
    (void)state;
    uint64_t a = ps_random64(), b = ps_random64();
    assert_true(a != b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_is_hmac),
        cmocka_unit_test(hash_keeps_the_rfc_vector),
        cmocka_unit_test(texts_that_are_nearly_equal),
        cmocka_unit_test(cache_never_mixes_clients_up),
        cmocka_unit_test_setup_teardown(secret_is_created_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(unsafe_secrets_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_damaged_secret_is_replaced_only_when_told, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_new_secret_is_synced_with_its_name, make_folder,
                                        remove_folder),
        cmocka_unit_test(closing_wipes_the_addresses),
        cmocka_unit_test(missing_folder_is_said),
        cmocka_unit_test_setup_teardown(creation_has_one_winner, make_folder, remove_folder),
        cmocka_unit_test(random_numbers_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
