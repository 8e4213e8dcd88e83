#!/bin/bash
# Commands that only read, in a data directory that this user cannot write: at rest, beside a server,
# and after a crash. Root may write everything, so they run as nobody.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

if [ "$(id -u)" = 0 ]; then
    AS=(setpriv --reuid=65534 --regid=65534 --clear-groups)
else
    AS=()
fi
D=$T/data LOG=tests/data/apache_sample.log
cp "$PATHSTATS" "$T/pathstats" # where nobody can run it
chmod 755 "$T" "$T/pathstats"
reads() { run "${AS[@]}" "$T/pathstats" "$@" --data-dir "$D"; }
close_folder() { chmod -R a+rX,a-w "$D"; chmod a-r "$D/secret"; }
open_folder() { chmod -R u+w "$D"; }

"${AS[@]}" "$T/pathstats" version >/dev/null || { echo "1..0 # SKIP cannot run as another user"; exit 0; }
"$PATHSTATS" import --data-dir "$D" $LOG >/dev/null 2>&1
"$PATHSTATS" snapshot refresh --data-dir "$D" >/dev/null 2>&1
wanted=$("$PATHSTATS" top --json --data-dir "$D" --from 2015-01-01 --to 2026-12-31)

check_all() { # when
    reads top --json --from 2015-01-01 --to 2026-12-31
    is "$1: top" "$out" "$wanted"
    for command in "show / --date 2015-05-18" verify capacity jobs "dead-letters list" "snapshot show" "snapshot list" "archive list"; do
        # shellcheck disable=SC2086
        reads $command
        [ $code -eq 0 ] && [ -z "$err" ]
        report $? "$1: $command" "exit $code" "$err" "$out"
    done
}

close_folder
before=$(ls -l --time-style=full-iso "$D")
check_all "at rest"
is "nothing was made there" "$(ls -l --time-style=full-iso "$D")" "$before"

open_folder
start_server "$D" --no-record-self
post '{"timestamp":1760529600000,"path":"/new"}'
eventually sql_is "$D" "SELECT count(*) FROM path_stats_hourly WHERE path = '/new'" 1
wanted=$("$PATHSTATS" top --json --data-dir "$D" --from 2015-01-01 --to 2026-12-31)
close_folder
check_all "beside a server"
open_folder
stop_server KILL
close_folder
check_all "after a crash"
rm -f "$D/pathstats.db-shm"
reads top
is "a log without its -shm: refused" $code 1
like "and the remedy is told" "$err" "pathstats.db has a write-ahead log.*run this as its owner, or copy"

# What writes says what it needs.
reads import $LOG
[ $code -ne 0 ]
report $? "import is refused" "exit $code"
like "import says where" "$err" "$D"
open_folder

finish
