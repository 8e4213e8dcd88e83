#!/bin/bash
# Dead letters from outside: a log of an archived day imported again makes none, with a server and
# without; what is new in it does; replay tells what came back; purge asks; full letters refuse
# their source and nobody else; damage, a cut queue and a database that is new are told.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh

N=20000
D=$T/data
choose_day 5

field() { # name, of the JSON object in $out
    sqlite3 :memory: "SELECT json_extract('${out//\'/\'\'}', '\$.$1')"
}
summary() { echo "$(field accepted)|$(field duplicate)|$(field refused)"; }
letters() { # how many there are
    "$PATHSTATS" dead-letters list --json --data-dir "$D" | tr '{' '\n' | grep -c '"position"'
}
letters_are() { [ "$(letters)" = "$1" ]; }
dead() { pathstats dead-letters "$@" --data-dir "$D"; }

# Lines of a log of that day: [from, to)
log_lines() {
    awk -v from="$1" -v to="$2" -v date="$(LC_ALL=C date -u -d "$day" +%d/%b/%Y)" 'BEGIN {
        for (i = from; i < to; i++)
            printf "10.0.%d.%d - - [%s:%02d:%02d:%02d +0000] \"GET /p%d HTTP/1.1\" 200 5 \"-\" \"-\"\n",
                i / 256 % 256, i % 256, date, i / 3600 % 24, i / 60 % 60, i % 60, i % 50 }'
}
log_lines 0 $N >"$T/old.log"
{ log_lines 0 $N; log_lines $N $((N + 30)); } >"$T/grown.log"
log_lines $((N + 100)) $((N + 2100)) >"$T/late.log"

# --- an archived log once more (I1, I6) ---

pathstats import --data-dir "$D" --json "$T/old.log"
is "a log is imported" "$code $(summary)" "0 $N|0|0"
pathstats archive run "$day" --data-dir "$D"
is "and its day archived" "$code" 0
dump_stats "$D" >"$T/stats"
pathstats import --data-dir "$D" --json "$T/old.log"
is "the same log again: all duplicates" "$code $(summary)" "0 0|$N|0"
is "and no dead letter" "$(letters)" 0
ok "a server starts" start_server "$D"
pathstats import --data-dir "$D" --json "$T/old.log"
is "through the server the same" "$code $(summary)" "0 0|$N|0"
is "and no dead letter" "$(letters)" 0
pathstats import --data-dir "$D" --json "$T/grown.log"
is "what is new in it has its letter: 2" "$code $(summary)" "2 0|$N|30"
is "and nothing else" "$(letters)" 30
like "listed with its reason" "$("$PATHSTATS" dead-letters list --data-dir "$D")" "closed_day .* /p"

# --- an archive that cannot be read: nothing vanishes, each line keeps its letter (I6) ---

stop_server
cp -r "$D" "$T/unread"
rm -r "$T/unread/objects"
before=$("$PATHSTATS" dead-letters list --json --data-dir "$T/unread" | tr '{' '\n' | grep -c '"position"')
log_lines 0 500 >"$T/some.log"
pathstats import --data-dir "$T/unread" --json "$T/some.log"
is "lines of a day whose archive is gone are refused, all of them" "$code $(summary)" "2 0|0|500"
is "and each has its letter" \
    "$("$PATHSTATS" dead-letters list --json --data-dir "$T/unread" | tr '{' '\n' | grep -c '"position"')" $((before + 500))
ok "the server starts again" start_server "$D"

# --- events over HTTP: the server looks the letters up by itself ---

one_line() { # of the archive, as an event
    zcat "$D/objects/$object_key" | sed -n "$1p" |
        sqlite3 :memory: ".mode ascii" ".separator \"\\001\" \"\\n\"" "CREATE TABLE l(l)" \
            ".import /dev/stdin l" "SELECT json_object('idempotentId', json_extract(l, '\$.id'),
            'path', '/x', 'timestamp', json_extract(l, '\$.timestamp')) FROM l"
}
metric() { curl -s "$url/metrics" | sed -n "s/^$1 //p"; }
before=$(metric pathstats_events_duplicate_total)
{ one_line 5; one_line 9; } >"$T/known.ndjson"
post "@$T/known.ndjson"
is "events that the archive holds are taken" "$code" 202
ok "their letters leave by themselves" eventually letters_are 30
two_more() { [ "$(metric pathstats_events_duplicate_total)" = $((before + 2)) ]; }
ok "and are counted as duplicates" eventually two_more

# --- replay ---

dead replay
is "replay tells what came back" "$code $out" \
    "0 30 letters replayed, 30 came back as dead letters: see \`dead-letters list\`"
is "none was doubled" "$(letters)" 30
pathstats archive restore "$day" --data-dir "$D"
stop_server
pathstats archive restore "$day" --data-dir "$D"
is "the day is restored" "$code" 0
dead replay --json
is "replayed without a server, all count" "$code $out" '0 {"replayed":30,"returned":0}'
is "and none is left" "$(letters)" 0
pathstats verify --data-dir "$D"
is "every row is what its events say (I2)" "$code" 0
pathstats archive run "$day" --data-dir "$D"
is "the day is archived again" "$code" 0
pathstats import --data-dir "$D" --json "$T/grown.log"
is "now all of it is known" "$code $(summary)" "0 0|$((N + 30))|0"

# --- purge ---

pathstats import --data-dir "$D" --json "$T/late.log"
is "a log that came too late is refused" "$code $(summary)" "2 0|0|2000"
dead purge
is "purge wants a yes" "$code" 64
like "and says how many it would be" "$err" "2,000 dead letters .* --yes"
is "nothing has gone" "$(letters)" 2000
dead purge --reason record --yes
is "by a reason that no letter has" "$code $out" "0 there are no such dead letters"
dead purge --reason closed --yes
is "a reason there is not: 64" "$code" 64
dead purge --before "$day" --yes
is "none is older than its day" "$code $out" "0 there are no such dead letters"
dead list --yes
is "--yes is for purge" "$code" 64
ok "a server starts" start_server "$D"
dead purge --reason closed_day --yes
is "purged through the server" "$code $out" "0 2,000 dead letters thrown away"
is "none is left" "$(letters)" 0
stop_server
post_late() { sed 's/^/x/' "$T/late.log"; }
pathstats import --data-dir "$D" --json "$T/late.log"
dead purge --yes --json
is "and without one" "$code $out" '0 {"purged":2000}'

# --- full ---

FULL="--dead-letters-max 1MB"
log_lines $((N + 10000)) $((N + 50000)) >"$T/flood.log"
# shellcheck disable=SC2086
pathstats import --data-dir "$D" --json $FULL "$T/flood.log"
is "an import that fills them fails" "$code" 1
like "and says what to do" "$err" "dead letters are full.*purge"
full=$(letters)
ok "they are full ($full)" test "$full" -gt 2000
# shellcheck disable=SC2086
ok "a server starts beside full letters" start_server "$D" $FULL
now() { echo $(($(date +%s) * 1000)); }
refused() {
    post "[{\"path\":\"/late\",\"timestamp\":$((day_ms + 5))}]"
    [ "$code" = 503 ] && grep -q dead_letters_full <<<"$out"
}
ok "who sends events of a closed day is told" eventually refused
pathstats import --data-dir "$D" --json "$T/late.log"
is "an import through the server, too" "$code" 1
like "at once, with what to do" "$err" "dead letters are full.*purge"
post "[{\"path\":\"/now\",\"timestamp\":$(now)}]"
is "all others go on" "$code" 202
ok "and are counted" eventually sql_is "$D" \
    "SELECT sum(requests) FROM path_stats_hourly WHERE path = '/now'" 1
like "the log tells" "$(cat "$server_log")" "dead_letters_full"
health_tells() { curl -s "$url/api/health" | grep -q dead_letters_full; }
ok "and so does health" eventually health_tells
dead purge --yes
is "a purge" "$code" 0
taken() {
    post "[{\"path\":\"/late\",\"timestamp\":$((day_ms + 6))}]"
    [ "$code" = 202 ]
}
ok "ends it" eventually taken
ok "it is a letter" eventually letters_are 1
stop_server

# --- damage is told ---

for i in 1 2 3; do # one write each
    ok "a server starts" start_server "$D"
    post "[{\"idempotentId\":\"late-$i\",\"path\":\"/late\",\"timestamp\":$((day_ms + 10 + i))}]"
    ok "a letter more" eventually letters_are $((i + 1))
    stop_server
done
printf '\377' | dd of="$D/queue/dead-letters" bs=1 seek=100 conv=notrunc 2>/dev/null
ok "a server starts beside a damaged file" start_server "$D"
like "the log tells of it" "$(cat "$server_log")" "dead_letters_damaged.*dead-letters.damaged"
is "the others are kept" "$(letters)" 3
ok "the damaged file, too" test -s "$D/queue/dead-letters.damaged"
stop_server
last=$(find "$D/queue" -name '*.seg' | sort | tail -1)
printf '\20\0\0\0torn' >>"$last"
ok "a server starts beside a torn queue" start_server "$D"
like "the log tells what was cut" "$(cat "$server_log")" "queue: cut off 8 bytes.*never acknowledged"
stop_server
last=$(find "$D/queue" -name '*.seg' | sort | tail -1)
printf '\4\0\0\0sum.rots' >>"$last"
ok "and beside one that may be damaged" start_server "$D"
like "which is told as such" "$(cat "$server_log")" "queue: cut off 12 bytes.*may have been acknowledged"
is "what was cut is kept" "$(tail -c 8 "$D/queue/segment.cut")" "sum.rots"
stop_server

# --- a new database beside a queue that another one has read ---

W=$T/other
ok "a server starts" start_server "$W" --queue-max 1MB
for i in $(seq 40); do
    awk -v now="$(now)" -v i="$i" 'BEGIN { for (k = 0; k < 200; k++)
        printf "{\"idempotentId\":\"%d-%d\",\"path\":\"/%0200d\",\"timestamp\":%s}\n", i, k, k, now }' \
        >"$T/body"
    sent() { post "@$T/body" && [ "$code" = 202 ]; }
    eventually sent
done
stop_server
is "the queue was trimmed" "$(find "$W/queue" -name '00000000000000000000.seg' | wc -l)" 0
rm "$W"/pathstats.db*
run timeout 20 "$PATHSTATS" serve --data-dir "$W" --listen 127.0.0.1:0
is "an empty database beside it is refused" "$code" 1
like "with what to do" "$err" "--new-database"
ok "said so, it begins" start_server "$W" --new-database
stop_server
ok "once is enough" start_server "$W"
stop_server

# --- a new queue beside a database that has read another one ---

mv "$W/queue" "$T/queue-old"
run timeout 20 "$PATHSTATS" serve --data-dir "$W" --listen 127.0.0.1:0
is "a lost queue is refused" "$code" 1
like "with what to do" "$err" "--new-queue"
ok "said so, it goes on" start_server "$W" --new-queue
stop_server
ok "once is enough" start_server "$W"
stop_server

finish
