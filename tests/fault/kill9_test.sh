#!/bin/bash
# A few kills in the light run; see tests/support/kill9.sh. kill9.all.sh has many.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
KILLS=${KILLS:-5} ROUND_BATCHES=1500
source tests/support/kill9.sh
