#!/bin/bash
# import, top, show and verify as a person uses them, on 2,000 lines of a real access log. What the
# statistics must say is computed from the raw lines by awk, which shares nothing with the program.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

LOG=tests/data/apache_2000.log LINES_OF_LOG=2000
D=$T/data

# path, UTC hour, requests, errors of combined lines in UTC whose quoted fields hold no quotes.
count_by_hand() { # file…
    cat "$@" | awk -F'"' '{
        if (!match($1, /\[[0-9][0-9]\/[A-Z][a-z][a-z]\/[0-9]+:[0-9][0-9]:/)) next
        t = substr($1, RSTART + 1, RLENGTH - 1)
        month = (index("JanFebMarAprMayJunJulAugSepOctNovDec", substr(t, 4, 3)) + 2) / 3
        hour = sprintf("%s-%02d-%sT%s", substr(t, 8, 4), month, substr(t, 1, 2), substr(t, 13, 2))
        split($2, request, " ")
        path = request[2]
        sub(/[?#].*/, "", path)
        split($3, numbers, " ")
        key = path "|" hour
        requests[key]++
        errors[key] += numbers[1] >= 400
    } END { for (key in requests) print key "|" requests[key] "|" errors[key] }' | sort
}

count_by_program() { # data-dir
    sql "$1" "SELECT path, hour_bucket, requests, errors FROM path_stats_hourly" | sort
}

summary() { # of `import --json` in $out: accepted, duplicate, rejected
    sqlite3 :memory: "SELECT json_extract(j, '\$.lines'), json_extract(j, '\$.accepted'),
        json_extract(j, '\$.duplicate'), json_extract(j, '\$.rejected')
        FROM (SELECT '${out//\'/\'\'}' AS j)"
}

json_of() { # expression on $out, e.g. $.paths[0].path
    sqlite3 :memory: "SELECT json_extract('${out//\'/\'\'}', '$1')"
}

# --- each line counts, once (I1) ---

pathstats import --data-dir "$D" "$LOG"
is "import ends with 0" "$code" 0
like "the summary tells the lines" "$out" "^2,000 lines in "
like "all are accepted" "$out" "accepted +2,000$"
like "none is rejected" "$out" "rejected +0$"
count_by_hand "$LOG" >"$T/by_hand"
count_by_program "$D" >"$T/by_program"
same "requests and errors per path and hour are what awk counts" "$T/by_hand" "$T/by_program"
ok "the log has queries or fragments that were cut" sh -c "cut -d'\"' -f2 $LOG | grep -q '[?#]'"
is "no path has a query or a fragment" \
    "$(sql "$D" "SELECT count(*) FROM traffic_events WHERE path GLOB '*[?#]*'")" 0
is "an event for each line" "$(sql "$D" "SELECT count(*) FROM traffic_events")" $LINES_OF_LOG
is "sqlite3 finds the database whole" "$(sql "$D" "PRAGMA integrity_check")" ok
is "a view by date" "$(sql "$D" "SELECT count(*) FROM traffic_events WHERE event_date = '2015-05-18'")" \
    "$(grep -c '18/May/2015' $LOG)"

# Status codes and sizes per path and hour, against awk over the raw lines.
awk -F'"' '{ split($3, n, " "); code[n[1]]++; if (n[2] != "-") { bytes += n[2]; sizes++ } }
    END { for (c in code) print c ":" code[c]; print "bytes " bytes " of " sizes }' "$LOG" | sort >"$T/codes"
{
    sql "$D" "SELECT key || ':' || sum(n) FROM (SELECT substr(value, 1, 3) AS key, CAST(substr(value, 5) AS INTEGER)
        AS n FROM path_stats_hourly, json_each('[\"' || replace(statuses, ',', '\",\"') || '\"]')) GROUP BY key"
    sql "$D" "SELECT 'bytes ' || sum(sum_response_bytes) || ' of ' || sum(count_response_bytes) FROM path_stats_hourly"
} | sort >"$T/codes.program"
same "status codes and sizes are what awk counts" "$T/codes" "$T/codes.program"
is "clients and samples are JSON arrays" "$(sql "$D" "SELECT count(*) FROM path_stats_hourly WHERE
    json_array_length(ip_hashes) <> unique_ips_seen OR json_array_length(response_samples) <> count_response_time")" 0

dump_stats "$D" >"$T/before"
pathstats import --data-dir "$D" --json "$LOG"
is "again: all are duplicates" "$code $(summary)" "0 2000|0|2000|0"
gzip -c "$LOG" >"$T/log.gz"
pathstats import --data-dir "$D" --json "$T/log.gz"
is "gzipped: all are duplicates" "$code $(summary)" "0 2000|0|2000|0"
{ head -700 "$LOG" | gzip -c; tail -n +701 "$LOG" | gzip -c; } >"$T/two.gz"
pathstats import --data-dir "$D" --json "$T/two.gz"
is "two gzip members in one file: all are duplicates" "$code $(summary)" "0 2000|0|2000|0"
run bash -c "'$PATHSTATS' import --data-dir '$D' --json - <'$LOG'"
is "standard input: all are duplicates" "$code $(summary)" "0 2000|0|2000|0"
run bash -c "'$PATHSTATS' import --data-dir '$D' --json - <'$T/log.gz'"
is "gzipped standard input: all are duplicates" "$code $(summary)" "0 2000|0|2000|0"
sed 's/$/\r/' "$LOG" >"$T/crlf.log"
pathstats import --data-dir "$D" --json "$T/crlf.log"
is "with CRLF: all are duplicates" "$code $(summary)" "0 2000|0|2000|0"
head -c -1 "$LOG" >"$T/cut.log"
pathstats import --data-dir "$D" --json "$T/cut.log"
is "without the last newline: all are duplicates" "$code $(summary)" "0 2000|0|2000|0"
dump_stats "$D" >"$T/after"
same "no row has changed by a byte" "$T/before" "$T/after" # I2

pathstats import --data-dir "$T/parts" --json "$T/two.gz" "$LOG"
is "two files in one go count once" "$(summary)" "4000|2000|2000|0"
dump_stats "$T/parts" | wc -l >"$T/rows"
is "and give as many rows" "$(cat "$T/rows")" "$(wc -l <"$T/before")"

line=$(sed -n 3p "$LOG")
printf '%s\n%s\n%s\n' "$line" "$line" "$line" >"$T/alike.log"
pathstats import --data-dir "$T/alike" --json "$T/alike.log"
is "identical lines of one file are events of their own" "$(summary)" "3|3|0|0"
pathstats import --data-dir "$T/alike" --json "$T/alike.log"
is "and duplicates when the file comes again" "$(summary)" "3|0|3|0"

pathstats import --data-dir "$D" --json --source web-2 "$LOG"
is "--source counts apart" "$code $(summary)" "0 2000|2000|0|0"
pathstats import --data-dir "$D" --json --source=web-2 "$LOG"
is "and the same label once" "$code $(summary)" "0 2000|0|2000|0"
awk -F'|' '{print $1 "|" $2 "|" 2 * $3 "|" 2 * $4}' "$T/by_hand" | sort >"$T/twice"
count_by_program "$D" >"$T/by_program"
same "every number has doubled" "$T/twice" "$T/by_program"

# --- what is wrong is listed, the rest counts ---

{
    sed -n 1,2p "$LOG"
    echo 'this is not a log line'
    echo
    sed -n 4p "$LOG"
    printf '10.1.2.3 - - [18/May/2015:10:00:00 +0000] "\\x16\\x03\\x01" 400 226 "-" "-"\n'
    echo '{"path":"/a","timestamp":1431943200}'
    echo '{"path":"/a","timestamp":1431943200000'
    echo '{"path":"/a","timestamp":1431943200000,"status":200}'
    echo '10.1.2.3 - - [32/May/2015:10:00:00 +0000] "GET / HTTP/1.1" 200 226 "-" "-"'
    echo '{"timestamp":1431943200000}'
} >"$T/broken.log"
pathstats import --data-dir "$T/broken" --json "$T/broken.log"
is "some wrong: 2, and each line accepted or rejected" "$code $(summary)" "2 10|4|0|6"
is "each with its line and reason" \
    "$(sqlite3 :memory: "SELECT group_concat(json_extract(value, '\$.line') || ' ' ||
        json_extract(value, '\$.reason'), ', ') FROM json_each('$out', '\$.rejections')")" \
    "3 line_syntax, 6 line_syntax, 7 timestamp_seconds, 8 json_syntax, 10 line_syntax, 11 path_missing"
pathstats import --data-dir "$T/broken" "$T/broken.log"
like "as text with file and line" "$out" "broken.log:7: timestamp_seconds$"
like "with a sentence for each reason" "$out" "3 × line_syntax: the line is not in "
like "and the number" "$out" "rejected +6$"
is "an event without an id counts once, by its line (I1)" "$(sql "$T/broken" "SELECT count(*) FROM traffic_events")" 4
printf '%s\n%s\n' '{"path":"/same","timestamp":1431943200000}' '{"path":"/same","timestamp":1431943200000}' >"$T/same.ndjson"
pathstats import --data-dir "$T/broken" --json "$T/same.ndjson"
is "two alike in a file are two" "$code $(summary)" "0 2|2|0|0"
pathstats import --data-dir "$T/broken" --json "$T/same.ndjson"
is "and the same two when the file comes again" "$code $(summary)" "0 2|0|2|0"
echo nonsense >"$T/nonsense.log"
pathstats import --data-dir "$T/broken" "$T/nonsense.log"
is "nothing accepted: 2" "$code" 2

# --- what was not used of events that count is said ---

cat >"$T/odd.ndjson" <<'EOF'
{"path":"/odd","timestamp":1431943200000,"idempotentId":"1","statusCode":200}
{"path":"/odd\ud83d","timestamp":1431943200000,"idempotentId":"2","statusCode":200,"responseTime":-1}
{"path":"/odd","timestamp":1431943200000,"idempotentId":"3","clientIp":"192.0.2.7:1"}
{"path":"/odd","timestamp":1431943200000,"idempotentId":"4","clientIp":"::ffff:192.0.2.7"}
EOF
pathstats import --data-dir "$T/odd" "$T/odd.ndjson"
is "fields of no use: 0" "$code" 0
like "an unknown field, with its count and what was meant" "$out" \
    "warning: 2 × unknown field statusCode: did you mean status\?$"
like "a value that cannot be" "$out" "warning: 1 × responseTime must be 0 to 86400000 milliseconds"
pathstats import --data-dir "$T/odd" --json "$T/odd.ndjson"
is "as JSON too" "$(json_of '$.warnings[0].field') $(json_of '$.warnings[0].count')" "statusCode 2"
is "all of them count, and one client is one" "$(sql "$T/odd" "SELECT path, requests, unique_ips_seen
    FROM path_stats_hourly ORDER BY path" | paste -sd,)" $'/odd|3|1,/odd\xef\xbf\xbd|1|0'

# --- NDJSON ---

awk 'BEGIN { for (i = 0; i < 500; i++)
    printf "{\"path\":\"/p%d?q=%d\",\"timestamp\":%.0f,\"status\":%d," \
        "\"responseTime\":%d.5,\"idempotentId\":\"n-%d\"}\n",
        i % 5, i, 1431943200000 + i * 20000, i % 10 ? 200 : 500, i % 100, i }' >"$T/events.ndjson"
pathstats import --data-dir "$T/ndjson" --json "$T/events.ndjson"
is "NDJSON is taken" "$code $(summary)" "0 500|500|0|0"
gzip -c "$T/events.ndjson" >"$T/events.ndjson.gz"
pathstats import --data-dir "$T/ndjson" --json "$T/events.ndjson.gz"
is "and counts once" "$code $(summary)" "0 500|0|500|0"
is "over the hours it names" "$(sql "$T/ndjson" "SELECT hour_bucket, sum(requests), sum(errors),
    CAST(round(sum(sum_response_time) * 1000) AS INTEGER) FROM path_stats_hourly GROUP BY 1 ORDER BY 1" | tr '\n' ' ')" \
    "$(awk 'BEGIN { for (i = 0; i < 500; i++) { h = 10 + int(i * 20 / 3600); n[h]++; e[h] += i % 10 == 0
        s[h] += (i % 100) * 1000 + 500 }
        for (h = 10; h <= 12; h++) printf "2015-05-18T%d|%d|%d|%d ", h, n[h], e[h], s[h] }')"

# --- top and show ---

pathstats top --data-dir "$T/parts" --limit 3
is "top ends with 0" "$code" 0
like "top names its hours" "$out" "^2015-05-18T13 to 2015-05-19T12, UTC$"
like "top begins with the busiest" "$(sed -n 4p <<<"$out")" "^/favicon.ico +156 +0 "
like "top tells of the rest" "$out" "^… and [0-9]+ more paths; --limit shows more$"
pathstats top --data-dir "$T/parts" --limit 2 --json
is "top --json is what sqlite3 finds" \
    "$(json_of '$.paths[0].path')|$(json_of '$.paths[0].requests')|$(json_of '$.totalPaths')" \
    "$(sql "$T/parts" "SELECT path, sum(requests), (SELECT count(DISTINCT path) FROM path_stats_hourly
        WHERE hour_bucket >= '2015-05-18T13') FROM path_stats_hourly
        WHERE hour_bucket >= '2015-05-18T13' GROUP BY path ORDER BY 2 DESC LIMIT 1")"
is "top --json has as many as asked for" "$(json_of '$.paths[1].path') $(json_of '$.paths[2]')" "/ "
pathstats top --data-dir "$T/parts" --hours 0
is "--hours 0 is wrong usage" "$code" 64
pathstats show --data-dir "$T/parts" /favicon.ico
is "show ends with 0" "$code" 0
like "show has a line for an hour" "$out" "^2015-05-19T12 .* 3 +0 "
like "show sums up" "$out" "^all of them +156 +0 "
pathstats show --data-dir "$T/parts" /favicon.ico --json
is "show --json sums up" "$(json_of '$.total.requests') $(json_of '$.path')" "156 /favicon.ico"
pathstats show --data-dir "$T/parts" '/%66avicon.ico?x=1' --json
is "a path is looked up as it is counted" "$(json_of '$.total.requests') $(json_of '$.path')" "156 /favicon.ico"
pathstats show --data-dir "$T/ndjson" /p0 --json
is "percentiles lie between the extremes" "$(sqlite3 :memory: "SELECT
    json_extract(j, '\$.minMs') <= json_extract(j, '\$.p50Ms') AND
    json_extract(j, '\$.p50Ms') <= json_extract(j, '\$.p95Ms') AND
    json_extract(j, '\$.p95Ms') <= json_extract(j, '\$.p99Ms') AND
    json_extract(j, '\$.p99Ms') <= json_extract(j, '\$.maxMs')
    FROM (SELECT json_extract('$out', '\$.total') AS j)")" 1

# --- verify ---

pathstats verify --data-dir "$D"
is "verify ends with 0" "$code" 0
like "verify tells what it did" "$out" "4,000 events.*every row is exactly what its events say"
pathstats verify --data-dir "$D" --json
is "verify --json" "$(json_of '$.differences') $(json_of '$.events')" "0 4000"
cp -r "$T/parts" "$T/forged"
sql "$T/forged" "UPDATE hourly_rows SET requests = requests + 1
    WHERE path = '/favicon.ico' AND hour_bucket = '2015-05-19T12'"
pathstats verify --data-dir "$T/forged"
is "a forged row: 2" "$code" 2
like "the row and both numbers are named" "$out" \
    "^2015-05-19T12 /favicon.ico: row differs \(4 requests stored, 3 computed\)$"
sql "$T/forged" "UPDATE hourly_rows SET requests = requests - 1
    WHERE path = '/favicon.ico' AND hour_bucket = '2015-05-19T12'"
pathstats verify --data-dir "$T/forged"
is "put right again: 0" "$code" 0
sql "$T/forged" "DELETE FROM hourly_rows WHERE path = '/favicon.ico' AND hour_bucket = '2015-05-19T12'"
pathstats verify --data-dir "$T/forged"
like "a row that is gone is named" "$code $out" "^2 2015-05-19T12 /favicon.ico: no row"
day=$(sql "$T/ndjson" "SELECT max(name) FROM sqlite_schema WHERE name LIKE 'events_%' AND type = 'table'")
cp -r "$T/ndjson" "$T/lost"
sql "$T/lost" "DELETE FROM $day WHERE rowid = (SELECT min(rowid) FROM $day)" 2>/dev/null ||
    sql "$T/lost" "DELETE FROM $day WHERE id = (SELECT min(id) FROM $day)"
pathstats verify --data-dir "$T/lost"
is "an event that is gone: 2" "$code" 2

# --- lines for a day that is archived (I6): refused, kept, and counted after a restore ---

C=$T/closed
pathstats import --data-dir "$C" "$LOG"
pathstats archive run --data-dir "$C"
grep '"GET /' "$LOG" | sed 's,GET /,GET /late/,' | head -500 >"$T/late.log"
pathstats import --data-dir "$C" "$T/late.log"
is "import of lines that come too late ends with 2" "$code" 2
late=$(grep -c . "$T/late.log")
like "they are refused" "$out" "refused +$late +see .pathstats dead-letters list"
like "none is accepted" "$out" "accepted +0$"
is "nothing of them is counted" "$(sql "$C" "SELECT sum(requests) FROM path_stats_hourly")" $LINES_OF_LOG
is "each is a dead letter" "$("$PATHSTATS" dead-letters list --json --data-dir "$C" | grep -o closed_day | wc -l)" "$late"
for day in $(sql "$C" "SELECT date FROM archive_metadata"); do
    pathstats archive restore "$day" --data-dir "$C"
done
pathstats dead-letters replay --data-dir "$C"
is "after a restore and a replay they count" \
    "$(sql "$C" "SELECT sum(requests) FROM path_stats_hourly")" $((LINES_OF_LOG + late))
pathstats verify --data-dir "$C"
is "verify: 0" "$code" 0

# --- a database that cannot grow ---

G=$T/full
run bash -c "trap '' XFSZ; ulimit -f 200; exec '$PATHSTATS' import --data-dir '$G' '$LOG'"
is "an import that finds no room ends with 1" "$code" 1
like "what to do is said" "$err" "^pathstats: .*pathstats.db: .*; not all of it is stored: .* import it again"
like "nothing is said to be accepted" "$out" "accepted +0$"
like "and what is not stored is told" "$out" "not stored +2,000 +import again"
pathstats import --data-dir "$G" --json "$LOG"
is "with room it is done" "$code $(summary)" "0 2000|2000|0|0"
pathstats verify --data-dir "$G"
is "verify: 0" "$code" 0

# --- usage and exit codes ---

pathstats --help
is "--help ends with 0" "$code" 0
for word in serve import top show verify dead-letters config --data-dir --listen --queue-max 64; do
    like "--help knows $word" "$out" "$word"
done
pathstats
is "no command: 64" "$code" 64
pathstats imprt "$LOG"
is "no such command: 64" "$code" 64
like "it is named" "$err" "imprt"
pathstats import --data-dir "$D"
is "import of nothing: 64" "$code" 64
pathstats top --data-dri "$D"
is "no such option: 64" "$code" 64
like "the nearest is suggested" "$err" "no option --data-dri; did you mean .*data.dir"
pathstats import --data-dir "$D" "$T/not-there.log"
is "a missing file: 1" "$code" 1
like "it is named with the reason" "$err" "not-there.log: No such file"
unlike "nothing is said about how it went" "$err" "assert|Aborted"
pathstats import --data-dir "$T/unmade" "$T/not-there.log"
ok "an import that finds no file makes no folder" test ! -e "$T/unmade"
sed -n 1,10p "$LOG" >"$T/a.log"
sed -n 11,20p "$LOG" >"$T/c.log"
pathstats import --data-dir "$T/some" --json "$T/a.log" "$T/not-there.log" "$T/c.log"
is "a missing file among others: 1, and the others are imported" "$code $(summary)" "1 20|20|0|0"
like "it is named" "$err" "not-there.log: No such file"
pathstats import --data-dir "$D" "$T"
is "a folder for a file: 1" "$code" 1
like "it is named" "$err" "$T: "
pathstats top --data-dir "$T/nowhere"
is "no data: 1" "$code" 1
like "what to do is said" "$err" "nowhere holds no data yet: run "
ok "reading makes no folder" test ! -e "$T/nowhere"
head -c 20000 "$T/log.gz" >"$T/torn.gz"
pathstats import --data-dir "$T/torn" --json "$T/torn.gz"
is "a torn .gz: 1" "$code" 1
like "it is named" "$err" "torn.gz"
like "what could be read counts" "$(sql "$T/torn" "SELECT count(*) FROM traffic_events")" '^[1-9][0-9]+$'
pathstats import --data-dir "$T/torn" --json "$LOG"
is "and the whole file adds the rest" "$(sql "$T/torn" "SELECT count(*) FROM traffic_events")" $LINES_OF_LOG
finish
