/** All fields that dissectors may give, by their names. */
import type { FieldKind, FieldType } from './core/field.ts';
import { protocols } from './tables.ts';

export interface CatalogueEntry {
  readonly name: string;
  /** Protocols that have it, by their names. */
  readonly protocols: readonly string[];
  readonly kind: FieldKind;
  readonly unit: string | null;
  readonly label: string;
}

/** Sorted by protocol, then as they stand in the packet. */
export function fieldCatalogue(): readonly CatalogueEntry[] {
  const found = new Map<string, { type: FieldType; protocols: Set<string> }>();
  for (const protocol of protocols) {
    for (const type of protocol.fields) {
      const entry = found.get(type.name) ?? { type, protocols: new Set<string>() };
      entry.protocols.add(protocol.name);
      found.set(type.name, entry);
    }
  }
  return [...found.values()].map(({ type, protocols: of }) => ({
    name: type.name,
    protocols: [...of],
    kind: type.kind,
    unit: type.unit,
    label: type.label,
  }));
}
