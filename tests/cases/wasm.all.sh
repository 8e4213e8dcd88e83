#!/bin/bash
# The core in WebAssembly gives the same bytes as natively (I2): every case, and the simulator under
# many seeds. TAP. Uses the native binary when it is built; `make` builds it for test-all.
set -u
cd "$(dirname "$0")/../.."
export BUILD=${BUILD:-build}
seeds=${PS_WASM_SEEDS:-64}
for tool in clang wasm-ld node; do
    command -v $tool >/dev/null || {
        echo "ok - wasm # SKIP $tool is missing: the core was NOT compared with WebAssembly (tools/deps.sh all)"
        exit 0
    }
done
if log=$(tools/build_wasm.sh 2>&1); then
    module=$(tail -n 1 <<<"$log")
    echo "ok - wasm: builds"
else
    echo "not ok - wasm: builds"
    while IFS= read -r line; do echo "# $line"; done <<<"$log"
    exit 1
fi
node tests/cases/run_wasm.mjs "$module" tests/cases/*.case
bad=$?
native=$BUILD/tests/cases/cases_test
if [ ! -x "$native" ]; then
    echo "ok - wasm: simulator # SKIP $native is not built, so nothing to compare with"
    exit $bad
fi
a=$("$native" simulate 100 $((99 + seeds)))
b=$(node tests/cases/run_wasm.mjs "$module" --simulate 100 $((99 + seeds)))
if [ "$a" = "$b" ] && [ "$(grep -c '^simulate=' <<<"$a")" = "$seeds" ] && ! grep -q '^error' <<<"$a"; then
    echo "ok - wasm: the simulator agrees under $seeds seeds"
else
    echo "not ok - wasm: the simulator agrees under $seeds seeds"
    diff <(echo "$a") <(echo "$b") | head -20 | sed 's/^/# /'
    bad=1
fi
exit $bad
