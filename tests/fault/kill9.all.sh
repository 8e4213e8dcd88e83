#!/bin/bash
# Many kills; see tests/support/kill9.sh.
#
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
source tests/support/tap.sh
KILLS=${KILLS:-60}
source tests/support/kill9.sh
