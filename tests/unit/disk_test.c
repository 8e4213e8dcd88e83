/* disk_test.c - what the door to the disk adds to the system calls: interrupted ones begin again,
 * short ones go on, failures come out as they are.  SPDX-License-Identifier: MIT */
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A disk whose every other call is interrupted, and that moves three bytes at a time. */
static int calls, room;

static bool interrupts(void)
{
    errno = EINTR;
    return ++calls % 2 == 1;
}

static int slow_open(int dir, const char *path, int flags, mode_t mode)
{
    return interrupts() ? -1 : ps_disk_real.open(dir, path, flags, mode);
}

static ssize_t slow_read(int fd, void *to, size_t len, off_t at)
{
    return interrupts() ? -1 : ps_disk_real.read(fd, to, len < 3 ? len : 3, at);
}

static ssize_t slow_write(int fd, const void *from, size_t len, off_t at)
{
    if (interrupts())
        return -1;
    errno = ENOSPC;
    return room-- <= 0 ? -1 : ps_disk_real.write(fd, from, len < 3 ? len : 3, at);
}

static int slow_truncate(int fd, off_t size)
{
    return interrupts() ? -1 : ps_disk_real.truncate(fd, size);
}

static int slow_sync(int fd, bool data_only)
{
    return interrupts() ? -1 : ps_disk_real.sync(fd, data_only);
}

static int slow_mkdir(int dir, const char *path, mode_t mode)
{
    return interrupts() ? -1 : ps_disk_real.mkdir(dir, path, mode);
}

static int slow_link(int dir, const char *from, const char *to)
{
    return interrupts() ? -1 : ps_disk_real.link(dir, from, to);
}

static int slow_rename(int dir, const char *from, const char *to, unsigned flags)
{
    return interrupts() ? -1 : ps_disk_real.rename(dir, from, to, flags);
}

static int slow_unlink(int dir, const char *path, int flags)
{
    return interrupts() ? -1 : ps_disk_real.unlink(dir, path, flags);
}

static const struct ps_disk_ops slow = {
    .open = slow_open,
    .read = slow_read,
    .write = slow_write,
    .truncate = slow_truncate,
    .sync = slow_sync,
    .mkdir = slow_mkdir,
    .link = slow_link,
    .rename = slow_rename,
    .unlink = slow_unlink,
};

static void name_scratch(char to[256])
{
    const char *tmp = getenv("TMPDIR");
    snprintf(to, 256, "%s/pathstats-disk-XXXXXX", tmp != NULL ? tmp : "/tmp");
}

static void interrupted_calls_begin_again(void **state)
{
    char text[16] = "", folder[256];
    (void)state;
    name_scratch(folder);
    assert_non_null(mkdtemp(folder));
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    ps_disk_set(&slow);
    calls = 0;
    room = 100;
    assert_int_equal(ps_disk_mkdir(dir, "sub", 0700), 0);
    int fd = ps_disk_open(dir, "sub/a", O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ps_disk_write(fd, "0123456789", 10, 0), 0);
    assert_int_equal(ps_disk_read(fd, text, sizeof text, 0), 10);
    assert_string_equal(text, "0123456789");
    assert_int_equal(ps_disk_truncate(fd, 4), 0);
    assert_int_equal(ps_disk_read(fd, text, sizeof text, 1), 3);
    assert_int_equal(ps_disk_sync(fd), 0);
    assert_int_equal(ps_disk_sync_data(fd), 0);
    assert_int_equal(ps_disk_sync_folder(dir, "sub"), 0);
    assert_int_equal(ps_disk_link(dir, "sub/a", "sub/b"), 0);
    assert_int_equal(ps_disk_link(dir, "sub/a", "sub/b"), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(ps_disk_rename(dir, "sub/b", "sub/c"), 0);
    assert_int_equal(ps_disk_unlink(dir, "sub/c"), 0);
    assert_int_equal(ps_disk_unlink(dir, "sub/a"), 0);
    assert_int_equal(ps_disk_rmdir(dir, "sub"), 0);
    ps_disk_set(&ps_disk_real);
    close(fd);
    close(dir);
    assert_int_equal(rmdir(folder), 0);
}

static void a_write_that_ends_early_says_why(void **state)
{
    char name[256];
    (void)state;
    name_scratch(name);
    int fd = mkstemp(name);
    unlink(name);
    ps_disk_set(&slow);
    calls = 0;
    room = 2;
    assert_int_equal(ps_disk_write(fd, "0123456789", 10, 0), -1);
    assert_int_equal(errno, ENOSPC);
    ps_disk_set(&ps_disk_real);
    assert_int_equal(lseek(fd, 0, SEEK_END), 6);
    close(fd);
}

static int failing_sync(int fd, bool data_only)
{
    (void)fd;
    (void)data_only;
    errno = EIO;
    return -1;
}

/* Who undoes it removes what was missing, from the uppermost on, and nothing else. */
static void folders_are_made_and_told_of(void **state)
{
    struct ps_disk_ops failing = ps_disk_real;
    char folder[256], path[300];
    size_t made = 99;
    (void)state;
    name_scratch(folder);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    assert_int_equal(ps_disk_make_folders(path, 0700, &made), 0);
    assert_int_equal(made, strlen(folder) + strlen("/a"));
    assert_int_equal(ps_disk_make_folders(path, 0700, &made), 0);
    assert_int_equal(made, 0);
    failing.sync = failing_sync;
    ps_disk_set(&failing); /* whoever made the last one may not have come to its sync */
    assert_int_equal(ps_disk_make_folders(path, 0700, &made), -1);
    assert_int_equal(errno, EIO);
    ps_disk_set(&ps_disk_real);
    for (char *slash; (slash = strrchr(path, '/')) > path + strlen(folder) - 1; *slash = '\0')
        assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted_calls_begin_again),
        cmocka_unit_test(a_write_that_ends_early_says_why),
        cmocka_unit_test(folders_are_made_and_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
