#!/bin/bash
# An import through the daemon that has the data directory: its words, counts and exit codes are as
# true as without one, also when the daemon is killed in between.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

LOG=tests/data/apache_2000.log
D=$T/data

field() { # name, of `import --json` in $out
    sqlite3 :memory: "SELECT json_extract('${out//\'/\'\'}', '\$.$1')"
}

summary() { echo "$(field lines)|$(field accepted)|$(field duplicate)|$(field rejected)|$(field refused)"; }

ok "a server starts" start_server "$D"
pathstats import --data-dir "$D" --json "$LOG"
is "new lines are accepted" "$code $(summary)" "0 2000|2000|0|0|0"
is "and the statistics hold them when it ends" "$(sql "$D" "SELECT sum(requests) FROM path_stats_hourly")" 2000
pathstats import --data-dir "$D" --json "$LOG"
is "the same again are duplicates" "$code $(summary)" "0 2000|0|2000|0|0"
{ sed -n 1,3p "$LOG"; echo nonsense; } >"$T/some.log"
pathstats import --data-dir "$D" "$T/some.log"
is "a rejected line: 2" "$code" 2
like "the summary tells duplicates" "$out" "duplicate +3 +counted before$"
like "and the rejected" "$out" "rejected +1$"
sed -n 4,5p "$LOG" >"$T/a.log"
pathstats import --data-dir "$D" --json "$T/a.log" "$T/missing.log" "$T/some.log"
is "a missing file: 1, and the others are imported" "$code $(summary)" "1 6|0|5|1|0"
like "it is named" "$err" "missing.log: No such file"
stop_server

# --- a daemon that takes only small bodies ---

ok "a server with a small body limit starts" start_server "$D" --body-limit 64k
pathstats import --data-dir "$D" --json --source small "$LOG"
is "bodies are split until they fit" "$code $(summary)" "0 2000|2000|0|0|0"
stop_server

# --- a daemon that is killed in between (I1, I3): nothing is claimed that is not there ---

awk 'BEGIN { for (i = 0; i < 300000; i++)
    printf "10.0.%d.%d - - [18/May/2015:%02d:%02d:%02d +0000] \"GET /p%d HTTP/1.1\" 200 5 \"-\" \"-\"\n",
        i / 256 % 256, i % 256, i / 36000 % 24, i / 600 % 60, i / 10 % 60, i % 50 }' >"$T/big.log"
ok "a server starts" start_server "$T/killed"
"$PATHSTATS" import --data-dir "$T/killed" --json "$T/big.log" >"$T/out" 2>"$T/err" &
importer=$!
some_are_stored() { [ "$(sql "$T/killed" "SELECT count(*) FROM traffic_events")" -gt 20000 ]; }
eventually some_are_stored
stop_server KILL
begin=$SECONDS
wait $importer
code=$? out=$(cat "$T/out") err=$(cat "$T/err")
ok "the import ends within 30 s" test $((SECONDS - begin)) -le 30
is "with 1" "$code" 1
like "it says what to do" "$err" "^pathstats: .*import (the same files|it) again"
claimed=$(field accepted)
is "the summary adds up to the lines it read" \
    $(($(field accepted) + $(field duplicate) + $(field rejected) + $(field refused) + $(field waiting) + $(field notStored))) \
    "$(field lines)"
ok "what it claims ($claimed) is more than nothing" test "$claimed" -gt 0
ok "a server starts again" start_server "$T/killed"
pathstats import --data-dir "$T/killed" --json "$T/big.log"
is "the same import again completes it" "$code $(field lines)" "0 300000"
ok "and what was claimed was there" test $(($(field duplicate) - claimed)) -ge 0
is "every line counts once" "$(sql "$T/killed" "SELECT count(*) FROM traffic_events")" 300000
stop_server
pathstats verify --data-dir "$T/killed"
is "verify: 0" "$code" 0
finish
