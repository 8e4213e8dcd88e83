#!/bin/bash
# serve as its users meet it: curl on one side, sqlite3 and the other commands on the other.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

LOG=tests/data/apache_2000.log
D=$T/data
NOW_MS=$(date +%s000)

json_of() { # expression on $out
    sqlite3 :memory: "SELECT json_extract('${out//\'/\'\'}', '$1')"
}

# NDJSON with ids PREFIX-0, PREFIX-1, … a second apart, 3600 an hour, from 2015-05-18T10.
events() { # how-many prefix path [further-json]
    awk -v n="$1" -v prefix="$2" -v path="$3" -v more="${4:-}" 'BEGIN { for (i = 0; i < n; i++)
        printf "{\"path\":\"%s\",\"timestamp\":%.0f,\"idempotentId\":\"%s-%d\"%s}\n",
            path, 1431943200000 + i * 1000, prefix, i, more }'
}

requests_of() { # path
    sql "$D" "SELECT coalesce(sum(requests), 0) FROM path_stats_hourly WHERE path = '$1'"
}

counted() { # path number
    [ "$(requests_of "$1")" = "$2" ]
}

# --- its own requests ---

ok "it starts" start_server "$D"
for i in $(seq 100); do
    curl -s -o "$T/health" "http://localhost:${url##*:}/api/health"
done
out=$(cat "$T/health")
is "health is ok" "$(json_of '$.status')" ok
ok "100 requests to itself are 100 events" eventually \
    sql_is "$D" "SELECT count(*) FROM traffic_events WHERE path = '/api/health' AND status = 200" 100
ok "and count as 100" eventually counted /api/health 100
is "with a time, a client and a user agent each" "$(sql "$D" "SELECT count(*) FROM traffic_events
    WHERE response_time >= 0 AND length(client_ip_hash) = 16 AND user_agent LIKE 'curl/%'")" 100
is "from one client" "$(sql "$D" "SELECT count(DISTINCT client_ip_hash) FROM traffic_events")" 1
is "the secret is only for its owner" "$(stat -c %a "$D/secret")" 600

# --- forms of a body ---

post '{"path":"/one?x=1","timestamp":1431943200000,"status":200,"responseTime":1.5,"idempotentId":"one"}'
is "one object: 202" "$code $out" '202 {"accepted":1,"rejected":0,"rejections":[],"warnings":[]}'
post '{"path":"/one","timestamp":1431943200000,"idempotentId":"one"}'
is "the same id again: 202" "$code" 202
events 3 array /array | paste -sd, | sed 's/.*/[&]/' >"$T/array.json"
post "@$T/array.json"
is "an array: 202" "$code $(json_of '$.accepted')" "202 3"
events 50 lines /lines >"$T/lines.ndjson"
post "@$T/lines.ndjson" -H 'Content-Type: application/x-ndjson'
is "NDJSON: 202" "$code $(json_of '$.accepted')" "202 50"
events 70 gzip /gzip | gzip -c >"$T/gzip.gz"
post "@$T/gzip.gz" -H 'Content-Encoding: gzip'
is "gzip: 202" "$code $(json_of '$.accepted')" "202 70"
post "@$T/lines.ndjson" -H 'Content-Encoding: gzip'
is "what says gzip and is not: 400" "$code $(json_of '$.error.code')" "400 bad_gzip"
post "@$T/lines.ndjson" -H 'Content-Encoding: br'
is "an encoding that is not known: 415" "$code" 415
post '{"path":"/one"'
is "broken JSON: 400 with the reason" "$code $(json_of '$.rejections[0].reason')" "400 json_syntax"
post '[{"path":"/one","timestamp":1431943200000},'
is "a broken array: 400, and nothing of it" "$code $(json_of '$.error.code')" "400 not_json"
{
    events 2 mixed /mixed
    echo '{"path":"/mixed","timestamp":1431943200}'
    echo '{"path":"/mixed","timestamp":1431943200000,"idempotentId":"mixed-3"}'
} >"$T/mixed.ndjson"
post "@$T/mixed.ndjson"
is "one bad among good: 202" "$code $(json_of '$.accepted') $(json_of '$.rejected')" "202 3 1"
is "with its line and reason" "$(json_of '$.rejections[0].line') $(json_of '$.rejections[0].reason')" \
    "3 timestamp_seconds"
like "and a sentence" "$(json_of '$.rejections[0].message')" "seconds instead of milliseconds"
for want in "/one 1" "/array 3" "/lines 50" "/gzip 70" "/mixed 3"; do
    ok "stored: $want" eventually counted $want # two words
done
is "the first content of an id stays" \
    "$(sql "$D" "SELECT path, status, response_time FROM traffic_events WHERE id = 'one'")" "/one|200|1.5"

# --- who may ask ---

is "a foreign Host: 403" \
    "$(curl -s -o "$T/answer" -w '%{http_code}' -H 'Host: example.com' "$url/api/health")" 403
like "and why" "$(cat "$T/answer")" host_denied
post '{"path":"/evil","timestamp":1431943200000}' -H 'Origin: http://example.com'
is "a foreign Origin: 403" "$code $(json_of '$.error.code')" "403 origin_denied"
post '{"path":"/evil","timestamp":1431943200000}' -H 'Origin: null'
is "Origin null: 403" "$code" 403
post '{"path":"/mine","timestamp":1431943200000}' -H "Origin: $url"
is "its own Origin: 202" "$code" 202
pathstats serve --data-dir "$T/open" --listen 0.0.0.0:0
is "--listen 0.0.0.0 is refused" "$code" 64
like "and why" "$err" "0\.0\.0\.0: access tokens are not there yet, so only this machine"
pathstats serve --data-dir "$T/busy" --listen "${url#http://}"
is "a port that is taken: 1" "$code" 1
like "and which" "$err" "port ${url##*:}: Address already in use"

# --- beside it ---

pathstats serve --data-dir "$D" --listen 127.0.0.1:0
is "a second one on the same data: 3" "$code" 3
like "names the first" "$err" "in use by another pathstats, which listens on ${url#http://}"
pathstats import --data-dir "$D" "$LOG"
is "import goes through the server" "$code" 0
like "all of it" "$out" "accepted +2,000$"
ok "each line is stored" eventually \
    sql_is "$D" "SELECT count(*) FROM traffic_events WHERE id GLOB '143*-*' AND method IS NOT NULL" 2000
pathstats import --data-dir "$D" "$LOG"
is "and once more" "$code" 0
pathstats verify --data-dir "$D"
is "verify beside it: 0" "$code $err" "0 "
pathstats top --data-dir "$D" --hours 8000 --limit 1000
is "top beside it: 0" "$code" 0
post '{"path":"/flag","timestamp":1431943200000,"idempotentId":"flag"}'
ok "all of it is counted" eventually counted /flag 1
is "the second import counted nothing" \
    "$(sql "$D" "SELECT count(*) FROM traffic_events WHERE id GLOB '143*-*' AND method IS NOT NULL")" 2000

# --- privacy (I7) ---

# Addresses as an application sends them; v6 in brackets would be another text of the same client.
events 20 private /private ',"clientIp":"203.0.113.77"' >"$T/private.ndjson"
events 20 private6 /private ',"clientIp":"2001:db8:1234::77"' >>"$T/private.ndjson"
echo '{"path":"/private","timestamp":1,"idempotentId":"x","clientIp":"203.0.113.78"}' >>"$T/private.ndjson"
post "@$T/private.ndjson"
is "events with addresses: 202" "$code $(json_of '$.rejected')" "202 1"
printf '%s\n' 203.0.113.77 2001:db8:1234::77 203.0.113.78 >"$T/addresses"
cut -d' ' -f1 "$LOG" | sort -u | head -200 >>"$T/addresses"
find_addresses() {
    # -a: the queue and the database are binary
    grep -raFl -f "$T/addresses" "$D" "$server_log"
}
ls "$D"/queue/*.seg >"$T/segments"
ok "the queue and the log of the database are there to be searched" \
    test -s "$T/segments" -a -s "$D/pathstats.db-wal"
is "no address in queue, database or log right after" "$(find_addresses)" ""
ok "they are counted" eventually counted /private 40
is "no address anywhere once they are stored" "$(find_addresses)" ""
is "two addresses are two clients" \
    "$(sql "$D" "SELECT count(DISTINCT client_ip_hash) FROM traffic_events WHERE path = '/private'")" 2

# --- stopping ---

events 20000 drain /drain >"$T/drain.ndjson"
post "@$T/drain.ndjson"
stop_server
stopped=$?
is "20,000 events: 202" "$code $(json_of '$.accepted')" "202 20000"
is "SIGTERM right after: 0" "$stopped" 0
is "all are stored" "$(sql "$D" "SELECT count(*) FROM traffic_events WHERE path = '/drain'")" 20000
is "and counted" "$(requests_of /drain)" 20000
is "nothing waits for the next start" "$(sql "$D" "SELECT count(*) FROM redo")" 0
pathstats verify --data-dir "$D"
is "verify: 0" "$code" 0
is "no address is left behind" "$(find_addresses)" ""
ok "it starts again" start_server "$D"
stop_server INT
is "SIGINT: 0" $? 0

# --- a full queue (I8) ---

# Another program holds the database, as a backup may: nothing can be stored, the queue fills up.
D=$T/full
ok "it starts with a small queue" start_server "$D" --queue-max 1MB --no-record-self
coproc HOLDER { sqlite3 -batch "$D/pathstats.db"; }
holder=${HOLDER_PID:?}
echo "PRAGMA busy_timeout = 20000; BEGIN IMMEDIATE; SELECT 'held';" >&"${HOLDER[1]}"
while read -r line <&"${HOLDER[0]}" && [ "$line" != held ]; do :; done
is "the database is held" "$line" held
last=none
for i in $(seq 100); do
    events 1000 "full-$i" /full >"$T/full.$i"
    post "@$T/full.$i" -D "$T/headers"
    last=$code
    [ "$code" = 202 ] || break
done
is "the queue is full: 503" "$last $(json_of '$.error.code')" "503 queue_full"
like "with Retry-After" "$(cat "$T/headers")" "^Retry-After: [1-9]"
ok "some were taken before" test "$i" -gt 5
size=$(du -sb "$D/queue" | cut -f1)
ok "the queue stays within its limit: $size bytes" test "$size" -le 1060000
failing() { out=$(curl -s "$url/api/health") && [ "$(json_of '$.status')" = failing ]; }
ok "health says so" eventually failing
is "with 503" "$(curl -s -o /dev/null -w '%{http_code}' "$url/api/health")" 503
like "and the reasons" "$(json_of '$.reasons')" '"name":"store"'
printf 'COMMIT;\n.quit\n' >&"${HOLDER[1]}"
wait "$holder" 2>/dev/null
accepted_at_last() { post "@$T/full.$i" && [ "$code" = 202 ]; }
ok "released, the same is accepted" eventually accepted_at_last
ok "each counts once" eventually counted /full "$((i * 1000))"
healthy() { out=$(curl -s "$url/api/health") && [ "$(json_of '$.status')" = ok ]; }
ok "health is ok again" eventually healthy
events 4000 large /large ",\"userAgent\":\"$(printf 'x%.0s' $(seq 400))\"" >"$T/large.ndjson"
post "@$T/large.ndjson"
ok "more than the queue can ever hold is not taken: $code" test "$code" -ge 413
post '{"path":"/small","timestamp":1431943200000,"idempotentId":"small"}'
is "a small one still is" "$code" 202
ok "and counts" eventually counted /small 1
is "nothing of the large one" "$(requests_of /large)" 0
stop_server
is "it stops: 0" $? 0
pathstats verify --data-dir "$D"
is "verify: 0" "$code" 0

# --- settings ---

mkdir -p "$T/settings"
printf '[server]\nlisten = 127.0.0.1:1111\n[aggregation]\nbatch_events = 111\nmax_retries = 5\n' \
    >"$T/settings/pathstats.ini"
run env PATHSTATS_BATCH_EVENTS=222 PATHSTATS_LISTEN=127.0.0.1:2222 \
    "$PATHSTATS" config check --data-dir "$T/settings" --listen 127.0.0.1:3333
is "config check: 0" "$code" 0
like "the command line wins" "$out" "^listen = 127.0.0.1:3333 +; --listen$"
like "then the environment" "$out" "^batch_events = 222 +; PATHSTATS_BATCH_EVENTS$"
like "then the file, with its line" "$out" "^max_retries = 5 +; $T/settings/pathstats.ini:5$"
like "then what is built in" "$out" "^record_self = true +; default$"
printf '[server]\n\nlistne = 127.0.0.1:1\n' >"$T/settings/pathstats.ini"
pathstats config check --data-dir "$T/settings"
is "a name that is wrong: 2" "$code" 2
like "where it is, and what was meant" "$err" "pathstats.ini:3: .*listne.*did you mean listen"
printf '[storage]\nqueue_max = many\n' >"$T/settings/pathstats.ini"
pathstats serve --data-dir "$T/settings"
is "a value that is wrong: 64" "$code" 64
like "where it is, and what is right" "$err" "pathstats.ini:2: queue_max cannot be \"many\""
run env PATHSTATS_QUEUE_MAX=1kB "$PATHSTATS" serve --data-dir "$T/other"
like "in the environment" "$code $err" "^64 .*PATHSTATS_QUEUE_MAX: queue_max cannot be"
pathstats serve --data-dir "$T/other" --queue-max
like "and on the command line" "$code $err" "^64 .*--queue-max: a value is missing"

# What serve refuses, config check refuses, in the same words; and neither leaves anything behind.
refused() { # name wanted-extended-regex options…
    local name=$1 wanted=$2 said
    shift 2
    pathstats config check --data-dir "$T/none/at/all" "$@"
    is "$name: config check" "$code" 2
    like "$name: where it stands, and why" "$err" "$wanted"
    said=$err
    pathstats serve --data-dir "$T/none/at/all" "$@"
    is "$name: serve" "$code $err" "64 $said"
    ok "$name: no folder is left" test ! -e "$T/none"
}
refused "a bad cron" "^pathstats: --cron-archive: .*25" --cron-archive "0 25 * * *"
refused "no such objects" "--objects: there is no backend \"s4\"; try dir or s3" --objects s4
refused "S3 without a bucket" "--objects: s3 needs s3_bucket" --objects s3
refused "another address" "--listen: listen on 0.0.0.0: access tokens" --listen 0.0.0.0:0
refused "a webhook that is no URL" "--webhook: not a URL" --webhook hunter2
unlike "which is not repeated" "$out$err" hunter2
export PATHSTATS_LISTNE=127.0.0.1:0
refused "a variable that is no setting" "PATHSTATS_LISTNE: .*did you mean PATHSTATS_LISTEN" --listen :0
unset PATHSTATS_LISTNE
printf '[srever]\nlisten = :0\n' >"$T/wrong.ini"
pathstats config check --config "$T/wrong.ini"
like "a section that is none" "$code $err" "^2 .*wrong.ini:1: there is no section \[srever\]; did you mean \[server\]"
pathstats config check --webhook https://user:hunter2@example.com/hook --s3-secret-access-key hunter2
is "what is right: 0" "$code" 0
unlike "no secret is printed" "$out$err" hunter2
printf '%s\n' "$out" >"$T/printed.ini"
pathstats config check --config "$T/printed.ini"
is "what it prints is a configuration file" "$code $err" "0 "

# --- what fails before it stores anything leaves nothing behind ---

start_server "$D" || exit 1
like "it says what to do next" "$(cat "$server_log")" "^  count a log: +.*pathstats import --data-dir $D access.log$"
curl_line=$(sed -n 's/^  send an event: *//p' "$server_log")
run bash -c "$curl_line"
like "the event it shows is taken" "$out" '"accepted":1'
top_line=$(sed -n 's/^  see the paths: *//p' "$server_log")
run bash -c "$top_line"
is "and the paths are seen" "$code $err" "0 "
is "in three lines" "$(sed 1d "$server_log" | wc -l)" 3
pathstats serve --data-dir "$T/none/at/all" --listen "${url#http://}"
is "a port in use: 1" "$code" 1
ok "a port in use: nothing is left" test ! -e "$T/none"
mkdir "$T/mine" && echo "max_retries = 2" >"$T/mine/pathstats.ini"
pathstats serve --data-dir "$T/mine" --listen "${url#http://}"
ok "a folder that was there stays, with what was in it" test -s "$T/mine/pathstats.ini"
stop_server
pathstats import --data-dir "$T/none/at/all" "$T/no-such.log"
is "import of a missing file: 1" "$code" 1
ok "nothing is left" test ! -e "$T/none"
echo nonsense >"$T/nonsense.log"
pathstats import --data-dir "$T/none/at/all" "$T/nonsense.log"
is "import of nothing that is right: 2" "$code" 2
ok "nothing is left, either" test ! -e "$T/none"
start_server "$T/empty/one" || exit 1
stop_server
ok "a server that ran leaves its folder, and its secret" test -s "$T/empty/one/secret"
mkdir "$T/parent"
pathstats import --data-dir "$T/parent/new/one" "$T/nonsense.log"
ok "only what was made is removed" test -d "$T/parent" -a ! -e "$T/parent/new"
finish
