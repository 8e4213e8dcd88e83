#!/bin/bash
# A few kills of `archive run` in the light run; see tests/support/archive_kill9.sh.
# archive_kill9.all.sh has many.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
source tests/support/archive_lib.sh
KILLS=${KILLS:-5} EVENTS=${EVENTS:-30000}
source tests/support/archive_kill9.sh
