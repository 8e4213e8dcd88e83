#!/bin/bash
# The life of a day with its objects on a real S3 service: a private Ceph gateway, started and
# stopped here. The day is large enough for several parts. A wrong secret and kills during the
# upload leave the day in the database, and the next run leaves no upload behind.
# Where Ceph cannot start, one skipped test says why.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh
source tests/support/archive_s3.sh
trap 'tests/support/ceph.sh down "$T/ceph"; cleanup' EXIT

N=${EVENTS:-1500000}
KILLS=${KILLS:-5}
PART_MIN=$((5 * 1024 * 1024))
RSS_MAX_KB=$((64 * 1024))
D=$T/data
choose_day 4

if ! reason=$(tests/support/ceph.sh up "$T/ceph" 2>&1); then
    printf '1..1\nok 1 - archive on s3 # SKIP %s\n' "$(tail -n 1 <<<"$reason")"
    exit 0
fi
# shellcheck disable=SC1091
. "$T/ceph/env"
export AWS_ACCESS_KEY_ID=$S3_KEY AWS_SECRET_ACCESS_KEY=$S3_SECRET NO_PROXY='*'
export PATHSTATS_OBJECTS=s3 PATHSTATS_S3_ENDPOINT=$S3_ENDPOINT PATHSTATS_S3_BUCKET=days/prod
OBJECT=days/prod/$object_key

archive() { pathstats archive "$@" --data-dir "$D"; }
fetch() { s3 "$OBJECT" -o "$T/object.gz" -w '%{http_code}'; }

ok "the bucket is made" s3_make_bucket days
ok "$N events of $day are imported" import_events "$D" $N
dump_stats "$D" >"$T/stats"

# --- a wrong secret ---

AWS_SECRET_ACCESS_KEY=wrong archive run --date "$day"
like "a wrong secret: run fails and says why" "$code $err" "^1 .*(403|SignatureDoesNotMatch|denied)"
archive list
like "a wrong secret: the day is failed, with the reason" "$out" \
    "$day +failed .*(403|SignatureDoesNotMatch|denied)"
is "a wrong secret: the day stays" "$(stored_events "$D")" $N
unlike "a wrong secret: it is shown nowhere" "$out$err" wrong

# --- kills during the upload ---

# Where the parts begin, seen from outside: an upload is open.
upload_is_open() { [ "$(s3_open_uploads days)" -gt 0 ]; }
upload_or_end() { upload_is_open || ! kill -0 "$archiving" 2>/dev/null; }

left=0
for ((i = 0; i < KILLS; i++)); do
    "$PATHSTATS" archive run --date "$day" --data-dir "$D" >"$T/out" 2>"$T/err" </dev/null &
    archiving=$!
    eventually upload_or_end
    sleep "0.$(printf %03d $((RANDOM % 400)))" # the random moment itself
    kill -KILL $archiving 2>/dev/null
    wait $archiving 2>/dev/null
    upload_is_open && left=$((left + 1))
    [ "$(day_status "$D")" = pending ] && [ "$(stored_events "$D")" = $N ] ||
        echo "# kill $((i + 1)): the day is $(day_status "$D") with $(stored_events "$D") events"
done
echo "# $left of $KILLS kills left an open upload"
ok "kills in the middle of an upload leave it open" test $left -gt 0
is "the day stays" "$(day_status "$D") $(stored_events "$D")" "pending $N"
is "there is no object" "$(fetch)" 404

# --- the right way ---

measured "$PATHSTATS" archive run --date "$day" --data-dir "$D"
echo "# archived, verified and cleaned in $took_ms ms, peak of resident memory $peak_kb kB"
is "the next run ends with 0" "$code $err" "0 "
like "and says what it did" "$out" "^archived and cleaned $day: "
ok "its memory stays below $RSS_MAX_KB kB" test "$peak_kb" -gt 0 -a "$peak_kb" -lt $RSS_MAX_KB
is "no upload is open" "$(s3_open_uploads days)" 0
is "the day is cleaned" "$(day_status "$D") $(stored_events "$D")" "cleaned 0"
dump_stats "$D" >"$T/stats.cleaned"
same "the statistics are what they were" "$T/stats" "$T/stats.cleaned"
is "curl gets the object" "$(fetch)" 200
archived_lines $N | cmp - <(zcat "$T/object.gz") >"$T/difference" 2>&1
is "byte for byte what was sent" "$? $(cat "$T/difference")" "0 "
is "the ledger knows its size and SHA-256" \
    "$(sql "$D" "SELECT file_size_bytes, sha256 FROM archive_metadata WHERE date = '$day'")" \
    "$(stat -c %s "$T/object.gz")|$(sha256sum "$T/object.gz" | cut -d' ' -f1)"
is "it is the only object" "$(s3 "days?list-type=2" | grep -o '<Key>[^<]*</Key>')" \
    "<Key>prod/$object_key</Key>"

etag=$(s3_header "$OBJECT" etag)
like "it came in parts" "$etag" '^"[0-9a-f]{32}-[0-9]+"$'
parts=${etag##*-} parts=${parts%\"}
size=$(stat -c %s "$T/object.gz")
echo "# $size bytes in $parts parts"
ok "in more than one" test "$parts" -gt 1
# All parts but the last are of one size, so none is smaller than 5 MiB when so many fit in.
ok "none but the last is smaller than 5 MiB" test $((size / PART_MIN)) -ge $((parts - 1))

archive list
like "list" "$code $out" "$day +cleaned "
archive verify
like "verify" "$code $out" "^0 verified $day: "
run bash -c "'$PATHSTATS' archive cat $day --data-dir '$D' | sha256sum"
is "cat" "$out" "$(zcat "$T/object.gz" | sha256sum)"
"$PATHSTATS" archive cat "$day" --data-dir "$D" 2>"$T/err" | head -1 >"$T/first"
is "cat | head -1 gives one line and ends quietly" "$(cat "$T/err" "$T/first")" \
    "$(zcat "$T/object.gz" 2>&1 | head -1)"
AWS_SECRET_ACCESS_KEY=wrong archive verify "$day"
like "verify with a wrong secret" "$code $err" "^2 .*(403|SignatureDoesNotMatch|denied)"
archive restore "$day"
like "restore" "$code $out" "^0 restored $day: "
is "all events are there again" "$(stored_events "$D") $(day_status "$D")" "$N restored"
is "and were not counted again" "$(sql "$D" "SELECT sum(requests) FROM path_stats_hourly")" $N
archive run
like "archived once more" "$code $out" "^0 1 day archived"
fetch >"$T/code"
is "the same object" "$(sha256sum <"$T/object.gz" | cut -d' ' -f1)" \
    "$(sql "$D" "SELECT sha256 FROM archive_metadata WHERE date = '$day'")"
is "no upload is open at the end" "$(s3_open_uploads days)" 0
finish
