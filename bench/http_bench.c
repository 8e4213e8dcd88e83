/* http_bench.c - posts events to a fresh `pathstats serve` over loopback for some seconds, and says
 * how many were acknowledged (202: durable), how long that took and what the server used.
 *
 *     http_bench --program build/pathstats --data-dir DIR [--events 1|100|1000] [--seconds N]
 *                [--connections N] [--port N] [--restart 1]
 *
 * One thread, epoll, keep-alive, no pipelining: one request at a time on each connection. Bodies
 * are NDJSON made in advance; before each is sent its ids and timestamps are overwritten in place,
 * so every event ever sent is another one. A 503 (queue full) is counted and the body sent again
 * after a while; any other answer but 202 ends the run. At the end the database must hold exactly
 * what was acknowledged.
 *
 * --restart 1: the daemon is killed with -9 in the middle of it, started again and timed until it
 * is healthy; the database must then hold at least what was acknowledged.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon.h"
#include "histogram.h"
#include "traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    DEFAULT_PORT = 18787,
    TEMPLATES = 65536, /* different events in the bodies; more would only fill the cache */
    PATHS = 5000,
    CLIENTS = 50000,
    HEADER_MAX = 256,
    ANSWER_MAX = 4096,
    CONNECTIONS_MAX = 1024,
    BACK_OFF_US = 20000,
    STALL_US = 10000000, /* silence for this long is a fault of the server */
    /* In a line of NDJSON as traffic_write makes it: */
    AT_ID_MS = 17,
    AT_ID_HEX = 31,
    AT_TIMESTAMP = 61,
};

struct request {
    char *bytes;
    uint32_t len, *lines; /* offsets of the events */
};

struct connection {
    int fd;
    struct request *request;
    size_t sent, got;
    bool waits;                        /* for room to send, not for an answer */
    int64_t started_us, wait_until_us; /* 0: not waiting */
    char answer[ANSWER_MAX];
};

struct load {
    struct daemon daemon;
    struct request *requests;
    struct connection *connections;
    unsigned events, seconds, open, request_count, next_request;
    bool restart;
    int epoll;
    uint64_t ids, accepted, refused;
    int64_t until_us;
    long rss_kb[3]; /* start, middle, end */
    struct histogram latency;
};

/* --- bodies --- */

static void make_request(struct load *l, struct traffic *t, struct request *ret)
{
    char *body = malloc((size_t)l->events * TRAFFIC_LINE_MAX), header[HEADER_MAX];
    size_t len = 0;
    ret->lines = calloc(l->events, sizeof *ret->lines);
    if (body == NULL || ret->lines == NULL)
        die("no memory");
    for (unsigned i = 0; i < l->events; i++) {
        struct traffic_hit hit;
        traffic_next(t, &hit);
        ret->lines[i] = (uint32_t)len;
        len += traffic_write(t, TRAFFIC_NDJSON, &hit, body + len);
    }
    int n = snprintf(header, sizeof header,
                     "POST /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     "Content-Type: application/x-ndjson\r\nContent-Length: %zu\r\n\r\n",
                     len);
    ret->len = (uint32_t)((size_t)n + len);
    ret->bytes = malloc(ret->len);
    if (ret->bytes == NULL)
        die("no memory");
    memcpy(ret->bytes, header, (size_t)n);
    memcpy(ret->bytes + n, body, len);
    for (unsigned i = 0; i < l->events; i++)
        ret->lines[i] += (uint32_t)n;
    free(body);
}

static void make_requests(struct load *l)
{
    struct traffic_config config = {.seed = 7,
                                    .events = TEMPLATES,
                                    .paths = PATHS,
                                    .clients = CLIENTS,
                                    .start_ms = (int64_t)time(NULL) * 1000,
                                    .span_ms = 1000};
    struct traffic *t = traffic_open(&config);
    l->request_count = TEMPLATES / l->events;
    if (l->request_count < 2 * l->open)
        l->request_count = 2 * l->open; /* none is on two connections at once */
    l->requests = calloc(l->request_count, sizeof *l->requests);
    if (t == NULL || l->requests == NULL)
        die("no memory");
    for (unsigned i = 0; i < l->request_count; i++)
        make_request(l, t, &l->requests[i]);
    traffic_close(t);
}

static void renew(struct load *l, struct request *r)
{
    struct timespec now;
    char ms[13];
    clock_gettime(CLOCK_REALTIME, &now);
    traffic_put_padded(ms, (uint64_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000), 13);
    for (unsigned i = 0; i < l->events; i++) {
        char *line = r->bytes + r->lines[i];
        memcpy(line + AT_ID_MS, ms, sizeof ms);
        memcpy(line + AT_TIMESTAMP, ms, sizeof ms);
        /* An odd factor keeps them different and spreads them as real ids are. */
        traffic_put_hex(line + AT_ID_HEX, ++l->ids * UINT64_C(0x9e3779b97f4a7c15));
    }
}

/* --- one connection --- */

static void watch(struct load *l, struct connection *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
        die("epoll_ctl: %m");
}

static void send_more(struct load *l, struct connection *c)
{
    while (c->sent < c->request->len) {
        ssize_t n = send(c->fd, c->request->bytes + c->sent, c->request->len - c->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (!c->waits)
                watch(l, c, EPOLLOUT);
            c->waits = true;
            return;
        }
        if (n < 0)
            die("send: %m");
        c->sent += (size_t)n;
    }
    if (c->waits)
        watch(l, c, EPOLLIN);
    c->waits = false;
}

static void start_request(struct load *l, struct connection *c, bool again)
{
    if (!again) {
        c->request = &l->requests[l->next_request++ % l->request_count];
        renew(l, c->request);
        c->started_us = now_us();
    }
    c->sent = c->got = 0;
    c->wait_until_us = 0;
    send_more(l, c);
}

/* The whole length of the answer when its headers are there, else 0. */
static size_t answer_length(struct connection *c)
{
    c->answer[c->got] = '\0';
    const char *end = strstr(c->answer, "\r\n\r\n");
    const char *length = strcasestr(c->answer, "\r\nContent-Length:");
    if (end == NULL || length == NULL || length > end)
        return 0;
    return (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
}

static void take_answer(struct load *l, struct connection *c)
{
    int64_t now = now_us();
    if (strncmp(c->answer, "HTTP/1.1 503", 12) == 0) {
        l->refused++;
        c->wait_until_us = now + BACK_OFF_US;
        return;
    }
    if (strncmp(c->answer, "HTTP/1.1 202", 12) != 0)
        die("not acknowledged: %s", c->answer);
    histogram_add(&l->latency, now - c->started_us);
    l->accepted += l->events;
    c->request = NULL;
    if (now < l->until_us)
        start_request(l, c, false);
    else
        l->open--;
}

static void receive(struct load *l, struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - 1 - c->got, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the server closed a connection: %m");
    c->got += (size_t)n;
    size_t whole = answer_length(c);
    if (whole > sizeof c->answer - 1)
        die("an answer of %zu bytes", whole);
    if (whole > 0 && c->got >= whole)
        take_answer(l, c);
}

/* --- the run --- */

static void open_connections(struct load *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->connections = calloc(l->open, sizeof *l->connections);
    if (l->epoll < 0 || l->connections == NULL)
        die("epoll or memory: %m");
    for (unsigned i = 0; i < l->open; i++) {
        struct connection *c = &l->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->fd = daemon_connect(&l->daemon);
        if (c->fd < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
            die("connect: %m");
    }
}

static void retry_refused(struct load *l, unsigned connections)
{
    int64_t now = now_us();
    for (unsigned i = 0; i < connections; i++) {
        struct connection *c = &l->connections[i];
        if (c->wait_until_us != 0 && now >= c->wait_until_us)
            start_request(l, c, true);
    }
}

/* Until every connection has its last answer; with --restart until the time is over. */
static double run(struct load *l)
{
    struct epoll_event events[64];
    unsigned connections = l->open;
    int64_t start = now_us(), heard = start, middle;
    l->until_us = start + (int64_t)l->seconds * 1000000;
    middle = start + (int64_t)l->seconds * 500000;
    l->rss_kb[0] = daemon_rss_kb(&l->daemon);
    for (unsigned i = 0; i < connections; i++)
        start_request(l, &l->connections[i], false);
    while (l->open > 0 && !(l->restart && now_us() > l->until_us - 100000)) {
        int n = epoll_wait(l->epoll, events, 64, 10);
        if (n > 0 || l->refused > 0)
            heard = now_us();
        else if (now_us() - heard > STALL_US)
            die("no answer for 10 s with %u connections waiting", l->open);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                send_more(l, c);
            else
                receive(l, c);
        }
        if (l->refused > 0)
            retry_refused(l, connections);
        if (l->rss_kb[1] == 0 && now_us() > middle)
            l->rss_kb[1] = daemon_rss_kb(&l->daemon);
    }
    l->rss_kb[2] = daemon_rss_kb(&l->daemon);
    return (double)(now_us() - start) / 1e6;
}

static void print_rate(const struct load *l, double seconds)
{
    const struct histogram *h = &l->latency;
    printf("bodies of %u: %.0f events/s acknowledged (%llu in %.1f s, %llu requests, 503: %llu)\n",
           l->events, (double)l->accepted / seconds, (unsigned long long)l->accepted, seconds,
           (unsigned long long)h->total, (unsigned long long)l->refused);
    printf("  202 after        p50 %.2f ms, p95 %.2f ms, p99 %.2f ms, max %.2f ms\n",
           histogram_ms(h, 500), histogram_ms(h, 950), histogram_ms(h, 990),
           (double)h->max_us / 1e3);
}

static void measure_steady(struct load *l, uint64_t before)
{
    struct daemon_usage usage;
    unsigned connections = l->open;
    double seconds = run(l);
    print_rate(l, seconds);
    for (unsigned i = 0; i < connections; i++)
        close(l->connections[i].fd);
    daemon_stop(&l->daemon, &usage);
    uint64_t stored = daemon_count_stored(&l->daemon) - before;
    printf("  all stored       %.2f s after the last, so %.0f events/s from end to end\n",
           usage.stop_s, (double)l->accepted / (seconds + usage.stop_s));
    printf("  server           %.2f CPU µs an event; memory %ld, %ld, %ld MB at start, middle, end;"
           " peak %ld MB\n",
           usage.cpu_s * 1e6 / (double)l->accepted, l->rss_kb[0] >> 10, l->rss_kb[1] >> 10,
           l->rss_kb[2] >> 10, usage.peak_rss_kb >> 10);
    if (stored != l->accepted)
        die("acknowledged %llu, stored %llu", (unsigned long long)l->accepted,
            (unsigned long long)stored);
}

static void measure_restart(struct load *l, uint64_t before)
{
    struct daemon_usage usage;
    double seconds = run(l);
    daemon_kill(&l->daemon);
    print_rate(l, seconds);
    int64_t us = daemon_start(&l->daemon);
    printf("  kill -9, then    healthy after %.3f s (limit 1 s: %s)\n", (double)us / 1e6,
           us < 1000000 ? "kept" : "MISSED");
    daemon_stop(&l->daemon, &usage);
    uint64_t stored = daemon_count_stored(&l->daemon) - before;
    printf("  acknowledged %llu, stored after the restart %llu\n", (unsigned long long)l->accepted,
           (unsigned long long)stored);
    if (stored < l->accepted)
        die("acknowledged events are MISSING");
}

static void read_flags(struct load *l, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        unsigned number = (unsigned)strtoul(value, NULL, 10);
        if (strcmp(name, "--program") == 0)
            l->daemon.program = value;
        else if (strcmp(name, "--data-dir") == 0)
            l->daemon.data_dir = value;
        else if (strcmp(name, "--events") == 0)
            l->events = number;
        else if (strcmp(name, "--seconds") == 0)
            l->seconds = number;
        else if (strcmp(name, "--connections") == 0)
            l->open = number;
        else if (strcmp(name, "--port") == 0)
            l->daemon.port = (uint16_t)number;
        else if (strcmp(name, "--restart") == 0)
            l->restart = number == 1;
        else
            die("http_bench: what is %s?", name);
    }
    if (l->daemon.program == NULL || l->daemon.data_dir == NULL || l->events == 0 || l->open == 0 ||
        l->open > CONNECTIONS_MAX || l->seconds == 0)
        die("usage: http_bench --program FILE --data-dir DIR [--events N] [--seconds N] "
            "[--connections N] [--port N] [--restart 1]");
}

int main(int argc, char **argv)
{
    static struct load l = {
        .daemon = {.port = DEFAULT_PORT}, .events = 1000, .seconds = 10, .open = 8};
    read_flags(&l, argc, argv);
    /* Ids must differ from those of an earlier run in the same directory. */
    l.ids = (uint64_t)now_us() << 20;
    make_requests(&l);
    daemon_start(&l.daemon); /* makes the database; to count in it, nobody else may have it */
    struct daemon_usage usage;
    daemon_stop(&l.daemon, &usage);
    uint64_t before = daemon_count_stored(&l.daemon);
    daemon_start(&l.daemon);
    open_connections(&l);
    if (l.restart)
        measure_restart(&l, before);
    else
        measure_steady(&l, before);
    return 0;
}
