/* objects.c - `dir`: objects are files below a folder.
 *
 * Whole or not at all: bytes go to a temporary file beside the target, are synced, and get their
 * name by rename. Durable: the folder of the new name is synced, and every folder above it up to
 * the root, because any of them may be new (or was made by a process that died before its sync).
 *
 * An upload is nothing but such a temporary file kept open between parts. What a crash leaves is
 * therefore one kind of thing, and abort_uploads removes it by its name.
 *
 * Invariant: a name without ".tmp-" has all of its bytes on the disk.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/dir/dir.h"

#include "backend/registry.h"
#include "base/check.h"
#include "base/disk.h"
#include "wrap/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 64 * 1024,
    FOLDER_MODE = 0777, /* the umask decides */
    FILE_MODE = 0666,
    CREATE_TRIES_MAX = 8,
};

struct ps_object_upload {
    struct dir *dir;
    int fd;
    uint64_t size; /* so far */
    char key[PS_OBJECT_KEY_MAX + 1];
    char path[DIR_PATH_MAX + 1];
};

int ps_dir_fail(struct ps_err *e, int number, const char *what, const char *path)
{
    int code = PS_EIO;
    switch (number) {
    case ENOENT: code = PS_ENOENT; break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EOVERFLOW: code = PS_EFULL; break;
    case EACCES:
    case EPERM:
    case EROFS: code = PS_EDENIED; break;
    case ENOMEM: code = PS_ENOMEM; break;
    case ENOTDIR: /* one key is the folder of another */
    case EISDIR:
    case ENOTEMPTY:
    case ELOOP:
    case ENAMETOOLONG: code = PS_EINVAL; break;
    default: break;
    }
    return ps_fail(e, code, "objects: %s %s: %s", what, path, strerror(number));
}

/* --- the root --------------------------------------------------------------------------------- */

static int dir_open(struct ps_objects **ret, const struct ps_objects_config *config,
                    struct ps_err *e)
{
    const char *path = config->target;
    if (ps_disk_make_folders(path, FOLDER_MODE, NULL) < 0)
        return ps_dir_fail(e, errno, "make folder", path);
    struct dir *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return ps_fail(e, PS_ENOMEM, "objects: no memory");
    d->root = ps_disk_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (d->root < 0) {
        int failed = ps_dir_fail(e, errno, "open folder", config->target);
        free(d);
        return failed;
    }
    *ret = &d->base;
    return 0;
}

static void dir_close(struct ps_objects *o)
{
    struct dir *d = (struct dir *)o;
    close(d->root);
    free(d);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The folders of `path`, made when missing; negative errno. */
static int make_folders(struct dir *d, const char *path)
{
    char folder[DIR_PATH_MAX + 1];
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        memcpy(folder, path, (size_t)(slash - path));
        folder[slash - path] = '\0';
        if (ps_disk_mkdir(d->root, folder, FOLDER_MODE) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

/* The folder of `path` and all above it; negative errno. One that is gone needs no sync. */
static int sync_folders(struct dir *d, const char *path)
{
    char folder[DIR_PATH_MAX + 1];
    strcpy(folder, path);
    for (char *slash; (slash = strrchr(folder, '/')) != NULL;) {
        *slash = '\0';
        if (ps_disk_sync_folder(d->root, folder) < 0 && errno != ENOENT)
            return -errno;
    }
    return ps_disk_sync(d->root) < 0 ? -errno : 0;
}

/* Unlinks, and removes the folders that became empty: else a folder of keys long gone would stand
 * in the way of a key with its name. Negative errno. */
static int remove_file(struct dir *d, const char *path)
{
    char folder[DIR_PATH_MAX + 1];
    if (ps_disk_unlink(d->root, path) < 0)
        return -errno;
    strcpy(folder, path);
    for (char *slash; (slash = strrchr(folder, '/')) != NULL;) {
        *slash = '\0';
        if (ps_disk_rmdir(d->root, folder) < 0)
            break;
    }
    return 0;
}

/* Another process may remove an empty folder between our making it and using it. Negative errno. */
static int create_temporary(struct dir *d, const char *path)
{
    int r = 0;
    for (int i = 0; i < CREATE_TRIES_MAX; i++) {
        r = make_folders(d, path);
        if (r == 0) {
            int fd = ps_disk_open(d->root, path, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE);
            r = fd < 0 ? -errno : fd;
        }
        if (r != -ENOENT)
            break;
    }
    return r;
}

static int dir_upload_begin(struct ps_objects *o, const char *key, struct ps_object_upload **ret,
                            struct ps_err *e)
{
    struct dir *d = (struct dir *)o;
    const char *slash = strrchr(key, '/');
    int folder_len = slash == NULL ? 0 : (int)(slash + 1 - key);
    char random[17] = "";
    struct ps_object_upload *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return ps_fail(e, PS_ENOMEM, "objects: no memory");
    u->dir = d;
    strcpy(u->key, key);
    ps_format_hex64(random, ps_random64());
    snprintf(u->path, sizeof(u->path), "%.*s" DIR_TEMPORARY "%s-%s", folder_len, key, random,
             key + folder_len);
    u->fd = create_temporary(d, u->path);
    if (u->fd < 0) {
        int failed = ps_dir_fail(e, -u->fd, "create", key);
        free(u);
        return failed;
    }
    *ret = u;
    return 0;
}

static int dir_upload_part(struct ps_object_upload *u, const void *bytes, size_t len,
                           struct ps_err *e)
{
    if (ps_disk_write(u->fd, bytes, len, (off_t)u->size) < 0)
        return ps_dir_fail(e, errno, "write", u->key);
    u->size += len;
    return 0;
}

static void free_upload(struct ps_object_upload *u)
{
    close(u->fd);
    free(u);
}

static int dir_upload_finish(struct ps_object_upload *u, struct ps_err *e)
{
    int root = u->dir->root;
    if (ps_disk_sync(u->fd) < 0)
        return ps_dir_fail(e, errno, "sync", u->key);
    if (ps_disk_rename(root, u->path, u->key) < 0)
        return ps_dir_fail(e, errno, "put in place", u->key);
    int number = -sync_folders(u->dir, u->key);
    if (number != 0)
        return ps_dir_fail(e, number, "sync the folder of", u->key);
    free_upload(u);
    return 0;
}

static void dir_upload_abort(struct ps_object_upload *u)
{
    (void)remove_file(u->dir, u->path); /* else abort_uploads finds it */
    free_upload(u);
}

static int dir_put(struct ps_objects *o, const char *key, const void *bytes, size_t len,
                   struct ps_err *e)
{
    struct ps_object_upload *u = NULL;
    int r = dir_upload_begin(o, key, &u, e);
    if (r < 0)
        return r;
    r = dir_upload_part(u, bytes, len, e);
    if (r == 0)
        r = dir_upload_finish(u, e);
    if (r < 0)
        dir_upload_abort(u);
    return r;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* O_NONBLOCK: a FIFO that somebody put there must not hang us. */
static int open_object(struct dir *d, const char *key, struct stat *st, struct ps_err *e)
{
    int fd = ps_disk_open(d->root, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) /* behind a file, or a symbolic link: no object of ours */
        return ps_dir_fail(e, errno == ENOTDIR || errno == ELOOP ? ENOENT : errno, "open", key);
    int r = 0;
    if (fstat(fd, st) < 0)
        r = ps_dir_fail(e, errno, "look at", key);
    else if (!S_ISREG(st->st_mode))
        r = ps_fail(e, PS_ENOENT, "objects: %s is not a file", key);
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

static int read_pieces(int fd, const char *key, uint64_t size, ps_object_bytes_fn *fn, void *ctx,
                       struct ps_err *e)
{
    char piece[PIECE_BYTES];
    for (uint64_t at = 0; at < size;) {
        uint64_t left = size - at;
        ssize_t n =
            ps_disk_read(fd, piece, left < sizeof(piece) ? (size_t)left : sizeof(piece), (off_t)at);
        if (n < 0)
            return ps_dir_fail(e, errno, "read", key);
        if (n == 0)
            return ps_fail(e, PS_EIO, "objects: %s ends %llu bytes early", key,
                           (unsigned long long)left);
        int r = fn(ctx, piece, (size_t)n);
        if (r < 0)
            return r;
        at += (uint64_t)n;
    }
    return 0;
}

static int dir_get(struct ps_objects *o, const char *key, ps_object_bytes_fn *fn, void *ctx,
                   struct ps_err *e)
{
    struct stat st;
    int fd = open_object((struct dir *)o, key, &st, e);
    if (fd < 0)
        return fd;
    int r = read_pieces(fd, key, (uint64_t)st.st_size, fn, ctx, e);
    close(fd);
    return r;
}

static int dir_head(struct ps_objects *o, const char *key, struct ps_object_info *ret,
                    struct ps_err *e)
{
    struct stat st;
    int fd = open_object((struct dir *)o, key, &st, e);
    if (fd < 0)
        return fd;
    close(fd);
    *ret = (struct ps_object_info){.size_bytes = (uint64_t)st.st_size};
    return 0;
}

struct listing {
    struct dir *dir;
    ps_object_fn *fn;
    void *ctx;
};

static int list_entry(void *ctx, const struct dir_entry *entry, struct ps_err *e)
{
    struct listing *l = ctx;
    struct stat st;
    if (entry->temporary)
        return 0;
    if (fstatat(l->dir->root, entry->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : ps_dir_fail(e, errno, "look at", entry->path);
    struct ps_object_info info = {.key = {entry->key, strlen(entry->key)},
                                  .size_bytes = (uint64_t)st.st_size};
    return l->fn(l->ctx, &info);
}

static int dir_list(struct ps_objects *o, const char *prefix, ps_object_fn *fn, void *ctx,
                    struct ps_err *e)
{
    struct dir *d = (struct dir *)o;
    struct listing l = {d, fn, ctx};
    return ps_dir_walk(d, prefix, list_entry, &l, e);
}

/* --- removing --------------------------------------------------------------------------------- */

static int dir_remove(struct ps_objects *o, const char *key, struct ps_err *e)
{
    struct dir *d = (struct dir *)o;
    int number = -remove_file(d, key);
    if (number == ENOENT || number == ENOTDIR || number == EISDIR)
        return 0;
    if (number != 0)
        return ps_dir_fail(e, number, "remove", key);
    number = -sync_folders(d, key);
    return number != 0 ? ps_dir_fail(e, number, "sync the folder of", key) : 0;
}

struct removal {
    struct dir *dir;
    int count;
};

static int remove_temporary(void *ctx, const struct dir_entry *entry, struct ps_err *e)
{
    struct removal *removal = ctx;
    if (!entry->temporary)
        return 0;
    int number = -remove_file(removal->dir, entry->path);
    if (number != 0 && number != ENOENT)
        return ps_dir_fail(e, number, "remove", entry->path);
    removal->count += number == 0;
    return 0;
}

static int dir_abort_uploads(struct ps_objects *o, const char *prefix, struct ps_err *e)
{
    struct removal removal = {.dir = (struct dir *)o};
    int r = ps_dir_walk(removal.dir, prefix, remove_temporary, &removal, e);
    return r < 0 ? r : removal.count;
}

const struct ps_objects_ops ps_objects_dir = {
    .name = "dir",
    .open = dir_open,
    .close = dir_close,
    .put = dir_put,
    .get = dir_get,
    .head = dir_head,
    .list = dir_list,
    .remove = dir_remove,
    .upload_begin = dir_upload_begin,
    .upload_part = dir_upload_part,
    .upload_finish = dir_upload_finish,
    .upload_abort = dir_upload_abort,
    .abort_uploads = dir_abort_uploads,
};
