#!/bin/bash
# The memory of `archive run` does not depend on the number of events: 100,000 and 5,000,000 are
# archived, verified, cleaned and restored below the same limit. What the larger object must hold is
# compared byte for byte while it is unpacked; nothing of that size is written to disk twice.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh

MANY=${MANY:-5000000}
RSS_MAX_KB=$((64 * 1024))
D=$T/data

archive_day() { # n
    import_start=$(now_ms)
    ok "$1 events of $day are imported" import_events "$D" "$1"
    echo "# import, and writing the events: $(($(now_ms) - import_start)) ms"
    dump_stats "$D" >"$T/stats"
    measured "$PATHSTATS" archive run --date "$day" --data-dir "$D"
    echo "# $1 events: archived, verified and cleaned in $took_ms ms, peak of resident memory $peak_kb kB"
    is "$1 events: archive run ends with 0" "$code $err" "0 "
    ok "$1 events: its memory stays below $RSS_MAX_KB kB" \
        test "$peak_kb" -gt 0 -a "$peak_kb" -lt $RSS_MAX_KB
    is "$1 events: the day is cleaned" "$(day_status "$D") $(stored_events "$D")" "cleaned 0"
    dump_stats "$D" >"$T/stats.cleaned"
    same "$1 events: the statistics are what they were" "$T/stats" "$T/stats.cleaned"
    archived_lines "$1" | cmp - <(zcat "$D/objects/$object_key") >"$T/difference" 2>&1
    is "$1 events: the object is byte for byte what was sent" "$? $(cat "$T/difference")" "0 "
}

choose_day 5
archive_day 100000
choose_day 4
archive_day "$MANY"
pages=$(pragma "$D" page_count) free=$(pragma "$D" freelist_count)
ls -l "$D/objects/$object_key" | sed 's/^/# /'

measured "$PATHSTATS" archive verify "$day" --data-dir "$D"
echo "# verify: $took_ms ms, $peak_kb kB"
is "verify finds it whole" "$code $err" "0 "
ok "in no more memory" test "$peak_kb" -lt $RSS_MAX_KB
measured "$PATHSTATS" archive restore "$day" --data-dir "$D"
echo "# restore: $took_ms ms, $peak_kb kB"
is "restore ends with 0" "$code $err" "0 "
is "all events are there again" "$(stored_events "$D") $(day_status "$D")" "$MANY restored"
echo "# pages: $pages after cleaning, $free of them free; $(pragma "$D" page_count) after the restore"
ok "the restored events lie where the cleaned ones lay" \
    test "$(pragma "$D" page_count)" -lt $((pages + pages / 20))
measured "$PATHSTATS" archive run --date "$day" --data-dir "$D"
echo "# once more: $took_ms ms, $peak_kb kB"
is "archived once more: the same object" \
    "$code $(sql "$D" "SELECT sha256 FROM archive_metadata WHERE date = '$day'")" \
    "0 $(sha256sum "$D/objects/$object_key" | cut -d' ' -f1)"
is "no temporary file is left" "$(temporary_files "$D")" 0
finish
