#!/bin/bash
# peers.sh - pathstats and its peers on one file, in turn, several times; prints the medians.
#
#     bench/peers.sh [LINES] [combined|combined-time|ndjson]      REPEATS=3
#
# Only the ratios mean much: they come from one run on one machine. A peer that is missing or cannot
# read the format is said, not dropped.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
LINES_WANTED=${1:-1000000}
FORMAT=${2:-combined-time}
REPEATS=${REPEATS:-3}
FILE=$BENCH_DIR/peers.log
DATA=$BENCH_DIR/peers-data
RESULTS=$BENCH_DIR/peers-results
TOOLS=() NAMES=()

# --- the peers. Each run_X does the whole job on $FILE. ---

run_pathstats() { rm -rf "$DATA"; timed "$PATHSTATS" import --data-dir "$DATA" "$FILE"; }
run_again() { timed "$PATHSTATS" import --data-dir "$DATA" "$FILE"; }

goaccess_format() {
    local format='%h %^[%d:%t %^] "%r" %s %b "%R" "%u"'
    [ "$FORMAT" = combined ] || format="$format %T"
    echo "$format"
}
run_goaccess() {
    timed goaccess "$FILE" --no-global-config --no-progress --log-format="$(goaccess_format)" \
        --date-format=%d/%b/%Y --time-format=%T -o "$BENCH_DIR/goaccess.json" "$@"
}
run_goaccess_persist() {
    rm -rf "$BENCH_DIR/goaccess-db"
    mkdir -p "$BENCH_DIR/goaccess-db"
    run_goaccess --persist --db-path="$BENCH_DIR/goaccess-db"
}

# Requests, errors, exact clients and the mean per path and hour. No percentiles, stores nothing.
run_mawk() {
    # shellcheck disable=SC2016
    timed mawk '{ k = $7 " " substr($4, 2, 14); n[k]++; s[k] += $NF; if ($9 >= 400) e[k]++
        c = k " " $1; if (!(c in seen)) { seen[c]; u[k]++ } }
        END { for (k in n) print k, n[k], e[k] + 0, u[k], s[k] / n[k] }' "$FILE"
}

run_sqlite() {
    local db=$BENCH_DIR/sqlite-peer.db taken=bytes columns='h,i,u,t,z,request,status,bytes,referer,agent'
    [ "$FORMAT" = combined ] || columns="$columns,taken" taken=taken
    rm -f "$db"
    cat >"$BENCH_DIR/sqlite-peer.sql" <<SQL
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE log ($columns);
.mode csv
.separator " "
.import $FILE log
CREATE TABLE stats AS
SELECT substr(request, instr(request, ' ') + 1) AS path, substr(t, 2, 14) AS hour, count(*) AS requests,
       sum(status + 0 >= 400) AS errors, count(DISTINCT h) AS clients, avg($taken + 0) AS mean
  FROM log GROUP BY 1, 2;
SQL
    timed sqlite3 -batch -init "$BENCH_DIR/sqlite-peer.sql" "$db" "SELECT count(*), sum(requests) FROM stats"
}

run_duckdb() { timed node bench/duckdb.mjs "$(realpath "$BENCH_DIR")" "$FILE" "$FORMAT"; }
run_wc() { timed wc -l "$FILE"; }

# --- which can run ---

add() { TOOLS+=("$1") NAMES+=("$2"); }
skip() { note "******** NOT MEASURED: $1"; SKIPPED="${SKIPPED:-}not measured: $1"$'\n'; }
add_if() { # what it needs, run_X, name
    if [ "$FORMAT" = ndjson ] && [ "$2" != duckdb ]; then
        skip "$3 cannot read NDJSON here"
    elif ! command -v "$1" >/dev/null; then
        skip "$3: $1 is missing (bench/deps.sh)"
    else
        add "$2" "$3"
    fi
}
choose() {
    add pathstats "pathstats import"
    add again "pathstats, same file again"
    add_if goaccess goaccess "goaccess"
    add_if goaccess goaccess_persist "goaccess --persist"
    add_if mawk mawk "mawk"
    add_if sqlite3 sqlite "sqlite3 .import + GROUP BY"
    if [ -d "$BENCH_DIR/node_modules/@duckdb" ] && command -v node >/dev/null; then
        add duckdb "DuckDB"
    else
        skip "DuckDB: node or its module is missing (bench/deps.sh)"
    fi
    add wc "wc -l"
}

print_versions() {
    { command -v goaccess && goaccess --version | head -1; mawk -W version 2>&1 | head -1
      sqlite3 --version | cut -d' ' -f1 | sed 's/^/sqlite3 /'
      [ ! -d "$BENCH_DIR/node_modules/@duckdb" ] || echo "DuckDB $(node bench/duckdb.mjs "$(realpath "$BENCH_DIR")" version)"
    } 2>/dev/null | grep -v ^/ | paste -sd';' || true
}

print_table() {
    local mine i seconds cpu peak
    mine=$(awk '{ print $1 }' "$RESULTS.pathstats" | median)
    printf '%-28s %9s %12s %10s %10s %9s\n' "" seconds lines/s "pathstats" "CPU µs" "peak"
    printf '%-28s %9s %12s %10s %10s %9s\n' "" "" "" "is × as" "a line" "MB"
    for i in "${!TOOLS[@]}"; do
        [ -s "$RESULTS.${TOOLS[i]}" ] || { printf '%-28s FAILED\n' "${NAMES[i]}"; continue; }
        seconds=$(awk '{ print $1 }' "$RESULTS.${TOOLS[i]}" | median)
        cpu=$(awk '{ print $2 }' "$RESULTS.${TOOLS[i]}" | median)
        peak=$(awk '{ print $3 }' "$RESULTS.${TOOLS[i]}" | median)
        awk -v name="${NAMES[i]}" -v s="$seconds" -v c="$cpu" -v p="$peak" -v m="$mine" -v n="$LINES_WANTED" \
            'BEGIN { t = s > 0 ? s : 0.005
                printf "%-28s %9.2f %12.0f %10.2f %10.2f %9d\n", name, s, n / t, t / m, c * 1e6 / n, p }'
    done
}

build_tools
[ -x /usr/bin/time ] || { note "GNU time is missing: run bench/deps.sh"; exit 1; }
choose
"$BENCH_DIR/generate" --lines "$LINES_WANTED" --format "$FORMAT" >"$FILE"
rm -f "$RESULTS".*
for ((round = 1; round <= REPEATS; round++)); do
    for tool in "${TOOLS[@]}"; do
        cat "$FILE" >/dev/null
        run_"$tool" >>"$RESULTS.$tool" || rm -f "$RESULTS.$tool"
    done
done
echo "== $LINES_WANTED lines, $FORMAT, $(stat -c %s "$FILE") bytes; medians of $REPEATS runs in turn"
print_machine
print_versions
print_table
printf '%s' "${SKIPPED:-}"
echo "bytes an event in the database: $(($(stored_bytes "$DATA") / LINES_WANTED))"
rm -rf "$DATA" "$FILE" "$RESULTS".* "$BENCH_DIR"/goaccess* "$BENCH_DIR"/sqlite-peer*
