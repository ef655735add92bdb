/** What `npm run package` ships, laid out as the package lays it out: its `netloom` works, as root and as a user. */
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { checkout, Netloom, ordinaryUser, parse, temporaryDirectory } from '../harness/netloom.ts';

interface Resource {
  readonly from: string;
  readonly to: string;
  readonly filter?: readonly string[];
}

const prefix = '/opt/Netloom';

/** Copies electron-builder's `extraResources` to where an installed package has them. */
function layOut(resources: string): void {
  const { extraResources } = parseYaml(
    readFileSync(path.join(checkout, 'electron-builder.yml'), 'utf8'),
  ) as { readonly extraResources: readonly Resource[] };
  for (const { from, to, filter = [] } of extraResources) {
    const left = filter
      .map((pattern) => /^!(?<folder>.*)\/\*\*$/.exec(pattern)?.groups?.['folder'])
      .filter((folder) => folder !== undefined);
    // `npm run package` copies the Node that runs it.
    const source = from === 'out/runtime/node' ? process.execPath : path.join(checkout, from);
    cpSync(source, path.join(resources, to), {
      recursive: true,
      dereference: true,
      filter: (file) => !left.includes(path.relative(source, file)),
    });
  }
}

/** The command that the package's script writes, for an application in another place. */
function packagedCommand(application: string): string {
  const script = readFileSync(path.join(checkout, 'assets/packaging/after-install.sh'), 'utf8');
  const written = /^cat >\/usr\/bin\/netloom <<'SCRIPT'\n(?<text>.*?)^SCRIPT$/ms.exec(script);
  if (written?.groups === undefined) throw new Error('the script writes no command');
  const file = path.join(application, 'netloom');
  writeFileSync(file, (written.groups['text'] ?? '').replaceAll(prefix, application));
  chmodSync(file, 0o755);
  return file;
}

let command: string;
let resources: string;
beforeAll(() => {
  const application = path.join(temporaryDirectory('package'), 'Netloom');
  mkdirSync(application, { mode: 0o755 });
  resources = path.join(application, 'resources');
  layOut(resources);
  command = packagedCommand(application);
});

const people = [
  { who: 'whoever runs the tests', user: process.getuid?.() ?? 0 },
  ...(process.getuid?.() === 0 ? [{ who: 'an ordinary user', user: ordinaryUser }] : []),
];

describe.each(people)('as $who', ({ user }) => {
  let netloom: Netloom;
  beforeAll(() => {
    netloom = new Netloom({ user, command: [command] });
  });
  afterAll(() => netloom.dispose());

  it('tells its version', async () => {
    const { version } = JSON.parse(readFileSync(path.join(checkout, 'package.json'), 'utf8')) as {
      readonly version: string;
    };
    expect((await netloom.must(['--version'])).stdout).toBe(`${version}\n`);
  });

  it('puts a lab of the gallery up, with its own agent and Node, and its checks hold', async () => {
    const lab = path.join(resources, 'application/assets/labs/two-namespaces.yaml');
    expect(parse(await netloom.must(['test', lab, '--json']))).toMatchObject({
      passed: 1,
      failed: 0,
      skipped: 0,
    });
  });
});
