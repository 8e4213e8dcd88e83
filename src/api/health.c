/* health.c - GET /api/health: does it take events in, and does it count them?
 *
 * The table of troubles says what happened: "failing" (503) while events cannot be taken in, stored
 * or counted, "degraded" (200) while something else does not work (taking this server out of
 * rotation would mend nothing), else "ok"; each trouble is a reason. What exactly failed, with the
 * names of files, is for the log.
 *
 * An aggregator in another process has no table here. Its heartbeat is the only sign of life then,
 * and its counters are null. Load balancers ask often, so what costs a look-up (the heartbeat in
 * the KV, the queue's numbers) is remembered for a second.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "base/log.h"
#include "base/time.h"

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

/* --- the state --- */

static const char *const severity_names[] = {[PS_DEGRADED] = "degraded", [PS_FAILING] = "failing"};

static void write_reason(struct ps_json *w, const char *name, enum ps_severity severity,
                         const char *message)
{
    ps_json_key(w, "name");
    ps_json_text(w, name);
    ps_json_key(w, "severity");
    ps_json_text(w, severity_names[severity]);
    ps_json_key(w, "message");
    ps_json_text(w, message);
}

static void write_trouble(struct ps_json *w, enum ps_trouble which,
                          const struct ps_trouble_state *state)
{
    char since[PS_ISO_LEN + 1];
    ps_time_format_iso(since, state->since_ms);
    ps_json_open(w, '{');
    write_reason(w, ps_trouble_name(which), ps_trouble_severity(which), ps_trouble_help(which));
    ps_json_key(w, "kind");
    ps_json_text(w, ps_code_name(state->code));
    ps_json_key(w, "since");
    ps_json_text(w, since);
    ps_json_key(w, "failures");
    ps_json_uint(w, state->failures);
    ps_json_close(w, '}');
}

struct health {
    size_t count; /* of troubles */
    bool failing, heartbeat_missing;
    enum ps_trouble which[PS_TROUBLE_COUNT];
    struct ps_trouble_state states[PS_TROUBLE_COUNT];
};

static void look(struct ps_api *api, int64_t uptime_s, struct health *ret)
{
    struct health h = {.heartbeat_missing = api->config.aggregator == NULL && !api->health.beats &&
                                            uptime_s >= PS_API_YOUNG_S};
    h.failing = h.heartbeat_missing;
    for (int i = 0; i < PS_TROUBLE_COUNT; i++) {
        enum ps_trouble which = (enum ps_trouble)i;
        if (!ps_trouble_get(api->config.troubles, which, &h.states[h.count]))
            continue;
        h.which[h.count++] = which;
        h.failing |= ps_trouble_severity(which) == PS_FAILING;
    }
    *ret = h;
}

static void write_reasons(const struct health *h, struct ps_json *w)
{
    ps_json_key(w, "reasons");
    ps_json_open(w, '[');
    for (size_t i = 0; i < h->count; i++)
        write_trouble(w, h->which[i], &h->states[i]);
    if (h->heartbeat_missing) {
        ps_json_open(w, '{');
        write_reason(w, "heartbeat_missing", PS_FAILING,
                     "the aggregator, another process, does not beat: nothing is counted");
        ps_json_close(w, '}');
    }
    ps_json_close(w, ']');
}

void ps_handle_health(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    struct health h;
    ps_health_refresh(api);
    int64_t uptime_s = (ps_clock_monotonic_us(api->config.clock) - api->started_us) / (1000 * 1000);
    look(api, uptime_s, &h);
    struct ps_json w = ps_respond_writer(rq);
    ps_json_open(&w, '{');
    ps_json_key(&w, "status");
    ps_json_text(&w, h.failing ? "failing" : h.count > 0 ? "degraded" : "ok");
    write_reasons(&h, &w);
    ps_json_key(&w, "version");
    ps_json_text(&w, api->config.version);
    ps_json_key(&w, "uptimeSeconds");
    ps_json_int(&w, uptime_s);
    write_aggregator(api, &w);
    write_queue(api, &w);
    ps_json_close(&w, '}');
    ps_respond_json(rq, h.failing ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK);
}
