/* health.c - GET /api/health: is it up, and does the aggregator count?
 *
 * Load balancers ask often, so what costs a look-up (the heartbeat in the KV, the queue's numbers)
 * is remembered for a second. The aggregator may be another process: its heartbeat is the only
 * sign of life there is in that case, its counters are null then.
 *
 * "degraded" goes with 503 when the heartbeat is missing. It goes with 200 while the aggregator
 * beats but retries a failing batch: taking this server out of rotation would mend nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "base/log.h"

enum { HEARTBEAT_DIGITS_MAX = 19 };

static bool parse_ms(struct ps_str text, int64_t *ret)
{
    int64_t value = 0;
    if (text.len == 0 || text.len >= HEARTBEAT_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (text.ptr[i] - '0');
    }
    *ret = value;
    return true;
}

static int read_heartbeat(struct ps_api *api, struct ps_err *e)
{
    struct ps_buf value;
    ps_buf_init(&value, PS_KV_VALUE_MAX);
    int r = ps_kv_get(api->config.kv, PS_STR(PS_HEARTBEAT_KEY), ps_clock_now_ms(api->config.clock),
                      &value, e);
    if (r == 0)
        api->health.beats = parse_ms(ps_buf_str(&value), &api->health.heartbeat_ms);
    ps_buf_done(&value);
    return r == PS_ENOENT ? 0 : r;
}

void ps_health_refresh(struct ps_api *api)
{
    struct ps_err e = {0};
    int64_t now_us = ps_clock_monotonic_us(api->config.clock);
    if (api->health.checked_us != INT64_MIN &&
        now_us - api->health.checked_us < PS_API_HEALTH_CACHE_US)
        return;
    api->health.checked_us = now_us;
    api->health.beats = false;
    int r = read_heartbeat(api, &e);
    if (r == 0)
        r = ps_queue_info(api->config.queue, &api->health.queue, &e);
    if (r < 0 && !api->health.failed)
        ps_log(PS_LOG_ERROR, "health: %s", e.text);
    api->health.failed = r < 0;
}

static void write_aggregator(struct ps_api *api, struct ps_json *w)
{
    const struct ps_aggregator_counters *c = api->config.aggregator;
    int failing = c == NULL ? 0 : atomic_load(&c->failing);
    ps_json_key(w, "aggregator");
    ps_json_open(w, '{');
    ps_json_key(w, "heartbeatAgeMs");
    if (api->health.beats)
        ps_json_int(w, ps_clock_now_ms(api->config.clock) - api->health.heartbeat_ms);
    else
        ps_json_null(w);
    ps_json_key(w, "position");
    c == NULL ? ps_json_null(w) : ps_json_uint(w, atomic_load(&c->position));
    ps_json_key(w, "watermark");
    c == NULL ? ps_json_null(w) : ps_json_uint(w, atomic_load(&c->watermark));
    ps_json_key(w, "failing"); /* the kind of failure it retries, or null */
    failing == 0 ? ps_json_null(w) : ps_json_text(w, ps_code_name(failing));
    ps_json_close(w, '}');
}

static void write_queue(struct ps_api *api, struct ps_json *w)
{
    ps_json_key(w, "queue");
    ps_json_open(w, '{');
    ps_json_key(w, "bytes");
    ps_json_uint(w, api->health.queue.bytes);
    ps_json_key(w, "bytesMax");
    ps_json_uint(w, api->health.queue.bytes_max);
    ps_json_key(w, "deadLetters");
    ps_json_uint(w, api->health.queue.dead_letters);
    ps_json_close(w, '}');
}

void ps_handle_health(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    ps_health_refresh(api);
    int64_t uptime_s = (ps_clock_monotonic_us(api->config.clock) - api->started_us) / (1000 * 1000);
    bool alive = !api->health.failed && (api->health.beats || uptime_s < PS_API_YOUNG_S);
    bool failing =
        api->config.aggregator != NULL && atomic_load(&api->config.aggregator->failing) != 0;
    struct ps_json w = ps_respond_writer(api);
    ps_json_open(&w, '{');
    ps_json_key(&w, "status");
    ps_json_text(&w, alive && !failing ? "ok" : "degraded");
    ps_json_key(&w, "version");
    ps_json_text(&w, api->config.version);
    ps_json_key(&w, "uptimeSeconds");
    ps_json_int(&w, uptime_s);
    write_aggregator(api, &w);
    write_queue(api, &w);
    ps_json_close(&w, '}');
    ps_respond_json(rq, alive ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE);
}
