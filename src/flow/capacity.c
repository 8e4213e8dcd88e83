/* capacity.c - see capacity.h. The history is text, a line a measurement: "<ms> <used bytes>".
 *
 * SPDX-License-Identifier: MIT
 */
#include "flow/capacity.h"

#include "base/check.h"
#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct measurement {
    int64_t ms;
    uint64_t used_bytes;
};

struct history {
    struct measurement items[PS_CAPACITY_MEASUREMENTS_MAX]; /* oldest first */
    size_t count;
};

static int load_history(const struct ps_capacity_config *c, int64_t now_ms, struct history *ret,
                        struct ps_err *e)
{
    struct ps_buf text;
    ret->count = 0;
    if (c->kv == NULL)
        return 0;
    ps_buf_init(&text, PS_KV_VALUE_MAX);
    int r = ps_kv_get(c->kv, PS_STR(PS_CAPACITY_HISTORY_KEY), now_ms, &text, e);
    ps_buf_append(&text, "", 1);
    const char *at = text.ptr;
    struct measurement m;
    int used;
    while (r == 0 && ret->count < PS_CAPACITY_MEASUREMENTS_MAX &&
           sscanf(at, "%" SCNd64 " %" SCNu64 "\n%n", &m.ms, &m.used_bytes, &used) == 2) {
        at += used;
        if (now_ms - m.ms <= PS_CAPACITY_HISTORY_DAYS * PS_MS_PER_DAY && m.ms <= now_ms)
            ret->items[ret->count++] = m;
    }
    ps_buf_done(&text);
    return r == PS_ENOENT ? 0 : r;
}

static int add_archive(void *ctx, const struct ps_day *day)
{
    if (day->sha256.len > 0)
        *(uint64_t *)ctx += (uint64_t)day->file_size_bytes;
    return 0;
}

unsigned ps_capacity_level(unsigned percent)
{
    return percent >= PS_CAPACITY_WARN_3   ? PS_CAPACITY_WARN_3
           : percent >= PS_CAPACITY_WARN_2 ? PS_CAPACITY_WARN_2
           : percent >= PS_CAPACITY_WARN_1 ? PS_CAPACITY_WARN_1
                                           : 0;
}

/* Less than an hour of history says nothing. */
static void estimate_growth(struct ps_capacity *m, const struct history *history)
{
    if (history->count == 0 || m->measured_ms - history->items[0].ms < PS_MS_PER_HOUR)
        return;
    double days = (double)(m->measured_ms - history->items[0].ms) / (double)PS_MS_PER_DAY;
    double grown = (double)m->used_bytes - (double)history->items[0].used_bytes;
    m->has_growth = true;
    m->growth_per_day_bytes = (int64_t)(grown / days);
    if (m->growth_per_day_bytes <= 0)
        return;
    m->has_days_left = true;
    m->days_left = m->used_bytes >= m->max_db_bytes ? 0
                                                    : (double)(m->max_db_bytes - m->used_bytes) /
                                                          (double)m->growth_per_day_bytes;
}

int ps_capacity_measure(const struct ps_capacity_config *c, struct ps_capacity *ret,
                        struct ps_err *e)
{
    struct ps_ledger_size size;
    struct ps_queue_info queue;
    struct history history;
    struct ps_capacity m = {.measured_ms = ps_clock_now_ms(c->clock),
                            .max_db_bytes = c->max_db_bytes};
    int r = ps_ledger_size(c->ledger, &size, e);
    if (r == 0)
        r = ps_queue_info(c->queue, &queue, e);
    if (r == 0)
        r = ps_store_days(c->store, add_archive, &m.archive_bytes, e);
    if (r == 0)
        r = load_history(c, m.measured_ms, &history, e);
    if (r < 0)
        return r;
    m.database_bytes = size.bytes;
    m.used_bytes = size.bytes - size.free_bytes;
    m.log_bytes = size.log_bytes;
    m.queue_bytes = queue.bytes;
    m.percent = (unsigned)((double)m.used_bytes * 100 / (double)c->max_db_bytes);
    m.level = ps_capacity_level(m.percent);
    estimate_growth(&m, &history);
    *ret = m;
    return 0;
}

int ps_capacity_remember(const struct ps_capacity_config *c, const struct ps_capacity *m,
                         struct ps_err *e)
{
    struct history history;
    struct ps_buf text;
    if (c->kv == NULL)
        return 0;
    int r = load_history(c, m->measured_ms, &history, e);
    if (r < 0)
        return r;
    size_t from = history.count == PS_CAPACITY_MEASUREMENTS_MAX ? 1 : 0;
    ps_buf_init(&text, PS_KV_VALUE_MAX);
    for (size_t i = from; i < history.count; i++)
        ps_buf_format(&text, "%" PRId64 " %" PRIu64 "\n", history.items[i].ms,
                      history.items[i].used_bytes);
    ps_buf_format(&text, "%" PRId64 " %" PRIu64 "\n", m->measured_ms, m->used_bytes);
    r = text.failed ? ps_fail(e, text.failed, "capacity: no memory")
                    : ps_kv_put(c->kv, PS_STR(PS_CAPACITY_HISTORY_KEY), ps_buf_str(&text),
                                PS_CAPACITY_HISTORY_DAYS * PS_MS_PER_DAY, m->measured_ms, e);
    ps_buf_done(&text);
    return r;
}

void ps_capacity_write(const struct ps_capacity *m, struct ps_json *w)
{
    char time[PS_ISO_LEN + 1];
    const char *const names[] = {"databaseBytes", "usedBytes",  "maxDatabaseBytes",
                                 "walBytes",      "queueBytes", "archiveBytes"};
    const uint64_t values[] = {m->database_bytes, m->used_bytes,  m->max_db_bytes,
                               m->log_bytes,      m->queue_bytes, m->archive_bytes};
    ps_time_format_iso(time, m->measured_ms);
    ps_json_open(w, '{');
    ps_json_key(w, "measuredAt");
    ps_json_text(w, time);
    ps_json_key(w, "level");
    ps_json_uint(w, m->level);
    ps_json_key(w, "percent");
    ps_json_uint(w, m->percent);
    for (size_t i = 0; i < PS_COUNT_OF(names); i++) {
        ps_json_key(w, names[i]);
        ps_json_uint(w, values[i]);
    }
    ps_json_key(w, "growthPerDayBytes");
    m->has_growth ? ps_json_int(w, m->growth_per_day_bytes) : ps_json_null(w);
    ps_json_key(w, "daysLeft");
    m->has_days_left ? ps_json_double(w, m->days_left, 1) : ps_json_null(w);
    ps_json_close(w, '}');
}
