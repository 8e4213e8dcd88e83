# archive_lib.sh - what the tests of archived days share. `source` it after tap.sh.
#
# Event k of n is a function of k, and so is its line in the archive: what an object must hold is
# written by awk, byte for byte, without asking the program. Three events share each moment, so that
# the order within a moment shows; they are sent the even ones first, so that none arrives in order.
#
# SPDX-License-Identifier: MIT
DAY_MS=86400000

# Counted from when the test began, so that one that runs past midnight means the same days to the
# end. They only get older.
started_s=$(date +%s)
day_back() { date -u -d "@$((started_s - $1 * 86400))" +%F; } # days

# Sets day, day_ms and object_key.
choose_day() { # days ago
    day=$(day_back "$1")
    day_ms=$(($(date -u -d "$day" +%s) * 1000))
    object_key=events-archive/${day:0:4}/${day:5:2}/$day.jsonl.gz
}

event_awk='
function at(k) { return sprintf("%.0f", day_ms + int(int(k / 3) * 3 * 86400000 / n)) }
function id(k) { return sprintf("%s-%s%08d", at(k), tag, k) }
function path(k) { return k % 50 == 7 ? "/käse/\\\"" k % 11 "\\\"" : "/path/" k % 50 }
function client(k) { return sprintf("%08x%08x", k % 977, k % 4099) }
function status(k) { return k % 20 == 0 ? 503 : 200 }
function agent(k) { return "Test \\\\ \\\"" k % 5 "\\\"" }
function event(k) {
    printf "{\"idempotentId\":\"%s\",\"path\":\"%s\",\"method\":\"GET\",\"status\":%d,", id(k),
        path(k), status(k)
    if (k % 10 != 3)
        printf "\"responseTime\":%d.25,", k % 500
    printf "\"clientIpHash\":\"%s\",\"timestamp\":%s,\"userAgent\":\"%s\",\"country\":\"DE\"}\n",
        client(k), at(k), agent(k)
}
function line(k,   time) {
    time = k % 10 == 3 ? "null" : k % 500 ".25"
    printf "{\"id\":\"%s\",\"path\":\"%s\",\"method\":\"GET\",\"status\":%d,\"response_time\":%s," \
        "\"client_ip_hash\":\"%s\",\"timestamp\":%s,\"event_date\":\"%s\",\"user_agent\":\"%s\"," \
        "\"country\":\"DE\",\"is_error\":%d,\"response_bytes\":null}\n", id(k), path(k), status(k), time, client(k), at(k),
        day, agent(k), status(k) >= 400
}'

events() { # n [tag]: as they are sent
    LC_ALL=C awk -v n="$1" -v tag="${2:-}" -v day_ms="$day_ms" "$event_awk"'
        BEGIN {
            for (k = 0; k < n; k += 2) event(k)
            for (k = 1; k < n; k += 2) event(k)
        }'
}

archived_lines() { # n [tag]: as the object must hold them
    LC_ALL=C awk -v n="$1" -v tag="${2:-}" -v day_ms="$day_ms" -v day="$day" "$event_awk"'
        BEGIN { for (k = 0; k < n; k++) line(k) }'
}

event_ids() { # n [tag]
    LC_ALL=C awk -v n="$1" -v tag="${2:-}" -v day_ms="$day_ms" "$event_awk"'
        BEGIN { for (k = 0; k < n; k++) print id(k) }'
}

import_events() { # data-dir n [tag]
    events "$2" "${3:-}" | "$PATHSTATS" import --data-dir "$1" --json - >"$T/imported" 2>&1
}

# --- measuring ---

now_ms() { date +%s%3N; }

# Runs like `run` and sets peak_kb, the most memory that was resident, and took_ms. The kernel keeps
# the peak itself; it is read until the process is gone, so only the last moment may be missed.
measured() { # command…
    local start pid line
    start=$(now_ms) peak_kb=0
    "$@" >"$T/out" 2>"$T/err" </dev/null &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        while read -r line; do
            [[ $line == VmHWM:* ]] || continue
            line=${line//[^0-9]/}
            peak_kb=$((line > peak_kb ? line : peak_kb))
        done 2>/dev/null <"/proc/$pid/status"
        sleep 0.005 # between two looks
    done
    wait $pid
    code=$?
    took_ms=$(($(now_ms) - start))
    out=$(head -c 4000 "$T/out") err=$(head -c 4000 "$T/err")
}

# --- looking ---

day_status() { # data-dir [date]
    sql "$1" "SELECT status FROM archive_metadata WHERE date = '${2:-$day}'"
}

stored_events() { # data-dir [date]
    sql "$1" "SELECT count(*) FROM traffic_events WHERE event_date = '${2:-$day}'"
}

json() { # text expression
    sqlite3 :memory: "SELECT json_extract('${1//\'/\'\'}', '$2')"
}

pragma() { # data-dir name
    sql "$1" "PRAGMA $2"
}

temporary_files() { # folder
    find "$1" -name '*.tmp-*' 2>/dev/null | wc -l
}
