/* check.h - PS_ASSERT: for our mistakes, never for the world's. On in every build.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_CHECK_H
#define PS_BASE_CHECK_H

#ifdef __wasm__
#define PS_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#else
/* Prints where and what to standard error, then aborts. */
_Noreturn void ps_panic(const char *file, int line, const char *condition);
#define PS_ASSERT(condition) ((condition) ? (void)0 : ps_panic(__FILE__, __LINE__, #condition))
#endif

#define PS_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
