#!/bin/bash
# One archive, two databases: what one has archived, the other does not overwrite (I5). So it is with
# two data directories and one --archive-dir, and with a database that was lost and begun anew. The
# way out that the message names, to import what the object holds, works.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh

A=$T/a B=$T/b
SHARED=$T/shared
choose_day 5
OBJECT=$SHARED/$object_key

archive() { # data-dir what…
    local dir=$1
    shift
    pathstats archive "$@" --data-dir "$dir" --archive-dir "$SHARED"
}

refused() { # name data-dir events words
    cp "$OBJECT" "$T/kept"
    archive "$2" run
    is "$1: run ends with 1" "$code" 1
    like "$1: it says what is there and what to do" "$err" "$object_key already holds $4.*archive_dir"
    ok "$1: the object is as it was" cmp "$OBJECT" "$T/kept"
    is "$1: the events stay, the day has failed" "$(day_status "$2") $(stored_events "$2")" "failed $3"
    archive "$2" list
    like "$1: list says why" "$out" "failed"
}

# --- two data directories ---

ok "A gets 10 events of $day" import_events "$A" 10 a
ok "B gets 3 others" import_events "$B" 3 b
archive "$A" run
is "A archives" "$code $(day_status "$A")" "0 cleaned"
refused "two directories" "$B" 3 "10 events, 10 of which"
archive "$A" verify
is "A's archive is whole" "$code" 0
archive "$A" cat "$day"
is "with its events" "$(cat "$T/out")" "$(archived_lines 10 a)"
pathstats archive run --data-dir "$B" --archive-dir "$T/own"
is "in a place of its own B archives" "$code $(day_status "$B")" "0 cleaned"

# --- by order of a running server ---

D=$T/d
ok "D gets one event" import_events "$D" 1 d
start_server "$D" --no-record-self --cron-archive off --archive-dir "$SHARED" || exit 1
code=$(curl -s -o "$T/answer" -w '%{http_code}' --data-binary "{\"date\":\"$day\"}" \
    "$url/admin/archive/trigger")
like "HTTP: the order is refused with the reason" "$code $(cat "$T/answer")" \
    "^409 .*already holds 10 events, 10 of which"
stop_server

# --- a database that was lost ---

rm -r "$A"
ok "A has lost its database, and a late event comes" import_events "$A" 1 late
refused "a lost database" "$A" 1 "10 events, 10 of which"
zcat "$OBJECT" | sed 's/"id":/"idempotentId":/; s/"response_time":/"responseTime":/
    s/"client_ip_hash":/"clientIpHash":/; s/"user_agent":/"userAgent":/
    s/"is_error":/"isError":/; s/"response_bytes":/"responseBytes":/' >"$T/again"
pathstats import --data-dir "$A" "$T/again"
is "what the object holds is imported" "$code $(stored_events "$A")" "0 11"
archive "$A" run
is "now it is replaced" "$code $(day_status "$A")" "0 cleaned"
archive "$A" cat "$day"
is "by all of it" "$(sort "$T/out")" "$({ archived_lines 10 a; archived_lines 1 late; } | sort)"
finish
