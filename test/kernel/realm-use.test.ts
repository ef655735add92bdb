/** What a sandbox realm is for: everything that an agent and its labs do in it, by its owner, root or not. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  asOwner,
  bundle,
  checkout,
  type Realm,
  run,
  shell,
  start,
  startRealm,
  waitUntil,
} from '../harness/realm-launcher.ts';

/** Pids, as seen here, of the processes that are `inside` in the pid namespace of the keeper. */
function findOutside(keeper: number, inside: number): readonly number[] {
  const namespace = readlinkSync(`/proc/${keeper}/ns/pid`);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        if (readlinkSync(`/proc/${name}/ns/pid`) !== namespace) return false;
        const status = readFileSync(`/proc/${name}/status`, 'utf8');
        const pids = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
        return pids.at(-1) === String(inside);
      } catch {
        return false;
      }
    })
    .map(Number);
}

describe.each([
  { who: "the machine's root", user: 0 },
  { who: 'an ordinary user', user: 12345 },
])('in a realm of $who', ({ user }) => {
  let realm: Realm;
  let tools: string;
  let probe: string;

  beforeAll(async () => {
    tools = mkdtempSync('/home/netloom-tools-');
    spawnSync('chmod', ['755', tools]);
    probe = await bundle('test/harness/realm-probe.ts', tools);
    realm = await startRealm({ user });
  });
  afterAll(async () => {
    await realm.end();
    rmSync(tools, { recursive: true, force: true });
  });

  const succeed = (script: string): string => {
    const result = shell(realm, script);
    expect({ script, ...result }).toMatchObject({ status: 0 });
    return result.output;
  };

  it('is root with every capability', () => {
    expect(succeed('id -u')).toBe('0');
    expect(succeed('grep CapEff /proc/self/status')).toMatch(/[1-9a-f]f{8,}$/);
  });

  it('adds, enters and removes network namespaces by name', () => {
    succeed('ip netns add a');
    expect(succeed('ip netns exec a ip -j link')).toMatch(/^\[\{"ifindex":1,"ifname":"lo"/);
    expect(succeed('ip netns exec a ls /sys/class/net')).toBe('lo');
    succeed('ip netns exec a sysctl -q -w net.ipv4.ip_forward=1');
    succeed('ip netns del a && [ -z "$(ip netns list)" ]');
  });

  it('makes bridges, veth pairs and tap devices', () => {
    succeed('brctl addbr b0 && ip link add v0 type veth peer name v1 && brctl addif b0 v0');
    succeed('brctl stp b0 on && ip -j -d link show b0 | grep -q \'"stp_state":1\'');
    if (realm.warnings.length === 0) {
      succeed('ip tuntap add t0 mode tap && ip link set t0 master b0 && ip link del t0');
    } else {
      expect(realm.warnings).toEqual([expect.stringMatching(/^warning (no-tun|tun-refused) /)]);
      expect(shell(realm, 'ip tuntap add t0 mode tap').status).not.toBe(0);
    }
    succeed('ip link del v0 && ip link set b0 down && brctl delbr b0');
  });

  it('makes anonymous network namespaces and further user namespaces', () => {
    expect(succeed('unshare --net ip -j link')).not.toBe(succeed('readlink /proc/self/ns/net'));
    succeed('unshare --user --map-root-user --net --mount true');
  });

  it('runs Node with koffi and raw ICMP sockets', () => {
    expect(run(realm, [process.execPath, probe, 'raw-socket'])).toMatchObject({ status: 0 });
  });

  it('leaves the environment of a command as it was', () => {
    expect(succeed('echo $PATH')).toBe('/usr/sbin:/usr/bin:/sbin:/bin');
  });

  it('opens pseudo terminals', () => {
    expect(succeed('script --quiet --command tty /dev/null')).toMatch(/^\/dev\/pts\/\d+/);
  });

  it('serves a socket in the runtime directory to the outside', async () => {
    const path = join(realm.runtime, 'call');
    const child = start(realm, [process.execPath, probe, 'listen', path]);
    expect(await waitUntil(() => existsSync(path))).toBe(true);
    const heard = await new Promise<string>((resolve, reject) => {
      createConnection(path)
        .on('data', (data) => resolve(data.toString()))
        .on('error', reject);
    });
    expect(heard).toBe('from inside');
    // kill(nsenter) would leave the program alone; the realm's own pid of it is found as the README says.
    const inside =
      succeed('pidof -s node || pgrep -x node || pgrep MainThread').split(/\s+/)[0] ?? '';
    const found = findOutside(realm.keeper, Number(inside));
    expect(found).toHaveLength(1);
    expect(readFileSync(`/proc/${found[0] ?? 0}/cmdline`, 'utf8')).toContain('listen');
    const ended = new Promise((resolve) => child.on('exit', resolve));
    process.kill(found[0] ?? 0, 'SIGTERM');
    await ended;
  });

  it('lets its owner look in with nsenter alone', () => {
    const result = spawnSync(
      'nsenter',
      [
        ...[
          '--target',
          String(realm.keeper),
          '--user',
          '--preserve-credentials',
          '--mount',
          '--net',
        ],
        ...['--', 'ip', '-j', 'link'],
      ],
      asOwner(realm),
    );
    expect(result.stderr.toString()).toBe('');
    expect(JSON.parse(result.stdout.toString())).toContainEqual(
      expect.objectContaining({ ifname: 'lo' }),
    );
  });

  it('lets nobody else in', () => {
    const result = spawnSync(
      'nsenter',
      ['--target', String(realm.keeper), '--user', '--preserve-credentials', '--mount', 'true'],
      { uid: 23456, gid: 23456 },
    );
    expect(result.status).not.toBe(0);
  });
});

it.each([0, 12345])('brings an application under /tmp along (uid %i)', async (user) => {
  const app = mkdtempSync(join(tmpdir(), 'netloom-app-'));
  spawnSync('chmod', ['755', app]);
  mkdirSync(join(app, 'agent/realm'), { recursive: true });
  spawnSync('cp', [join(checkout, 'agent/realm/keeper.sh'), join(app, 'agent/realm')]);
  const realm = await startRealm({ user, app });
  try {
    expect(shell(realm, `cat ${app}/agent/realm/keeper.sh`).output).toContain('keeper');
    expect(shell(realm, `: >>${app}/agent/realm/keeper.sh`).status).not.toBe(0);
    expect(shell(realm, `touch ${app}/a`).status).not.toBe(0);
  } finally {
    await realm.end();
    rmSync(app, { recursive: true });
  }
});

it('lets a realm write the control group that was delegated to it, and no other', async () => {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((mount) => / - cgroup2 /.test(mount));
  const root = line?.split(' ')[4] ?? '';
  const own = join(root, `netloom-test-${process.pid}`);
  mkdirSync(own);
  try {
    const realm = await startRealm({ cgroups: [own] });
    expect(shell(realm, `mkdir ${own}/a && rmdir ${own}/a`).status).toBe(0);
    expect(shell(realm, `mkdir ${own}/../b`).errors).toMatch(/Read-only file system/);
    await realm.end();
  } finally {
    spawnSync('rmdir', [own]);
  }
});

it('maps the ids that are set aside for a user, so that daemons can drop privileges', async () => {
  const name = `netloom${process.pid}`;
  const added = spawnSync('useradd', ['--no-create-home', '--home-dir', '/nonexistent', name]);
  expect(added.status, added.stderr.toString()).toBe(0);
  try {
    const user = Number(spawnSync('id', ['--user', name]).stdout.toString());
    const realm = await startRealm({ user });
    try {
      expect(shell(realm, 'cat /proc/self/uid_map').output).toMatch(/^ *0 +0 +1\n *1 +1 +65536$/);
      expect(shell(realm, `touch ${realm.state}/a && chown 33:33 ${realm.state}/a`).status).toBe(0);
      expect(shell(realm, 'setpriv --reuid 33 --regid 33 --clear-groups id -u').output).toBe('33');
    } finally {
      await realm.end();
    }
  } finally {
    spawnSync('userdel', [name]);
  }
});
