import { defineConfig } from 'vite';

/** One bundle a mode, each a single file: `main/start/build.mjs` moves it into place in one step. */
const entries: Readonly<Record<string, string>> = {
  agent: 'agent.ts',
  'realm-setup': 'realm/setup.ts',
  probe: 'probe.ts',
  collector: 'collector.ts',
  'capture-worker': 'capture-worker.ts',
};

const native = ['zeromq', 'koffi'];

export default defineConfig(({ mode }) => {
  const entry = entries[mode];
  if (entry === undefined) throw new Error(`there is no bundle named ${mode}`);
  return {
    root: import.meta.dirname,
    publicDir: false,
    ssr: { target: 'node', noExternal: true, external: native },
    build: {
      ssr: entry,
      target: 'node20',
      minify: false,
      sourcemap: false,
      rolldownOptions: {
        external: native,
        output: { format: 'es', entryFileNames: `${mode}.js`, codeSplitting: false },
      },
    },
  };
});
