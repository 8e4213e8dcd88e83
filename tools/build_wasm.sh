#!/bin/bash
# Builds src/core, what it uses of src/base and the runner of tests/cases into one WebAssembly module that
# imports nothing: no libc, no clock, no memory of somebody else's. Prints the path of the module.
# Needs clang and wasm-ld (Debian: clang, lld), and node to look at the imports.
set -eu
cd "$(dirname "$0")/.."
out=${BUILD:-build}/wasm
module=$out/pathstats_core.wasm
for tool in clang wasm-ld; do
    command -v $tool >/dev/null || { echo "build_wasm: $tool is missing (Debian: clang lld)" >&2; exit 69; }
done
mkdir -p "$out"
objects=()
for source in src/core/*.c src/base/time.c src/base/near.c tests/cases/case_*.c tests/cases/wasm.c; do
    object=$out/$(tr / _ <<<"${source%.c}").o
    clang --target=wasm32 -std=c17 -ffreestanding -nostdlib -O2 -ffp-contract=off -mbulk-memory \
        -Wall -Wextra -Wshadow -Isrc -c -o "$object" "$source"
    objects+=("$object")
done
# The stack comes first in memory, so that one too deep traps instead of writing over data.
wasm-ld --no-entry --stack-first -z stack-size=1048576 --fatal-warnings -o "$module" "${objects[@]}"
if command -v node >/dev/null; then
    # shellcheck disable=SC2016
    node -e '
        const module = new WebAssembly.Module(require("fs").readFileSync(process.argv[1]));
        const imports = WebAssembly.Module.imports(module);
        for (const i of imports) console.error(`build_wasm: imports ${i.module}.${i.name}`);
        process.exit(imports.length === 0 ? 0 : 1);' "$module"
else
    echo "build_wasm: no node here, so only the linker looked for imports" >&2
fi
echo "$module"
