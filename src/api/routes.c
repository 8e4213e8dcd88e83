/* routes.c - see routes.h.  SPDX-License-Identifier: MIT */
#include "api/routes.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

const struct ps_route ps_routes[] = {
    {"GET", "/api/health", ps_handle_health, .recorded = true,
     .summary = "Whether the server takes events and the aggregator counts them."},
    {"POST", "/api/events", ps_handle_events, .takes_body = true,
     .summary = "Send events: one object, an array, or one object a line (NDJSON)."},
    {"GET", "/api/paths", ps_handle_paths, .recorded = true, .reads = true,
     .summary = "The busiest paths of the last 24 hours: the latest snapshot. ?limit=N for fewer."},
    {"GET", "/api/paths/snapshot/{version}", ps_handle_snapshot, .recorded = true, .reads = true,
     .summary = "An earlier snapshot."},
    {"POST", "/admin/snapshot/refresh", ps_handle_snapshot_refresh,
     .summary = "Make a snapshot now."},
    {"POST", "/admin/archive/trigger", ps_handle_archive_trigger, .takes_body = true,
     .summary = "Archive a day: {\"date\":\"2025-10-12\"}."},
    {"GET", "/admin/archives", ps_handle_archives, .reads = true,
     .summary = "Every day there are events or an archive of, and its status."},
    {"GET", "/admin/jobs", ps_handle_jobs, .reads = true,
     .summary = "What ran when, and how it ended; the newest first. ?limit=N, 100 by default."},
    {"GET", "/admin/capacity", ps_handle_capacity, .reads = true,
     .summary = "Size against the limit."},
    {"GET", "/admin/dead-letters", ps_handle_dead_letters, .reads = true,
     .summary = "Events that could not be stored, oldest first, and why."},
    {"POST", "/admin/dead-letters/replay", ps_handle_replay,
     .summary = "Put every dead letter back into the queue."},
    {"POST", "/admin/dead-letters/purge", ps_handle_purge, .takes_body = true,
     .summary = "Throw dead letters away for good: {\"reason\":\"closed_day\","
                "\"before\":\"2025-10-12\"}, or {\"all\":true}."},
    {"GET", "/metrics", ps_handle_metrics, .summary = "Counters in Prometheus' text format."},
};
const size_t ps_routes_count = PS_COUNT_OF(ps_routes);

/* Bytes before the "{name}", or all. */
static size_t fixed_length(const struct ps_route *route)
{
    return strcspn(route->path, "{");
}

static bool matches(const struct ps_route *route, const char *path)
{
    size_t fixed = fixed_length(route);
    if (strncmp(route->path, path, fixed) != 0)
        return false;
    if (route->path[fixed] == '\0')
        return path[fixed] == '\0';
    return path[fixed] != '\0' && strchr(path + fixed, '/') == NULL;
}

const char *ps_routes_rest(const struct ps_route *route, const char *path)
{
    return path + fixed_length(route);
}

const struct ps_route *ps_routes_find(const char *method, const char *path, bool *ret_path_known)
{
    *ret_path_known = false;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < PS_COUNT_OF(ps_routes); i++) {
        if (!matches(&ps_routes[i], path))
            continue;
        *ret_path_known = true;
        if (strcmp(ps_routes[i].method, method) == 0)
            return &ps_routes[i];
    }
    return NULL;
}

void ps_routes_allow(const char *path, char to[PS_ALLOW_MAX])
{
    size_t len = 0;
    to[0] = '\0';
    for (size_t i = 0; i < PS_COUNT_OF(ps_routes); i++) {
        const struct ps_route *route = &ps_routes[i];
        if (!matches(route, path))
            continue;
        int n = snprintf(to + len, PS_ALLOW_MAX - len, "%s%s%s", len == 0 ? "" : ", ",
                         route->method, strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
        PS_ASSERT(n > 0 && (size_t)n < PS_ALLOW_MAX - len);
        len += (size_t)n;
    }
}
