#!/bin/bash
# A part that is slow or stuck holds up nobody who does not need it.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

D=$T/data
NOW_MS=$(date +%s000)

ok "it starts" start_server "$D" --no-record-self
post '{"path":"/x","timestamp":'"$NOW_MS"'}'
is "an event is taken" "$code" 202

# Somebody holds the kv's lock for writing: whoever writes waits, with the server's handle in its hands.
mkfifo "$T/lock"
sqlite3 "$D/kv.db" <"$T/lock" >"$T/locked" 2>&1 &
exec 7>"$T/lock"
echo '.timeout 10000
BEGIN IMMEDIATE; SELECT 1;' >&7
locked() { grep -q 1 "$T/locked"; }
ok "the kv is locked" eventually locked

curl -s -o "$T/refreshed" -X POST "$url/admin/snapshot/refresh" &
refresh=$!
slow=0
until [ -s "$T/refreshed" ]; do # it is told in the end that the kv is busy
    started=$(date +%s%3N)
    curl -s -o "$T/health" "$url/api/health" || slow=never
    curl -s -o "$T/paths" "$url/api/paths" || slow=never
    took=$(($(date +%s%3N) - started))
    [ "$slow" = never ] || [ $took -le "$slow" ] || slow=$took
    sleep 0.1 # between two looks
done
wait $refresh
ok "health and paths are answered at once meanwhile ($slow ms at most)" [ "$slow" -lt 3000 ]
echo 'COMMIT;' >&7
exec 7>&-
refreshed() { [ "$(curl -s -o "$T/answer" -w '%{http_code}' -X POST "$url/admin/snapshot/refresh")" = 200 ]; }
ok "it is refreshed when the lock is gone" eventually refreshed
stop_server
finish
