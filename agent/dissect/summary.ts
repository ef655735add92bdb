/** A packet in one line, as lists of packets have it. */
import type { Dissection } from './core/dissection.ts';
import type { PacketFaultKind } from './core/field-tree.ts';

export interface PacketSummary {
  /** Address of the innermost packet: of a host, else of a card; empty where there is none. */
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly info: string;
}

const faultTexts: Readonly<Record<PacketFaultKind, string>> = {
  truncated: 'cut off by the capture',
  malformed: 'malformed',
  'too-much': 'too many layers',
};

export function summaryOf(packet: Dissection): PacketSummary {
  const { layers, fault, source, destination } = packet;
  // What is quoted in an error tells less than the error.
  let place = layers.length - 1;
  while (place > 0) {
    const layer = layers[place];
    if (layer !== undefined && !layer.isQuoted && layer.protocol.info !== undefined) break;
    place -= 1;
  }
  const layer = layers[place];
  const protocol = layer?.title ?? '';
  const isThere = layer?.has(layer.protocol.minimum) === true;
  const said = isThere ? (layer.protocol.info?.(packet, layer) ?? '') : '';
  const info = fault === null ? said : `${said} [${faultTexts[fault.kind]}]`.trim();
  return { source, destination, protocol, info };
}
