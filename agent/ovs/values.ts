/** Values of the database in the notation of RFC 7047, section 5.1: atoms, sets, maps and references. Pure. */

export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** A row: value by column, in the notation of the wire. */
export type Row = Readonly<Record<string, Json>>;
/** Rows by uuid. */
export type Table = ReadonlyMap<string, Row>;
export type Tables = ReadonlyMap<string, Table>;

/** Reference to a row: of the database by its uuid, or of the same transaction by the name that its insertion gives. */
export type Reference = readonly ['uuid' | 'named-uuid', string];

export function uuid(id: string): Reference {
  return ['uuid', id];
}

export function namedUuid(name: string): Reference {
  return ['named-uuid', name];
}

/** A set; null is the empty one. */
export function setOf(atoms: readonly Json[]): Json {
  return ['set', [...atoms]];
}

/** An optional value: a set of none or one. */
export function optional(value: Json | undefined): Json {
  return value === null || value === undefined ? ['set', []] : value;
}

export function mapOf(entries: Readonly<Record<string, string>>): Json {
  return ['map', Object.entries(entries).sort(([one], [other]) => compareText(one, other))];
}

export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

export function isObject(value: unknown): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Atoms of a column: a set of one is written as the atom itself, and a reference is an atom. */
export function atomsOf(value: Json | undefined): readonly Json[] {
  if (value === undefined || value === null) return [];
  if (isArray(value) && value[0] === 'set') return isArray(value[1]) ? value[1] : [];
  if (isArray(value) && value[0] === 'map') return [];
  return [value];
}

export function textsOf(value: Json | undefined): readonly string[] {
  return atomsOf(value).filter((atom) => typeof atom === 'string');
}

export function numbersOf(value: Json | undefined): readonly number[] {
  return atomsOf(value).filter((atom) => typeof atom === 'number');
}

export function textOf(value: Json | undefined): string | null {
  return textsOf(value)[0] ?? null;
}

export function numberOf(value: Json | undefined): number | null {
  return numbersOf(value)[0] ?? null;
}

export function booleanOf(value: Json | undefined): boolean | null {
  const [atom] = atomsOf(value);
  return typeof atom === 'boolean' ? atom : null;
}

function referenceOf(atom: Json | undefined): string | undefined {
  if (!isArray(atom) || atom.length !== 2) return undefined;
  const [kind, id] = atom;
  return (kind === 'uuid' || kind === 'named-uuid') && typeof id === 'string' ? id : undefined;
}

/** Uuids of a column of references. */
export function referencesOf(value: Json | undefined): readonly string[] {
  return atomsOf(value).flatMap((atom) => referenceOf(atom) ?? []);
}

function pairsOf(value: Json | undefined): readonly (readonly Json[])[] {
  if (!isArray(value) || value[0] !== 'map' || !isArray(value[1])) return [];
  return value[1].filter((pair) => isArray(pair));
}

/** A map of strings. */
export function textMapOf(value: Json | undefined): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [key, entry] of pairsOf(value)) {
    if (typeof key === 'string' && typeof entry === 'string') found.set(key, entry);
  }
  return found;
}

/** A map of strings to numbers, as `statistics` is. */
export function numberMapOf(value: Json | undefined): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [key, entry] of pairsOf(value)) {
    if (typeof key === 'string' && typeof entry === 'number') found.set(key, entry);
  }
  return found;
}

/** A map of numbers to rows, as `queues` is. */
export function referenceMapOf(value: Json | undefined): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const [key, entry] of pairsOf(value)) {
    const id = referenceOf(entry);
    if (typeof key === 'number' && id !== undefined) found.set(key, id);
  }
  return found;
}

/** The same text for the same value: sets and maps have no order. */
export function canonicalText(value: Json | undefined): string {
  if (isArray(value) && value[0] === 'map') {
    return JSON.stringify([
      'map',
      pairsOf(value)
        .map((pair) => JSON.stringify(pair))
        .sort(),
    ]);
  }
  return JSON.stringify(
    atomsOf(value)
      .map((atom) => JSON.stringify(atom))
      .sort(),
  );
}

/** What a column may hold, as far as it matters for reading changes. */
export interface ColumnType {
  readonly isMap: boolean;
  /** At most one: changes give the new value instead of what differs. */
  readonly isSingle: boolean;
  /** What is left out of a row that is told of. */
  readonly initial: Json;
}
/** Columns by name, by table. */
export type DatabaseSchema = ReadonlyMap<string, ReadonlyMap<string, ColumnType>>;

const emptyUuid = '00000000-0000-0000-0000-000000000000';
const initialValues: Readonly<Record<string, Json>> = {
  integer: 0,
  real: 0,
  boolean: false,
  string: '',
  uuid: ['uuid', emptyUuid],
};

/** The answer to `get_schema` (RFC 7047, section 3.2); undefined where it is none. */
export function parseSchema(
  answer: unknown,
): { readonly version: string; readonly tables: DatabaseSchema } | undefined {
  if (!isObject(answer) || !isObject(answer['tables'])) return undefined;
  const tables = new Map<string, ReadonlyMap<string, ColumnType>>();
  for (const [name, table] of Object.entries(answer['tables'])) {
    const columns = isObject(table) ? table['columns'] : undefined;
    if (!isObject(columns)) return undefined;
    tables.set(
      name,
      new Map(
        Object.entries(columns).map(([column, description]) => [
          column,
          columnType(isObject(description) ? description['type'] : undefined),
        ]),
      ),
    );
  }
  const version = answer['version'];
  return { version: typeof version === 'string' ? version : '', tables };
}

function columnType(type: Json | undefined): ColumnType {
  if (!isObject(type)) {
    return { isMap: false, isSingle: true, initial: initialValues[String(type)] ?? '' };
  }
  const isMap = type['value'] !== undefined;
  const isOptional = type['min'] === 0;
  const isSingle = (type['max'] ?? 1) === 1;
  const key = type['key'];
  const kind = isObject(key) ? key['type'] : key;
  const initial: Json = isMap
    ? ['map', []]
    : isOptional
      ? ['set', []]
      : (initialValues[String(kind)] ?? '');
  return { isMap, isSingle, initial };
}

/**
 * A column after a change as `update2` and `update3` tell it (ovsdb-server(7), section 4.1.14): the new value where at
 * most one is allowed; else elements that changed sides, and pairs that were added, removed or given another value.
 */
export function changedValue(type: ColumnType, before: Json | undefined, change: Json): Json {
  if (type.isSingle) return change;
  if (type.isMap) {
    const pairs = new Map(pairsOf(before).map((pair) => [JSON.stringify(pair[0]), pair]));
    for (const pair of pairsOf(change)) {
      const key = JSON.stringify(pair[0]);
      const known = pairs.get(key);
      if (known !== undefined && JSON.stringify(known[1]) === JSON.stringify(pair[1])) {
        pairs.delete(key);
      } else pairs.set(key, pair);
    }
    return ['map', [...pairs.values()]];
  }
  const atoms = new Map(atomsOf(before).map((atom) => [JSON.stringify(atom), atom]));
  for (const atom of atomsOf(change)) {
    const key = JSON.stringify(atom);
    if (!atoms.delete(key)) atoms.set(key, atom);
  }
  return ['set', [...atoms.values()]];
}
