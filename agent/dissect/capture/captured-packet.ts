/** What files of captures hold, whatever their format. */

export interface CaptureInterface {
  /** Counts from 0 in its section; a classic file has one. */
  readonly index: number;
  /** As the file says; null where it does not. */
  readonly name: string | null;
  /** LINKTYPE_ of tcpdump.org. */
  readonly linkType: number;
}

export interface CapturedPacket {
  /** From 1 through the whole file. */
  readonly number: number;
  /** Byte of the file where its record begins. */
  readonly offset: number;
  /** Since the epoch; null where the file has no time for it. */
  readonly time: { readonly seconds: number; readonly nanoseconds: number } | null;
  readonly interface: CaptureInterface;
  /** What was captured: a view that is good until the reader gets more. */
  readonly bytes: Uint8Array;
  /** Bytes that it had on the wire. */
  readonly wireLength: number;
}

/**
 * What is wrong with a file of captures. After those that `ends` nothing can be read: there is no telling where the next
 * record begins.
 */
export const captureFaultKinds = [
  /** It does not begin as any of the formats does. */
  'not-a-capture',
  /** It begins as a known format that is no capture, or one that is not read: `detail` names it. */
  'other-format',
  'unsupported-version',
  /** It ends within a record. */
  'cut-off',
  /** A length that its record cannot have. */
  'bad-length',
  /** The two lengths of a block are not the same. */
  'length-mismatch',
  /** A packet of an interface that the file has not described. */
  'unknown-interface',
  /** A packet longer than is read (`maximumPacketLength`). */
  'too-long',
  'too-many-interfaces',
] as const;
export type CaptureFaultKind = (typeof captureFaultKinds)[number];

export interface CaptureFault {
  readonly kind: CaptureFaultKind;
  /** Byte of the file. */
  readonly offset: number;
  readonly ends: boolean;
  /** Number or name that the fault is about. */
  readonly detail: string;
}

export type CaptureItem =
  | { readonly kind: 'packet'; readonly packet: CapturedPacket }
  | { readonly kind: 'fault'; readonly fault: CaptureFault };

/** Captured bytes of one packet; the kernel's largest are of 512 KiB, and no program captures more than this. */
export const maximumPacketLength = 16 * 1024 * 1024;
