/* routes.h - one table of what the server answers to. 404, 405 and the OpenAPI text derive from it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_ROUTES_H
#define PS_API_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

struct ps_request;

/* Answers with one of ps_respond_*, or suspends and is called again. On the server's thread, but
 * for those that read. */
typedef void ps_handler(struct ps_request *rq);

struct ps_route {
    const char *method; /* HEAD is answered wherever GET is */
    const char *path;   /* a last segment "{name}" stands for any one; see ps_routes_rest */
    ps_handler *handle;
    bool recorded;   /* record_self makes an event of it */
    bool takes_body; /* else a body is read and ignored */
    bool reads;      /* the database, so its handler runs on a reader's thread */
    const char *summary;
};

extern const struct ps_route ps_routes[];
extern const size_t ps_routes_count;

/* NULL when there is none; *ret_path_known then tells 405 from 404. */
const struct ps_route *ps_routes_find(const char *method, const char *path, bool *ret_path_known);

/* What of `path` stands where the route has "{name}"; "" when it has none. */
const char *ps_routes_rest(const struct ps_route *route, const char *path);

enum { PS_ALLOW_MAX = 64 };
/* "GET, HEAD, POST": the Allow header of a path. */
void ps_routes_allow(const char *path, char to[PS_ALLOW_MAX]);

ps_handler ps_handle_events, ps_handle_health, ps_handle_metrics;
ps_handler ps_handle_dead_letters, ps_handle_replay, ps_handle_purge;
ps_handler ps_handle_paths, ps_handle_snapshot;
ps_handler ps_handle_snapshot_refresh, ps_handle_archive_trigger;
ps_handler ps_handle_archives, ps_handle_jobs, ps_handle_capacity;

#endif
