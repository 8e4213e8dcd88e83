/* daemon.h - a `pathstats serve` to measure: started, watched through /proc, stopped or killed.
 *
 * Every failure ends the benchmark with a message: half a measurement is none.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BENCH_DAEMON_H
#define PS_BENCH_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct daemon {
    const char *program, *data_dir;
    uint16_t port;
    pid_t pid;
};

struct daemon_usage {
    double cpu_s;
    long peak_rss_kb;
    double stop_s; /* from SIGTERM to the end: what was acknowledged gets stored */
};

int64_t now_us(void); /* monotonic */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* Returns how many microseconds passed until GET /api/health said 200. */
int64_t daemon_start(struct daemon *d);
void daemon_kill(struct daemon *d);                           /* SIGKILL, and waits */
void daemon_stop(struct daemon *d, struct daemon_usage *ret); /* SIGTERM, and waits */
long daemon_rss_kb(const struct daemon *d);
/* Requests counted in the database; the daemon is not running. */
uint64_t daemon_count_stored(const struct daemon *d);
int daemon_connect(const struct daemon *d); /* a blocking socket, or -1 */

#endif
