/* crc32c.h - the Castagnoli checksum (RFC 3720, appendix B.4) of queue frames.
 *
 * With the SSE4.2 instruction where the processor has it, else by table.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_FILE_CRC32C_H
#define PS_BACKEND_FILE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of bytes that follow others whose checksum is `crc` (0: none). */
uint32_t ps_crc32c(uint32_t crc, const void *bytes, size_t len);
/* The same by table, for comparison. */
uint32_t ps_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#endif
