/* import_summary.h - what an import tells at its end, as text and as JSON. Its numbers are true
 * after a failure too:
 *
 *     lines = accepted + duplicate + rejected + refused + waiting + not stored (unconfirmed)
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_IMPORT_SUMMARY_H
#define PS_CLI_IMPORT_SUMMARY_H

#include "cli/sink.h"
#include "flow/ingest.h"

struct ps_import_summary {
    uint64_t lines; /* blank ones not counted */
    struct ps_sunk sunk;
    double seconds;
    const struct ps_ingested *done;
    const char *const *listed_in; /* the file of each listed rejection */
};

/* On standard output. Returns an exit code. */
int ps_import_summary_print(const struct ps_import_summary *s, bool json);

#endif
