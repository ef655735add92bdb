import { defineConfig } from 'vite';

/** One bundle a mode, each a single file: `main/start/build.mjs` moves it into place in one step. */
const entries: Readonly<Record<string, string>> = {
  cli: 'cli/run.ts',
  gateway: 'gateway/start.ts',
  electron: 'app/main.ts',
  preload: 'app/preload.ts',
};

const nativeOrOptional = ['zeromq', 'koffi', 'electron', 'ws'];

export default defineConfig(({ mode }) => {
  const entry = entries[mode];
  if (entry === undefined) throw new Error(`there is no bundle named ${mode}`);
  // A sandboxed preload is CommonJS and may require nothing but `electron`.
  const preload = mode === 'preload';
  return {
    root: import.meta.dirname,
    publicDir: false,
    ssr: { target: 'node', noExternal: true, external: nativeOrOptional },
    build: {
      ssr: entry,
      target: 'node20',
      minify: false,
      sourcemap: false,
      rolldownOptions: {
        external: preload ? ['electron'] : nativeOrOptional,
        output: {
          format: preload ? 'cjs' : 'es',
          entryFileNames: preload ? '[name].cjs' : `${mode}.js`,
          codeSplitting: false,
        },
      },
    },
  };
});
