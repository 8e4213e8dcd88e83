/* interrupt.h - Ctrl-C in a command that works for a while.
 *
 * Such a command says what is done and how to go on, so it has to notice the signal between two
 * steps. Call ps_interrupt_catch before any thread is made: SIGINT and SIGTERM are then blocked,
 * here and in every thread made later, and kept for the one that polls ps_interrupted. A wait for
 * input goes through ps_interrupt_wait, so that no signal is missed between looking and waiting.
 * The exit code is PS_EXIT_INTERRUPTED. Once the first signal was noticed, a second one ends the
 * process at once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_INTERRUPT_H
#define PS_CLI_INTERRUPT_H

#include <stdbool.h>

/* Without a descriptor to spare nothing is caught, and a signal ends the process as ever. */
void ps_interrupt_catch(void);
bool ps_interrupted(void);
/* Until `fd` can be read; false when a signal came instead. */
bool ps_interrupt_wait(int fd);

#endif
