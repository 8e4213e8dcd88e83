# archive_kill9.sh - the body of tests/fault/archive_kill9_test.sh and archive_kill9.all.sh, which
# say how many KILLS and how many EVENTS a day has.
#
# `archive run` is killed with SIGKILL at moments nobody chose, spread over as long as a whole run
# takes. After each kill, and before anything else runs:
#
#   - each event of the day is in the database, or the day is closed, and then its object holds
#     each event (I5);
#   - the database is whole, and what is archived reads back as it was written.
#
# The next run is killed, too, in half of the rounds, and then one is left alone: it must end with
# the day cleaned, the object equal to what was sent byte for byte, each event once, and nothing
# half-written lying about. Then the day is restored for the next round, or, in every fourth, a new
# day is taken, so that kills meet days that were archived before and days that were not. Half of
# the restores are killed, too, and done again. SEED
# repeats the choices, though not the moments.
#
# SPDX-License-Identifier: MIT
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((SEED & 32767))
echo "# KILLS=$KILLS EVENTS=$EVENTS SEED=$SEED"

D=$T/data
days_ago=4
declare -A met=()

archive() { "$PATHSTATS" archive "$@" --data-dir "$D"; }

new_day() {
    choose_day $days_ago
    days_ago=$((days_ago + 1))
    archived_lines "$EVENTS" >"$T/wanted"
    event_ids "$EVENTS" | sort >"$T/wanted.ids"
    import_events "$D" "$EVENTS" || { echo "Bail out! import: $(cat "$T/imported")"; exit 1; }
    dump_stats "$D" >"$T/stats"
}

object_ids() { zcat "$D/objects/$object_key" 2>/dev/null | cut -d'"' -f4 | sort; }
database_ids() { sql "$D" "SELECT id FROM traffic_events WHERE event_date = '$day'" | sort; }

differs() { # what…
    differences=$((differences + 1))
    printf '# after kill %d: %s\n' "$killed" "$*"
}

# What a person would find after the power went: read before the program has run again.
check_killed() {
    local status
    status=$(day_status "$D")
    met[${status:-open}]=$((${met[${status:-open}]:-0} + 1))
    database_ids >"$T/database.ids"
    case $status in
    cleaned)
        [ -s "$T/database.ids" ] && differs "the day is cleaned, but events of it are in the database"
        zcat "$D/objects/$object_key" | cmp -s - "$T/wanted" || differs "the day is cleaned, but its object is not complete"
        ;;
    *)
        cmp -s "$T/database.ids" "$T/wanted.ids" || differs "the day is ${status:-open}, but not all events are in the database"
        ;;
    esac
    if [ "$status" = completed ] || [ "$status" = cleaned ]; then
        object_ids | cmp -s - "$T/wanted.ids" || differs "the day is $status, but its object is not complete"
        archive verify "$day" >"$T/verified" 2>&1 || differs "verify: $(cat "$T/verified")"
    fi
    status=$(pragma "$D" quick_check)
    [ "$status" = ok ] || differs "the database is broken: $status"
    [ "$(temporary_files "$D/objects")" -eq 0 ] || met[half-written]=$((${met[half-written]:-0} + 1))
}

kill_after() { # microseconds command…
    local us=$1 pid
    shift
    "$@" >"$T/out" 2>"$T/err" </dev/null &
    pid=$!
    sleep "$((us / 1000000)).$(printf %06d $((us % 1000000)))" # the random moment itself
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ $? -eq 137 ] || met[too-late]=$((${met[too-late]:-0} + 1))
}

# The k-th of n is killed in the k-th part of the time a run takes, at a random point of it.
kill_one() {
    local at_us=$((run_us * (killed * 1000 + RANDOM % 1000) / (KILLS * 1000)))
    killed=$((killed + 1))
    kill_after $at_us "$PATHSTATS" archive run --date "$day" --data-dir "$D"
}

finish_day() {
    archive run >"$T/out" 2>&1 || differs "the next run failed: $(cat "$T/out")"
    [ "$(day_status "$D")" = cleaned ] || differs "the next run left the day $(day_status "$D")"
    [ "$(stored_events "$D")" = 0 ] || differs "cleaned, and $(stored_events "$D") events are in the database"
    zcat "$D/objects/$object_key" | cmp -s - "$T/wanted" || differs "the object is not what was sent"
    [ "$(temporary_files "$D/objects")" -eq 0 ] || differs "there is a temporary file after the next run"
    dump_stats "$D" | cmp -s - "$T/stats" || differs "the statistics have changed"
    archive verify "$day" >"$T/out" 2>&1 || differs "verify of the day: $(cat "$T/out")"
}

next_day() {
    if [ $((RANDOM % 4)) -eq 0 ]; then
        new_day
    else
        if [ $((RANDOM % 2)) -eq 0 ]; then
            kill_after $((restore_us * (RANDOM % 1000) / 1000)) \
                "$PATHSTATS" archive restore "$day" --data-dir "$D"
            restore_kills=$((restore_kills + 1))
            [ "$(day_status "$D")" = restored ] && return
            zcat "$D/objects/$object_key" | cmp -s - "$T/wanted" || differs "a killed restore changed the object"
        fi
        archive restore "$day" >"$T/out" 2>&1 || differs "restore: $(cat "$T/out")"
        database_ids | cmp -s - "$T/wanted.ids" || differs "restored, but not all of it"
    fi
}

# How long a run takes, undisturbed; the second one, because the first meets cold files.
differences=0 killed=0 restore_kills=0
new_day
for _ in 1 2; do
    measured "$PATHSTATS" archive run --date "$day" --data-dir "$D"
    run_us=$((took_ms * 1000))
    measured "$PATHSTATS" archive restore "$day" --data-dir "$D"
    restore_us=$((took_ms * 1000))
    [ "$code" -eq 0 ] || { echo "Bail out! restore: $err"; exit 1; }
done
echo "# a run takes $run_us us, a restore $restore_us us"

while [ $killed -lt "$KILLS" ]; do
    kill_one
    check_killed
    [ "$(day_status "$D")" = cleaned ] || [ $((RANDOM % 2)) -eq 0 ] && [ $killed -lt "$KILLS" ] || continue
    finish_day
    next_day
done
finish_day
for state in "${!met[@]}"; do echo "# a kill left: $state, ${met[$state]} times"; done
echo "# $restore_kills restores were killed, too"
is "$KILLS kills: no event lost, none doubled, nothing left lying" "$differences" 0
ok "some kills came in the middle" test $((${met[pending]:-0} + ${met[completed]:-0})) -gt 0
ok "verify of all days" archive verify
is "sqlite3 finds the database whole" "$(pragma "$D" integrity_check)" ok
is "each event was counted once" "$(sql "$D" "SELECT sum(requests) FROM path_stats_hourly")" \
    $(((days_ago - 4) * EVENTS))
finish
