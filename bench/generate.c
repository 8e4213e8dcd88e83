/* generate.c - writes N lines of made-up traffic to standard output. See traffic.h for what it is
 * like. The same flags give the same bytes; without --start the traffic ends with the current hour,
 * because an event from the future is refused.
 *
 *     generate --lines N [--format combined|combined-time|ndjson] [--paths N] [--clients N]
 *              [--seed N] [--start UNIX_SECONDS] [--span SECONDS]
 *
 * SPDX-License-Identifier: MIT
 */
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 1 << 18, /* stays in the second-level cache */
    DEFAULT_LINES = 1000000,
    DEFAULT_PATHS = 5000,
    DEFAULT_CLIENTS = 50000,
    DEFAULT_SEED = 20251015,
    DEFAULT_SPAN_S = 6 * 3600,
};

static void usage(void)
{
    fprintf(stderr, "usage: generate --lines N [--format combined|combined-time|ndjson] [--paths N]"
                    "\n                [--clients N] [--seed N] [--start SECONDS] [--span SECONDS]"
                    "\n");
    exit(64);
}

static uint64_t parse_number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0')
        usage();
    return value;
}

static void write_all(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);
        if (n <= 0) {
            perror("generate");
            exit(1);
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void read_flags(int argc, char **argv, struct traffic_config *c, enum traffic_format *format)
{
    uint64_t span_s = DEFAULT_SPAN_S, start_s = 0;
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (value == NULL)
            usage();
        if (strcmp(name, "--lines") == 0)
            c->events = parse_number(value);
        else if (strcmp(name, "--paths") == 0)
            c->paths = (uint32_t)parse_number(value);
        else if (strcmp(name, "--clients") == 0)
            c->clients = (uint32_t)parse_number(value);
        else if (strcmp(name, "--seed") == 0)
            c->seed = parse_number(value);
        else if (strcmp(name, "--start") == 0)
            start_s = parse_number(value);
        else if (strcmp(name, "--span") == 0)
            span_s = parse_number(value);
        else if (strcmp(name, "--format") != 0 || !traffic_format_parse(value, format))
            usage();
    }
    if (c->events == 0 || c->paths == 0 || c->clients == 0)
        usage();
    if (start_s == 0)
        start_s = (uint64_t)time(NULL) / 3600 * 3600 - span_s;
    c->start_ms = (int64_t)start_s * 1000;
    c->span_ms = (int64_t)span_s * 1000;
}

int main(int argc, char **argv)
{
    static char buffer[BUFFER_BYTES + TRAFFIC_LINE_MAX];
    enum traffic_format format = TRAFFIC_COMBINED;
    struct traffic_config config = {.seed = DEFAULT_SEED,
                                    .events = DEFAULT_LINES,
                                    .paths = DEFAULT_PATHS,
                                    .clients = DEFAULT_CLIENTS};
    read_flags(argc, argv, &config, &format);
    struct traffic *t = traffic_open(&config);
    if (t == NULL) {
        fprintf(stderr, "generate: no memory\n");
        return 1;
    }
    size_t len = 0;
    for (uint64_t i = 0; i < config.events; i++) {
        struct traffic_hit hit;
        traffic_next(t, &hit);
        len += traffic_write(t, format, &hit, buffer + len);
        if (len >= BUFFER_BYTES) {
            write_all(buffer, len);
            len = 0;
        }
    }
    write_all(buffer, len);
    traffic_close(t);
    return 0;
}
