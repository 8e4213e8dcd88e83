/* hash.h - XXH64 (Yann Collet, BSD-2 specification doc/xxhash_spec.md). Its values are part of the
 * file format: ids and sample keys depend on them, so it never changes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_HASH_H
#define PS_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t ps_hash64(const void *bytes, size_t len, uint64_t seed);

#endif
