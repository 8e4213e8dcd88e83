/* segment.c - see segment.h.  SPDX-License-Identifier: MIT */
#include "backend/file/segment.h"

#include "backend/file/crc32c.h"
#include "base/err.h"
#include "port/queue.h"

#include <endian.h>
#include <string.h>

static const char magic[8] = {'P', 'S', 'Q', 'U', 'E', 'U', 'E', '1'};

#define MARK UINT32_C(0x80000000)

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static void store32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

void ps_segment_header(uint8_t to[PS_SEGMENT_HEADER_BYTES], uint64_t base)
{
    memcpy(to, magic, sizeof magic);
    base = htole64(base);
    memcpy(to + sizeof magic, &base, sizeof base);
}

bool ps_segment_parse_header(const uint8_t *bytes, size_t len, uint64_t *ret_base)
{
    if (len < PS_SEGMENT_HEADER_BYTES || memcmp(bytes, magic, sizeof magic) != 0)
        return false;
    *ret_base = load64(bytes + sizeof magic);
    return true;
}

static uint32_t checksum(const uint8_t *length_word, const void *payload, uint32_t len)
{
    return ps_crc32c(ps_crc32c(0, length_word, 4), payload, len);
}

void ps_frame_header(uint8_t to[PS_FRAME_HEADER_BYTES], const void *payload, uint32_t len,
                     bool is_mark)
{
    store32(to, len | (is_mark ? MARK : 0));
    store32(to + 4, checksum(to, payload, len));
}

int ps_frame_next(const uint8_t *bytes, size_t len, size_t *at, struct ps_frame *ret)
{
    size_t left = len - *at;
    if (left < PS_FRAME_HEADER_BYTES)
        return 0;
    const uint8_t *p = bytes + *at;
    uint32_t word = load32(p), size = word & ~MARK;
    bool is_mark = (word & MARK) != 0;
    if (is_mark ? size != PS_FRAME_MARK_BYTES : size > PS_FRAME_PAYLOAD_MAX)
        return PS_ECORRUPT;
    if (left - PS_FRAME_HEADER_BYTES < size)
        return 0;
    const uint8_t *payload = p + PS_FRAME_HEADER_BYTES;
    if (checksum(p, payload, size) != load32(p + 4))
        return PS_ECORRUPT;
    *ret = (struct ps_frame){payload, size, is_mark, is_mark ? load64(payload) : 0};
    *at += PS_FRAME_HEADER_BYTES + size;
    return 1;
}

uint64_t ps_segment_find_marks(const uint8_t *bytes, size_t len)
{
    uint64_t best = 0;
    struct ps_frame frame;
    for (size_t i = 0; i + PS_FRAME_HEADER_BYTES <= len; i++) {
        size_t at = i;
        if (load32(bytes + i) != PS_FRAME_MARK_WORD)
            continue;
        if (ps_frame_next(bytes, len, &at, &frame) == 1 && frame.durable > best)
            best = frame.durable;
    }
    return best;
}
