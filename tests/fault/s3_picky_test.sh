#!/bin/bash
# S3 as some services are: nobody may look for unfinished uploads (403) or nobody ever could (501),
# and what is given out has no length. Days are archived all the same, in one piece and in parts,
# with a warning. A bucket that is elsewhere is an error that says what to set.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh

N=500
D=$T/data
export AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=hidden-secret NO_PROXY='*'

start_picky() { # how; sets port
    "$T/picky_s3" "$1" >"$T/port" &
    picky=$!
    eventually test -s "$T/port"
    port=$(cat "$T/port")
}

stop_picky() {
    kill $picky 2>/dev/null
    wait $picky 2>/dev/null
    rm -f "$T/port"
}

on_s3() { pathstats archive "$@" --data-dir "$D" --objects s3 --s3-bucket days \
    --s3-endpoint "http://127.0.0.1:$port" --s3-retries 0; }

# Words that do not compress, so that the object is larger than one part of 8 MiB.
import_much() {
    head -c 10000000 /dev/urandom | base64 -w 400 | awk -v ms="$day_ms" '{
        printf "{\"idempotentId\":\"%s-much%d\",\"path\":\"/much\",\"timestamp\":%s,", ms, NR, ms
        printf "\"userAgent\":\"%s\"}\n", $0 }' >"$T/much"
    "$PATHSTATS" import --data-dir "$D" --json "$T/much" >"$T/imported"
}

leaves() { # name, events, word of the warning
    on_s3 run --date "$day"
    is "$1: run ends with 0" "$code" 0
    like "$1: what was refused is a warning" "$err" "^pathstats: warning: .*$3"
    is "$1: the day is cleaned" "$(day_status "$D") $(stored_events "$D")" "cleaned 0"
    on_s3 verify "$day"
    is "$1: what is there is what was archived" "$code" 0
    on_s3 cat "$day"
    is "$1: every event is in it" "$(wc -l <"$T/out")" "$2"
}

ok "the service is built" "${CC:-cc}" -std=c17 -D_GNU_SOURCE -o "$T/picky_s3" tests/fault/picky_s3.c

for how in 403 501; do
    [ $how = 403 ] && word=AccessDenied || word=NotImplemented
    start_picky $how
    choose_day $((how % 10 + 4))
    ok "$how: a day is imported" import_events "$D" $N
    leaves "$how" $N $word
    stop_picky
done

start_picky 403
choose_day 9
ok "in parts: a large day is imported" import_much
leaves "in parts" "$(wc -l <"$T/much")" AccessDenied
stop_picky

start_picky 301
choose_day 10
ok "elsewhere: a day is imported" import_events "$D" $N
on_s3 run --date "$day" --s3-region us-east-1
unlike "elsewhere: run fails" "$code" '^0$'
like "elsewhere: it says what to set" "$err" 'region eu-west-1: set s3_region = eu-west-1 \(it is us-east-1\)'
is "elsewhere: the day stays" "$(day_status "$D") $(stored_events "$D")" "failed $N"
stop_picky
finish
