/** The JSON of a packet: what `netloom dissect --json` prints, a line each. */
import type { CapturedPacket } from './capture/captured-packet.ts';
import type { Dissection, Layer } from './core/dissection.ts';
import type { Field, FieldValue } from './core/field.ts';
import type { PacketFaultKind } from './core/field-tree.ts';
import { type PacketSummary, summaryOf } from './summary.ts';

export interface FieldJson {
  readonly name: string;
  /** First byte, from the beginning of the packet. */
  readonly offset: number;
  readonly length: number;
  /** The bits that count, of a number as long as the field. */
  readonly mask?: number;
  readonly value: FieldValue;
  readonly unit?: string;
  /** What the value stands for. */
  readonly meaning?: string;
  readonly fields?: readonly FieldJson[];
}

export interface LayerJson {
  readonly protocol: string;
  readonly title: string;
  readonly offset: number;
  /** Of its own bytes, as far as they were captured. */
  readonly length: number;
  readonly fields: readonly FieldJson[];
}

export interface PacketFaultJson {
  readonly kind: PacketFaultKind;
  readonly offset: number;
  /** Protocol whose fields have it; null for what the headers say. */
  readonly protocol: string | null;
}

export interface PacketJson extends PacketSummary {
  readonly number: number;
  /** UTC with nanoseconds, as RFC 3339 has it; null where the file has none. */
  readonly time: string | null;
  readonly interface: string | null;
  /** Bytes on the wire. */
  readonly length: number;
  readonly captured: number;
  readonly layers: readonly LayerJson[];
  readonly faults: readonly PacketFaultJson[];
}

export function packetJson(packet: CapturedPacket, dissection: Dissection): PacketJson {
  const { number, time, wireLength, bytes } = packet;
  return {
    number,
    time: time === null ? null : timeText(time.seconds, time.nanoseconds),
    interface: packet.interface.name,
    length: wireLength,
    captured: bytes.length,
    ...summaryOf(dissection),
    layers: dissection.layers.map(layerJson),
    faults: faultsOf(dissection),
  };
}

/** Of the headers and of all fields, which are built for it; each place once. */
export function faultsOf({ fault, layers }: Dissection): readonly PacketFaultJson[] {
  const faults: PacketFaultJson[] = [];
  for (const layer of layers) {
    if (layer.fault !== null) faults.push({ ...layer.fault, protocol: layer.protocol.name });
  }
  const isSaid = faults.some(({ kind, offset }) => kind === fault?.kind && offset === fault.offset);
  return fault === null || isSaid ? faults : [{ ...fault, protocol: null }, ...faults];
}

function layerJson({ protocol, title, start, headerEnd, packet, fields }: Layer): LayerJson {
  const length = Math.min(headerEnd, packet.bytes.length) - start;
  return { protocol: protocol.name, title, offset: start, length, fields: fields.map(fieldJson) };
}

function fieldJson({ type, offset, length, mask, value, meaning, fields }: Field): FieldJson {
  return {
    name: type.name,
    offset,
    length,
    ...(mask === null ? {} : { mask }),
    value,
    ...(type.unit === null ? {} : { unit: type.unit }),
    ...(meaning === null ? {} : { meaning }),
    ...(fields.length === 0 ? {} : { fields: fields.map(fieldJson) }),
  };
}

/** Times that Date cannot say, far from ours, are the seconds since the epoch. */
function timeText(seconds: number, nanoseconds: number): string {
  const fraction = String(nanoseconds).padStart(9, '0');
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return `${String(seconds)}.${fraction}`;
  return `${date.toISOString().slice(0, -5)}.${fraction}Z`;
}
