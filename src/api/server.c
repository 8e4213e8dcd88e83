/* server.c - opening, listening and, with more care, closing. See api.h and server.h.
 *
 * The socket is made here, not by libmicrohttpd, so that a failure has a reason a person can read.
 *
 * Closing has an order. First no new connections; then the requests in flight get their answers
 * (a slow client gets PS_API_CLOSE_WAIT_S); then nothing may start to wait for the committer, and
 * what waits is waited for without a limit: libmicrohttpd must not be stopped while a connection is
 * suspended, and the committer, still open, always answers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/readers.h"
#include "api/respond.h"

#include "base/check.h"
#include "base/log.h"
#include "base/wait.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOST_MAX = 64, LOG_LINE_MAX = 512 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "localhost" is 127.0.0.1 whatever the resolver says: it must not leave the machine. */
static int parse_address(const char *host, uint16_t port, union address *ret, socklen_t *ret_len,
                         struct ps_err *e)
{
    char text[HOST_MAX];
    size_t len = strlen(host);
    bool bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    snprintf(text, sizeof text, "%.*s", (int)(bracketed ? len - 2 : len), host + bracketed);
    if (strcmp(host, "localhost") == 0)
        snprintf(text, sizeof text, "127.0.0.1");
    union address a;
    memset(&a, 0, sizeof a);
    bool loopback;
    if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(port);
        loopback = IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
        *ret_len = sizeof a.v6;
    } else if (!bracketed && inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(port);
        loopback = ntohl(a.v4.sin_addr.s_addr) >> 24 == 127;
        *ret_len = sizeof a.v4;
    } else {
        return ps_fail(e, PS_EINVAL, "listen on %s: not an address; say localhost or 127.0.0.1",
                       host);
    }
    if (!loopback)
        return ps_fail(e, PS_EDENIED,
                       "listen on %s: access tokens are not there yet, so only this machine may "
                       "connect; listen on localhost and put a reverse proxy in front",
                       host);
    *ret = a;
    return 0;
}

int ps_api_check_host(const char *host, struct ps_err *e)
{
    union address a;
    socklen_t len;
    return parse_address(host, 0, &a, &len, e);
}

static int listen_on(const struct ps_api_config *config, int *ret_fd, uint16_t *ret_port,
                     struct ps_err *e)
{
    union address a;
    socklen_t len;
    int on = 1;
    int r = parse_address(config->host, config->port, &a, &len, e);
    if (r < 0)
        return r;
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ps_fail(e, PS_EIO, "listen on %s: %s", config->host, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &a.any, len) < 0 || listen(fd, PS_API_BACKLOG) < 0 ||
        getsockname(fd, &a.any, &len) < 0) {
        r = ps_fail(e, PS_EIO, "listen on %s port %u: %s%s", config->host, config->port,
                    strerror(errno),
                    errno == EADDRINUSE ? "; is it running already? Else choose another port" : "");
        close(fd);
        return r;
    }
    *ret_port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    *ret_fd = fd;
    return 0;
}

/* What libmicrohttpd has to say is about single clients that went away. */
__attribute__((format(printf, 2, 0))) static void log_line(void *cls, const char *format,
                                                           va_list args)
{
    char line[LOG_LINE_MAX];
    (void)cls;
    int n = vsnprintf(line, sizeof line, format, args);
    if (n > 0 && (size_t)n < sizeof line && line[n - 1] == '\n')
        line[n - 1] = '\0';
    ps_log(PS_LOG_DEBUG, "http: %s", line);
}

/* Our own loop around MHD_run. The one inside libmicrohttpd 0.9.75 waits again, for as long as its
 * idle timeout, whenever one epoll_wait brought exactly the 128 events it has room for: with 128
 * connections in step the server stood still. MHD_run never waits. */
static void *run_server(void *arg)
{
    struct ps_api *api = arg;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd fds[] = {{.fd = info->listen_fd, .events = POLLIN},
                           {.fd = api->wake_fd, .events = POLLIN}};
    bool quiet = false;
    while (!api->stopping) {
        MHD_UNSIGNED_LONG_LONG wanted_ms = PS_API_LOOP_MS;
        uint64_t ignored;
        MHD_get_timeout(api->daemon, &wanted_ms);
        /* "At once" may mean those that wait in place alone: the committer wakes us for them. */
        if (wanted_ms == 0 && api->in_place > 0 && !api->progressed)
            wanted_ms = PS_API_IN_PLACE_MS;
        api->progressed = false;
        poll(fds, 2, wanted_ms < PS_API_LOOP_MS ? (int)wanted_ms : PS_API_LOOP_MS);
        if (fds[1].revents != 0 && read(api->wake_fd, &ignored, sizeof ignored) < 0)
            continue;
        api->woken = false; /* before looking at what there is to do */
        api->conns.now_us = ps_clock_monotonic_us(api->config.clock);
        if (api->draining && !quiet) {
            MHD_quiesce_daemon(api->daemon);
            quiet = true;
        }
        MHD_run(api->daemon);
        ps_conns_sweep(&api->conns);
    }
    return NULL;
}

/* One write for all who ask between two rounds. */
void ps_api_wake(struct ps_api *api)
{
    uint64_t one = 1;
    if (atomic_exchange(&api->woken, true))
        return;
    if (write(api->wake_fd, &one, sizeof one) < 0)
        ps_log(PS_LOG_DEBUG, "http: %s", strerror(errno)); /* full: it is awake */
}

static int start_daemon(struct ps_api *api, struct ps_err *e)
{
    api->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        ps_request_handle, api, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
        MHD_OPTION_LISTEN_SOCKET, api->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, ps_request_completed,
        api, MHD_OPTION_NOTIFY_CONNECTION, ps_conns_notify, &api->conns,
        MHD_OPTION_URI_LOG_CALLBACK, ps_conns_target, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(api->conns.max + PS_API_CONNECTIONS_SPARE), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)PS_API_CONNECTION_BYTES, MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
        (size_t)PS_API_READ_BYTES, MHD_OPTION_END);
    if (api->daemon == NULL)
        return ps_fail(e, PS_EIO, "http: cannot start the server: %s", strerror(errno));
    api->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (api->wake_fd < 0 || pthread_create(&api->thread, NULL, run_server, api) != 0) {
        MHD_stop_daemon(api->daemon);
        return ps_fail(e, PS_ENOMEM, "http: cannot start a thread");
    }
    return 0;
}

static void free_api(struct ps_api *api)
{
    if (api->wake_fd >= 0)
        close(api->wake_fd);
    ps_readers_close(api->readers);
    ps_ingest_close(api->ingest);
    ps_outbox_done(&api->outbox);
    ps_buf_done(&api->inflated);
    ps_buf_done(&api->answer);
    pthread_mutex_destroy(&api->lock);
    pthread_cond_destroy(&api->changed);
    free(api);
}

static struct ps_api *make_api(const struct ps_api_config *config)
{
    struct ps_api *api = calloc(1, sizeof *api);
    if (api == NULL)
        return NULL;
    api->config = *config;
    api->config.host = NULL;
    api->config.secret = NULL;
    api->listen_fd = api->wake_fd = -1;
    api->health.checked_us = api->failure_logged_us = INT64_MIN;
    api->started_us = ps_clock_monotonic_us(config->clock);
    ps_conns_init(&api->conns,
                  config->connections > 0 ? config->connections : PS_API_CONNECTIONS_MAX,
                  api->started_us);
    if (config->bodies_max == 0)
        api->config.bodies_max = PS_API_BODIES_OF_LIMIT * config->body_limit;
    pthread_mutex_init(&api->lock, NULL);
    ps_cond_init(&api->changed);
    ps_outbox_init(&api->outbox, PS_COMMIT_BYTES_MAX);
    ps_buf_init(&api->inflated, config->body_limit);
    ps_buf_init(&api->answer, PS_API_ANSWER_MAX);
    return api;
}

int ps_api_open(struct ps_api **ret, const struct ps_api_config *config, struct ps_err *e)
{
    struct ps_queue_info info = {0};
    struct ps_api *api = make_api(config);
    if (api == NULL)
        return ps_fail(e, PS_ENOMEM, "http: no memory");
    int r = ps_ingest_open(&api->ingest, config->secret, config->clock, e);
    if (r == 0)
        ps_ingest_admit(api->ingest, config->admission);
    if (r == 0)
        ps_ingest_set_percent(api->ingest, !config->percent_as_is);
    if (r == 0)
        r = ps_queue_info(config->queue, &info, e);
    api->queue_bytes_max = info.bytes_max;
    if (r == 0)
        r = ps_readers_open(&api->readers, config->reading, e);
    if (r == 0)
        r = listen_on(config, &api->listen_fd, &api->port, e);
    if (r == 0)
        r = start_daemon(api, e);
    if (r < 0) {
        if (api->listen_fd >= 0)
            close(api->listen_fd);
        free_api(api);
        return r;
    }
    *ret = api;
    return 0;
}

void ps_api_resume(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    MHD_resume_connection(rq->connection);
    ps_api_wake(api);
}

uint16_t ps_api_port(const struct ps_api *api)
{
    return api->port;
}

void ps_api_stop_accepting(struct ps_api *api)
{
    api->draining = true;
    ps_api_wake(api);
}

bool ps_api_begin_wait(struct ps_api *api)
{
    pthread_mutex_lock(&api->lock);
    bool open = !api->closing;
    if (open)
        api->waiting++;
    pthread_mutex_unlock(&api->lock);
    return open;
}

void ps_api_end_wait(struct ps_api *api)
{
    pthread_mutex_lock(&api->lock);
    api->waiting--;
    if (api->waiting == 0)
        pthread_cond_broadcast(&api->changed);
    pthread_mutex_unlock(&api->lock);
}

static void wait_for_requests(struct ps_api *api)
{
    struct timespec until = ps_wait_deadline(PS_API_CLOSE_WAIT_S * 1000);
    pthread_mutex_lock(&api->lock);
    while (api->requests > 0)
        if (!ps_cond_wait_until(&api->changed, &api->lock, &until))
            break;
    api->closing = true;
    while (api->waiting > 0)
        pthread_cond_wait(&api->changed, &api->lock);
    pthread_mutex_unlock(&api->lock);
}

void ps_api_close(struct ps_api *api)
{
    if (api == NULL)
        return;
    ps_api_stop_accepting(api);
    wait_for_requests(api);
    api->stopping = true;
    ps_api_wake(api);
    pthread_join(api->thread, NULL);
    MHD_stop_daemon(api->daemon);
    PS_ASSERT(api->in_place == 0);
    close(api->listen_fd); /* not before: the server's thread may have been using it */
    ps_respond_cache_done(api);
    ps_request_pool_done(api);
    free_api(api);
}
