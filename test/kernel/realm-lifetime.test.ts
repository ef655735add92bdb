/** How a sandbox realm begins, lasts and ends. */
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeeperRecordSchema, realmFiles } from '../../agent/api/realm-files.ts';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  buildSetup,
  checkout,
  isAlive,
  parentOf,
  type Realm,
  RealmError,
  shell,
  start,
  startRealm,
  startTicks,
  waitUntil,
} from '../harness/realm-launcher.ts';

/** Processes in any pid namespace below that of the keeper, by their pids here. */
function processesIn(namespace: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => {
      try {
        return /^\d+$/.test(name) && readlinkSync(`/proc/${name}/ns/pid`) === namespace;
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Paths that a process has open, sorted. */
function openFiles(pid: number): readonly string[] {
  const targets = readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${name}`)];
    } catch {
      return [];
    }
  });
  return targets.filter((target) => target.startsWith('/')).sort();
}

describe.each([0, 12345])('a realm of uid %i', (user) => {
  let realm: Realm | undefined;
  afterEach(async () => {
    await realm?.end();
    realm = undefined;
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'ends wholly when its keeper gets %s',
    async (signal) => {
      realm = await startRealm({ user });
      const { keeper, gate } = realm;
      const namespace = readlinkSync(`/proc/${keeper}/ns/pid`);
      start(realm, ['sleep', '1000']);
      start(realm, ['unshare', '--net', 'sleep', '1000']);
      start(realm, ['setsid', 'sh', '-c', 'trap "" TERM HUP; sleep 1000; sleep 1000']);
      shell(realm, 'ip netns add a; ip link add v0 type veth peer name v1 netns a');
      expect(await waitUntil(() => processesIn(namespace).length >= 6)).toBe(true);
      const all = processesIn(namespace);
      process.kill(keeper, signal);
      expect(await waitUntil(() => [...all, gate].every((pid) => !isAlive(pid)))).toBe(true);
      expect(processesIn(namespace)).toEqual([]);
    },
  );

  it('reaps the orphans of others', async () => {
    realm = await startRealm({ user });
    shell(realm, 'for i in 1 2 3 4 5; do (sleep 0.1 &) ; done');
    const namespace = readlinkSync(`/proc/${realm.keeper}/ns/pid`);
    expect(await waitUntil(() => processesIn(namespace).length <= 2)).toBe(true);
    // Zombies have no namespace to read, but a line here.
    expect(shell(realm, 'ps -e -o stat= | grep -c Z').output).toBe('0');
    expect(shell(realm, 'kill -9 $(pgrep -P 1 sleep); sleep 0.1; pgrep -P 1 -c sleep').output).toBe(
      '1',
    );
  });

  it('holds on to nothing of its launcher, nor of what its launcher inherited', async () => {
    // Some shell's open directory, too high for Node to close.
    const fd = openSync('/', 'r');
    spawnSync('true');
    realm = await startRealm({ user });
    closeSync(fd);
    for (const pid of [realm.keeper, realm.gate]) {
      // A shell that goes round has a descriptor more for a moment.
      await expect
        .poll(() => openFiles(pid))
        .toEqual(
          pid === realm.keeper
            ? // Sorted too: where the checkout lies decides which comes first.
              [
                '/dev/null',
                '/dev/null',
                '/dev/null',
                join(checkout, 'agent/realm/keeper.sh'),
              ].sort()
            : [expect.stringMatching(/keeper\.fifo \(deleted\)$/)],
        );
      // Its own session, so that no terminal's end reaches it.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      expect(fields[3]).toBe(String(realm.gate));
      expect(fields[4]).toBe('0');
    }
    expect(parentOf(realm.gate)).not.toBe(process.pid);
    expect(existsSync(join(realm.runtime, 'keeper.fifo'))).toBe(false);
  });

  it('is told from a later process with the same pid by its start time', async () => {
    realm = await startRealm({ user });
    const record = KeeperRecordSchema.parse(
      JSON.parse(readFileSync(join(realm.runtime, realmFiles.keeper), 'utf8')),
    );
    expect(record).toMatchObject({ pid: realm.keeper, startTime: startTicks(realm.keeper) });
    expect(record.startTime).toMatch(/^[1-9]\d+$/);
  });
});

describe('descriptors that were inherited', () => {
  it('are closed on the way in, also those of two digits and more', async () => {
    // bash, since only it can open one so high.
    const home = mkdtempSync(join(tmpdir(), 'netloom-home-'));
    writeFileSync(join(home, '.bashrc'), `touch ${home}/was-read\n`);
    // With a socket for its input, as here, bash reads ~/.bashrc unless it is told not to.
    const script = `export HOME=${home} SHLVL=0; exec 77</ 251</etc; exec sh ${checkout}/agent/realm/keeper.sh start --runtime /nowhere`;
    const child = spawn('bash', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((resolve) => {
      child.stdout.once('data', (data: Buffer) => resolve(Number(data.toString().split(' ')[1])));
    });
    const open = readdirSync(`/proc/${pid}/fd`).map((name) =>
      readlinkSync(`/proc/${pid}/fd/${name}`),
    );
    expect(open.filter((path) => path === '/' || path === '/etc')).toEqual([]);
    expect(existsSync(join(home, 'was-read'))).toBe(false);
    rmSync(home, { recursive: true });
    child.stdin.end();
  });
});

describe('a realm that cannot be', () => {
  /** What root of a namespace with these changes is told; the machine's own settings stay as they are. */
  let setup = '';
  beforeAll(async () => {
    setup = await buildSetup();
  });

  const tell = (changes: string, namespaces: readonly string[]): string => {
    const directory = mkdtempSync(join(tmpdir(), 'netloom-refused-'));
    const keeper = `sh ${checkout}/agent/realm/keeper.sh start --name n --runtime ${directory} --state ${directory}`;
    const options = `--app ${checkout} --node ${process.execPath} --setup ${setup}`;
    const maps = 'for k in uid gid; do cat /proc/self/${k}_map >/proc/$pid/${k}_map; done';
    const script = `${changes}
      mkfifo ${directory}/answer
      ${keeper} ${options} <${directory}/answer | {
        exec 4>${directory}/answer
        read -r word pid
        case $word in map) ${maps}; echo mapped >&4; cat;; *) echo "$word $pid";; esac
      }`;
    const result = spawnSync('unshare', [...namespaces, '--', 'sh', '-c', script]);
    rmSync(directory, { recursive: true });
    return result.stdout.toString();
  };

  it('says that user namespaces are switched off', () => {
    expect(
      tell('echo 0 >/proc/sys/user/max_user_namespaces', ['--user', '--map-root-user']),
    ).toMatch(/^failed user-namespaces-off .*\n$/);
  });

  it('says that the inner user namespace is one too many', () => {
    // The trial, the outer one, and no more.
    expect(
      tell('echo 1 >/proc/sys/user/max_user_namespaces', ['--user', '--map-root-user']),
    ).toMatch(/^failed inner-namespaces-refused .*No space left on device\s*\n$/);
  });

  it('says that an application is where the realm cannot find it', async () => {
    await expect(startRealm({ user: 12345, app: '/nonexistent' })).rejects.toBeInstanceOf(
      RealmError,
    );
  });

  it('says that /proc is masked, as it is in a container', () => {
    const told = tell('mount --bind /dev/null /proc/kallsyms', ['--mount']);
    expect(told).toMatch(/^(warning .*\n)*failed proc-refused .*EPERM.*\n$/);
  });
});
