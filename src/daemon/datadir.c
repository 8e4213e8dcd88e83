/* datadir.c - see datadir.h.  SPDX-License-Identifier: MIT */
#include "daemon/datadir.h"

#include "base/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int ps_datadir_init(struct ps_datadir *d, const char *path, struct ps_err *e)
{
    *d = (struct ps_datadir){.lock_fd = -1, .folder_fd = -1};
    if (strlen(path) >= sizeof d->path)
        return ps_fail(e, PS_EINVAL, "data_dir: the path is longer than %zu bytes",
                       sizeof d->path - 1);
    snprintf(d->path, sizeof d->path, "%s", path);
    snprintf(d->database, sizeof d->database, "%s/pathstats.db", path);
    snprintf(d->kv, sizeof d->kv, "%s/kv.db", path);
    snprintf(d->queue, sizeof d->queue, "%s/queue", path);
    snprintf(d->secret, sizeof d->secret, "%s/secret", path);
    snprintf(d->lock, sizeof d->lock, "%s/lock", path);
    return 0;
}

int ps_datadir_require(const struct ps_datadir *d, struct ps_err *e)
{
    if (access(d->database, R_OK) == 0)
        return 0;
    if (errno == ENOENT)
        return ps_fail(e, PS_ENOENT,
                       "%s holds no data yet: run `pathstats serve` or `pathstats import FILE`, or "
                       "name another folder with --data-dir",
                       d->path);
    return ps_fail(e, errno == EACCES ? PS_EDENIED : PS_EIO, "%s: %s", d->database,
                   strerror(errno));
}

bool ps_datadir_has_data(const struct ps_datadir *d)
{
    struct stat st;
    const struct dirent *entry;
    bool found = stat(d->database, &st) == 0 && st.st_size > 0;
    DIR *queue = found ? NULL : opendir(d->queue);
    while (!found && queue != NULL && (entry = readdir(queue)) != NULL)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (queue != NULL)
        closedir(queue);
    return found;
}

/* *ret_made: the length of the uppermost folder on the way that was not there; 0 when the last one
 * was. */
static int make_folders(const char *path, size_t *ret_made, struct ps_err *e)
{
    if (ps_disk_make_folders(path, 0750, ret_made) < 0)
        return ps_fail(e, errno == EACCES ? PS_EDENIED : PS_EIO, "cannot make the folder %s: %s",
                       path, strerror(errno));
    return 0;
}

static void read_note(int fd, char to[PS_DATADIR_NOTE_MAX])
{
    ssize_t n = ps_disk_read(fd, to, PS_DATADIR_NOTE_MAX - 1, 0);
    to[n > 0 ? n : 0] = '\0';
    to[strcspn(to, "\n")] = '\0';
}

static int fail_file(struct ps_err *e, const char *file)
{
    return ps_fail(e, errno == EACCES ? PS_EDENIED : PS_EIO, "%s: %s", file, strerror(errno));
}

static int fail_held(const struct ps_datadir *d, struct ps_err *e)
{
    char note[PS_DATADIR_NOTE_MAX] = "";
    int fd = ps_disk_open(AT_FDCWD, d->lock, O_RDONLY, 0);
    if (fd >= 0) {
        read_note(fd, note);
        close(fd);
    }
    return ps_fail(
        e, PS_EBUSY,
        "%s is in use by another pathstats%s%s: stop that one, or choose another "
        "--data-dir",
        d->path, note[0] != '\0' ? ", which listens on " : ", which does not say where it listens",
        note);
}

/* Some disks cannot lock a folder (on NFS a lock needs a descriptor to write with). */
static int lock_folder(struct ps_datadir *d, struct ps_err *e)
{
    d->folder_fd = ps_disk_open(AT_FDCWD, d->path, O_RDONLY | O_DIRECTORY, 0);
    if (d->folder_fd < 0)
        return fail_file(e, d->path);
    d->folder_held = flock(d->folder_fd, LOCK_EX | LOCK_NB) == 0;
    return d->folder_held || errno != EWOULDBLOCK ? 0 : fail_held(d, e);
}

static int lock_file(struct ps_datadir *d, struct ps_err *e)
{
    int fd = ps_disk_open(AT_FDCWD, d->lock, O_RDWR | O_CREAT, 0640), r = 0;
    if (fd < 0)
        return fail_file(e, d->lock);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        r = fail_held(d, e);
    else if (ps_disk_truncate(fd, 0) < 0)
        r = fail_file(e, d->lock);
    if (r < 0) {
        close(fd);
        return r;
    }
    if (d->lock_fd >= 0) /* of a file that was removed */
        close(d->lock_fd);
    d->lock_fd = fd;
    return 0;
}

int ps_datadir_lock(struct ps_datadir *d, struct ps_err *e)
{
    int r = make_folders(d->path, &d->made, e);
    if (r == 0)
        r = lock_folder(d, e);
    if (r == 0)
        r = lock_file(d, e);
    if (r < 0)
        ps_datadir_unlock(d);
    return r;
}

int ps_datadir_note(struct ps_datadir *d, const char *listening, struct ps_err *e)
{
    char line[PS_DATADIR_NOTE_MAX];
    int n = snprintf(line, sizeof line, "%s\n", listening);
    if (ps_disk_write(d->lock_fd, line, (size_t)n, 0) < 0)
        return ps_fail(e, PS_EIO, "%s: %s", d->lock, strerror(errno));
    return 0;
}

/* 1: somebody holds it. 0: nobody, or it is not there. */
static int is_held(const char *path, int flags, char ret_note[PS_DATADIR_NOTE_MAX],
                   struct ps_err *e)
{
    int fd = ps_disk_open(AT_FDCWD, path, O_RDONLY | flags, 0);
    if (fd < 0)
        return errno == ENOENT ? 0 : ps_fail(e, PS_EIO, "%s: %s", path, strerror(errno));
    int held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    if (ret_note != NULL)
        read_note(fd, ret_note);
    close(fd);
    return held;
}

int ps_datadir_holder(const struct ps_datadir *d, char ret[PS_DATADIR_NOTE_MAX], struct ps_err *e)
{
    ret[0] = '\0';
    int file = is_held(d->lock, 0, ret, e);
    return file != 0 ? file : is_held(d->path, O_DIRECTORY, NULL, e);
}

/* --- is it still there? --- */

static void name_part(const struct ps_datadir *d, enum ps_datadir_part part,
                      char to[PS_DATADIR_PATH_MAX + 8])
{
    const char *const names[PS_DATADIR_PARTS] = {
        [PS_DATADIR_FOLDER] = d->path,       [PS_DATADIR_LOCK] = d->lock,
        [PS_DATADIR_DATABASE] = d->database, [PS_DATADIR_LOG] = d->database,
        [PS_DATADIR_QUEUE] = d->queue,
    };
    snprintf(to, PS_DATADIR_PATH_MAX + 8, "%s%s", names[part],
             part == PS_DATADIR_LOG ? "-wal" : "");
}

static void remember(struct ps_datadir *d, enum ps_datadir_part part)
{
    char path[PS_DATADIR_PATH_MAX + 8];
    struct stat st;
    name_part(d, part, path);
    int r = part == PS_DATADIR_FOLDER ? fstat(d->folder_fd, &st)
            : part == PS_DATADIR_LOCK ? fstat(d->lock_fd, &st)
                                      : stat(path, &st);
    d->parts[part].device = r == 0 ? st.st_dev : 0;
    d->parts[part].inode = r == 0 ? st.st_ino : 0;
}

void ps_datadir_remember(struct ps_datadir *d)
{
    for (unsigned i = 0; i < PS_DATADIR_PARTS; i++)
        remember(d, i);
}

int ps_datadir_look(struct ps_datadir *d, struct ps_err *e)
{
    char path[PS_DATADIR_PATH_MAX + 8];
    struct stat st;
    int remade = 0;
    for (unsigned i = 0; i < PS_DATADIR_PARTS; i++) {
        name_part(d, i, path);
        int r = stat(path, &st);
        bool gone = r < 0 ? errno == ENOENT || errno == ENOTDIR
                          : st.st_dev != d->parts[i].device || st.st_ino != d->parts[i].inode;
        if (d->parts[i].inode == 0 || !gone)
            continue;
        if (i != PS_DATADIR_LOCK || !d->folder_held || lock_file(d, NULL) < 0)
            return ps_fail(e, PS_ENOENT, "%s was removed or replaced while it was in use", path);
        remember(d, i);
        remade = 1;
    }
    return remade;
}

/* --- taking it back --- */

/* What this program puts into its folder. Whatever else is there stays, and so does the folder. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"pathstats.db", "kv.db", "secret", "lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0) /* pathstats.db-wal, secret.tmp */
            return true;
    return false;
}

static void remove_files(const char *path, bool all)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && (all || is_ours(entry->d_name)))
            ps_disk_unlink(dirfd(folder), entry->d_name);
    closedir(folder);
}

void ps_datadir_undo(struct ps_datadir *d)
{
    char part[PS_DATADIR_PATH_MAX];
    if (d->made == 0 || d->lock_fd < 0)
        return;
    remove_files(d->queue, true);
    ps_disk_rmdir(AT_FDCWD, d->queue);
    snprintf(part, sizeof part, "%s/objects", d->path);
    ps_disk_rmdir(AT_FDCWD, part);   /* an empty one: a day archived is not nothing */
    ps_disk_unlink(AT_FDCWD, d->kv); /* before the database that it knows of */
    remove_files(d->path, false);
    snprintf(part, sizeof part, "%s", d->path);
    while (strlen(part) >= d->made &&
           ps_disk_rmdir(AT_FDCWD, part) == 0) { /* one with anything in it stays */
        char *slash = strrchr(part, '/');
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    d->made = 0;
}

void ps_datadir_unlock(struct ps_datadir *d)
{
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    if (d->folder_fd >= 0)
        close(d->folder_fd);
    d->lock_fd = d->folder_fd = -1;
    d->folder_held = false;
}
