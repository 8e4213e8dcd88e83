/* power_loss.h - the disk as it could be after the power failed.
 *
 * From the files there were at first, and a journal of faulty_disk.h, it follows what was done up
 * to any call, and what of it had been synced, and writes the disk that could be left:
 *
 *     STRICT    only what was synced: bytes of files, and names in folders
 *     RANDOM    of each page, and of each folder, some of what was not synced, too
 *     NAMES     every name and size has arrived, and of bytes what was synced: zeros else
 *
 * A page (4096 bytes) arrives as it was at some moment since its last sync; the names of a folder
 * up to some moment. A name is durable when its folder was synced, not with its file. What a failed
 * sync left out stays out, whatever is synced later.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_POWER_LOSS_H
#define PS_TEST_POWER_LOSS_H

#include "support/faulty_disk.h"

#include <stddef.h>

enum power_loss_mode { POWER_LOSS_STRICT, POWER_LOSS_RANDOM, POWER_LOSS_NAMES, POWER_LOSS_MODES };

struct power_loss; /* a journal, read into memory */

/* `root` as in the plan of the recording; `base` holds a copy of what was there at first, or is a
 * name of nothing. NULL: the journal cannot be read. */
struct power_loss *power_loss_open(const char *root, const char *base, const char *journal);
void power_loss_close(struct power_loss *p);

size_t power_loss_count(const struct power_loss *p);
const struct faulty_record *power_loss_record(const struct power_loss *p, size_t i);
/* Of a record: its path or text. Static memory. */
const char *power_loss_path(const struct power_loss *p, size_t i);

/* The disk when records [0, n) had happened, as a new folder `to`. False: it cannot be written. */
bool power_loss_rebuild(const struct power_loss *p, size_t n, enum power_loss_mode mode,
                        uint64_t seed, const char *to);

#endif
