#!/bin/bash
# A disk that is full, really: a small tmpfs in a mount namespace of the test's own. Nothing that was
# acknowledged is lost or counted twice, no event becomes a dead letter because of it, health says
# so at once, the server starts on it, and all of it comes back by itself once there is room.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
if [ -z "${PS_IN_NAMESPACE:-}" ]; then
    unshare -rm true 2>/dev/null || { echo "1..0 # SKIP no namespace to mount in"; exit 0; }
    PS_IN_NAMESPACE=1 exec unshare -rm "$0" "$@"
fi
source tests/support/tap.sh

SMALL=$T/small
D=$SMALL/data
mkdir "$SMALL"
trap 'umount -l "$SMALL"; cleanup' EXIT
ok "a disk of 8 MB" mount -t tmpfs -o size=8m tmpfs "$SMALL"

fill() { head -c 16M /dev/zero >"$SMALL/ballast" 2>/dev/null; }
make_room() { rm "$SMALL/ballast"; }
value() { sqlite3 -batch -noheader :memory: "SELECT json_extract(readfile('$T/$1'), '$2')"; }
health() { curl -s -o "$T/health" "$url/api/health"; value health '$.status'; }
health_is() { [ "$(health)" = "$1" ]; }
letters() { value health '$.queue.deadLetters'; }
requests() { sql "$D" "SELECT coalesce(sum(requests), 0) FROM path_stats_hourly"; }
counted() { [ "$(requests)" = "$1" ]; }
verified() { "$PATHSTATS" verify --data-dir "$D" >/dev/null; }
seconds_until() { # command…; prints how many it took
    local start=$SECONDS
    eventually "$@" || return 1
    echo $((SECONDS - start))
}

# 40 events a body, each with an id of its own; counts those that were acknowledged.
sent=0 taken=0
send_some() {
    local body='' i
    sent=$((sent + 1))
    for i in $(seq 40); do
        body+="{\"path\":\"/p$i\",\"timestamp\":1760529600000,\"idempotentId\":\"e-$sent-$i\"}"$'\n'
    done
    post "$body"
    [ "$code" = 202 ] && taken=$((taken + 40))
}
refused() { send_some; [ "$code" = 503 ]; }
accepted() { send_some; [ "$code" = 202 ]; }

# --- it fills up while it works ---

ok "it starts" start_server "$D" --no-record-self --flush-interval 200ms
for _ in $(seq 5); do send_some; done
ok "events count" eventually counted $taken
for round in 1 2 3; do
    fill
    ok "$round: full, posts are refused" eventually refused
    is "$round: health says so at once" "$(health)" failing
    is "$round: with 503" "$(curl -s -o /dev/null -w '%{http_code}' "$url/api/health")" 503
    like "$round: and why" "$(value health '$.reasons')" '"name":"(queue|store)"'
    make_room
    took=$(seconds_until health_is ok)
    ok "$round: with room it is well within 10 s: $took" test "$took" -le 10
    ok "$round: and takes events again" eventually accepted
    ok "$round: everything acknowledged counts, once" eventually counted $taken
    is "$round: nothing is a dead letter" "$(letters)" 0
done
ok "and is what its events say" verified
like "the log says when it began" "$(cat "$server_log")" ' error (queue|store): '
like "and when it ended" "$(cat "$server_log")" ' (queue|store): works again '
ok "and is no longer than a page: $(wc -l <"$server_log")" test "$(wc -l <"$server_log")" -lt 100

# --- it starts on a full disk ---

stop_server
is "it stops: 0" $? 0
for how in TERM KILL; do
    ok "$how: it starts" start_server "$D" --no-record-self --flush-interval 200ms
    send_some
    fill
    stop_server $how
    ok "$how: it starts on a full disk" start_server "$D" --no-record-self --flush-interval 200ms
    pathstats import --data-dir "$D" tests/data/apache_sample.log
    like "$how: an import finds it, or says so" "$code $err" \
        '^(0 |3 .*does not say where it listens|1 .*(cannot store them right now|queue .* is full))'
    make_room
    ok "$how: with room it is well" eventually health_is ok
    ok "$how: and takes events" eventually accepted
    noted() { grep -q "${url##*:}" "$D/lock"; }
    ok "$how: others find it" eventually noted
    stop_server
    is "$how: it stops: 0" $? 0
done
ok "everything is what its events say" verified

# --- it fills up while the server is down ---

fill
run timeout 30 "$PATHSTATS" serve --data-dir "$D" --listen 127.0.0.1:0
is "no room at all at a start: 1" "$code" 1
like "what to do is told" "$err" 'make room on that disk.*nothing is lost: it starts again once there is room'
make_room
ok "with room it starts" start_server "$D" --no-record-self
stop_server
is "and stops: 0" $? 0

# --- a limit on the size of files is a full disk ---

(ulimit -f 2000 && exec "$PATHSTATS" serve --data-dir "$T/limited" --listen 127.0.0.1:0 \
    --no-record-self --cron-snapshot off 2>"$T/limited.log" </dev/null) &
server=$! server_log=$T/limited.log
ok "limited: it starts" eventually listening_or_dead
url=$(listener "$server_log")
for i in $(seq 60); do
    awk -v n="$i" 'BEGIN { for (i = 0; i < 9000; i++)
        printf "{\"path\":\"/%d\",\"timestamp\":1760529600000,\"idempotentId\":\"%d-%d\"}\n", i, n, i }' >"$T/many"
    post "@$T/many" -H 'Content-Type: application/x-ndjson'
    [ "$code" = 202 ] || break
done
is "limited: a full queue is 503, not the end" "$code" 503
ok "limited: the server lives" kill -0 "$server"
like "limited: and says why" "$(cat "$server_log")" 'error (queue|store): .*File too large'
stop_server KILL

# --- a day is to leave, and there is no room for it ---

day=$(date -u -d '5 days ago' +%F)
day_ms=$(($(date -u -d "$day" +%s) * 1000))
event_of_day() { post "{\"path\":\"/old\",\"timestamp\":$day_ms,\"idempotentId\":\"old-$1\"}"; }
old() { sql "$D" "SELECT count(*) FROM traffic_events WHERE path = '/old'"; }
old_is() { [ "$(old)" = "$1" ]; }
archive_day() {
    code=$(curl -s -o "$T/answer" -w '%{http_code}' -d "{\"date\":\"$day\"}" "$url/admin/archive/trigger")
}
archived() { archive_day && [ "$code" = 200 ]; }
ok "it starts" start_server "$D" --no-record-self --flush-interval 200ms --cron-archive off
event_of_day 1
ok "an old event is stored" eventually old_is 1
fill
archive_day
ok "full: the day does not leave: $code" test "$code" -ge 500
make_room
ok "with room it is well" eventually health_is ok
event_of_day 2
is "the day takes events" "$code" 202
ok "which are stored" eventually old_is 2
is "and are no dead letters" "$(health >"$T/status"; letters)" 0
ok "and then it leaves" eventually archived
is "all of it" "$(old)" 0
stop_server
is "it stops: 0" $? 0

finish
