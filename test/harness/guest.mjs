/**
 * A QEMU guest with Debian's full kernel, for what the machine's own kernel lacks. It sees the machine's root read-only
 * under a layer in memory, so it has the same Node, the same programs and the same build, and can change nothing; the
 * one place that both can write is a directory for results. It has no network device, or one whose other end is in the
 * emulator itself and reaches nothing. Plain JavaScript on Node alone,
 * since it also runs by hand (test/guest/shell.mjs) and from any checkout.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The guest cannot be had on this machine; the message is one sentence that says why. */
export class GuestUnavailable extends Error {}

/** The guest did not come to the end of its script; the message says how far it came. */
export class GuestFailure extends Error {}

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const emulator = 'qemu-system-x86_64';

/** What the guest needs to reach the machine's root; what these depend on is read from modules.dep. */
const bootModules = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];

/**
 * Loaded before the script, as on a machine that has been up for a while: ip_gre, ip6_gre and ipip give every namespace
 * a fallback device, which must not appear in the middle of a lab. What is not here the kernel loads when it is asked.
 */
const networkModules = [
  ...['veth', 'bridge', 'br_netfilter', '8021q', 'bonding', 'dummy', 'macvlan', 'vrf', 'tun'],
  ...['vxlan', 'ip_gre', 'ip6_gre', 'ipip', 'geneve', 'openvswitch'],
  ...['sch_netem', 'sch_tbf', 'sch_htb', 'sch_fq_codel', 'sch_prio', 'sch_ingress'],
  ...['cls_basic', 'cls_flower', 'cls_matchall', 'cls_u32', 'act_police', 'act_mirred'],
  ...['nf_tables', 'nft_chain_nat', 'nft_masq', 'nft_ct', 'nft_limit', 'nf_nat', 'nft_reject_inet'],
];

/**
 * A real NIC (virtio), `eth0` in the guest, with a gateway that the emulator plays: it answers at 10.0.2.2 and hands
 * nothing on (`restrict`). Without IPv6, whose advertisements would change the guest's network by themselves.
 */
function networkDevice(forwardedPort) {
  const forward =
    forwardedPort === null
      ? ''
      : `,hostfwd=tcp:127.0.0.1:${forwardedPort}-10.0.2.15:${forwardedPort}`;
  return ['-nic', `user,model=virtio-net-pci,restrict=on,ipv6=off${forward}`];
}
const networkDeviceModules = ['virtio_net'];

function findProgram(name) {
  return systemPath
    .split(':')
    .map((directory) => path.join(directory, name))
    .find((file) => existsSync(file));
}

function runOnHost(file, args, options = {}) {
  const result = spawnSync(file, args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: systemPath, LC_ALL: 'C' },
    ...options,
  });
  if (result.error !== undefined) throw new GuestUnavailable(`${file}: ${result.error.message}.`);
  return result;
}

/** A directory of our own below the temporary one: somebody else may have made one of that name there. */
function cacheDirectory() {
  const uid = process.getuid?.() ?? 0;
  const directory = path.join(tmpdir(), `netloom-guest-${uid}`);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const status = lstatSync(directory);
  if (!status.isDirectory() || status.uid !== uid || (status.mode & 0o022) !== 0) {
    throw new GuestUnavailable(`${directory} is not a directory that only this user can write.`);
  }
  return directory;
}

/** The field of a Debian control paragraph (deb-control(5)) in the package lists; null when there is none. */
function readPackageField(name, field) {
  const { status, stdout } = runOnHost('apt-cache', ['show', '--no-all-versions', name]);
  if (status !== 0) return null;
  const line = stdout.split('\n').find((one) => one.startsWith(`${field}: `));
  return line === undefined ? null : line.slice(field.length + 2).trim();
}

/** `linux-image-amd64` only names the kernel of the day. */
function findKernelPackage() {
  const read = () => {
    const depends = readPackageField('linux-image-amd64', 'Depends') ?? '';
    return /^(?<name>linux-image-\S+) \(= (?<version>[^)]+)\)/u.exec(depends)?.groups;
  };
  let found = read();
  if (found === undefined && process.getuid?.() === 0) {
    runOnHost('apt-get', ['update', '-q']);
    found = read();
  }
  if (found === undefined) {
    throw new GuestUnavailable('The package lists of this machine have no linux-image-amd64.');
  }
  return { name: found.name, version: found.version };
}

function unpackPackage(name, directory, workplace) {
  const asRoot = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
  const place = path.join(workplace, 'packages');
  mkdirSync(place, { recursive: true });
  const got = runOnHost('apt-get', [...asRoot, '-q', 'download', name], { cwd: place });
  const file = readdirSync(place).find((one) => one.startsWith(`${name}_`) && one.endsWith('.deb'));
  if (got.status !== 0 || file === undefined) {
    throw new GuestUnavailable(`The package ${name} cannot be had: ${got.stderr.trim()}`);
  }
  const unpacked = runOnHost('dpkg-deb', ['-x', path.join(place, file), directory]);
  if (unpacked.status !== 0) throw new GuestUnavailable(`dpkg-deb: ${unpacked.stderr.trim()}`);
}

/**
 * Kernel, modules and busybox out of Debian's packages, unpacked once into a cache; nothing is installed.
 * Throws GuestUnavailable where that or the emulator is missing.
 */
export function prepareGuest() {
  if (process.arch !== 'x64') throw new GuestUnavailable('The guest is for x86-64 machines only.');
  for (const [program, debian] of [
    [emulator, 'qemu-system-x86'],
    ['depmod', 'kmod'],
    ['setpriv', 'util-linux'],
    ['apt-get', 'apt'],
    ['dpkg-deb', 'dpkg'],
  ]) {
    if (findProgram(program) === undefined) {
      throw new GuestUnavailable(`${program} is missing (Debian's package ${debian}).`);
    }
  }
  const kernelPackage = findKernelPackage();
  const cache = cacheDirectory();
  const home = path.join(cache, `${kernelPackage.name}_${kernelPackage.version}`);
  if (!existsSync(home)) {
    const workplace = mkdtempSync(path.join(cache, 'unpacking-'));
    try {
      const root = path.join(workplace, 'root');
      unpackPackage(kernelPackage.name, root, workplace);
      unpackPackage('busybox-static', path.join(workplace, 'busybox'), workplace);
      const release = readdirSync(modulesDirectory(root))[0];
      const inUsr = existsSync(path.join(root, 'usr/lib/modules'));
      const made = runOnHost('depmod', ['-b', inUsr ? path.join(root, 'usr') : root, release]);
      if (made.status !== 0) throw new GuestUnavailable(`depmod: ${made.stderr.trim()}`);
      const busybox = ['bin/busybox', 'usr/bin/busybox']
        .map((file) => path.join(workplace, 'busybox', file))
        .find((file) => existsSync(file));
      cpSync(busybox, path.join(root, 'busybox'));
      try {
        renameSync(root, home);
      } catch (error) {
        // Another run may have been faster.
        if (!existsSync(home)) throw error;
      }
    } finally {
      rmSync(workplace, { recursive: true, force: true });
    }
  }
  const release = readdirSync(modulesDirectory(home))[0];
  return {
    release,
    kernel: path.join(home, 'boot', `vmlinuz-${release}`),
    modules: path.join(modulesDirectory(home), release),
    busybox: path.join(home, 'busybox'),
  };
}

function modulesDirectory(root) {
  return ['usr/lib/modules', 'lib/modules']
    .map((directory) => path.join(root, directory))
    .find((directory) => existsSync(directory));
}

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

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Runs first in the guest, on busybox alone: puts the root together and goes over into it. */
function firstStage({ modules, guest, directory }) {
  return `#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox --install -s /bin
stop() { echo "netloom-guest: $*"; poweroff -f; }
mount -t devtmpfs dev /dev || stop 'no devtmpfs'
${modules.map((file) => `insmod /modules/${path.basename(file)} || stop 'no ${path.basename(file)}'`).join('\n')}
share='trans=virtio,version=9p2000.L,msize=512000'
mount -t 9p -o "ro,cache=loose,$share" root /lower || stop 'the root share cannot be mounted'
mount -t tmpfs -o mode=755,size=90% upper /upper
mkdir /upper/data /upper/work
chmod 755 /upper/data
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /root || stop 'no overlay'
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
mount -t 9p -o "ro,cache=loose,$share" modules lib/modules/${guest.release} || stop 'no modules'
mkdir -p ${quote(`/root${directory}`)}
mount -t 9p -o "cache=none,$share" results ${quote(`/root${directory}`)} || stop 'no results'
mkdir run/netloom-guest
cp /bin/busybox run/netloom-guest/busybox
exec switch_root /root /bin/sh ${quote(`${directory}/start.sh`)}
`;
}

/** Runs as the guest's first process in the machine's root. */
function secondStage({ directory, workingDirectory, modules }) {
  return `export PATH=${systemPath} HOME=/root LANG=C.UTF-8 NETLOOM_GUEST=1
export NETLOOM_GUEST_RESULTS=${quote(directory)}
hostname netloom-guest
ip link set lo up
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
[ -e /dev/stdin ] || ln -s /proc/self/fd/0 /dev/stdin
echo "$(command -v modprobe)" >/proc/sys/kernel/modprobe
for module in ${modules.join(' ')}; do
  modprobe -q "$module" || echo "$module" >>"$NETLOOM_GUEST_RESULTS/missing-modules"
done
echo '+cpu +cpuset +memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
cd ${quote(workingDirectory)}
cut -d ' ' -f 1 /proc/uptime >"$NETLOOM_GUEST_RESULTS/booted"
sh "$NETLOOM_GUEST_RESULTS/script.sh" </dev/null >"$NETLOOM_GUEST_RESULTS/output" 2>&1
echo $? >"$NETLOOM_GUEST_RESULTS/status"
exec /run/netloom-guest/busybox poweroff -f
`;
}

function writeInitramfs({ guest, directory, file }) {
  const modules = resolveModules(guest.modules, bootModules);
  const folders = ['bin', 'dev', 'proc', 'modules', 'lower', 'upper', 'root'];
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
      content: Buffer.from(firstStage({ modules: plain, guest, directory })),
    },
  ];
  writeFileSync(file, makeArchive(entries));
}

function readOptional(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Hands on what a file has gained since the last call. */
function follow(file, receive) {
  let position = 0;
  return () => {
    let descriptor;
    try {
      descriptor = openSync(file, 'r');
    } catch {
      return;
    }
    const buffer = Buffer.alloc(65_536);
    for (;;) {
      const length = readSync(descriptor, buffer, 0, buffer.length, position);
      if (length === 0) break;
      position += length;
      receive(Buffer.from(buffer.subarray(0, length)));
    }
    closeSync(descriptor);
  };
}

const lastLines = (text) => text.trim().split('\n').slice(-15).join('\n');

/**
 * Boots a guest, runs a shell script in it as root and ends it. In the script `$NETLOOM_GUEST_RESULTS` is a directory
 * that both sides write; it is `results` when that is given, and gone afterwards when not. `memory` is in MiB.
 * `network` gives it a NIC; `forwardedPort` does too, and leads from that port of this machine's loopback to the same port of
 * 10.0.2.15, which the script has to give to `eth0`. `receive` is called with what the script prints while it runs. Throws GuestUnavailable or GuestFailure.
 */
export async function runInGuest({
  script,
  cpus = 2,
  memory = 2048,
  timeoutSeconds = 240,
  workingDirectory = process.cwd(),
  results,
  network = false,
  forwardedPort = null,
  receive = () => undefined,
}) {
  const guest = prepareGuest();
  const begun = performance.now();
  const directory = results ?? mkdtempSync(path.join(tmpdir(), 'netloom-guest-run-'));
  const own = mkdtempSync(path.join(tmpdir(), 'netloom-guest-boot-'));
  const inDirectory = (name) => path.join(directory, name);
  const console_ = path.join(own, 'console');
  try {
    writeFileSync(inDirectory('script.sh'), script);
    const card = network || forwardedPort !== null;
    const modules = [...networkModules, ...(card ? networkDeviceModules : [])];
    writeFileSync(inDirectory('start.sh'), secondStage({ directory, workingDirectory, modules }));
    const initramfs = path.join(own, 'initramfs');
    writeInitramfs({ guest, directory, file: initramfs });
    const share = (tag, place, access) => [
      '-virtfs',
      `local,path=${place.replaceAll(',', ',,')},mount_tag=${tag},security_model=none,multidevs=remap${access}`,
    ];
    // A plain processor: emulated vector instructions are slower than the plain ones that stand in for them.
    const processor = canAccelerate()
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'Nehalem'];
    const args = [
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
      ...(card ? networkDevice(forwardedPort) : ['-nic', 'none']),
      ...processor,
      ...['-smp', String(cpus), '-m', String(memory)],
      ...['-kernel', guest.kernel, '-initrd', initramfs],
      // On a busy machine the emulated timer is late, which the kernel would take for a broken one.
      // A kernel that panics reboots at once, which ends the emulator.
      ...['-append', 'console=ttyS0 quiet panic=-1 mitigations=off apparmor=0 no_timer_check'],
      ...['-serial', `file:${console_}`],
      ...share('root', '/', ',readonly=on'),
      ...share('modules', guest.modules, ',readonly=on'),
      ...share('results', directory, ''),
    ];
    // Whatever ends this process ends the emulator too.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', emulator, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PATH: systemPath },
    });
    const complaints = [];
    child.stderr.on('data', (chunk) => complaints.push(chunk));
    const catchUp = follow(inDirectory('output'), receive);
    const follower = setInterval(catchUp, 200);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutSeconds * 1000);
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    }).finally(() => {
      clearTimeout(timer);
      clearInterval(follower);
      process.removeListener('exit', kill);
    });
    catchUp();
    const said = readOptional(console_) ?? '';
    const output = readOptional(inDirectory('output')) ?? '';
    const status = readOptional(inDirectory('status'));
    const booted = readOptional(inDirectory('booted'));
    const tail = `The console's end:\n${lastLines(said)}\nThe script's end:\n${lastLines(output)}`;
    if (/Kernel panic - not syncing/u.test(said)) {
      const around = said.split('\n');
      const place = around.findIndex((line) => line.includes('Kernel panic'));
      const lines = around.slice(Math.max(0, place - 15), place + 15).join('\n');
      throw new GuestFailure(`The guest's kernel panicked:\n${lines}`);
    }
    if (late) {
      const place = booted === null ? 'while it booted' : 'while its script ran';
      throw new GuestFailure(`The guest took more than ${timeoutSeconds} s, ${place}. ${tail}`);
    }
    if (status === null) {
      const complaint = Buffer.concat(complaints).toString().trim();
      throw new GuestFailure(`The guest ended before its script did. ${complaint}\n${tail}`);
    }
    return {
      status: Number(status),
      output,
      bootSeconds: Number(booted),
      seconds: (performance.now() - begun) / 1000,
      missingModules: (readOptional(inDirectory('missing-modules')) ?? '')
        .split('\n')
        .filter((name) => name !== ''),
    };
  } finally {
    rmSync(own, { recursive: true, force: true });
    if (results === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

let accelerated;

/** Whether KVM really starts a processor here: its device may be there and not work. */
function canAccelerate() {
  if (accelerated !== undefined) return accelerated;
  accelerated = false;
  if (process.env['NETLOOM_GUEST_KVM'] === '0') return accelerated;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return accelerated;
  }
  // The machine without a kernel: one that runs is ended by the limit, one that cannot says so at once. Some can do neither;
  // there a person says so.
  const tried = spawnSync(
    emulator,
    ['-nodefaults', '-display', 'none', '-accel', 'kvm', '-cpu', 'host', '-m', '64'],
    { env: { PATH: systemPath }, timeout: 2000, killSignal: 'SIGKILL' },
  );
  accelerated = tried.signal === 'SIGKILL';
  return accelerated;
}
