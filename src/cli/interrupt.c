/* interrupt.c - see interrupt.h. signalfd(2): nothing runs in a handler.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int signals = -1; /* the signalfd */
static bool came;

static void fill(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

void ps_interrupt_catch(void)
{
    sigset_t set;
    fill(&set);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals >= 0)
        pthread_sigmask(SIG_BLOCK, &set, NULL);
}

bool ps_interrupted(void)
{
    struct signalfd_siginfo info;
    if (came || signals < 0 || read(signals, &info, sizeof info) != sizeof info)
        return came;
    sigset_t set;
    fill(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* from now on it means it */
    came = true;
    return true;
}

bool ps_interrupt_wait(int fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    if (ps_interrupted())
        return false;
    if (signals < 0)
        return true; /* the read will wait */
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        continue;
    return !ps_interrupted();
}
