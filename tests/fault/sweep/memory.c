/* memory.c - the n-th allocation finds no memory. See sweep.h.
 *
 * Ours: malloc, calloc, realloc, strdup and mmap as our code calls them (the linker's --wrap). And
 * SQLite's, by its own hook. Those inside the other libraries are their makers' business.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fault/sweep/sweep.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
char *__wrap_strdup(const char *text);

static struct faulty_plan plan;
static _Atomic bool armed;

static bool fails(void)
{
    if (!armed)
        return false;
    uint64_t n = atomic_fetch_add(&plan.control->allocations, 1) + 1;
    bool befalls = plan.kind == FAULT_NO_MEMORY &&
                   (plan.lasting ? n >= plan.at && !plan.control->lifted : n == plan.at);
    if (befalls) {
        atomic_fetch_add(&plan.control->fired, 1);
        errno = ENOMEM;
    }
    return befalls;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, size, prot, flags, fd, offset);
}

char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = fails() ? NULL : __real_malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

/* --- SQLite's --- */

static sqlite3_mem_methods system_memory;

static void *allocate(int size)
{
    return fails() ? NULL : system_memory.xMalloc(size);
}

static void *allocate_again(void *old, int size)
{
    return fails() ? NULL : system_memory.xRealloc(old, size);
}

/* Before anything of SQLite's is in use in this process. */
void memory_install(const struct faulty_plan *p)
{
    plan = *p;
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &system_memory);
    sqlite3_mem_methods methods = system_memory;
    methods.xMalloc = allocate;
    methods.xRealloc = allocate_again;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    sqlite3_initialize();
    armed = plan.control != NULL;
}
