#!/bin/bash
# The unit in deploy/systemd: systemd understands it, it is locked down, what it calls exists, and a
# server tells systemd when it is ready and ends with 0 when it is asked to.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

UNIT=deploy/systemd/pathstats.service
EXPOSURE_MAX=20 # tenths; systemd calls below 2.0 "OK" and a bare service 9.6 "UNSAFE"

setting() { sed -n "s/^$1=//p" "$UNIT"; }

if command -v systemd-analyze >/dev/null; then
    sed "s,^ExecStart=[^ ]*,ExecStart=$PATHSTATS,; /^Documentation=/d" "$UNIT" >"$T/pathstats.service"
    ok "systemd understands every line" systemd-analyze verify "$T/pathstats.service"
    is "and says nothing about it" "$(cat "$T/said")" ""
    exposure=$(systemd-analyze security --offline=yes "$T/pathstats.service" 2>/dev/null |
        sed -n 's/.*exposure level for [^:]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p')
    if [ -n "$exposure" ]; then
        ok "its exposure ($exposure tenths) is at most $EXPOSURE_MAX" test "$exposure" -le $EXPOSURE_MAX
    fi
fi

read -r -a start <<<"$(setting ExecStart)"
pathstats config check "${start[@]:2}"
is "the options it passes exist" "$code" 0
is "it serves" "${start[1]}" serve
is "it is started again when it ends with a failure" "$(setting Restart)" on-failure
pathstats serve --data-dir "$T/wrong" --listen nonsense
is "but not after a wrong setting" "$code" "$(setting RestartPreventExitStatus)"
ok "stopping may take longer than a request" test "$(setting TimeoutStopSec)" -ge 60

ok "a server starts" start_server "$T/data"
post '{"path":"/a","timestamp":'"$(date +%s000)"'}'
stop_server "$(setting KillSignal | sed s/SIG//)"
is "asked to stop as systemd asks, it ends with 0" "$?" 0
is "and has stored what it took" "$(sql "$T/data" "SELECT count(*) FROM traffic_events")" 1

finish
