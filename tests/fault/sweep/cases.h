/* cases.h - what can happen in a scenario, and in which order it is tried.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TEST_SWEEP_CASES_H
#define PS_TEST_SWEEP_CASES_H

#include "support/power_loss.h"

enum { CASES_MAX = 64 * 1024, CASE_NAME_MAX = 64 };

enum how { HOW_FAULT, HOW_LASTING, HOW_KILL, HOW_POWER, HOW_SYNC_AND_POWER, HOW_MEMORY, HOW_COUNT };

struct one_case {
    enum how how;
    enum faulty_kind kind;
    bool lasting;
    enum power_loss_mode mode;
    uint64_t number; /* of the call; of a power loss, how many records of the journal happened */
    bool first;      /* in every sample: the power fails when something has just been promised */
};

extern struct one_case cases[CASES_MAX];
extern size_t case_count;

/* Fill `cases`: of an undisturbed run's journal, or of so many allocations. In an order that the
 * seed chooses, but those of every sample come first. */
void cases_of_disk(const struct power_loss *loss, uint64_t seed);
void cases_of_memory(uint64_t allocations, uint64_t seed);

/* "EIO", "lasting ENOSPC", "power-strict": with its number it is a case again. */
void case_name(char to[CASE_NAME_MAX], const struct one_case *c);
bool case_parse(struct one_case *c, const char *what, const char *number);

#endif
