/**
 * The way out of a sandbox, as root and as an ordinary user, from a machine on paper into a world on paper
 * (`harness/outer-world.ts`): nobody has it unasked, it reaches what lies outside and nothing of the machine's loopback,
 * and it ends with its realm.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CheckResult } from '../../agent/api/lab.ts';
import type { Failure } from '../../agent/api/result.ts';
import {
  checkout,
  gallery,
  isAlive,
  Netloom,
  ordinaryUser,
  parse,
  processesIn,
  type RunningRealm,
  waitUntil,
} from '../harness/netloom.ts';
import { machine, makeOuterWorld, outside, type OuterWorld } from '../harness/outer-world.ts';
import { networkDifferences, readNetworkState } from '../harness/network-state.ts';

const lab = path.join(checkout, 'test/cli/internet.yaml');
const other = path.join(gallery, 'two-namespaces.yaml');
const isRoot = process.getuid?.() === 0;

let world: OuterWorld;
beforeAll(async () => {
  world = await makeOuterWorld();
});
afterAll(() => world.end());

it('has an outer world in which the listeners answer', () => {
  const { address, port } = outside;
  expect(world.run('socat', '-T3', '-', `TCP:${address}:${port}`)).toBe('outside\n');
  expect(world.run('socat', '-T3', '-', `TCP:127.0.0.1:${machine.loopbackPort}`)).toBe(
    'loopback\n',
  );
});

/** Pids of programs that carry a way out, whoever's: those with a realm's border among their words. */
function carriers(realm: RunningRealm): readonly number[] {
  return processesIn(realm.processes).filter((pid) => wordsOf(pid).includes('/.gate/net'));
}

function wordsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** What an answer in the realm's own namespace says; empty when nobody answers. */
function ask(realm: RunningRealm, to: string, from = ''): string {
  // The end of what is sent must not end the connection: socat would wait for `-t` then.
  const words = ['socat', '-T2', '-t2', 'STDIO,ignoreeof', `${to}${from}`];
  try {
    return realm.inRealm(['timeout', '6', ...words]).trim();
  } catch {
    return '';
  }
}

describe.each(
  isRoot
    ? [
        { who: 'root', user: 0 },
        { who: 'an ordinary user', user: ordinaryUser },
      ]
    : [{ who: 'an ordinary user', user: process.getuid?.() ?? 0 }],
)('the way out, for $who', ({ user }) => {
  let netloom: Netloom;
  beforeEach(() => {
    netloom = new Netloom({ user, enter: world.enter });
  });
  afterEach(() => netloom.dispose());

  const bringUp = (...words: readonly string[]) =>
    netloom.must(['up', lab, '--yes', '--json', ...words]);

  it('is closed to a lab that asks for it unasked, before anything is made', async () => {
    const result = await netloom.run(['up', lab, '--yes', '--json']);
    expect(result.status).toBe(1);
    expect(parse<{ readonly failure: Failure }>(result).failure).toMatchObject({
      kind: 'not-allowed',
      code: 'internet-not-allowed',
      object: 'internet',
    });
    expect(await netloom.realms()).toEqual([]);
  });

  it('is closed to a lab that does not ask for it, whatever is allowed', async () => {
    const result = await netloom.must(['up', other, '--yes', '--internet']);
    expect(result.stderr).toContain('nothing is opened');
    const realm = await netloom.realm('two-namespaces');
    expect(carriers(realm)).toEqual([]);
    expect(await netloom.realms()).toMatchObject([{ outside: 'closed' }]);
    expect(ask(realm, `TCP:${outside.address}:${outside.port}`)).toBe('');
  });

  it('leads outside where it is allowed, and to nothing of the machine’s loopback', async () => {
    const up = await bringUp('--internet');
    const { checks } = parse<{ readonly checks: readonly CheckResult[] }>(up);
    expect(checks.map(({ outcome }) => outcome)).toEqual(['passed', 'passed', 'passed']);
    expect(await netloom.realms()).toMatchObject([{ outside: 'open' }]);
    const realm = await netloom.realm('way-out');
    expect(ask(realm, `TCP:${outside.address}:${outside.port}`)).toBe('outside');

    const port = machine.loopbackPort;
    // The border, its other addresses, and the gateway of its program, which some map to the machine.
    for (const address of ['192.0.0.1', '192.0.0.228', '192.0.0.130', '192.0.0.131', '127.0.0.1']) {
      expect(ask(realm, `TCP:${address}:${port},connect-timeout=1`), address).toBe('');
    }
    expect(ask(realm, `TCP:${machine.address}:${port},connect-timeout=1`)).toBe('');
    // Packets that no honest kernel sends: root of the realm rules its own routes.
    realm.script(`
      ip link set lo up
      echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
      ip rule add pref 100 lookup local
      ip rule del pref 0
      ip rule add pref 10 to 127.0.0.0/8 lookup 99
      ip route add 127.0.0.0/8 via 192.0.0.1 dev internet0 src 192.0.0.2 table 99
    `);
    expect(realm.inRealm(['ip', 'route', 'get', '127.0.0.1'])).toContain('dev internet0');
    const from = ',bind=192.0.0.2';
    for (const address of ['127.0.0.1', '127.8.8.8']) {
      expect(ask(realm, `TCP:${address}:${port},connect-timeout=1`, from), address).toBe('');
      expect(ask(realm, `UDP:${address}:${port}`, from), address).toBe('');
    }
  });

  it('is carried by a process that the realm sees and cannot get hold of', async () => {
    await bringUp('--internet');
    const realm = await netloom.realm('way-out');
    const [carrier] = carriers(realm);
    if (carrier === undefined) throw new Error('nothing carries');
    const inside = /^NSpid:.*\s(?<pid>\d+)$/m.exec(readFileSync(`/proc/${carrier}/status`, 'utf8'))
      ?.groups?.['pid'];
    expect(realm.inRealm(['cat', `/proc/${String(inside)}/status`])).toContain('Name:');
    for (const attempt of [
      `readlink -v /proc/${String(inside)}/ns/net`,
      `readlink -v /proc/${String(inside)}/exe`,
      `ls /proc/${String(inside)}/root/`,
      // Their numbers are the uid's to see; what they are is not.
      `readlink -v /proc/${String(inside)}/fd/0`,
      `: </proc/${String(inside)}/fd/0`,
      `: </proc/${String(inside)}/mem`,
      `nsenter -t ${String(inside)} -n true`,
    ]) {
      expect(
        realm.inRealm(['sh', '-c', `(${attempt}) 2>&1 && echo done || true`]),
        attempt,
      ).toMatch(/denied|not permitted/i);
    }
    // The names that the way out was built by.
    expect(() => realm.inRealm(['nsenter', '--net=/.gate/net', 'true'])).toThrow(/Invalid/);
    expect(() => realm.inRealm(['nsenter', '--user=/.gate/user', 'true'])).toThrow(/Invalid/);
    expect(() => realm.inRealm(['sh', '-c', ': >/.gate/other'])).toThrow(/Read-only/);
  });

  it('opens into a realm that is there, and leaves its network as it was', async () => {
    const place = ['--realm', 'sandbox:shared'];
    await netloom.must(['up', other, '--yes', ...place]);
    const realm = await netloom.namedRealm('sandbox:shared');
    const refused = await netloom.run(['up', lab, '--yes', '--json', ...place]);
    expect(parse<{ readonly failure: Failure }>(refused).failure.code).toBe('internet-not-allowed');
    await bringUp('--internet', ...place);
    const before = readNetworkState(realm.inRealm);
    const second = await netloom.write(
      'second.yaml',
      readFileSync(lab, 'utf8')
        .replace('name: way-out', 'name: second')
        .replaceAll(/\b(edge|desk)\b/g, '$1-b')
        .replace('internet:lan', 'internet:lan2')
        .replace(/lan: \{ addresses: \[10\.9\.0\.1/, 'lan2: { addresses: [10.9.0.1'),
    );
    const taken = await netloom.run(['up', second, '--yes', '--json', ...place]);
    expect(parse<{ readonly failure: Failure }>(taken).failure.code).toBe('internet-taken');
    expect(networkDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);

    await netloom.must(['undo', 'way-out']);
    expect(realm.inRealm(['nft', 'list', 'ruleset']).trim()).toBe('');
    expect(realm.inRealm(['cat', '/proc/sys/net/ipv4/ip_forward']).trim()).toBe('0');
    await netloom.must(['redo', 'way-out']);
    expect(networkDifferences(before, readNetworkState(realm.inRealm))).toEqual([]);
    await netloom.must(['check', 'way-out']);
  });

  it('is opened again for a lab when its program has ended', async () => {
    await bringUp('--internet');
    const realm = await netloom.realm('way-out');
    const [carrier = 0] = carriers(realm);
    process.kill(carrier, 'SIGKILL');
    expect(await waitUntil(() => !isAlive(carrier))).toBe(true);
    expect(
      await waitUntil(async () => {
        const [row] = await netloom.realms();
        return row?.outside === 'lost';
      }),
    ).toBe(true);
    expect((await netloom.run(['check', 'way-out'])).status).toBe(1);
    const up = await bringUp();
    const { checks } = parse<{ readonly checks: readonly CheckResult[] }>(up);
    expect(checks.map(({ outcome }) => outcome)).toEqual(['passed', 'passed', 'passed']);
  });

  it('may be carried by slirp4netns too', async () => {
    await netloom.must(['up', other, '--yes', '--realm', 'sandbox:other']);
    const realm = await netloom.namedRealm('sandbox:other');
    const { root } = netloom.installation;
    const words = ['setpriv', '--reuid', String(user), '--regid', String(user), '--clear-groups'];
    const [program = '', ...args] = [
      ...world.enter,
      ...(isRoot ? words : []),
      ...['sh', path.join(root, 'dist/agent/keeper.sh'), 'outside', String(realm.keeper)],
      'slirp4netns',
    ];
    const child = spawn(program, args, { cwd: '/', stdio: 'ignore' });
    const ends = new Promise((resolve) => child.once('exit', resolve));
    const target = `TCP:${outside.address}:${outside.port}`;
    expect(await waitUntil(() => ask(realm, target) === 'outside')).toBe(true);
    expect(carriers(realm)).toHaveLength(1);
    process.kill(realm.keeper, 'SIGKILL');
    await ends;
    expect(await waitUntil(() => processesIn(realm.processes).length === 0)).toBe(true);
  });

  it('ends with the last lab of its realm', async () => {
    await bringUp('--internet');
    const realm = await netloom.realm('way-out');
    const running = carriers(realm);
    expect(running).toHaveLength(1);
    await netloom.must(['down', '--all']);
    expect(running.filter(isAlive)).toEqual([]);
    expect(processesIn(realm.processes)).toEqual([]);
    expect(await netloom.realms()).toEqual([]);
    // A realm of the same name begins without it.
    expect((await netloom.run(['up', lab, '--yes'])).status).toBe(1);
  });

  it('ends with a keeper that is killed', async () => {
    await bringUp('--internet');
    const realm = await netloom.realm('way-out');
    const running = carriers(realm);
    expect(running).toHaveLength(1);
    process.kill(realm.keeper, 'SIGKILL');
    expect(await waitUntil(() => !running.some(isAlive))).toBe(true);
    expect(await waitUntil(() => processesIn(realm.processes).length === 0)).toBe(true);
  });
});
