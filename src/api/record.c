/* record.c - a request to the server's own public API, made an event like any other.
 *
 * It runs when the answer is out, so status and time are what the client saw. Nobody waits for it:
 * when the queue is full the event is dropped and counted, for a server that blocks on recording
 * itself would be worse than one that misses a line about itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/server.h"

#include <arpa/inet.h>
#include <string.h>

static void count_recorded(void *ctx, int code, const char *text)
{
    struct ps_api *api = ctx;
    (void)text;
    atomic_fetch_add(code == 0 ? &api->counters.self_recorded : &api->counters.self_dropped, 1);
    ps_api_end_wait(api);
}

/* The peer's address as text; the ingest hashes it and writes nothing else (I7). */
static struct ps_str peer_address(struct MHD_Connection *connection, char to[INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    const void *bytes = NULL;
    if (address == NULL)
        return PS_STR_NONE;
    if (address->sa_family == AF_INET)
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    else if (address->sa_family == AF_INET6)
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (bytes == NULL || inet_ntop(address->sa_family, bytes, to, INET6_ADDRSTRLEN) == NULL)
        return PS_STR_NONE;
    return (struct ps_str){to, strlen(to)};
}

void ps_api_record(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    char address[INET6_ADDRSTRLEN];
    struct ps_raw_event raw;
    struct ps_ingested *result = &rq->ingested;
    ps_ingested_reset(result);
    ps_raw_event_init(&raw);
    raw.path = (struct ps_str){rq->route->path, strlen(rq->route->path)};
    raw.method =
        rq->head ? PS_STR("HEAD") : (struct ps_str){rq->route->method, strlen(rq->route->method)};
    raw.user_agent = ps_request_header(rq, MHD_HTTP_HEADER_USER_AGENT);
    raw.client_ip = peer_address(rq->connection, address);
    raw.timestamp_ms = ps_clock_now_ms(api->config.clock);
    raw.response_us = ps_clock_monotonic_us(api->config.clock) - rq->started_us;
    raw.status = (int32_t)rq->status;
    ps_outbox_clear(&api->outbox);
    int r = ps_ingest_event(api->ingest, &raw, 1, 0, &api->outbox, result);
    if (r == 0 && result->accepted == 1 && ps_api_begin_wait(api)) {
        r = ps_commit_submit(api->config.commit, &api->outbox, count_recorded, api, NULL);
        if (r < 0)
            count_recorded(api, r, "");
    } else {
        atomic_fetch_add(&api->counters.self_dropped, 1);
    }
}
