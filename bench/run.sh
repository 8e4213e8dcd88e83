#!/bin/bash
# run.sh - every benchmark, one after the other. See docs/benchmarks.md.
#
#     bench/run.sh           minutes                    (make bench)
#     bench/run.sh record    the figures of the docs    (make bench-record), about half an hour
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
lines=${LINES:-1000000} seconds=${SECONDS_EACH:-10} stored=4000000 restart=1000000 failed=
if [ "${1:-}" = record ]; then
    seconds=60 stored=20000000 restart=10000000
fi
build_tools
step() { printf '\n######## %s\n' "$*"; "$@" || { failed="$failed $1"; echo "******** FAILED: $*"; }; }
step bench/peers.sh "$lines" combined-time
[ "${1:-}" != record ] || step bench/peers.sh "$lines" combined
step bench/peers.sh "$lines" ndjson
[ "${1:-}" != record ] || REPEATS=1 step bench/peers.sh 10000000 combined-time
SECONDS_EACH=$seconds step bench/http.sh
step "$BENCH_DIR/latency_bench"
step bench/scaling.sh $stored
step bench/restart.sh $restart
SECONDS_EACH=$seconds step bench/memory.sh
step bench/instructions.sh
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
