/**
 * CPU groups below a unit of systemd's own machine: run in the guest by systemd-host.test.ts, and in one with cpuset by that
 * of test/emulated. Systemd is the first process, and the test one of its services.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';

const root = '/sys/fs/cgroup';
const unit = 'netloom-x.service';
const top = `${root}/${unit}`;

const read = (file: string): string => readFileSync(file, 'utf8').trim();
const words = (file: string): readonly string[] => read(file).split(' ');
const run = (...command: readonly [string, ...string[]]): string =>
  execFileSync(command[0], command.slice(1), { encoding: 'utf8' }).trim();
const systemctl = (...words: readonly string[]): string => run('systemctl', ...words);

/** Also where systemctl says it by a status other than 0. */
function ask(...words: readonly string[]): string {
  return spawnSync('systemctl', words, { encoding: 'utf8' }).stdout.trim();
}

const property = (name: string, of = unit): string =>
  ask('show', '--property', name, '--value', of);

const machineControllers = words(`${root}/cgroup.controllers`);
/** Ours, as far as the kernel has them. */
const controllers = ['cpu', 'cpuset'].filter((name) => machineControllers.includes(name));

/** Without a leaf of its own, the holder is in the way of groups below the unit. */
const holder = `
mkdir ${top}/holder
echo 0 >${top}/holder/cgroup.procs
exec sleep infinity`;

/** Systemd says that the service is started before its program has done anything. */
async function startHolder(script = holder): Promise<void> {
  run(
    ...(['systemd-run', '--quiet', `--unit=${unit}`, '--slice=-.slice', '-p'] as const),
    ...['Delegate=cpu cpuset', 'sh', '-ec', script],
  );
  await vi.waitUntil(
    () => existsSync(`${top}/holder`) && read(`${top}/holder/cgroup.procs`) !== '',
  );
}

/** Groups as the product would make them, with values that are nobody's default. */
const values: Readonly<Record<string, string>> = {
  'lab/cpu.max': '150000 100000',
  'lab/cpu.weight': '300',
  'lab/a/cpu.max': '30000 60000',
  'lab/a/cpu.max.burst': '7000',
  'lab/a/cpu.weight': '77',
  'lab/b/cpu.idle': '1',
  ...(controllers.includes('cpuset') ? { 'lab/a/cpuset.cpus': '1' } : {}),
};

function makeGroups(): void {
  const turnOn = controllers.map((name) => `+${name}`).join(' ');
  writeFileSync(`${top}/cgroup.subtree_control`, turnOn);
  mkdirSync(`${top}/lab`);
  writeFileSync(`${top}/lab/cgroup.subtree_control`, turnOn);
  for (const name of ['a', 'b']) mkdirSync(`${top}/lab/${name}`);
  for (const [file, value] of Object.entries(values)) writeFileSync(`${top}/${file}`, value);
}

const present = (): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.keys(values).map((file) => [file, read(`${top}/${file}`)]));

/** A process in a group, in a session of its own, as those that a person binds. */
function bind(group: string): number {
  const pid = run('sh', '-c', 'setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!');
  writeFileSync(`${top}/${group}/cgroup.procs`, pid);
  return Number(pid);
}

/** Of a process; null when it is no more, or only its entry is. */
function placeOf(pid: number): string | null {
  try {
    return /^State:\s+Z/m.test(read(`/proc/${pid}/status`)) ? null : read(`/proc/${pid}/cgroup`);
  } catch {
    return null;
  }
}

const units = (): string =>
  systemctl('list-units', '--all', '--plain', '--no-legend', 'netloom-x*');

afterEach(() => {
  for (const name of [unit, 'netloom-other.service']) {
    ask('stop', name);
    ask('reset-failed', name);
  }
});

describe('the machine', () => {
  it('is systemd’s, in good order, and the test one of its services', () => {
    expect(read('/proc/1/comm')).toBe('systemd');
    expect(existsSync('/run/systemd/system')).toBe(true);
    expect(['running', 'degraded']).toContain(ask('is-system-running'));
    expect(read('/proc/self/cgroup')).toBe('0::/system.slice/netloom-test.service');
  });

  it('has CPU time to give, and gives it to nobody yet', () => {
    expect(controllers).toContain('cpu');
    expect(words(`${root}/cgroup.subtree_control`)).not.toContain('cpu');
    expect(readdirSync(root)).toEqual(expect.arrayContaining(['init.scope', 'system.slice']));
  });
});

describe('a delegated service directly below the root', () => {
  it('has a directory with the controllers', async () => {
    await startHolder();
    expect(property('ControlGroup')).toBe(`/${unit}`);
    expect(property('Delegate')).toBe('yes');
    expect(words(`${top}/cgroup.controllers`)).toEqual(expect.arrayContaining([...controllers]));
    expect(words(`${root}/cgroup.subtree_control`)).toEqual(
      expect.arrayContaining([...controllers]),
    );
  });

  it('has a holder that moved into a leaf, and is as well as before', async () => {
    await startHolder();
    const pid = Number(property('MainPID'));
    expect(placeOf(pid)).toBe(`0::/${unit}/holder`);
    expect(read(`${top}/cgroup.procs`)).toBe('');
    expect(ask('is-active', unit)).toBe('active');
    systemctl('daemon-reload');
    expect(placeOf(pid)).toBe(`0::/${unit}/holder`);
    expect(ask('is-active', unit)).toBe('active');
    expect(property('MainPID')).toBe(String(pid));
  });

  it('has groups that take nobody where the holder is beside them', () => {
    run(
      ...(['systemd-run', '--quiet', `--unit=${unit}`, '--slice=-.slice', '-p'] as const),
      ...['Delegate=cpu cpuset', 'sleep', 'infinity'],
    );
    mkdirSync(`${top}/lab`);
    expect(read(`${top}/lab/cgroup.type`)).toBe('domain');
    // The kernel does not refuse it: CPU time can also be split among the threads of a process.
    writeFileSync(`${top}/cgroup.subtree_control`, '+cpu');
    expect(read(`${top}/lab/cgroup.type`)).toBe('domain invalid');
    expect(() => bind('lab')).toThrow('ENOTSUP');
  });

  it('keeps what is written below it while systemd reads its units anew and others come and go', async () => {
    await startHolder();
    makeGroups();
    const bound = bind('lab/a');
    expect(present()).toEqual(values);
    systemctl('daemon-reload');
    expect(present()).toEqual(values);
    const other = 'netloom-other.service';
    const limits = ['CPUWeight=50', 'CPUQuota=40%', 'MemoryMax=1G'];
    run(
      ...(['systemd-run', '--quiet', `--unit=${other}`] as const),
      ...limits.flatMap((limit) => ['-p', limit]),
      ...['sleep', 'infinity'],
    );
    expect(read(`${root}/system.slice/${other}/cpu.max`)).toBe('40000 100000');
    expect(read(`${root}/system.slice/${other}/cpu.weight`)).toBe('50');
    expect(present()).toEqual(values);
    systemctl('set-property', '--runtime', other, 'CPUQuota=20%');
    systemctl('daemon-reload');
    expect(present()).toEqual(values);
    systemctl('stop', other);
    systemctl('daemon-reload');
    expect(present()).toEqual(values);
    expect(placeOf(bound)).toBe(`0::/${unit}/lab/a`);
    expect(words(`${top}/cgroup.subtree_control`)).toEqual(
      expect.arrayContaining([...controllers]),
    );
  });

  it('keeps it while systemd itself is started anew', async () => {
    await startHolder();
    makeGroups();
    const bound = bind('lab/b');
    systemctl('daemon-reexec');
    await vi.waitUntil(() => ask('is-active', unit) === 'active');
    expect(present()).toEqual(values);
    expect(placeOf(bound)).toBe(`0::/${unit}/lab/b`);
  });

  it('takes everything with it when it is stopped, and leaves no unit', async () => {
    await startHolder();
    makeGroups();
    const pids = [bind('lab/a'), bind('lab/b'), Number(property('MainPID'))];
    systemctl('stop', unit);
    expect(existsSync(top)).toBe(false);
    expect(pids.map(placeOf)).toEqual([null, null, null]);
    expect(existsSync(`/run/systemd/transient/${unit}`)).toBe(false);
    expect(units()).toBe('');
  });

  it('is failed when its holder is killed, leaves nothing, and is forgotten when asked', async () => {
    await startHolder();
    makeGroups();
    const bound = bind('lab/a');
    process.kill(Number(property('MainPID')), 'SIGKILL');
    await vi.waitUntil(() => ask('is-failed', unit) === 'failed');
    expect(existsSync(top)).toBe(false);
    expect(placeOf(bound)).toBeNull();
    expect(units()).not.toBe('');
    systemctl('reset-failed', unit);
    expect(units()).toBe('');
  });
});
