import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  cacheDir: 'node_modules/.vite-test',
  test: {
    // Relative to --dir, which names the tier.
    include: [
      '**/*.test.ts',
      // What only a machine of one's own can show.
      ...(process.env['NETLOOM_GUEST'] === '1' ? ['**/*.inside.ts', '**/*.inside.mjs'] : []),
    ],
    pool: 'forks',
    // Made for a guest, to which translating anything is dear.
    server: { deps: { external: [/\.bundle\.mjs$/] } },
    // A bound against hanging, not a measurement.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000, interval: 100 } },
  },
});
