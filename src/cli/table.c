/* table.c - see table.h.  SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include "cli/cli.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NUMBERS_WIDTH = 84, ROOM_MIN = 16, ROOM_MAX = 60 };

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40 ? size.ws_col : 120;
}

int ps_table_room(int taken)
{
    int room = terminal_columns() - NUMBERS_WIDTH - taken;
    return room < ROOM_MIN ? ROOM_MIN : room > ROOM_MAX ? ROOM_MAX : room;
}

/* Shortened in the middle, by characters: the ends of a path tell most. */
void ps_table_path(struct ps_str path, int room)
{
    int characters = 0;
    for (size_t i = 0; i < path.len; i++)
        characters += ((unsigned char)path.ptr[i] & 0xc0) != 0x80;
    if (characters <= room) {
        printf("%.*s%*s", (int)path.len, path.ptr, room - characters, "");
        return;
    }
    int head = room / 2, tail = room - head - 1, at = 0;
    for (size_t i = 0; i < path.len; i++) {
        bool starts = ((unsigned char)path.ptr[i] & 0xc0) != 0x80;
        at += starts;
        if (at == head + 1 && starts)
            fputs("…", stdout);
        if (at <= head || at > characters - tail)
            putchar(path.ptr[i]);
    }
}

void ps_table_head(const char *first, int room)
{
    printf("%s%-*s %10s %8s %6s %9s %9s %9s %9s %8s%s\n", ps_cli_color() ? "\033[1m" : "", room,
           first, "requests", "errors", "err %", "avg", "p50", "p95", "p99", "clients",
           ps_cli_color() ? "\033[0m" : "");
}

void ps_table_numbers(const struct ps_ranked *p)
{
    char requests[32], errors[32], avg[32], p50[32], p95[32], p99[32], clients[34];
    bool has = p->count_us > 0;
    bool loud = ps_cli_color() && p->errors > 0;
    ps_cli_count(clients + !p->clients_exact, p->clients);
    if (!p->clients_exact)
        clients[0] = '~';
    printf(" %10s %s%8s %6.1f%s %9s %9s %9s %9s %8s\n", ps_cli_count(requests, p->requests),
           loud ? "\033[31m" : "", ps_cli_count(errors, p->errors),
           p->requests > 0 ? 100.0 * (double)p->errors / (double)p->requests : 0.0,
           loud ? "\033[0m" : "", ps_cli_time(avg, has, has ? p->sum_us / p->count_us : 0),
           ps_cli_time(p50, has, p->p50_us), ps_cli_time(p95, has, p->p95_us),
           ps_cli_time(p99, has, p->p99_us), clients);
}
