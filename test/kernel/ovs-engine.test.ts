import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closeNamespace, createAnonymousNamespace, runIn } from '../../agent/kernel/namespaces.ts';
import { readProcess } from '../../agent/kernel/process-table.ts';
import { control } from '../../agent/ovs/appctl.ts';
import { engineFiles } from '../../agent/ovs/engine-commands.ts';
import {
  probeEngine,
  restartEngine,
  startEngine,
  stopEngine,
} from '../../agent/ovs/private-engine.ts';
import { must, requirePrivateNamespaces } from './netlink-private.ts';
import { eventually, vsctl } from './ovs-private.ts';

const work = mkdtempSync(join(tmpdir(), 'netloom-engine-'));
const directories: string[] = [];
function place(name: string): string {
  const directory = join(work, name);
  directories.push(directory);
  return directory;
}

/** What has ended may wait for the machine's first process to take note. */
function runs(pid: number | null): boolean {
  const process = readProcess(pid ?? 0);
  return process !== undefined && process.state !== 'Z' && process.state !== 'X';
}

beforeAll(requirePrivateNamespaces);
afterAll(async () => {
  for (const directory of directories) must(await stopEngine(directory));
  rmSync(work, { recursive: true, force: true });
});

it('starts in the namespace that is given, is found again and ends', async () => {
  const directory = place('one');
  const namespace = must(createAnonymousNamespace());
  const options = { directory, datapath: 'netdev', namespaceFd: namespace.fd } as const;
  const started = must(await startEngine(options));
  const { database, switch: part } = started;
  expect(database.running && part.running).toBe(true);
  expect(readlinkSync(`/proc/${part.pid ?? 0}/ns/net`)).toContain(
    namespace.identity.split(':')[1] ?? 'no inode',
  );
  const { socket, switchControl } = engineFiles(directory);
  vsctl(socket, 'add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev');
  const links = must(runIn(namespace.fd, () => execFileSync('ip', ['-br', 'link']).toString()));
  expect(links).toMatch(/^br0 /m);
  expect(must(await control(switchControl, 'version'))).toContain('ovs-vswitchd');
  expect(await control(switchControl, 'no/such', ['x'])).toMatchObject({
    failure: { kind: 'refused', code: 'ovs-command-refused' },
  });
  // What runs is taken as it is.
  expect(must(await startEngine(options))).toEqual(started);
  expect(probeEngine(directory)).toEqual(started);
  must(await stopEngine(directory));
  expect(existsSync(directory)).toBe(false);
  expect(runs(part.pid) || runs(database.pid)).toBe(false);
  const left = must(runIn(namespace.fd, () => execFileSync('ip', ['-br', 'link']).toString()));
  expect(left).not.toMatch(/^br0 /m);
  closeNamespace(namespace);
  must(await stopEngine(directory));
});

it('starts again whichever part has died, on the same database', async () => {
  const directory = place('two');
  const namespace = must(createAnonymousNamespace());
  const options = { directory, datapath: 'netdev', namespaceFd: namespace.fd } as const;
  const first = must(await startEngine(options));
  const { socket } = engineFiles(directory);
  vsctl(socket, 'add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev');
  let before = first;
  for (const dead of [['switch'], ['database'], ['switch', 'database']] as const) {
    for (const part of dead) process.kill(before[part].pid ?? 0, 'SIGKILL');
    await eventually(() => {
      for (const part of dead) expect(probeEngine(directory)[part].running).toBe(false);
    });
    const after = must(await restartEngine(options));
    for (const part of ['switch', 'database'] as const) {
      if (dead.some((name) => name === part)) expect(after[part].pid).not.toBe(before[part].pid);
      else expect(after[part]).toEqual(before[part]);
      expect(after[part].running).toBe(true);
    }
    expect(vsctl(socket, 'list-br')).toBe('br0\n');
    const links = must(runIn(namespace.fd, () => execFileSync('ip', ['-br', 'link']).toString()));
    expect(links).toMatch(/^br0 /m);
    before = after;
  }
  must(await stopEngine(directory));
  closeNamespace(namespace);
  expect(await restartEngine(options)).toMatchObject({ failure: { code: 'ovs-engine-missing' } });
});

it('leaves nothing of a switch that was killed, and another one’s datapath alone', async () => {
  const directory = place('killed');
  const namespace = must(createAnonymousNamespace());
  const options = { directory, datapath: 'netdev', namespaceFd: namespace.fd } as const;
  const { switch: part } = must(await startEngine(options));
  const { socket } = engineFiles(directory);
  vsctl(socket, 'add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev');
  process.kill(part.pid ?? 0, 'SIGKILL');
  await eventually(() => {
    expect(runs(part.pid)).toBe(false);
  });
  const links = (): string =>
    must(runIn(namespace.fd, () => execFileSync('ip', ['-br', 'link']).toString()));
  expect(links()).toContain('ovs-netdev');
  const other = place('other');
  must(await stopEngine(directory, namespace.fd));
  expect(links()).not.toContain('ovs-netdev');

  must(await startEngine({ ...options, directory: other }));
  vsctl(
    engineFiles(other).socket,
    'add-br',
    'br1',
    '--',
    'set',
    'bridge',
    'br1',
    'datapath_type=netdev',
  );
  const { switch: second } = must(await startEngine(options));
  process.kill(second.pid ?? 0, 'SIGKILL');
  await eventually(() => {
    expect(runs(second.pid)).toBe(false);
  });
  must(await stopEngine(directory, namespace.fd));
  expect(links()).toMatch(/ovs-netdev[^]*br1/);
  must(await stopEngine(other, namespace.fd));
  closeNamespace(namespace);
});

it('does not take a process that has got the pid of a dead daemon for it', async () => {
  const directory = place('three');
  must(await startEngine({ directory, datapath: 'netdev' }));
  const { switchPid } = engineFiles(directory);
  const { pid } = probeEngine(directory).switch;
  process.kill(pid ?? 0, 'SIGKILL');
  await eventually(() => {
    expect(probeEngine(directory).switch.running).toBe(false);
  });
  execFileSync('sh', ['-c', `echo ${process.pid} > ${switchPid}`]);
  expect(probeEngine(directory).switch).toEqual({ pid: null, running: false, startTime: null });
  must(await stopEngine(directory));
  expect(process.pid).toBeGreaterThan(0);
});

it('ends a daemon that does not listen', async () => {
  const directory = place('four');
  const started = must(await startEngine({ directory, datapath: 'netdev' }));
  process.kill(started.switch.pid ?? 0, 'SIGSTOP');
  must(await stopEngine(directory));
  expect(runs(started.switch.pid)).toBe(false);
  expect(existsSync(directory)).toBe(false);
});

it('refuses a directory whose sockets would have too long names, and leaves nothing of a start that fails', async () => {
  expect(
    await startEngine({ directory: join(work, 'x'.repeat(90)), datapath: 'netdev' }),
  ).toMatchObject({ failure: { kind: 'too-large', code: 'ovs-directory-too-long' } });
  const directory = join(work, 'file');
  execFileSync('mkdir', ['-p', `${directory}/db.sock/full`]);
  expect(await startEngine({ directory, datapath: 'netdev' })).toMatchObject({
    failure: { kind: 'process', code: 'ovs-start-failed' },
  });
  expect(existsSync(directory)).toBe(false);
});
