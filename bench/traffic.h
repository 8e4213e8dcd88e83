/* traffic.h - made-up web traffic, the same for the same seed on every machine.
 *
 * Integer arithmetic only, so nothing depends on a libm: paths follow Zipf's law (weight 1/rank),
 * drawn in constant time with an alias table (Walker 1977, built as Vose 1991 does); response times
 * look log-normal, about a path's own median, with one in a hundred eight times as slow; each
 * client has one address and one browser. Random numbers are SplitMix64 (Steele et al. 2014).
 *
 * A traffic is read by its one thread; hits point into it and live as long as it does.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BENCH_TRAFFIC_H
#define PS_BENCH_TRAFFIC_H

#include "base/str.h"

enum { TRAFFIC_LINE_MAX = 1024 };

struct traffic;

enum traffic_format { TRAFFIC_COMBINED, TRAFFIC_COMBINED_TIME, TRAFFIC_NDJSON };

struct traffic_config {
    uint64_t seed, events;
    uint32_t paths, clients;
    int64_t start_ms, span_ms; /* event i happens at start + span * i / events */
};

struct traffic_hit {
    int64_t timestamp_ms;
    struct ps_str method, path, address, agent;
    uint64_t id; /* different in every hit */
    uint32_t response_us, bytes, referer;
    int status;
};

struct traffic *traffic_open(const struct traffic_config *config);
void traffic_close(struct traffic *t);
void traffic_next(struct traffic *t, struct traffic_hit *ret);
/* One line with its newline, at most TRAFFIC_LINE_MAX bytes; returns its length. */
size_t traffic_write(struct traffic *t, enum traffic_format format, const struct traffic_hit *hit,
                     char *to);
/* "combined", "combined-time", "ndjson"; false for another word. */
bool traffic_format_parse(const char *word, enum traffic_format *ret);

/* Exactly `digits` digits with zeros in front, and 16 hexadecimal digits; both return the end. */
char *traffic_put_padded(char *to, uint64_t value, int digits);
char *traffic_put_hex(char *to, uint64_t value);

#endif
