#!/bin/bash
# Fifty kills of `archive run`; see tests/support/archive_kill9.sh.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh
KILLS=${KILLS:-50} EVENTS=${EVENTS:-100000}
source tests/support/archive_kill9.sh
