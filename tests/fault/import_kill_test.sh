#!/bin/bash
# An import that is killed with SIGKILL, again and again, and then comes to its end: each line counts
# once (I1), whatever of it was read, queued, stored or counted when the kill came.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

KILLS=${KILLS:-8} COPIES=30
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((SEED & 32767))
echo "# KILLS=$KILLS SEED=$SEED"
LOG=tests/data/apache_2000.log
D=$T/data

for ((i = 0; i < COPIES; i++)); do
    sed "s,\"\([A-Z]*\) /,\"\1 /copy-$i/," $LOG
done >"$T/log"
lines=$(wc -l <"$T/log")

differences=0 interrupted=0
for ((i = 0; i < KILLS; i++)); do
    "$PATHSTATS" import --data-dir "$D" --batch-events 500 "$T/log" \
        >"$T/summary" 2>&1 &
    importer=$!
    sleep "$(printf '0.%03d' $((RANDOM % (30 + i * 40))))" # the random moment itself
    kill -9 $importer 2>/dev/null
    wait $importer 2>/dev/null && continue
    interrupted=$((interrupted + 1))
    # killed while it made the database: there is nothing to audit yet
    sqlite3 "$D/pathstats.db" "SELECT 1 FROM path_stats_hourly LIMIT 0" 2>/dev/null || continue
    "$PATHSTATS" verify --data-dir "$D" >"$T/audit" 2>&1 && continue
    differences=$((differences + 1))
    sed 's/^/# /' "$T/audit" | head
done
ok "$interrupted imports of $KILLS were killed before their end" test $interrupted -gt 0
is "the audit found no difference after any of them" $differences 0
pathstats import --data-dir "$D" "$T/log"
is "the last one comes to its end" "$code" 0
is "an event for each line" "$(sql "$D" "SELECT count(*) FROM traffic_events")" "$lines"
is "a request for each line" "$(sql "$D" "SELECT sum(requests) FROM path_stats_hourly")" "$lines"
pathstats import --data-dir "$T/straight" "$T/log"
dump_stats "$T/straight" >"$T/straight.stats"
dump_stats "$D" >"$T/killed.stats"
is "as many rows as of an import that nobody killed" \
    "$(wc -l <"$T/killed.stats")" "$(wc -l <"$T/straight.stats")"
cut -d'|' -f1-8 "$T/straight.stats" >"$T/straight.numbers"
cut -d'|' -f1-8 "$T/killed.stats" >"$T/killed.numbers"
same "and the same numbers in each" "$T/straight.numbers" "$T/killed.numbers" # secrets differ
pathstats verify --data-dir "$D"
is "verify: 0" "$code" 0
finish
