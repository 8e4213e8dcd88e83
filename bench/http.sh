#!/bin/bash
# http.sh - HTTP ingestion over loopback with bodies of 1, 100 and 1,000 events. SECONDS_EACH=10
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
build_tools
print_machine
for events in 1 100 1000; do
    data=$BENCH_DIR/http-data
    rm -rf "$data" "$data.log"
    connections=$([ $events = 1 ] && echo 256 || echo 16)
    "$BENCH_DIR/http_bench" --program "$PATHSTATS" --data-dir "$data" --events $events \
        --seconds "${SECONDS_EACH:-10}" --connections "${CONNECTIONS:-$connections}"
    rm -rf "$data" "$data.log"
done
