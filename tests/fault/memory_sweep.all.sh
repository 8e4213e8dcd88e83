#!/bin/bash
# Every command where the n-th allocation finds no memory, for as many n as there is time for.
exec env SWEEP_SECONDS="${SWEEP_SECONDS:-10}" "${BUILD:-build}/tests/fault/disk_sweep_test" memory
