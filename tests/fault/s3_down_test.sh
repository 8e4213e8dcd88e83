#!/bin/bash
# Where the objects should go is out of order: nobody listens, the service answers 500 or garbage,
# stops in the middle or says nothing, the disk is full, the folder is none. Each time the day stays
# in the database, failed, with the reason, and events for it are taken; the next run with a good
# backend archives all of it.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh

N=3000
D=$T/data
GOOD=$T/good
choose_day 4
export AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=hidden-secret NO_PROXY='*'

archive() { pathstats archive "$@" --data-dir "$D"; }
run_on() { archive run --date "$day" --objects s3 --s3-bucket days --s3-endpoint "http://127.0.0.1:$1" \
    --s3-retries 1 --s3-timeout 300ms; }

stays() { # name, regex of the reason; after a run
    is "$1: run ends with 1" "$code" 1
    like "$1: it says why" "$err" "^pathstats: .*$2"
    archive list --json
    like "$1: the list says failed, and why" "$out" "\"failed\".*$2"
    is "$1: every event is in the database" "$(database_ids | cmp - "$T/ids" 2>&1)" ""
    unlike "$1: the secret is not shown" "$out$err" hidden-secret
}

database_ids() { sql "$D" "SELECT id FROM traffic_events WHERE event_date = '$day' ORDER BY id"; }

# An event for a failed day is one of the day: taken, counted, archived with the others.
take_one_more() {
    extra=$((extra + 1))
    printf '{"path":"/more","timestamp":%d,"idempotentId":"%d-more%d"}\n' \
        $((day_ms + DAY_MS - 1)) $((day_ms + DAY_MS - 1)) $extra |
        "$PATHSTATS" import --data-dir "$D" --json - >"$T/imported"
    [ "$(json "$(cat "$T/imported")" '$.accepted')" = 1 ] || return 1
    printf '%d-more%d\n' $((day_ms + DAY_MS - 1)) $extra >>"$T/ids"
}

start_bad() { # how; sets port
    "$T/bad_s3" "$1" >"$T/port" &
    bad=$!
    eventually test -s "$T/port"
    port=$(cat "$T/port")
}

stop_bad() {
    kill $bad 2>/dev/null
    wait $bad 2>/dev/null
    rm -f "$T/port"
}

extra=0
ok "the bad service is built" "${CC:-cc}" -std=c17 -D_GNU_SOURCE -o "$T/bad_s3" tests/fault/bad_s3.c
ok "$N events of $day are imported" import_events "$D" $N
event_ids $N >"$T/ids"

# --- S3 ---

start_bad error
stop_bad # nobody has that port now
run_on "$port"
stays "nobody listens" "(refused|connect)"
for how in error garbage cut stall; do
    start_bad $how
    run_on "$port"
    stop_bad
    case $how in
    error) stays "it answers 500" "500" ;;
    garbage) stays "it answers garbage" "(HTTP|s3|S3|objects)" ;;
    cut) stays "it stops in the middle" "damaged or no archive" ;;
    stall) stays "it says nothing" "(time|slow|stood|still)" ;;
    esac
    ok "$how: the day takes another event" take_one_more
done
start_bad error
archive run --objects s3 --s3-bucket days --s3-endpoint "http://127.0.0.1:$port" --s3-retries 0
stop_bad
stays "run without a date" "500"

# By order of a server, too, which goes on.
start_bad error
start_server "$D" --no-record-self --cron-archive off --objects s3 --s3-bucket days \
    --s3-endpoint "http://127.0.0.1:$port" --s3-retries 0 || exit 1
code=$(curl -s -o "$T/answer" -w '%{http_code}' --data-binary "{\"date\":\"$day\"}" \
    "$url/admin/archive/trigger")
like "over HTTP: the order is answered with a failure" "$code" '^50[0-9]$'
like "over HTTP: the list knows" "$(curl -s "$url/admin/archives")" '"failed".*500'
like "over HTTP: the log of jobs knows" "$(curl -s "$url/admin/jobs")" '"outcome":"(io|busy)".*500'
is "over HTTP: the server goes on" "$(curl -s -o "$T/answer" -w '%{http_code}' "$url/api/health")" 200
stop_server
is "over HTTP: and stops with 0" $? 0
stop_bad

# --- a folder ---

# The shell's limit on the size of a file is what a full disk is for the one that writes.
archive_limited() { # KiB
    run bash -c "ulimit -f $1; trap '' XFSZ; exec '$PATHSTATS' archive run --date $day \
        --data-dir '$D' --archive-dir '$GOOD'"
}

# Enough for an object far beyond the limit; the write-ahead log stays below it.
import_more() {
    import_events "$D" 200000 || return 1
    event_ids 200000 >>"$T/ids"
    sort -u "$T/ids" -o "$T/ids"
}

ok "more events of the day are imported" import_more
archive_limited 1024
stays "the disk is full" "(File too large|full|space)"
is "the disk is full: nothing half-written is left" "$(temporary_files "$GOOD")" 0
echo "not a folder" >"$T/file"
archive run --date "$day" --archive-dir "$T/file"
is "the folder is a file: run ends with 64" "$code" 64
like "the folder is a file: it says so" "$err" "$T/file"
is "the folder is a file: every event is in the database" "$(database_ids | cmp - "$T/ids" 2>&1)" ""

# --- and then all is well ---

archive run --date "$day" --archive-dir "$GOOD"
is "the next run ends with 0" "$code $err" "0 "
is "the day is cleaned" "$(day_status "$D") $(stored_events "$D")" "cleaned 0"
is "no error stays in the list" "$(sql "$D" "SELECT coalesce(error, '') FROM archive_metadata")" ""
zcat "$GOOD/$object_key" | cut -d'"' -f4 | sort >"$T/object.ids"
same "the object holds each event, once, also those that came meanwhile" "$T/object.ids" "$T/ids"
is "no temporary file is left" "$(temporary_files "$GOOD")" 0
is "each is counted once" "$(sql "$D" "SELECT sum(requests) FROM path_stats_hourly")" \
    "$(wc -l <"$T/ids")"
finish
