/* interrupt.h - Ctrl-C in a command that works for a while.
 *
 * Such a command says what is done and how to go on, so it has to notice the signal between two
 * steps. Call ps_interrupt_catch before any thread is made: SIGINT and SIGTERM are then blocked
 * here and in every thread that is made later. ps_interrupt_listen lets this thread alone take
 * them, and a read(2) it waits in ends with EINTR. Then poll ps_interrupted; the exit code is
 * PS_EXIT_INTERRUPTED. A second signal ends the process at once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_INTERRUPT_H
#define PS_CLI_INTERRUPT_H

#include <stdbool.h>

void ps_interrupt_catch(void);
void ps_interrupt_listen(void);
bool ps_interrupted(void);

#endif
