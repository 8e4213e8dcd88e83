/* daemon.c - see daemon.h.  SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_TIMEOUT_US = 60000000, RETRY_US = 500, PATH_BYTES = 1024 };

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int daemon_connect(const struct daemon *d)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(d->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket: %m");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool is_healthy(const struct daemon *d)
{
    static const char ask[] =
        "GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    char answer[16] = {0};
    int fd = daemon_connect(d);
    if (fd < 0)
        return false;
    bool ok = write(fd, ask, sizeof ask - 1) == sizeof ask - 1 &&
              recv(fd, answer, sizeof answer - 1, MSG_WAITALL) > 12;
    close(fd);
    return ok && strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

static void run(const struct daemon *d)
{
    char listen[32], log[PATH_BYTES];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", d->port);
    snprintf(log, sizeof log, "%s.log", d->data_dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd >= 0)
        dup2(fd, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(d->program, d->program, "serve", "--data-dir", d->data_dir, "--listen", listen,
          "--no-record-self", (char *)NULL);
    die("%s: %m", d->program);
}

int64_t daemon_start(struct daemon *d)
{
    int64_t start = now_us();
    if (is_healthy(d))
        die("something answers on port %u already: choose another with --port", d->port);
    d->pid = fork();
    if (d->pid < 0)
        die("fork: %m");
    if (d->pid == 0)
        run(d);
    while (!is_healthy(d)) {
        if (waitpid(d->pid, NULL, WNOHANG) != 0)
            die("the daemon ended at once: see %s.log", d->data_dir);
        if (now_us() - start > START_TIMEOUT_US)
            die("the daemon is not healthy after %d s", START_TIMEOUT_US / 1000000);
        usleep(RETRY_US);
    }
    return now_us() - start;
}

void daemon_kill(struct daemon *d)
{
    kill(d->pid, SIGKILL);
    waitpid(d->pid, NULL, 0);
}

void daemon_stop(struct daemon *d, struct daemon_usage *ret)
{
    struct rusage u;
    int status;
    int64_t start = now_us();
    kill(d->pid, SIGTERM);
    if (wait4(d->pid, &status, 0, &u) != d->pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die("the daemon did not stop well (status %d): see %s.log", status, d->data_dir);
    ret->stop_s = (double)(now_us() - start) / 1e6;
    ret->cpu_s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    ret->peak_rss_kb = u.ru_maxrss;
}

long daemon_rss_kb(const struct daemon *d)
{
    char name[64], line[128];
    long kb = -1;
    snprintf(name, sizeof name, "/proc/%d/status", (int)d->pid);
    FILE *f = fopen(name, "r");
    while (f != NULL && kb < 0 && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f != NULL)
        fclose(f);
    return kb;
}

uint64_t daemon_count_stored(const struct daemon *d)
{
    char name[PATH_BYTES];
    sqlite3 *db;
    sqlite3_stmt *statement;
    snprintf(name, sizeof name, "%s/pathstats.db", d->data_dir);
    if (sqlite3_open_v2(name, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT sum(requests) FROM path_stats_hourly", -1, &statement,
                           NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        die("%s: %s", name, sqlite3_errmsg(db));
    uint64_t count = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}
