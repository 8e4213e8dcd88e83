# tap.sh - what the shell tests share. `source tests/support/tap.sh` from the root of the checkout.
#
# Each test prints one line of TAP; `finish` prints the plan and exits with 1 when one failed. What a
# test has to wait for it polls (`eventually`), so a slow machine makes it slow and not wrong.
# Everything lives in one new folder, $T, which goes when the script ends, and so does every server
# that start_server started. No setting of the caller's reaches the program under test.
#
# SPDX-License-Identifier: MIT
set -u
export LC_ALL=C.UTF-8 TZ=${TZ:-Australia/Lord_Howe}
unset "${!PATHSTATS_@}"
PATHSTATS=${BUILD:-build}/pathstats
WAIT_S=${WAIT_S:-60} # for a condition, at most
T=$(mktemp -d)
tap_count=0 tap_failed=0
server='' url=''

cleanup() {
    local pid
    for pid in $(jobs -p); do kill -9 "$pid"; done 2>/dev/null
    wait 2>/dev/null
    rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

[ -x "$PATHSTATS" ] || { echo "Bail out! there is no $PATHSTATS: run make first"; exit 1; }
PATHSTATS=$(realpath "$PATHSTATS")

# --- results ---

report() { # status name [diagnostics…]
    tap_count=$((tap_count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tap_count - $2"
        return 0
    fi
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $2"
    shift 2
    [ $# -eq 0 ] || printf '%s\n' "$@" | head -c 3000 | sed 's/^/# /'
    return 1
}

ok() { # name command…
    local name=$1 rc
    shift
    "$@" >"$T/said" 2>&1
    rc=$?
    report $rc "$name" "exit $rc: $*" "$(cat "$T/said")"
}

is() { # name got wanted
    [ "$2" = "$3" ]
    report $? "$1" "got:    $2" "wanted: $3"
}

like() { # name text extended-regex
    grep -qE -e "$3" <<<"$2"
    report $? "$1" "got:    $2" "wanted: $3"
}

unlike() { # name text extended-regex
    ! grep -qE -e "$3" <<<"$2"
    report $? "$1" "got:      $2" "unwanted: $3"
}

same() { # name file file
    local difference
    difference=$(diff "$2" "$3" 2>&1 | head -20)
    [ -z "$difference" ] && [ -s "$3" ]
    report $? "$1" "$difference" "$(wc -l "$2" "$3")"
}

finish() {
    echo "1..$tap_count"
    exit $((tap_failed > 0))
}

# --- running ---

run() { # command…; sets code, out, err
    "$@" >"$T/out" 2>"$T/err" </dev/null
    code=$?
    out=$(cat "$T/out") err=$(cat "$T/err")
}

pathstats() { run "$PATHSTATS" "$@"; }

eventually() { # command…, until it succeeds
    local end=$((SECONDS + WAIT_S))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02 # between two looks at the condition
    done
}

# --- the database ---

sql() { # data-dir statement
    sqlite3 -batch -noheader -cmd '.timeout 10000' "$1/pathstats.db" "$2"
}

sql_is() { # data-dir statement wanted
    [ "$(sql "$1" "$2")" = "$3" ]
}

# Every column, exactly, but the two that hold the time of the writing.
dump_stats() { # data-dir
    local columns
    columns=$(sql "$1" "SELECT group_concat('quote(' || name || ')') FROM
        pragma_table_info('hourly_rows') WHERE name NOT IN ('created_at', 'updated_at')")
    sql "$1" "SELECT $columns FROM hourly_rows ORDER BY hour_bucket, path"
}

# --- the server ---

listener() { # log of a server; fails until it listens
    sed -n 's,.* listening on \(http://[^ ]*\):\([0-9]*\)\, .*,\1:\2,p' "$1" | grep .
}

listening_or_dead() { listener "$server_log" || ! kill -0 "$server"; }

# Takes a port that is free and reads it from the log: no other process can take it in between. Sets
# server (the process), url and server_log.
start_server() { # data-dir [options…]
    local dir=$1
    shift
    server_log=$(mktemp "$T/server.XXXXXX")
    "$PATHSTATS" serve --data-dir "$dir" --listen 127.0.0.1:0 "$@" 2>"$server_log" </dev/null &
    server=$!
    eventually listening_or_dead
    url=$(listener "$server_log") ||
        { echo "# the server did not start: $(tail -3 "$server_log")"; return 1; }
}

stop_server() { # [signal]; returns the exit code
    kill "-${1:-TERM}" "$server" 2>/dev/null
    wait "$server" 2>/dev/null
}

post() { # body or @file, curl options…; sets code (HTTP) and out
    local body=$1
    shift
    code=$(curl -s -o "$T/answer" -w '%{http_code}' --data-binary "$body" "$@" "$url/api/events")
    out=$(cat "$T/answer")
}
