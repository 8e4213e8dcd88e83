#!/bin/bash
# A server on a disk that fails: every call × every fault, kill and power loss. Says what did not fit.
exec env SWEEP_SECONDS="${SWEEP_SECONDS:-135}" "${BUILD:-build}/tests/fault/disk_sweep_test" all serve serve-new
