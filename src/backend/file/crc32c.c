/* crc32c.c - see crc32c.h.  SPDX-License-Identifier: MIT */
#include "backend/file/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */

static uint32_t table[256];
static bool has_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
        table[i] = c;
    }
#if defined __x86_64__
    has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

uint32_t ps_crc32c_portable(uint32_t crc, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    pthread_once(&once, prepare);
    crc = ~crc;
    for (; len > 0; p++, len--)
        crc = table[(crc ^ *p) & 0xff] ^ crc >> 8;
    return ~crc;
}

#if defined __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *p,
                                                                 size_t len)
{
    uint64_t c = ~crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        c = __builtin_ia32_crc32di(c, word);
    }
    for (; len > 0; p++, len--)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p);
    return ~(uint32_t)c;
}
#endif

uint32_t ps_crc32c(uint32_t crc, const void *bytes, size_t len)
{
    pthread_once(&once, prepare);
#if defined __x86_64__
    if (has_instruction)
        return by_instruction(crc, bytes, len);
#endif
    return ps_crc32c_portable(crc, bytes, len);
}
