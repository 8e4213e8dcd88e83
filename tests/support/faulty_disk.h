/* faulty_disk.h - a disk that can be made to fail: every call of base/disk.h, and every call of
 * SQLite's VFS, to a file below one folder gets a number, and one of them, or all from one on until
 * it is lifted, fail in a chosen way.
 *
 * It can write a journal of what was written, synced, named and removed, and in what order;
 * power_loss.h makes of that the disks that a power failure at any call could leave. What is synced
 * is only written down: a real sync would cost time and prove nothing.
 *
 * Threads: install before there are any; the calls may come from all of them, and go one by one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_FAULTY_DISK_H
#define PS_TEST_FAULTY_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum faulty_kind {
    FAULT_NONE,
    FAULT_EIO,
    FAULT_ENOSPC,
    FAULT_EDQUOT,
    FAULT_EMFILE,
    FAULT_EINTR,
    FAULT_SHORT, /* half of a write, and the next one finds no room */
    FAULT_KILL_BEFORE,
    FAULT_KILL_AFTER,
    FAULT_NO_MEMORY, /* not of the disk: for who counts allocations */
    FAULT_COUNT,
};

/* What a call does. A fault befalls only calls that it can befall in life: from number `at` on,
 * the first such. */
enum faulty_call {
    CALL_MARK, /* none: a line of the test's own in the journal */
    CALL_OPEN, /* `at` of the record holds the flags */
    CALL_READ,
    CALL_WRITE,
    CALL_TRUNCATE,
    CALL_SYNC,
    CALL_SYNC_FAILED, /* what was not yet synced of this file never will be */
    CALL_SYNC_FOLDER,
    CALL_MKDIR,
    CALL_LINK,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_RMDIR,
    CALL_SHARED_MEMORY, /* SQLite's -shm */
};

/* In memory shared with who watches. */
struct faulty_control {
    _Atomic uint64_t calls, fired;
    _Atomic uint64_t allocations; /* by who counts them */
    _Atomic bool lifted;
};

struct faulty_plan {
    const char *root; /* real path of the folder whose files are numbered */
    int journal;      /* opened for appending; -1: none */
    uint64_t at;      /* 0: nothing fails */
    enum faulty_kind kind;
    bool lasting; /* until lifted */
    struct faulty_control *control;
};

/* A record of the journal: this, then the path ("from\0to" of two), the bytes, and zeros up to a
 * multiple of FAULTY_RECORD_ALIGN. */
struct faulty_record {
    uint32_t call, handle;
    uint64_t number;
    int64_t at; /* where, or how large, or which flags */
    uint32_t path_len, len;
};

enum { FAULTY_RECORD_ALIGN = 8 };

static inline size_t faulty_record_size(const struct faulty_record *r)
{
    size_t len = sizeof *r + r->path_len + r->len;
    return (len + FAULTY_RECORD_ALIGN - 1) / FAULTY_RECORD_ALIGN * FAULTY_RECORD_ALIGN;
}

const char *faulty_kind_name(enum faulty_kind kind);
bool faulty_call_changes(enum faulty_call call);
/* `creates`: an open that may make the file. */
bool faulty_can_befall(enum faulty_kind kind, enum faulty_call call, bool creates, bool of_sqlite);
/* Both doors; for this process, from now on. */
void faulty_disk_install(const struct faulty_plan *plan);
/* Back to the real disk. Not for SQLite's. */
void faulty_disk_remove(void);
/* Writes a line of the test's own, to tell what had been promised by then. */
void faulty_disk_mark(int journal, const char *text);

/* --- for faulty_vfs.c --- */

void faulty_vfs_install(void);
/* Every call goes between these two. `enter`: the fault that befalls the call, having killed the
 * process where that was to be; `leave` writes the record, when the call has succeeded. */
enum faulty_kind faulty_enter(enum faulty_call call, bool creates, bool of_sqlite);
void faulty_leave(enum faulty_call call, uint32_t handle, int64_t at, const char *path,
                  uint32_t path_len, const void *bytes, uint32_t len);
void faulty_leave_failed(void);
bool faulty_is_ours(const char *path);

#endif
