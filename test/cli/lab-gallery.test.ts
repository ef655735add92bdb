/** Every lab of the gallery on the real kernel, as root and as an ordinary user, beside the same network made by hand. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BareNetwork, makeBareNetwork } from '../harness/lab-bare-network.ts';
import { labScripts, realmScript } from '../harness/lab-expectations.ts';
import { readMachine } from '../harness/lab-machine.ts';
import {
  type CommandResult,
  gallery,
  isAlive,
  Netloom,
  ordinaryUser,
  parse,
  processesIn,
  type RunningRealm,
} from '../harness/netloom.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';

const files = readdirSync(gallery)
  .filter((name) => name.endsWith('.yaml'))
  .sort();
const labOf = (file: string): string => path.basename(file, '.yaml');
const fileOf = (file: string): string => path.join(gallery, file);
/** Its ports take ten seconds to the forwarding state: it waits beside the others. */
const slow = 'stp-ring.yaml';

const isRoot = process.getuid?.() === 0;
const people = [
  { who: isRoot ? 'root' : 'the person who runs the tests', user: process.getuid?.() ?? 0 },
  ...(isRoot ? [{ who: 'an ordinary user', user: ordinaryUser }] : []),
];

/** The network of a script, made by hand in an empty one. */
async function byHand(...scripts: readonly string[]): Promise<NetworkState> {
  const bare: BareNetwork = await makeBareNetwork();
  try {
    bare.script(scripts.join('\n'));
    return readNetworkState(bare.inside);
  } finally {
    bare.end();
  }
}

/** What a lab is on this kernel, made by hand; null when it lacks something that the lab needs. */
const byHandOf = new Map<string, Promise<NetworkState | null>>();
function expectedOf(file: string): Promise<NetworkState | null> {
  const script = labScripts[file];
  if (script === undefined) throw new Error(`no network written by hand for ${file}`);
  const known =
    byHandOf.get(file) ??
    byHand(realmScript, script).catch((error: unknown) => {
      // iproute2's words for a kind of link, a queueing discipline or a setting that the kernel does not have.
      if (/Unknown device type|kind is unknown|not supported/i.test(String(error))) return null;
      throw error;
    });
  byHandOf.set(file, known);
  return known;
}

function expectNothingLeft(realm: RunningRealm): void {
  expect(isAlive(realm.keeper)).toBe(false);
  // A namespace ends with its last process, and everything in it with it.
  expect(processesIn(realm.processes)).toEqual([]);
  expect(processesIn(realm.network)).toEqual([]);
}

const machineBefore = readMachine();
let tested: Promise<CommandResult>;
let tester: Netloom;

beforeAll(() => {
  tester = new Netloom();
  tested = tester.run(['test', ...files.map(fileOf)]);
});
afterAll(async () => {
  await tested;
  await tester.dispose();
});

describe.each(people)('as $who', ({ user }) => {
  let netloom: Netloom;
  let slowUp: Promise<CommandResult>;

  beforeAll(() => {
    netloom = new Netloom({ user });
    slowUp = netloom.run(['up', fileOf(slow), '--yes', '--json']);
  });
  afterAll(async () => {
    await slowUp;
    await netloom.dispose();
  });

  it.each([...files.filter((file) => file !== slow), slow])(
    'brings %s up as written by hand, and down without a trace',
    async (file) => {
      const expected = await expectedOf(file);
      const up = await (file === slow
        ? slowUp
        : netloom.run(['up', fileOf(file), '--yes', '--json']));
      if (expected === null) {
        // The guest tier brings it up. Here it is refused before anything happens.
        expect(up.status).toBe(1);
        expect(up.stderr).toMatch(/This machine lacks (link|queueing|bridge):/);
        const realms = (await netloom.realms()).map(({ realm }) => realm);
        expect(realms).not.toContain(`sandbox:${labOf(file)}`);
        return;
      }
      expect(up.status, up.stderr).toBe(0);
      const { checks } = parse<{ readonly checks: readonly { readonly outcome: string }[] }>(up);
      expect(checks.length).toBeGreaterThan(0);
      expect(checks.map(({ outcome }) => outcome)).toEqual(checks.map(() => 'passed'));
      const realm = await netloom.realm(labOf(file));
      expect(networkDifferences(expected, readNetworkState(realm.inRealm))).toEqual([]);

      const again = await netloom.must(['plan', fileOf(file), '--json']);
      expect(parse<{ readonly steps: readonly unknown[] }>(again).steps).toEqual([]);

      await netloom.must(['down', labOf(file)]);
      expectNothingLeft(realm);
    },
  );

  it('leaves no realm, socket or key behind', async () => {
    expect(await netloom.realms()).toEqual([]);
    const left = existsSync(netloom.directories.runtime)
      ? readdirSync(netloom.directories.runtime)
      : [];
    expect(left.filter((name) => !name.endsWith('.lock'))).toEqual([]);
  });

  it('takes a lab out of a shared realm and leaves the other as it is', async () => {
    const shared = ['--realm', 'sandbox:shared', '--yes'];
    await netloom.must(['up', fileOf('two-namespaces.yaml'), ...shared]);
    const realm = await netloom.namedRealm('sandbox:shared');
    const alone = readNetworkState(realm.inRealm);
    await netloom.must(['up', fileOf('one-bridge.yaml'), ...shared]);
    const both = await byHand(
      realmScript,
      labScripts['two-namespaces.yaml'] ?? '',
      labScripts['one-bridge.yaml'] ?? '',
    );
    expect(networkDifferences(both, readNetworkState(realm.inRealm))).toEqual([]);
    await netloom.must(['down', 'one-bridge']);
    expect(networkDifferences(alone, readNetworkState(realm.inRealm))).toEqual([]);
    expect(isAlive(realm.keeper)).toBe(true);
    await netloom.must(['down', '--all']);
    expectNothingLeft(realm);
  });

  it('makes the same network by `plan --commands` and sh as by `up`', async () => {
    // Against nothing, as a person copies it; then in a realm that is as empty as that.
    for (const file of files) {
      const expected = await expectedOf(file);
      if (expected === null) continue;
      const transcript = await netloom.must(['plan', fileOf(file), '--commands']);
      const realm = await netloom.emptyRealm(`by-${labOf(file)}`);
      realm.script(transcript.stdout);
      // A process that a script leaves in the background is another program for a moment.
      await expect
        .poll(() => networkDifferences(expected, readNetworkState(realm.inRealm)), {
          message: `${file}:\n${transcript.stdout}`,
          timeout: 10_000,
          interval: 200,
        })
        .toEqual([]);
    }
  });
});

describe('netloom test', () => {
  it('passes the gallery and ends with the count', async () => {
    const { status, stdout, stderr } = await tested;
    expect(status, stderr).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    const lacking = new Set<string>();
    for (const file of files) if ((await expectedOf(file)) === null) lacking.add(file);
    const passed = files.length - lacking.size;
    expect(lines.at(-1)).toBe(`${passed} passed, 0 failed, ${lacking.size} skipped`);
    expect(lines.slice(0, -1).map((line) => line.split(': ')[0])).toEqual(
      files.map((file) => `${lacking.has(file) ? 'skipped' : 'passed'} ${fileOf(file)}`),
    );
    expect(await tester.realms()).toEqual([]);
  });

  it('fails a lab whose check does not hold, and a file that is no lab, and goes on', async () => {
    const wrong = await tester.write(
      'wrong.yaml',
      `netloom: 1
name: wrong
topology:
  nodes:
    a: { kind: namespace, interfaces: { e: { addresses: [10.0.0.1/24] } } }
    b: { kind: namespace, interfaces: { e: { addresses: [10.0.0.2/24] } } }
  links: [{ endpoints: [a:e, b:e] }]
checks: [{ check: reach, from: a, to: b, expect: unreachable, timeout: 1 }]
`,
    );
    const broken = await tester.write('broken.yaml', 'netloom: 1\nname: [\n');
    const result = await tester.run(['test', wrong, broken, fileOf('two-namespaces.yaml')]);
    const lines = result.stdout.trimEnd().split('\n');
    expect(result.status).toBe(1);
    expect(lines.at(-1)).toBe('1 passed, 2 failed, 0 skipped');
    expect(lines[0]).toContain(`failed ${wrong}: `);
    expect(result.stdout).toContain(`failed ${broken}: `);
    expect(result.stdout).toContain(`passed ${fileOf('two-namespaces.yaml')}`);
    expect(await tester.realms()).toEqual([]);
  });

  it('fails when nothing passed', async () => {
    const empty = await tester.write('empty.yaml', '');
    const result = await tester.run(['test', empty]);
    expect(result.status).toBe(1);
    expect(result.stdout.trimEnd().split('\n').at(-1)).toBe('0 passed, 1 failed, 0 skipped');
  });
});

it('leaves the machine’s namespaces, links, addresses, routes and rules as they were', () => {
  expect(readMachine()).toEqual(machineBefore);
});
