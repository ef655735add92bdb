/**
 * A PC that QEMU emulates, with Debian's kernel for such machines: as many processors as are wanted, a NIC, everything that
 * this kernel has; slow where KVM does not work. It sees the host's root by 9p.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { GuestUnavailable, needPrograms, runOnHost, systemPath, unpackOnce } from './host.mjs';
import { findInPackages, readPackageField, unpackBusybox, unpackPackage } from './packages.mjs';

const emulator = 'qemu-system-x86_64';
const share = 'trans=virtio,version=9p2000.L,msize=512000';

/** `linux-image-amd64` only names the kernel of the day. */
function findKernelPackage() {
  const found = findInPackages(() => {
    const depends = readPackageField('linux-image-amd64', 'Depends') ?? '';
    return /^(?<name>linux-image-\S+) \(= (?<version>[^)]+)\)/u.exec(depends)?.groups;
  });
  if (found === undefined) {
    throw new GuestUnavailable('The package lists of this machine have no linux-image-amd64.');
  }
  return { name: found.name, version: found.version };
}

function modulesDirectory(root) {
  return ['usr/lib/modules', 'lib/modules']
    .map((directory) => path.join(root, directory))
    .find((directory) => existsSync(directory));
}

function prepare() {
  needPrograms([
    [emulator, 'qemu-system-x86'],
    ['depmod', 'kmod'],
  ]);
  const kernelPackage = findKernelPackage();
  const home = unpackOnce(`${kernelPackage.name}_${kernelPackage.version}`, (root, workplace) => {
    unpackPackage(kernelPackage.name, root, workplace);
    unpackBusybox(root, workplace);
    const release = readdirSync(modulesDirectory(root))[0];
    const inUsr = existsSync(path.join(root, 'usr/lib/modules'));
    const made = runOnHost('depmod', ['-b', inUsr ? path.join(root, 'usr') : root, release]);
    if (made.status !== 0) throw new GuestUnavailable(`depmod: ${made.stderr.trim()}`);
  });
  const release = readdirSync(modulesDirectory(home))[0];
  return {
    release,
    kernel: path.join(home, 'boot', `vmlinuz-${release}`),
    modules: path.join(modulesDirectory(home), release),
    busybox: path.join(home, 'busybox'),
  };
}

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

let accelerated;

/** Whether KVM really starts a processor here: its device may be there and not work. */
function canAccelerate() {
  if (accelerated !== undefined) return accelerated;
  accelerated = false;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return accelerated;
  }
  // Without the processor's help KVM may run firmware, and no kernel.
  if (!/^flags\s*:.*\b(?:vmx|svm)\b/mu.test(readFileSync('/proc/cpuinfo', 'utf8'))) {
    return accelerated;
  }
  // The machine without a kernel: one that runs is ended by the limit, one that cannot says so at once.
  const tried = spawnSync(
    emulator,
    ['-nodefaults', '-display', 'none', '-accel', 'kvm', '-cpu', 'host', '-m', '64'],
    { env: { PATH: systemPath }, timeout: 2000, killSignal: 'SIGKILL' },
  );
  accelerated = tried.signal === 'SIGKILL';
  return accelerated;
}

function shareDirectory(tag, place, access = '') {
  return [
    '-virtfs',
    `local,path=${place.replaceAll(',', ',,')},mount_tag=${tag},security_model=none,multidevs=remap${access}`,
  ];
}

export const emulatedMachine = {
  prepare,
  bootModules: ['virtio_pci', '9pnet_virtio', '9p', 'overlay'],
  networkModules: ['nft_chain_nat', 'nft_reject_inet'],
  networkDeviceModules: ['virtio_net'],
  /** Options and source for mount(8) of what is shared; `place` is the directory on the host. */
  mounts: {
    root: `-t 9p -o "ro,cache=loose,${share}" root`,
    modules: () => `-t 9p -o "ro,cache=loose,${share}" modules`,
    systemd: () => `-t 9p -o "ro,cache=loose,${share}" systemd`,
    results: () => `-t 9p -o "cache=none,${share}" results`,
  },
  command({ guest, initramfs, console, directory, cpus, memory, network, forwardedPort }) {
    // A plain processor: emulated vector instructions are slower than the plain ones that stand in for them.
    const processor = canAccelerate()
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'Nehalem'];
    return {
      file: emulator,
      args: [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
        ...(network ? networkDevice(forwardedPort) : ['-nic', 'none']),
        ...processor,
        ...['-smp', String(cpus), '-m', String(memory)],
        ...['-kernel', guest.kernel, '-initrd', initramfs],
        // On a busy machine the emulated timer is late, which the kernel would take for a broken one.
        // A kernel that panics reboots at once, which ends the emulator.
        ...['-append', 'console=ttyS0 quiet panic=-1 mitigations=off apparmor=0 no_timer_check'],
        ...['-serial', `file:${console}`],
        ...shareDirectory('root', '/', ',readonly=on'),
        ...shareDirectory('modules', guest.modules, ',readonly=on'),
        ...shareDirectory('results', directory),
        ...(guest.systemd === null ? [] : shareDirectory('systemd', guest.systemd, ',readonly=on')),
      ],
      env: {},
    };
  },
};
