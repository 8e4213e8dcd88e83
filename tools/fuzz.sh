#!/bin/bash
# Fuzzes each parser for some seconds with clang's libFuzzer, address and undefined sanitizers.
#
#   tools/fuzz.sh [seconds each, default 10] [target ...]     e.g. tools/fuzz.sh 600 event
#
# A target is tests/fuzz/<name>_fuzz.c; its seeds lie in tests/fuzz/corpus/<name>/ and stay as they
# are: what the fuzzer learns goes to a directory that is thrown away. A crash prints its input, and
# keeps it in build/fuzz/; a copy of it in the corpus makes it a test for ever.
set -u
cd "$(dirname "$0")/.."
out=${BUILD:-build}/fuzz
seconds=${1:-10}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "usage: tools/fuzz.sh [seconds each] [target ...]" >&2; exit 64; }
[ $# -eq 0 ] || shift
command -v clang >/dev/null || { echo "fuzz: clang is missing (Debian: clang libclang-rt-14-dev)" >&2; exit 69; }
targets=("$@")
if [ $# -eq 0 ]; then
    for source in tests/fuzz/*_fuzz.c; do
        name=${source##*/}
        targets+=("${name%_fuzz.c}")
    done
fi
flags=(-std=c17 -D_GNU_SOURCE -DPS_VERSION='"fuzz"' -Isrc -g -O1 -ffp-contract=off -fno-omit-frame-pointer
    -fno-sanitize-recover=all -pthread)

# The rooms that parsers live in. An archive, so that a target takes what it needs and no more.
build_library() {
    local source object objects=()
    mkdir -p "$out" || return 1
    for source in src/{base,core,port,intake,cron}/*.c src/backend/file/*.c; do
        [ -f "$source" ] || continue
        object=$out/$(tr / _ <<<"${source%.c}").o
        clang "${flags[@]}" -fsanitize=fuzzer-no-link,address,undefined -c -o "$object" "$source" || return 1
        objects+=("$object")
    done
    rm -f "$out/library.a"
    ar rcs "$out/library.a" "${objects[@]}"
}

fuzz_one() { # name
    local name=$1 binary=$out/$1_fuzz learnt log rc
    clang "${flags[@]}" -fsanitize=fuzzer,address,undefined -o "$binary" "tests/fuzz/${name}_fuzz.c" \
        "$out/library.a" || { echo "fuzz: $name: does not build"; return 1; }
    learnt=$(mktemp -d)
    log=$(mktemp)
    mkdir -p "tests/fuzz/corpus/$name"
    "$binary" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$out/$name-" "$learnt" "tests/fuzz/corpus/$name" >"$log" 2>&1
    rc=$?
    if [ $rc -eq 0 ]; then
        echo "fuzz: $name: $(awk '/number_of_executed_units/ { print $2 }' "$log") inputs, no crash"
    else
        echo "fuzz: $name: CRASH (exit $rc)"
        grep -vE '^(#[0-9]+\s+(INITED|NEW|REDUCE|pulse|RELOAD)|INFO:|stat::)' "$log" | tail -60
        input=$(sed -nE 's/.*Test unit written to (.*)/\1/p' "$log" | tail -1)
        if [ -n "$input" ]; then
            echo "fuzz: the input, $input:"
            od -A x -t x1z "$input" | head -100
        fi
    fi
    rm -rf "$learnt" "$log"
    return $rc
}

build_library || { echo "fuzz: the library does not build"; exit 1; }
bad=0
for name in "${targets[@]}"; do
    fuzz_one "$name" || bad=1
done
exit $bad
