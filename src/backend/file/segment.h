/* segment.h - the bytes of a queue segment: a header, then frames.
 *
 *     header  "PSQUEUE1", u64 base                    little-endian, as all numbers here
 *     frame   u32 length | MARK, u32 crc32c of the length word and the payload, payload
 *
 * The position of a frame is the segment's base plus its offset in the file; the base of a segment
 * is the end of the one before. A mark comes first in every append and tells up to which position
 * the queue was known to be durable then. It tells a torn tail (an append that was never synced,
 * so never acknowledged: cut it) from damage to what had been synced (say so, cut nothing).
 *
 * Pure functions over bytes, so that they can be fuzzed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_FILE_SEGMENT_H
#define PS_BACKEND_FILE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PS_SEGMENT_HEADER_BYTES = 16,
    PS_FRAME_HEADER_BYTES = 8,
    PS_FRAME_MARK_BYTES = 8,             /* payload of a mark */
    PS_FRAME_PAYLOAD_MAX = 65536 + 2048, /* a record, or a dead letter that holds one */
};

/* The length word of a mark. */
#define PS_FRAME_MARK_WORD (UINT32_C(0x80000000) | PS_FRAME_MARK_BYTES)

struct ps_frame {
    const uint8_t *payload;
    uint32_t len;
    bool is_mark;
    uint64_t durable; /* of a mark */
};

void ps_segment_header(uint8_t to[PS_SEGMENT_HEADER_BYTES], uint64_t base);
/* False: not a segment. */
bool ps_segment_parse_header(const uint8_t *bytes, size_t len, uint64_t *ret_base);

/* Writes the eight bytes that go before `payload`. */
void ps_frame_header(uint8_t to[PS_FRAME_HEADER_BYTES], const void *payload, uint32_t len,
                     bool is_mark);

/* The frame at bytes[*at]. 1: *ret is filled and *at moved past it. 0: there are too few bytes for
 * a whole frame. PS_ECORRUPT: whatever follows, this is no frame. */
int ps_frame_next(const uint8_t *bytes, size_t len, size_t *at, struct ps_frame *ret);

/* The highest durable position that any mark in the bytes tells, wherever it stands; 0 for none. */
uint64_t ps_segment_find_marks(const uint8_t *bytes, size_t len);

#endif
