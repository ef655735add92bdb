/**
 * Linux as a process (Debian's user-mode-linux, Documentation/virt/uml): the same kernel as the emulated machine's, without
 * a machine below it, so that programs run at their own speed. It has one processor, and lacks what Debian leaves out of
 * this kernel: cpusets, NAT by nftables, a NIC. It sees the host's root by hostfs.
 *
 * It has a network, a process and an IPC namespace of its own on the host: nothing that goes wrong in it reaches the host's,
 * and its processes end with it.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { GuestUnavailable, needPrograms, quote, runOnHost, unpackOnce } from './host.mjs';
import { findInPackages, readPackageField, unpackBusybox, unpackPackage } from './packages.mjs';

const kernelPackage = 'user-mode-linux';
/** Raised when what is unpacked and compiled changes. */
const cacheVersion = 1;

function compileTracing(directory) {
  const source = fileURLToPath(new URL('user-mode-tracing.c', import.meta.url));
  const file = path.join(directory, 'tracing.so');
  const made = runOnHost('gcc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', file, source]);
  if (made.status !== 0) throw new GuestUnavailable(`gcc: ${made.stderr.trim()}`);
}

function prepare() {
  needPrograms([
    ['gcc', 'gcc and libc6-dev'],
    ['unshare', 'util-linux'],
  ]);
  const version = findInPackages(() => readPackageField(kernelPackage, 'Version') ?? undefined);
  if (version === undefined) {
    throw new GuestUnavailable(`The package lists of this machine have no ${kernelPackage}.`);
  }
  const home = unpackOnce(`${kernelPackage}_${version}_${cacheVersion}`, (root, workplace) => {
    unpackPackage(kernelPackage, root, workplace);
    unpackBusybox(root, workplace);
    compileTracing(root);
  });
  const modules = path.join(home, 'usr/lib/uml/modules');
  const release = readdirSync(modules)[0];
  return {
    release,
    kernel: path.join(home, 'usr/bin/linux.uml'),
    modules: path.join(modules, release),
    busybox: path.join(home, 'busybox'),
    tracing: path.join(home, 'tracing.so'),
  };
}

/** hostfs takes a directory of the host for an option, up to the next comma. */
function hostDirectory(place) {
  if (place.includes(',')) throw new GuestUnavailable(`${place} has a comma in its name.`);
  return quote(place);
}

export const userModeMachine = {
  prepare,
  bootModules: ['overlay'],
  networkModules: [],
  networkDeviceModules: [],
  mounts: {
    root: '-t hostfs -o ro root',
    modules: (place) => `-t hostfs -o ro,${hostDirectory(place)} modules`,
    systemd: (place) => `-t hostfs -o ro,${hostDirectory(place)} systemd`,
    // What is written is there at once: the other side reads it while the guest runs.
    results: (place) => `-t hostfs -o sync,${hostDirectory(place)} results`,
  },
  command({ guest, initramfs, cpus, memory, network }) {
    if (cpus !== 1 || network) {
      throw new Error('Linux as a process has one processor and no NIC: use the emulated machine.');
    }
    return {
      file: 'unshare',
      args: [
        ...['--net', '--ipc', '--pid', '--fork', '--kill-child', '--', guest.kernel],
        ...[`mem=${memory}M`, `initrd=${initramfs}`],
        ...['con=null', 'con0=null,fd:1', 'quiet', 'panic=-1'],
      ],
      env: { LD_PRELOAD: guest.tracing },
    };
  },
};
