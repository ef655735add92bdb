/** What display filters may name: protocols, their fields, names for several fields, and the frame itself. */
import { nearestWord } from '../../api/nearest-word.ts';
import type { Protocol } from '../core/dissection.ts';
import type { FieldKind } from '../core/field.ts';
import { protocols } from '../tables.ts';

/** As of a field; a protocol is all the bytes from its header on. */
export type OperandKind = FieldKind | 'protocol';

export type FrameField = 'number' | 'length' | 'captured' | 'interface' | 'time';

export interface FilterField {
  readonly name: string;
  readonly kind: OperandKind;
  /** Fields that count: one, or those that the name stands for. Empty for a protocol and of the frame. */
  readonly names: ReadonlySet<string>;
  /** Protocols that may have them. */
  readonly protocols: ReadonlySet<Protocol>;
  /** What of the frame it is; null for what dissectors give. */
  readonly frame: FrameField | null;
}

/** As display filters of Wireshark have them. */
const several: Readonly<Record<string, readonly string[]>> = {
  'eth.addr': ['eth.dst', 'eth.src'],
  'ip.addr': ['ip.src', 'ip.dst'],
  'ipv6.addr': ['ipv6.src', 'ipv6.dst'],
  'tcp.port': ['tcp.srcport', 'tcp.dstport'],
  'udp.port': ['udp.srcport', 'udp.dstport'],
};

const frameFields: readonly (readonly [name: string, kind: OperandKind, of: FrameField])[] = [
  ['frame.number', 'unsigned', 'number'],
  ['frame.len', 'unsigned', 'length'],
  ['frame.cap_len', 'unsigned', 'captured'],
  ['frame.interface_name', 'text', 'interface'],
  ['frame.time_epoch', 'unsigned', 'time'],
];

const fields: ReadonlyMap<string, FilterField> = gather();

function gather(): Map<string, FilterField> {
  const found = new Map<string, FilterField>();
  const none = { names: new Set<string>(), protocols: new Set<Protocol>(), frame: null };
  const add = (name: string, kind: OperandKind, of: string, protocol: Protocol | null): void => {
    const known = found.get(name);
    const { names } = known ?? { names: new Set([of]) };
    const holders = new Set([
      ...(known?.protocols ?? []),
      ...(protocol === null ? [] : [protocol]),
    ]);
    found.set(name, {
      name,
      kind,
      names: new Set([...names, of]),
      protocols: holders,
      frame: null,
    });
  };
  for (const protocol of protocols) {
    for (const type of protocol.fields) {
      add(type.name, type.kind, type.name, protocol);
      for (const [name, of] of Object.entries(several)) {
        if (of.includes(type.name)) add(name, type.kind, type.name, protocol);
      }
    }
  }
  for (const protocol of protocols) {
    const { name } = protocol;
    const same = protocols.filter((other) => other.name === name);
    found.set(name, { ...none, name, kind: 'protocol', protocols: new Set(same) });
  }
  found.set('frame', { ...none, name: 'frame', kind: 'protocol' });
  for (const [name, kind, frame] of frameFields) found.set(name, { ...none, name, kind, frame });
  return found;
}

/** Undefined for a name that no field has. */
export function filterField(name: string): FilterField | undefined {
  return fields.get(name);
}

/** A name that somebody may have meant. */
export function nearestFilterField(name: string): string | null {
  return nearestWord(name, [...fields.keys()]);
}
