#!/bin/bash
# make bench: prints what it measures on this machine. Times mean little between machines; ratios within
# one run do. Data is generated, deterministic, and kept in build/bench.
set -euo pipefail
cd "$(dirname "$0")/.."
B=build/bench
mkdir -p "$B"
LINES=${LINES:-1000000}
gcc -std=c17 -D_GNU_SOURCE -O2 -Isrc -o "$B/latency" bench/latency_bench.c build/libpathstats.a \
    -lsqlite3 -lmicrohttpd -lcurl -lcrypto -lz -linih -pthread
echo "== latency of small batches"
"$B/latency"

echo "== import of $LINES combined lines"
[ -s "$B/combined-$LINES.log" ] || awk -v n="$LINES" -f bench/generate.awk >"$B/combined-$LINES.log"
rm -rf "$B/data"
time build/pathstats import --data-dir "$B/data" "$B/combined-$LINES.log"
echo "== the same again: all duplicates"
time build/pathstats import --data-dir "$B/data" "$B/combined-$LINES.log"
events=$(sqlite3 "$B/data/pathstats.db" "SELECT count(*) FROM traffic_events")
bytes=$(stat -c %s "$B/data/pathstats.db")
echo "bytes an event in the database: $((bytes / events))"
rm -rf "$B/data"
