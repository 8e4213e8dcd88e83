/* interrupt.c - see interrupt.h.  SPDX-License-Identifier: MIT */
#include "cli/interrupt.h"

#include <pthread.h>
#include <signal.h>

static volatile sig_atomic_t came;

static void note(int number)
{
    (void)number;
    came = 1;
}

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
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    /* No SA_RESTART: a read that waits has to end. Once: the second signal means it. */
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void ps_interrupt_listen(void)
{
    sigset_t set;
    fill(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool ps_interrupted(void)
{
    return came != 0;
}
