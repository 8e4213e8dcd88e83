#!/bin/bash
# A private S3 service for tests: Ceph with one monitor, one memory-backed OSD and one gateway, all on
# loopback, on ports that were free, with every file in one folder.
#
#   tests/support/ceph.sh up FOLDER     starts it; writes FOLDER/env (S3_ENDPOINT, S3_KEY, S3_SECRET)
#   tests/support/ceph.sh down FOLDER   stops what was started there; the folder stays
#
# `up` exits 1 with the reason on standard error; whoever calls it calls `down` in any case. The
# daemons get no descriptor of the caller's, so a lock or a pipe of his does not live on in them.
# cephx stays on: without it the gateway of Ceph 16 waits for ever.
set -u
action=${1:?up or down} root=${2:?a folder}
conf=$root/ceph.conf
WAIT_S=60

die() { echo "ceph: $1" >&2; exit 1; }

# Runs a command that may leave a daemon behind, with the caller's descriptors closed.
detached() {
    (
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            [ "$fd" -gt 2 ] 2>/dev/null && eval "exec $fd>&-"
        done
        exec timeout "$WAIT_S" "$@" </dev/null >>"$root/start.log" 2>&1
    )
}

free_ports() { # how many
    python3 - "$1" <<'PY'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])
PY
}

write_conf() {
    local fsid=$1 mon2=$2 mon1=$3 http=$4
    cat >"$conf" <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon2,v1:127.0.0.1:$mon1]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = $root/keyring
run dir = $root/run
admin socket = $root/run/\$name.asok
pid file = $root/run/\$name.pid
log file = $root/\$name.log
mon data = $root/mon
osd data = $root/osd
rgw data = $root/rgw
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = false
mon initial members = a
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
mon osd crush smoke test = false
mon warn on insecure global id reclaim allowed = false
[client.gateway]
rgw frontends = beast endpoint=127.0.0.1:$http
rgw enable usage log = false
rgw dns name = localhost
CONF
}

make_keys() {
    local k=$root/keyring
    {
        ceph-authtool --create-keyring "$k" --gen-key -n mon. --cap mon 'allow *' &&
            ceph-authtool "$k" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' &&
            ceph-authtool "$k" --gen-key -n client.gateway --cap mon 'allow rw' --cap osd 'allow rwx' &&
            ceph-authtool "$k" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    } >>"$root/start.log" 2>&1
}

admin() { detached ceph -c "$conf" --connect-timeout 20 "$@"; }

until_true() { # command...: polls until it succeeds
    local end=$((SECONDS + WAIT_S))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

osd_is_up() { timeout 20 ceph -c "$conf" osd stat 2>/dev/null | grep -q '1 up'; }

start_all() {
    local fsid=$1 mon2=$2 mon1=$3 http=$4 osd_id
    osd_id=$(cat /proc/sys/kernel/random/uuid)
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon2,v1:127.0.0.1:$mon1]" "$root/monmap" >/dev/null || die "no monitor map"
    make_keys || die "no keys"
    detached ceph-mon -c "$conf" -i a --mkfs --monmap "$root/monmap" --keyring "$root/keyring" || die "the monitor's folder"
    detached ceph-mon -c "$conf" -i a || die "the monitor did not start"
    admin osd new "$osd_id" 0 || die "the monitor does not answer"
    detached ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd_id" || die "the OSD's folder"
    admin osd crush add osd.0 1.0 root=default host=localhost || die "the OSD has no place"
    detached ceph-osd -c "$conf" -i 0 || die "the OSD did not start"
    until_true osd_is_up || die "the OSD does not come up"
    detached radosgw -c "$conf" -n client.gateway || die "the gateway did not start"
    until_true curl -sS --noproxy '*' --max-time 5 -o "$root/answer" "http://127.0.0.1:$http/" || die "the gateway does not answer"
}

up() {
    local ports key secret
    for tool in ceph-mon ceph-osd radosgw radosgw-admin ceph ceph-authtool monmaptool python3 curl; do
        command -v $tool >/dev/null || die "$tool is not installed"
    done
    mkdir -p "$root"/{mon,osd,rgw,run} || die "cannot write to $root"
    ports=$(free_ports 3) || die "no free ports"
    # shellcheck disable=SC2086
    set -- $ports
    fsid=$(cat /proc/sys/kernel/random/uuid)
    write_conf "$fsid" "$1" "$2" "$3"
    start_all "$fsid" "$1" "$2" "$3"
    key=K$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
    secret=$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
    detached radosgw-admin -c "$conf" -n client.gateway user create --uid=test --display-name=test --access-key="$key" --secret="$secret" ||
        die "no user"
    printf 'S3_ENDPOINT=http://127.0.0.1:%s\nS3_KEY=%s\nS3_SECRET=%s\n' "$3" "$key" "$secret" >"$root/env"
}

# A pid file may be old and its number somebody else's: only a process of this cluster is ended.
is_ours() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "-c $conf "; }

none_left() { # pids...
    local pid
    for pid in "$@"; do is_ours "$pid" && return 1; done
    return 0
}

# The numbers are read once: a daemon removes its file before it is gone.
down() {
    local file pid pids=()
    for file in "$root"/run/*.pid; do
        pid=$(cat "$file" 2>/dev/null) && [ -n "$pid" ] && pids+=("$pid")
    done
    for signal in TERM KILL; do
        for pid in "${pids[@]}"; do
            is_ours "$pid" && kill -$signal "$pid" 2>/dev/null
        done
        WAIT_S=5 until_true none_left "${pids[@]}" && return 0
    done
}

case $action in
up) up ;;
down) down ;;
*) die "up or down, not $action" ;;
esac
