/* archive.c - see archive.h: which day, in which state, and what is done to it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/archive.h"

#include "base/time.h"
#include "flow/day_object.h"
#include "flow/overwrite.h"

#include <stdio.h>
#include <string.h>

void ps_archive_key(char to[PS_ARCHIVE_KEY_BYTES], int32_t day)
{
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, day);
    snprintf(to, PS_ARCHIVE_KEY_BYTES, PS_ARCHIVE_PREFIX "%.4s/%.2s/%s.jsonl.gz", date, date + 5,
             date);
}

/* --- what is known of a day --- */

struct known {
    int32_t day;
    bool found, stored;
    enum ps_day_state state;
    uint64_t record_count;
    char sha256[PS_SHA256_HEX + 1];
};

static int note_day(void *ctx, const struct ps_day *day)
{
    struct known *known = ctx;
    if (day->day != known->day)
        return 0;
    known->found = true;
    known->stored = day->stored;
    known->state = day->state;
    known->record_count = (uint64_t)day->record_count;
    snprintf(known->sha256, sizeof known->sha256, "%.*s", (int)day->sha256.len,
             day->sha256.ptr == NULL ? "" : day->sha256.ptr);
    return 0;
}

static int look_up(struct ps_archiver *a, int32_t day, struct known *ret, struct ps_err *e)
{
    *ret = (struct known){.day = day, .state = PS_DAY_OPEN};
    return ps_store_days(a->store, note_day, ret, e);
}

static bool is_too_young(const struct ps_archiver *a, int32_t day)
{
    int32_t today = ps_time_day(ps_clock_now_ms(a->clock));
    return day >= today - (int32_t)a->retention_days;
}

static bool is_candidate(const struct known *known)
{
    return known->state == PS_DAY_COMPLETED || known->state == PS_DAY_PENDING ||
           (known->stored && known->state != PS_DAY_CLEANED);
}

static int check_known(struct ps_archiver *a, const struct known *known, struct ps_err *e)
{
    char date[PS_DATE_LEN + 1];
    ps_time_format_date(date, known->day);
    if (is_too_young(a, known->day))
        return ps_fail(e, PS_EINVAL, "%s is too young: days stay hot for %u day%s (retention_days)",
                       date, a->retention_days, a->retention_days == 1 ? "" : "s");
    if (known->state == PS_DAY_CLEANED)
        return ps_fail(e, PS_EEXIST, "%s is archived and cleaned already", date);
    if (!is_candidate(known))
        return ps_fail(e, PS_ENOENT, "there are no events of %s", date);
    return 0;
}

int ps_archive_check(struct ps_archiver *a, int32_t day, struct ps_err *e)
{
    struct known known;
    int r = look_up(a, day, &known, e);
    return r < 0 ? r : check_known(a, &known, e);
}

static int tell(struct ps_archiver *a, int32_t day, enum ps_archive_phase phase, uint64_t done)
{
    return a->progress == NULL ? 0 : a->progress(a->ctx, day, phase, done);
}

static struct ps_archived summed_up(int32_t day, const struct ps_day_object *object)
{
    return (struct ps_archived){.day = day,
                                .events = object->events,
                                .object_bytes = object->object_bytes,
                                .json_bytes = object->json_bytes};
}

/* --- one day --- */

static int mark(struct ps_archiver *a, int32_t day, enum ps_day_state state,
                const struct ps_day_object *object, const char *error, unsigned from,
                struct ps_err *e)
{
    char key[PS_ARCHIVE_KEY_BYTES];
    ps_archive_key(key, day);
    struct ps_day record = {.day = day, .state = state, .object = {key, strlen(key)}};
    if (object != NULL) {
        record.record_count = (int64_t)object->events;
        record.file_size_bytes = (int64_t)object->object_bytes;
        record.sha256 = (struct ps_str){object->sha256, strlen(object->sha256)};
        record.archived_at_ms = ps_clock_now_ms(a->clock);
    }
    if (error != NULL)
        record.error = (struct ps_str){error, strlen(error)};
    return ps_ledger_mark(a->ledger, &record, from, e);
}

struct relay {
    struct ps_archiver *archiver;
    int32_t day;
    enum ps_archive_phase phase;
};

static int relay_progress(void *ctx, uint64_t done)
{
    struct relay *relay = ctx;
    return tell(relay->archiver, relay->day, relay->phase, done);
}

/* What an earlier try left there takes room and nothing else, so a service that does not let us
 * look for it (many do not) keeps no day from being archived. */
static void tidy_up(struct ps_archiver *a, const char *key, char warning[PS_ERR_TEXT_MAX])
{
    struct ps_err e = {0};
    if (ps_objects_abort_uploads(a->objects, key, &e) < 0)
        snprintf(warning, PS_ERR_TEXT_MAX,
                 "what interrupted uploads left cannot be looked for and removed: %.400s", e.text);
}

/* Sealed first: what the store has now is all there will be. */
static int write_and_verify(struct ps_archiver *a, int32_t day, struct ps_day_object *ret,
                            char warning[PS_ERR_TEXT_MAX], struct ps_err *e)
{
    char key[PS_ARCHIVE_KEY_BYTES];
    struct ps_day_object back;
    struct relay relay = {a, day, PS_PHASE_ARCHIVE};
    ps_archive_key(key, day);
    tidy_up(a, key, warning);
    int r = ps_overwrite_check(a->store, day, a->objects, key, PS_OVERWRITE_EVENTS_MAX,
                               relay_progress, &relay, e);
    if (r == 0)
        r = ps_day_object_write(a->store, day, a->objects, key, relay_progress, &relay, ret, e);
    relay.phase = PS_PHASE_VERIFY;
    if (r == 0)
        r = ps_day_object_read(a->objects, key, NULL, NULL, relay_progress, &relay, &back, e);
    if (r == 0 && back.events != ret->events)
        r = ps_fail(e, PS_ECORRUPT, "%s was read back with %llu events instead of %llu", key,
                    (unsigned long long)back.events, (unsigned long long)ret->events);
    if (r == 0 && strcmp(back.sha256, ret->sha256) != 0)
        r = ps_fail(e, PS_ECORRUPT, "%s was read back with another SHA-256 than was written", key);
    return r;
}

/* A failure that was not asked for is written down; then the day takes events again. */
static int give_up(struct ps_archiver *a, int32_t day, int code, const struct ps_err *why)
{
    if (code == PS_ESTOP ||
        mark(a, day, PS_DAY_FAILED, NULL, why->text, PS_FROM_STATE(PS_DAY_PENDING), NULL) == 0)
        return code;
    a->left_pending = true;
    snprintf(a->why, sizeof a->why, "%s", why->text);
    return code;
}

static int archive_open_day(struct ps_archiver *a, int32_t day, struct ps_day_object *ret,
                            char warning[PS_ERR_TEXT_MAX], struct ps_err *e)
{
    unsigned from = PS_FROM_STATE(PS_DAY_OPEN) | PS_FROM_STATE(PS_DAY_PENDING) |
                    PS_FROM_STATE(PS_DAY_FAILED) | PS_FROM_STATE(PS_DAY_RESTORED);
    struct ps_err local = {0};
    struct ps_err *why = e != NULL ? e : &local;
    int r = mark(a, day, PS_DAY_PENDING, NULL, NULL, from, why);
    if (r < 0)
        return r;
    r = write_and_verify(a, day, ret, warning, why);
    if (r == 0)
        r = mark(a, day, PS_DAY_COMPLETED, ret, NULL, PS_FROM_STATE(PS_DAY_PENDING), why);
    return r < 0 ? give_up(a, day, r, why) : 0;
}

/* Completed in an earlier run, which then was interrupted: the object is looked at once more before
 * the only other copy goes. */
static int verify_completed(struct ps_archiver *a, const struct known *known,
                            struct ps_day_object *ret, char warning[PS_ERR_TEXT_MAX],
                            struct ps_err *e)
{
    char key[PS_ARCHIVE_KEY_BYTES];
    struct relay relay = {a, known->day, PS_PHASE_VERIFY};
    ps_archive_key(key, known->day);
    int r = ps_day_object_read(a->objects, key, NULL, NULL, relay_progress, &relay, ret, e);
    bool wrong =
        r == PS_ENOENT || r == PS_ECORRUPT ||
        (r == 0 && (ret->events != known->record_count || strcmp(ret->sha256, known->sha256) != 0));
    if (!wrong)
        return r;
    /* The object is not what was written, but the events are still here: once more. */
    r = mark(a, known->day, PS_DAY_PENDING, NULL, NULL, PS_FROM_STATE(PS_DAY_COMPLETED), e);
    return r < 0 ? r : archive_open_day(a, known->day, ret, warning, e);
}

int ps_archive_day(struct ps_archiver *a, int32_t day, struct ps_archived *ret, struct ps_err *e)
{
    struct known known;
    struct ps_day_object object = {0};
    char warning[PS_ERR_TEXT_MAX] = "";
    int r = look_up(a, day, &known, e);
    if (r == 0)
        r = check_known(a, &known, e);
    if (r < 0)
        return r;
    r = known.state == PS_DAY_COMPLETED ? verify_completed(a, &known, &object, warning, e)
                                        : archive_open_day(a, day, &object, warning, e);
    if (r == 0)
        r = tell(a, day, PS_PHASE_CLEAN, object.events);
    if (r == 0)
        r = ps_ledger_clean(a->ledger, day, e);
    if (r < 0)
        return r;
    *ret = summed_up(day, &object);
    strcpy(ret->warning, warning);
    return 0;
}

/* --- a failure that could not be written down --- */

static int list_pending(void *ctx, const struct ps_day *day)
{
    return day->state == PS_DAY_PENDING ? ps_day_list_add(ctx, day->day, NULL) : 0;
}

int ps_archive_mend(struct ps_archiver *a, struct ps_err *e)
{
    struct ps_day_list list = {0};
    if (!a->left_pending)
        return 0;
    int r = ps_store_days(a->store, list_pending, &list, e);
    for (size_t i = 0; r == 0 && i < list.count; i++)
        r = mark(a, list.days[i], PS_DAY_FAILED, NULL, a->why, PS_FROM_STATE(PS_DAY_PENDING), e);
    ps_day_list_done(&list);
    a->left_pending = r < 0;
    return r;
}

/* --- all of them --- */

struct candidates {
    struct ps_archiver *archiver;
    struct ps_day_list list;
};

static int list_candidate(void *ctx, const struct ps_day *day)
{
    struct candidates *c = ctx;
    struct known known = {.day = day->day, .stored = day->stored, .state = day->state};
    return is_candidate(&known) && !is_too_young(c->archiver, day->day)
               ? ps_day_list_add(&c->list, day->day, NULL)
               : 0;
}

int ps_archive_oldest(struct ps_archiver *a, int32_t *ret_day, struct ps_err *e)
{
    struct candidates c = {.archiver = a};
    int r = ps_store_days(a->store, list_candidate, &c, e);
    if (r == 0 && c.list.count == 0)
        r = ps_fail(e, PS_ENOENT, "no day is older than %u day%s", a->retention_days,
                    a->retention_days == 1 ? "" : "s");
    if (r == 0)
        *ret_day = c.list.days[0];
    ps_day_list_done(&c.list);
    return r;
}

int ps_archive_run(struct ps_archiver *a, struct ps_archived *ret, struct ps_err *e)
{
    struct candidates c = {.archiver = a};
    struct ps_archived sum = {0};
    struct ps_err first = {0};
    int outcome = ps_store_days(a->store, list_candidate, &c, e);
    bool listed = outcome == 0;
    for (size_t i = 0; listed && i < c.list.count; i++) {
        struct ps_archived one;
        struct ps_err why = {0};
        int r = ps_archive_day(a, c.list.days[i], &one, &why);
        if (r == 0) {
            sum.day++;
            sum.events += one.events;
            sum.object_bytes += one.object_bytes;
            sum.json_bytes += one.json_bytes;
            if (sum.warning[0] == '\0')
                strcpy(sum.warning, one.warning);
        } else if (outcome == 0) {
            outcome = r;
            first = why;
        }
        if (r == PS_ESTOP)
            break;
    }
    ps_day_list_done(&c.list);
    if (!listed)
        return outcome;
    *ret = sum;
    if (outcome < 0 && e != NULL)
        *e = first;
    return outcome;
}

/* --- reading back --- */

static int require_archived(struct ps_archiver *a, int32_t day, struct known *ret, struct ps_err *e)
{
    char date[PS_DATE_LEN + 1];
    int r = look_up(a, day, ret, e);
    ps_time_format_date(date, day);
    if (r == 0 && ret->sha256[0] == '\0')
        r = ps_fail(e, PS_ENOENT, "%s is not archived (it is %s)", date,
                    ps_day_state_name(ret->state));
    return r;
}

int ps_archive_read(struct ps_archiver *a, int32_t day, ps_archive_bytes_fn *fn, void *ctx,
                    struct ps_archived *ret, struct ps_err *e)
{
    char key[PS_ARCHIVE_KEY_BYTES];
    struct known known;
    struct ps_day_object object;
    struct relay relay = {a, day, PS_PHASE_VERIFY};
    ps_archive_key(key, day);
    int r = require_archived(a, day, &known, e);
    if (r == 0)
        r = ps_day_object_read(a->objects, key, fn, ctx, relay_progress, &relay, &object, e);
    if (r == 0 && object.events != known.record_count)
        r = ps_fail(e, PS_ECORRUPT, "%s holds %llu events, the ledger says %llu", key,
                    (unsigned long long)object.events, (unsigned long long)known.record_count);
    if (r == 0 && strcmp(object.sha256, known.sha256) != 0)
        r = ps_fail(e, PS_ECORRUPT, "%s has the SHA-256 %s, the ledger says %s", key, object.sha256,
                    known.sha256);
    if (r == 0)
        *ret = summed_up(day, &object);
    return r;
}

int ps_archive_restore(struct ps_archiver *a, int32_t day, struct ps_archived *ret,
                       struct ps_err *e)
{
    struct known known;
    char date[PS_DATE_LEN + 1], key[PS_ARCHIVE_KEY_BYTES];
    struct relay relay = {a, day, PS_PHASE_RESTORE};
    ps_archive_key(key, day);
    ps_time_format_date(date, day);
    int r = require_archived(a, day, &known, e);
    if (r == 0 && known.state != PS_DAY_CLEANED)
        r = ps_fail(e, PS_EEXIST, "%s is still in the database (it is %s)", date,
                    ps_day_state_name(known.state));
    if (r == 0) /* nothing comes back that is not what was archived */
        r = ps_archive_read(a, day, NULL, NULL, ret, e);
    if (r == 0)
        r = ps_day_object_restore(a->objects, key, a->ledger, day, relay_progress, &relay, e);
    return r;
}
