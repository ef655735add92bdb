/** Frames that somebody has captured: pasted in hexadecimal, or in a capture file (pcap, pcapng). Pure. */

/** As much as `ofproto/trace` is given: a jumbo frame with its header and tags. */
export const longestFrame = 9238;
const headerLength = 14;

export type FrameObjection = 'empty' | 'digits' | 'half' | 'short' | 'long';
export type FrameText =
  | { readonly ok: true; readonly hex: string }
  | { readonly ok: false; readonly reason: FrameObjection };

/**
 * Octets of a frame from what people paste: bare digits, octets between colons or spaces, `0x` before them, and the lines
 * of Wireshark, tcpdump -xx, xxd and hexdump -C, with offsets before and characters behind.
 */
export function frameHex(text: string): FrameText {
  const digits = text.split('\n').map(lineDigits).join('').toLowerCase();
  if (digits === '') return { ok: false, reason: 'empty' };
  if (!/^[0-9a-f]+$/.test(digits)) return { ok: false, reason: 'digits' };
  if (digits.length % 2 === 1) return { ok: false, reason: 'half' };
  if (digits.length < headerLength * 2) return { ok: false, reason: 'short' };
  if (digits.length > longestFrame * 2) return { ok: false, reason: 'long' };
  return { ok: true, hex: digits };
}

/** `0000:  `, `0x0010   `, or `000010 ` before octets that stand alone. */
const offset = /^(?:0x)?[0-9a-f]{4,8}(?::\s*|\s{2,}|\s(?=(?:[0-9a-f]{2}(?:\s|$))+$))/i;

function lineDigits(line: string): string {
  const text = line.trim();
  const octets = text.replace(offset, '');
  const plain = (words: string): string => words.replace(/0x/gi, '').replace(/[\s:,-]/g, '');
  if (octets === text) return plain(text);
  // A dump: at most 16 octets, and behind a wide gap or a bar the same as characters.
  const [dumped = ''] = octets.split(/\s{3,}|\|/);
  let digits = '';
  for (const word of dumped.split(/\s+/)) {
    if (!/^[0-9a-f]+$/i.test(word) || digits.length >= 32) break;
    digits += word;
  }
  return digits;
}

export interface CapturedFrame {
  /** From 1. */
  readonly number: number;
  readonly hex: string;
  readonly summary: string;
}

/** Link type of Ethernet (tcpdump.org/linktypes). */
const ethernet = 1;
/** More packets are not listed. */
export const mostFrames = 500;

/** Null for what is no capture file; frames of other links than Ethernet are passed over. */
export function readCapture(bytes: Uint8Array): readonly CapturedFrame[] | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < 24) return null;
  const magic = view.getUint32(0);
  const frames: { readonly at: number; readonly length: number; readonly whole: number }[] = [];
  const add = (at: number, length: number, whole: number): void => {
    if (length >= headerLength && frames.length < mostFrames) frames.push({ at, length, whole });
  };
  if (magic === 0x0a0d0d0a) readBlocks(view, add);
  else if ([0xa1b2c3d4, 0xa1b23c4d, 0xd4c3b2a1, 0x4d3cb2a1].includes(magic)) {
    readPackets(view, magic === 0xd4c3b2a1 || magic === 0x4d3cb2a1, add);
  } else return null;
  return frames.map(({ at, length, whole }, index) => {
    // What was cut off is made up with zeros, or the lengths in its headers would not hold.
    const frame = new Uint8Array(Math.min(Math.max(length, whole), longestFrame));
    frame.set(bytes.subarray(at, at + Math.min(length, frame.length)));
    return {
      number: index + 1,
      hex: Array.from(frame, (octet) => octet.toString(16).padStart(2, '0')).join(''),
      summary: describeFrame(frame),
    };
  });
}

type Add = (at: number, length: number, whole: number) => void;

/** pcap: a header of 24 octets, then packets with a header of 16 each. */
function readPackets(view: DataView, little: boolean, add: Add): void {
  if ((view.getUint32(20, little) & 0xffff) !== ethernet) return;
  for (let at = 24; at + 16 <= view.byteLength;) {
    const length = view.getUint32(at + 8, little);
    if (at + 16 + length > view.byteLength) return;
    add(at + 16, length, view.getUint32(at + 12, little));
    at += 16 + length;
  }
}

/** pcapng: blocks of a type, a length, a body and the length again; a section says its byte order. */
function readBlocks(view: DataView, add: Add): void {
  let little = true;
  let links: number[] = [];
  for (let at = 0; at + 12 <= view.byteLength;) {
    const type = view.getUint32(at, little);
    // The number of a section's block reads the same both ways.
    if (type === 0x0a0d0d0a) {
      little = view.getUint32(at + 8) === 0x4d3c2b1a;
      links = [];
    }
    const length = view.getUint32(at + 4, little);
    if (length < 12 || length % 4 !== 0 || at + length > view.byteLength) return;
    if (type === 1 && length >= 20) links.push(view.getUint16(at + 8, little));
    if (type === 6 && length >= 32 && links[view.getUint32(at + 8, little)] === ethernet) {
      const captured = view.getUint32(at + 20, little);
      if (captured <= length - 32) add(at + 28, captured, view.getUint32(at + 24, little));
    }
    // A simple packet is of the first interface, and as long as the block has room.
    if (type === 3 && length >= 16 && links[0] === ethernet) {
      const whole = view.getUint32(at + 8, little);
      add(at + 12, Math.min(whole, length - 16), whole);
    }
    at += length;
  }
}

const transports: Readonly<Record<number, string>> = {
  1: 'ICMP',
  6: 'TCP',
  17: 'UDP',
  58: 'ICMPv6',
};
const tags: ReadonlySet<number> = new Set([0x8100, 0x88a8]);

/** `10.0.0.1:40000 → 10.0.0.2:80 TCP`, as much as tells the packets of a list apart. */
export function describeFrame(frame: Uint8Array): string {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const mac = (at: number): string =>
    Array.from(frame.subarray(at, at + 6), (octet) => octet.toString(16).padStart(2, '0')).join(
      ':',
    );
  const has = (end: number): boolean => end <= view.byteLength;
  let at = 12;
  let type = view.getUint16(at);
  let vlan = '';
  while (tags.has(type) && has(at + 6)) {
    if (vlan === '') vlan = ` VLAN ${view.getUint16(at + 2) & 0xfff}`;
    at += 4;
    type = view.getUint16(at);
  }
  at += 2;
  const four = (from: number): string => frame.subarray(from, from + 4).join('.');
  if (type === 0x0806 && has(at + 28)) return `${four(at + 14)} → ${four(at + 24)} ARP${vlan}`;
  const ends = (source: string, destination: string, protocol: number, next: number): string => {
    const ports = (protocol === 6 || protocol === 17) && has(next + 4);
    const end = (host: string, port: number): string =>
      !ports ? host : host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    return `${end(source, ports ? view.getUint16(next) : 0)} → ${end(
      destination,
      ports ? view.getUint16(next + 2) : 0,
    )} ${transports[protocol] ?? `IP ${protocol}`}${vlan}`;
  };
  if (type === 0x0800 && has(at + 20)) {
    const header = (view.getUint8(at) & 15) * 4;
    // Only the first fragment has ports.
    const first = (view.getUint16(at + 6) & 0x1fff) === 0;
    const next = first ? at + header : view.byteLength;
    return ends(four(at + 12), four(at + 16), view.getUint8(at + 9), next);
  }
  if (type === 0x86dd && has(at + 40)) {
    const six = (from: number): string =>
      Array.from({ length: 8 }, (_each, group) => view.getUint16(from + group * 2).toString(16))
        .join(':')
        .replace(/\b0(?::0\b)+/, '')
        .replace(/^:(?!:)|(?<!:):$/, '::')
        .replace(/:{3,}/, '::');
    return ends(six(at + 8), six(at + 24), view.getUint8(at + 6), at + 40);
  }
  return `${mac(6)} → ${mac(0)} 0x${type.toString(16).padStart(4, '0')}${vlan}`;
}
