#!/bin/bash
# Files that are removed or replaced under a running server. One data directory has one writer, with
# or without its lock file; and a server that writes to files without a name ends and says so.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

LOG=tests/data/apache_sample.log
D=$T/data
event() { post "{\"path\":\"/$1\",\"timestamp\":1760529600000,\"idempotentId\":\"$1\"}"; }
logged() { grep -qE "$1" "$server_log"; }
ended() { ! kill -0 "$server" 2>/dev/null; }

# --- the lock ---

ok "it starts" start_server "$D"
kill -STOP "$server" # so that it does not make its lock anew in between
rm "$D/lock"
run timeout 30 "$PATHSTATS" serve --data-dir "$D" --listen 127.0.0.1:0
is "without its lock file no second server comes in (I2)" "$code" 3
like "and it is told why" "$err" "$D is in use by another pathstats, which does not say where it listens"
[ ! -e "$D/lock" ]
report $? "and makes no lock of its own"
run timeout 30 "$PATHSTATS" archive run --data-dir "$D"
is "nor another command that writes" "$code" 3
run timeout 30 "$PATHSTATS" import --data-dir "$D" $LOG
is "nor an import" "$code" 3
kill -CONT "$server"
noted() { grep -q "${url##*:}" "$D/lock"; }
ok "the lock is made anew, with its note" eventually noted
ok "which is logged" logged "$D/lock was removed or replaced and is made anew"
ok "an import finds the server again" "$PATHSTATS" import --data-dir "$D" $LOG
stop_server
is "and it stops as ever" $? 0
like "with everything stored" "$(tail -1 "$server_log")" 'stopped; everything acknowledged is stored'
is "which is true" "$(sql "$D" "SELECT count(*) FROM traffic_events WHERE path <> '/api/events'")" 200

# --- what cannot be made anew ---

lose() { # what command…
    local what=$1
    shift
    rm -rf "$D" "$T/elsewhere"
    ok "$what: it starts" start_server "$D"
    event before
    is "$what: it takes events" "$code" 202
    "$@"
    ok "$what: the server ends" eventually ended
    wait "$server"
    is "$what: with 1" $? 1
    ok "$what: an error is logged" logged " error .*$what was removed or replaced.*since 20.*Z may be lost"
    like "$what: the last line says it" "$(tail -1 "$server_log")" \
        "^pathstats: .*$what was removed or replaced.*stops; put it back"
    ok "$what: it does not say that all is stored" test -z "$(grep 'everything acknowledged is stored' "$server_log")"
}
swap() { cp "$D/pathstats.db" "$T/copy" && mv "$T/copy" "$D/pathstats.db"; }
lose "$D/pathstats.db" rm "$D/pathstats.db"
lose "$D/pathstats.db" swap
lose "$D/pathstats.db-wal" rm "$D/pathstats.db-wal"
lose "$D/queue" rm -r "$D/queue"
lose "$D" rm -r "$D"
lose "$D" mv "$D" "$T/elsewhere"

# --- a part of the queue ---

rm -rf "$D"
ok "it starts" start_server "$D" --no-record-self
event before
rm "$D"/queue/*.seg
event after
like "a file of the queue is gone: nothing is acknowledged any more (I3)" "$code" "^50[03]$"
is "and health says so" "$(curl -s -o /dev/null -w '%{http_code}' "$url/api/health")" 503
ok "why is logged" logged ' error queue: .*its last file was removed'
stop_server

# --- in the second before it is told to stop ---

rm -rf "$D"
ok "it starts" start_server "$D"
kill -STOP "$server"
rm "$D/pathstats.db"
kill -TERM "$server"
kill -CONT "$server"
wait "$server"
is "removed just before the end: 1" $? 1
like "and said" "$(tail -1 "$server_log")" "^pathstats: $D/pathstats.db was removed or replaced"

finish
