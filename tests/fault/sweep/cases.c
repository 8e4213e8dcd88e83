/* cases.c - see cases.h.  SPDX-License-Identifier: MIT */
#include "fault/sweep/cases.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct one_case cases[CASES_MAX];
size_t case_count;

static void add_case(struct one_case c)
{
    if (case_count == CASES_MAX)
        abort();
    cases[case_count++] = c;
}

static void add_faults(const struct faulty_record *r, const char *path)
{
    bool creates = r->call == CALL_OPEN && (r->at & O_CREAT) != 0;
    bool changes = creates || faulty_call_changes(r->call);
    bool of_sqlite = strstr(path, ".db") != NULL || r->handle >= 1 << 20;
    enum faulty_call call = r->call == CALL_SYNC_FOLDER ? CALL_SYNC : r->call;
    for (int kind = FAULT_EIO; kind < FAULT_COUNT; kind++) {
        bool kills = kind == FAULT_KILL_BEFORE || kind == FAULT_KILL_AFTER;
        if (!faulty_can_befall((enum faulty_kind)kind, call, creates, of_sqlite))
            continue;
        add_case((struct one_case){.how = kills ? HOW_KILL : HOW_FAULT,
                                   .kind = (enum faulty_kind)kind,
                                   .number = r->number});
        if (kind == FAULT_EMFILE || (changes && (kind == FAULT_EIO || kind == FAULT_ENOSPC)))
            add_case((struct one_case){.how = HOW_LASTING,
                                       .kind = (enum faulty_kind)kind,
                                       .lasting = true,
                                       .number = r->number});
    }
    if (call == CALL_SYNC)
        add_case(
            (struct one_case){.how = HOW_SYNC_AND_POWER, .kind = FAULT_EIO, .number = r->number});
}

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void swap_cases(size_t i, size_t j)
{
    struct one_case c = cases[j];
    cases[j] = cases[i];
    cases[i] = c;
}

static void shuffle_cases(uint64_t seed)
{
    uint64_t state = seed;
    for (size_t i = case_count; i > 1; i--)
        swap_cases(i - 1, next_random(&state) % i);
    for (size_t i = 0, n = 0; i < case_count; i++)
        if (cases[i].first)
            swap_cases(i, n++);
}

void cases_of_disk(const struct power_loss *loss, uint64_t seed)
{
    size_t count = power_loss_count(loss);
    case_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct faulty_record *r = power_loss_record(loss, i);
        bool changes = r->call == CALL_MARK || faulty_call_changes(r->call) ||
                       (r->call == CALL_OPEN && (r->at & O_CREAT) != 0);
        if (r->call != CALL_MARK)
            add_faults(r, power_loss_path(loss, i));
        for (int mode = 0; mode < POWER_LOSS_MODES && (changes || i + 1 == count); mode++)
            add_case((struct one_case){.how = HOW_POWER,
                                       .mode = (enum power_loss_mode)mode,
                                       .number = i + 1,
                                       .first = mode == POWER_LOSS_STRICT &&
                                                (r->call == CALL_MARK || i + 1 == count)});
    }
    shuffle_cases(seed);
}

void cases_of_memory(uint64_t allocations, uint64_t seed)
{
    case_count = 0;
    for (uint64_t n = 1; n <= allocations; n++)
        for (int lasting = 0; lasting < 2; lasting++)
            add_case((struct one_case){
                .how = HOW_MEMORY, .kind = FAULT_NO_MEMORY, .lasting = lasting == 1, .number = n});
    shuffle_cases(seed);
}

/* --- names --- */

static const char *const mode_names[POWER_LOSS_MODES] = {"strict", "random", "names"};

void case_name(char to[CASE_NAME_MAX], const struct one_case *c)
{
    const char *lasting = c->lasting ? "lasting " : "";
    if (c->how == HOW_POWER)
        snprintf(to, CASE_NAME_MAX, "power-%s", mode_names[c->mode]);
    else if (c->how == HOW_SYNC_AND_POWER)
        snprintf(to, CASE_NAME_MAX, "sync-then-power");
    else
        snprintf(to, CASE_NAME_MAX, "%s%s", lasting, faulty_kind_name(c->kind));
}

bool case_parse(struct one_case *c, const char *what, const char *number)
{
    char name[CASE_NAME_MAX];
    c->number = strtoull(number, NULL, 10);
    for (int how = 0; how < HOW_COUNT; how++)
        for (int kind = FAULT_NONE; kind < FAULT_COUNT; kind++)
            for (int mode = 0; mode < POWER_LOSS_MODES; mode++) {
                c->how = (enum how)how;
                c->lasting = strncmp(what, "lasting ", strlen("lasting ")) == 0;
                c->kind = how == HOW_SYNC_AND_POWER ? FAULT_EIO : (enum faulty_kind)kind;
                c->mode = (enum power_loss_mode)mode;
                case_name(name, c);
                if (strcmp(name, what) == 0)
                    return true;
            }
    return false;
}
