/* disk.h - the one door to the disk for what we write ourselves: the queue, its dead letters,
 * objects in a folder, the secret, the lock. (SQLite has a door of its own, its VFS.)
 *
 * The functions are the system calls of the same names, without what every caller would have to
 * repeat: they begin again when a signal interrupts them, and ps_disk_write writes all or fails.
 * A failure is -1 and errno. Paths are relative to `dir`, a folder's descriptor or AT_FDCWD;
 * close(2), fstat(2) and flock(2) need no door.
 *
 * Behind it is a table, so that a test can put a disk there that fails, stops in the middle, or
 * loses what was not synced. It is set before there are threads, and never in production.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_DISK_H
#define PS_BASE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Each as the system call: may be interrupted, may read or write less than it was asked to. */
struct ps_disk_ops {
    int (*open)(int dir, const char *path, int flags, mode_t mode);
    ssize_t (*read)(int fd, void *to, size_t len, off_t at);
    ssize_t (*write)(int fd, const void *from, size_t len, off_t at);
    int (*truncate)(int fd, off_t size);
    int (*sync)(int fd, bool data_only); /* data_only: fdatasync, else fsync */
    int (*mkdir)(int dir, const char *path, mode_t mode);
    int (*link)(int dir, const char *from, const char *to);
    int (*rename)(int dir, const char *from, const char *to, unsigned flags); /* of renameat2 */
    int (*unlink)(int dir, const char *path, int flags);
};

/* The system calls themselves. */
extern const struct ps_disk_ops ps_disk_real;
/* From now on, calls go to `ops`. */
void ps_disk_set(const struct ps_disk_ops *ops);

/* Does this errno say that there is no room: on the disk, in a quota, below a limit on sizes? */
bool ps_disk_is_full(int number);

int ps_disk_open(int dir, const char *path, int flags, mode_t mode);
/* Up to `len` bytes from `at` on, fewer only where the file ends: their number. */
ssize_t ps_disk_read(int fd, void *to, size_t len, off_t at);
/* All bytes, or -1; then some of them may be in the file. */
int ps_disk_write(int fd, const void *from, size_t len, off_t at);
int ps_disk_truncate(int fd, off_t size);
/* The content, and of the rest what is needed to read it again. */
int ps_disk_sync_data(int fd);
/* Everything, times and mode as well. */
int ps_disk_sync(int fd);
/* The names in a folder: what was made, renamed or removed there. "." is `dir` itself. */
int ps_disk_sync_folder(int dir, const char *path);
int ps_disk_mkdir(int dir, const char *path, mode_t mode);
/* A folder and all above it that are missing, durably: each has its name synced into the one above.
 * The last one may have been made by a process that died before that, so its name is synced in any
 * case, if the folder above may be read. *ret_made (may be NULL): the length in `path` of the
 * uppermost folder that was missing, 0 when none was; also after a failure. */
int ps_disk_make_folders(const char *path, mode_t mode, size_t *ret_made);
int ps_disk_link(int dir, const char *from, const char *to);
int ps_disk_rename(int dir, const char *from, const char *to);
/* EEXIST instead of replacing what has the name; not every disk can (EINVAL). */
int ps_disk_rename_new(int dir, const char *from, const char *to);
int ps_disk_unlink(int dir, const char *path);
int ps_disk_rmdir(int dir, const char *path);

#endif
