/* metrics.c - GET /metrics in Prometheus' text format 0.0.4.
 *
 * Names and help are one table each for the API and the aggregator. Labels have few values that
 * are known beforehand (reasons, code classes): no client can make up new ones (I8).
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "base/check.h"

#include <stddef.h>

struct metric {
    const char *name, *type, *help;
    size_t offset; /* of the _Atomic uint64_t */
};

static const struct metric api_metrics[] = {
    {"pathstats_events_accepted_total", "counter", "Events acknowledged over HTTP.",
     offsetof(struct ps_api_counters, accepted)},
    {"pathstats_self_recorded_total", "counter", "Own requests recorded as events.",
     offsetof(struct ps_api_counters, self_recorded)},
    {"pathstats_self_dropped_total", "counter", "Own requests not recorded: the queue was full.",
     offsetof(struct ps_api_counters, self_dropped)},
};

#define AGGREGATOR(field) offsetof(struct ps_aggregator_counters, field)
static const struct metric aggregator_metrics[] = {
    {"pathstats_events_counted_total", "counter", "Events that were new.", AGGREGATOR(fresh)},
    {"pathstats_events_duplicate_total", "counter", "Events seen before.", AGGREGATOR(duplicates)},
    {"pathstats_events_closed_day_total", "counter", "Events for a day that is archived.",
     AGGREGATOR(closed_day)},
    {"pathstats_events_buried_total", "counter", "Events that became dead letters.",
     AGGREGATOR(dead_letters)},
    {"pathstats_aggregator_batches_total", "counter", "Batches stored.", AGGREGATOR(batches)},
    {"pathstats_aggregator_retries_total", "counter", "Batches tried again.", AGGREGATOR(retries)},
    {"pathstats_aggregator_flushes_total", "counter", "Times statistics were written.",
     AGGREGATOR(flushes)},
    {"pathstats_aggregator_position", "gauge", "Queue position stored.", AGGREGATOR(position)},
    {"pathstats_aggregator_watermark", "gauge", "Queue position in the statistics.",
     AGGREGATOR(watermark)},
};

static void put_head(struct ps_buf *out, const char *name, const char *type, const char *help)
{
    ps_buf_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct ps_buf *out, const char *name, const char *type, const char *help,
                      uint64_t value)
{
    put_head(out, name, type, help);
    ps_buf_format(out, "%s %llu\n", name, (unsigned long long)value);
}

static void put_table(struct ps_buf *out, const struct metric *metrics, size_t count,
                      const void *counters)
{
    for (size_t i = 0; i < count; i++) {
        const struct metric *m = &metrics[i];
        const _Atomic uint64_t *value = (const void *)((const unsigned char *)counters + m->offset);
        put_value(out, m->name, m->type, m->help, atomic_load(value));
    }
}

static void put_reasons(struct ps_buf *out, const struct ps_api_counters *c, bool costs_field,
                        const char *name, const char *help)
{
    put_head(out, name, "counter", help);
    for (enum ps_reject why = PS_REJECT_NONE + 1; why < PS_REJECT_COUNT; why++)
        if (ps_reject_costs_field(why) == costs_field)
            ps_buf_format(out, "%s{reason=\"%s\"} %llu\n", name, ps_reject_name(why),
                          (unsigned long long)atomic_load(&c->rejected[why]));
}

static void put_requests(struct ps_buf *out, const struct ps_api_counters *c)
{
    static const char name[] = "pathstats_http_requests_total";
    put_head(out, name, "counter", "HTTP requests answered, by status class.");
    for (int class = 2; class < PS_API_CODE_CLASSES; class ++)
        ps_buf_format(out, "%s{code=\"%dxx\"} %llu\n", name, class,
                      (unsigned long long)atomic_load(&c->requests[class]));
}

static void put_troubles(struct ps_buf *out, struct ps_api *api)
{
    static const char name[] = "pathstats_trouble";
    struct ps_trouble_state state;
    put_head(out, name, "gauge", "1 while it lasts; see the reasons in /api/health.");
    for (int i = 0; i < PS_TROUBLE_COUNT; i++) {
        enum ps_trouble which = (enum ps_trouble)i;
        ps_buf_format(out, "%s{name=\"%s\"} %d\n", name, ps_trouble_name(which),
                      ps_trouble_get(api->config.troubles, which, &state));
    }
}

static void put_letters(struct ps_buf *out, const struct ps_queue_info *queue)
{
    static const char name[] = "pathstats_dead_letters_by_reason";
    put_head(out, name, "gauge", "Dead letters kept, by reason.");
    for (int why = PS_REJECT_NONE + 1; why < PS_REJECT_COUNT; why++)
        if (why >= PS_REJECT_CLOSED_DAY || queue->dead_by_reason[why] > 0)
            ps_buf_format(out, "%s{reason=\"%s\"} %llu\n", name,
                          ps_reject_name((enum ps_reject)why),
                          (unsigned long long)queue->dead_by_reason[why]);
}

static void put_gauges(struct ps_buf *out, struct ps_api *api)
{
    const struct ps_queue_info *queue = &api->health.queue;
    int64_t uptime_us = ps_clock_monotonic_us(api->config.clock) - api->started_us;
    put_value(out, "pathstats_queue_bytes", "gauge", "Bytes in the queue.", queue->bytes);
    put_value(out, "pathstats_queue_bytes_max", "gauge", "Limit of the queue.", queue->bytes_max);
    put_value(out, "pathstats_dead_letters", "gauge", "Dead letters kept.", queue->dead_letters);
    put_value(out, "pathstats_dead_letter_bytes", "gauge", "Bytes of dead letters.",
              queue->dead_letter_bytes);
    put_value(out, "pathstats_aggregator_up", "gauge", "1 when its heartbeat is there.",
              api->health.beats);
    put_value(out, "pathstats_uptime_seconds", "gauge", "Since the server started.",
              (uint64_t)(uptime_us / (1000 * 1000)));
}

void ps_handle_metrics(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    ps_respond_writer(rq);
    ps_health_refresh(api);
    put_table(&api->answer, api_metrics, PS_COUNT_OF(api_metrics), &api->counters);
    put_reasons(&api->answer, &api->counters, false, "pathstats_events_rejected_total",
                "Events refused over HTTP, by reason.");
    put_reasons(&api->answer, &api->counters, true, "pathstats_fields_ignored_total",
                "Fields that could not be used in events over HTTP, by reason.");
    put_requests(&api->answer, &api->counters);
    put_gauges(&api->answer, api);
    put_letters(&api->answer, &api->health.queue);
    put_troubles(&api->answer, api);
    if (api->config.aggregator != NULL) {
        put_table(&api->answer, aggregator_metrics, PS_COUNT_OF(aggregator_metrics),
                  api->config.aggregator);
        put_value(&api->answer, "pathstats_aggregator_failing", "gauge",
                  "1 while it retries a batch.",
                  atomic_load(&api->config.aggregator->failing) != 0);
    }
    ps_respond_body(rq, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8");
}
