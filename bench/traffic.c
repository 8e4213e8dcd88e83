/* traffic.c - see traffic.h.
 *
 * All that repeats is a text made in advance (paths, addresses, agents, the date of the current
 * second), so that a line costs a few memcpy and the generator is never what a benchmark measures.
 *
 * SPDX-License-Identifier: MIT
 */
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TEXT_MAX = 240, /* of a path or agent, with its length */
    ADDRESS_MAX = 16,
    AGENTS = 160,
    STAMP_MAX = 32,
};

struct text {
    uint8_t len;
    char bytes[TEXT_MAX - 1];
};

struct path {
    uint32_t keep;  /* out of 2^32: this rank, else the alias */
    uint32_t alias; /* another rank */
    uint32_t median_us;
    char text[64];
    uint8_t len;
};

struct client {
    char address[ADDRESS_MAX];
    uint8_t len;
};

struct traffic {
    struct traffic_config config;
    uint64_t state, made;
    struct path *paths;
    struct client *clients;
    struct text agents[AGENTS];
    int64_t stamp_s; /* the second `stamp` shows */
    char stamp[STAMP_MAX];
};

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t draw(struct traffic *t)
{
    return mix(t->state += UINT64_C(0x9e3779b97f4a7c15));
}

/* --- texts --- */

static void make_path(struct path *p, uint32_t rank, uint64_t h)
{
    static const char *const forms[] = {
        "/api/v1/users/%u",
        "/api/v2/orders/%u/items",
        "/blog/2025/10/post-%u.html",
        "/static/js/app.%06x.js",
        "/products/%u",
        "/images/large/%06x.webp",
        "/docs/guide/chapter-%u",
        "/api/v1/search/%u",
    };
    if (rank == 0)
        p->len = (uint8_t)snprintf(p->text, sizeof p->text, "/");
    else
        p->len = (uint8_t)snprintf(p->text, sizeof p->text, forms[h % 8], rank);
    p->median_us = 800 + (uint32_t)((h >> 8) % 60000);
}

static void make_agent(struct text *a, unsigned i)
{
    static const char *const forms[] = {
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/%u.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/%u.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/%u.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64; rv:%u.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
        "Gecko) Version/17.%u Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36 Edg/%u.0.0.0",
        "Mozilla/5.0 (compatible; Googlebot/2.%u; +http://www.google.com/bot.html)",
        "python-requests/2.%u.0",
    };
    a->len = (uint8_t)snprintf(a->bytes, sizeof a->bytes, forms[i % 8], 110 + i / 8);
}

static void make_client(struct client *c, uint64_t h)
{
    c->len = (uint8_t)snprintf(c->address, sizeof c->address, "%u.%u.%u.%u",
                               (unsigned)(h % 200) + 20, (unsigned)(h >> 16 & 255),
                               (unsigned)(h >> 24 & 255), (unsigned)(h >> 32 & 255));
}

/* Vose's method: ranks that weigh less than the mean are filled up by ranks that weigh more. */
static bool make_alias(struct traffic *t)
{
    uint32_t n = t->config.paths, small = 0, large = 0;
    uint64_t *weight = calloc(n, sizeof *weight), sum = 0;
    uint32_t *todo = calloc(n, sizeof *todo); /* light ones from below, heavy ones from above */
    bool made = weight != NULL && todo != NULL;
    for (uint32_t i = 0; made && i < n; i++)
        sum += weight[i] = (UINT64_C(1) << 40) / (i + 1);
    uint64_t mean = sum / n;
    for (uint32_t i = 0; made && i < n; i++)
        todo[weight[i] < mean ? small++ : n - ++large] = i;
    while (made && small > 0 && large > 0) {
        uint32_t light = todo[--small], heavy = todo[n - large];
        t->paths[light].keep = (uint32_t)((weight[light] << 16) / ((mean >> 16) + 1));
        t->paths[light].alias = heavy;
        weight[heavy] -= mean - weight[light];
        if (weight[heavy] < mean) {
            large--;
            todo[small++] = heavy;
        }
    }
    for (; made && small > 0; small--)
        t->paths[todo[small - 1]].keep = UINT32_MAX;
    for (; made && large > 0; large--)
        t->paths[todo[n - large]].keep = UINT32_MAX;
    free(weight);
    free(todo);
    return made;
}

struct traffic *traffic_open(const struct traffic_config *config)
{
    struct traffic *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->config = *config;
    t->state = mix(config->seed + 1);
    t->stamp_s = INT64_MIN;
    t->paths = calloc(config->paths, sizeof *t->paths);
    t->clients = calloc(config->clients, sizeof *t->clients);
    if (t->paths == NULL || t->clients == NULL) {
        traffic_close(t);
        return NULL;
    }
    for (uint32_t i = 0; i < config->paths; i++) {
        make_path(&t->paths[i], i, mix(i + 1));
        t->paths[i].alias = i;
    }
    for (uint32_t i = 0; i < config->clients; i++)
        make_client(&t->clients[i], mix(~(uint64_t)i));
    for (unsigned i = 0; i < AGENTS; i++)
        make_agent(&t->agents[i], i);
    if (!make_alias(t)) {
        traffic_close(t);
        return NULL;
    }
    return t;
}

void traffic_close(struct traffic *t)
{
    if (t == NULL)
        return;
    free(t->paths);
    free(t->clients);
    free(t);
}

/* --- one hit --- */

/* median * 2^x, where x is the sum of four uniform numbers: near enough to normal, with a standard
 * deviation of 1.3 octaves. Between powers of two a straight line stands for the curve. */
static uint32_t draw_response_us(uint32_t median_us, uint64_t random)
{
    int64_t sum = (int64_t)(random & 0xffff) + (int64_t)(random >> 16 & 0xffff) +
                  (int64_t)(random >> 32 & 0xffff) + (int64_t)(random >> 48);
    int64_t x = (sum - 131070) * 9 / 4 + (16 << 16); /* an offset keeps it positive */
    uint64_t power = ((UINT64_C(1) << 16) + (uint64_t)(x & 0xffff)) << (x >> 16);
    uint64_t us = (uint64_t)median_us * (power >> 16) >> 16;
    return (uint32_t)(us * (random % 101 == 0 ? 8 : 1)) + 1;
}

static int draw_status(unsigned of_1000)
{
    return of_1000 < 890   ? 200
           : of_1000 < 940 ? 304
           : of_1000 < 955 ? 302
           : of_1000 < 985 ? 404
           : of_1000 < 993 ? 403
                           : 500;
}

void traffic_next(struct traffic *t, struct traffic_hit *ret)
{
    uint64_t a = draw(t), b = draw(t);
    uint32_t rank = (uint32_t)((a >> 32) * t->config.paths >> 32);
    if ((uint32_t)a > t->paths[rank].keep)
        rank = t->paths[rank].alias;
    uint32_t who = (uint32_t)((b >> 32) * t->config.clients >> 32);
    const struct path *path = &t->paths[rank];
    const struct client *client = &t->clients[who];
    const struct text *agent = &t->agents[who % AGENTS];
    uint64_t i = t->made++;
    ret->timestamp_ms = t->config.start_ms +
                        (int64_t)((__uint128_t)i * (uint64_t)t->config.span_ms / t->config.events);
    ret->method = (b & 15) == 0 ? PS_STR("POST") : PS_STR("GET");
    ret->path = (struct ps_str){path->text, path->len};
    ret->address = (struct ps_str){client->address, client->len};
    ret->agent = (struct ps_str){agent->bytes, agent->len};
    ret->status = draw_status((unsigned)(b >> 4 & 0xffff) * 1000 >> 16);
    ret->response_us = draw_response_us(path->median_us, draw(t));
    ret->bytes = ret->status == 304 ? 0 : 200 + (uint32_t)(b >> 8 & 0xffff);
    ret->referer = (uint32_t)(a & 511);
    ret->id = mix(t->config.seed * UINT64_C(0x2545f4914f6cdd1d) + i);
}

/* --- one line --- */

static char *put(char *to, const char *bytes, size_t len)
{
    memcpy(to, bytes, len);
    return to + len;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static char *put_str(char *to, struct ps_str s)
{
    return put(to, s.ptr, s.len);
}

static char *put_number(char *to, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do
        digits[sizeof digits - ++n] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    return put(to, digits + sizeof digits - n, n);
}

char *traffic_put_padded(char *to, uint64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + digits;
}

char *traffic_put_hex(char *to, uint64_t value)
{
    for (int i = 15; i >= 0; i--, value >>= 4)
        to[i] = "0123456789abcdef"[value & 15];
    return to + 16;
}

static void make_stamp(struct traffic *t, int64_t second)
{
    struct tm tm;
    time_t time = (time_t)second;
    gmtime_r(&time, &tm);
    strftime(t->stamp, sizeof t->stamp, "%d/%b/%Y:%H:%M:%S +0000", &tm);
    t->stamp_s = second;
}

static char *put_combined(struct traffic *t, const struct traffic_hit *hit, char *to)
{
    int64_t second = hit->timestamp_ms / 1000;
    if (second != t->stamp_s)
        make_stamp(t, second);
    to = put_str(to, hit->address);
    to = PUT(to, " - - [");
    to = put(to, t->stamp, 26);
    to = PUT(to, "] \"");
    to = put_str(to, hit->method);
    to = PUT(to, " ");
    to = put_str(to, hit->path);
    to = PUT(to, " HTTP/1.1\" ");
    to = put_number(to, (uint64_t)hit->status);
    to = PUT(to, " ");
    to = put_number(to, hit->bytes);
    if (hit->referer < 200) {
        to = PUT(to, " \"-\" \"");
    } else {
        to = PUT(to, " \"https://www.example.org/section/");
        to = put_number(to, hit->referer);
        to = PUT(to, "\" \"");
    }
    to = put_str(to, hit->agent);
    return PUT(to, "\"");
}

static char *put_ndjson(const struct traffic_hit *hit, char *to)
{
    to = PUT(to, "{\"idempotentId\":\"");
    to = traffic_put_padded(to, (uint64_t)hit->timestamp_ms, 13);
    to = PUT(to, "-");
    to = traffic_put_hex(to, hit->id);
    to = PUT(to, "\",\"timestamp\":");
    to = traffic_put_padded(to, (uint64_t)hit->timestamp_ms, 13);
    to = PUT(to, ",\"path\":\"");
    to = put_str(to, hit->path);
    to = PUT(to, "\",\"method\":\"");
    to = put_str(to, hit->method);
    to = PUT(to, "\",\"status\":");
    to = put_number(to, (uint64_t)hit->status);
    to = PUT(to, ",\"responseTime\":");
    to = put_number(to, hit->response_us / 1000);
    to = PUT(to, ".");
    to = traffic_put_padded(to, hit->response_us % 1000, 3);
    to = PUT(to, ",\"clientIp\":\"");
    to = put_str(to, hit->address);
    to = PUT(to, "\",\"userAgent\":\"");
    to = put_str(to, hit->agent);
    return PUT(to, "\"}");
}

size_t traffic_write(struct traffic *t, enum traffic_format format, const struct traffic_hit *hit,
                     char *to)
{
    char *end = format == TRAFFIC_NDJSON ? put_ndjson(hit, to) : put_combined(t, hit, to);
    if (format == TRAFFIC_COMBINED_TIME) { /* nginx's $request_time */
        end = PUT(end, " ");
        end = put_number(end, hit->response_us / 1000000);
        end = PUT(end, ".");
        end = traffic_put_padded(end, hit->response_us / 1000 % 1000, 3);
    }
    *end++ = '\n';
    return (size_t)(end - to);
}

bool traffic_format_parse(const char *word, enum traffic_format *ret)
{
    static const char *const words[] = {"combined", "combined-time", "ndjson"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum traffic_format)i;
            return true;
        }
    return false;
}
