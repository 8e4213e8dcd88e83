# lib.sh - sourced by the benchmark scripts: where things are, the tools, one timed run, medians.
#
# BUILD names the folder of the binaries (build), BENCH_DIR that of data and results (BUILD/bench).
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
BUILD=${BUILD:-build}
BENCH_DIR=${BENCH_DIR:-$BUILD/bench}
PATHSTATS=$BUILD/pathstats
mkdir -p "$BENCH_DIR"
export LC_ALL=C TZ=UTC

note() { printf '%s\n' "$*" >&2; }

compile() { # name, sources and libraries
    local to=$BENCH_DIR/$1
    shift
    ${CC:-gcc} -std=c17 -D_GNU_SOURCE -O2 -g -Isrc -Ibench -ffp-contract=off -pthread -o "$to" "$@"
}

build_tools() {
    make -s BUILD="$BUILD" "$PATHSTATS" >&2
    local libs
    libs=$(sed -n 's/^LIBS *:= *//p' Makefile)
    compile generate bench/generate.c bench/traffic.c
    compile core_bench bench/core_bench.c bench/traffic.c "$BUILD/libpathstats.a"
    compile http_bench bench/http_bench.c bench/daemon.c bench/traffic.c -lsqlite3
    # shellcheck disable=SC2086
    compile latency_bench bench/latency_bench.c "$BUILD/libpathstats.a" $libs
}

# Runs a command and prints "seconds user+sys peak_MB". Dirty pages of the run before are written
# first, so that nobody pays for another's.
timed() {
    sync
    /usr/bin/time -f '%e %U %S %M' -o "$BENCH_DIR/time.$$" "$@" >"$BENCH_DIR/out.$$" 2>"$BENCH_DIR/err.$$" || {
        note "FAILED: $*"
        tail -5 "$BENCH_DIR/err.$$" >&2
        rm -f "$BENCH_DIR"/{time,out,err}.$$
        return 1
    }
    tail -1 "$BENCH_DIR/time.$$" | awk '{ printf "%.2f %.2f %.0f\n", $1, $2 + $3, $4 / 1024 }'
    rm -f "$BENCH_DIR"/{time,out,err}.$$
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

stored_bytes() { # data directory: database and what belongs to it
    cat "$1"/pathstats.db* | wc -c
}

print_machine() {
    printf 'machine: %s × %s, %s MB, %s on %s, %s\n' "$(nproc)" \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" \
        "$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
        "$(stat -f -c %T "$BENCH_DIR")" "$(uname -sr)" "$(date -u +%Y-%m-%d)"
    printf 'load before: %s; %s; %s; commit %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)" \
        "$(${CC:-gcc} --version | head -1)" "$("$PATHSTATS" version | head -1)" \
        "$(git describe --always --dirty 2>/dev/null || echo unknown)"
}
