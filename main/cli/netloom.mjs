#!/usr/bin/env node
/** The `netloom` command: brings the build up to date, then runs it. Plain JavaScript, as it comes first. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { applicationRoot, build, BuildError } from '../start/build.mjs';

try {
  await build({
    install: false,
    only: ['agent', 'realm-setup', 'probe', 'collector', 'capture-worker', 'keeper', 'cli'],
  });
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  process.stderr.write(`error: netloom: ${error.message}\n`);
  process.exit(2);
}
await import(pathToFileURL(path.join(applicationRoot, 'dist/main/cli.js')).href);
