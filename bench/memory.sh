#!/bin/bash
# memory.sh - how much memory it takes with 5,000 paths in each of 72 hours hot: the import that makes
# them, and then a server under full load.
#
#     bench/memory.sh [LINES]        LIMIT_MB=256 SECONDS_EACH=10
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
LINES_WANTED=${1:-4000000}
LIMIT_MB=${LIMIT_MB:-256}
DATA=$BENCH_DIR/memory-data

verdict() { [ "$1" -le "$LIMIT_MB" ] && echo kept || echo missed; }

build_tools
rm -rf "$DATA" "$DATA.log"
"$BENCH_DIR/generate" --lines "$LINES_WANTED" --paths 5000 --span $((72 * 3600)) --format combined-time >"$DATA.log"
import_mb=$(timed "$PATHSTATS" import --data-dir "$DATA" "$DATA.log" | awk '{ print $3 }')
rows=$(sqlite3 "$DATA/pathstats.db" "SELECT count(*) || ' aggregates of ' || count(DISTINCT hour_bucket) || ' hours'
    FROM path_stats_hourly")
echo "== $LINES_WANTED events in $rows (limit $LIMIT_MB MB)"
echo "import: peak $import_mb MB: $(verdict "$import_mb")"
"$BENCH_DIR/http_bench" --program "$PATHSTATS" --data-dir "$DATA" --events 1000 \
    --seconds "${SECONDS_EACH:-10}" --connections 16 | tee "$BENCH_DIR/memory.out"
server_mb=$(sed -n 's/.*peak \([0-9]*\) MB.*/\1/p' "$BENCH_DIR/memory.out")
echo "server: peak $server_mb MB: $(verdict "$server_mb")"
rm -rf "$DATA" "$DATA.log" "$BENCH_DIR/memory.out"
