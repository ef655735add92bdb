/** The agent as a process, by its own sockets: labs, processes, and what a kill leaves. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LabEvent } from '../../agent/api/lab.ts';
import type { ProcessExit, ProcessPlace } from '../../agent/api/process.ts';
import { realmFiles } from '../../agent/api/realm-files.ts';
import type { Result } from '../../agent/api/result.ts';
import { curveKeyPair } from '../../agent/transport/socket.ts';
import { AgentClient } from '../../main/agent-link/client.ts';
import { documentTarget, ip, must, namespaces, network, notesLab } from './apply-harness.ts';
import { requirePrivateNamespaces } from './netlink-private.ts';

const work = join(import.meta.dirname, '../../node_modules/.netloom-test', `agent-${process.pid}`);
const r1: ProcessPlace = { kind: 'node', lab: 'notes', node: 'r1' };

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

describe('the agent', () => {
  const client = curveKeyPair();
  const keys = curveKeyPair();
  let root: string;
  let agent: ChildProcess;
  let link: AgentClient;
  let empty: unknown;

  function start(environment: NodeJS.ProcessEnv = {}): ChildProcess {
    const args = [
      '--realm',
      'sandbox:test',
      '--runtime',
      join(root, 'run'),
      '--state',
      join(root, 'state'),
    ];
    return spawn(process.execPath, [join(work, 'agent.js'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env['PATH'] ?? '', ...environment },
    });
  }

  async function ready(child: ChildProcess): Promise<void> {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
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

  async function up(text = notesLab()): Promise<void> {
    const plan = must(await link.call('lab.plan', { target: documentTarget(text) }));
    must(await link.call('lab.apply', { plan: plan.id ?? '' }));
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
    agent = start();
    await ready(agent);
    empty = network();
  });
  afterEach(async () => {
    link.close();
    if (agent.exitCode === null && agent.signalCode === null) {
      agent.kill('SIGTERM');
      await once(agent, 'exit');
    }
    for (const name of namespaces()) ip('netns', 'delete', name);
    // The kernel tier shares one network: the next file must find it as this one did.
    for (const name of ['br-ex', 'p1']) spawnSync('ip', ['link', 'delete', name]);
    rmSync(root, { recursive: true, force: true });
    await expect.poll(network, { timeout: 10_000 }).toEqual(empty);
  });

  function run(
    place: ProcessPlace,
    command: readonly string[],
  ): Promise<{ readonly text: string; readonly end: Result<ProcessExit> }> {
    let text = '';
    return link
      .call(
        'process.run',
        { place, command: [...command], terminal: null },
        {
          onProgress: (progress) => {
            if (progress.kind === 'output') text += Buffer.from(progress.data, 'base64').toString();
          },
        },
      )
      .then((end) => ({ text, end }));
  }

  it('brings a lab up, runs commands in it and takes it down', async () => {
    const events: LabEvent[] = [];
    must(
      await link.subscribe(
        'labs',
        (event) => events.push(event),
        () => undefined,
      ),
    );
    await up();
    expect(namespaces()).toEqual(['r1', 'r2']);
    const listed = await run(r1, ['ip', '-j', 'link']);
    expect(listed.end).toEqual({ ok: true, value: { exitCode: 0, signal: null } });
    const names = (JSON.parse(listed.text) as { ifname: string }[]).map(({ ifname }) => ifname);
    expect(names.sort()).toEqual(['lo', 'port1', 'veth1.1']);
    const shown = await run(r1, ['ls', '/sys/class/net']);
    expect(shown.text.split('\n')).toContain('veth1.1');
    const environment = await run(r1, ['env']);
    expect(environment.text).toContain('NETLOOM_NODE=r1');
    const checked = must(await link.call('lab.check', { lab: 'notes' }));
    expect(checked.results.map(({ outcome }) => outcome)).toEqual(['passed', 'passed']);
    const down = must(await link.call('lab.plan', { target: { kind: 'down', lab: 'notes' } }));
    must(await link.call('lab.apply', { plan: down.id ?? '' }));
    expect(network()).toEqual(empty);
    await expect.poll(() => events.some(({ kind }) => kind === 'transaction')).toBe(true);
  });

  it('gives a terminal in a node, and ends it with the namespace', async () => {
    await up();
    let text = '';
    let session = '';
    const shell = link.call(
      'process.run',
      { place: r1, command: ['sh'], terminal: { columns: 80, rows: 24 } },
      {
        onProgress: (progress) => {
          if (progress.kind === 'started') ({ session } = progress);
          else text += Buffer.from(progress.data, 'base64').toString();
        },
      },
    );
    await expect.poll(() => text, { timeout: 20_000 }).toContain('r1# ');
    const data = Buffer.from('tty; echo "$TERM"\n').toString('base64');
    must(await link.call('process.input', { session, data, end: false }));
    await expect.poll(() => text, { timeout: 20_000 }).toMatch(/\/dev\/pts\/\d+\s+xterm-256color/);
    const down = must(await link.call('lab.plan', { target: { kind: 'down', lab: 'notes' } }));
    must(await link.call('lab.apply', { plan: down.id ?? '' }));
    expect(must(await shell).exitCode === 0).toBe(false);
    expect(network()).toEqual(empty);
  });

  it('holds output back until it is acknowledged, and ends what is cancelled', async () => {
    let bytes = 0;
    let session = '';
    const stop = new AbortController();
    const flood = link.call(
      'process.run',
      { place: { kind: 'realm' }, command: ['yes'], terminal: null },
      {
        signal: stop.signal,
        onProgress: (progress) => {
          if (progress.kind === 'started') ({ session } = progress);
          else bytes += Buffer.from(progress.data, 'base64').length;
        },
      },
    );
    await expect.poll(() => bytes, { timeout: 20_000 }).toBeGreaterThanOrEqual(256 * 1024);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const held = bytes;
    expect(held).toBeLessThan(2 * 256 * 1024);
    must(await link.call('process.acknowledge', { session, bytes: held }));
    await expect.poll(() => bytes, { timeout: 20_000 }).toBeGreaterThan(held);
    stop.abort();
    expect(await flood).toMatchObject({ ok: false, failure: { kind: 'cancelled' } });
  });

  it('leaves labs alone when it is killed, and knows them when it is back', async () => {
    await up();
    const before = network();
    agent.kill('SIGKILL');
    await once(agent, 'exit');
    link.close();
    expect(network()).toEqual(before);
    agent = start();
    await ready(agent);
    const { labs } = must(await link.call('lab.list', {}));
    expect(labs).toMatchObject([{ record: { name: 'notes', up: true, revision: 1 }, drift: 0 }]);
    expect(must(await link.call('agent.info', {})).recoveries).toEqual([]);
  });

  it('leaves an interface down that it was to bring up again when it is killed, and sees it', async () => {
    await up();
    const before = network();
    const change = { lab: 'notes', node: 'r1', interface: 'port1', state: 'down' } as const;
    must(await link.call('interface.setState', { ...change, forMilliseconds: 600_000 }));
    agent.kill('SIGKILL');
    await once(agent, 'exit');
    link.close();
    expect(network()).not.toEqual(before);
    agent = start();
    await ready(agent);
    const { labs } = must(await link.call('lab.list', {}));
    expect(labs).toMatchObject([{ drift: 1 }]);
    await up();
    expect(network()).toEqual(before);
    // Asked to end, it sets back first.
    must(await link.call('interface.setState', { ...change, forMilliseconds: 600_000 }));
    expect(network()).not.toEqual(before);
    must(await link.call('agent.stop', {}));
    await once(agent, 'exit');
    expect(network()).toEqual(before);
    link.close();
    agent = start();
    await ready(agent);
  });

  it('recovers at its start from a transaction that it died in', async () => {
    agent.kill('SIGTERM');
    await once(agent, 'exit');
    link.close();
    agent = start({ NETLOOM_TESTING: '1', NETLOOM_FAULT: 'kill-after:4' });
    await ready(agent);
    const plan = must(await link.call('lab.plan', { target: documentTarget(notesLab()) }));
    expect(await link.call('lab.apply', { plan: plan.id ?? '' })).toMatchObject({ ok: false });
    expect(network()).not.toEqual(empty);
    link.close();
    agent = start();
    await ready(agent);
    expect(network()).toEqual(empty);
    expect(must(await link.call('agent.info', {})).recoveries).toMatchObject([
      { lab: 'notes', outcome: 'rolled-back' },
    ]);
    await up();
  });

  it('is alone in its realm, stops when asked to, and keeps its keys out of the log', async () => {
    const second = start();
    const log: Buffer[] = [];
    second.stdout?.on('data', (chunk: Buffer) => log.push(chunk));
    const [code] = (await once(second, 'exit')) as [number];
    expect(code).toBe(3);
    let text = '';
    agent.stdout?.on('data', (chunk: Buffer) => {
      text += String(chunk);
    });
    must(await link.call('agent.stop', {}));
    const [stopped] = (await once(agent, 'exit')) as [number];
    expect(stopped).toBe(0);
    expect(text + Buffer.concat(log).toString()).not.toContain(keys.secretKey);
    expect(text).not.toContain(client.publicKey);
    expect(readFileSync(join(root, 'run', realmFiles.agentKeys), 'utf8')).toContain(keys.secretKey);
  });
});
