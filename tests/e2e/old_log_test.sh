#!/bin/bash
# A log of many years: every day of it is imported, is right, can be read by stock sqlite3, and stays
# until the archive job takes it. An import archives nothing.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

DAYS=4000
D=$T/data

# A line a day, and one day with many.
for i in $(seq $((DAYS - 1)) -1 0); do echo $((1760529600 - i * 86400)); done |
    TZ=UTC LC_ALL=C awk '{ print strftime("10.0.0.1 - - [%d/%b/%Y:%H:%M:%S +0000]", $1) " \"GET /p/" NR % 50 " HTTP/1.1\" 200 5" }' >"$T/old.log"
TZ=UTC awk 'BEGIN { for (i = 0; i < 6000; i++) printf "10.0.0.2 - - [01/Mar/2020:10:%02d:%02d +0000] \"GET /q/%d HTTP/1.1\" 200 5\n", i / 60 % 60, i % 60, i % 7 }' >>"$T/old.log"

ok "$DAYS days are imported" "$PATHSTATS" import --json --data-dir "$D" "$T/old.log"
is "all of them" "$(sql "$D" "SELECT count(*), count(DISTINCT event_date) FROM traffic_events")" "$((DAYS + 6000))|$DAYS"
is "a small day is there" "$(sql "$D" "SELECT count(*) FROM traffic_events WHERE event_date = '2018-07-04'")" 1
is "a large one too" "$(sql "$D" "SELECT count(*) FROM traffic_events WHERE event_date = '2020-03-01'")" 6001
ok "the statistics are right" "$PATHSTATS" verify --data-dir "$D"
is "nothing was refused" "$("$PATHSTATS" dead-letters list --json --data-dir "$D")" "[]"
is "nothing was archived" "$(ls -d "$D"/objects* 2>/dev/null)$(sql "$D" "SELECT count(*) FROM archive_metadata")" 0
ok "once more" "$PATHSTATS" import --json --data-dir "$D" "$T/old.log"
is "counts nothing twice" "$(sql "$D" "SELECT count(*) FROM traffic_events")" "$((DAYS + 6000))"

finish
