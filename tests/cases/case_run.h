/* case_run.h - a case file as a program: events in, rows out, in plain text.
 *
 * The runner is freestanding C on src/base/time.c and src/core alone, so the same source runs here
 * and in WebAssembly and must print the same bytes (I2). Not thread-safe: one static arena, emptied
 * by every call.
 *
 * A case is lines; `#` starts a comment line, empty lines count for nothing. Directives:
 *
 *     now MS                 the clock of all that follows
 *     post <<<               a request body up to the line `>>>`: one object, array or NDJSON
 *     generate KEY=VALUE ... events i = 0 .. count - 1 in an order chosen by `seed`:
 *         count path id from step_ms        id "<id>-<i>", time from + i * step_ms
 *         clients                           client "client-<i mod clients>"; 0: none
 *         us_first us_step                  response time us_first + i * us_step; neither: none
 *         errors_every                      status 500 where i divides by it, else 200; 0: none
 *     rows                   prints each (path, hour), in that order
 *     merge PATH             prints all hours of a path as one
 *     simulate SEED          prints ps_case_simulate(SEED)
 *     expect                 the rest of the file is what must have been printed
 *
 * An address is hashed by plain XXH64 here: the keyed hash of the daemon is outside the core.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_TESTS_CASES_CASE_RUN_H
#define PS_TESTS_CASES_CASE_RUN_H

#include "base/str.h"

enum {
    PS_CASE_ARENA_BYTES = 24 << 20,
    PS_CASE_OUT_MAX = 1 << 18, /* enough for every case: callers pass a buffer like this */
};

/* Runs text[0..len) up to `expect`; returns the bytes written to `out`. A line that starts with
 * "error" is a mistake in the case or in the core. Past `out_max` it panics. */
size_t ps_case_run(const char *text, size_t len, char *out, size_t out_max);

/* I2: one random set of events, counted in order, then shuffled, split, packed, unpacked and merged
 * in random ways. Prints the hash of all rows, and whether each way gave the same. */
size_t ps_case_simulate(uint64_t seed, char *out, size_t out_max);

/* Offset of what follows the line `expect`, or `len`. */
size_t ps_case_expected_at(const char *text, size_t len);

#endif
