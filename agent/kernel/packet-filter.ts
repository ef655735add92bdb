/**
 * The door to libpcap (pcap(3PCAP)), for its compiler alone: filters in the syntax of pcap-filter(7) become instructions of
 * classic BPF. It is asked for in the process, since that takes a millisecond, gives the compiler's own message, and can be
 * asked from a handle that captures: from others, which is all that `tcpdump -ddd` without a device has, the compiler does not
 * know that the kernel keeps tags of VLANs beside the packet, and `vlan` finds nothing.
 */
import koffi from 'koffi';
import { readMemory } from './native.ts';

/** DLT_ of bpf.h, which are not all the numbers that files have. */
export const DLT_EN10MB = 1;
export const DLT_RAW = 12;

const PCAP_ERRBUF_SIZE = 256;
const PCAP_NETMASK_UNKNOWN = 0xffffffff;
/** BPF_MAXINSNS. */
export const maximumInstructions = 4096;
/** Of struct sock_filter. */
export const instructionLength = 8;

interface Library {
  readonly create: (device: string, message: Uint8Array) => number;
  readonly setSnapLength: (handle: number, length: number) => number;
  readonly activate: (handle: number) => number;
  readonly openDead: (linkType: number, length: number) => number;
  readonly compile: (
    handle: number,
    program: Uint8Array,
    text: string,
    optimize: number,
    mask: number,
  ) => number;
  readonly freeCode: (program: Uint8Array) => void;
  readonly messageOf: (handle: number) => string | null;
  readonly close: (handle: number) => void;
}

/** Debian's and Fedora's names. */
const fileNames = ['libpcap.so.0.8', 'libpcap.so.1'];

let loaded: Library | null | undefined;

function library(): Library | null {
  if (loaded !== undefined) return loaded;
  loaded = null;
  for (const name of fileNames) {
    try {
      const file = koffi.load(name);
      loaded = {
        create: file.func('uintptr_t pcap_create(const char *, void *)'),
        setSnapLength: file.func('int pcap_set_snaplen(uintptr_t, int)'),
        activate: file.func('int pcap_activate(uintptr_t)'),
        openDead: file.func('uintptr_t pcap_open_dead(int, int)'),
        compile: file.func('int pcap_compile(uintptr_t, void *, const char *, int, uint32_t)'),
        freeCode: file.func('void pcap_freecode(void *)'),
        messageOf: file.func('const char *pcap_geterr(uintptr_t)'),
        close: file.func('void pcap_close(uintptr_t)'),
      };
      break;
    } catch {
      // The next name, or none: it is not installed.
    }
  }
  return loaded;
}

export type Compiled =
  | { readonly kind: 'program'; readonly instructions: Uint8Array }
  /** The compiler's own words. */
  | { readonly kind: 'refused'; readonly message: string }
  | { readonly kind: 'no-library' };

/**
 * Compiles for packets of a link type of which `snapLength` bytes are to be kept. `device` is an interface of the thread's
 * namespace that is up and has Ethernet, by which the compiler learns what this kernel's filters can ask about; null for
 * none. Names of hosts are looked up while it waits, in the thread's namespace.
 */
export function compilePacketFilter(
  text: string,
  linkType: number,
  snapLength: number,
  device: string | null,
): Compiled {
  const pcap = library();
  if (pcap === null) return { kind: 'no-library' };
  // The text of C would end there.
  if (text.includes('\0')) return { kind: 'refused', message: 'it has a character of value 0' };
  const message = Buffer.alloc(PCAP_ERRBUF_SIZE);
  const handle =
    device === null ? pcap.openDead(linkType, snapLength) : pcap.create(device, message);
  if (handle === 0) {
    const [words = ''] = message.toString('utf8').split('\0');
    return { kind: 'refused', message: words };
  }
  const program = Buffer.alloc(16);
  try {
    if (device !== null) {
      pcap.setSnapLength(handle, snapLength);
      if (pcap.activate(handle) < 0) return refusal(pcap, handle);
    }
    if (pcap.compile(handle, program, text, 1, PCAP_NETMASK_UNKNOWN) < 0) {
      return refusal(pcap, handle);
    }
    const length = program.readUInt32LE(0) * instructionLength;
    const instructions = new Uint8Array(length);
    readMemory(instructions, Number(program.readBigUInt64LE(8)), length);
    pcap.freeCode(program);
    return { kind: 'program', instructions };
  } finally {
    pcap.close(handle);
  }
}

function refusal(pcap: Library, handle: number): Compiled {
  const message = pcap.messageOf(handle) ?? '';
  return { kind: 'refused', message: message === '' ? 'it is not accepted' : message };
}
