// Type-checks every part with the compiler settings of its folder; the parts go in parallel.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const checks = [
  ['node_modules/typescript/bin/tsc', 'agent'],
  ['node_modules/typescript/bin/tsc', 'main'],
  ['node_modules/vue-tsc/bin/vue-tsc.js', 'renderer'],
  ['node_modules/vue-tsc/bin/vue-tsc.js', 'test'],
];

const codes = await Promise.all(
  checks.map(
    ([compiler, part]) =>
      new Promise((resolve) => {
        const child = spawn(process.execPath, [compiler, '--noEmit', '-p', part], {
          cwd: root,
          stdio: 'inherit',
        });
        child.on('close', (code) => resolve(code ?? 1));
      }),
  ),
);
process.exit(codes.every((code) => code === 0) ? 0 : 1);
