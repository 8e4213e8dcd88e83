#!/bin/bash
# The house in numbers: how long functions and files are, how many assertions there are, and which
# headers include each other in a circle. Prints; exits with 1 when a circle or a file over 800
# lines is found.
#
# In the project's format a function body is what lies between a "{" and a "}" in the first column.
set -eu
cd "$(dirname "$0")/.."
mapfile -t sources < <(git ls-files 'src/*.c' 'src/*.h')

awk 'FNR == 1 { inside = 0 }
     /^\{/ { inside = 1; start = FNR; next }
     /^\}/ { if (inside) print FNR - start - 1, FILENAME ":" start; inside = 0 }' "${sources[@]}" |
    sort -n | awk '{ length_of[NR] = $1; place[NR] = $2 }
        END { printf "functions        %d, median %d lines, p99 %d, longest %d (%s)\n", NR,
                  length_of[int((NR + 1) / 2)], length_of[int(NR * 99 / 100)], length_of[NR], place[NR] }'
wc -l "${sources[@]}" | sort -n | awk '$2 != "total" { lines = $1; file = $2; n++; sum += $1 }
    END { printf "files            %d, %d lines, longest %d (%s)\n", n, sum, lines, file; exit lines > 800 }'
awk '/PS_ASSERT\(/ { n++ } END { printf "assertions       %d, %.1f per 1,000 lines\n", n, n * 1000 / NR }' "${sources[@]}"

# a.h -> b.h for each #include between headers of ours; tsort names what goes in circles. A .c file and
# its header are one thing: what the .c includes counts for the header too, within its folder.
circles=$(for file in "${sources[@]}"; do
    from=${file#src/} from=${from%.[ch]}
    sed -nE 's/^#include "([^"]*)\.h"$/\1/p' "$file" | while read -r to; do
        [ "$from" = "$to" ] || [ "${from%/*}" != "${to%/*}" ] || echo "$from $to"
    done
done | tsort 2>&1 >/dev/null | sed -n 's/^tsort: //p' | grep -v 'input contains a loop' || true)
if [ -n "$circles" ]; then
    printf 'circles          of files of one folder that need each other:\n%s\n' "$(sed 's/^/    /' <<<"$circles")"
    exit 1
fi
echo "circles          none"
