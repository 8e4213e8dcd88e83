#!/bin/bash
# A program that reads the database keeps a transaction open: the write-ahead log stays bounded, health
# says who is to blame, events are taken and wait, and all of them count once it ends.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

D=$T/data MAX=$((16 * 1024 * 1024)) ROUNDS=40 EVENTS=20000
posted=0

# EVENTS new events at random times of one day.
make_events() { # number
    awk -v n=$EVENTS -v seed="$1" 'BEGIN { srand(seed); for (i = 0; i < n; i++)
        printf "{\"idempotentId\":\"r%d-%d\",\"timestamp\":%d,\"path\":\"/p/%d\"}\n", seed, i, 1760529600000 + int(rand() * 43200000), i % 500 }'
}

log_bytes() { stat -c %s "$D/pathstats.db-wal" 2>/dev/null || echo 0; }
health() { curl -s "$url/api/health"; }
is_troubled() { health | grep -q '"wal"'; }
is_calm() { ! is_troubled && [ "$(curl -s -o /dev/null -w '%{http_code}' "$url/api/health")" = 200 ]; }

start_server "$D" --max-wal-size 16MB --flush-interval 60s --no-record-self
make_events 0 >"$T/events"
post @"$T/events"
posted=$((posted + EVENTS))
eventually sql_is "$D" "SELECT count(*) FROM traffic_events" $posted

# Reads once and then sits there.
mkfifo "$T/commands"
sqlite3 "$D/pathstats.db" <"$T/commands" >"$T/read" 2>&1 &
reader=$!
exec 9>"$T/commands"
echo "BEGIN; SELECT 'reading', count(*) FROM positions;" >&9
eventually grep -q reading "$T/read"

refused=0
for ((i = 1; i <= ROUNDS; i++)); do
    make_events $i >"$T/events"
    post @"$T/events"
    [ "$code" = 202 ] && posted=$((posted + EVENTS)) || refused=$((refused + 1))
done
is "events are taken all the while" $refused 0
ok "health tells of it" eventually is_troubled
stopped() { grep -q "so no events are stored" "$server_log"; }
ok "the log of the server says what stopped" eventually stopped
like "and how to find who" "$(cat "$server_log")" "max_wal_size.*fuser .*pathstats.db-shm"
[ "$(log_bytes)" -le $((MAX + 12 * 1024 * 1024)) ]
report $? "the write-ahead log is bounded" "$(log_bytes) bytes"
like "capacity counts it" "$("$PATHSTATS" capacity --data-dir "$D" --json)" "\"walBytes\":$(log_bytes)"
[ "$(sql "$D" "SELECT count(*) FROM traffic_events")" -lt $posted ]
report $? "events wait"

exec 9>&-
wait "$reader"
ok "all is stored once the reader has ended" eventually sql_is "$D" "SELECT count(*) FROM traffic_events" $posted
ok "health is well again" eventually is_calm
stop_server
ok "and the statistics are right" "$PATHSTATS" verify --data-dir "$D"
[ "$(log_bytes)" -lt $MAX ]
report $? "the log is short again" "$(log_bytes) bytes"

finish
