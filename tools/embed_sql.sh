#!/bin/sh
# Prints one C string literal per migration, in order, each followed by a comma.
set -eu
for file in "$1"/*.sql; do
    printf '/* %s */\n' "$(basename "$file")"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$/\\n"/' "$file"
    printf ',\n'
done
