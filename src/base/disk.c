/* disk.c - see disk.h.  SPDX-License-Identifier: MIT */
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int real_open(int dir, const char *path, int flags, mode_t mode)
{
    return openat(dir, path, flags | O_CLOEXEC, mode);
}

static int real_sync(int fd, bool data_only)
{
    return data_only ? fdatasync(fd) : fsync(fd);
}

static int real_link(int dir, const char *from, const char *to)
{
    return linkat(dir, from, dir, to, 0);
}

static int real_rename(int dir, const char *from, const char *to, unsigned flags)
{
    return flags == 0 ? renameat(dir, from, dir, to) : renameat2(dir, from, dir, to, flags);
}

const struct ps_disk_ops ps_disk_real = {
    .open = real_open,
    .read = pread,
    .write = pwrite,
    .truncate = ftruncate,
    .sync = real_sync,
    .mkdir = mkdirat,
    .link = real_link,
    .rename = real_rename,
    .unlink = unlinkat,
};

static const struct ps_disk_ops *disk = &ps_disk_real;

void ps_disk_set(const struct ps_disk_ops *ops)
{
    disk = ops;
}

bool ps_disk_is_full(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

int ps_disk_open(int dir, const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = disk->open(dir, path, flags, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

ssize_t ps_disk_read(int fd, void *to, size_t len, off_t at)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = disk->read(fd, (char *)to + done, len - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int ps_disk_write(int fd, const void *from, size_t len, off_t at)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = disk->write(fd, (const char *)from + done, len - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0) { /* no disk should; without progress, the usual reason is room */
            errno = ENOSPC;
            return -1;
        }
        done += (size_t)n;
    }
    return 0;
}

int ps_disk_truncate(int fd, off_t size)
{
    int r;
    do
        r = disk->truncate(fd, size);
    while (r < 0 && errno == EINTR);
    return r;
}

/* Interrupted, a sync has not taken the error it will report: calling again is safe. */
static int sync_again(int fd, bool data_only)
{
    int r;
    do
        r = disk->sync(fd, data_only);
    while (r < 0 && errno == EINTR);
    return r;
}

int ps_disk_sync_data(int fd)
{
    return sync_again(fd, true);
}

int ps_disk_sync(int fd)
{
    return sync_again(fd, false);
}

int ps_disk_sync_folder(int dir, const char *path)
{
    int fd = ps_disk_open(dir, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return -1;
    int r = sync_again(fd, false), number = errno;
    close(fd);
    errno = number;
    return r;
}

int ps_disk_mkdir(int dir, const char *path, mode_t mode)
{
    int r;
    do
        r = disk->mkdir(dir, path, mode);
    while (r < 0 && errno == EINTR);
    return r;
}

/* "path/.." is the folder above, whatever the path looks like. */
static int sync_name_of(const char *path)
{
    char above[PATH_MAX + 4];
    snprintf(above, sizeof above, "%s/..", path);
    return ps_disk_sync_folder(AT_FDCWD, above);
}

int ps_disk_make_folders(const char *path, mode_t mode, size_t *ret_made)
{
    size_t first = 0;
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (char *slash = part; slash != NULL;) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL)
            *slash = '\0';
        bool made = ps_disk_mkdir(AT_FDCWD, part, mode) == 0;
        first = made && first == 0 ? strlen(part) : first;
        if (ret_made != NULL)
            *ret_made = first;
        if (!made && errno != EEXIST)
            return -1;
        if ((made || slash == NULL) && sync_name_of(part) < 0 && (made || errno != EACCES))
            return -1;
        if (slash != NULL)
            *slash = '/';
    }
    return 0;
}

int ps_disk_link(int dir, const char *from, const char *to)
{
    int r;
    do
        r = disk->link(dir, from, to);
    while (r < 0 && errno == EINTR);
    return r;
}

static int rename_again(int dir, const char *from, const char *to, unsigned flags)
{
    int r;
    do
        r = disk->rename(dir, from, to, flags);
    while (r < 0 && errno == EINTR);
    return r;
}

int ps_disk_rename(int dir, const char *from, const char *to)
{
    return rename_again(dir, from, to, 0);
}

int ps_disk_rename_new(int dir, const char *from, const char *to)
{
    return rename_again(dir, from, to, RENAME_NOREPLACE);
}

static int unlink_again(int dir, const char *path, int flags)
{
    int r;
    do
        r = disk->unlink(dir, path, flags);
    while (r < 0 && errno == EINTR);
    return r;
}

int ps_disk_unlink(int dir, const char *path)
{
    return unlink_again(dir, path, 0);
}

int ps_disk_rmdir(int dir, const char *path)
{
    return unlink_again(dir, path, AT_REMOVEDIR);
}
