#!/bin/bash
# The life of a day on the `dir` backend: 100,000 events of four days ago are imported, archived,
# verified, cleaned, read, restored; what comes too late is kept apart and counted in the end; what
# makes no sense gets a clear answer, on the command line and over HTTP.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh

N=100000
GOAL_MS=2000 LIMIT_MS=6000 # to be fast, and what even a busy machine must keep
RSS_MAX_KB=$((64 * 1024))
D=$T/data
choose_day 4
OBJECT=$D/objects/$object_key

archive() { pathstats archive "$@" --data-dir "$D"; }

# --- archived, verified and cleaned, fast and in little memory ---

ok "$N events of $day are imported" import_events "$D" $N
is "all are in the database" "$(stored_events "$D")" $N
dump_stats "$D" >"$T/stats"
pages=$(pragma "$D" page_count)
measured "$PATHSTATS" archive run --date "$day" --data-dir "$D"
echo "# archived, verified and cleaned in $took_ms ms (goal $GOAL_MS), peak of resident memory $peak_kb kB"
is "archive run ends with 0" "$code $err" "0 "
like "and says what it did" "$out" "^archived and cleaned $day: 100,000 events, .* of JSON\)$"
ok "in less than $LIMIT_MS ms" test "$took_ms" -lt $LIMIT_MS
case ${BUILD:-} in *san-*) RSS_MAX_KB=$((4 * RSS_MAX_KB)) ;; esac # a sanitizer has its own memory
ok "its memory stays below $RSS_MAX_KB kB" test "$peak_kb" -gt 0 -a "$peak_kb" -lt $RSS_MAX_KB

zcat "$OBJECT" >"$T/object"
archived_lines $N >"$T/wanted"
is "zcat of the object gives $N distinct ids" \
    "$(sed 's/^{"id":"\([^"]*\)".*/\1/' "$T/object" | sort -u | wc -l)" $N
ok "byte for byte what was sent, by time, then id" cmp "$T/object" "$T/wanted"
is "each line is a JSON object with the twelve columns" "$(sqlite3 :memory: ".mode ascii" \
    ".separator \"\\001\" \"\\n\"" "CREATE TABLE lines(line)" ".import $T/object lines" \
    "SELECT count(*) || ' ' || sum(json_valid(line)) || ' ' || sum((SELECT count(*) FROM
        json_each(line)) = 12) FROM lines" 2>&1)" "$N $N $N"
is "no temporary file is left" "$(temporary_files "$D")" 0
is "the day is cleaned" "$(day_status "$D")" cleaned
is "no event is in the database" "$(sql "$D" "SELECT count(*) FROM traffic_events")" 0
is "nor a table of the day" \
    "$(sql "$D" "SELECT count(*) FROM sqlite_master WHERE name GLOB '*${day//-/}*'")" 0
dump_stats "$D" >"$T/stats.cleaned"
same "the statistics are what they were" "$T/stats" "$T/stats.cleaned"
is "sqlite3 finds the database whole" "$(sql "$D" "PRAGMA integrity_check")" ok
is "the ledger knows size and SHA-256 of the object" \
    "$(sql "$D" "SELECT r2_path, record_count, file_size_bytes, sha256, error FROM archive_metadata")" \
    "$object_key|$N|$(stat -c %s "$OBJECT")|$(sha256sum "$OBJECT" | cut -d' ' -f1)|"

# --- list, cat, verify ---

archive list
like "list shows the day" "$code $out" "$day +cleaned +100,000 .* $object_key$"
archive list --json
is "list --json, too" "$code $(json "$out" '$[0].date') $(json "$out" '$[0].status') \
$(json "$out" '$[0].events') $(json "$out" '$[0].stored')" "0 $day cleaned $N 0"
"$PATHSTATS" archive cat "$day" --data-dir "$D" >"$T/cat" 2>"$T/err"
is "cat ends with 0 and says nothing" "$? $(cat "$T/err")" "0 "
ok "cat gives the lines" cmp "$T/cat" "$T/wanted"
"$PATHSTATS" archive cat "$day" --data-dir "$D" 2>"$T/err" | head -1 >"$T/first"
is "cat | head -1 gives one line and ends quietly" "$(cat "$T/err" "$T/first")" \
    "$(head -1 "$T/wanted")"
archive verify
like "verify reads the object back" "$code $out" "^0 verified $day: 100,000 events"
archive verify "$day"
like "verify of this day alone" "$code $out" "^0 verified $day: 100,000 events"

# --- an object that was changed or is gone ---

tampered() { # name, reason; after the object was changed
    archive verify
    is "$1: verify ends with 2" "$code" 2
    like "$1: it says why" "$err" "$2"
    archive restore "$day"
    is "$1: it is not restored" "$code $(sql "$D" "SELECT count(*) FROM traffic_events")" "1 0"
}

cp "$OBJECT" "$T/kept"
size=$(stat -c %s "$OBJECT")
printf 'X' | dd of="$OBJECT" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
tampered "a byte in the middle" "$day|$object_key"
head -c $((size - 100)) "$T/kept" >"$OBJECT"
tampered "a cut end" "$day|$object_key"
head -n -1 "$T/wanted" | gzip -c >"$OBJECT"
tampered "a missing line" "99,?999"
sed '1s/"path":"[^"]*"/"path":"\/other"/' "$T/wanted" | gzip -c >"$OBJECT"
tampered "another path" "SHA-256"
rm "$OBJECT"
tampered "no object" "$object_key"
cp "$T/kept" "$OBJECT"
archive verify
is "the right one again: verify ends with 0" "$code" 0

# --- pages are used again ---

free=$(pragma "$D" freelist_count)
before=$(pragma "$D" page_count)
ok "most pages are on the free list: the statistics stay" test "$free" -gt $((pages / 2))
choose_day 1
ok "as many events of another day are imported" import_events "$D" $N
after=$(pragma "$D" page_count)
left=$(pragma "$D" freelist_count)
echo "# pages: $before and $free of them free, then $after and $left of them free"
ok "the free pages were used before the file grew" test "$left" -lt $((free / 20 + 16))
ok "it grew by less than was free" test $((after - before)) -lt "$free"
choose_day 4

# --- too late: the dead letters, a restore, a replay ---

late='{"path":"/late","timestamp":'$((day_ms + 5000))',"status":200,"idempotentId":"'$((day_ms + 5000))-late'"}'
counted_late() { sql "$D" "SELECT coalesce(sum(requests), 0) FROM path_stats_hourly WHERE path = '/late'"; }
letters() { curl -s "$url/admin/dead-letters"; }
letters_are() { letters | grep -q "\"total\":$1}"; }
total() { sql "$D" "SELECT sum(requests) FROM path_stats_hourly"; }
counted_is() { [ "$(counted_late)" = "$1" ]; }

requests=$(total)
start_server "$D" --no-record-self --flush-interval 5ms --cron-archive off || exit 1
post "$late"
is "a late event is taken" "$code" 202
ok "it becomes a dead letter" eventually letters_are 1
like "with the reason closed_day" "$(letters)" '"closed_day"'
like "the metrics know" "$(curl -s "$url/metrics")" '^pathstats_events_buried_total 1$'
is "it is not counted" "$(counted_late) $(total)" "0 $requests"
events $N 2>&1 | head -3000 >"$T/part"
post "@$T/part" -H 'Content-Type: application/x-ndjson'
is "a part of the cleaned day, delivered again, is taken" "$code" 202
ok "it lies there, too" eventually letters_are 3001
is "nothing is counted twice" "$(total)" "$requests"
stop_server
archive restore "$day"
like "the day is restored" "$code $out" "^0 restored $day: 100,000 events"
is "its status says so" "$(day_status "$D")" restored
is "its events are there" "$(stored_events "$D")" $N
is "with every column" "$(sql "$D" "SELECT count(DISTINCT id), sum(status >= 400), sum(is_error),
    count(response_time), count(DISTINCT client_ip_hash), count(DISTINCT user_agent)
    FROM traffic_events WHERE event_date = '$day'")" \
    "$N|$((N / 20))|$((N / 20))|$((N * 9 / 10))|$N|5"
is "and counted as before, once" "$(total)" "$requests"
archive restore "$day"
like "restoring it again is refused" "$code $err" "^1 .*$day is still in the database"
start_server "$D" --no-record-self --flush-interval 5ms --cron-archive off || exit 1
is "the dead letters are replayed" "$(json "$(curl -s -X POST "$url/admin/dead-letters/replay")" '$.replayed')" 3001
ok "the late one is counted" eventually counted_is 1
stop_server
is "once, and the others not again" "$(counted_late) $(total)" "1 $((requests + 1))"
is "no dead letters are left" "$("$PATHSTATS" dead-letters list --data-dir "$D")" "there are no dead letters"
pathstats verify --data-dir "$D"
is "the audit finds no difference" "$code" 0

# --- again, by order of a running server; answers to what makes no sense ---

trigger() { # body; sets code and out
    code=$(curl -s -o "$T/answer" -w '%{http_code}' --data-binary "$1" "$url/admin/archive/trigger")
    out=$(cat "$T/answer")
}

young=$(day_back 1) none=$(day_back 30)
start_server "$D" --no-record-self --cron-archive off || exit 1
trigger '{"date":"2025-02-30"}'
like "HTTP: a day that is none" "$code $out" '^400 .*2025-10-12'
trigger '{"date":"yesterday"}'
like "HTTP: not a date" "$code $out" '^400 .*2025-10-12'
trigger '{}'
like "HTTP: no date" "$code $out" '^400 .*date'
trigger "{\"date\":\"$young\"}"
like "HTTP: a day too young" "$code $out" "^4[0-9][0-9] .*$young is too young.*3 days"
trigger "{\"date\":\"$none\"}"
like "HTTP: a day without events" "$code $out" "^404 .*no events of $none"
start=$(now_ms)
trigger "{\"date\":\"$day\"}"
echo "# ordered over HTTP: $(($(now_ms) - start)) ms"
is "HTTP: the restored day is archived" "$code $(json "$out" '$.date') $(json "$out" '$.events')" \
    "200 $day $((N + 1))"
trigger "{\"date\":\"$day\"}"
like "HTTP: a day archived already" "$code $out" "^409 .*$day is archived and cleaned already"

out=$(curl -s "$url/admin/archives")
like "GET /admin/archives knows the day" "$(sqlite3 :memory: "SELECT group_concat(
    json_extract(value, '\$.date') || ' ' || json_extract(value, '\$.status') || ' ' ||
    json_extract(value, '\$.stored') || ' ' || json_extract(value, '\$.events'), ', ')
    FROM json_each('$out', '\$.archives')")" "(^|, )$day cleaned 0 $((N + 1))(,|$)"
out=$(curl -s "$url/admin/jobs")
is "GET /admin/jobs knows the one order that made sense" "$(sqlite3 :memory: "SELECT
    json_extract(value, '\$.outcome') || ' ' || json_extract(json_extract(value, '\$.detail'),
    '\$.events') || ' ' || (json_extract(value, '\$.finishedAt') >= json_extract(value, '\$.startedAt'))
    FROM json_each('${out//\'/\'\'}', '\$.jobs') WHERE json_extract(value, '\$.job') = 'archive'")" \
    "ok $((N + 1)) 1"
out=$(curl -s "$url/admin/capacity")
is "GET /admin/capacity: the archive's size" "$(json "$out" '$.archiveBytes')" \
    "$(stat -c %s "$OBJECT")"
ok "the used part is smaller than the database" \
    test "$(json "$out" '$.usedBytes')" -gt 0 -a \
    "$(json "$out" '$.usedBytes')" -lt "$(json "$out" '$.databaseBytes')"
archive run --date "$young"
like "CLI beside a server: a day too young" "$code $err" "^1 .*$young is too young"
archive run --date "$day"
like "CLI beside a server: archived already" "$code $err" "^1 .*archived and cleaned already"
archive restore "$day"
is "CLI beside a server: restore is refused, the directory is in use" "$code" 3
archive list
like "CLI beside a server: list" "$code $out" "$day +cleaned"
archive verify
is "CLI beside a server: verify" "$code" 0
stop_server
is "the server stops with 0" $? 0

archive run --date 2025-02-30
like "CLI: a day that is none" "$code $err" '^(1|64) .*"2025-02-30" is not a date'
archive run --date "$young"
like "CLI: a day too young" "$code $err" "^64 .*$young is too young: days stay hot for 3 days"
archive run --date "$none"
like "CLI: a day without events" "$code $err" "^1 .*there are no events of $none"
archive run --date "$day"
like "CLI: archived already" "$code $err" "^1 .*$day is archived and cleaned already"
archive run
like "CLI: run finds nothing to do" "$code $out" "^0 0 days archived"
archive cat "$none"
like "CLI: cat of a day that is not archived" "$code $err" "^1 .*$none is not archived"
archive restore "$none"
like "CLI: restore of a day that is not archived" "$code $err" "^1 .*$none is not archived"
archive cat "$day"
is "the late event is in the object" "$(grep -c '"path":"/late"' "$T/out")" 1
is "which holds each id once" "$(cut -d'"' -f4 "$T/out" | sort | uniq -d | wc -l)" 0
finish
