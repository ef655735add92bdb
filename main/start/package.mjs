// `npm run package`: builds, lays the Node runtime out for the agent, and runs electron-builder.
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { applicationRoot, build } from './build.mjs';

await build();

const runtime = path.join(applicationRoot, 'out/runtime');
mkdirSync(runtime, { recursive: true });
copyFileSync(process.execPath, path.join(runtime, 'node'));
chmodSync(path.join(runtime, 'node'), 0o755);

const { build: packageApplication, Platform } = await import('electron-builder');
const targets = process.argv.slice(2);

try {
  const files = await packageApplication({
    projectDir: applicationRoot,
    config: path.join(applicationRoot, 'electron-builder.yml'),
    targets: Platform.LINUX.createTarget(targets.length > 0 ? targets : undefined),
    publish: 'never',
  });
  for (const file of files) console.log(file);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  console.error(`error: Netloom's package: ${message.split('\n')[0]}`);
  // Everything before this point needs no network but the package registry.
  if (
    /electron.*(zip|download|fetch)|ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|socket|status code/i.test(
      message,
    )
  ) {
    console.error(
      "Electron's binary could not be fetched. Everything else is in place: run this again where its release files can be reached, or set ELECTRON_OVERRIDE_DIST_PATH to a directory that holds them.",
    );
  }
  process.exit(1);
}
