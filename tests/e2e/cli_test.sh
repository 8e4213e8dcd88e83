#!/bin/bash
# The command line as a person meets it: help, hints, tables that fit, hours that are asked for, and
# text from strangers that only looks dangerous.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

LOG=tests/data/apache_2000.log
D=$T/data
unset COLUMNS

# In a terminal of so many columns; what it shows, without colours and carriage returns.
in_terminal() { # columns command…
    local columns=$1
    shift
    TERM=xterm script -qec "stty cols $columns; $(printf '%q ' "$@")" /dev/null </dev/null 2>&1 |
        sed 's/\x1b\[[0-9;]*m//g; s/\r//g'
}

widest() { wc -L <<<"$1"; } # in columns of the terminal: a Chinese character counts two

# --- help ---

pathstats --help
commands=$(sed -n '/^Usage/,/^`pathstats/s/^  \([a-z-]*\) .*/\1/p' <<<"$out")
ok "--help lists the commands" test "$(wc -l <<<"$commands")" -ge 13
for command in $commands; do
    pathstats "$command" --help
    like "$command --help: its own usage" "$code $(grep -A1 '^Usage' <<<"$out")" "^  pathstats $command( |$)"
    is "$command --help: 0" "$code" 0
    for part in Options: Examples: "Exit codes:" "64 +wrong usage"; do
        like "$command --help: $part" "$out" "$part"
    done
    ok "$command --help fits 80 columns" test "$(widest "$out")" -le 80
    was=$out
    pathstats help "$command"
    is "help $command says the same" "$out" "$was"
done
pathstats top --help
like "an option has its default" "$out" "^  --limit N +how many paths \[20\]$"
unlike "and top has none of serve's" "$out" "--listen|--source"
pathstats import --help
like "import has exit code 2" "$out" "^  2 +lines were rejected, or refused"
like "and 130" "$out" "^  130 +interrupted"
out=$(in_terminal 60 "$PATHSTATS" serve --help)
ok "60 columns: as wide as the terminal" test "$(widest "$out")" -le 60
like "and nothing is missing" "$out" "--webhook"
pathstats help --man
"$PATHSTATS" help --man >"$T/pathstats.1"
ok "the man page begins as one" grep -q '^\.TH PATHSTATS 1' "$T/pathstats.1"
for word in $commands EXIT --queue-max 130; do
    ok "the man page knows $word" grep -qF -e "${word//-/\\-}" "$T/pathstats.1"
done
if command -v groff >/dev/null; then
    is "roff has nothing to complain about" \
        "$(groff -man -Kutf8 -Tutf8 -ww -z "$T/pathstats.1" 2>&1)" ""
fi

# --- hints ---

pathstats improt "$LOG"
like "a mistyped command" "$code $err" '^64 .*no command "improt"; did you mean import\?'
pathstats frobnicate
like "one that is near to nothing" "$code $err" '^64 .*no command "frobnicate"; .pathstats --help'
pathstats help improt
like "help of a mistyped command" "$code $err" "^64 .*did you mean import"
pathstats top --limti 3
like "a mistyped option of the command" "$code $err" "^64 .*no option --limti; did you mean --limit\?"
pathstats top --data-dri x
like "a mistyped setting" "$code $err" "^64 .*no option --data-dri; did you mean --data-dir\?"
pathstats archive lits
like "no data yet: said before the rest" "$code" 1
pathstats serve --s3-secret-acess-key=hunter2
like "the value of a mistyped secret is not repeated" "$code $err" "^64 .*--s3-secret-acess-key; did you"
unlike "nowhere" "$out$err" hunter2
pathstats top --limit 3 --limit 4 --help
is "an option twice is no mistake" "$code" 0

# --- tables fit ---

pathstats import --data-dir "$D" "$LOG"
pathstats archive lits --data-dir "$D"
like "a mistyped form" "$code $err" '^64 .*did you mean `archive list`'
printf '%s\n' '{"path":"/中文/中文/中文/中文/中文/中文/中文/中文/中文/中文/中文/中文/中文/中文/中文/中文/中文","timestamp":1432036800000,"status":200,"responseTime":8.25,"idempotentId":"wide"}' \
    >"$T/wide.ndjson"
printf '%s\n' '{"path":"/one","timestamp":1432036800000,"status":500,"responseTime":1234.5,"idempotentId":"one"}' \
    >>"$T/wide.ndjson"
pathstats import --data-dir "$D" "$T/wide.ndjson"
for columns in 60 80 200; do
    out=$(in_terminal $columns "$PATHSTATS" top --limit 1000 --data-dir "$D")
    ok "top in $columns columns: not wider" test "$(widest "$out")" -le $columns
    like "top in $columns columns: all paths, with requests" "$out" "^/one +1 +1 "
    ok "top in $columns columns: all rows" test "$(grep -c '^/' <<<"$out")" -gt 300
    out=$(in_terminal $columns "$PATHSTATS" show /favicon.ico --data-dir "$D")
    ok "show in $columns columns: not wider" test "$(widest "$out")" -le $columns
    run env COLUMNS=$columns "$PATHSTATS" top --limit 1000 --data-dir "$D"
    ok "top with COLUMNS=$columns: not wider" test "$(widest "$out")" -le $columns
done
like "200 columns: percentiles and whole paths" \
    "$(in_terminal 200 "$PATHSTATS" top --limit 1000 --data-dir "$D")" \
    "^/(中文/){16}中文 +1 +0 +0.0 +8.2 ms"
pathstats top --limit 1000 --data-dir "$D"
ok "without a terminal: 80 columns" test "$(widest "$out")" -le 80
like "a long path is cut in its middle" "$out" "^/[^ ]+…[^ ]+ +[0-9]"
pathstats top --limit 1000 --json --data-dir "$D"
unlike "--json cuts nothing" "$out" "…"

# --- one and many ---

head -1 "$LOG" >"$T/one.log"
pathstats import --data-dir "$T/single" "$T/one.log"
pathstats verify --data-dir "$T/single"
like "one of each" "$out" "^1 day, 1 event, 1 row: every row is exactly"
sql "$T/single" "UPDATE hourly_rows SET requests = 7"
pathstats verify --data-dir "$T/single"
like "one that differs" "$code $out" "1 row differs\. "
pathstats archive run --data-dir "$D"
like "days" "$code $out" "^0 [2-9] days archived and cleaned, 2,002 events$"

# --- archive run DATE ---

A=$T/archive
pathstats import --data-dir "$A" "$LOG"
pathstats archive run 2015-05-18 --data-dir "$A"
like "archive run DATE" "$code $out" "^0 archived and cleaned 2015-05-18: "
pathstats archive run --date 2015-05-19 --data-dir "$A"
like "archive run --date DATE" "$code $out" "^0 archived and cleaned 2015-05-19: "
pathstats archive run 2015-05-19 --date 2015-05-18 --data-dir "$A"
like "both" "$code $err" "^64 .*two dates"
pathstats archive run 2015-05-34 --data-dir "$A"
like "a day that is none" "$code $err" "^64 .*2015-05-34.* is not a date"
pathstats archive run 2015-06-01 --data-dir "$A"
like "a day without events" "$code $err" "^1 .*no events of 2015-06-01"
pathstats archive list --data-dir "$A"
ok "archive list fits 80 columns" test "$(widest "$out")" -le 80

# --- which hours ---

top_says() { # name wanted-extended-regex options…
    local name=$1 wanted=$2
    shift 2
    pathstats top --data-dir "$A" "$@"
    like "$name" "$code $out$err" "$wanted"
}
top_says "no option: the newest 24 hours with data" "^0 2015-05-18T13 to 2015-05-19T12, UTC"
top_says "--hours" "^0 2015-05-19T09 to 2015-05-19T12, UTC" --hours 4
top_says "--date" "^0 2015-05-18T00 to 2015-05-18T23, UTC" --date 2015-05-18
top_says "--from and --to" "^0 2015-05-18T20 to 2015-05-18T22, UTC" --from 2015-05-18T20 --to=2015-05-18T22
top_says "--from alone: to the newest" "^0 2015-05-19T02 to 2015-05-19T12, UTC" --from 2015-05-19T02
top_says "--to alone, a date: its last hour" "^0 2015-05-18T[0-9]{2} to 2015-05-18T23, UTC" --to 2015-05-18
top_says "--last on an old log: where the data lies, and what to do" \
    "^1 .*no requests from .* to .*the data lies from 2015-05-1[78]T[0-9]{2} to 2015-05-19T12: try --date 2015-05-19" \
    --last 24h
top_says "an empty day likewise" "^1 .*no requests from 2015-06-01T00 .*--date 2015-05-19" --date 2015-06-01
top_says "two ways at once" "^64 .*only one of" --date 2015-05-18 --last 24h
top_says "hours and a day" "^64 .*only one of" --hours 4 --date 2015-05-18
top_says "the wrong way round" "^64 .*--from 2015-05-19 comes after --to 2015-05-18" --from 2015-05-19 --to 2015-05-18
top_says "no time" "^64 .*--last: \"5\" is not a time" --last 5
top_says "no date" "^64 .*--date: \"yesterday\" is not a date" --date yesterday
top_says "no hour" "^64 .*--from: \"2015-05-18T24\" is not an hour" --from 2015-05-18T24
pathstats top --data-dir "$A" --json --date 2015-05-18
is "as many as sqlite3 counts" "$(sqlite3 :memory: "SELECT sum(json_extract(value, '\$.requests')) FROM
    json_each('${out//\'/\'\'}', '\$.paths')") $(sqlite3 :memory: "SELECT json_extract('${out//\'/\'\'}', '\$.totalPaths') >= 20")" \
    "$(sql "$A" "SELECT sum(requests) FROM (SELECT sum(requests) AS requests FROM path_stats_hourly WHERE
    hour_bucket GLOB '2015-05-18T*' GROUP BY path ORDER BY 1 DESC, path LIMIT 20)") 1"
pathstats show /favicon.ico --data-dir "$A" --from 2015-05-19T10 --to 2015-05-19T11 --json
is "show --from --to" "$(grep -o '"hour":"[^"]*"' <<<"$out" | tr '\n' ' ')" \
    '"hour":"2015-05-19T10" "hour":"2015-05-19T11" '
pathstats show /favicon.ico --data-dir "$A" --last 2h
like "show of empty hours: where that path has some" "$code $err" \
    "^1 .*no requests for /favicon.ico from .*it has some from 2015-05-18T.* to 2015-05-19T12: try --date"
pathstats show /favicon.ioc --data-dir "$A"
like "show of a path that is not there" "$code $err" "^1 .*no requests for /favicon.ioc; .pathstats top"
pathstats import --data-dir "$T/now" - < <(:) # nothing
now=$(date +%s000)
printf '{"path":"/now","timestamp":%s,"idempotentId":"now"}\n' "$now" >"$T/now.ndjson"
pathstats import --data-dir "$T/now" "$T/now.ndjson"
printf '{"path":"/before","timestamp":%s,"idempotentId":"before"}\n' $((now - 3 * 3600000)) >"$T/now.ndjson"
pathstats import --data-dir "$T/now" "$T/now.ndjson"
pathstats top --data-dir "$T/now" --last 2h
like "--last ends now" "$code $out" "/now +1 "
unlike "and begins so long ago" "$out" "/before"
pathstats top --data-dir "$T/now" --last 3h
unlike "three hours are this one and two before" "$out" "/before"
pathstats top --data-dir "$T/now" --last 1m
like "a minute is the hour it is in" "$out$err" "([0-9]{4}-[0-9T-]+) to \\1"
pathstats top --data-dir "$T/now" --last 5h
like "longer ago" "$out" "/before +1 "

# --- snapshot show ---

pathstats snapshot show --data-dir "$A"
like "no snapshot yet" "$code $err" "^1 .*snapshot refresh"
pathstats snapshot refresh --data-dir "$A"
pathstats snapshot show --data-dir "$A"
like "one of an old log: where the data lies" "$code $out" \
    "no requests in these hours; the data lies from 2015-05-1.* to 2015-05-19T12: try .pathstats top"
pathstats snapshot show --data-dir "$A" --last 2h --json
like "the newest one of the last hours" "$code $out" '^0 \{"version":'
pathstats snapshot show --data-dir "$A" --date 2015-05-18
like "none was made that day" "$code $err" "^1 .*no snapshot was made in those hours; there are some from 20.* try --date 20"

# --- Ctrl-C in an import ---

# The named pipe can be opened for writing once the import reads it, after the log; then it waits.
interrupted() { # name files…
    local name=$1
    shift
    set -m # or it would ignore SIGINT
    "$PATHSTATS" import --data-dir "$T/cut" "$@" >"$T/out" 2>"$T/err" &
    local import=$!
    set +m
    exec 7>"$T/pipe"
    kill -INT "$import"
    wait "$import"
    is "$name: 130" $? 130
    exec 7>&-
    out=$(cat "$T/out") err=$(cat "$T/err")
    like "$name: how to go on" "$err" "interrupted: what is accepted is stored; .*import the same files again"
}
mkfifo "$T/pipe"
interrupted "Ctrl-C" "$LOG" "$T/pipe"
like "it says what is kept" "$out" "accepted +2,000$"
is "and that is stored" "$(sql "$T/cut" "SELECT count(*) FROM traffic_events")" 2000
pathstats verify --data-dir "$T/cut"
is "and counted" "$code" 0
pathstats import --data-dir "$T/cut" "$LOG"
like "again: nothing counts twice" "$code $out" "duplicate +2,000 "
start_server "$T/cut" --no-record-self || exit 1
interrupted "Ctrl-C, through a server" "$LOG" "$T/pipe"
like "it says what was there" "$out" "duplicate +2,000 "
stop_server

# --- what strangers write ---

S=$T/strange
csi=$(printf '\xc2\x9b') rlo=$(printf '\xe2\x80\xae') zero=$(printf '\xe2\x80\x8b')
{
    printf '198.51.100.7 - - [17/May/2015:10:05:03 +0000] "GET /%s31mred HTTP/1.1" 200 5\n' "$csi"
    printf '198.51.100.7 - - [17/May/2015:10:05:03 +0000] "GET /%sgnp.exe HTTP/1.1" 200 5\n' "$rlo"
    printf '198.51.100.7 - - [17/May/2015:10:05:03 +0000] "GET /in%svisible HTTP/1.1" 200 5\n' "$zero"
} >"$T/strange.log"
raw="$csi|$rlo|$zero"
pathstats import --data-dir "$S" "$T/strange.log"
is "they are stored as they came" \
    "$(sql "$S" "SELECT count(*) FROM traffic_events WHERE path IN ('/${csi}31mred', '/${rlo}gnp.exe')")" 2
harmless() { # name wanted; after a command
    unlike "$1: nothing raw" "$out$err" "$raw"
    like "$1: but shown" "$out$err" "$2"
}
pathstats top --data-dir "$S"
harmless top '^/\\u009b31mred +1'
harmless "top, bidi" '^/\\u202egnp.exe +1'
harmless "top, invisible" '^/in\\u200bvisible +1'
pathstats top --data-dir "$S" --json
harmless "top --json" '"/\\u009b31mred"'
is "and it is the same path to JSON" "$(sqlite3 :memory: "SELECT count(*) FROM json_each('$out', '\$.paths')
    WHERE json_extract(value, '\$.path') IN ('/${csi}31mred', '/${rlo}gnp.exe')")" 2
pathstats show "/${csi}31mred" --data-dir "$S"
harmless show '^/\\u009b31mred, 2015'
pathstats show "/${csi}nothing" --data-dir "$S"
harmless "an error" 'for /\\u009bnothing'
pathstats "${csi}2J"
harmless "a command that is none" 'no command "\\u009b2J"'
pathstats import --data-dir "$S" "$T/${rlo}missing"
harmless "a file that is missing" '\\u202emissing'
sql "$S" "UPDATE hourly_rows SET requests = 9 WHERE path = '/${csi}31mred'"
pathstats verify --data-dir "$S"
harmless verify '^2015-05-17T10 /\\u009b31mred: row differs \(9 requests stored, 1 computed\)'
sql "$S" "UPDATE hourly_rows SET requests = 1 WHERE path = '/${csi}31mred'"
pathstats snapshot refresh --data-dir "$S"
pathstats archive run --data-dir "$S"
pathstats archive cat 2015-05-17 --data-dir "$S"
ok "archive cat into a file: as it was stored" grep -q "$csi" "$T/out"
out=$(in_terminal 80 "$PATHSTATS" archive cat 2015-05-17 --data-dir "$S") err=
harmless "archive cat on a terminal" '"path":"/\\u009b31mred"'
sed 's,GET /,GET /late,' "$T/strange.log" >"$T/late.log"
pathstats import --data-dir "$S" "$T/late.log"
pathstats dead-letters list --data-dir "$S"
harmless "dead-letters list" '/late\\u009b31mred'
pathstats dead-letters list --data-dir "$S" --json
harmless "dead-letters list --json" '/late\\u009b31mred'
finish
