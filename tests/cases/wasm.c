/* wasm.c - the runner's doors in WebAssembly: two buffers in linear memory and three calls.
 *
 * JavaScript copies a case to ps_wasm_input(), calls, and reads the returned number of bytes from
 * ps_wasm_output(). Nothing is imported, so nothing else can differ.
 *
 * SPDX-License-Identifier: MIT
 */
#include "base/check.h"
#include "case_run.h"

enum { INPUT_MAX = 1 << 20 };

#define EXPORT(name) __attribute__((export_name(#name))) name

static char input[INPUT_MAX], output[PS_CASE_OUT_MAX];

char *EXPORT(ps_wasm_input)(void);
char *EXPORT(ps_wasm_output)(void);
size_t EXPORT(ps_wasm_run)(size_t len);
size_t EXPORT(ps_wasm_expected_at)(size_t len);
size_t EXPORT(ps_wasm_simulate)(uint64_t seed);

char *ps_wasm_input(void)
{
    return input;
}

char *ps_wasm_output(void)
{
    return output;
}

size_t ps_wasm_run(size_t len)
{
    PS_ASSERT(len <= sizeof input);
    return ps_case_run(input, len, output, sizeof output);
}

size_t ps_wasm_expected_at(size_t len)
{
    PS_ASSERT(len <= sizeof input);
    return ps_case_expected_at(input, len);
}

size_t ps_wasm_simulate(uint64_t seed)
{
    return ps_case_simulate(seed, output, sizeof output);
}
