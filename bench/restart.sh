#!/bin/bash
# restart.sh - kill -9 with N events stored and more in the queue; seconds until it serves again, and
# nothing acknowledged may be missing.        bench/restart.sh [EVENTS]
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
EVENTS=${1:-1000000}
data=$BENCH_DIR/restart-data
build_tools
rm -rf "$data" "$data.log"
"$BENCH_DIR/generate" --lines "$EVENTS" --format combined-time >"$BENCH_DIR/restart.log"
"$PATHSTATS" import --data-dir "$data" "$BENCH_DIR/restart.log" | head -1
echo "== kill -9 with $EVENTS events stored"
"$BENCH_DIR/http_bench" --program "$PATHSTATS" --data-dir "$data" --events 1000 --seconds 5 --restart 1
rm -rf "$data" "$data.log" "$BENCH_DIR/restart.log"
