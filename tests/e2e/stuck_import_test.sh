#!/bin/bash
# An import that finds events in the queue which cannot be stored: it says why and ends, and Ctrl-C
# ends it at once. Root may write everything, so it runs as nobody.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

AS=()
[ "$(id -u)" != 0 ] || AS=(setpriv --reuid=65534 --regid=65534 --clear-groups)
cp "$PATHSTATS" "$T/pathstats" # where nobody can run it
mkdir "$T/home"
chmod 755 "$T" "$T/pathstats"
chmod 777 "$T/home"
D=$T/home/data
cp tests/data/apache_sample.log "$T/log"
chmod 644 "$T/log"
"${AS[@]}" "$T/pathstats" version >/dev/null || { echo "1..0 # SKIP cannot run as another user"; exit 0; }

run "${AS[@]}" "$T/pathstats" import --data-dir "$D" "$T/log"
is "a first import" "$code" 0
chmod a-w "$D"/pathstats.db*
PATHSTATS=$T/pathstats
serve_as() { # in the place of start_server's own
    server_log=$(mktemp "$T/server.XXXXXX")
    "${AS[@]}" "$T/pathstats" serve --data-dir "$D" --listen 127.0.0.1:0 --no-record-self 2>"$server_log" </dev/null &
    server=$!
    eventually listening_or_dead
    url=$(listener "$server_log")
}
ok "a server that cannot write its database starts, or says why" serve_as
post '{"path":"/waits","timestamp":1760529600000,"idempotentId":"w"}'
is "it takes an event into its queue" "$code" 202
stop_server

begin=$SECONDS
run timeout 60 "${AS[@]}" "$T/pathstats" import --data-dir "$D" "$T/log"
is "an import that cannot store what waits ends with 1" "$code" 1
ok "within half a minute" test $((SECONDS - begin)) -le 30
like "and says why" "$err" "pathstats: .*pathstats.db.*readonly"

"${AS[@]}" "$T/pathstats" import --data-dir "$D" "$T/log" >"$T/out" 2>"$T/err" &
importer=$!
waits() { grep -q "cannot be stored" "$T/err"; }
ok "another waits" eventually waits
kill -INT $importer
begin=$SECONDS
wait $importer
ok "Ctrl-C ends it" test $((SECONDS - begin)) -le 8

chmod u+w "$D"/pathstats.db*
run "${AS[@]}" "$T/pathstats" import --data-dir "$D" --json "$T/log"
is "with a database that can be written it goes on" "$code" 0
is "and what waited is stored" "$(sql "$D" "SELECT count(*) FROM traffic_events WHERE path = '/waits'")" 1
finish
