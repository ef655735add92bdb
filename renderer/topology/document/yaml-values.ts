/** Values of a YAML document that is edited in place: comments, the order of keys and what is not touched survive. */
import { type Document, isCollection, isMap, isPair, isScalar, isSeq, type YAMLSeq } from 'yaml';

/**
 * Brings what stands at a path in line with a value and touches only what differs, so that comments, the order of
 * keys and the way things are written survive.
 */
export function assign(yaml: Document, path: readonly (string | number)[], value: unknown): void {
  const current = yaml.getIn(path, true);
  if (isMap(current) && isRecord(value)) {
    for (const pair of [...current.items]) {
      const key = String(isScalar(pair.key) ? pair.key.value : pair.key);
      if (!(key in value)) current.delete(key);
    }
    for (const [key, each] of Object.entries(value)) assign(yaml, [...path, key], each);
    return;
  }
  if (isSeq(current) && Array.isArray(value)) {
    assignList(yaml, path, current, value);
    return;
  }
  if (isScalar(current) && current.value === value) return;
  if (isScalar(current) && isPlain(value)) {
    current.value = value;
    return;
  }
  const written = createValue(yaml, value);
  if (isSeq(written) && isLineList(path)) written.flow = false;
  const parent = yaml.getIn(path.slice(0, -1), true);
  // Within `{ … }` everything is on the line; a list that was empty and so written `[]` grows by lines.
  if (isSeq(parent) && parent.items.length === 0 && !isPlain(value)) parent.flow = false;
  yaml.setIn(path, written);
}

/** What is the same at both ends of a list keeps its nodes; only what lies between is changed. */
function assignList(
  yaml: Document,
  path: readonly (string | number)[],
  current: YAMLSeq,
  value: readonly unknown[],
): void {
  const before = current.items.map((item) => JSON.stringify(yamlValue(yaml, item)));
  const after = value.map((item) => JSON.stringify(item));
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  const shorter = Math.min(before.length, after.length) - head;
  while (tail < shorter && before[before.length - 1 - tail] === after[after.length - 1 - tail]) {
    tail++;
  }
  const common = Math.min(before.length, after.length) - tail;
  for (let index = head; index < common; index++) assign(yaml, [...path, index], value[index]);
  if (after.length < before.length) {
    current.items.splice(common, before.length - after.length);
  } else {
    const fresh = value.slice(common, value.length - tail).map((item) => createValue(yaml, item));
    if (current.items.length === 0 && (!value.every(isPlain) || isLineList(path))) {
      current.flow = false;
    }
    current.items.splice(common, 0, ...fresh);
  }
}

export function yamlValue(yaml: Document, item: unknown): unknown {
  if (isMap(item) || isSeq(item)) return item.toJS(yaml) as unknown;
  return isScalar(item) ? item.value : item;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPlain(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

/** Lists of plain values are written on one line, as people write them. */
export function createValue(yaml: Document, value: unknown): unknown {
  const node = yaml.createNode(value);
  flowPlainLists(node);
  return node;
}

/** Flows, groups and meters have a line each. */
function isLineList(path: readonly (string | number)[]): boolean {
  return path.length === 4 && ['flows', 'groups', 'meters'].includes(String(path[3]));
}

function flowPlainLists(node: unknown): void {
  if (isSeq(node)) {
    if (node.items.every((item) => isScalar(item))) node.flow = true;
    else node.items.forEach(flowPlainLists);
  } else if (isMap(node)) {
    for (const item of node.items) if (isPair(item)) flowPlainLists(item.value);
  }
}

/** Deletes a value and the collections that it leaves empty, down to `keep` leading keys. */
export function deleteAndPrune(
  yaml: Document,
  path: readonly (string | number)[],
  keep: number,
): void {
  if (!yaml.hasIn(path)) return;
  yaml.deleteIn(path);
  for (let length = path.length - 1; length > keep; length--) {
    const parent = yaml.getIn(path.slice(0, length));
    if (!isCollection(parent) || parent.items.length > 0) return;
    yaml.deleteIn(path.slice(0, length));
  }
}

export function renameKey(yaml: Document, path: readonly string[], from: string, to: string): void {
  const map = yaml.getIn(path);
  if (!isMap(map)) return;
  for (const pair of map.items) {
    const key = isScalar(pair.key) ? pair.key.value : pair.key;
    if (key !== from) continue;
    if (isScalar(pair.key)) pair.key.value = to;
    else pair.key = to;
  }
}
