#!/bin/bash
# Runs what README.md shows, taken from its text, so that the two cannot disagree.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

README=$PWD/README.md
mkdir -p "$T/checkout/build"
ln -s "$PWD/tests" "$T/checkout/tests"
ln -s "$PATHSTATS" "$T/checkout/build/pathstats"
cd "$T/checkout" || exit 1

# --- a first look ---

sed -n 's,^    \$ ,,p' "$README" >"$T/commands"
ok "README shows commands" test "$(wc -l <"$T/commands")" -ge 4
while read -r command; do
    run bash -c "$command"
    is "$command" "$code $err" "0 "
    ok "… and it says something" test -n "$out"
done <"$T/commands"

# --- events over HTTP ---

awk '/^    curl /{ shown = 1 } shown && NF == 0 { exit } shown' "$README" >"$T/curl"
like "README shows a POST" "$(head -1 "$T/curl")" "curl -X POST http://localhost:8787/api/events"
ok "serve" start_server data
sed -i "s,http://localhost:8787,http://localhost:${url##*:}," "$T/curl"
run bash "$T/curl"
like "its event is accepted" "$out" '^\{"accepted":1,"rejected":0,'
stop_server
is "and stored" "$(sql data "SELECT path, status, response_time FROM traffic_events
    WHERE id = 'order-17'")" "/cart|200|12.5"

# --- sqlite3 ---

sed -n 's/^    \(sqlite3 data.*\)/\1/p' "$README" >"$T/queries"
ok "README shows queries" test -s "$T/queries"
while read -r query; do
    run bash -c "$query"
    is "$query" "$code $err" "0 "
    is "… gives five rows" "$(wc -l <<<"$out")" 5
done <"$T/queries"
finish
