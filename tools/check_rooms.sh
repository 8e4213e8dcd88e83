#!/bin/bash
# Holds the room table of ARCHITECTURE.md against the #includes. Includes are written from src/.
set -u
cd "$(dirname "$0")/.."
declare -A may=(
    [base]="base" [core]="base core" [port]="base core port" [wrap]="base wrap"
    [backend]="base core port backend wrap" [flow]="base core port flow wrap" [intake]="base core port intake"
    [cron]="base cron" [api]="base core port flow api wrap" [config]="base config"
    [daemon]="base core port backend flow intake cron api config wrap daemon"
    [cli]="base core port backend flow intake cron api config wrap daemon cli"
)
bad=0
complain() { echo "room: $1" >&2; bad=1; }
while IFS=: read -r file line text; do
    room=${file#src/} room=${room%%/*}
    target=$(sed -E 's/.*#include "([^"]*)".*/\1/' <<<"$text")
    other=${target%%/*}
    case $target in migrations.inc) continue ;; */*) ;; *) complain "$file:$line: write \"$target\" from src/"; continue ;; esac
    [[ " ${may[$room]:-} " == *" $other "* ]] || complain "$file:$line: $room may not know $other"
    if [ "$room" = backend ] && [ "$other" = backend ] && [ "$target" != backend/registry.h ]; then
        a=${file#src/backend/} b=${target#backend/}
        [ "${a%%/*}" = "${b%%/*}" ] || complain "$file:$line: one backend may not know another"
    fi
done < <(grep -rnE '^\s*#\s*include "' src --include='*.c' --include='*.h')
while IFS=: read -r file line text; do
    case $text in *'<stddef.h>'* | *'<stdint.h>'* | *'<stdbool.h>'*) ;; *) complain "$file:$line: core knows no libc: $text" ;; esac
done < <(grep -rnE '^\s*#\s*include <' src/core)
while IFS= read -r f; do complain "$f includes a backend's library"
done < <(grep -rnlE '(sqlite3|curl/curl)\.h' src | grep -vE '^src/(backend|wrap|cli)/')
while IFS= read -r f; do complain "$f: only daemon and cli may exit or take signals"
done < <(grep -rnlE '\bexit\(|\bsigaction\(|\bsignal\(' src | grep -vE '^src/(daemon|cli)/')
while IFS= read -r f; do complain "$f: the disk is behind base/disk.h"
done < <(grep -rnE '\b(pwrite|f?truncate|fsync|fdatasync|renameat2?|unlink(at)?|mkdir(at)?|link(at)?)\(' src --include='*.c' | grep -vE '^src/base/disk\.c:|:\s*(/?\*|//)')
# Who waits by the wall clock waits an hour longer when it is set back by one.
while IFS=: read -r file line _; do
    case $file in src/base/wait.? | src/base/log.c | src/backend/mem/clock.c) ;;
    *) complain "$file:$line: waits and reads times by base/wait.h and port/clock.h" ;; esac
done < <(grep -rnE 'pthread_cond_timedwait|(sem|mutex|rwlock)_timed|CLOCK_REALTIME|\bgettimeofday\(|[^_a-z]time\(NULL\)' src)
[ $bad -eq 0 ] && echo "rooms: every include keeps the table"
exit $bad
