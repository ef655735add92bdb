/**
 * Tests for a guest as one module each. An emulated machine takes minutes for what it costs to find, read and translate the
 * hundreds of modules that such a test is made of; here it takes half a second.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'vite';
import { checkout } from './netloom.ts';

/** Two levels below the checkout, as the tests themselves: what asks for its place finds the checkout by it. */
export const bundleDirectory = 'dist/guest-tests';

/** `files` are `NAME.inside.ts` in the checkout; gives the `NAME.inside.mjs` of each. */
export async function bundleForGuest(files: readonly string[]): Promise<readonly string[]> {
  const names = files.map((file) => path.basename(file, '.inside.ts'));
  for (const [index, name] of names.entries()) {
    await build({
      root: checkout,
      configFile: false,
      logLevel: 'warn',
      publicDir: false,
      // Many small files, which cost most.
      ssr: { noExternal: ['zod', 'yaml'] },
      build: {
        ssr: files[index] ?? name,
        outDir: bundleDirectory,
        emptyOutDir: index === 0,
        minify: false,
        rollupOptions: { output: { entryFileNames: `${name}.bundle.mjs`, codeSplitting: false } },
      },
    });
  }
  return names.map((name) => {
    const entry = `${bundleDirectory}/${name}.inside.mjs`;
    // The runner translates what it is given, and takes what that imports as it is (test/vitest.config.ts).
    writeFileSync(path.join(checkout, entry), `import './${name}.bundle.mjs';\n`);
    return entry;
  });
}
