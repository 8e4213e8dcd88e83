#!/bin/bash
# Runs the suites and counts. `light`: cmocka binaries and tests/*/*.sh; `all`: also tests/*/*.all.sh.
# As many at a time as there are processors (JOBS=n); those that need a real S3 service alone, at the end.
# Every suite speaks TAP; a suite that dies without a plan, or says SKIP, is shown loudly.
# Ctrl-C ends the suites that run, and the run.
# The last line reads "N passed, N failed" (", N skipped" when there are any).
set -u
shopt -s nullglob
cd "$(dirname "$0")/.."
export BUILD=${BUILD:-build} CMOCKA_MESSAGE_OUTPUT=TAP TZ=Australia/Lord_Howe
jobs_max=${JOBS:-$(nproc)}
passed=0 failed=0 skipped=0
results=$(mktemp -d)
declare -A running=() # process -> number of its suite
number=0
trap 'rm -rf "$results"' EXIT
# A suite runs in a process group of its own (set -m), which a terminal's Ctrl-C does not reach.
stop() {
    for pid in "${!running[@]}"; do kill -TERM -- "-$pid" 2>/dev/null; done
    echo "interrupted after $passed passed, $failed failed"
    exit 130
}
trap stop INT TERM
set -m

# Prints what is to be shown to $results/N.shown, the counts to $results/N.counts.
judge() { # number name seconds exit-code
    local log=$results/$1.log ok bad skip
    skip=$(grep -cE '^ok .*# SKIP' "$log")
    ok=$(($(grep -cE '^ok ' "$log") - skip))
    bad=$(grep -cE '^not ok ' "$log")
    if [ "$4" -ne 0 ] && [ "$bad" -eq 0 ] || [ $((ok + bad + skip)) -eq 0 ]; then
        bad=$((bad + 1))
        echo "not ok - $2: exit $4 without a failing test to blame" >>"$log"
    fi
    {
        printf '%-4s %-45s %4d ok %3d failed  %ds\n' "$([ "$bad" -eq 0 ] && echo ok || echo FAIL)" "$2" "$ok" "$bad" "$3"
        [ "$bad" -eq 0 ] || sed 's/^/     | /' "$log" | grep -v '| ok ' | tail -60
        [ "$skip" -eq 0 ] || grep -E '# SKIP' "$log" | sed 's/^/     ******** SKIPPED: /'
    } >"$results/$1.shown"
    echo "$ok $bad $skip" >"$results/$1.counts"
}

run_suite() { # number name command...
    local n=$1 name=$2 start=$SECONDS
    shift 2
    timeout "${SUITE_SECONDS:-600}" "$@" >"$results/$n.log" 2>&1 </dev/null &
    suite=$! # timeout makes a group of its own, and hands a TERM on to all of it
    trap 'kill -TERM "$suite" 2>/dev/null; exit 130' TERM
    wait "$suite"
    judge "$n" "$name" $((SECONDS - start)) $?
}

take_result() { # process
    local ok=0 bad=1 skip=0 n=${running[$1]}
    unset "running[$1]"
    read -r ok bad skip <"$results/$n.counts"
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    cat "$results/$n.shown"
}

wait_for_one() {
    local pid
    wait -n -p pid
    take_result "$pid"
}

start_suite() { # name command...
    while [ ${#running[@]} -ge "$jobs_max" ]; do wait_for_one; done
    number=$((number + 1))
    (
        set +m
        trap - INT EXIT
        run_suite $number "$@"
    ) &
    running[$!]=$number
}

wait_for_all() {
    while [ ${#running[@]} -gt 0 ]; do wait_for_one; done
}

for binary in "$BUILD"/tests/*/*_test; do
    [ -x "$binary" ] && start_suite "${binary#"$BUILD"/}" "$binary"
done
for script in tests/*/*.sh; do
    case $script in
    tests/support/* | *s3*.all.sh) continue ;;
    *.all.sh) [ "${1:-light}" = all ] || continue ;;
    esac
    start_suite "$script" bash "$script"
done
wait_for_all
for script in tests/*/*s3*.all.sh; do
    [ "${1:-light}" = all ] || continue
    start_suite "$script" bash "$script"
    wait_for_all
done
printf '%d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
