/* walk.c - every file below the root, in the byte order of its key.
 *
 * The order of the keys is not the order of a folder's names: "a/b" lies between "a.b" and "a0". A
 * folder therefore takes part in the sort as "name/". One folder's names are held at a time per
 * level, each level's bounded by DIR_NAMES_MAX, and there are no more levels than a key can have.
 *
 * What is not ours (other file types, names no key can have, symbolic links) is passed over, and so
 * is what disappears between reading the folder and looking at the file.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/dir/dir.h"

#include "base/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
    struct dir *dir;
    const char *prefix;
    dir_entry_fn *fn;
    void *ctx;
    struct ps_err *e;
    char path[DIR_PATH_MAX + 2];
};

/* Names of one folder: NUL-terminated in `text`, and where each begins. */
struct names {
    struct ps_buf text;
    size_t *at, count;
};

static bool begins_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* The part of a temporary name that is the object's own, or NULL. */
static const char *named_in(const char *name)
{
    size_t digits = strlen(DIR_TEMPORARY);
    if (!begins_with(name, DIR_TEMPORARY) || strlen(name) <= DIR_TEMPORARY_LEN ||
        strspn(name + digits, "0123456789abcdef") != 16 || name[DIR_TEMPORARY_LEN - 1] != '-')
        return NULL;
    return name + DIR_TEMPORARY_LEN;
}

/* 'd' a folder, 'f' a file, 0 neither; negative errno. Some disks do not say it in the entry. */
static int type_of(int folder, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type == DT_DIR || entry->d_type == DT_REG)
        return entry->d_type == DT_DIR ? 'd' : 'f';
    if (entry->d_type != DT_UNKNOWN)
        return 0;
    if (fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    return S_ISDIR(st.st_mode) ? 'd' : S_ISREG(st.st_mode) ? 'f' : 0;
}

static int add_name(struct names *names, int folder, const struct dirent *entry)
{
    const char *own = named_in(entry->d_name);
    if (!ps_object_key_is_valid(own != NULL ? own : entry->d_name))
        return 0;
    int type = type_of(folder, entry);
    if (type <= 0 || (type == 'd' && own != NULL))
        return type < 0 ? type : 0;
    ps_buf_text(&names->text, entry->d_name);
    if (type == 'd')
        ps_buf_text(&names->text, "/");
    names->count++;
    return ps_buf_append(&names->text, "", 1) < 0 ? -EOVERFLOW : 0;
}

static int compare_names(const void *a, const void *b, void *text)
{
    return strcmp((char *)text + *(const size_t *)a, (char *)text + *(const size_t *)b);
}

static int sort_names(struct names *names)
{
    names->at = calloc(names->count > 0 ? names->count : 1, sizeof(*names->at));
    if (names->at == NULL)
        return -ENOMEM;
    const char *text = names->text.ptr;
    for (size_t i = 0, at = 0; i < names->count; i++, at += strlen(text + at) + 1)
        names->at[i] = at;
    if (names->count > 1)
        qsort_r(names->at, names->count, sizeof(*names->at), compare_names, names->text.ptr);
    return 0;
}

/* Negative errno; a folder that is gone has no names. */
static int read_names(int root, const char *path, struct names *names)
{
    int fd = ps_disk_open(root, path[0] == '\0' ? "." : path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return errno == ENOENT ? sort_names(names) : -errno;
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        int number = errno;
        close(fd);
        return -number;
    }
    int r = 0;
    for (struct dirent *entry; r == 0;) {
        errno = 0;
        if ((entry = readdir(folder)) == NULL) {
            r = -errno;
            break;
        }
        r = add_name(names, dirfd(folder), entry);
    }
    closedir(folder);
    return r < 0 ? r : sort_names(names);
}

static int visit_file(struct walk *w, size_t at)
{
    char key[PS_OBJECT_KEY_MAX + 1];
    const char *own = named_in(w->path + at);
    const char *last = own != NULL ? own : w->path + at;
    struct dir_entry entry = {.path = w->path, .key = key, .temporary = own != NULL};
    if (at + strlen(last) >= sizeof(key))
        return 0; /* too long for a key: not ours */
    memcpy(key, w->path, at);
    strcpy(key + at, last);
    return begins_with(key, w->prefix) ? w->fn(w->ctx, &entry, w->e) : 0;
}

static int visit_folder(struct walk *w, size_t at);

static int visit_name(struct walk *w, size_t at, const char *name)
{
    size_t len = strlen(name);
    if (at + len > DIR_PATH_MAX)
        return 0;
    memcpy(w->path + at, name, len + 1);
    if (name[len - 1] != '/')
        return visit_file(w, at);
    bool may_hold = begins_with(w->path, w->prefix) || begins_with(w->prefix, w->path);
    return may_hold ? visit_folder(w, at + len) : 0;
}

/* Depth: a level takes at least two of the path's DIR_PATH_MAX bytes. */
static int visit_folder(struct walk *w, size_t at)
{
    struct names names = {0};
    ps_buf_init(&names.text, DIR_NAMES_MAX);
    int r = read_names(w->dir->root, w->path, &names);
    if (r < 0)
        r = ps_dir_fail(w->e, -r, "read folder", w->path);
    for (size_t i = 0; i < names.count && r >= 0; i++)
        r = visit_name(w, at, names.text.ptr + names.at[i]);
    ps_buf_done(&names.text);
    free(names.at);
    return r;
}

int ps_dir_walk(struct dir *d, const char *prefix, dir_entry_fn *fn, void *ctx, struct ps_err *e)
{
    struct walk w = {.dir = d, .prefix = prefix, .fn = fn, .ctx = ctx, .e = e};
    int r = visit_folder(&w, 0);
    return r < 0 ? r : 0;
}
