/** What a guest boots into, the same for every kind of machine: an archive with busybox and two scripts. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { quote, runOnHost, systemPath } from './host.mjs';
import { becomeSystemd } from './systemd.mjs';

/** The modules with what they need, in the order in which they can be loaded (modules.dep(5)). */
function resolveModules(directory, names) {
  const needs = new Map(
    readFileSync(path.join(directory, 'modules.dep'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [file, rest = ''] = line.split(':');
        return [file, rest.split(' ').filter((word) => word !== '')];
      }),
  );
  const fileOf = new Map(
    [...needs.keys()].map((file) => [
      path
        .basename(file)
        .replace(/\.ko(?:\.\w+)?$/u, '')
        .replaceAll('-', '_'),
      file,
    ]),
  );
  const ordered = [];
  const add = (file) => {
    if (ordered.includes(file)) return;
    for (const need of needs.get(file) ?? []) add(need);
    ordered.push(file);
  };
  // What is not listed is part of the kernel itself.
  for (const name of names) if (fileOf.has(name)) add(fileOf.get(name));
  return ordered;
}

function readModule(file) {
  if (!/\.(?:xz|zst)$/u.test(file)) return readFileSync(file);
  const program = file.endsWith('.xz') ? 'xz' : 'zstd';
  return runOnHost(program, ['-d', '-c', file], { encoding: 'buffer' }).stdout;
}

/** An archive in the `newc` format of cpio (Documentation/driver-api/early-userspace/buffer-format.rst). */
function makeArchive(entries) {
  const parts = [];
  const pad = (length) => Buffer.alloc((4 - (length % 4)) % 4);
  let inode = 0;
  const add = (name, mode, content) => {
    inode += 1;
    const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
    const header = Buffer.from(
      `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`,
    );
    parts.push(header, pad(header.length), content, pad(content.length));
  };
  for (const { name, mode, content = Buffer.alloc(0) } of entries) add(name, mode, content);
  add('TRAILER!!!', 0, Buffer.alloc(0));
  return Buffer.concat(parts);
}

/** Runs first in the guest, on busybox alone: puts the root together and goes over into it. */
function firstStage({ machine, modules, guest, directory }) {
  const layered = guest.systemd !== null;
  return `#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox --install -s /bin
stop() { echo "netloom-guest: $*"; poweroff -f; }
# Some kernels have mounted it by themselves.
mountpoint -q /dev || mount -t devtmpfs dev /dev || stop 'no devtmpfs'
${modules.map((file) => `insmod /modules/${path.basename(file)} || stop 'no ${path.basename(file)}'`).join('\n')}
mount ${machine.mounts.root} /lower || stop 'the root share cannot be mounted'
${layered ? `mount ${machine.mounts.systemd(guest.systemd)} /systemd || stop 'no systemd'` : ''}
mount -t tmpfs -o mode=755,size=90% upper /upper
mkdir /upper/data /upper/work
chmod 755 /upper/data
mount -t overlay -o lowerdir=${layered ? '/systemd/programs:/lower:/systemd/libraries' : '/lower'},upperdir=/upper/data,workdir=/upper/work root /root || stop 'no overlay'
umount /proc
umount /dev
cd /root
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec sys sys
mount -t devtmpfs -o nosuid,mode=755 dev dev
mkdir -p dev/pts dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 pts dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 shm dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755 run run
mkdir -m 1777 run/lock
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p lib/modules/${guest.release}
mount ${machine.mounts.modules(guest.modules)} lib/modules/${guest.release} || stop 'no modules'
mkdir -p ${quote(`/root${directory}`)}
mount ${machine.mounts.results(directory)} ${quote(`/root${directory}`)} || stop 'no results'
mkdir run/netloom-guest
cp /bin/busybox run/netloom-guest/busybox
exec switch_root /root /bin/sh ${quote(`${directory}/start.sh`)}
`;
}

/** Runs as the guest's first process in the machine's root; `third` is the file with the stage after it. */
export function secondStage({ directory, modules, init, third }) {
  return `export PATH=${systemPath}
hostname netloom-guest
ip link set lo up
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
[ -e /dev/stdin ] || ln -s /proc/self/fd/0 /dev/stdin
echo "$(command -v modprobe)" >/proc/sys/kernel/modprobe
for module in ${modules.join(' ')}; do
  modprobe -q "$module" || echo "$module" >>${quote(`${directory}/missing-modules`)}
done
${init === 'systemd' ? becomeSystemd(third) : withControllers(third)}`;
}

function withControllers(third) {
  return `# One by one: of several that are asked for at once a kernel without one of them takes none.
for controller in cpu cpuset memory pids; do
  echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done 2>/dev/null
. ${quote(third)}
`;
}

/** Runs the script, as the first process or as a service of it, and ends the machine. */
export function thirdStage({ directory, workingDirectory }) {
  return `export PATH=${systemPath} HOME=/root LANG=C.UTF-8 NETLOOM_GUEST=1
export NETLOOM_GUEST_RESULTS=${quote(directory)}
cd ${quote(workingDirectory)}
# As on a machine that has been up for a while: in its first ten seconds ovs-vswitchd takes a machine for one without processors
# and handles no upcall (count_cpu_cores in lib/ovs-thread.c compares the clock with a last time of 0).
while [ "$(cut -d . -f 1 /proc/uptime)" -lt 11 ]; do sleep 0.2; done
cut -d ' ' -f 1 /proc/uptime >"$NETLOOM_GUEST_RESULTS/booted"
sh "$NETLOOM_GUEST_RESULTS/script.sh" </dev/null >"$NETLOOM_GUEST_RESULTS/output" 2>&1
echo $? >"$NETLOOM_GUEST_RESULTS/status"
exec /run/netloom-guest/busybox poweroff -f
`;
}

export function writeInitramfs({ machine, guest, directory, file }) {
  const modules = resolveModules(guest.modules, machine.bootModules);
  const folders = ['bin', 'dev', 'proc', 'modules', 'lower', 'systemd', 'upper', 'root'];
  const plain = modules.map((one) => one.replace(/\.(?:xz|zst)$/u, ''));
  const entries = [
    ...folders.map((name) => ({ name, mode: 0o040755 })),
    { name: 'bin/busybox', mode: 0o100755, content: readFileSync(guest.busybox) },
    ...modules.map((one, index) => ({
      name: `modules/${path.basename(plain[index])}`,
      mode: 0o100644,
      content: readModule(path.join(guest.modules, one)),
    })),
    {
      name: 'init',
      mode: 0o100755,
      content: Buffer.from(firstStage({ machine, modules: plain, guest, directory })),
    },
  ];
  writeFileSync(file, makeArchive(entries));
}
