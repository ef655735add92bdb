/** The deadline as processes: the agent, its watchdog and the client may each die, and no one is cut off for good. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Awaiting, type LabStatus, realmFiles, stateFiles } from '../../agent/api/index.ts';
import { curveKeyPair } from '../../agent/transport/socket.ts';
import { AgentClient } from '../../main/agent-link/client.ts';
import {
  networkDifferences,
  type NetworkState,
  readNetworkState,
} from '../harness/network-state.ts';
import { documentTarget, must } from './apply-harness.ts';
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

const work = join(import.meta.dirname, '../../node_modules/.netloom-test', `uplink-${process.pid}`);

beforeAll(async () => {
  requirePrivateNamespaces();
  await build({
    configFile: join(import.meta.dirname, '../../agent/vite.config.ts'),
    mode: 'agent',
    logLevel: 'error',
    build: { outDir: work, emptyOutDir: true },
  });
});
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
});

describe('a change that awaits its confirmation', () => {
  const client = curveKeyPair();
  const keys = curveKeyPair();
  let root: string;
  let agent: ChildProcess;
  let link: AgentClient;
  let before: NetworkState;
  let exact: unknown;

  async function start(environment: NodeJS.ProcessEnv = {}): Promise<void> {
    const places = ['--runtime', join(root, 'run'), '--state', join(root, 'state')];
    agent = spawn(
      process.execPath,
      [join(work, 'agent.js'), '--realm', 'sandbox:test', ...places],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: process.env['PATH'] ?? '', ...environment },
      },
    );
    let text = '';
    agent.stdout?.on('data', (chunk: Buffer) => {
      text += String(chunk);
    });
    await expect.poll(() => text, { timeout: 30_000 }).toContain('"event":"ready"');
    link = must(
      await AgentClient.connect({
        realm: 'sandbox:test',
        directory: join(root, 'run'),
        keys: client,
        owner: process.geteuid?.() ?? 0,
      }),
    );
  }

  async function kill(): Promise<void> {
    agent.kill('SIGKILL');
    await once(agent, 'exit');
    link.close();
  }

  async function up(confirmWithin = 3600): Promise<Awaiting> {
    const { id } = must(await link.call('lab.plan', { target: documentTarget(lab()) }));
    const applied = must(await link.call('lab.apply', { plan: id ?? '', confirmWithin }));
    if (applied.awaiting === null) throw new Error('nothing awaits');
    expectMoved();
    return applied.awaiting;
  }

  const deadlines = (): string => join(root, 'state', stateFiles.deadlines);

  /** Lets the time of a change be over, as far as its files say. */
  function expire(token: string): void {
    writeFileSync(join(deadlines(), token, 'deadline'), '1\n');
  }

  function watchdogOf(token: string): number {
    const [pid = 0] = readFileSync(join(deadlines(), token, 'ready'), 'utf8').split(' ');
    return Number(pid);
  }

  async function status(): Promise<readonly LabStatus[]> {
    return must(await link.call('lab.list', {})).labs;
  }

  function expectMoved(): void {
    expect([addressesOf('br-ex'), routesThrough('br-ex')]).toEqual(exact);
    expect(answers()).toBe(true);
  }

  async function expectBack(): Promise<void> {
    await expect
      .poll(() => networkDifferences(before, readNetworkState(runHere)), { timeout: 60_000 })
      .toEqual([]);
    expect([addressesOf(nic), routesThrough(nic)]).toEqual(exact);
    expect(answers()).toBe(true);
  }

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'nl-'));
    mkdirSync(join(root, 'run'), { mode: 0o700 });
    const write = (name: string, value: unknown): void => {
      writeFileSync(join(root, 'run', name), JSON.stringify(value), { mode: 0o600 });
    };
    write(realmFiles.agentKeys, keys);
    writeFileSync(join(root, 'run', realmFiles.agentPublicKey), keys.publicKey, { mode: 0o600 });
    write(realmFiles.enrolment, {
      clients: [
        { key: client.publicKey, uid: process.geteuid?.() ?? 0, name: 'test', access: 'write' },
      ],
    });
    makeNic();
    exact = [addressesOf(nic), routesThrough(nic)];
    // An agent furnishes its realm when it starts.
    await start();
    before = readNetworkState(runHere);
  });
  afterEach(async () => {
    link.close();
    if (agent.exitCode === null && agent.signalCode === null) {
      agent.kill('SIGTERM');
      await once(agent, 'exit');
    }
    rmSync(root, { recursive: true, force: true });
    removeNic();
  });

  it('goes back when its agent is killed, and the next one knows', async () => {
    const { token } = await up();
    await kill();
    expectMoved();
    expire(token);
    await expectBack();
    expect(existsSync(join(root, 'state', stateFiles.journal))).toBe(true);
    await start();
    expect(must(await link.call('agent.info', {})).recoveries).toMatchObject([
      { lab: 'uplink', outcome: 'not-confirmed', failure: null },
    ]);
    expect(await status()).toEqual([]);
    await expectBack();
    // Nothing is left that would keep anybody from trying again.
    must(await link.call('lab.confirm', { lab: 'uplink', token: (await up()).token }));
    expectMoved();
  });

  it('still waits when another agent has taken over, and can be confirmed there', async () => {
    const { token } = await up();
    await kill();
    await start();
    expect(await status()).toMatchObject([
      { record: { up: true, revision: 1 }, drift: 0, awaiting: { token, within: 3600 } },
    ]);
    expect(must(await link.call('lab.document', { lab: 'uplink', revision: 1 })).text).toBe(lab());
    expectMoved();
    expect(await link.call('lab.confirm', { lab: 'uplink', token: 'x' })).toMatchObject({
      failure: { code: 'stale-token' },
    });
    must(await link.call('lab.confirm', { lab: 'uplink', token }));
    expect(await status()).toMatchObject([{ record: { revision: 1, up: true }, awaiting: null }]);
    await kill();
    await start();
    expect(must(await link.call('agent.info', {})).recoveries).toEqual([]);
    expect(await status()).toMatchObject([{ record: { revision: 1, up: true }, drift: 0 }]);
    expectMoved();
    const down = must(await link.call('lab.plan', { target: { kind: 'down', lab: 'uplink' } }));
    must(await link.call('lab.apply', { plan: down.id ?? '' }));
    await expectBack();
  });

  it('goes back when its client is gone', async () => {
    await up(5);
    link.close();
    await expectBack();
  });

  it('goes back when its watchdog is killed: by the agent that lives, or by the next one', async () => {
    const first = await up(5);
    process.kill(watchdogOf(first.token), 'SIGKILL');
    await expectBack();
    await expect.poll(status, { timeout: 30_000 }).toEqual([]);
    expect(must(await link.call('agent.info', {})).recoveries).toMatchObject([
      { lab: 'uplink', outcome: 'not-confirmed', failure: null },
    ]);
    const second = await up();
    process.kill(watchdogOf(second.token), 'SIGKILL');
    await kill();
    expire(second.token);
    expectMoved();
    await start();
    expect(must(await link.call('agent.info', {})).recoveries).toMatchObject([
      { lab: 'uplink', outcome: 'not-confirmed' },
    ]);
    await expectBack();
  });

  it('gets a watchdog again from the next agent when its own is dead, too', async () => {
    const { token } = await up();
    process.kill(watchdogOf(token), 'SIGKILL');
    await kill();
    await start();
    expect(await status()).toMatchObject([{ awaiting: { token } }]);
    await kill();
    expire(token);
    await expectBack();
  });

  it.each(['kill-mid:1', 'kill-after:1', 'kill-before-awaiting'])(
    'goes back without an agent after its death at %s',
    async (fault) => {
      link.close();
      agent.kill('SIGTERM');
      await once(agent, 'exit');
      await start({ NETLOOM_TESTING: '1', NETLOOM_FAULT: fault });
      const plan = must(await link.call('lab.plan', { target: documentTarget(lab()) }));
      const attach = plan.steps.findIndex(({ object }) => object === 'uplink');
      expect(attach).toBe(plan.steps.length - 1);
      const point = fault.replace(':1', `:${attach}`);
      await kill();
      await start({ NETLOOM_TESTING: '1', NETLOOM_FAULT: point });
      const again = must(await link.call('lab.plan', { target: documentTarget(lab()) }));
      expect(await link.call('lab.apply', { plan: again.id ?? '' })).toMatchObject({ ok: false });
      link.close();
      const journal = JSON.parse(readFileSync(join(root, 'state', stateFiles.journal), 'utf8')) as {
        readonly id: string;
      };
      expect(networkDifferences(before, readNetworkState(runHere))).not.toEqual([]);
      expire(journal.id);
      await expectBack();
      await start();
      expect(must(await link.call('agent.info', {})).recoveries).toMatchObject([
        { lab: 'uplink', failure: null },
      ]);
      expect(await status()).toEqual([]);
      await expectBack();
    },
  );

  it('is taken back at once by an agent that starts after a death in the middle', async () => {
    await kill();
    await start({ NETLOOM_TESTING: '1', NETLOOM_FAULT: 'kill-before-verify' });
    const plan = must(await link.call('lab.plan', { target: documentTarget(lab()) }));
    expect(await link.call('lab.apply', { plan: plan.id ?? '' })).toMatchObject({ ok: false });
    link.close();
    expectMoved();
    await start();
    expect(must(await link.call('agent.info', {})).recoveries).toMatchObject([
      { lab: 'uplink', outcome: 'rolled-back' },
    ]);
    await expectBack();
  });

  it('goes back even when the agent dies while it takes it back', async () => {
    await kill();
    await start({ NETLOOM_TESTING: '1', NETLOOM_FAULT: 'kill-roll-back:0' });
    const { token } = await up();
    expect(await link.call('lab.revert', { lab: 'uplink', token })).toMatchObject({ ok: false });
    link.close();
    await expectBack();
    await start();
    expect(await status()).toEqual([]);
  });

  it('gets back from the next agent what the watchdog leaves to it: a process', async () => {
    const text = (bridge: string, run: string): string => `netloom: 1
name: uplink
topology:
  nodes:
    br-ex: { kind: bridge${bridge} }
    vm: { kind: namespace${run} }
`;
    const apply = async (document: string): Promise<Awaiting | null> => {
      const { id } = must(await link.call('lab.plan', { target: documentTarget(document) }));
      return must(await link.call('lab.apply', { plan: id ?? '', confirmWithin: 3600 })).awaiting;
    };
    const inVm = (): string => runHere(['ip', 'netns', 'pids', 'vm']).trim();
    await apply(text('', ', run: [{ name: nap, command: [sleep, "3600"] }]'));
    expect(inVm()).not.toBe('');
    const up = readNetworkState(runHere);
    const awaiting = await apply(text(`, uplink: ${nic}`, ''));
    expect(inVm()).toBe('');
    await kill();
    expire(awaiting?.token ?? '');
    await expect.poll(() => addressesOf(nic), { timeout: 30_000 }).toEqual((exact as unknown[])[0]);
    await start();
    expect(must(await link.call('agent.info', {})).recoveries).toMatchObject([
      { lab: 'uplink', outcome: 'not-confirmed', failure: null },
    ]);
    // A bridge keeps the MAC that it was given once as one that was set.
    const differences = networkDifferences(up, readNetworkState(runHere));
    expect(differences.filter((line) => !line.startsWith('//links/br-ex/mac:'))).toEqual([]);
    const down = must(await link.call('lab.plan', { target: { kind: 'down', lab: 'uplink' } }));
    must(await link.call('lab.apply', { plan: down.id ?? '' }));
    await expectBack();
  });

  it('changes nothing when the watchdog cannot start', async () => {
    // A file stands where the directory would be.
    mkdirSync(join(root, 'state'), { recursive: true });
    rmSync(deadlines(), { recursive: true, force: true });
    writeFileSync(deadlines(), '');
    const plan = must(await link.call('lab.plan', { target: documentTarget(lab()) }));
    expect(await link.call('lab.apply', { plan: plan.id ?? '' })).toMatchObject({ ok: false });
    await expectBack();
    rmSync(deadlines());
    await up();
  });
});
