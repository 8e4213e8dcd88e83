/* serve.c - see serve.h.
 *
 * Signals are blocked in every thread and taken by the main one with sigwait, so nothing runs in a
 * handler.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/serve.h"

#include "api/api.h"
#include "backend/registry.h"
#include "base/time.h"
#include "daemon/descriptors.h"
#include "daemon/engine.h"
#include "daemon/keeper.h"
#include "daemon/life.h"
#include "daemon/settings.h"
#include "daemon/watch.h"
#include "flow/capacity.h"

#include <errno.h> /* program_invocation_name */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LOOK_EVERY_S = 1 };

/* All of a running server. */
struct server {
    struct ps_engine *engine;
    struct ps_keeper *keeper;
    struct ps_api *api;
    struct ps_api_orders orders;
    struct ps_api_reading reading;
    struct ps_kv *kv; /* the HTTP thread's, for reading */
    struct ps_watch watch;
    char note[PS_CONFIG_TEXT_MAX + 16]; /* where it listens */
    bool noted, told;                   /* in the lock of the data directory; that it failed */
    size_t connections;                 /* at once, by the number of file descriptors */
    int64_t seen_ms;                    /* when all parts of the data directory were there, last */
};

/* For `import` and the like. A full disk that keeps it from being written keeps nobody from
 * counting: it is tried again until there is room. */
static void note_address(struct server *s)
{
    struct ps_err e = {0};
    int r = ps_datadir_note(&s->engine->dir, s->note, &e);
    s->noted = r == 0;
    if (r < 0 && !s->told)
        ps_log(PS_LOG_WARN, "other commands do not find this server until this works: %s", e.text);
    s->told = true;
}

static int order_archive(void *ctx, int32_t day, ps_api_done_fn *done, void *done_ctx,
                         struct ps_err *e)
{
    struct server *s = ctx;
    return ps_keeper_archive(s->keeper, day, done, done_ctx, e);
}

static int order_snapshot(void *ctx, ps_api_done_fn *done, void *done_ctx, struct ps_err *e)
{
    struct server *s = ctx;
    return ps_keeper_snapshot(s->keeper, done, done_ctx, e);
}

static int order_replay(void *ctx, ps_api_done_fn *done, void *done_ctx, struct ps_err *e)
{
    struct server *s = ctx;
    return ps_keeper_replay(s->keeper, done, done_ctx, e);
}

static int order_purge(void *ctx, const struct ps_letter_filter *filter, ps_api_done_fn *done,
                       void *done_ctx, struct ps_err *e)
{
    struct server *s = ctx;
    return ps_keeper_purge(s->keeper, filter, done, done_ctx, e);
}

/* --- what the threads that answer questions read with --- */

/* Whoever writes to the kv holds its handle until the disk has it; a reader's goes on meanwhile. */
static int open_kv_to_read(struct server *s, struct ps_kv **ret, struct ps_err *e)
{
    const struct ps_engine *g = s->engine;
    return ps_kv_open(ps_kv_backend(g->config->kv), ret, g->dir.kv, true, e);
}

static void close_reader(void *ctx, struct ps_api_reader *reader)
{
    (void)ctx;
    ps_kv_close(reader->kv);
    ps_life_close(reader->own);
    free(reader->own);
}

static int open_reader(void *ctx, struct ps_api_reader *ret, struct ps_err *e)
{
    struct server *s = ctx;
    struct ps_engine *g = s->engine;
    struct ps_life *life = calloc(1, sizeof *life);
    if (life == NULL)
        return ps_fail(e, PS_ENOMEM, "no memory");
    int r = ps_life_open(life, g->config, &g->dir, g->clock, PS_LIFE_READ, e);
    if (r < 0) {
        free(life);
        return r;
    }
    *ret = (struct ps_api_reader){.own = life, .store = life->store, .ledger = life->ledger};
    r = open_kv_to_read(s, &ret->kv, e);
    if (r < 0)
        close_reader(s, ret);
    return r;
}
static int tell_capacity(void *ctx, const struct ps_api_reader *reader, struct ps_buf *ret_json,
                         struct ps_err *e)
{
    struct server *s = ctx;
    struct ps_capacity measured;
    struct ps_json w;
    struct ps_capacity_config config = {
        .store = reader->store,
        .ledger = reader->ledger,
        .queue = s->engine->queue,
        .kv = s->engine->kv,
        .clock = s->engine->clock,
        .max_db_bytes = (uint64_t)s->engine->config->max_db_size,
    };
    int r = ps_capacity_measure(&config, &measured, e);
    if (r < 0)
        return r;
    ps_json_init(&w, ret_json);
    ps_capacity_write(&measured, &w);
    return 0;
}

/* For a person who has just started it; a journal is read by others. */
static void tell_what_next(const struct ps_config *c, const char *host_port)
{
    char where[2 * PS_CONFIG_TEXT_MAX] = "";
    if (strcmp(c->data_dir, "data") != 0)
        snprintf(where, sizeof where, " --data-dir %s", c->data_dir);
    fprintf(stderr,
            "  count a log:    %s import%s access.log\n"
            "  send an event:  curl http://%s/api/events -d '{\"path\":\"/\",\"timestamp\":'$(date "
            "+%%s000)'}'\n"
            "  see the paths:  %s top%s\n",
            program_invocation_name, where, host_port, program_invocation_name, where);
}

static int listen_there(struct server *s, struct ps_err *e)
{
    struct ps_engine *g = s->engine;
    const struct ps_config *c = g->config;
    char host[PS_CONFIG_TEXT_MAX];
    uint16_t port = 0;
    int r = ps_settings_listen(c->listen, host, &port, e);
    if (r < 0)
        return r;
    struct ps_api_config config = {
        .host = host,
        .port = port,
        .body_limit = (size_t)c->body_limit,
        .connections = s->connections,
        .record_self = c->record_self,
        .percent_as_is = !c->percent,
        .secret = g->secret,
        .queue = g->queue,
        .commit = g->commit,
        .admission = &g->admission,
        .receipts = g->receipts,
        .kv = s->kv,
        .clock = g->clock,
        .troubles = &g->troubles,
        .aggregator = ps_aggregator_counters(g->aggregator),
        .version = PS_VERSION,
        .data_dir = g->dir.path,
        .orders = &s->orders,
        .reading = &s->reading,
    };
    r = ps_api_open(&s->api, &config, e);
    if (r < 0)
        return r;
    snprintf(s->note, sizeof s->note, "%s:%u", host, (unsigned)ps_api_port(s->api));
    note_address(s); /* first: who reads the line may look for it */
    ps_log(PS_LOG_INFO, "listening on http://%s, data in %s", s->note, g->dir.path);
    g->keep_empty = true;
    if (c->log_level >= PS_LOG_INFO && getenv("JOURNAL_STREAM") == NULL)
        tell_what_next(c, s->note);
    return 0;
}

/* Fewer than usual are a trouble for as long as the server runs: the limit does not change. */
static void tell_connections(struct server *s)
{
    struct ps_err text;
    if (s->connections == PS_API_CONNECTIONS_MAX)
        return;
    ps_fail(&text, PS_EFULL,
            "the limit of open files (ulimit -n, LimitNOFILE=) leaves %zu connections at a time, "
            "of %d",
            s->connections, PS_API_CONNECTIONS_MAX);
    ps_trouble_begin(&s->engine->troubles, PS_TROUBLE_DESCRIPTORS, PS_EFULL, text.text);
}

static int open_server(struct server *s, const struct ps_config *config, struct ps_err *e)
{
    struct ps_err why;
    int r = ps_descriptors_share(ps_descriptors_raise(), PS_API_CONNECTIONS_MAX,
                                 PS_API_CONNECTIONS_SPARE, &s->connections, e);
    if (r == 0)
        r = ps_engine_open(&s->engine, config, &why);
    else
        return r;
    if (r == PS_EFULL)
        return ps_fail(e, r, "%s; nothing is lost: it starts again once there is room", why.text);
    if (r < 0)
        return ps_fail(e, r, "%s", why.text);
    tell_connections(s);
    struct ps_keeper_config keeper = {
        .config = config,
        .dir = &s->engine->dir,
        .queue = s->engine->queue,
        .commit = s->engine->commit,
        .counting = s->engine->aggregator,
        .kv = s->engine->kv,
        .clock = s->engine->clock,
        .troubles = &s->engine->troubles,
        .aggregator = ps_aggregator_counters(s->engine->aggregator),
    };
    r = ps_keeper_open(&s->keeper, &keeper, e);
    if (r == 0)
        r = open_kv_to_read(s, &s->kv, e);
    return r < 0 ? r : listen_there(s, e);
}

/* Nothing new comes in, what the keeper works on is put down, then the rest is stored. */
static int close_server(struct server *s, struct ps_err *e)
{
    if (s->api != NULL)
        ps_api_stop_accepting(s->api);
    ps_keeper_stop(s->keeper); /* answers those who wait for it */
    ps_api_close(s->api);
    ps_keeper_close(s->keeper);
    ps_kv_close(s->kv);
    return s->engine == NULL ? 0 : ps_engine_close(s->engine, e);
}

/* systemd's Type=notify: one datagram to the socket it names (sd_notify(3)). */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

/* Who goes on with a file that has no name writes for nobody: what was acknowledged since the last
 * look may be gone, and all that followed would be. */
static int look_at_folder(struct server *s, struct ps_err *e)
{
    struct ps_err what;
    char since[PS_ISO_LEN + 1];
    struct ps_engine *g = s->engine;
    int r = ps_datadir_look(&g->dir, &what);
    if (r < 0) {
        ps_time_format_iso(since, s->seen_ms);
        r = ps_fail(e, r,
                    "%s: what was acknowledged since %s may be lost, and pathstats stops; put it "
                    "back (or a backup), then start again",
                    what.text, since);
        ps_log(PS_LOG_ERROR, "%s", e->text);
        return r;
    }
    if (r > 0) {
        ps_log(PS_LOG_WARN, "%s was removed or replaced and is made anew", g->dir.lock);
        note_address(s);
    }
    s->seen_ms = ps_clock_now_ms(g->clock);
    return 0;
}

/* What is left to the main thread while the others work. Negative: the server has to stop. */
static int look(struct server *s, struct ps_err *e)
{
    struct ps_engine *g = s->engine;
    int r = look_at_folder(s, e);
    if (!s->noted)
        note_address(s);
    ps_watch_consumer(&s->watch, ps_aggregator_counters(g->aggregator));
    ps_watch_committer(&s->watch, ps_commit_turns(g->commit));
    ps_troubles_remind(&g->troubles);
    return r;
}

/* Until a signal says so: 0. Negative: it cannot go on. */
static int work(struct server *s, const sigset_t *set, struct ps_err *e)
{
    static const struct timespec moment = {.tv_sec = LOOK_EVERY_S}, none = {0};
    struct ps_engine *g = s->engine;
    int number = -1, r = 0;
    s->watch = (struct ps_watch){.troubles = &g->troubles, .clock = g->clock};
    ps_datadir_remember(&g->dir);
    s->seen_ms = ps_clock_now_ms(g->clock);
    notify("READY=1");
    while (r == 0 && (number = sigtimedwait(set, NULL, &moment)) < 0)
        r = look(s, e);
    notify("STOPPING=1");
    if (number >= 0) {
        ps_log(PS_LOG_INFO, "%s: storing what was acknowledged, then stopping",
               number == SIGINT ? "interrupted" : "asked to stop");
        r = look_at_folder(s, e);
    }
    while (sigtimedwait(set, NULL, &none) >= 0) /* what is asked for already */
        continue;
    /* Another one means it: the default action. */
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, set, NULL);
    return r;
}

int ps_serve(const struct ps_config *config, struct ps_err *e)
{
    struct server server = {0};
    server.reading = (struct ps_api_reading){&server, open_reader, close_reader, tell_capacity};
    server.orders =
        (struct ps_api_orders){&server, order_archive, order_snapshot, order_replay, order_purge};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = ps_settings_check(config, e);
    if (r == 0)
        r = open_server(&server, config, e);
    if (r == 0)
        r = work(&server, &set, e);
    int closed = close_server(&server, r < 0 ? NULL : e);
    if (r == 0 && closed == 0)
        ps_log(PS_LOG_INFO, "stopped; everything acknowledged is stored");
    return r < 0 ? r : closed;
}
