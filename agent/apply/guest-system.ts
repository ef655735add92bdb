/**
 * The small system of virtual machines that name no other: the machine's own kernel and busybox, with the modules that
 * reach the network. `systemCommands` (agent/lab/machine.ts) says the same as commands.
 */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as zlib from 'node:zlib';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { type ArchiveEntry, writeArchive } from '../kernel/cpio.ts';
import { findProgram, runCommand, runCommandNow } from '../kernel/process.ts';
import {
  machineDirectory,
  machineProgram,
  needsSystem,
  systemDirectories,
  systemFiles,
  systemInit,
  systemModules,
  withoutVirtualization,
} from '../lab/virtual-machine.ts';
import { hasCode, storageFailure } from './durable-file.ts';

interface SystemSource {
  readonly kernel: string;
  readonly busybox: string;
  /** In the order in which they load. */
  readonly modules: readonly string[];
}

/** Why a machine cannot have what it needs here: its files and the small system. Null for whatever else is asked. */
export function machineLackOf(capability: string): string | null {
  if (capability === 'guest-system') {
    const source = findSystem();
    return typeof source === 'string' ? source : null;
  }
  if (!capability.startsWith('file:')) return null;
  const file = capability.slice('file:'.length);
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).isFile() || statSync(file).isBlockDevice()
      ? null
      : `${file} is neither a file nor a disk.`;
  } catch {
    return `${file} cannot be read in the realm, where /tmp, /run, /mnt and /media are its own.`;
  }
}

/**
 * Before the process of a machine: the place of its console, and the small system where the command names it. Gives the
 * command that does here what was asked for: without KVM where that would not do.
 */
export async function prepareMachine(
  command: readonly string[],
): Promise<Result<readonly string[]>> {
  try {
    mkdirSync(machineDirectory, { recursive: true, mode: 0o755 });
    if (needsSystem(command)) {
      const source = findSystem();
      if (typeof source === 'string') return fail(noSystem(source));
      const made = isMade(source) ? succeed(undefined) : makeSystem(source);
      if (!made.ok) return made;
    }
  } catch (error) {
    return fail(storageFailure(machineDirectory, error));
  }
  const lack = await lackOfVirtualization();
  return succeed(lack === null ? command : withoutVirtualization(command));
}

let virtualization: Promise<string | null> | null = null;

/**
 * Why machines are emulated; null where the processor runs them. Tried once: there are machines, virtual ones
 * themselves, that open /dev/kvm and make machines that never run or that QEMU gives up on.
 */
export function lackOfVirtualization(): Promise<string | null> {
  virtualization ??= tryVirtualization();
  return virtualization;
}

/**
 * Whether a processor runs machines itself, by /proc/cpuinfo of x86. Without it a kernel may still have a /dev/kvm, whose
 * machines run firmware but no kernel that was not made for it.
 */
export function offersVirtualization(cpuinfo: string): boolean {
  return /^flags\s*:.*\b(?:vmx|svm)\b/mu.test(cpuinfo);
}

/** Milliseconds in which two instructions have been carried out. */
const virtualizationPatience = 3000;

async function tryVirtualization(): Promise<string | null> {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    return hasCode(error, 'ENOENT')
      ? 'There is no /dev/kvm here.'
      : 'The mode of /dev/kvm keeps this user from it; its group is usually `kvm`.';
  }
  if (!offersVirtualization(readFileSync('/proc/cpuinfo', 'utf8'))) {
    return 'The processor offers no virtualization (VT-x or AMD-V): /dev/kvm is of another make here.';
  }
  const workplace = mkdtempSync(path.join(tmpdir(), 'netloom-kvm-'));
  try {
    const firmware = path.join(workplace, 'firmware');
    writeFileSync(firmware, endingFirmware());
    const ran = await runCommand({
      file: machineProgram,
      args: [
        ...['-nodefaults', '-no-user-config', '-display', 'none'],
        ...['-accel', 'kvm', '-cpu', 'max', '-m', '16', '-bios', firmware],
        ...['-device', `isa-debug-exit,iobase=${endingPort},iosize=1`],
      ],
      purpose: 'trying KVM',
      timeout: virtualizationPatience,
    });
    // isa-debug-exit: twice what was written, and one.
    if (ran.ok && ran.value.exitCode === 2 * endingValue + 1) return null;
    return 'KVM can be opened here and does not run a machine.';
  } catch {
    return 'KVM could not be tried.';
  } finally {
    rmSync(workplace, { recursive: true, force: true });
  }
}

const endingPort = 0xf4;
const endingValue = 1;

/** 64 KiB that end below 4 GiB, where a processor begins 16 bytes before the end: `mov al, 1; out 0xf4, al; hlt`. */
function endingFirmware(): Buffer {
  const firmware = Buffer.alloc(65536, 0xf4);
  firmware.set([0xb0, endingValue, 0xe6, endingPort], firmware.length - 16);
  return firmware;
}

/** It was made of this kernel: there is another after an update. */
function isMade(source: SystemSource): boolean {
  const { kernel, initramfs } = systemFiles;
  return (
    lstatSync(kernel, { throwIfNoEntry: false })?.isSymbolicLink() === true &&
    readlinkSync(kernel) === source.kernel &&
    existsSync(initramfs)
  );
}

function makeSystem(source: SystemSource): Result<void> {
  const { directory, kernel, initramfs } = systemFiles;
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const workplace = mkdtempSync(path.join(directory, 'making-'));
  try {
    const modules: ArchiveEntry[] = [];
    for (const [index, file] of source.modules.entries()) {
      const content = readModule(file, workplace, source.busybox);
      if (!content.ok) return content;
      modules.push({ path: `modules/${index + 11}.ko`, kind: 'file', content: content.value });
    }
    const archive = writeArchive([
      ...systemDirectories.map((name) => ({ path: name, kind: 'directory' }) as const),
      {
        path: 'bin/busybox',
        kind: 'file',
        content: readFileSync(source.busybox),
        executable: true,
      },
      {
        path: 'init',
        kind: 'file',
        content: Buffer.from(`${systemInit.join('\n')}\n`),
        executable: true,
      },
      ...modules,
    ]);
    writeFileSync(path.join(workplace, 'initramfs'), archive, { mode: 0o644 });
    symlinkSync(source.kernel, path.join(workplace, 'kernel'));
    // The archive first: the link says that it is there.
    renameSync(path.join(workplace, 'initramfs'), initramfs);
    renameSync(path.join(workplace, 'kernel'), kernel);
    return succeed(undefined);
  } finally {
    rmSync(workplace, { recursive: true, force: true });
  }
}

/** A module as insmod takes it; distributions keep theirs packed. */
function readModule(file: string, workplace: string, busybox: string): Result<Buffer> {
  const packed = readFileSync(file);
  const ending = path.extname(file);
  if (ending === '.ko') return succeed(packed);
  if (ending === '.gz') return succeed(zlib.gunzipSync(packed));
  const copy = path.join(workplace, path.basename(file));
  writeFileSync(copy, packed);
  const [program, args] =
    ending === '.zst'
      ? (['zstd', ['-q', '-d', copy]] as const)
      : ([busybox, ['unxz', '-k', copy]] as const);
  const ran = runCommandNow({ file: program, args, purpose: `unpacking ${path.basename(file)}` });
  if (!ran.ok) return ran;
  if (ran.value.exitCode !== 0) return fail(noSystem(ran.value.stderr.trim().slice(0, 500)));
  return succeed(readFileSync(copy.slice(0, -ending.length)));
}

/** What it would be made of, or a sentence that says what is missing. */
function findSystem(): SystemSource | string {
  if (process.arch !== 'x64') return 'The small system of virtual machines is for x86-64.';
  const busybox = findProgram('busybox');
  if (busybox === undefined) return 'busybox is not installed (Debian’s package busybox-static).';
  if (!isStatic(busybox))
    return 'busybox is not linked statically (Debian’s package busybox-static).';
  const releases = listDirectory('/lib/modules').sort(compareReleases).reverse();
  let unreadable: string | undefined;
  for (const release of releases) {
    const kernel = `/boot/vmlinuz-${release}`;
    const modules = modulesOf(`/lib/modules/${release}`);
    if (modules === null || !existsSync(kernel)) continue;
    if (isReadable(kernel)) return { kernel, busybox, modules };
    unreadable ??= kernel;
  }
  return unreadable === undefined
    ? 'There is no kernel /boot/vmlinuz-* with virtio_net among its modules (Debian’s package linux-image-amd64).'
    : `${unreadable} may not be read: \`sudo chmod +r ${unreadable}\` lets everybody read it.`;
}

/** The modules with what they need, by modules.dep(5); null where the kernel does not have them. */
function modulesOf(directory: string): readonly string[] | null {
  const builtIn = new Set(readLines(path.join(directory, 'modules.builtin')).map(moduleName));
  const needs = new Map<string, readonly string[]>();
  for (const line of readLines(path.join(directory, 'modules.dep'))) {
    const [file = '', rest = ''] = line.split(':');
    // What a module needs is listed with what that needs, the nearest first.
    needs.set(moduleName(file), [file, ...rest.split(' ').filter((word) => word !== '')].reverse());
  }
  const files = new Set<string>();
  for (const name of systemModules) {
    if (builtIn.has(name)) continue;
    const chain = needs.get(name);
    if (chain === undefined) return null;
    for (const file of chain) files.add(path.join(directory, file));
  }
  return [...files].every(isReadable) ? [...files] : null;
}

/** `kernel/drivers/net/virtio-net.ko.xz` → `virtio_net` */
function moduleName(file: string): string {
  return path
    .basename(file)
    .replace(/\.ko(?:\.\w+)?$/, '')
    .replaceAll('-', '_');
}

/** `6.1.0-9` before `6.1.0-10`. */
function compareReleases(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true });
}

function listDirectory(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether an ELF file of 64 bits asks for no loader: it has no program header PT_INTERP (elf(5)). */
function isStatic(file: string): boolean {
  const head = Buffer.alloc(4096);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, head, 0, head.length, 0);
  } finally {
    closeSync(descriptor);
  }
  const [start, size, count] = [
    Number(head.readBigUInt64LE(32)),
    head.readUInt16LE(54),
    head.readUInt16LE(56),
  ];
  for (let at = start; at < start + size * count && at + 4 <= head.length; at += size) {
    if (head.readUInt32LE(at) === 3) return false;
  }
  return true;
}

function noSystem(reason: string): Failure {
  return {
    kind: 'unsupported',
    code: 'guest-system-lacks',
    object: systemFiles.directory,
    reason: `The small system of virtual machines cannot be made: ${reason}`.slice(0, 2000),
    next: 'Install what is missing, or give the machine a kernel or a disk.',
    values: { reason: reason.slice(0, 500) },
  };
}
