/** A packet's layers and fields as rows of a tree. Pure. */
import type { Dissection } from '../../agent/dissect/core/dissection.ts';
import type { Field } from '../../agent/dissect/core/field.ts';
import { faultsOf, type PacketFaultJson } from '../../agent/dissect/packet-json.ts';
import { valueText } from '../../agent/dissect/packet-text.ts';

export interface FieldRow {
  /** Its way from the top: `2`, `2/0/1`. */
  readonly key: string;
  /** From 1. */
  readonly level: number;
  readonly label: string;
  readonly value: string;
  /** Name for display filters. */
  readonly name: string;
  /** First byte, from the beginning of the packet. */
  readonly offset: number;
  readonly length: number;
  /** Null where there is nothing below it. */
  readonly open: boolean | null;
}

export interface FieldTreeView {
  readonly rows: readonly FieldRow[];
  readonly faults: readonly PacketFaultJson[];
}

/** `isOpen` says of a layer's or a field's name whether what is below it is shown. */
export function fieldRows(
  packet: Dissection,
  isOpen: (name: string, innermost: boolean) => boolean,
): FieldTreeView {
  const rows: FieldRow[] = [];
  const add = (field: Field, key: string, level: number): void => {
    const { type, offset, length, fields } = field;
    const open = fields.length === 0 ? null : isOpen(type.name, false);
    rows.push({
      ...{ key, level, label: type.label, value: valueText(field), name: type.name },
      ...{ offset, length, open },
    });
    if (open !== true) return;
    for (const [place, inner] of fields.entries()) add(inner, `${key}/${String(place)}`, level + 1);
  };
  // The one that says something of its own, as the list has it.
  let innermost = packet.layers.length - 1;
  while (innermost > 0) {
    const layer = packet.layers[innermost];
    if (layer?.isQuoted === false && layer.protocol.info !== undefined) break;
    innermost -= 1;
  }
  for (const [place, layer] of packet.layers.entries()) {
    const { protocol, title, start, headerEnd, fields } = layer;
    const open = fields.length === 0 ? null : isOpen(protocol.name, place === innermost);
    const length = Math.max(0, Math.min(headerEnd, packet.bytes.length) - start);
    rows.push({
      ...{ key: String(place), level: 1, label: title, value: '', name: protocol.name },
      ...{ offset: start, length, open },
    });
    if (open !== true) continue;
    for (const [inner, field] of fields.entries()) {
      add(field, `${String(place)}/${String(inner)}`, 2);
    }
  }
  return { rows, faults: faultsOf(packet) };
}

/** The row that says most of a byte: the shortest one that has it, the deepest of several. */
export function rowAt(rows: readonly FieldRow[], byte: number): FieldRow | null {
  let found: FieldRow | null = null;
  for (const row of rows) {
    if (byte < row.offset || byte >= row.offset + row.length) continue;
    if (found === null || row.length <= found.length) found = row;
  }
  return found;
}
