#!/bin/bash
# Import, archive, restore and replay on a disk that fails: every call × every fault, kill and power
# loss. Says what did not fit.
exec env SWEEP_SECONDS="${SWEEP_SECONDS:-55}" "${BUILD:-build}/tests/fault/disk_sweep_test" all import import-new archive restore replay
