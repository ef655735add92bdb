/**
 * What root of a sandbox must not be able to do to the machine, as the machine's root starts it and as an ordinary
 * user does. An attempt counts as refused only with the refusal that is expected, and beside each group stands what
 * must work: a probe that fails for a reason of its own would show there.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, isAlive, type Realm, run, shell, startRealm } from '../harness/realm-launcher.ts';

const machineState = (): string =>
  [
    'ip -j link',
    'ip -j address',
    'ip -j route show table all',
    'cat /proc/self/mountinfo',
    'hostname',
  ]
    .map((command) => {
      const [program = '', ...rest] = command.split(' ');
      return spawnSync(program, rest).stdout.toString();
    })
    .join('\n')
    // Counts down by itself.
    .replaceAll(/"(valid|preferred)_life_time":\d+/g, '')
    .concat(spawnSync('lsns', ['--json', '--output', 'NS,TYPE', '--task', '1']).stdout.toString());

const readOnly = /Read-only file system/;
const notPermitted =
  /Operation not permitted|permission denied|Permission denied|must be superuser/i;

describe.each([
  { who: "the machine's root", user: 0 },
  { who: 'an ordinary user', user: 12345 },
])('the sandbox of $who', ({ user }) => {
  // Where file modes already refuse, the kernel does not go on to look at the mount.
  const denied = user === 0 ? readOnly : /Read-only file system|Permission denied/;
  let realm: Realm;
  let before: string;
  let probe: string;
  let tools: string;
  let outsider: ChildProcess;
  let abstractServer: Server;
  let pathServer: Server;
  const abstractName = `netloom-test-${process.pid}-${user}`;
  let socketDirectory: string;

  beforeAll(async () => {
    before = machineState();
    // /home is a shared place, so the probes and the person's files are visible inside.
    tools = mkdtempSync('/home/netloom-tools-');
    spawnSync('chmod', ['755', tools]);
    probe = await bundle('test/harness/realm-probe.ts', tools);
    socketDirectory = mkdtempSync('/home/netloom-sockets-');
    spawnSync('chmod', ['755', socketDirectory]);
    pathServer = createServer((socket) => socket.end()).listen(join(socketDirectory, 'daemon'));
    abstractServer = createServer((socket) => socket.end()).listen(`\0${abstractName}`);
    spawnSync('chmod', ['666', join(socketDirectory, 'daemon')]);
    outsider = spawn('sleep', ['1000'], user === 0 ? {} : { uid: user, gid: user });
    realm = await startRealm({ user, parent: '/home' });
    writeFileSync(join(realm.home, 'precious'), 'mine');
    spawnSync('chown', [`${user}:${user}`, join(realm.home, 'precious')]);
    console.log(
      `spawn to ready, ${user === 0 ? 'root' : 'user'}: ${realm.startTime.toFixed(0)} ms`,
    );
  });

  afterAll(async () => {
    await realm.end();
    outsider.kill('SIGKILL');
    pathServer.close();
    abstractServer.close();
    for (const path of [tools, socketDirectory]) rmSync(path, { recursive: true, force: true });
    expect(machineState()).toBe(before);
  });

  const expectRefusal = (script: string, reason: RegExp): void => {
    const result = shell(realm, script);
    expect(result.status, script).not.toBe(0);
    expect(result.errors, script).toMatch(reason);
  };
  const expectSuccess = (script: string): string => {
    const result = shell(realm, script);
    expect({ script, ...result }).toMatchObject({ status: 0 });
    return result.output;
  };
  const tryProbe = (...words: readonly string[]): string => {
    const result = run(realm, [process.execPath, probe, ...words]);
    expect(result.errors).toBe('');
    return result.status === 0 ? 'worked' : result.output;
  };

  describe('and files', () => {
    it('writes in its own places', () => {
      expectSuccess(
        `touch /tmp/a /run/a /var/tmp/a /dev/shm/a ${realm.runtime}/a ${realm.state}/a && rm ${realm.state}/a`,
      );
      expect(statSync(join(realm.runtime, 'a')).isFile()).toBe(true);
    });

    it.each(['/etc/passwd', '/etc/shadow', '/usr/bin/env'])('cannot open %s to write', (path) => {
      // Appending nothing opens the file and changes nothing, should it work.
      expectRefusal(`: >>${path}`, denied);
    });

    it("cannot change the person's files", () => {
      expectSuccess(`[ "$(cat "$HOME/precious")" = mine ]`);
      expectRefusal('echo theirs >"$HOME/precious"', readOnly);
      expectRefusal('rm -f "$HOME/precious"', readOnly);
      expectRefusal('touch "$HOME/new"', readOnly);
      expectRefusal('chmod 777 "$HOME/precious"', readOnly);
      expect(readFileSync(join(realm.home, 'precious'), 'utf8')).toBe('mine');
    });

    it('has no writable mount but its own', () => {
      const mounts = expectSuccess('cat /proc/self/mountinfo')
        .split('\n')
        .map((line) => line.split(' '))
        .map((fields) => ({
          root: fields[3] ?? '',
          path: fields[4] ?? '',
          writable: (fields[5] ?? '').split(',').includes('rw'),
          type: fields[fields.indexOf('-') + 1] ?? '',
        }));
      const writable = mounts.filter((mount) => mount.writable);
      const onDisk = writable.filter(
        ({ type }) => !['tmpfs', 'devtmpfs', 'devpts', 'proc'].includes(type),
      );
      expect(onDisk.map(({ path }) => path).sort()).toEqual([realm.runtime, realm.state].sort());
      expect(
        writable
          .filter(({ type }) => type === 'tmpfs')
          .map(({ path }) => path)
          .sort(),
      ).toEqual(['/dev', '/dev/shm', '/run', '/tmp', '/var/tmp']);
      expect(writable.filter(({ type }) => type === 'proc').map(({ path }) => path)).toEqual([
        '/proc',
        '/proc/sys/net',
      ]);
      // Other device nodes than the harmless ones are not there at all.
      // Device nodes in /dev; elsewhere it is /dev/null that covers something.
      const nodes = writable.filter(({ type }) => type === 'devtmpfs').map(({ root }) => root);
      const harmless = /^\/(null|zero|full|random|urandom|tty|net\/tun|kvm)$/;
      expect(nodes.filter((root) => !harmless.test(root))).toEqual([]);
    });

    it('cannot make the record of its keeper lie', () => {
      const path = join(realm.runtime, 'keeper.json');
      expectRefusal(`echo '{}' >${path}`, readOnly);
      expectRefusal(`rm -f ${path}`, /busy/);
      expectRefusal(`echo '{}' >${realm.runtime}/b && mv ${realm.runtime}/b ${path}`, /busy/);
      expectRefusal(`umount ${path}`, /not mounted|not permitted|Invalid|unmount/i);
      expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pid: realm.keeper });
    });
  });

  describe('and disks', () => {
    it('has none in /dev and makes none', () => {
      expectSuccess('for node in /dev/*; do [ ! -b "$node" ] || exit 1; done; ls /dev/null');
      expectRefusal('mknod /tmp/disk b 254 0', notPermitted);
      expectRefusal('mknod /dev/kmsg c 1 11', notPermitted);
    });

    it('cannot open a device by a node that somebody else put in its reach', () => {
      // /dev/zero stands for every device: a disk would be opened by the same path.
      const node = join(realm.state, 'device');
      expect(spawnSync('mknod', ['-m', '666', node, 'c', '1', '5']).status).toBe(0);
      try {
        spawnSync('chown', [`${user}:${user}`, node]);
        expect(spawnSync('head', ['-c', '1', node]).status).toBe(0);
        expectSuccess('head -c 1 /dev/zero');
        expectRefusal(`head -c 1 ${node}`, /Permission denied/);
        expectRefusal(`: >>${node}`, /Permission denied/);
      } finally {
        unlinkSync(node);
      }
    });
  });

  describe('and the settings of the kernel', () => {
    it('writes those of its own network', () => {
      expectSuccess(
        'echo 1 >/proc/sys/net/ipv4/ip_forward && [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]',
      );
      expect(expectSuccess('find /proc/sys/net -type f -writable | wc -l')).toMatch(/^[1-9]\d+$/);
    });

    it.each([
      'kernel/core_pattern',
      'kernel/domainname',
      'vm/drop_caches',
      'fs/file-max',
      'user/max_cgroup_namespaces',
    ])('cannot open /proc/sys/%s to write', (name) => {
      expectRefusal(`: >>/proc/sys/${name}`, denied);
    });

    it('finds nothing else to write in /proc outside processes', () => {
      const found = expectSuccess(
        "find /proc -regextype posix-extended -regex '/proc/([0-9]+|self|thread-self|sys/net)' -prune -o -type f -perm /222 -writable -exec test -f {} \\; -print 2>/dev/null; true",
      );
      expect(found).toBe('');
    });

    it('finds nothing to write in /sys', () => {
      expect(expectSuccess('find /sys -writable ! -type l -print 2>/dev/null; true')).toBe('');
    });

    it('cannot write a /proc or /sys of another making', () => {
      expectRefusal('unshare --pid --fork --mount -- mount -t proc proc /mnt', notPermitted);
      expectRefusal(
        'unshare --user --map-root-user --pid --fork --mount -- mount -t proc proc /mnt',
        notPermitted,
      );
      expectRefusal('unshare --net --mount -- mount -t sysfs sysfs /mnt', notPermitted);
      expectSuccess('unshare --net --mount -- mount -t sysfs -o ro sysfs /mnt');
      expectRefusal(
        'unshare --net --mount -- sh -c "mount -t sysfs -o ro sysfs /mnt && mount -o remount,rw /mnt"',
        notPermitted,
      );
    });

    it('cannot set the clock', () => {
      expectRefusal('date --set "$(date)"', notPermitted);
    });
  });

  describe('and control groups', () => {
    const roots = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => / - cgroup2? /.test(line))
      .map((line) => line.split(' ')[4] ?? '');

    it.each(roots)('cannot change %s', (path) => {
      expectSuccess(`[ -r ${path}/cgroup.procs ]`);
      expectRefusal(`mkdir ${path}/netloom-test`, readOnly);
      expectRefusal(`: >>${path}/cgroup.procs`, denied);
    });

    it('cannot mount them', () => {
      expectRefusal('mount -t cgroup2 none /mnt', notPermitted);
      expectRefusal('mount -t cgroup -o cpu none /mnt', notPermitted);
      expectSuccess('mount -t tmpfs none /mnt && umount /mnt');
    });

    it('cannot make a control group namespace', () => {
      expectRefusal('unshare --cgroup -- true', /No space left on device/);
      expectRefusal('unshare --user --map-root-user --cgroup -- true', /No space left on device/);
      expectSuccess('unshare --user --map-root-user --net -- true');
    });
  });

  describe('and its mounts', () => {
    it.each([
      'mount -o remount,rw /',
      'mount -o remount,bind,rw /',
      'mount -o remount,bind,rw /etc',
      'mount -o remount,bind,dev /etc',
      'mount -o remount,bind,suid /usr',
      'mount -o remount,bind,rw /proc/sys',
      'mount -o remount,bind,rw /sys',
      'mkdir /tmp/etc && mount --bind /etc /tmp/etc && mount -o remount,bind,rw /tmp/etc',
    ])('cannot: %s', (script) => {
      expectRefusal(script, notPermitted);
    });

    it.each(['/etc', '/dev', '/proc', '/proc/sys', '/sys', '/run', '/tmp'])(
      'cannot unmount %s',
      (path) => {
        expectRefusal(`umount ${path}`, /not mounted|busy|not permitted|Invalid argument/i);
        expectRefusal(`umount -l ${path}`, /not mounted|not permitted|Invalid argument/i);
        expectRefusal(
          `unshare --user --map-root-user --mount -- umount -l ${path}`,
          /not mounted|not permitted|Invalid argument/i,
        );
      },
    );

    it('cannot look under them', () => {
      expectRefusal('mount --bind /proc /mnt', /wrong fs type|Invalid argument/);
      expectSuccess('mkdir -p /tmp/x && mount --bind /tmp/x /mnt && umount /mnt');
    });

    it.each(['/', '/etc', '/usr', '/proc/sys', '/sys', '/sys/fs/cgroup'])(
      'cannot clear the read-only attribute of %s',
      (path) => {
        expect(tryProbe('make-writable', path)).toBe('EPERM');
        expect(tryProbe('clone-and-make-writable', path)).toBe('EPERM');
      },
    );

    it('can change those that it made itself', () => {
      expectSuccess(
        'mkdir -p /tmp/own && mount --bind /tmp/own /tmp/own && mount -o remount,bind,ro /tmp/own',
      );
      expectRefusal('touch /tmp/own/a', readOnly);
      expect(tryProbe('make-writable', '/tmp/own')).toBe('worked');
      expectSuccess('touch /tmp/own/a && umount /tmp/own');
    });
  });

  describe('and processes', () => {
    it('neither sees nor signals those outside', () => {
      const pid = outsider.pid ?? 0;
      expectRefusal(`kill -0 ${pid}`, /No such process/);
      expectRefusal(`kill -9 ${pid}`, /No such process/);
      expectSuccess(`[ ! -e /proc/${pid} ] && [ -e /proc/1 ]`);
      expectSuccess('sleep 100 & kill -9 $!');
      shell(realm, 'kill -9 -1');
      expect(isAlive(pid)).toBe(true);
      expect(isAlive(realm.keeper)).toBe(true);
    });

    it('finds no way out through its first process', () => {
      expect(expectSuccess('readlink /proc/1/cwd /proc/1/root')).toBe('/\n/');
      expect(expectSuccess('readlink /proc/1/fd/0 /proc/1/fd/1 /proc/1/fd/2')).toBe(
        '/dev/null\n/dev/null\n/dev/null',
      );
      // The shell keeps its script open; it is a file of the locked tree.
      const rest = expectSuccess('for fd in /proc/1/fd/*; do readlink $fd; done').split('\n');
      expect(rest.filter((path) => !/^\/dev\/null$|\/keeper\.sh$/.test(path))).toEqual([]);
      expectRefusal(
        'for fd in /proc/1/fd/*; do case $(readlink $fd) in */keeper.sh) : >>$fd || exit 1;; esac; done; : >>/proc/1/exe',
        denied,
      );
    });

    it('cannot remove the IPC objects of the machine', () => {
      const made = spawnSync(
        'ipcmk',
        ['--shmem', '4096'],
        user === 0 ? {} : { uid: user, gid: user },
      );
      const id = /\d+$/.exec(made.stdout.toString().trim())?.[0] ?? '';
      try {
        expect(expectSuccess('ipcs --shmems')).not.toMatch(/0x[0-9a-f]+ +\d/);
        expectRefusal(`ipcrm --shmem-id ${id}`, /invalid id|permission denied|failed/);
        const own = /\d+$/.exec(expectSuccess('ipcmk --shmem 4096'))?.[0] ?? '';
        expectSuccess(`ipcrm --shmem-id ${own}`);
      } finally {
        expect(spawnSync('ipcrm', ['--shmem-id', id]).status).toBe(0);
      }
    });
  });

  describe('and sockets', () => {
    it('does not reach abstract ones of the machine', () => {
      expect(tryProbe('connect', `@${abstractName}`)).toBe('ECONNREFUSED');
      expect(spawnSync(process.execPath, [probe, 'connect', `@${abstractName}`]).status).toBe(0);
    });

    it('does not reach those that listened when it started', () => {
      const path = join(socketDirectory, 'daemon');
      expect(tryProbe('connect', path)).toMatch(/^(ENOTSOCK|ECONNREFUSED)$/);
      expect(spawnSync(process.execPath, [probe, 'connect', path]).status).toBe(0);
    });

    it('sees nothing of /run and /tmp', () => {
      expect(expectSuccess('rm -f /run/a; ls -A /run')).toBe('lock\nmount\nnetns');
      expect(expectSuccess('find /tmp -maxdepth 1 -name "netloom-*"')).toBe('');
    });
  });

  it.runIf(user === 0)('enters through a program that the sandbox could not change', async () => {
    // Between setns and exec the entering process is in the sandbox's sight with the machine's nsenter as its /proc/PID/exe.
    const write = () =>
      spawnSync('nsenter', [
        `--mount=/proc/${realm.gate}/ns/mnt`,
        '--',
        'sh',
        '-c',
        ': >>/usr/bin/nsenter',
      ]);
    // While somebody on the machine runs that very program, it is busy before it is read-only.
    await expect.poll(() => write().stderr.toString()).not.toContain('Text file busy');
    const result = write();
    expect(result.status).not.toBe(0);
    expect(result.stderr.toString()).toMatch(readOnly);
  });

  it('makes links and namespaces that the machine does not see', () => {
    expectSuccess(
      'ip link add br-netloom type bridge && ip netns add n1 && ip link add v0 type veth peer name v1 netns n1 && ip link set v0 master br-netloom && ip link set lo up',
    );
    expect(machineState()).toBe(before);
    expectSuccess('ip netns del n1 && ip link del br-netloom');
  });
});
