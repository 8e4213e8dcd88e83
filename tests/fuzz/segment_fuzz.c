/* segment_fuzz.c - any bytes as a queue segment: no crash, no read past the end, frames are a round
 * trip, a shorter file never gives other frames, and a mark that a walk meets is found by a scan.
 *
 * A checksum is hard to guess, so the input is also read with its checksums put right.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/file/crc32c.h"
#include "backend/file/segment.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum { MARK_BYTE = 0x80 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frame(const uint8_t *bytes, size_t size, size_t from, size_t to,
                        const struct ps_frame *frame)
{
    uint8_t header[PS_FRAME_HEADER_BYTES];
    struct ps_frame shorter;
    size_t at = from;
    PS_ASSERT(to == from + PS_FRAME_HEADER_BYTES + frame->len && to <= size);
    PS_ASSERT(frame->payload == bytes + from + PS_FRAME_HEADER_BYTES);
    PS_ASSERT(!frame->is_mark || frame->len == PS_FRAME_MARK_BYTES);
    ps_frame_header(header, frame->payload, frame->len, frame->is_mark);
    PS_ASSERT(memcmp(header, bytes + from, sizeof header) == 0);
    /* Torn one byte earlier it is too short, neither a frame nor damage. */
    PS_ASSERT(ps_frame_next(bytes, to - 1, &at, &shorter) == 0 && at == from);
}

static void walk(const uint8_t *bytes, size_t size, size_t at)
{
    uint64_t best = 0;
    struct ps_frame frame;
    size_t before = at;
    int r;
    while ((r = ps_frame_next(bytes, size, &at, &frame)) == 1) {
        check_frame(bytes, size, before, at, &frame);
        if (frame.is_mark && frame.durable > best)
            best = frame.durable;
        before = at;
    }
    PS_ASSERT((r == 0 || r == PS_ECORRUPT) && at == before);
    PS_ASSERT(ps_segment_find_marks(bytes, size) >= best);
}

/* Puts the checksum of each frame right, as far as the lengths lead. */
static void repair(uint8_t *bytes, size_t size, size_t at)
{
    while (size - at >= PS_FRAME_HEADER_BYTES) {
        uint8_t *p = bytes + at;
        uint32_t len =
            p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)(p[3] & ~MARK_BYTE) << 24;
        if (len > size - at - PS_FRAME_HEADER_BYTES)
            return;
        ps_frame_header(p, p + PS_FRAME_HEADER_BYTES, len, (p[3] & MARK_BYTE) != 0);
        at += PS_FRAME_HEADER_BYTES + len;
    }
}

static void read_all(const uint8_t *bytes, size_t size)
{
    uint64_t base = 7;
    if (!ps_segment_parse_header(bytes, size, &base)) {
        PS_ASSERT(base == 7);
        return;
    }
    uint8_t header[PS_SEGMENT_HEADER_BYTES];
    ps_segment_header(header, base);
    PS_ASSERT(size >= sizeof header && memcmp(header, bytes, sizeof header) == 0);
    walk(bytes, size, sizeof header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* An exact copy on the heap, so that a sanitizer sees one byte too many. */
    uint8_t *bytes = malloc(size + (size == 0));
    PS_ASSERT(bytes != NULL);
    if (size > 0)
        memcpy(bytes, data, size);
    PS_ASSERT(ps_crc32c(0, bytes, size) == ps_crc32c_portable(0, bytes, size));
    read_all(bytes, size);
    walk(bytes, size, 0);
    if (size >= PS_SEGMENT_HEADER_BYTES) {
        repair(bytes, size, PS_SEGMENT_HEADER_BYTES);
        read_all(bytes, size);
        walk(bytes, size, PS_SEGMENT_HEADER_BYTES);
    }
    free(bytes);
    return 0;
}
