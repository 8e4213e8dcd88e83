#!/bin/bash
# Runs the suites and counts. `light`: cmocka binaries and tests/*/*.sh; `all`: also tests/*/*.all.sh.
# Every suite speaks TAP; a suite that dies without a plan, or says SKIP, is shown loudly.
# Ctrl-C ends the suite that runs, and the run.
# The last line reads "N passed, N failed" (", N skipped" when there are any).
set -u
shopt -s nullglob
cd "$(dirname "$0")/.."
export BUILD=${BUILD:-build} CMOCKA_MESSAGE_OUTPUT=TAP TZ=Australia/Lord_Howe
passed=0 failed=0 skipped=0
log=$(mktemp)
suite=
trap 'rm -f "$log"' EXIT
# A suite runs in a process group of its own (set -m), which a terminal's Ctrl-C does not reach.
stop() {
    [ -z "$suite" ] || kill -TERM -- "-$suite" 2>/dev/null
    echo "interrupted after $passed passed, $failed failed"
    exit 130
}
trap stop INT TERM
set -m

run_suite() { # name, command...
    local name=$1 ok bad skip rc
    shift
    local start=$SECONDS
    timeout "${SUITE_SECONDS:-300}" "$@" >"$log" 2>&1 </dev/null &
    suite=$!
    wait "$suite"
    rc=$?
    suite=
    skip=$(grep -cE '^ok .*# SKIP' "$log")
    ok=$(($(grep -cE '^ok ' "$log") - skip))
    bad=$(grep -cE '^not ok ' "$log")
    if [ $rc -ne 0 ] && [ "$bad" -eq 0 ] || [ $((ok + bad + skip)) -eq 0 ]; then
        bad=$((bad + 1))
        echo "not ok - $name: exit $rc without a failing test to blame" >>"$log"
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    printf '%-4s %-45s %4d ok %3d failed  %ds\n' "$([ "$bad" -eq 0 ] && echo ok || echo FAIL)" "$name" "$ok" "$bad" $((SECONDS - start))
    [ "$bad" -eq 0 ] || sed 's/^/     | /' "$log" | grep -v '| ok ' | tail -60
    [ "$skip" -eq 0 ] || grep -E '# SKIP' "$log" | sed 's/^/     ******** SKIPPED: /'
}

for binary in "$BUILD"/tests/*/*_test; do
    [ -x "$binary" ] && run_suite "${binary#"$BUILD"/}" "$binary"
done
for script in tests/*/*.sh; do
    case $script in
    tests/support/*) continue ;;
    *.all.sh) [ "${1:-light}" = all ] || continue ;;
    esac
    run_suite "$script" bash "$script"
done
printf '%d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
