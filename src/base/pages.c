/* pages.c - see pages.h.  SPDX-License-Identifier: MIT */
#include "base/pages.h"

#include <sys/mman.h>

void *ps_pages_alloc(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    madvise(pages, size, MADV_HUGEPAGE); /* a wish: nothing depends on it */
    return pages;
}

void ps_pages_free(void *pages, size_t size)
{
    if (pages != NULL)
        munmap(pages, size);
}
