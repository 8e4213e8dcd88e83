#!/bin/bash
# What a person gets from make: few lines, a manual page, and a test run that Ctrl-C ends.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
unset MAKEFLAGS MFLAGS MAKELEVEL # of the make that runs the tests
BUILD=${BUILD:-build}

# --- Ctrl-C in a test run ---

mkdir -p "$T/fake/tests/unit"
cat >"$T/fake/tests/unit/endless_test" <<'EOF'
#!/bin/bash
echo $$ >"$(dirname "$0")/pid"
sleep 600 &
wait
EOF
chmod +x "$T/fake/tests/unit/endless_test"
set -m # or the run would ignore SIGINT
BUILD=$T/fake SUITE_SECONDS=600 tools/run_tests.sh light >"$T/run" 2>&1 &
run=$!
set +m
ok "a suite runs" eventually test -s "$T/fake/tests/unit/pid"
kill -INT "$run"
wait "$run"
is "Ctrl-C ends the run with 130" $? 130
like "it says so" "$(cat "$T/run")" "^interrupted after 0 passed, 0 failed$"
gone() { ! kill -0 "$(cat "$T/fake/tests/unit/pid")"; }
ok "and ends the suite" eventually gone

# --- nothing is written where TMPDIR does not say ---

is "tests and benchmarks ask TMPDIR" \
    "$(grep -rnE '"/tmp/[a-z]|mktemp[^|]* /tmp|(strcpy|= *)"/tmp' tests bench --include='*.[ch]' --include='*.sh' | grep -v make_test.sh)" ""

# --- few lines ---

cp -r src tools Makefile "$T" # a tree of its own: this one is being tested
mkdir -p "$T/tests/unit"
(cd "$T" && make --no-print-directory -n BUILD=b b/pathstats) >"$T/dry" 2>&1
ok "there is much to compile" test "$(grep -c -e ' -c -o ' "$T/dry")" -gt 80
(cd "$T" && make --no-print-directory BUILD=b b/src/base/buf.o b/src/base/err.o) >"$T/quiet" 2>&1
is "and nothing is said about it" "$(cat "$T/quiet")" ""
(cd "$T" && rm -f b/src/base/buf.o && make --no-print-directory V=1 BUILD=b b/src/base/buf.o) >"$T/loud" 2>&1
like "unless it is asked for" "$(cat "$T/loud")" " -c -o b/src/base/buf.o src/base/buf.c"

# --- the manual page ---

(make -s --no-print-directory BUILD="$BUILD" "$BUILD/pathstats.1" && cp "$BUILD/pathstats.1" "$T/page.1") >"$T/said" 2>&1
like "make makes the manual page" "$(head -1 "$T/page.1")" '^\.TH PATHSTATS 1 '
"$PATHSTATS" help --man >"$T/own.1"
same "it is what the program says" "$T/own.1" "$T/page.1"
finish
