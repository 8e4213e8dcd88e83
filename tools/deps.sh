#!/bin/sh
# Brings the Debian packages a part of the project needs: build, test or all. Asks apt only for what
# is missing, so a machine that has everything needs neither root nor a network.
set -eu
build="gcc make pkg-config libsqlite3-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev zlib1g-dev libdeflate-dev libinih-dev"
test="$build libcmocka-dev libjansson-dev libxxhash-dev sqlite3 curl gawk"
all="$test clang lld clang-format llvm libclang-rt-14-dev nodejs python3 ceph-mon ceph-osd radosgw ceph-common valgrind"
case "${1:-build}" in
build) want=$build ;;
test) want=$test ;;
all) want=$all ;;
*) echo "usage: tools/deps.sh build|test|all" >&2; exit 64 ;;
esac
missing=
for package in $want; do
    case $package in
    nodejs) command -v node >/dev/null 2>&1 && continue ;;
    esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -q
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing
