#!/bin/bash
# deps.sh - brings what the benchmarks compare with: GoAccess, mawk, sqlite3 and GNU time from
# Debian, DuckDB from the npm registry into build/bench. Installs only what is missing.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/lib.sh"
DUCKDB_VERSION=1.5.6-r.1
missing=
for package in goaccess mawk sqlite3 time valgrind; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing
fi
if command -v npm >/dev/null; then
    npm install --silent --no-audit --no-fund --prefix "$BENCH_DIR" "@duckdb/node-api@$DUCKDB_VERSION"
else
    note "******** npm is missing: DuckDB is NOT installed"
fi
