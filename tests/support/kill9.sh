# kill9.sh - the body of tests/fault/kill9_test.sh and kill9.all.sh, which say how many KILLS.
#
# A server under load is killed with SIGKILL, again and again, at moments nobody chose:
#
#   1. three senders deliver new batches; what was answered with 202 is written down. Then, before
#      anything is delivered again, every acknowledged id must be there (I3).
#   2. everything is delivered again, acknowledged or not, while the killing goes on, and once more
#      to the end. Then ids, and counts per path and hour, are exactly the expected ones (I1).
#
# After each kill the audit must find no difference in what lies on the disk. A kill leaves the page
# cache alone, so this shows the order of writes and not their syncing; the simulator shows that.
#
# Every fourth kill hits the server while it starts. Batches hold ids that begin with their event's
# time, ids that do not, ids that begin with another time, and events of earlier batches. SEED
# repeats the choices, though not the moments.
#
# SPDX-License-Identifier: MIT
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((SEED & 32767))
echo "# KILLS=$KILLS SEED=$SEED"

SENDERS=3
BATCH_EVENTS=20
ROUND_BATCHES=${ROUND_BATCHES:-400} # new ones before each kill, more than there is time for in some round
FIRST_KILLS=$((KILLS * 3 / 5))
BATCHES=$((FIRST_KILLS * ROUND_BATCHES))
D=$T/data

# Event k is a function of k, so batch b, which holds BATCH_EVENTS - 2 new ones and two earlier ones,
# repeats them exactly. Writes $T/batches/N and $T/expected.all: id path hour errors (0 or 1) microseconds.
make_batches() {
    mkdir "$T/batches"
    awk -v batches=$BATCHES -v per=$BATCH_EVENTS -v seed=$SEED -v dir="$T" '
    function put(k, file,   second, ms, id, day, path, status, time) {
        second = (k * 7919) % (3 * 86400)
        ms = (1431907200 + second) * 1000 + k % 1000
        day = 18 + int(second / 86400)
        path = "/path/" k % 7
        status = k % 10 == 0 ? 500 : 200
        time = k % 500
        id = k % 4 == 2 ? sprintf("order-%d", k) : \
            sprintf("%.0f-%d", k % 4 == 3 ? ms - 86400000 : ms, k)
        printf "{\"path\":\"%s?k=%d\",\"timestamp\":%.0f,\"status\":%d,\"responseTime\":%d.25," \
            "\"clientIp\":\"10.0.%d.%d\",\"idempotentId\":\"%s\"}\n", path, k, ms, status, time,
            k % 5, k % 250, id >file
        printf "%s %s 2015-05-%dT%02d %d %d\n", id, path, day, int(second % 86400 / 3600),
            (k % 10 == 0), time * 1000 + 250 >(dir "/expected.all")
    }
    BEGIN {
        srand(seed)
        for (b = 0; b < batches; b++) {
            file = dir "/batches/" b
            first = b * (per - 2)
            for (i = 0; i < per - 2; i++)
                put(first + i, file)
            for (i = 0; i < 2; i++)
                put(int(rand() * (first + per - 2)), file)
            close(file)
        }
    }'
    sort -u "$T/expected.all" >"$T/expected.events"
    cut -d' ' -f1 "$T/expected.events" >"$T/expected.ids"
    awk '{ key = $2 "|" $3; n[key]++; errors[key] += $4; us[key] += $5 }
        END { for (key in n) print key "|" n[key] "|" errors[key] "|" us[key] "|" n[key] }' \
        "$T/expected.events" | sort >"$T/expected.stats"
}

# One curl, one connection, a batch after the other until the server is gone. Answers go to a file.
send() { # file with the numbers of batches, file for the answers
    awk -v url="$url/api/events" -v dir="$T/batches" '{
        if (NR > 1) print "next"
        printf "url = \"%s\"\ndata-binary = \"@%s/%s\"\noutput = \"/dev/null\"\n", url, dir, $1
        printf "write-out = \"%%{http_code} %s\\n\"\n", $1
    }' "$1" >"$1.curl"
    curl -s --fail-early -K "$1.curl" >>"$2" 2>/dev/null
}

start_senders() { # file with the numbers of batches
    local i
    senders=()
    for ((i = 0; i < SENDERS; i++)); do
        awk -v i=$i -v n=$SENDERS 'NR % n == i' "$1" >"$T/sender.$i"
        send "$T/sender.$i" "$T/answers.$i" &
        senders+=($!)
    done
}

# Other limits each time, so that the kill meets small and large batches, early and late flushes, a
# queue that is full, and, as a segment is a quarter of it at most, one that is being trimmed.
start_random() {
    local queues=(1MB 4MB) batches=(1 30 1000 50000) flushes=(1ms 20ms 200ms 1s)
    start_server "$D" --no-record-self --queue-max "${queues[RANDOM % 2]}" \
        --batch-events "${batches[RANDOM % 4]}" --flush-interval "${flushes[RANDOM % 4]}"
}

wait_a_little() { # milliseconds at most: the random moment itself, not a wait for something
    sleep "$(printf '0.%03d' $((RANDOM % $1)))"
}

kill_starting() {
    "$PATHSTATS" serve --data-dir "$D" --listen 127.0.0.1:0 2>"$T/starting" </dev/null &
    server=$!
    wait_a_little 30
    stop_server KILL
}

audit() {
    "$PATHSTATS" verify --data-dir "$D" >"$T/audit" 2>&1
}

differences=0
audit_killed() { # a killed server's data; the first kill may come before there is a database
    [ -e "$D/pathstats.db" ] || return 0
    audit && return 0
    differences=$((differences + 1))
    sed 's/^/# /' "$T/audit" | head -20
}

answered_since() { # how many were acknowledged before
    [ "$(cat "$T"/answers.* 2>/dev/null | grep -c '^202 ')" -gt "$1" ]
}

# Or nobody sends any more: a small queue that is still full of the round before refuses all of them.
answered_or_done() { answered_since "$1" || ! kill -0 "${senders[@]}" 2>/dev/null; }

# The moment is random, but not before something of this round was acknowledged: else, on a busy
# machine, every kill could come before the first answer, and nothing would be shown.
kill_under_load() { # file with the numbers of batches
    local before
    before=$(cat "$T"/answers.* 2>/dev/null | grep -c '^202 ')
    start_random || return 1
    start_senders "$1"
    eventually answered_or_done "$before"
    wait_a_little 150
    stop_server KILL
    wait "${senders[@]}" 2>/dev/null
    audit_killed
    [ $((RANDOM % 4)) -ne 0 ] || { kill_starting && audit_killed; }
    return 0
}

drain() {
    stop_server
    is "$1: it stops with everything stored" $? 0
    sql "$D" "SELECT id FROM traffic_events" | sort >"$T/stored.ids"
    sql "$D" "SELECT path, hour_bucket, requests, errors,
        CAST(round(sum_response_time * 1000) AS INTEGER), count_response_time
        FROM path_stats_hourly" | sort >"$T/stored.stats"
    is "$1: no id is there twice" "$(uniq -d "$T/stored.ids" | wc -l)" 0
    is "$1: as many are counted as are stored" \
        "$(awk -F'|' '{ n += $3 } END { print n + 0 }' "$T/stored.stats")" "$(wc -l <"$T/stored.ids")"
    ok "$1: the audit finds no difference" audit
    is "$1: no dead letters" "$("$PATHSTATS" dead-letters list --data-dir "$D")" \
        "there are no dead letters"
}

make_batches

# 1. New batches, and each acknowledged one is there.
started=0
for ((round = 0; round < FIRST_KILLS; round++)); do
    seq $((round * ROUND_BATCHES)) $(((round + 1) * ROUND_BATCHES - 1)) >"$T/round"
    kill_under_load "$T/round" && started=$((started + 1))
done
is "it started after each of $FIRST_KILLS kills" "$started" "$FIRST_KILLS"
is "and each time the audit found no difference" "$differences" 0
cat "$T"/answers.* | sed -n 's/^202 //p' | sort -u >"$T/acknowledged"
acknowledged=$(wc -l <"$T/acknowledged")
echo "# $acknowledged of $BATCHES batches were acknowledged"
ok "some were acknowledged, and some were not" \
    test "$acknowledged" -gt 0 -a "$acknowledged" -lt "$BATCHES"
is "no answer but 202, and 503 when the queue was full" \
    "$(cat "$T"/answers.* | grep -vcE '^(202|503|000) ')" 0
ok "it starts for the first count" start_random
drain "before delivering again"
sed "s,^,$T/batches/," "$T/acknowledged" | xargs cat | sed 's/.*"idempotentId":"\([^"]*\)".*/\1/' |
    sort -u >"$T/acknowledged.ids"
is "each id of an acknowledged batch is stored" \
    "$(comm -23 "$T/acknowledged.ids" "$T/stored.ids" | head -5)" ""
is "nothing is stored that was not sent" "$(comm -13 "$T/expected.ids" "$T/stored.ids" | head -5)" ""

# 2. Everything again.
started=0 differences=0
for ((round = FIRST_KILLS; round < KILLS; round++)); do
    seq 0 $((BATCHES - 1)) | awk -v seed=$RANDOM 'BEGIN { srand(seed) } { print rand(), $1 }' |
        sort | cut -d' ' -f2 >"$T/round"
    kill_under_load "$T/round" && started=$((started + 1))
done
is "it started after each of the other $((KILLS - FIRST_KILLS)) kills" \
    "$started" $((KILLS - FIRST_KILLS))
is "and each time the audit found no difference, too" "$differences" 0
ok "it starts for the last delivery" start_server "$D" --no-record-self
rm -f "$T"/answers.*
seq 0 $((BATCHES - 1)) >"$T/round"
start_senders "$T/round"
wait "${senders[@]}"
cat "$T"/answers.* | sed -n 's/^202 //p' | sort -un >"$T/acknowledged"
same "every batch is accepted now" "$T/acknowledged" "$T/round"
drain "at the end"
same "the ids are exactly the expected ones" "$T/expected.ids" "$T/stored.ids"
same "counts, errors and times per path and hour are exact" "$T/expected.stats" "$T/stored.stats"
is "sqlite3 finds the database whole" "$(sql "$D" "PRAGMA integrity_check")" ok
finish
