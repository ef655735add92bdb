/** Edits of a document's CPU split, and of the bindings that name its groups. */
import { type Document, isMap, isScalar, isSeq, type YAMLMap } from 'yaml';
import { assertNever, type CpuGroupSettings, type LabDocument } from '../../../agent/api/index.ts';
import { type GroupPath, joinPath, parentPath } from '../../../agent/cpu/group.ts';
import { assign, createValue, deleteAndPrune, renameKey } from './yaml-values.ts';

/** A setting of a group that is no group itself. */
export type CpuSetting = Exclude<keyof CpuGroupSettings, 'groups'>;

/** Groups are named by their paths; the root's is empty. */
export type CpuEdit =
  /** CPUs that the split is for; `undefined` is those of the machine. */
  | { readonly kind: 'set-cpu-cores'; readonly cores: number | undefined }
  /** `undefined` takes the setting out. */
  | {
      readonly kind: 'set-cpu-group';
      readonly group: GroupPath;
      readonly setting: CpuSetting;
      readonly value: CpuGroupSettings[CpuSetting];
    }
  /** Behind the named one of its parent's groups, or behind the last. */
  | {
      readonly kind: 'add-cpu-group';
      readonly parent: GroupPath;
      readonly name: string;
      readonly settings: CpuGroupSettings;
      readonly behind?: string;
    }
  /** With all groups in it; what was bound to them is bound to its parent. */
  | { readonly kind: 'remove-cpu-group'; readonly group: GroupPath }
  | { readonly kind: 'rename-cpu-group'; readonly group: GroupPath; readonly to: string }
  /** The first one gets the groups and the bindings of the second, which goes; their settings are the caller's. */
  | { readonly kind: 'join-cpu-groups'; readonly group: GroupPath; readonly other: GroupPath };

type YamlPath = readonly (string | number)[];

/** Where a group's settings are; the root has none but its groups. */
function pathOf(group: GroupPath): readonly string[] {
  return ['cpu', ...(group === '' ? [] : group.split('/').flatMap((name) => ['groups', name]))];
}

/** The groups in one of a document, by name. */
export function groupsIn(
  { cpu }: LabDocument,
  parent: GroupPath,
): Readonly<Record<string, CpuGroupSettings>> {
  let groups = cpu?.groups ?? {};
  for (const name of parent === '' ? [] : parent.split('/')) groups = groups[name]?.groups ?? {};
  return groups;
}

function nameOf(group: GroupPath): string {
  return group.slice(group.lastIndexOf('/') + 1);
}

export function applyCpuEdit(yaml: Document, edit: CpuEdit): void {
  switch (edit.kind) {
    case 'set-cpu-cores':
      if (edit.cores === undefined) yaml.deleteIn(['cpu', 'cores']);
      else assign(yaml, ['cpu', 'cores'], edit.cores);
      ensureGroups(yaml);
      return;
    case 'set-cpu-group': {
      const path = [...pathOf(edit.group), edit.setting];
      if (edit.value === undefined) yaml.deleteIn(path);
      else assign(yaml, path, edit.value);
      return;
    }
    case 'add-cpu-group': {
      const path = [...pathOf(edit.parent), 'groups', edit.name];
      // `{}` grows by lines.
      const around = yaml.getIn(path.slice(0, -1), true);
      if (isMap(around) && around.items.length === 0) around.flow = false;
      const outer = yaml.getIn(pathOf(edit.parent), true);
      if (isMap(outer) && outer.flow === true) outer.flow = false;
      const made = createValue(yaml, edit.settings);
      // Its own limits are a line, as people write them, until it has groups.
      if (isMap(made) && edit.settings.groups === undefined) made.flow = true;
      yaml.setIn(path, made);
      if (edit.behind !== undefined) putBehind(yaml, path.slice(0, -1), edit.behind);
      return;
    }
    case 'remove-cpu-group': {
      const parent = parentPath(edit.group) ?? '';
      yaml.deleteIn(pathOf(edit.group));
      if (parent !== '') deleteIfEmpty(yaml, [...pathOf(parent), 'groups']);
      rebind(yaml, (path) => (isWithin(path, edit.group) ? parent : path));
      renameInChecks(yaml, (path) => (isWithin(path, edit.group) ? null : path));
      return;
    }
    case 'rename-cpu-group': {
      const parent = parentPath(edit.group) ?? '';
      renameKey(yaml, [...pathOf(parent), 'groups'], nameOf(edit.group), edit.to);
      const after = (path: GroupPath) => moved(path, edit.group, joinPath(parent, edit.to));
      rebind(yaml, after);
      renameInChecks(yaml, after);
      return;
    }
    case 'join-cpu-groups':
      joinGroups(yaml, edit.group, edit.other);
      return;
    default:
      assertNever(edit);
  }
}

function ensureGroups(yaml: Document): void {
  if (yaml.hasIn(['cpu']) && !yaml.hasIn(['cpu', 'groups'])) {
    yaml.setIn(['cpu', 'groups'], yaml.createNode({}));
  }
}

/** Moves the last entry of a map behind a named one. */
function putBehind(yaml: Document, path: YamlPath, name: string): void {
  const map = yaml.getIn(path);
  if (!isMap(map)) return;
  const at = map.items.findIndex(({ key }) => (isScalar(key) ? key.value : key) === name);
  const last = map.items.pop();
  if (last !== undefined) map.items.splice(at < 0 ? map.items.length : at + 1, 0, last);
}

function deleteIfEmpty(yaml: Document, path: YamlPath): void {
  const map = yaml.getIn(path);
  if (isMap(map) && map.items.length === 0) yaml.deleteIn(path);
}

function joinGroups(yaml: Document, group: GroupPath, other: GroupPath): void {
  const inner = yaml.getIn([...pathOf(other), 'groups']);
  const target = [...pathOf(group), 'groups'];
  const names = new Map<string, string>();
  if (isMap(inner)) {
    const outer = yaml.getIn(pathOf(group), true);
    if (isMap(outer) && outer.flow === true) outer.flow = false;
    for (const pair of inner.items) {
      const name = String(isScalar(pair.key) ? pair.key.value : pair.key);
      const free = freeNameIn(yaml, target, name);
      names.set(name, free);
      // The node itself moves, with the comments in it.
      yaml.setIn([...target, free], pair.value);
    }
  }
  yaml.deleteIn(pathOf(other));
  const after = (path: GroupPath): GroupPath => {
    if (path === other) return group;
    if (!path.startsWith(`${other}/`)) return path;
    const [first = '', ...rest] = path.slice(other.length + 1).split('/');
    return [joinPath(group, names.get(first) ?? first), ...rest].join('/');
  };
  rebind(yaml, after);
  // What was measured of it alone is not what is measured of both.
  renameInChecks(yaml, (path) => (path === other ? null : after(path)));
}

function freeNameIn(yaml: Document, path: YamlPath, name: string): string {
  let free = name;
  for (let number = 2; yaml.hasIn([...path, free]); number += 1) free = `${name}-${number}`;
  return free;
}

function isWithin(path: GroupPath, group: GroupPath): boolean {
  return path === group || path.startsWith(`${group}/`);
}

function moved(path: GroupPath, from: GroupPath, to: GroupPath): GroupPath {
  return isWithin(path, from) ? to + path.slice(from.length) : path;
}

/** Gives checks of groups the names that those have now; null takes out a check, or a group that contends in one. */
function renameInChecks(yaml: Document, after: (group: GroupPath) => GroupPath | null): void {
  const checks = yaml.getIn(['checks']);
  if (!isSeq(checks)) return;
  const written = (item: unknown): GroupPath => {
    const text = String(isScalar(item) ? item.value : item);
    return text === '/' ? '' : text;
  };
  for (let index = checks.items.length - 1; index >= 0; index -= 1) {
    const check = checks.items[index];
    if (!isMap(check) || check.get('check') !== 'cpu') continue;
    const group = written(check.get('group'));
    const now = after(group);
    if (now === null) {
      deleteAndPrune(yaml, ['checks', index], 0);
      continue;
    }
    if (now !== group) check.set('group', now);
    const against = check.get('against');
    if (!isSeq(against)) continue;
    for (let at = against.items.length - 1; at >= 0; at -= 1) {
      const rival = written(against.items[at]);
      const then = after(rival);
      if (then === null) against.delete(at);
      else if (then !== rival) against.set(at, then);
    }
    if (against.items.length === 0) check.delete('against');
  }
}

/** Gives every binding of the document the group that it is to have now. */
function rebind(yaml: Document, after: (group: GroupPath) => GroupPath): void {
  const nodes = yaml.getIn(['topology', 'nodes']);
  if (!isMap(nodes)) return;
  const change = (item: YAMLMap): void => {
    const written = item.get('cpu');
    if (typeof written !== 'string') return;
    const before = written === '/' ? '' : written;
    const now = after(before);
    if (now !== before) item.set('cpu', now === '' ? '/' : now);
  };
  for (const { value } of nodes.items) {
    if (!isMap(value)) continue;
    change(value);
    const runs = value.get('run');
    if (isSeq(runs)) for (const run of runs.items) if (isMap(run)) change(run);
  }
}
