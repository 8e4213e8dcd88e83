#!/bin/bash
# Every fuzz target for a few seconds, on its corpus first. TAP.
set -u
cd "$(dirname "$0")/../.."
seconds=${PS_FUZZ_SECONDS:-5}
skip() {
    echo "ok - fuzz # SKIP $1: NOTHING was fuzzed (tools/deps.sh all)"
    exit 0
}
command -v clang >/dev/null || skip "clang is missing"
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n);
int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return (void)d, (void)n, 0; }' >"$probe/probe.c"
clang -fsanitize=fuzzer,address,undefined -o "$probe/probe" "$probe/probe.c" 2>/dev/null ||
    skip "clang has no fuzzer runtime (libclang-rt-14-dev)"
log=$(tools/fuzz.sh "$seconds" 2>&1)
bad=0
for source in tests/fuzz/*_fuzz.c; do
    name=${source##*/} name=${name%_fuzz.c}
    if line=$(grep -E "^fuzz: $name: [0-9]+ inputs, no crash" <<<"$log"); then
        echo "ok - $line"
    else
        echo "not ok - fuzz: $name"
        bad=1
    fi
done
[ $bad -eq 0 ] || while IFS= read -r line; do echo "# $line"; done <<<"$log"
exit $bad
