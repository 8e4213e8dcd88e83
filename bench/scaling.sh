#!/bin/bash
# scaling.sh - events a second and bytes an event as the store, the paths and the batches grow.
#
#     bench/scaling.sh [TOTAL [STEP]]       TOTAL events into one store, STEP at a time (4 M, 1 M)
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
TOTAL=${1:-4000000}
STEP=${2:-1000000}
data=$BENCH_DIR/scaling-data
file=$BENCH_DIR/scaling.log
build_tools
print_machine

import() { # label, events, further options of import
    local label=$1 events=$2 result
    shift 2
    result=$(timed "$PATHSTATS" import --data-dir "$data" "$@" "$file")
    # shellcheck disable=SC2086
    set -- $result
    awk -v l="$label" -v s="$1" -v c="$2" -v p="$3" -v n="$events" -v b="$(stored_bytes "$data")" -v all="$stored" \
        'BEGIN { printf "%12s %12.0f %12.2f %12.1f %10d\n", l, n / s, c * 1e6 / n, b / all, p }'
}
head_line() { printf '\n== %s\n%12s %12s %12s %12s %10s\n' "$1" "$2" events/s "CPU µs" "bytes/event" "peak MB"; }

head_line "as the store grows, an hour of traffic at a time" "stored"
rm -rf "$data"
steps=$(((TOTAL + STEP - 1) / STEP))
first=$(($(date +%s) / 3600 * 3600 - steps * 3600))
for ((i = 0; i < steps; i++)); do
    "$BENCH_DIR/generate" --lines "$STEP" --format combined-time --seed $((i + 1)) --span 3600 \
        --start $((first + i * 3600)) >"$file"
    stored=$(((i + 1) * STEP))
    import "$stored" "$STEP"
done

stored=$STEP
head_line "as paths grow, $STEP events in 6 hours" "paths"
for paths in 10 100 1000 10000 100000; do
    rm -rf "$data"
    "$BENCH_DIR/generate" --lines "$STEP" --format combined-time --paths $paths >"$file"
    import $paths "$STEP"
done

stored=$((STEP / 4))
head_line "as batches grow, $stored events" "batch_events"
"$BENCH_DIR/generate" --lines $stored --format combined-time >"$file"
for batch in 100 1000 5000 20000 50000 65536; do
    rm -rf "$data"
    import $batch $stored --batch-events $batch
done
rm -rf "$data" "$file"
