// run_wasm.mjs - runs the cases in WebAssembly and speaks TAP: what comes out must be, byte for
// byte, what stands below `expect`, which is what the native runner prints.
//
//     node run_wasm.mjs MODULE CASE ...             one test a case, and one for the imports
//     node run_wasm.mjs MODULE --simulate FROM TO   prints ps_case_simulate of these seeds
//
// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

const [modulePath, ...rest] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(modulePath));

// One instance a case: a trap in one must not leave its memory to the next.
function start() {
    const { exports } = new WebAssembly.Instance(module, {});
    const output = (n) => {
        const at = exports.ps_wasm_output();
        return Buffer.from(exports.memory.buffer.slice(at, at + n));
    };
    const put = (bytes) => new Uint8Array(exports.memory.buffer).set(bytes, exports.ps_wasm_input());
    return { exports, output, put };
}

function runCase(path) {
    const text = readFileSync(path);
    const { exports, output, put } = start();
    put(text);
    const printed = output(exports.ps_wasm_run(text.length));
    const expected = text.subarray(exports.ps_wasm_expected_at(text.length));
    return { same: printed.length > 0 && printed.equals(expected), printed };
}

function simulate(from, to) {
    const { exports, output } = start();
    for (let seed = BigInt(from); seed <= BigInt(to); seed++)
        process.stdout.write(output(exports.ps_wasm_simulate(seed)));
}

function test(name, check) {
    let why = null;
    try {
        why = check();
    } catch (e) {
        why = String(e);
    }
    console.log(`${why === null ? 'ok' : 'not ok'} - ${name}`);
    if (why !== null) {
        console.log(why.replace(/^/gm, '# '));
        process.exitCode = 1;
    }
}

if (rest[0] === '--simulate') {
    simulate(rest[1], rest[2]);
} else {
    test('wasm: no imports', () => {
        const imports = WebAssembly.Module.imports(module);
        return imports.length === 0 ? null : imports.map((i) => `${i.module}.${i.name}`).join('\n');
    });
    for (const path of rest)
        test(`wasm: ${basename(path)}`, () => {
            const { same, printed } = runCase(path);
            return same ? null : `printed\n${printed}`;
        });
}
