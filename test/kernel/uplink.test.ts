/**
 * A NIC that nobody of ours made becomes the uplink of a bridge, and everything is as before when nobody confirms it.
 * The NIC is one end of a pair; what the machine at the other end can reach is what counts.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Plan } from '../../agent/api/plan.ts';
import { stateFiles } from '../../agent/api/realm-files.ts';
import { Deadline } from '../../agent/apply/deadline.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';
import { apply, type Bench, documentTarget, ip, must, openBench, plan } from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';
import {
  addressesOf,
  answers,
  lab,
  makeNic,
  nic,
  removeNic,
  routesThrough,
  runHere,
} from './uplink-harness.ts';

beforeAll(() => {
  requirePrivateNamespaces();
});

describe('an uplink that is not ours', () => {
  let bench: Bench;
  let before: NetworkState;
  let exact: unknown;

  beforeEach(async () => {
    makeNic();
    bench = await openBench();
    before = readNetworkState(runHere);
    exact = [addressesOf(nic), routesThrough(nic)];
    expect(answers()).toBe(true);
  });
  afterEach(async () => {
    await bench.close();
    removeNic();
  });

  function expectAsBefore(): void {
    expect(networkDifferences(before, readNetworkState(runHere))).toEqual([]);
    expect([addressesOf(nic), routesThrough(nic)]).toEqual(exact);
    expect(answers()).toBe(true);
  }

  async function up(within: number | null | undefined = 600): Promise<string> {
    const { id } = plan(bench, documentTarget(lab()));
    const outcome = must(
      await bench.labs.apply(id, new AbortController().signal, () => undefined, within),
    );
    return outcome.awaiting?.token ?? '';
  }

  it('gives the bridge its addresses and routes as they are, and its MAC', async () => {
    const made = plan(bench, documentTarget(lab()));
    expect(made.refusals).toEqual([]);
    expect(made.confirm).toMatchObject({ within: 60, reason: { code: 'uplink-at-stake' } });
    const token = await up();
    expect(token).not.toBe('');
    expect(answers()).toBe(true);
    expect(addressesOf(nic)).toEqual([]);
    expect(routesThrough(nic)).toEqual([]);
    expect([addressesOf('br-ex'), routesThrough('br-ex')]).toEqual(exact);
    const mac = (name: string): unknown =>
      (JSON.parse(ip('-j', 'link', 'show', 'dev', name)) as { address: string }[])[0]?.address;
    expect(mac('br-ex')).toBe(mac(nic));
    expect(bench.labs.list()).toMatchObject([
      {
        record: { up: true, revision: 1 },
        drift: 0,
        busy: false,
        awaiting: { token, within: 600 },
      },
    ]);
    must(await bench.labs.confirm('uplink', token));
    expect(bench.labs.list()).toMatchObject([
      { record: { up: true, revision: 1 }, awaiting: null },
    ]);
    const again: Plan = plan(bench, documentTarget(lab()));
    expect([again.steps, again.warnings, again.confirm]).toEqual([[], [], null]);
    expect(existsSync(join(bench.state, stateFiles.deadlines))).toBe(true);
    expect(readdirSync(join(bench.state, stateFiles.deadlines))).toEqual([]);
    must(await apply(bench, { kind: 'down', lab: 'uplink' }));
    expectAsBefore();
  });

  it('gives them back when the change is reverted, undone, or edited away', async () => {
    const reverted = await up();
    must(await bench.labs.revert('uplink', reverted));
    expectAsBefore();
    expect(bench.labs.list()).toEqual([]);
    must(await bench.labs.confirm('uplink', await up()));
    must(await apply(bench, { kind: 'undo', lab: 'uplink' }));
    expectAsBefore();
    must(await bench.labs.confirm('uplink', await up()));
    must(await apply(bench, documentTarget(lab().replace(/^.*uplink: .*\n/m, ''))));
    expect([addressesOf(nic), routesThrough(nic)]).toEqual(exact);
    expect(answers()).toBe(true);
    must(await apply(bench, { kind: 'down', lab: 'uplink' }));
    expectAsBefore();
  });

  it('goes back by itself when nobody confirms, and says no to a confirmation then', async () => {
    const token = await up(5);
    const late = bench.labs.confirm('uplink', `${token}x`);
    expect(await late).toMatchObject({ ok: false, failure: { code: 'stale-token' } });
    await expect.poll(() => bench.labs.list(), { timeout: 60_000 }).toEqual([]);
    expectAsBefore();
    expect(await bench.labs.confirm('uplink', token)).toMatchObject({
      ok: false,
      failure: { code: 'nothing-awaits' },
    });
    expect(existsSync(join(bench.state, stateFiles.journal))).toBe(false);
  });

  it('lets nothing else change meanwhile', async () => {
    const token = await up();
    const other = plan(
      bench,
      documentTarget(
        lab('other')
          .replace(/^.*uplink: .*\n/m, '')
          .replace('br-ex', 'br-in'),
      ),
    );
    const refused = await bench.labs.apply(other.id, new AbortController().signal, () => undefined);
    expect(refused).toMatchObject({
      ok: false,
      failure: { kind: 'busy', code: 'awaiting-confirmation' },
    });
    must(await bench.labs.revert('uplink', token));
  });

  it('refuses to go without a deadline where it is the only way out', async () => {
    const { id } = plan(bench, documentTarget(lab()));
    const bare = (): Promise<unknown> =>
      bench.labs.apply(id, new AbortController().signal, () => undefined, null);
    expect(await bare()).toMatchObject({ ok: false, failure: { code: 'uplink-needs-deadline' } });
    expectAsBefore();
  });

  it('is decided once, whoever decides', async () => {
    const token = await up();
    const [one, other] = [new Deadline(bench.state, token), new Deadline(bench.state, token)];
    expect([one.verdict(), must(one.claim('confirmed'))]).toEqual(['pending', true]);
    expect([other.verdict(), must(other.claim('reverting'))]).toEqual(['confirmed', false]);
    expect(await bench.labs.revert('uplink', token)).toMatchObject({
      ok: true,
      value: { up: true },
    });
    expect(bench.labs.list()).toMatchObject([
      { record: { up: true, revision: 1 }, awaiting: null },
    ]);
    must(await apply(bench, { kind: 'down', lab: 'uplink' }));
    const second = await up();
    const third = new Deadline(bench.state, second);
    expect(must(third.claim('reverting'))).toBe(true);
    expect(await bench.labs.confirm('uplink', second)).toMatchObject({
      ok: false,
      failure: { code: 'confirmed-too-late' },
    });
    expectAsBefore();
  });

  it('does the same by the commands of its plan', () => {
    const { steps } = plan(bench, documentTarget(lab()));
    for (const command of steps.flatMap((step) => step.commands)) runHere(['sh', '-ec', command]);
    expect([addressesOf('br-ex'), routesThrough('br-ex')]).toEqual(exact);
    expect([addressesOf(nic), routesThrough(nic)]).toEqual([[], []]);
    expect(answers()).toBe(true);
  });

  it('keeps the files of the deadline to their owner, and the script self-contained', async () => {
    const token = await up();
    const directory = join(bench.state, stateFiles.deadlines, token);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(directory)) {
      expect([name, statSync(join(directory, name)).mode & 0o077]).toEqual([name, 0]);
    }
    const script = readFileSync(join(directory, 'watchdog.sh'), 'utf8');
    expect(script).not.toContain('node');
    must(await bench.labs.revert('uplink', token));
  });
});

describe('what cannot be an uplink', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await openBench();
  });
  afterEach(async () => {
    await bench.close();
    spawnSync('ip', ['link', 'delete', 'br-own']);
    removeNic();
  });
  const codes = (text: string): readonly string[] =>
    plan(bench, documentTarget(text)).refusals.map(({ code }) => code);

  it('is an interface that is not there', () => {
    expect(codes(lab())).toEqual(['uplink-missing']);
  });
  it('is a port of somebody else’s bridge, and a bridge itself', () => {
    makeNic();
    ip('link', 'add', 'br-own', 'type', 'bridge');
    ip('link', 'set', nic, 'master', 'br-own');
    expect(codes(lab())).toEqual(['uplink-is-port']);
    expect(codes(lab().replace(`uplink: ${nic}`, 'uplink: br-own'))).toEqual(['uplink-unfit']);
  });
  it('has a route that could not be given back', () => {
    makeNic();
    ip('route', 'add', '10.77.0.0/16', 'via', '192.168.0.1', 'mtu', '1400');
    expect(codes(lab())).toEqual(['uplink-route-intricate']);
  });
});
