/* file_queue_test.c - the file queue's bytes: what a torn tail, a flipped bit or a leftover file
 * does. The verbs themselves are in tests/contract/queue_test.c.
 *
 * Records are "record N": whatever is served must be exactly what was written, a prefix of it, or
 * an error that says so (I3).
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/contract.h"

#include "backend/file/crc32c.h"
#include "backend/file/segment.h"
#include "base/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1 << 20, NAME_BYTES_MAX = 700, RECORD_MAX = 64, SEVERAL = 5 };

static const struct ps_queue_limits limits = {1 << 26, 1 << 20, 1 << 20, 0};

struct world {
    struct place place;
    struct ps_records records;
    uint8_t *bytes; /* of the file under test, as it was written */
    size_t len;
    char file[NAME_BYTES_MAX];
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    place_make(&w->place, "queue");
    ps_records_init(&w->records);
    w->bytes = malloc(FILE_BYTES_MAX);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ps_records_done(&w->records);
    place_remove(&w->place);
    free(w->bytes);
    free(w);
    return 0;
}

static struct ps_queue *open_queue(struct world *w, enum ps_queue_mode mode)
{
    struct ps_queue *q = NULL;
    OK(ps_queue_open(&ps_queue_file, &q, w->place.target, mode, &limits, &test_err));
    return q;
}

/* One append, one sync each: "record 0", "record 1", ... */
static void add_records(struct ps_queue *q, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char text[RECORD_MAX];
        struct ps_str record = {text, (size_t)snprintf(text, sizeof text, "record %u", i)};
        OK(ps_queue_append(q, &record, 1, &test_err));
        OK(ps_queue_sync(q, NULL, &test_err));
    }
}

/* How many records there are from the start on, each of them right; or the code of the failure. */
static int read_all(struct world *w, struct ps_queue *q)
{
    uint64_t from = 0;
    int number = 0;
    for (;;) {
        int r = ps_queue_read(q, from, 100, &w->records, &test_err);
        if (r < 0)
            return r;
        if (w->records.count == 0)
            return number;
        for (size_t i = 0; i < w->records.count; i++, number++) {
            char text[RECORD_MAX];
            int len = snprintf(text, sizeof text, "record %d", number);
            assert_int_equal(w->records.items[i].len, len);
            assert_memory_equal(w->records.items[i].bytes, text, (size_t)len);
        }
        from = w->records.next_position;
    }
}

/* Opens, reads, closes. */
static int look(struct world *w, enum ps_queue_mode mode)
{
    struct ps_queue *q = NULL;
    int r = ps_queue_open(&ps_queue_file, &q, w->place.target, mode, &limits, &test_err);
    if (r < 0)
        return r;
    r = read_all(w, q);
    ps_queue_close(q);
    return r;
}

static void name_file(struct world *w, const char *name)
{
    snprintf(w->file, sizeof w->file, "%s/%s", w->place.target, name);
}

static void name_segment(struct world *w, uint64_t base)
{
    char name[32];
    snprintf(name, sizeof name, "%020llu.seg", (unsigned long long)base);
    name_file(w, name);
}

static void load(struct world *w)
{
    FILE *f = fopen(w->file, "rb");
    assert_non_null(f);
    w->len = fread(w->bytes, 1, FILE_BYTES_MAX, f);
    fclose(f);
}

static void store(struct world *w, const uint8_t *bytes, size_t len)
{
    unlink(w->file); /* some file systems write a file that is emptied to the disk at once */
    FILE *f = fopen(w->file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

static size_t file_size(const struct world *w)
{
    struct stat st;
    assert_int_equal(stat(w->file, &st), 0);
    return (size_t)st.st_size;
}

/* A queue of SEVERAL records in one segment, loaded. Returns where the last append begins. */
static size_t make_several(struct world *w)
{
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    name_segment(w, 0);
    add_records(q, 0, SEVERAL - 1);
    size_t before = file_size(w);
    add_records(q, SEVERAL - 1, 1);
    ps_queue_close(q);
    load(w);
    assert_int_equal(look(w, PS_QUEUE_READ), SEVERAL);
    return before;
}

/* --- checksums and frames --- */

static void test_crc32c_vectors(void **state)
{
    uint8_t bytes[32];
    (void)state;
    for (int portable = 0; portable < 2; portable++) {
        uint32_t (*crc)(uint32_t, const void *, size_t) = portable ? ps_crc32c_portable : ps_crc32c;
        memset(bytes, 0, sizeof bytes); /* RFC 3720, B.4 */
        assert_int_equal(crc(0, bytes, 32), 0x8a9136aa);
        memset(bytes, 0xff, sizeof bytes);
        assert_int_equal(crc(0, bytes, 32), 0x62a8ab43);
        for (int i = 0; i < 32; i++)
            bytes[i] = (uint8_t)i;
        assert_int_equal(crc(0, bytes, 32), 0x46dd794e);
        for (int i = 0; i < 32; i++)
            bytes[i] = (uint8_t)(31 - i);
        assert_int_equal(crc(0, bytes, 32), 0x113fdb5c);
        assert_int_equal(crc(0, "123456789", 9), 0xe3069283);
        assert_int_equal(crc(0, "", 0), 0);
    }
}

/* Both ways to count agree, at every alignment and length, in pieces or as a whole. */
static void test_crc32c_ways_agree(void **state)
{
    struct dice d = {7};
    uint8_t bytes[600];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)throw_dice(&d);
    for (size_t at = 0; at < 9; at++)
        for (size_t len = 0; at + len <= sizeof bytes; len += 1 + len / 20) {
            uint32_t whole = ps_crc32c(0, bytes + at, len);
            size_t cut = len == 0 ? 0 : below(&d, (uint32_t)len);
            assert_int_equal(whole, ps_crc32c_portable(0, bytes + at, len));
            assert_int_equal(whole,
                             ps_crc32c(ps_crc32c(0, bytes + at, cut), bytes + at + cut, len - cut));
        }
}

static void test_frames(void **state)
{
    uint8_t bytes[64];
    struct ps_frame frame;
    (void)state;
    ps_frame_header(bytes, "payload", 7, false);
    memcpy(bytes + PS_FRAME_HEADER_BYTES, "payload", 7);
    size_t len = PS_FRAME_HEADER_BYTES + 7;
    for (size_t have = 0; have < len; have++) {
        size_t at = 0;
        assert_int_equal(ps_frame_next(bytes, have, &at, &frame), 0);
        assert_int_equal(at, 0);
    }
    size_t at = 0;
    assert_int_equal(ps_frame_next(bytes, sizeof bytes, &at, &frame), 1);
    assert_int_equal(at, len);
    assert_int_equal(frame.len, 7);
    assert_false(frame.is_mark);
    assert_memory_equal(frame.payload, "payload", 7);
    for (size_t bit = 0; bit < len * 8; bit++) { /* no single bit may pass */
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        at = 0;
        assert_int_not_equal(ps_frame_next(bytes, len, &at, &frame), 1);
        assert_int_equal(at, 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* A length that no frame can have is damage, whatever the checksum says, and not a frame of which
 * the rest is yet to come. */
static void test_a_frame_too_long(void **state)
{
    enum { TOO_LONG = PS_FRAME_PAYLOAD_MAX + 1 };
    uint8_t *bytes = calloc(1, PS_FRAME_HEADER_BYTES + TOO_LONG);
    struct ps_frame frame;
    (void)state;
    for (uint32_t len = TOO_LONG - 1; len <= TOO_LONG; len++) {
        bool fits = len < TOO_LONG;
        size_t at = 0;
        ps_frame_header(bytes, bytes + PS_FRAME_HEADER_BYTES, len, false);
        assert_int_equal(ps_frame_next(bytes, PS_FRAME_HEADER_BYTES + len, &at, &frame),
                         fits ? 1 : PS_ECORRUPT);
        at = 0;
        assert_int_equal(ps_frame_next(bytes, PS_FRAME_HEADER_BYTES + 1, &at, &frame),
                         fits ? 0 : PS_ECORRUPT);
    }
    free(bytes);
}

static void test_segment_header(void **state)
{
    uint8_t bytes[PS_SEGMENT_HEADER_BYTES];
    uint64_t base = 5;
    (void)state;
    ps_segment_header(bytes, UINT64_C(0x0123456789abcdef));
    assert_memory_equal(bytes, "PSQUEUE1\xef\xcd\xab\x89\x67\x45\x23\x01", sizeof bytes);
    assert_true(ps_segment_parse_header(bytes, sizeof bytes, &base));
    assert_true(base == UINT64_C(0x0123456789abcdef));
    assert_false(ps_segment_parse_header(bytes, sizeof bytes - 1, &base));
    bytes[7] ^= 1;
    assert_false(ps_segment_parse_header(bytes, sizeof bytes, &base));
}

static void test_marks_are_found_anywhere(void **state)
{
    uint8_t bytes[100] = {0};
    static const uint64_t marks[] = {40, 300, 200};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint8_t payload[PS_FRAME_MARK_BYTES] = {(uint8_t)marks[i], (uint8_t)(marks[i] >> 8)};
        uint8_t *at = bytes + 3 + i * 29;
        ps_frame_header(at, payload, sizeof payload, true);
        memcpy(at + PS_FRAME_HEADER_BYTES, payload, sizeof payload);
    }
    assert_int_equal(ps_segment_find_marks(bytes, sizeof bytes), 300);
    assert_int_equal(ps_segment_find_marks(bytes, 40), 40);
    assert_int_equal(ps_segment_find_marks(bytes, 10), 0);
    bytes[3 + 29 + PS_FRAME_HEADER_BYTES] ^= 1; /* what does not check does not count */
    assert_int_equal(ps_segment_find_marks(bytes, sizeof bytes), 200);
}

/* --- torn tails --- */

/* Cut at every byte of the last append: what was synced before stays, and the queue goes on. */
static void test_torn_at_every_byte(void **state)
{
    struct world *w = *state;
    size_t before = make_several(w);
    for (size_t cut = before; cut < w->len; cut++) {
        store(w, w->bytes, cut);
        assert_int_equal(look(w, PS_QUEUE_READ), SEVERAL - 1);
        assert_int_equal(file_size(w), cut); /* a reader changes nothing */
        struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
        assert_int_equal(read_all(w, q), SEVERAL - 1);
        add_records(q, SEVERAL - 1, 2);
        assert_int_equal(read_all(w, q), SEVERAL + 1);
        ps_queue_close(q);
        assert_int_equal(look(w, PS_QUEUE_WRITE), SEVERAL + 1);
    }
}

/* A file that grew before its bytes arrived ends in zeros; or in anything at all. */
static void test_tail_of_zeros_or_garbage(void **state)
{
    struct world *w = *state;
    struct dice d = {seed_of_run()};
    size_t before = make_several(w);
    uint8_t *bytes = malloc(w->len + 300);
    for (int round = 0; round < 300; round++) {
        size_t keep = before + below(&d, (uint32_t)(w->len - before)), extra = below(&d, 300);
        memcpy(bytes, w->bytes, keep);
        for (size_t i = keep; i < keep + extra; i++)
            bytes[i] = round % 2 ? (uint8_t)throw_dice(&d) : 0;
        store(w, bytes, keep + extra);
        assert_int_equal(look(w, PS_QUEUE_READ), SEVERAL - 1);
        assert_int_equal(look(w, PS_QUEUE_WRITE), SEVERAL - 1);
        assert_true(file_size(w) < w->len); /* zeros may end the mark, never the record */
    }
    free(bytes);
}

/* A whole append that is not the queue's end: an earlier write of the same file, come back. */
static void test_many_appends_torn_at_every_byte(void **state)
{
    struct world *w = *state;
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    char texts[SEVERAL][RECORD_MAX];
    struct ps_str records[SEVERAL];
    name_segment(w, 0);
    add_records(q, 0, 1);
    size_t before = file_size(w);
    for (unsigned i = 0; i < SEVERAL; i++)
        records[i] =
            (struct ps_str){texts[i], (size_t)snprintf(texts[i], RECORD_MAX, "record %u", i + 1)};
    OK(ps_queue_append(q, records, 2, &test_err)); /* two appends, one sync */
    OK(ps_queue_append(q, records + 2, 3, &test_err));
    OK(ps_queue_sync(q, NULL, &test_err));
    ps_queue_close(q);
    load(w);
    int last = 1;
    for (size_t cut = before; cut <= w->len; cut++) {
        store(w, w->bytes, cut);
        int n = look(w, PS_QUEUE_WRITE);
        assert_in_range(n, last, 1 + SEVERAL); /* more bytes, never fewer records */
        last = n;
    }
    assert_int_equal(last, 1 + SEVERAL);
}

/* --- damage --- */

/* A flipped bit anywhere is reported or cuts the last append; nothing wrong is ever served, and
 * what a later append proves to have been durable is never cut. */
static void test_every_flipped_bit(void **state)
{
    struct world *w = *state;
    size_t before = make_several(w);
    for (size_t bit = 0; bit < w->len * 8; bit++) {
        w->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        for (enum ps_queue_mode mode = PS_QUEUE_READ; mode <= PS_QUEUE_WRITE; mode++) {
            store(w, w->bytes, w->len);
            int n = look(w, mode);
            if (bit / 8 < before)
                assert_int_equal(n, PS_ECORRUPT);
            else
                assert_int_equal(n, SEVERAL - 1);
            if (n < 0)
                assert_int_equal(file_size(w), w->len); /* for whoever can repair it */
        }
        w->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* In a segment that is not the last, whatever is damaged was durable. */
static void test_flipped_bits_in_a_closed_segment(void **state)
{
    struct world *w = *state;
    struct ps_queue *q = NULL;
    struct ps_queue_limits small = {1 << 20, 100, 1 << 20, 0};
    OK(ps_queue_open(&ps_queue_file, &q, w->place.target, PS_QUEUE_WRITE, &small, &test_err));
    add_records(q, 0, 30);
    assert_int_equal(read_all(w, q), 30);
    ps_queue_close(q);
    name_segment(w, 0);
    load(w);
    for (size_t bit = PS_SEGMENT_HEADER_BYTES * 8; bit < w->len * 8; bit++) {
        w->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        store(w, w->bytes, w->len);
        assert_int_equal(look(w, PS_QUEUE_READ), PS_ECORRUPT);
        w->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    store(w, w->bytes, w->len - 1); /* nor may it be shorter, or missing in the middle */
    for (enum ps_queue_mode mode = PS_QUEUE_READ; mode <= PS_QUEUE_WRITE; mode++)
        assert_int_equal(/* that is known before anything is read */
                         ps_queue_open(&ps_queue_file, &q, w->place.target, mode, &limits,
                                       &test_err),
                         PS_ECORRUPT);
    store(w, w->bytes, w->len);
    assert_int_equal(look(w, PS_QUEUE_WRITE), 30);
    name_segment(w, w->len);
    assert_int_equal(unlink(w->file), 0);
    assert_int_equal(look(w, PS_QUEUE_WRITE), PS_ECORRUPT);
}

/* --- other files --- */

static void test_leftover_files(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"notes.txt", "00000000000000000000.seg.bak",
                                        "0.seg",     "dead-letters.new",
                                        ".hidden",   "00000000000000000000.seg~"};
    make_several(w);
    for (size_t i = 0; i < PS_COUNT_OF(names); i++) {
        name_file(w, names[i]);
        store(w, (const uint8_t *)"garbage", 7);
    }
    assert_int_equal(look(w, PS_QUEUE_READ), SEVERAL);
    assert_int_equal(look(w, PS_QUEUE_WRITE), SEVERAL);
    name_file(w, "notes.txt");
    assert_int_equal(file_size(w), 7); /* not ours, not touched */
}

/* A crash while a segment is made leaves it without a header, or with a part of it. */
static void test_a_segment_without_a_header(void **state)
{
    struct world *w = *state;
    make_several(w);
    uint8_t header[PS_SEGMENT_HEADER_BYTES];
    ps_segment_header(header, w->len);
    name_segment(w, w->len);
    for (size_t have = 0; have <= sizeof header; have++) {
        store(w, header, have);
        assert_int_equal(look(w, PS_QUEUE_READ), SEVERAL);
        assert_int_equal(look(w, PS_QUEUE_WRITE), SEVERAL);
    }
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    add_records(q, SEVERAL, 2);
    assert_int_equal(read_all(w, q), SEVERAL + 2);
    ps_queue_close(q);
    assert_int_equal(look(w, PS_QUEUE_WRITE), SEVERAL + 2);
}

static void test_opening(void **state)
{
    struct world *w = *state;
    assert_int_equal(look(w, PS_QUEUE_READ), PS_ENOENT);
    assert_int_equal(access(w->place.target, F_OK), -1); /* asking does not make it */
    name_file(w, "");
    FILE *f = fopen(w->place.target, "w");
    fclose(f);
    assert_true(look(w, PS_QUEUE_WRITE) < 0); /* a file is no folder */
    assert_int_equal(unlink(w->place.target), 0);
    assert_int_equal(look(w, PS_QUEUE_WRITE), 0);
    assert_int_equal(look(w, PS_QUEUE_READ), 0);
}

/* --- dead letters --- */

/* A bit for each letter; each of them must be right. */
static int check_letter(void *ctx, const struct ps_dead_letter *letter)
{
    unsigned *seen = ctx;
    char text[RECORD_MAX];
    int len = snprintf(text, sizeof text, "letter %llu", (unsigned long long)letter->position);
    assert_in_range(letter->position, 1, 31);
    assert_int_equal(letter->why, PS_REJECT_STORE);
    assert_int_equal(letter->len, len);
    assert_memory_equal(letter->bytes, text, (size_t)len);
    *seen |= 1u << letter->position;
    return 0;
}

static void bury_letters(struct ps_queue *q, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char text[RECORD_MAX];
        struct ps_dead_letter letter = {.position = i,
                                        .why = PS_REJECT_STORE,
                                        .text = PS_STR("why"),
                                        .bytes = (const uint8_t *)text};
        letter.len = (size_t)snprintf(text, sizeof text, "letter %u", i);
        OK(ps_queue_bury(q, &letter, 1, &test_err));
    }
}

/* Which letters there are, a bit for each, and how much damage is told of. */
static unsigned look_at_letters(struct world *w, enum ps_queue_mode mode,
                                struct ps_queue_info *info)
{
    struct ps_queue *q = open_queue(w, mode);
    unsigned seen = 0;
    OK(ps_queue_dead(q, check_letter, &seen, &test_err));
    OK(ps_queue_info(q, info, &test_err));
    assert_int_equal(info->dead_letters, __builtin_popcount(seen));
    ps_queue_close(q);
    return seen;
}

/* The bits of letters 1 .. last. */
static unsigned up_to(unsigned last)
{
    return (1u << (last + 1)) - 2;
}

static size_t make_letters(struct world *w)
{
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    name_file(w, "dead-letters");
    bury_letters(q, 1, SEVERAL - 1);
    size_t before = file_size(w);
    bury_letters(q, SEVERAL, 1);
    ps_queue_close(q);
    load(w);
    return before;
}

static void test_torn_letters(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    size_t before = make_letters(w);
    for (size_t cut = before; cut < w->len; cut++) {
        store(w, w->bytes, cut);
        assert_int_equal(look_at_letters(w, PS_QUEUE_READ, &info), up_to(SEVERAL - 1));
        struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
        OK(ps_queue_info(q, &info, &test_err));
        assert_int_equal(info.letters_damaged, 0); /* nobody was told of that letter */
        bury_letters(q, SEVERAL, 2);
        ps_queue_close(q);
        assert_int_equal(look_at_letters(w, PS_QUEUE_WRITE, &info), up_to(SEVERAL + 1));
        assert_int_equal(info.cut_bytes, 0);
    }
}

static void expect_kept_aside(struct world *w)
{
    uint8_t *bytes = malloc(w->len);
    char letters[NAME_BYTES_MAX];
    memcpy(letters, w->file, sizeof letters);
    name_file(w, "dead-letters.damaged");
    FILE *f = fopen(w->file, "rb");
    assert_non_null(f);
    assert_int_equal(fread(bytes, 1, w->len, f), w->len);
    assert_memory_equal(bytes, w->bytes, w->len);
    fclose(f);
    assert_int_equal(unlink(w->file), 0);
    memcpy(w->file, letters, sizeof letters);
    free(bytes);
}

/* Is that byte of the undamaged file one of a mark? Those cost no letter. */
static bool is_in_mark(const struct world *w, size_t byte)
{
    struct ps_frame frame = {0};
    size_t at = 0;
    while (at <= byte)
        assert_int_equal(ps_frame_next(w->bytes, w->len, &at, &frame), 1);
    return frame.is_mark;
}

/* With one bit flipped anywhere before `durable`, one letter is lost at most, and that is told
 * once; the damaged file is kept aside, the other letters go on living. */
static void flip_every_bit(struct world *w, size_t durable, unsigned last)
{
    struct ps_queue_info info, again;
    for (size_t bit = 0; bit < w->len * 8; bit += 5) { /* one or two of each byte */
        int most = !is_in_mark(w, bit / 8);
        w->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        store(w, w->bytes, w->len);
        unsigned lost = up_to(last) & ~look_at_letters(w, PS_QUEUE_READ, &info);
        assert_true(__builtin_popcount(lost) <= most);
        assert_int_equal(look_at_letters(w, PS_QUEUE_WRITE, &info), up_to(last) & ~lost);
        bool damaged = lost != 0 && bit / 8 < durable;
        assert_int_equal(info.letters_damaged, damaged);
        assert_true(damaged || lost == 0 || info.cut_bytes > 0); /* else it may be a torn tail */
        if (damaged)
            expect_kept_aside(w);
        assert_int_equal(look_at_letters(w, PS_QUEUE_WRITE, &again), up_to(last) & ~lost);
        assert_int_equal(again.letters_damaged, 0);
        w->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* A damaged letter is never handed out, and takes no other along. */
static void test_flipped_bits_in_letters(void **state)
{
    struct world *w = *state;
    size_t before = make_letters(w);
    flip_every_bit(w, before, SEVERAL);
}

/* Nor in a file that was made anew, where all letters were written in one go. */
static void test_flipped_bits_in_letters_made_anew(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    make_letters(w);
    store(w, w->bytes, w->len - 1);
    assert_int_equal(look_at_letters(w, PS_QUEUE_WRITE, &info), up_to(SEVERAL - 1));
    load(w);
    flip_every_bit(w, w->len, SEVERAL - 1);
}

/* Several letters of one call, one sync: those behind the damage are kept. */
static void test_damage_within_a_call(void **state)
{
    struct world *w = *state;
    struct ps_dead_letter letters[SEVERAL];
    char texts[SEVERAL][RECORD_MAX];
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    name_file(w, "dead-letters");
    for (unsigned i = 0; i < SEVERAL; i++) {
        int len = snprintf(texts[i], RECORD_MAX, "letter %u", i + 1);
        letters[i] = (struct ps_dead_letter){.position = i + 1,
                                             .why = PS_REJECT_STORE,
                                             .text = PS_STR("why"),
                                             .bytes = (const uint8_t *)texts[i],
                                             .len = (size_t)len};
    }
    OK(ps_queue_bury(q, letters, SEVERAL, &test_err));
    size_t durable = file_size(w);
    load(w); /* while it is the last call, it may as well be torn: the others are kept all the same
              */
    flip_every_bit(w, 0, SEVERAL);
    store(w, w->bytes, w->len);
    ps_queue_close(q);
    q = open_queue(w, PS_QUEUE_WRITE);
    bury_letters(q, SEVERAL + 1, 1);
    ps_queue_close(q);
    load(w);
    flip_every_bit(w, durable, SEVERAL + 1);
}

/* I3: when the segments alone are gone, what is buried anew is no letter that is there already. */
static void test_new_segments_beside_letters(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    name_segment(w, 0);
    add_records(q, 0, 1);
    assert_int_equal(read_all(w, q), 1);
    for (unsigned letters = 1; letters <= 2; letters++) {
        OK(ps_queue_read(q, 0, 1, &w->records, &test_err));
        struct ps_dead_letter letter = {.position = w->records.items[0].position,
                                        .why = PS_REJECT_CLOSED_DAY,
                                        .bytes = w->records.items[0].bytes,
                                        .len = w->records.items[0].len};
        OK(ps_queue_bury(q, &letter, 1, &test_err));
        OK(ps_queue_info(q, &info, &test_err));
        assert_int_equal(info.dead_letters, letters);
        assert_int_equal(info.end_position > letter.position, 1);
        ps_queue_close(q);
        unlink(w->file);
        q = open_queue(w, PS_QUEUE_WRITE);
        add_records(q, 0, 1);
    }
    ps_queue_close(q);
}

/* I3: what a reader finds damaged while the queue is open takes no more events, not even those of
 * an append that is under way, until it is opened again. */
static void test_nothing_is_taken_behind_damage(void **state)
{
    struct world *w = *state;
    struct ps_str record = {"record 5", 8};
    make_several(w);
    for (int cut_short = 0; cut_short < 2; cut_short++) {
        store(w, w->bytes, w->len);
        struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
        OK(ps_queue_append(q, &record, 1, &test_err));
        int fd = open(w->file, O_WRONLY);
        if (cut_short)
            assert_int_equal(ftruncate(fd, (off_t)w->len - 1), 0);
        else
            assert_int_equal(pwrite(fd, "!", 1, (off_t)w->len - 1), 1);
        close(fd);
        assert_int_equal(read_all(w, q), PS_ECORRUPT);
        assert_int_equal(ps_queue_sync(q, NULL, &test_err), PS_ECORRUPT);
        assert_non_null(strstr(test_err.text, "nothing is taken behind it"));
        assert_int_equal(ps_queue_append(q, &record, 1, &test_err), PS_ECORRUPT);
        assert_int_equal(ps_queue_sync(q, NULL, &test_err), PS_ECORRUPT);
        assert_int_equal(file_size(w), w->len - (size_t)cut_short); /* nothing was written */
        ps_queue_close(q);
    }
    store(w, w->bytes, w->len); /* restored */
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    add_records(q, SEVERAL, 1);
    assert_int_equal(read_all(w, q), SEVERAL + 1);
    ps_queue_close(q);
}

/* I3: what was written to a file that somebody removed is not durable. */
static void test_nothing_is_taken_by_a_removed_file(void **state)
{
    struct world *w = *state;
    struct ps_str record = {"record 5", 8};
    make_several(w);
    store(w, w->bytes, w->len);
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    add_records(q, SEVERAL, 1);
    assert_int_equal(unlink(w->file), 0);
    OK(ps_queue_append(q, &record, 1, &test_err));
    assert_int_equal(ps_queue_sync(q, NULL, &test_err), PS_ECORRUPT);
    assert_non_null(strstr(test_err.text, "was removed while it was in use"));
    assert_int_equal(ps_queue_append(q, &record, 1, &test_err), PS_ECORRUPT);
    ps_queue_close(q);
}

/* What the opening cut off a torn tail is told, so that somebody can write it into a log. */
static void test_a_cut_tail_is_told(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    size_t before = make_several(w);
    store(w, w->bytes, w->len - 3);
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    OK(ps_queue_info(q, &info, &test_err));
    /* the append's mark is whole and stays */
    assert_int_equal(info.cut_bytes,
                     w->len - 3 - before - PS_FRAME_HEADER_BYTES - PS_FRAME_MARK_BYTES);
    assert_false(info.cut_in_doubt);
    ps_queue_close(q);
    q = open_queue(w, PS_QUEUE_WRITE);
    OK(ps_queue_info(q, &info, &test_err));
    assert_int_equal(info.cut_bytes, 0);
    ps_queue_close(q);
}

/* I3: the last append may have been acknowledged and damaged since. That is not called unfinished,
 * and what is cut is kept aside, in the queue and in its dead letters. */
static void test_a_cut_in_doubt(void **state)
{
    struct world *w = *state;
    struct ps_queue_info info;
    size_t before = make_several(w) + PS_FRAME_HEADER_BYTES + PS_FRAME_MARK_BYTES;
    uint8_t last[RECORD_MAX * 2];
    size_t cut = w->len - before;
    w->bytes[w->len - 1] ^= 1;
    memcpy(last, w->bytes + before, cut);
    store(w, w->bytes, w->len);
    struct ps_queue *q = open_queue(w, PS_QUEUE_WRITE);
    OK(ps_queue_info(q, &info, &test_err));
    assert_true(info.cut_in_doubt);
    name_file(w, "segment.cut");
    load(w);
    assert_int_equal(w->len, cut);
    assert_memory_equal(w->bytes, last, cut);
    for (unsigned round = 0; round < 2; round++) { /* the second takes the place of the first */
        bury_letters(q, round, 1);
        ps_queue_close(q);
        name_file(w, "dead-letters");
        load(w);
        w->bytes[w->len - 1] ^= 1;
        store(w, w->bytes, w->len);
        cut = w->len;
        q = open_queue(w, PS_QUEUE_WRITE);
        OK(ps_queue_info(q, &info, &test_err));
        assert_true(info.cut_in_doubt && info.cut_bytes > 0);
        name_file(w, "dead-letters.cut");
        load(w);
        assert_int_equal(w->len, cut);
    }
    ps_queue_close(q);
}

static int no_sync(int fd, bool data_only)
{
    (void)fd;
    (void)data_only;
    return 0;
}

int main(void)
{
    struct ps_disk_ops quick = ps_disk_real;
    quick.sync = no_sync; /* no power fails here; see file_queue_faults_test.c */
    ps_disk_set(&quick);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_vectors),
        cmocka_unit_test(test_crc32c_ways_agree),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_a_frame_too_long),
        cmocka_unit_test(test_segment_header),
        cmocka_unit_test(test_marks_are_found_anywhere),
        cmocka_unit_test_setup_teardown(test_torn_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tail_of_zeros_or_garbage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_appends_torn_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_flipped_bit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flipped_bits_in_a_closed_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftover_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_segment_without_a_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_opening, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_torn_letters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flipped_bits_in_letters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flipped_bits_in_letters_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_within_a_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_cut_tail_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_new_segments_beside_letters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_cut_in_doubt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_taken_behind_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_taken_by_a_removed_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
