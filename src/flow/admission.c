/* admission.c - see admission.h.  SPDX-License-Identifier: MIT */
#include "flow/admission.h"

#include "base/time.h"

#include <stdlib.h>

void ps_admission_init(struct ps_admission *a)
{
    *a = (struct ps_admission){.looked_us = INT64_MIN / 2};
    pthread_mutex_init(&a->lock, NULL);
}

void ps_admission_done(struct ps_admission *a)
{
    free(a->days);
    pthread_mutex_destroy(&a->lock);
}

static int compare_days(const void *x, const void *y)
{
    int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
    return a < b ? -1 : a > b;
}

bool ps_admission_refuses(struct ps_admission *a, int64_t timestamp_ms)
{
    if (a == NULL || !atomic_load_explicit(&a->full, memory_order_relaxed))
        return false;
    int32_t day = ps_time_day(timestamp_ms);
    pthread_mutex_lock(&a->lock);
    bool is_closed =
        a->count > 0 && bsearch(&day, a->days, a->count, sizeof day, compare_days) != NULL;
    pthread_mutex_unlock(&a->lock);
    return is_closed;
}

/* Under the lock. */
static int add_day(void *ctx, const struct ps_day *day)
{
    struct ps_admission *a = ctx;
    if (day->state != PS_DAY_PENDING && day->state != PS_DAY_COMPLETED &&
        day->state != PS_DAY_CLEANED)
        return 0;
    if (a->count == a->cap) {
        size_t cap = a->cap == 0 ? 64 : a->cap * 2;
        int32_t *days = realloc(a->days, cap * sizeof *days);
        if (days == NULL)
            return PS_ENOMEM;
        a->days = days;
        a->cap = cap;
    }
    a->days[a->count++] = day->day; /* they come oldest first */
    return 0;
}

/* A store that cannot be read now is asked again soon; until then nobody is refused. */
static void list_days(struct ps_admission *a, struct ps_store *store)
{
    pthread_mutex_lock(&a->lock);
    a->count = 0;
    if (ps_store_days(store, add_day, a, NULL) < 0)
        a->count = 0;
    pthread_mutex_unlock(&a->lock);
}

void ps_admission_refresh(struct ps_admission *a, struct ps_queue *queue, struct ps_store *store,
                          int64_t now_us, struct ps_troubles *troubles)
{
    struct ps_queue_info info;
    if (a == NULL || now_us - a->looked_us < PS_ADMISSION_EVERY_US ||
        ps_queue_info(queue, &info, NULL) < 0)
        return;
    bool full = info.dead_letter_bytes >= info.dead_letter_bytes_max;
    a->looked_us = now_us;
    if (full)
        list_days(a, store);
    a->full = full;
    ps_trouble_report(troubles, PS_TROUBLE_LETTERS_FULL, full ? PS_EFULL : 0,
                      full ? "the dead letters are full (dead_letters_max): events of archived "
                             "days are refused; see `pathstats dead-letters`, purge or replay"
                           : "");
}
