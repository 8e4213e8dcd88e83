/* dict.c - see dict.h. Open addressing, half full at most; the texts lie in one buffer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "backend/sqlite/dict.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 1024 };

void ps_dict_init(struct dict *d)
{
    *d = (struct dict){0};
    ps_buf_init(&d->bytes, PS_DICT_BYTES_MAX);
}

void ps_dict_done(struct dict *d)
{
    free(d->slots);
    ps_buf_done(&d->bytes);
    ps_dict_init(d);
}

static struct dict_entry *find_slot(const struct dict *d, struct ps_str text, uint64_t hash)
{
    size_t mask = d->slot_count - 1, i = (size_t)hash & mask;
    for (;; i = (i + 1) & mask) {
        struct dict_entry *entry = &d->slots[i];
        struct ps_str known = {d->bytes.ptr + entry->at, entry->len};
        if (entry->number == 0 || (entry->hash == hash && ps_str_equal(known, text)))
            return entry;
    }
}

uint32_t ps_dict_find(const struct dict *d, struct ps_str text, uint64_t hash)
{
    return d->slot_count == 0 ? 0 : find_slot(d, text, hash)->number;
}

static int grow(struct dict *d)
{
    size_t count = d->slot_count == 0 ? FIRST_SLOTS : d->slot_count * 2;
    struct dict_entry *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return PS_ENOMEM;
    for (size_t i = 0; i < d->slot_count; i++) {
        size_t to = (size_t)d->slots[i].hash & (count - 1);
        if (d->slots[i].number == 0)
            continue;
        while (slots[to].number != 0)
            to = (to + 1) & (count - 1);
        slots[to] = d->slots[i];
    }
    free(d->slots);
    d->slots = slots;
    d->slot_count = count;
    return 0;
}

int ps_dict_put(struct dict *d, struct ps_str text, uint64_t hash, uint32_t number)
{
    PS_ASSERT(number != 0 && text.len <= PS_DICT_BYTES_MAX);
    if (d->count == PS_DICT_ENTRIES_MAX || d->bytes.len + text.len > PS_DICT_BYTES_MAX)
        ps_dict_done(d);
    if (d->count * 2 >= d->slot_count && grow(d) < 0)
        return PS_ENOMEM;
    size_t at = d->bytes.len;
    if (ps_buf_reserve(&d->bytes, text.len) < 0)
        return PS_ENOMEM;
    ps_copy(d->bytes.ptr + at, text.ptr, text.len);
    d->bytes.len += text.len;
    *find_slot(d, text, hash) = (struct dict_entry){hash, number, (uint32_t)text.len, at};
    d->count++;
    return 0;
}
