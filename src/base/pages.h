/* pages.h - large tables that are touched at random, straight from the kernel and on large pages
 * where it has them: with 4 KB pages address translation costs more than the look-up.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_PAGES_H
#define PS_BASE_PAGES_H

#include <stddef.h>

/* Zeros, page-aligned; NULL: no memory. Untouched parts take none, to the nearest large page. */
void *ps_pages_alloc(size_t size);
void ps_pages_free(void *pages, size_t size); /* NULL is fine */

#endif
