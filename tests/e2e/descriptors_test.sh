#!/bin/bash
# Few file descriptors and more clients than that: the queue keeps those it needs.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

D=$T/data LIMIT=256 CLIENTS=300
NOW_MS=$(date +%s000)

ulimit -Sn 4096 2>/dev/null # ours; a server gets what it is given
segments() { ls "$D/queue" | grep -c '\.seg$'; }
rolled() { ! [ -e "$D/queue/00000000000000000000.seg" ] || [ "$(segments)" -gt 1 ]; }

# Half of the hard limit as the soft one: the server raises it itself.
start_limited() { # hard soft
    server_log=$T/limited.log
    (ulimit -Sn "$2" && ulimit -Hn "$1" && exec "$PATHSTATS" serve --data-dir "$D" --no-record-self \
        --listen 127.0.0.1:0) 2>"$server_log" </dev/null &
    server=$!
    eventually listening_or_dead
    url=$(listener "$server_log")
}

ok "it starts with few descriptors" start_limited $LIMIT 100
like "and says how many connections that leaves" "$(cat "$server_log")" 'leaves 96 connections at a time'
is "the soft limit is raised" "$(awk '/Max open files/ { print $4 }' "/proc/$server/limits")" $LIMIT

# Idle connections, more than the server may have files.
port=${url##*:} opened=0
for _ in $(seq $CLIENTS); do
    exec {fd}<>"/dev/tcp/127.0.0.1/$port" && opened=$((opened + 1))
done 2>/dev/null
is "$CLIENTS clients connect and say nothing" $opened $CLIENTS

# The server takes them one after the other; a request that is answered came behind them,
# ... before the deadline of any has passed.
answered() { curl -s --max-time 8 -o "$T/health" "$url/api/health"; }
ok "another client is served" answered
left=$((LIMIT - $(ls "/proc/$server/fd" | wc -l)))
ok "descriptors are left for the queue and the store" [ $left -ge 64 ]

# 90 MB in the queue: one segment is 64 MB.
awk -v now="$NOW_MS" 'BEGIN {
    for (filler = "x"; length(filler) < 900; filler = filler filler);
    for (i = 0; i < 10000; i++)
        printf "{\"path\":\"/%s/%d\",\"timestamp\":%.0f,\"idempotentId\":\"ROUND-%d\"}\n",
            filler, i % 10, now, i }' >"$T/events"
for round in 1 2 3 4 5 6 7 8; do
    sed "s/ROUND/r$round/" "$T/events" | gzip -1 >"$T/body"
    post @"$T/body" -H 'Content-Encoding: gzip'
    [ "$code" = 202 ] || break
done
is "while they are there everything sent is taken" "$code $round" "202 8"
ok "into more than one segment" eventually rolled
ok "and counted" eventually sql_is "$D" "SELECT count(*) FROM traffic_events" 80000
code=$(curl -s -o "$T/health" -w '%{http_code}' "$url/api/health")
is "health answers" "$code" 200
like "and names the descriptors" "$(cat "$T/health")" descriptors
unlike "no file was missing" "$(cat "$server_log")" 'Too many open files'
stop_server
start_limited 150 150
wait "$server"
is "with too few it refuses to start" $? 1
like "and says what to do" "$(cat "$server_log")" 'needs at least 176: raise the limit'
finish
