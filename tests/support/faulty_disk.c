/* faulty_disk.c - see faulty_disk.h.  SPDX-License-Identifier: MIT */
#include "support/faulty_disk.h"

#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TRACKED_MAX = 4096 };

static struct faulty_plan plan;
static struct faulty_control own_control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool tracked[TRACKED_MAX];     /* by descriptor */
static bool tracked_dir[TRACKED_MAX]; /* and it is a folder */
static bool fired, full_next, kill_after;
static uint64_t number;

const char *faulty_kind_name(enum faulty_kind kind)
{
    static const char *const names[FAULT_COUNT] = {
        "none",  "EIO",   "ENOSPC",      "EDQUOT",     "EMFILE",
        "EINTR", "short", "kill before", "kill after", "no memory"};
    return names[kind];
}

bool faulty_call_changes(enum faulty_call call)
{
    return call >= CALL_WRITE && call <= CALL_RMDIR;
}

/* --- which call fails --- */

bool faulty_can_befall(enum faulty_kind kind, enum faulty_call call, bool creates, bool of_sqlite)
{
    switch (kind) {
    case FAULT_EIO: return true;
    case FAULT_ENOSPC:
    case FAULT_EDQUOT:
        return creates || call == CALL_WRITE || call == CALL_SYNC || call == CALL_MKDIR ||
               call == CALL_LINK || call == CALL_RENAME;
    case FAULT_EMFILE: return call == CALL_OPEN || call == CALL_SHARED_MEMORY;
    case FAULT_EINTR: return !of_sqlite; /* its VFS begins again by itself */
    case FAULT_SHORT: return call == CALL_WRITE;
    case FAULT_KILL_BEFORE:
    case FAULT_KILL_AFTER: return creates || faulty_call_changes(call);
    default: return false;
    }
}

static _Noreturn void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

enum faulty_kind faulty_enter(enum faulty_call call, bool creates, bool of_sqlite)
{
    pthread_mutex_lock(&lock);
    enum faulty_kind kind = FAULT_NONE;
    number = atomic_fetch_add(&plan.control->calls, 1) + 1;
    if (full_next && call == CALL_WRITE) {
        full_next = false;
        kind = FAULT_ENOSPC;
    } else if (plan.at != 0 && number >= plan.at && (!fired || plan.lasting) &&
               !plan.control->lifted && faulty_can_befall(plan.kind, call, creates, of_sqlite)) {
        fired = true;
        kind = plan.kind;
        atomic_fetch_add(&plan.control->fired, 1);
    }
    if (kind == FAULT_KILL_BEFORE)
        die();
    kill_after = kind == FAULT_KILL_AFTER;
    full_next = full_next || kind == FAULT_SHORT;
    return kind == FAULT_KILL_AFTER ? FAULT_NONE : kind;
}

static void put_record(int journal, const struct faulty_record *record, const char *path,
                       const void *bytes)
{
    static const char zeros[FAULTY_RECORD_ALIGN];
    size_t len = sizeof *record + record->path_len + record->len;
    size_t whole = faulty_record_size(record);
    struct iovec parts[] = {{(void *)record, sizeof *record},
                            {(void *)path, record->path_len},
                            {(void *)bytes, record->len},
                            {(void *)zeros, whole - len}};
    if (writev(journal, parts, 4) != (ssize_t)whole) {
        perror("the journal");
        abort();
    }
}

void faulty_leave(enum faulty_call call, uint32_t handle, int64_t at, const char *path,
                  uint32_t path_len, const void *bytes, uint32_t len)
{
    struct faulty_record record = {call, handle, number, at, path_len, len};
    if (plan.journal >= 0)
        put_record(plan.journal, &record, path, bytes);
    if (kill_after)
        die();
    pthread_mutex_unlock(&lock);
}

void faulty_leave_failed(void)
{
    int kept = errno;
    if (kill_after)
        die();
    pthread_mutex_unlock(&lock);
    errno = kept;
}

void faulty_disk_mark(int journal, const char *text)
{
    struct faulty_record record = {.call = CALL_MARK, .path_len = (uint32_t)strlen(text)};
    put_record(journal, &record, text, NULL);
}

/* --- paths --- */

bool faulty_is_ours(const char *path)
{
    size_t len = strlen(plan.root);
    return strncmp(path, plan.root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* "a/./b/../c" as "a/c": there are no symbolic links in a test's folder. */
static void tidy(char *path)
{
    char *to = path;
    for (const char *at = path; *at != '\0';) {
        size_t len = strcspn(at + 1, "/") + 1;
        if (len == 3 && memcmp(at, "/..", 3) == 0) {
            while (to > path && *--to != '/')
                continue;
        } else if (len > 2 || (len == 2 && at[1] != '.')) {
            memmove(to, at, len);
            to += len;
        }
        at += len;
    }
    *to = '\0';
}

static bool find_path(int dir, const char *path, char ret[PATH_MAX])
{
    char link[64], folder[PATH_MAX] = "";
    if (path[0] != '/' && dir == AT_FDCWD) {
        if (getcwd(folder, sizeof folder) == NULL)
            return false;
    } else if (path[0] != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(link, folder, sizeof folder - 1);
        folder[n < 0 ? 0 : n] = '\0';
    }
    if (snprintf(ret, PATH_MAX, "%s/%s", folder, path) >= PATH_MAX)
        return false;
    tidy(ret);
    return faulty_is_ours(ret);
}

static bool is_tracked(int fd)
{
    return fd >= 0 && fd < TRACKED_MAX && tracked[fd];
}

static int fail_with(enum faulty_kind kind)
{
    static const int numbers[FAULT_COUNT] = {
        [FAULT_EIO] = EIO,       [FAULT_ENOSPC] = ENOSPC, [FAULT_EDQUOT] = EDQUOT,
        [FAULT_EMFILE] = EMFILE, [FAULT_EINTR] = EINTR,
    };
    errno = numbers[kind];
    faulty_leave_failed();
    return -1;
}

/* --- the calls --- */

static int faulty_open(int dir, const char *path, int flags, mode_t mode)
{
    char whole[PATH_MAX];
    bool ours = find_path(dir, path, whole);
    if (!ours) {
        int fd = ps_disk_real.open(dir, path, flags, mode);
        if (fd >= 0 && fd < TRACKED_MAX)
            tracked[fd] = false;
        return fd;
    }
    bool creates = (flags & O_CREAT) != 0;
    enum faulty_kind kind = faulty_enter(CALL_OPEN, creates, false);
    if (kind != FAULT_NONE)
        return fail_with(kind);
    int fd = ps_disk_real.open(dir, path, flags, mode);
    if (fd < 0 || fd >= TRACKED_MAX) {
        faulty_leave_failed();
        return fd;
    }
    tracked[fd] = true;
    tracked_dir[fd] = (flags & O_DIRECTORY) != 0;
    faulty_leave(CALL_OPEN, (uint32_t)fd, flags, whole, (uint32_t)strlen(whole), NULL, 0);
    return fd;
}

static ssize_t faulty_read(int fd, void *to, size_t len, off_t at)
{
    if (!is_tracked(fd))
        return ps_disk_real.read(fd, to, len, at);
    enum faulty_kind kind = faulty_enter(CALL_READ, false, false);
    if (kind != FAULT_NONE)
        return fail_with(kind);
    ssize_t n = ps_disk_real.read(fd, to, len, at);
    faulty_leave(CALL_READ, (uint32_t)fd, at, "", 0, NULL, 0);
    return n;
}

static ssize_t faulty_write(int fd, const void *from, size_t len, off_t at)
{
    if (!is_tracked(fd))
        return ps_disk_real.write(fd, from, len, at);
    enum faulty_kind kind = faulty_enter(CALL_WRITE, false, false);
    if (kind != FAULT_NONE && kind != FAULT_SHORT)
        return fail_with(kind);
    ssize_t n = ps_disk_real.write(fd, from, kind == FAULT_SHORT ? (len + 1) / 2 : len, at);
    if (n < 0)
        faulty_leave_failed();
    else
        faulty_leave(CALL_WRITE, (uint32_t)fd, at, "", 0, from, (uint32_t)n);
    return n;
}

static int faulty_truncate(int fd, off_t size)
{
    if (!is_tracked(fd))
        return ps_disk_real.truncate(fd, size);
    enum faulty_kind kind = faulty_enter(CALL_TRUNCATE, false, false);
    if (kind != FAULT_NONE)
        return fail_with(kind);
    int r = ps_disk_real.truncate(fd, size);
    if (r < 0)
        faulty_leave_failed();
    else
        faulty_leave(CALL_TRUNCATE, (uint32_t)fd, size, "", 0, NULL, 0);
    return r;
}

static int faulty_sync(int fd, bool data_only)
{
    char path[PATH_MAX] = "";
    if (!is_tracked(fd))
        return ps_disk_real.sync(fd, data_only);
    bool folder = tracked_dir[fd];
    enum faulty_kind kind = faulty_enter(CALL_SYNC, false, false);
    if (kind == FAULT_EINTR)
        return fail_with(kind);
    if (folder)
        find_path(fd, ".", path);
    if (kind != FAULT_NONE) { /* reported once, and gone: a second sync would succeed */
        if (!folder)
            faulty_leave(CALL_SYNC_FAILED, (uint32_t)fd, 0, "", 0, NULL, 0);
        else
            faulty_leave_failed();
        errno = kind == FAULT_EIO ? EIO : kind == FAULT_EDQUOT ? EDQUOT : ENOSPC;
        return -1;
    }
    faulty_leave(folder ? CALL_SYNC_FOLDER : CALL_SYNC, (uint32_t)fd, 0, path,
                 (uint32_t)strlen(path), NULL, 0);
    return 0;
}

static int faulty_mkdir(int dir, const char *path, mode_t mode)
{
    char whole[PATH_MAX];
    if (!find_path(dir, path, whole))
        return ps_disk_real.mkdir(dir, path, mode);
    enum faulty_kind kind = faulty_enter(CALL_MKDIR, false, false);
    if (kind != FAULT_NONE)
        return fail_with(kind);
    int r = ps_disk_real.mkdir(dir, path, mode);
    if (r < 0)
        faulty_leave_failed();
    else
        faulty_leave(CALL_MKDIR, 0, 0, whole, (uint32_t)strlen(whole), NULL, 0);
    return r;
}

/* Both names in one. */
static uint32_t join(char to[2 * PATH_MAX], const char *a, const char *b)
{
    size_t len_a = strlen(a) + 1, len_b = strlen(b);
    memcpy(to, a, len_a);
    memcpy(to + len_a, b, len_b);
    return (uint32_t)(len_a + len_b);
}

static int faulty_link(int dir, const char *from, const char *to)
{
    char a[PATH_MAX], b[PATH_MAX], both[2 * PATH_MAX];
    if (!find_path(dir, from, a) || !find_path(dir, to, b))
        return ps_disk_real.link(dir, from, to);
    enum faulty_kind kind = faulty_enter(CALL_LINK, false, false);
    if (kind != FAULT_NONE)
        return fail_with(kind);
    int r = ps_disk_real.link(dir, from, to);
    if (r < 0)
        faulty_leave_failed();
    else
        faulty_leave(CALL_LINK, 0, 0, both, join(both, a, b), NULL, 0);
    return r;
}

static int faulty_rename(int dir, const char *from, const char *to, unsigned flags)
{
    char a[PATH_MAX], b[PATH_MAX], both[2 * PATH_MAX];
    if (!find_path(dir, from, a) || !find_path(dir, to, b))
        return ps_disk_real.rename(dir, from, to, flags);
    enum faulty_kind kind = faulty_enter(CALL_RENAME, false, false);
    if (kind != FAULT_NONE)
        return fail_with(kind);
    int r = ps_disk_real.rename(dir, from, to, flags);
    if (r < 0)
        faulty_leave_failed();
    else
        faulty_leave(CALL_RENAME, 0, 0, both, join(both, a, b), NULL, 0);
    return r;
}

static int faulty_unlink(int dir, const char *path, int flags)
{
    char whole[PATH_MAX];
    if (!find_path(dir, path, whole))
        return ps_disk_real.unlink(dir, path, flags);
    enum faulty_call call = (flags & AT_REMOVEDIR) != 0 ? CALL_RMDIR : CALL_UNLINK;
    enum faulty_kind kind = faulty_enter(call, false, false);
    if (kind != FAULT_NONE)
        return fail_with(kind);
    int r = ps_disk_real.unlink(dir, path, flags);
    if (r < 0)
        faulty_leave_failed();
    else
        faulty_leave(call, 0, 0, whole, (uint32_t)strlen(whole), NULL, 0);
    return r;
}

static const struct ps_disk_ops faulty = {
    .open = faulty_open,
    .read = faulty_read,
    .write = faulty_write,
    .truncate = faulty_truncate,
    .sync = faulty_sync,
    .mkdir = faulty_mkdir,
    .link = faulty_link,
    .rename = faulty_rename,
    .unlink = faulty_unlink,
};

void faulty_disk_install(const struct faulty_plan *p)
{
    plan = *p;
    if (plan.control == NULL)
        plan.control = &own_control;
    fired = full_next = kill_after = false;
    number = 0;
    atomic_store(&plan.control->calls, 0);
    memset(tracked, 0, sizeof tracked);
    ps_disk_set(&faulty);
    faulty_vfs_install();
}

void faulty_disk_remove(void)
{
    ps_disk_set(&ps_disk_real);
}
