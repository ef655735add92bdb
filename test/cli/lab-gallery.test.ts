/** Every lab of the gallery on the real kernel, as root and as an ordinary user, beside the same network made by hand. */
import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byHand, expectTranscript, fileOf, labByHand, labOf } from '../harness/lab-by-hand.ts';
import { labScripts, realmScript } from '../harness/lab-expectations.ts';
import { cpuLabs as cpuFiles, sandboxLabs as files } from '../harness/lab-needs.ts';
import { inLanes } from '../harness/lanes.ts';
import { readMachine } from '../harness/lab-machine.ts';
import {
  type CommandResult,
  isAlive,
  Netloom,
  ordinaryUser,
  parse,
  processesIn,
  type RunningRealm,
} from '../harness/netloom.ts';
import { networkDifferences, readNetworkState } from '../harness/network-state.ts';

/** Those that take long wait beside the others. */
const slow = ['stp-ring.yaml', 'virtual-machine.yaml', 'ovs-leaf-spine.yaml', 'ovs-rstp-ring.yaml'];
const inOrder = [...slow, ...files.filter((file) => !slow.includes(file))];
/** Beside each other; more would take from what a rate is measured of. */
const lanes = [1, 2, 3];

const isRoot = process.getuid?.() === 0;
const people = [
  { who: isRoot ? 'root' : 'the person who runs the tests', user: process.getuid?.() ?? 0 },
  ...(isRoot ? [{ who: 'an ordinary user', user: ordinaryUser }] : []),
];

async function expectNothingLeft(realm: RunningRealm): Promise<void> {
  expect(isAlive(realm.keeper)).toBe(false);
  // A namespace ends with its last process, and everything in it with it: the kernel has sent each its end by now.
  await expect.poll(() => processesIn(realm.processes)).toEqual([]);
  await expect.poll(() => processesIn(realm.network)).toEqual([]);
}

const machineBefore = readMachine();
let tested: Promise<CommandResult>;
let tester: Netloom;

beforeAll(() => {
  tester = new Netloom();
  // One after the other, beside everything else.
  tested = tester.run(['test', ...files.map(fileOf)], { limit: 900_000 });
});
afterAll(async () => {
  await tested;
  await tester.dispose();
});

describe.each(people)('as $who', ({ user }) => {
  let netloom: Netloom;
  let brought: ReadonlyMap<string, Promise<void>>;

  beforeAll(() => {
    netloom = new Netloom({ user });
    brought = inLanes(inOrder, lanes, bringUpAndDown);
  });
  afterAll(async () => {
    await Promise.allSettled(brought.values());
    await netloom.dispose();
  });

  async function bringUpAndDown(file: string): Promise<void> {
    const expected = await labByHand(file);
    const up = await netloom.run(['up', fileOf(file), '--yes', '--json']);
    if (expected === null) {
      // The guest tier brings it up. Here it is refused before anything happens.
      expect(up.status).toBe(1);
      expect(up.stderr).toMatch(/This machine lacks (link|queueing|bridge|datapath):/);
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
    await expectNothingLeft(realm);
  }

  it.each(inOrder)(
    'brings %s up as written by hand, and down without a trace',
    { timeout: 300_000 },
    (file) => brought.get(file),
  );

  // They are tried in groups of a test's own (test/kernel/cpu-gallery.test.ts) and where there are 16 CPUs.
  it.each(cpuFiles)('refuses %s in a sandbox, and says where it can be', async (file) => {
    const up = await netloom.run(['up', fileOf(file), '--yes']);
    expect(up.status).toBe(1);
    expect(up.stderr).toContain('CPU groups belong to the machine');
    const realms = (await netloom.realms()).map(({ realm }) => realm);
    expect(realms).not.toContain(`sandbox:${labOf(file)}`);
  });

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
    await expectNothingLeft(realm);
  });

  describe('`plan --commands` and sh', () => {
    let made: ReadonlyMap<string, Promise<void>>;
    beforeAll(() => {
      made = inLanes(files, lanes, async (file) => {
        // What this kernel lacks is run in the guest tier.
        await expectTranscript(file, netloom);
      });
    });

    it.each(files)('make the same %s as `up`', { timeout: 300_000 }, (file) => made.get(file));
  });
});

describe('netloom test', () => {
  it('passes the gallery and ends with the count', { timeout: 900_000 }, async () => {
    const { status, stdout, stderr } = await tested;
    expect(status, stderr).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    const lacking = new Set<string>();
    for (const file of files) if ((await labByHand(file)) === null) lacking.add(file);
    const passed = files.length - lacking.size;
    expect(lines.at(-1)).toBe(`${passed} passed, 0 failed, ${lacking.size} skipped`);
    const without = (line: string): string => line.replace(/ \(Open vSwitch on \w+\)$/, '');
    expect(lines.slice(0, -1).map((line) => without(line.split(': ')[0] ?? ''))).toEqual(
      files.map((file) => `${lacking.has(file) ? 'skipped' : 'passed'} ${fileOf(file)}`),
    );
    expect(await tester.realms()).toEqual([]);
  });

  it('skips a lab that splits CPUs, and says where it can be', async () => {
    const split = fileOf('cpu-caps.yaml');
    const result = await tester.run(['test', split, fileOf('two-namespaces.yaml')]);
    const [first, , last] = result.stdout.trimEnd().split('\n');
    expect(first).toContain(`skipped ${split}: CPU groups belong to the machine`);
    expect(first).toContain('--realm host');
    expect(last).toBe('1 passed, 0 failed, 1 skipped');
    expect(result.status).toBe(0);
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
