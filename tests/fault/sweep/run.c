/* run.c - children that are pathstats, and a client for one that serves. See sweep.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fault/sweep/sweep.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 32, POLL_MS = 20 };

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static _Noreturn void be_pathstats(const char *data, const char *const *argv,
                                   const struct faulty_plan *plan)
{
    char *all[ARGUMENTS_MAX] = {"pathstats"};
    int n = 1;
    for (; argv[n - 1] != NULL && n < ARGUMENTS_MAX - 3; n++)
        all[n] = (char *)argv[n - 1];
    all[n++] = "--data-dir";
    all[n++] = (char *)data;
    /* without faults still on that disk, or it would wait for real syncs */
    const struct faulty_plan nothing = {.root = data, .journal = -1};
    memory_install(plan != NULL ? plan : &nothing); /* before SQLite's VFS is put in place */
    faulty_disk_install(plan != NULL ? plan : &nothing);
    exit(pathstats_main(n, all));
}

void run_start(struct run *r, const char *data, const char *const *argv,
               const struct faulty_plan *plan)
{
    int ends[2];
    r->len = 0;
    r->text[0] = '\0';
    r->ended = false;
    fflush(stdout);
    if (pipe2(ends, O_CLOEXEC) < 0 || (r->pid = fork()) < 0)
        abort();
    if (r->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* clearing them is most of what a short run costs */
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(null);
        close(ends[0]);
        close(ends[1]);
        be_pathstats(data, argv, plan);
    }
    close(ends[1]);
    r->from = ends[0];
}

/* What is there within `ms`; false: nothing more will come. */
static bool take_text(struct run *r, int ms)
{
    struct pollfd p = {.fd = r->from, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0)
        return true;
    if (r->len > SWEEP_TEXT_MAX - 4096) { /* the newest half is enough */
        memmove(r->text, r->text + r->len / 2, r->len - r->len / 2);
        r->len -= r->len / 2;
    }
    ssize_t n = read(r->from, r->text + r->len, SWEEP_TEXT_MAX - 1 - r->len);
    if (n > 0)
        r->len += (size_t)n;
    r->text[r->len] = '\0';
    return n > 0;
}

static void reap(struct run *r)
{
    while (waitpid(r->pid, &r->status, 0) != r->pid)
        continue;
    close(r->from);
    r->ended = true;
}

bool run_wait_text(struct run *r, const char *text, int ms)
{
    int64_t until = now_ms() + ms;
    while (!r->ended && strstr(r->text, text) == NULL && now_ms() < until)
        if (!take_text(r, POLL_MS))
            reap(r);
    return strstr(r->text, text) != NULL;
}

bool run_has_ended(struct run *r)
{
    if (!r->ended && !take_text(r, 0))
        reap(r);
    return r->ended;
}

bool run_wait_end(struct run *r, int ms)
{
    int64_t until = now_ms() + ms;
    while (!r->ended && now_ms() < until)
        if (!take_text(r, POLL_MS))
            reap(r);
    if (r->ended)
        return true;
    kill(r->pid, SIGKILL);
    reap(r);
    return false;
}

int run_exit_code(const struct run *r)
{
    return WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1;
}

const char *run_last_line(const struct run *r)
{
    static char line[1024];
    size_t end = r->len;
    while (end > 0 && r->text[end - 1] == '\n')
        end--;
    size_t from = end;
    while (from > 0 && r->text[from - 1] != '\n')
        from--;
    snprintf(line, sizeof line, "%.*s", (int)(end - from), r->text + from);
    return line;
}

int run_command(struct run *r, const char *data, const char *const *argv,
                const struct faulty_plan *plan)
{
    run_start(r, data, argv, plan);
    return run_wait_end(r, SWEEP_END_MS) ? run_exit_code(r) : -2;
}

uint16_t run_port(const struct run *r)
{
    static const char before[] = "listening on http://127.0.0.1:";
    const char *at = strstr(r->text, before);
    return at == NULL ? 0 : (uint16_t)strtoul(at + strlen(before), NULL, 10);
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, bytes + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

int run_post(uint16_t port, const char *body, size_t len)
{
    char text[512] = "";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = SWEEP_PATIENCE_MS / 1000};
    int on = 1, status = 0;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int n = snprintf(text, sizeof text,
                     "POST /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     len);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && send_all(fd, text, (size_t)n) &&
        send_all(fd, body, len) && recv(fd, text, sizeof text - 1, 0) > 12)
        status = atoi(text + strlen("HTTP/1.1 "));
    close(fd);
    return status;
}
