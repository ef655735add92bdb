/** Virtual machines: the process that each is, and the small system that starts where a document names no other. */
import type { VirtualMachineNode, RouteSettings } from '../api/document.ts';
import { canonicalSubnetAddress, parseDestination, parseHostAddress } from './address.ts';

export const machineProgram = 'qemu-system-x86_64';

/** What a machine's console is joined to a terminal with. */
export const consoleProgram = 'socat';

/** In a realm's own /run: known to who plans, and short enough for the path of a socket (107 bytes). */
export const machineDirectory = '/run/netloom';

/** The small system as QEMU takes it; `agent/kernel/guest-system.ts` makes it, `systemCommands` say the same. */
export const systemFiles = {
  directory: `${machineDirectory}/system`,
  kernel: `${machineDirectory}/system/kernel`,
  initramfs: `${machineDirectory}/system/initramfs`,
} as const;

/** Loaded by the small system, with what they need; the kernel has everything else it needs built in. */
export const systemModules = ['virtio_pci', 'virtio_net'] as const;

const defaultMemory = 128;

/** COMMAND_LINE_SIZE of x86, less the byte that ends it (arch/x86/include/asm/setup.h). */
export const longestCommandLine = 2047;

const machinePrefix = 'vm:';

/** No name that a document can give to a process. */
export function machineProcessName(node: string): string {
  return `${machinePrefix}${node}`;
}

/** The node whose machine a process is; null when it is none. */
export function machineOfProcess(name: string): string | null {
  return name.startsWith(machinePrefix) ? name.slice(machinePrefix.length) : null;
}

export function consoleSocketOf(lab: string, node: string): string {
  return `${machineDirectory}/${lab}.${node}.console`;
}

/** Joins a terminal, or a program's input and output, to a machine's console. Ctrl-] takes a terminal off again. */
export function consoleCommand(lab: string, node: string, onTerminal: boolean): readonly string[] {
  return [
    consoleProgram,
    onTerminal ? '-,raw,echo=0,escape=0x1d' : '-',
    `UNIX-CONNECT:${consoleSocketOf(lab, node)}`,
  ];
}

/** The same command where the processor's own virtualization cannot be had. */
export function withoutVirtualization(command: readonly string[]): readonly string[] {
  const at = command.findIndex((word, index) => word === '-accel' && command[index + 1] === 'kvm');
  return at === -1 ? command : [...command.slice(0, at), ...command.slice(at + 2)];
}

/** Whether it starts the small system. */
export function usesSystem(node: Pick<VirtualMachineNode, 'kernel' | 'disk'>): boolean {
  return node.kernel === undefined && node.disk === undefined;
}

/** Whether the process starts the small system: a machine's command says so itself, whoever kept it. */
export function needsSystem(command: readonly string[]): boolean {
  return command[0] === machineProgram && command.includes(systemFiles.initramfs);
}

/** The files that a machine's command names, where it is not the small system. */
export function filesOf(command: readonly string[]): readonly string[] {
  return command.flatMap((option, index) => {
    const value = command[index + 1] ?? '';
    if (option === '-drive')
      return (
        /^file=(?<file>(?:[^,]|,,)*)/.exec(value)?.groups?.['file']?.replaceAll(',,', ',') ?? []
      );
    const own = option === '-kernel' || option === '-initrd';
    return own && !value.startsWith(`${systemFiles.directory}/`) ? value : [];
  });
}

/** A card and the tap that it is in the network. */
export interface MachineCard {
  readonly name: string;
  readonly tap: string;
  readonly mac: string;
  /** Null leaves it to the system. */
  readonly mtu: number | null;
  readonly addresses: readonly string[];
}

/**
 * The same address for the same card at every start. Locally administered and no multicast (IEEE 802, clause 8.2);
 * the 40 bits below are FNV-1a, of 64 bits.
 */
export function machineMac(lab: string, node: string, name: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(`${lab}/${node}/${name}`)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  const folded = BigInt.asUintN(40, hash ^ (hash >> 40n));
  const bytes = folded.toString(16).padStart(10, '0').match(/../g) ?? [];
  return ['02', ...bytes].join(':');
}

/** The program and its arguments. They say nothing that is known only where it runs. */
export function machineProcess(
  lab: string,
  name: string,
  node: VirtualMachineNode,
  cards: readonly MachineCard[],
): readonly string[] {
  const system = usesSystem(node);
  const kernel = system ? systemFiles.kernel : node.kernel;
  const initramfs = system ? systemFiles.initramfs : node.initramfs;
  const append = system ? systemCommandLine(name, node, cards) : node.append;
  return [
    machineProgram,
    ...['-name', name],
    // The second where the first cannot be had. Early: of a process that runs only the first words are shown.
    ...['-accel', 'kvm', '-accel', 'tcg', '-cpu', 'max'],
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-vga', 'none'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-smp', String(node.cpus ?? 1), '-m', String(node.memory ?? defaultMemory)],
    ...(kernel === undefined ? [] : ['-kernel', kernel]),
    ...(initramfs === undefined ? [] : ['-initrd', initramfs]),
    ...(append === undefined || kernel === undefined ? [] : ['-append', append]),
    ...(node.disk === undefined
      ? []
      : ['-drive', `file=${optionText(node.disk)},if=virtio,snapshot=on`]),
    '-chardev',
    // What it prints is kept with the output of the process.
    `socket,id=console,path=${consoleSocketOf(lab, name)},server=on,wait=off,` +
      'logfile=/dev/stdout,logappend=on',
    ...['-serial', 'chardev:console'],
    ...cards.flatMap(({ tap, mac, mtu }, index) => [
      '-netdev',
      `tap,id=nic${index},ifname=${tap},script=no,downscript=no`,
      '-device',
      `virtio-net-pci,netdev=nic${index},mac=${mac},romfile=` +
        (mtu === null ? '' : `,host_mtu=${mtu}`),
    ]),
  ];
}

/** A comma in a value is written twice (qemu(1)). */
function optionText(text: string): string {
  return text.replaceAll(',', ',,');
}

/** Words that the system's init reads: a name, and what `ip` is to be called with. */
export function systemCommandLine(
  name: string,
  node: VirtualMachineNode,
  cards: readonly MachineCard[],
): string {
  // The kernel numbers them in the order in which they are plugged in.
  const renamed = cards.some((card, index) => card.name !== `eth${index}`);
  const calls = [
    ...(renamed ? cards.map((_, index) => `link,set,eth${index},name,nic-${index}`) : []),
    ...(renamed ? cards.map((card, index) => `link,set,nic-${index},name,${card.name}`) : []),
    ...cards.flatMap((card) => [
      ...card.addresses.map(
        (text) => `address,add,${canonicalSubnetAddress(text)},dev,${card.name}`,
      ),
      `link,set,${card.name},up`,
    ]),
    ...(node.routes ?? []).flatMap(routeCall),
  ];
  return [
    'console=ttyS0 quiet panic=-1',
    `netloom.host=${name}`,
    ...calls.map((call) => `netloom.ip=${call}`),
    ...(node.append === undefined || node.append === '' ? [] : [node.append]),
  ].join(' ');
}

function routeCall(route: RouteSettings): string[] {
  const destination = parseDestination(route.to, route.via ?? null);
  if (destination === null) return [];
  const via = route.via === undefined ? null : parseHostAddress(route.via);
  return [
    [
      ...(destination.family === 'ipv6' ? ['-6'] : []),
      ...['route', 'add', destination.text],
      ...(via === null ? [] : ['via', via.text]),
      ...(route.dev === undefined ? [] : ['dev', route.dev]),
      ...(route.metric === undefined || route.metric === 0 ? [] : ['metric', String(route.metric)]),
    ].join(','),
  ];
}

/** The first program of the small system, by lines. Without a quote, since it is a word of a command as well. */
export const systemInit: readonly string[] = [
  '#!/bin/busybox sh',
  'export PATH=/bin HOME=/',
  '/bin/busybox --install -s /bin',
  'mount -t proc proc /proc',
  'mount -t sysfs sysfs /sys',
  'mount -t devtmpfs devtmpfs /dev',
  'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad',
  'for module in /modules/*; do insmod $module; done',
  'ip link set lo up',
  'for word in $(cat /proc/cmdline); do',
  '  case $word in',
  '    netloom.host=*) hostname ${word#*=} ;;',
  '    netloom.ip=*) ip $(echo ${word#*=} | tr , " ") ;;',
  '  esac',
  'done',
  'export PS1="$(hostname)# "',
  'echo; echo "$(hostname) is up: Linux $(uname -r) and busybox."',
  'while :; do setsid cttyhack sh; done',
];

/** Places of the system, and its files by their path. */
export const systemDirectories = ['bin', 'dev', 'modules', 'proc', 'root', 'sys', 'tmp'] as const;

/** The standard commands that make kernel and initramfs, one line of sh each. */
export function systemCommands(word: (text: string) => string): readonly string[] {
  const root = `${systemFiles.directory}/root`;
  const listed = systemModules.map((name) => name.replace('virtio_', '')).join('|');
  return [
    `mkdir -p ${systemDirectories.map((name) => `${root}/${name}`).join(' ')}`,
    `cp "$(command -v busybox)" ${root}/bin/busybox`,
    `printf '%s\\n' ${systemInit.map(word).join(' ')} >${root}/init && chmod 755 ${root}/init`,
    'release=$(cd /lib/modules && grep -ls /virtio_net.ko */modules.dep */modules.builtin | cut -d / -f 1 | ' +
      'sort -uV | while read -r name; do [ -r "/boot/vmlinuz-$name" ] && echo "$name"; done | tail -n 1)',
    `ln -sfn "/boot/vmlinuz-$release" ${systemFiles.kernel}`,
    `count=10; for file in $(grep -E '/virtio_(${listed})[.]ko' "/lib/modules/$release/modules.dep" | ` +
      `awk '{ for (i = NF; i > 0; i--) { sub(":", "", $i); if (!seen[$i]++) print $i } }'); do ` +
      'count=$((count + 1)); case $file in *.xz) xz -dc ;; *.zst) zstd -dc ;; *.gz) gzip -dc ;; *) cat ;; esac ' +
      `<"/lib/modules/$release/$file" >${root}/modules/$count.ko; done`,
    `(cd ${root} && find . | busybox cpio -o -H newc) >${systemFiles.initramfs}`,
  ];
}
