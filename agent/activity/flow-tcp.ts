/** What the segments of one TCP connection tell somebody who sees them pass: its state, and how long a round trip takes. */
import { ByteReader } from './byte-reader.ts';

export const tcpStates = [
  /** Somebody asked, and nobody has answered. */
  'syn-sent',
  'syn-received',
  /** Also where the beginning was not seen. */
  'established',
  /** One end has said that it sends no more. */
  'closing',
  'closed',
  'reset',
] as const;
export type TcpState = (typeof tcpStates)[number];

/** 0 is from the end that asked, or was seen first, to the other one. */
export type Direction = 0 | 1;

/** Seconds between the observer and one end, there and back. */
export interface RoundTrip {
  readonly least: number;
  /** Weighs the newest sample with an eighth (RFC 6298). */
  readonly smoothed: number;
  readonly samples: number;
}

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;

interface Probe {
  readonly timestamp: number;
  readonly time: number;
}

export class TcpConnection {
  state: TcpState;
  /** Whether the first segment of it was seen. */
  readonly isWhole: boolean;
  /** Seconds from the request for a connection to its acceptance, and from there to the last word of the handshake. */
  handshake: readonly [responder: number | null, initiator: number | null] = [null, null];
  /** By the end that answers: 0 the one that asked, 1 the other. */
  readonly roundTrips: [RoundTrip | null, RoundTrip | null] = [null, null];
  private synTime: number | null;
  private acceptTime: number | null = null;
  private readonly probes: [Probe | null, Probe | null] = [null, null];
  private readonly finished: [boolean, boolean] = [false, false];

  /** `time` in milliseconds. */
  constructor(flags: number, time: number) {
    this.isWhole = (flags & (SYN | ACK)) === SYN;
    this.state = this.isWhole ? 'syn-sent' : 'established';
    this.synTime = this.isWhole ? time : null;
  }

  /** Whether a request for a connection with these flags begins another one. */
  isFollowedBy(flags: number): boolean {
    const isRequest = (flags & (SYN | ACK | RST)) === SYN;
    return isRequest && (this.state === 'closed' || this.state === 'reset');
  }

  /**
   * A segment of it; `header` are the captured bytes of its header. What is sent twice tells no time, since an answer to it may
   * be to either.
   */
  segment(header: Uint8Array, payload: number, direction: Direction, time: number): void {
    const flags = header[13] ?? 0;
    this.shake(flags, direction, time);
    if ((flags & RST) !== 0) this.state = 'reset';
    else if ((flags & FIN) !== 0) {
      this.finished[direction] = true;
      this.state = this.finished[0] && this.finished[1] ? 'closed' : 'closing';
    }
    this.time(header, payload, direction, time);
  }

  private shake(flags: number, direction: Direction, time: number): void {
    if (!this.isWhole) return;
    if ((flags & SYN) !== 0) {
      if (direction === 0) {
        // The first one is the constructor's.
        if (this.synTime !== null && this.synTime !== time) this.synTime = null;
        return;
      }
      if (this.state !== 'syn-sent') {
        this.acceptTime = null;
        return;
      }
      this.state = 'syn-received';
      this.acceptTime = time;
      if (this.synTime !== null) this.handshake = [(time - this.synTime) / 1000, null];
    } else if (this.state === 'syn-received' && direction === 0 && (flags & ACK) !== 0) {
      this.state = 'established';
      if (this.acceptTime !== null) {
        this.handshake = [this.handshake[0], (time - this.acceptTime) / 1000];
      }
    }
  }

  /** By timestamps (RFC 7323): one segment with data at a time, until its timestamp is echoed. */
  private time(header: Uint8Array, payload: number, direction: Direction, time: number): void {
    const found = timestampsOf(header);
    if (found === null) return;
    const other: Direction = direction === 0 ? 1 : 0;
    const probe = this.probes[other];
    if (probe !== null) {
      const ahead = (found.echo - probe.timestamp) | 0;
      if (ahead === 0) this.sample(direction, (time - probe.time) / 1000);
      // What is echoed is newer: that was an answer to something else.
      if (ahead >= 0) this.probes[other] = null;
    }
    if (payload > 0 && this.probes[direction] === null) {
      this.probes[direction] = { timestamp: found.value, time };
    }
  }

  private sample(end: Direction, seconds: number): void {
    if (seconds < 0) return;
    const before = this.roundTrips[end];
    this.roundTrips[end] =
      before === null
        ? { least: seconds, smoothed: seconds, samples: 1 }
        : {
            least: Math.min(before.least, seconds),
            smoothed: before.smoothed + (seconds - before.smoothed) / 8,
            samples: before.samples + 1,
          };
  }

  /** Seconds from one end to the other and back: by timestamps, else by the handshake; null while neither tells. */
  get roundTrip(): number | null {
    const [initiator, responder] = this.roundTrips;
    const near = initiator?.least ?? this.handshake[1];
    const far = responder?.least ?? this.handshake[0];
    return near === null || far === null ? null : near + far;
  }
}

function timestampsOf(
  header: Uint8Array,
): { readonly value: number; readonly echo: number } | null {
  const end = Math.min(header.length, ((header[12] ?? 0) >> 4) * 4);
  for (let at = 20; at < end;) {
    const kind = header[at] ?? 0;
    if (kind === 0) return null;
    if (kind === 1) {
      at += 1;
      continue;
    }
    const length = header[at + 1] ?? 0;
    if (length < 2) return null;
    if (kind === 8 && length === 10 && at + 10 <= end) {
      const reader = new ByteReader(header, at + 2);
      return { value: reader.uint32(), echo: reader.uint32() };
    }
    at += length;
  }
  return null;
}
