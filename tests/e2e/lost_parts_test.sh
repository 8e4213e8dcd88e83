#!/bin/bash
# A data directory of which a part is lost or damaged: what can be made anew is, and said; what cannot
# is refused with what to do.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh

LOG=tests/data/apache_sample.log
fresh() { rm -rf "$T/data"; D=$T/data; "$PATHSTATS" import --data-dir "$D" $LOG >/dev/null 2>&1; }
refused() { # name wanted-text command…
    local name=$1 wanted=$2
    shift 2
    run timeout 30 "$PATHSTATS" "$@" --data-dir "$D"
    [ $code -eq 1 ]
    report $? "$name: exit 1" "exit $code" "$err"
    like "$name: what to do is told" "$err" "$wanted"
}
hash_of() { sql "$D" "SELECT group_concat(client_ip_hash) FROM traffic_events"; }

# --- the secret ---

fresh
hashes=$(hash_of)
mv "$D/secret" "$T/secret"
refused "serve without its secret" "$D/secret is missing.*put it back.*--new-secret" serve --listen 127.0.0.1:0
refused "import without its secret" "$D/secret is missing.*put it back.*--new-secret" import $LOG
[ ! -e "$D/secret" ]
report $? "none was made"
is "and no client counted anew" "$(hash_of)" "$hashes"
ok "reading goes on" "$PATHSTATS" verify --data-dir "$D"

head -c 7 "$T/secret" >"$D/secret"
chmod 600 "$D/secret"
refused "a damaged secret" "$D/secret: 7 bytes where 32 belong.*--new-secret" serve --listen 127.0.0.1:0
is "it is left as it was" "$(stat -c %s "$D/secret")" 7

rm "$D/secret"
rm -f "$D"/pathstats.db*
mkdir -p "$D/queue"
: >"$D/queue/something"
refused "a queue alone" "$D/secret is missing" import $LOG
rm "$D/queue/something"

fresh
cp -p "$D/secret" "$T/secret"
mv "$D/secret" "$T/old"
cp -p "$T/old" "$D/secret"
ok "put back, it goes on" "$PATHSTATS" import --data-dir "$D" $LOG
is "and knows everything" "$(sql "$D" "SELECT count(*) FROM traffic_events")" 200
rm "$D/secret"
run "$PATHSTATS" import --new-secret --data-dir "$D" $LOG
is "--new-secret begins anew" "$code" 0
like "which is told" "$err" "$D/secret is new"
is "it is as private" "$(stat -c %a "$D/secret")" 600
cmp -s "$D/secret" "$T/old"
[ $? -eq 1 ]
report $? "and another one"

fresh
head -c 32 /dev/urandom >"$T/other"
cp -p "$D/secret" "$T/secret"
cat "$T/other" >"$D/secret"
refused "serve with another secret" "$D/secret is another one than $D/pathstats.db was made with.*--new-secret" serve --listen 127.0.0.1:0
refused "import with another secret" "$D/secret is another one" import $LOG
ok "reading goes on" "$PATHSTATS" verify --data-dir "$D"
cat "$T/secret" >"$D/secret"
ok "put back, it goes on" "$PATHSTATS" import --data-dir "$D" $LOG
cat "$T/other" >"$D/secret"
ok "--new-secret takes the other one" "$PATHSTATS" import --new-secret --data-dir "$D" $LOG
ok "once is enough" "$PATHSTATS" import --data-dir "$D" $LOG
cat "$T/secret" >"$D/secret"
refused "and the old one is another one now" "$D/secret is another one" import $LOG
sql "$D" "DELETE FROM meta WHERE name = 'secret'"
ok "a database from before takes the secret that is there" "$PATHSTATS" import --data-dir "$D" $LOG
cat "$T/other" >"$D/secret"
refused "from then on" "$D/secret is another one" import $LOG

# --- the kv ---

fresh
"$PATHSTATS" snapshot refresh --data-dir "$D" >/dev/null
printf 'this is no database' | dd of="$D/kv.db" conv=notrunc status=none
start_server "$D"
like "a broken kv.db: the log tells" "$(cat "$server_log")" "$D/kv.db was damaged and is made anew; the old one is $D/kv.db.broken-2[0-9]{7}T[0-9]{6}Z"
is "it is kept" "$(ls "$D" | grep -c 'kv.db.broken-.*Z$')" 1
is "the server is well" "$(curl -s -o /dev/null -w '%{http_code}' "$url/api/health")" 200
stop_server
ok "the events are all there" "$PATHSTATS" verify --data-dir "$D"

# --- the database ---

lost_database="$D/pathstats.db is new, not the one that was here last: put that one back.*--new-database"
for how in deleted empty; do
    fresh
    mv "$D/pathstats.db" "$T/old.db"
    [ $how = deleted ] || : >"$D/pathstats.db"
    refused "$how: serve" "$lost_database" serve --listen 127.0.0.1:0
    refused "$how: import, after that" "$lost_database" import $LOG
    mv "$T/old.db" "$D/pathstats.db"
    ok "$how: put back, it goes on" "$PATHSTATS" import --data-dir "$D" $LOG
    is "$how: and knows everything" "$(sql "$D" "SELECT count(*) FROM traffic_events")" 200
done
mv "$D/pathstats.db" "$T/old.db"
ok "--new-database begins anew" "$PATHSTATS" import --new-database --data-dir "$D" $LOG
ok "once is enough" "$PATHSTATS" import --data-dir "$D" $LOG
mv "$T/old.db" "$D/pathstats.db"
refused "the old one is another one now" "$D/pathstats.db is another one, not the one that was here last" import $LOG
rm "$D/kv.db"
ok "without its kv nothing is known of that" "$PATHSTATS" import --data-dir "$D" $LOG
rm "$D/pathstats.db"
refused "but then it is" "$lost_database" import $LOG
fresh
sql "$D" "DELETE FROM meta WHERE name = 'id'"
sqlite3 "$D/kv.db" "DELETE FROM kv"
ok "a database from before gets its number" "$PATHSTATS" import --data-dir "$D" $LOG
is "which the kv knows" "$(sqlite3 "$D/kv.db" "SELECT count(*) FROM kv WHERE key = CAST('database:id' AS BLOB)")" 1

fresh
sqlite3 "$D/pathstats.db" "PRAGMA user_version = -1"
refused "a version out of any range" "$D/pathstats.db is a database of another program" import $LOG
refused "for who reads, too" "$D/pathstats.db is a database of another program" verify
rm -f "$D"/pathstats.db*
sqlite3 "$D/pathstats.db" "CREATE TABLE notes(a); INSERT INTO notes VALUES ('mine')"
refused "a database of another program" "$D/pathstats.db is a database of another program.*--data-dir" serve --listen 127.0.0.1:0
is "is left alone" "$(sql "$D" "SELECT a FROM notes; PRAGMA journal_mode")" "mine
delete"
echo "this is no database, it only has its name" >"$D/pathstats.db"
refused "what is no database" "$D/pathstats.db: file is not a database.*put back a backup" import $LOG

finish
