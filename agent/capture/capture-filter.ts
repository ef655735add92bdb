/** Filters of captures, in the syntax of tcpdump, as one program for all interfaces of a namespace. */
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { runInFresh } from '../kernel/namespaces.ts';
import { RequestSocket } from '../kernel/netlink-socket.ts';
import {
  type Compiled,
  compilePacketFilter,
  DLT_EN10MB,
  DLT_RAW,
  instructionLength,
  maximumInstructions,
} from '../kernel/packet-filter.ts';
import { setLinkRequest } from '../kernel/rtnetlink.ts';

/** Characters. */
const maximumFilterLength = 4_096;
const loopbackIndex = 1;

const BPF_LD_W_ABS = 0x20;
const BPF_JMP_JA = 0x05;
const BPF_JMP_JEQ_K = 0x15;
const BPF_RET_K = 0x06;
/** SKF_AD_OFF + SKF_AD_IFINDEX: the index of the interface. */
const interfaceIndexOffset = 0xfffff000 + 8;
/** SKF_AD_OFF + SKF_AD_HATYPE: the hardware type of the interface. */
const hardwareTypeOffset = 0xfffff000 + 28;
const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;

/**
 * Instructions that keep `snapLength` bytes of what the filter means. Interfaces of Ethernet and those of IP alone (tun, tunnels)
 * have their packets' headers at different places, so there are two programs, between which the hardware type decides; a filter
 * that has no meaning for IP alone, such as one of tags, keeps nothing of those. As with tcpdump, what says nothing of tags
 * means packets with one tag, too: the kernel has taken it out before the filter looks.
 */
export function compileFilter(text: string, snapLength: number): Result<Uint8Array> {
  if (text.length > maximumFilterLength) {
    return fail(refused(`it has more than ${String(maximumFilterLength)} characters`));
  }
  // A namespace of its own has a loopback that tells the compiler what filters of this kernel know, and no network in which names
  // of hosts would be looked up for seconds.
  const compiled = runInFresh((): Result<readonly [Compiled, Compiled]> => {
    const socket = RequestSocket.open();
    if (!socket.ok) return socket;
    const up = socket.value.execute(setLinkRequest(loopbackIndex, { up: true }, 'link lo'));
    socket.value.close();
    if (!up.ok) return up;
    const ethernet = compilePacketFilter(text, DLT_EN10MB, snapLength, 'lo');
    return succeed([ethernet, compilePacketFilter(text, DLT_RAW, snapLength, null)]);
  });
  if (!compiled.ok) return compiled;
  if (!compiled.value.ok) return compiled.value;
  const [ethernet, raw] = compiled.value.value;
  if (ethernet.kind === 'no-library' || raw.kind === 'no-library') return fail(noLibrary);
  if (ethernet.kind === 'refused') return fail(refused(ethernet.message));
  const nothing = instruction(BPF_RET_K, 0, 0, 0);
  return joined(ethernet.instructions, raw.kind === 'refused' ? nothing : raw.instructions);
}

function joined(ethernet: Uint8Array, raw: Uint8Array): Result<Uint8Array> {
  const parts = [
    instruction(BPF_LD_W_ABS, 0, 0, hardwareTypeOffset),
    instruction(BPF_JMP_JEQ_K, 2, 0, ARPHRD_ETHER),
    instruction(BPF_JMP_JEQ_K, 1, 0, ARPHRD_LOOPBACK),
    instruction(BPF_JMP_JA, 0, 0, ethernet.length / instructionLength),
    ethernet,
    raw,
  ];
  const program = Buffer.concat(parts);
  const count = program.length / instructionLength;
  return count <= maximumInstructions
    ? succeed(program)
    : fail(refused(`it comes to ${String(count)} instructions; the kernel takes 4096`));
}

/**
 * The program for interfaces of these indices alone, out of all those of a namespace: nothing else is captured. `program` is
 * one of `compileFilter`'s.
 */
export function filterOfInterfaces(
  indices: readonly number[],
  program: Uint8Array,
): Result<Uint8Array> {
  // Jumps of conditions reach 255 instructions far, those of BPF_JA any.
  const parts = [instruction(BPF_LD_W_ABS, 0, 0, interfaceIndexOffset)];
  for (const [place, index] of indices.entries()) {
    parts.push(
      instruction(BPF_JMP_JEQ_K, 0, 1, index),
      instruction(BPF_JMP_JA, 0, 0, (indices.length - place - 1) * 2 + 1),
    );
  }
  parts.push(instruction(BPF_RET_K, 0, 0, 0), program);
  const whole = Buffer.concat(parts);
  return whole.length / instructionLength <= maximumInstructions
    ? succeed(whole)
    : fail({
        kind: 'invalid-request',
        code: 'capture-too-many-interfaces',
        object: 'capture',
        reason: `${String(indices.length)} interfaces of one namespace are more than a filter of the kernel can name.`,
        next: 'Capture on the whole namespace, or on fewer interfaces.',
        values: { count: indices.length },
      });
}

/** Of every packet; `snapLength` bytes are kept. */
export function filterOfEverything(snapLength: number): Uint8Array {
  return instruction(BPF_RET_K, 0, 0, snapLength);
}

/** struct sock_filter. */
function instruction(code: number, whenTrue: number, whenFalse: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(instructionLength);
  bytes.writeUInt16LE(code, 0);
  bytes[2] = whenTrue;
  bytes[3] = whenFalse;
  bytes.writeUInt32LE(value, 4);
  return bytes;
}

function refused(message: string): Failure {
  return {
    kind: 'invalid-request',
    code: 'capture-filter',
    object: 'capture filter',
    reason: `The filter is not accepted: ${message.slice(0, 500)}.`,
    next: 'Write it as tcpdump has it, such as "host 10.0.0.1 and udp port 53" or "vlan 10 and arp" (pcap-filter(7)).',
    values: { message: message.slice(0, 500) },
  };
}

const noLibrary: Failure = {
  kind: 'unsupported',
  code: 'capture-filter-library',
  object: 'capture filter',
  reason: 'This machine has no libpcap, which compiles filters.',
  next: 'Install libpcap (libpcap0.8 or libpcap), or capture without a filter.',
};
