#!/bin/bash
# Instructions an event have not grown by more than 10 % (bench/instructions.txt). TAP.
set -u
cd "$(dirname "$0")/../.."
export BUILD=${BUILD:-build}
command -v valgrind >/dev/null || {
    echo "ok - instructions # SKIP valgrind is missing: instructions were NOT counted (tools/deps.sh all)"
    exit 0
}
log=$(bench/instructions.sh 2>&1)
rc=$?
echo "$([ $rc = 0 ] || echo "not ")ok - instructions an event"
while IFS= read -r line; do echo "# $line"; done <<<"$log"
[ $rc = 0 ]
