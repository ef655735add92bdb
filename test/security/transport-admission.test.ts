/** Who gets to the agent: every way but the right one is refused, says so, and leaves the right one open. */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AgentServer, curveKeyPair, type CurveKeyPair } from '../../agent/transport/index.ts';
import { AgentClient, callSocketPath } from '../../main/agent-link/client.ts';
import { handlersWith, type Link, makeLink, openRawClient, until } from '../unit/transport/link.ts';

vi.setConfig({ testTimeout: 30_000 });

const isRoot = process.geteuid?.() === 0;
const nobody = 65534;
const umask = process.umask();

let link: Link;
beforeEach(async () => {
  link = await makeLink();
});
afterEach(() => link.end());

async function expectGoodClient(): Promise<void> {
  const client = await link.connect();
  expect(await client.call('agent.info', {})).toMatchObject({ ok: true });
}

function refusals(): readonly string[] {
  return link.events.flatMap((event) =>
    event.event === 'admission' && !event.admitted ? [event.reason] : [],
  );
}

/** Runs a client as another user, with the keys given, and gives its word on what became of it. */
async function runStranger(uid: number, keys: CurveKeyPair): Promise<string> {
  const path = callSocketPath(link.directory, link.keys.publicKey);
  const script = fileURLToPath(new URL('../unit/transport/stranger.mjs', import.meta.url));
  const words = JSON.stringify({ path, ...keys, serverKey: link.agentKeys.publicKey });
  const identity = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
  const child = spawn('setpriv', [...identity, process.execPath, script, words], { cwd: '/' });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output += data.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  return output.trim();
}

describe('the agent', () => {
  test('refuses a key that is not enrolled', async () => {
    const stranger = curveKeyPair();
    const raw = openRawClient(link, stranger, { doorOf: link.keys.publicKey });
    await until(() => raw.events.includes('handshake:error:auth'));
    expect(refusals()).toContain('unknown-key');
    raw.close();
    await expectGoodClient();
  });

  test('refuses an enrolled key at the door of another', async () => {
    const other = curveKeyPair();
    const uid = process.geteuid?.() ?? 0;
    link.enrol([
      { key: link.keys.publicKey, uid, name: 'tester', access: 'write' },
      { key: other.publicKey, uid, name: 'reader', access: 'read' },
    ]);
    await until(() => link.events.some((e) => e.event === 'door-opened' && e.client === 'reader'));
    const raw = openRawClient(link, other, { doorOf: link.keys.publicKey });
    await until(() => raw.events.includes('handshake:error:auth'));
    expect(refusals()).toContain('wrong-door');
    raw.close();
    await expectGoodClient();
  });

  test('refuses a client without CURVE', async () => {
    const raw = openRawClient(link, null, { doorOf: link.keys.publicKey });
    await until(() => link.events.some(({ event }) => event === 'handshake-failed'));
    expect(raw.events).not.toContain('handshake');
    raw.close();
    await expectGoodClient();
  });

  test('refuses a client that takes it for another agent', async () => {
    const raw = openRawClient(link, link.keys, { serverKey: curveKeyPair().publicKey });
    await until(() => link.events.some(({ event }) => event === 'handshake-failed'));
    expect(raw.events).not.toContain('handshake');
    raw.close();
    await expectGoodClient();
  });

  test.skipIf(!isRoot)(
    'refuses another uid that has the right keys and the right path',
    async () => {
      // The file's owner and mode are what stops it first; take them away.
      expect(await runStranger(nobody, link.keys)).toBe('unreachable');
      chmodSync(link.directory, 0o755);
      chmodSync(callSocketPath(link.directory, link.keys.publicKey), 0o666);
      expect(await runStranger(nobody, link.keys)).toBe('refused');
      expect(link.events).toContainEqual(
        expect.objectContaining({
          event: 'admission',
          admitted: false,
          reason: 'wrong-uid',
          uid: nobody,
        }),
      );
      expect(await runStranger(0, link.keys)).toBe('admitted');
      await expectGoodClient();
    },
  );

  test('logs every admission with its reason, uid and pid', async () => {
    await expectGoodClient();
    expect(link.events).toContainEqual({
      event: 'admission',
      admitted: true,
      reason: 'enrolled',
      door: 'call',
      key: link.keys.publicKey,
      client: 'tester',
      uid: process.geteuid?.(),
      pid: process.pid,
    });
  });

  test('makes sockets that only their user can open, in a directory that only it can write', () => {
    const sockets = readdirSync(link.directory).filter((name) => /^(?:call|stream)-/.test(name));
    expect(sockets).toHaveLength(2);
    for (const name of sockets)
      expect(statSync(join(link.directory, name)).mode & 0o777).toBe(0o600);
    expect(process.umask()).toBe(umask);
  });

  test('admits nobody while its enrolment file is broken, and says why', async () => {
    writeFileSync(join(link.directory, 'enrolled.json'), '{"clients":[{"key":1}]}');
    await until(() => link.events.some(({ event }) => event === 'enrolment-unusable'));
    expect(await link.tryConnect()).toMatchObject({ ok: false });
    const uid = process.geteuid?.() ?? 0;
    link.enrol([{ key: link.keys.publicKey, uid, name: 'tester', access: 'write' }]);
    await until(() => link.events.filter(({ event }) => event === 'door-opened').length > 1);
    await expectGoodClient();
  });
});

describe('an agent that starts', () => {
  function another(directory: string): AgentServer {
    const handlers = handlersWith({});
    return new AgentServer({ directory, keys: link.agentKeys, handlers, log: () => undefined });
  }

  test('does not take the sockets of one that runs', async () => {
    expect(await another(link.directory).start()).toMatchObject({
      ok: false,
      failure: { kind: 'refused', code: 'agent-runs' },
    });
    await expectGoodClient();
  });

  test('takes the place of one that is dead', async () => {
    const path = callSocketPath(link.directory, link.keys.publicKey);
    await link.server.close();
    // What kill -9 leaves: a socket in the file system that nobody listens at.
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(statSync(path).isSocket()).toBe(true);
    const next = another(link.directory);
    expect(await next.start()).toMatchObject({ ok: true });
    await expectGoodClient();
    await next.close();
  });

  test('refuses a directory in which others may write', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'netloom-open-'));
    chmodSync(directory, 0o777);
    expect(await another(directory).start()).toMatchObject({
      ok: false,
      failure: { code: 'open-directory' },
    });
    rmSync(directory, { recursive: true });
  });

  test('says when its path is too long', async () => {
    const base = mkdtempSync(join(tmpdir(), 'netloom-long-'));
    const directory = join(base, 'x'.repeat(90));
    mkdirSync(directory);
    const clients = [{ key: link.keys.publicKey, uid: 0, name: 'tester', access: 'write' }];
    writeFileSync(join(directory, 'enrolled.json'), JSON.stringify({ clients }));
    expect(await another(directory).start()).toMatchObject({
      ok: false,
      failure: { code: 'socket-path-too-long' },
    });
    rmSync(base, { recursive: true });
  });
});

describe('the client', () => {
  function connectTo(directory: string, owner = process.geteuid?.() ?? 0) {
    return AgentClient.connect({ realm: 'sandbox:test', directory, keys: link.keys, owner });
  }

  test.skipIf(!isRoot)('refuses a directory that belongs to another user', async () => {
    const decoy = mkdtempSync(join(tmpdir(), 'netloom-decoy-'));
    chownSync(decoy, nobody, nobody);
    expect(await connectTo(decoy)).toMatchObject({
      ok: false,
      failure: { kind: 'refused', code: 'foreign-directory' },
    });
    rmSync(decoy, { recursive: true });
    await expectGoodClient();
  });

  test('refuses a symbolic link in place of the directory', async () => {
    const path = `${link.directory}-link`;
    symlinkSync(link.directory, path);
    expect(await connectTo(path)).toMatchObject({
      ok: false,
      failure: { kind: 'refused', code: 'not-a-directory' },
    });
    rmSync(path);
    await expectGoodClient();
  });

  test.skipIf(!isRoot)('refuses a socket that another user has put there', async () => {
    const socket = callSocketPath(link.directory, link.keys.publicKey);
    chownSync(socket, nobody, nobody);
    expect(await connectTo(link.directory)).toMatchObject({
      ok: false,
      failure: { kind: 'refused', code: 'foreign-socket' },
    });
    chownSync(socket, 0, 0);
    await expectGoodClient();
  });

  test('refuses an agent with another key than the one pinned', async () => {
    writeFileSync(join(link.directory, 'agent.pub'), `${curveKeyPair().publicKey}\n`);
    expect(await connectTo(link.directory)).toMatchObject({
      ok: false,
      failure: { kind: 'not-allowed', code: 'connection-refused' },
    });
    writeFileSync(join(link.directory, 'agent.pub'), `${link.agentKeys.publicKey}\n`);
    await expectGoodClient();
  });

  test('does not wait for ever where somebody listens who says nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'netloom-mute-'));
    const path = callSocketPath(directory, link.keys.publicKey);
    const servers = [path, path.replace('call-', 'stream-')].map((file) =>
      createServer().listen(file),
    );
    await until(() => servers.every((server) => server.listening));
    writeFileSync(join(directory, 'agent.pub'), link.agentKeys.publicKey);
    expect(await connectTo(directory)).toMatchObject({
      ok: false,
      failure: { kind: expect.stringMatching(/^(?:unreachable|not-allowed)$/) },
    });
    for (const server of servers) server.close();
    rmSync(directory, { recursive: true });
  });
});
