/* faulty_vfs.c - SQLite's door to the faulty disk: a VFS over the one of the system, registered as
 * the default. Pages are read and written by calls, never through a mapping, so that all are seen.
 *
 * What SQLite asks of a power failure is kept as its own VFS keeps it: the first sync of a new
 * journal or WAL syncs its folder too, and a removal does when it is told to.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support/faulty_disk.h"

#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_HANDLE = 1 << 20 }; /* above every descriptor */

struct vfs_file {
    sqlite3_file base;
    sqlite3_file *real; /* follows this struct */
    bool ours, sync_folder;
    uint32_t handle;
    char *path; /* SQLite keeps it as long as the file is open */
};

static sqlite3_vfs shim, *real;

static struct vfs_file *file_of(sqlite3_file *f)
{
    return (struct vfs_file *)f;
}

static int failed(int code)
{
    faulty_leave_failed();
    return code;
}

static void leave_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    faulty_leave(CALL_SYNC_FOLDER, 0, 0, folder, (uint32_t)strlen(folder), NULL, 0);
}

static int close_file(sqlite3_file *f)
{
    return file_of(f)->real->pMethods->xClose(file_of(f)->real);
}

static int read_file(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
    struct vfs_file *file = file_of(f);
    if (!file->ours)
        return file->real->pMethods->xRead(file->real, to, len, at);
    if (faulty_enter(CALL_READ, false, true) != FAULT_NONE)
        return failed(SQLITE_IOERR_READ);
    int r = file->real->pMethods->xRead(file->real, to, len, at);
    faulty_leave(CALL_READ, file->handle, at, "", 0, NULL, 0);
    return r;
}

static int write_file(sqlite3_file *f, const void *from, int len, sqlite3_int64 at)
{
    struct vfs_file *file = file_of(f);
    if (!file->ours)
        return file->real->pMethods->xWrite(file->real, from, len, at);
    enum faulty_kind kind = faulty_enter(CALL_WRITE, false, true);
    if (kind == FAULT_ENOSPC)
        return failed(SQLITE_FULL);
    if (kind != FAULT_NONE && kind != FAULT_SHORT) /* of EDQUOT the system's VFS says no more */
        return failed(SQLITE_IOERR_WRITE);
    int n = kind == FAULT_SHORT ? (len + 1) / 2 : len;
    int r = file->real->pMethods->xWrite(file->real, from, n, at);
    if (r != SQLITE_OK)
        return failed(r);
    faulty_leave(CALL_WRITE, file->handle, at, "", 0, from, (uint32_t)n);
    return kind == FAULT_SHORT ? SQLITE_FULL : SQLITE_OK;
}

static int truncate_file(sqlite3_file *f, sqlite3_int64 size)
{
    struct vfs_file *file = file_of(f);
    if (!file->ours)
        return file->real->pMethods->xTruncate(file->real, size);
    if (faulty_enter(CALL_TRUNCATE, false, true) != FAULT_NONE)
        return failed(SQLITE_IOERR_TRUNCATE);
    int r = file->real->pMethods->xTruncate(file->real, size);
    if (r != SQLITE_OK)
        return failed(r);
    faulty_leave(CALL_TRUNCATE, file->handle, size, "", 0, NULL, 0);
    return r;
}

static int sync_file(sqlite3_file *f, int flags)
{
    struct vfs_file *file = file_of(f);
    if (!file->ours)
        return file->real->pMethods->xSync(file->real, flags);
    if (faulty_enter(CALL_SYNC, false, true) != FAULT_NONE) {
        faulty_leave(CALL_SYNC_FAILED, file->handle, 0, "", 0, NULL, 0);
        return SQLITE_IOERR_FSYNC;
    }
    faulty_leave(CALL_SYNC, file->handle, 0, "", 0, NULL, 0);
    if (file->sync_folder) {
        if (faulty_enter(CALL_SYNC, false, true) != FAULT_NONE)
            return failed(SQLITE_IOERR_DIR_FSYNC);
        leave_folder(file->path);
        file->sync_folder = false;
    }
    return SQLITE_OK;
}

static int map_shared(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    struct vfs_file *file = file_of(f);
    if (file->ours) {
        enum faulty_kind kind = faulty_enter(CALL_SHARED_MEMORY, extend != 0, true);
        if (kind != FAULT_NONE)
            return failed(kind == FAULT_EMFILE ? SQLITE_CANTOPEN
                          : kind == FAULT_EIO  ? SQLITE_IOERR_SHMMAP
                                               : SQLITE_IOERR_SHMSIZE);
        faulty_leave(CALL_SHARED_MEMORY, file->handle, 0, "", 0, NULL, 0);
    }
    return file->real->pMethods->xShmMap(file->real, page, size, extend, ret);
}

/* --- what only passes through --- */

static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return file_of(f)->real->pMethods->xFileSize(file_of(f)->real, ret);
}

static int lock_file(sqlite3_file *f, int level)
{
    return file_of(f)->real->pMethods->xLock(file_of(f)->real, level);
}

static int unlock_file(sqlite3_file *f, int level)
{
    return file_of(f)->real->pMethods->xUnlock(file_of(f)->real, level);
}

static int check_lock(sqlite3_file *f, int *ret)
{
    return file_of(f)->real->pMethods->xCheckReservedLock(file_of(f)->real, ret);
}

static int control_file(sqlite3_file *f, int op, void *arg)
{
    return file_of(f)->real->pMethods->xFileControl(file_of(f)->real, op, arg);
}

static int sector_size(sqlite3_file *f)
{
    return file_of(f)->real->pMethods->xSectorSize(file_of(f)->real);
}

static int characteristics(sqlite3_file *f)
{
    return file_of(f)->real->pMethods->xDeviceCharacteristics(file_of(f)->real);
}

static int lock_shared(sqlite3_file *f, int offset, int n, int flags)
{
    return file_of(f)->real->pMethods->xShmLock(file_of(f)->real, offset, n, flags);
}

static void shared_barrier(sqlite3_file *f)
{
    file_of(f)->real->pMethods->xShmBarrier(file_of(f)->real);
}

static int unmap_shared(sqlite3_file *f, int remove)
{
    return file_of(f)->real->pMethods->xShmUnmap(file_of(f)->real, remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without xFetch */
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = file_size,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_lock,
    .xFileControl = control_file,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = shared_barrier,
    .xShmUnmap = unmap_shared,
};

/* --- files --- */

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    static _Atomic uint32_t handles = FIRST_HANDLE;
    struct vfs_file *file = file_of(f);
    bool creates = (flags & SQLITE_OPEN_CREATE) != 0;
    (void)vfs;
    *file = (struct vfs_file){.real = (sqlite3_file *)(file + 1)};
    file->ours = name != NULL && faulty_is_ours(name);
    if (file->ours && faulty_enter(CALL_OPEN, creates, true) != FAULT_NONE)
        return failed(SQLITE_CANTOPEN);
    int r = real->xOpen(real, name, file->real, flags, ret_flags);
    file->base.pMethods = file->real->pMethods != NULL ? &methods : NULL;
    if (!file->ours)
        return r;
    if (r != SQLITE_OK)
        return failed(r);
    file->handle = atomic_fetch_add(&handles, 1);
    file->path = (char *)name;
    file->sync_folder =
        creates &&
        (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
    faulty_leave(CALL_OPEN, file->handle, creates ? O_CREAT : 0, name, (uint32_t)strlen(name), NULL,
                 0);
    return SQLITE_OK;
}

static int remove_file(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs;
    if (!faulty_is_ours(name))
        return real->xDelete(real, name, sync_folder);
    if (faulty_enter(CALL_UNLINK, false, true) != FAULT_NONE)
        return failed(SQLITE_IOERR_DELETE);
    int r = real->xDelete(real, name, 0);
    if (r != SQLITE_OK)
        return failed(r);
    faulty_leave(CALL_UNLINK, 0, 0, name, (uint32_t)strlen(name), NULL, 0);
    if (!sync_folder)
        return SQLITE_OK;
    if (faulty_enter(CALL_SYNC, false, true) != FAULT_NONE)
        return failed(SQLITE_IOERR_DIR_FSYNC);
    leave_folder(name);
    return SQLITE_OK;
}

void faulty_vfs_install(void)
{
    if (real == NULL) {
        real = sqlite3_vfs_find(NULL);
        shim = *real; /* what is not ours goes to the system's own functions, with its own data */
        shim.zName = "faulty";
        shim.szOsFile = real->szOsFile + (int)sizeof(struct vfs_file);
        shim.xOpen = open_file;
        shim.xDelete = remove_file;
        shim.pNext = NULL;
    }
    sqlite3_vfs_register(&shim, 1);
}
