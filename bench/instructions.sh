#!/bin/bash
# instructions.sh - instructions an event, counted by valgrind: steadier than time on any machine.
#
#     bench/instructions.sh [--update]
#
# Compares with bench/instructions.txt and fails when one grew by more than 10 %. Another compiler or
# SQLite makes other instructions, so theirs are kept beside the numbers and a difference is said.
# `import` includes the start of the process: 20,000 lines, of a fixed hour.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
BASELINE=bench/instructions.txt
LIMIT_PERCENT=10
EVENTS=20000
FIXED_START=1760529600 # 2025-10-15T12:00:00Z
data=$BENCH_DIR/instructions-data
file=$BENCH_DIR/instructions.log
command -v valgrind >/dev/null || { note "valgrind is missing: run bench/deps.sh"; exit 69; }
build_tools

count() { # options of callgrind and the command; prints instructions an event
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
        awk -v n=$EVENTS '/Collected/ { found = 1; printf "%d\n", $NF / n } END { exit !found }'
}
versions() { printf '%s, sqlite %s, CFLAGS %s\n' "$(${CC:-gcc} -dumpfullversion)" \
    "$(sqlite3 --version 2>/dev/null | cut -d' ' -f1)" "${CFLAGS:-default}"; }

"$BENCH_DIR/generate" --lines $EVENTS --format combined-time --start $FIXED_START --span 3600 >"$file"
rm -rf "$data"
now="import $(count "$PATHSTATS" import --data-dir "$data" --flush-interval 60s "$file")
core $(count --toggle-collect=count_events "$BENCH_DIR/core_bench" $EVENTS)"
rm -rf "$data" "$file"

if [ "${1:-}" = --update ]; then
    { echo "# Instructions an event by callgrind; made by bench/instructions.sh --update with"
      echo "# gcc $(versions)"
      echo "$now"; } | tee $BASELINE
    exit 0
fi
made_with=$(sed -n 's/^# gcc //p' $BASELINE)
[ "$made_with" = "$(versions)" ] ||
    echo "note: the baseline was made with gcc $made_with; this is gcc $(versions)"
awk -v limit=$LIMIT_PERCENT 'FNR == NR { if (!/^#/) was[$1] = $2; next }
    { change = ($2 / was[$1] - 1) * 100; over = change > limit
      printf "%-8s %7d instructions an event, was %7d: %+.1f %%%s\n", $1, $2, was[$1], change, over ? " TOO MANY" : ""
      bad += over || !($1 in was)
      if (change < -limit) print "         much fewer: keep it with bench/instructions.sh --update" }
    END { exit bad > 0 }' $BASELINE <(echo "$now")
