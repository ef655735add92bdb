import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  parse,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import {
  type Failure,
  fail,
  type LabCheck,
  type LabDocument,
  type LabNode,
  type LocalizedText,
  type NodeKind,
  namespaceOfNode,
  parseEndpoint,
  type Result,
  succeed,
} from '../../../agent/api/index.ts';
import { applyCpuEdit, type CpuEdit } from './cpu-edit.ts';
import { interfaceSettingsOf, isBridgeKind } from './node-kinds.ts';
import {
  assign,
  createValue,
  deleteAndPrune,
  isRecord,
  renameKey,
  yamlValue,
} from './yaml-values.ts';

/** One thing that a person does to a drawing. */
export type DocumentEdit =
  | {
      readonly kind: 'add-node';
      readonly name: string;
      readonly node: LabNode;
      readonly position: readonly [number, number];
    }
  /** Also removes the node's links, positions and checks. */
  | { readonly kind: 'remove-node'; readonly name: string }
  | { readonly kind: 'rename-node'; readonly name: string; readonly to: string }
  /** Sets (or with `undefined` deletes) a value below the node. */
  | {
      readonly kind: 'set-node';
      readonly name: string;
      readonly path: readonly (string | number)[];
      readonly value: unknown;
    }
  | {
      readonly kind: 'add-link';
      readonly endpoints: readonly [string, string];
      /** Makes it a tunnel between two devices: the addresses that it goes between. */
      readonly underlay?: readonly [string, string];
      /** Makes it a pair of patch ports between two Open vSwitch bridges. */
      readonly patch?: true;
    }
  /** Sets (or with `undefined` deletes) a value of a link. */
  | {
      readonly kind: 'set-link';
      readonly index: number;
      readonly path: readonly (string | number)[];
      readonly value: unknown;
    }
  /** Also removes the settings of both ends, except of a tunnel, whose ends are devices of their own. */
  | { readonly kind: 'remove-link'; readonly index: number }
  /** Replaces the settings of an interface; `null` deletes them. A bridge's own interface bears its name. */
  | {
      readonly kind: 'set-interface';
      readonly node: string;
      readonly interface: string;
      readonly settings: Readonly<Record<string, unknown>> | null;
    }
  /** Removes a device with the devices that stand on it, its wire and every place that names it. */
  | { readonly kind: 'remove-interface'; readonly node: string; readonly interface: string }
  | {
      readonly kind: 'rename-interface';
      readonly node: string;
      readonly interface: string;
      readonly to: string;
    }
  | {
      readonly kind: 'move-nodes';
      readonly positions: Readonly<Record<string, readonly [number, number]>>;
    }
  /** Replaces the check at an index, or adds one behind the last; `null` removes it. */
  | { readonly kind: 'set-check'; readonly index: number; readonly check: LabCheck | null }
  | { readonly kind: 'set-title'; readonly title: LocalizedText }
  | CpuEdit;

/**
 * Applies edits to the text of a lab document. Comments and the order of keys survive; what is not touched keeps its
 * form. Fails with `invalid-document` when the text is no YAML mapping, so a broken text is never made worse.
 */
export function editDocument(text: string, edits: readonly DocumentEdit[]): Result<string> {
  const yaml = parseDocument(text, { keepSourceTokens: false });
  const error = yaml.errors[0];
  if (error !== undefined || !isMap(yaml.contents)) {
    return fail(unreadable(error?.message ?? 'it is not a mapping'));
  }
  for (const edit of edits) applyEdit(yaml, edit);
  return succeed(keepForm(text, yaml.toString({ lineWidth: 0, flowCollectionPadding: false })));
}

/**
 * The library writes flow collections and comments in one form of its own. Lines that say the same as before are put
 * back as the person wrote them, as long as the whole then still means the same.
 */
export function keepForm(before: string, after: string): string {
  const old = before.split('\n');
  const fresh = withFoldedText(old, after.split('\n'));
  const bare = (line: string) => line.replace(/\s+/g, '');
  let head = 0;
  while (
    head < old.length &&
    head < fresh.length &&
    bare(old[head] ?? '') === bare(fresh[head] ?? '')
  ) {
    head++;
  }
  let tail = 0;
  const shorter = Math.min(old.length, fresh.length) - head;
  while (
    tail < shorter &&
    bare(old[old.length - 1 - tail] ?? '') === bare(fresh[fresh.length - 1 - tail] ?? '')
  ) {
    tail++;
  }
  // Between the two, each line that stood there before keeps its form too; order is kept by moving on in `old`.
  const middle: string[] = [];
  let next = head;
  for (const line of fresh.slice(head, fresh.length - tail)) {
    const found = old.findIndex(
      (candidate, index) =>
        index >= next &&
        index < old.length - tail &&
        bare(candidate) === bare(line) &&
        bare(line) !== '',
    );
    if (found >= 0) next = found + 1;
    middle.push(found >= 0 ? (old[found] ?? line) : line);
  }
  const kept = [...old.slice(0, head), ...middle, ...old.slice(old.length - tail)].join('\n');
  const same =
    kept === after ||
    JSON.stringify(parse(kept) as unknown) === JSON.stringify(parse(after) as unknown);
  return same ? kept : after;
}

interface Folded {
  readonly start: number;
  /** Behind its last line. */
  readonly end: number;
  readonly sign: string;
}

/** The folded texts (`>`) among the lines, header and all, each with a sign of what it says without its breaks. */
function foldedTexts(lines: readonly string[]): Folded[] {
  const found: Folded[] = [];
  lines.forEach((header, start) => {
    if (!/(?:^|\s)>[-+\d]*\s*$/.test(header)) return;
    const depth = header.length - header.trimStart().length;
    let end = start + 1;
    while (end < lines.length) {
      const line = lines[end] ?? '';
      if (line.trim() !== '' && line.length - line.trimStart().length <= depth) break;
      end += 1;
    }
    // Empty lines before the next key are not the text's.
    while (end > start + 1 && (lines[end - 1] ?? '').trim() === '') end -= 1;
    found.push({ start, end, sign: lines.slice(start, end).join('').replace(/\s+/g, '') });
  });
  return found;
}

/** The library writes a folded text on one line; where it says the same, it is broken as it was. */
function withFoldedText(old: readonly string[], fresh: readonly string[]): string[] {
  const before = foldedTexts(old);
  const result = [...fresh];
  for (const text of foldedTexts(fresh).reverse()) {
    const at = before.findLastIndex((each) => each.sign === text.sign);
    const kept = before[at];
    if (kept === undefined) continue;
    before.splice(at, 1);
    result.splice(text.start, text.end - text.start, ...old.slice(kept.start, kept.end));
  }
  return result;
}

function unreadable(reason: string): Failure {
  return {
    kind: 'invalid-document',
    code: 'document-unreadable',
    object: 'lab document',
    reason: `The text cannot be edited on the drawing: ${reason.split('\n')[0] ?? reason}.`,
    next: 'Correct it in the YAML view first.',
  };
}

function applyEdit(yaml: Document, edit: DocumentEdit): void {
  switch (edit.kind) {
    case 'add-node':
      yaml.setIn(['topology', 'nodes', edit.name], yaml.createNode(edit.node));
      setPosition(yaml, edit.name, edit.position);
      return;
    case 'remove-node':
      removeNode(yaml, edit.name);
      return;
    case 'rename-node':
      renameNode(yaml, edit.name, edit.to);
      return;
    case 'set-node': {
      const path = ['topology', 'nodes', edit.name, ...edit.path];
      if (edit.value === undefined) deleteAndPrune(yaml, path, 3);
      else assign(yaml, path, edit.value);
      return;
    }
    case 'add-link': {
      const endpoints = [...edit.endpoints];
      const link = createValue(
        yaml,
        edit.patch === true
          ? { type: 'patch', endpoints }
          : edit.underlay === undefined
            ? { endpoints }
            : { type: 'tunnel', endpoints, underlay: [...edit.underlay] },
      );
      const links = yaml.getIn(['topology', 'links']);
      if (isSeq(links)) {
        // An empty list is written as `[]`; a list with entries reads better a line each.
        if (links.items.length === 0) links.flow = false;
        links.add(link);
      } else {
        const created = yaml.createNode([]) as YAMLSeq;
        created.add(link);
        yaml.setIn(['topology', 'links'], created);
      }
      return;
    }
    case 'set-link': {
      const path = ['topology', 'links', edit.index, ...edit.path];
      if (edit.value === undefined) deleteAndPrune(yaml, path, 3);
      else assign(yaml, path, edit.value);
      return;
    }
    case 'remove-link':
      removeLink(yaml, edit.index);
      return;
    case 'set-interface':
      setInterface(yaml, edit.node, edit.interface, edit.settings);
      return;
    case 'remove-interface':
      removeInterface(yaml, edit.node, edit.interface);
      return;
    case 'rename-interface':
      renameInterface(yaml, edit.node, edit.interface, edit.to);
      return;
    case 'move-nodes':
      for (const [name, position] of Object.entries(edit.positions))
        setPosition(yaml, name, position);
      return;
    case 'set-check':
      if (edit.check === null) deleteAndPrune(yaml, ['checks', edit.index], 0);
      else assign(yaml, ['checks', edit.index], edit.check);
      return;
    case 'set-title':
      yaml.setIn(['title'], createValue(yaml, edit.title));
      return;
    default:
      applyCpuEdit(yaml, edit);
  }
}

function setPosition(yaml: Document, name: string, position: readonly [number, number]): void {
  const node = yaml.createNode([Math.round(position[0]), Math.round(position[1])]) as YAMLSeq;
  node.flow = true;
  yaml.setIn(['positions', name], node);
}

function linksOf(yaml: Document): YAMLSeq | null {
  const links = yaml.getIn(['topology', 'links']);
  return isSeq(links) ? links : null;
}

function endpointsOf(yaml: Document, index: number): string[] {
  const endpoints = yaml.getIn(['topology', 'links', index, 'endpoints']);
  return isSeq(endpoints)
    ? endpoints.items.map((item) => String(isScalar(item) ? item.value : item))
    : [];
}

function removeLink(yaml: Document, index: number): void {
  if (yaml.getIn(['topology', 'links', index, 'type']) !== 'tunnel') {
    for (const endpoint of endpointsOf(yaml, index)) {
      const { node, interface: name } = parseEndpoint(endpoint);
      forgetInterface(yaml, node, name);
      setInterface(yaml, node, name, null);
    }
  }
  deleteAndPrune(yaml, ['topology', 'links', index], 1);
}

function removeNode(yaml: Document, name: string): void {
  const links = linksOf(yaml);
  for (let index = (links?.items.length ?? 0) - 1; index >= 0; index--) {
    if (endpointsOf(yaml, index).some((endpoint) => parseEndpoint(endpoint).node === name)) {
      removeLink(yaml, index);
    }
  }
  const checks = yaml.getIn(['checks']);
  if (isSeq(checks)) {
    for (let index = checks.items.length - 1; index >= 0; index--) {
      const from = yaml.getIn(['checks', index, 'from']);
      const to = String(yaml.getIn(['checks', index, 'to']));
      if (from === name || to === name || to.startsWith(`${name}:`))
        yaml.deleteIn(['checks', index]);
    }
    if (checks.items.length === 0) yaml.deleteIn(['checks']);
  }
  deleteAndPrune(yaml, ['positions', name], 0);
  yaml.deleteIn(['topology', 'nodes', name]);
}

function renameNode(yaml: Document, from: string, to: string): void {
  renameKey(yaml, ['topology', 'nodes'], from, to);
  renameKey(yaml, ['positions'], from, to);
  const nodes = yaml.getIn(['topology', 'nodes']);
  if (isMap(nodes)) {
    for (const pair of nodes.items) {
      if (isMap(pair.value) && pair.value.get('namespace') === from)
        pair.value.set('namespace', to);
    }
  }
  const rename = (endpoint: string) =>
    parseEndpoint(endpoint).node === from ? `${to}:${parseEndpoint(endpoint).interface}` : endpoint;
  renameEndpoints(yaml, rename);
  const checks = yaml.getIn(['checks']);
  if (!isSeq(checks)) return;
  checks.items.forEach((_, index) => {
    if (yaml.getIn(['checks', index, 'from']) === from) yaml.setIn(['checks', index, 'from'], to);
    const target = String(yaml.getIn(['checks', index, 'to']));
    if (target === from) yaml.setIn(['checks', index, 'to'], to);
    else if (target.startsWith(`${from}:`)) yaml.setIn(['checks', index, 'to'], rename(target));
  });
}

function renameEndpoints(yaml: Document, rename: (endpoint: string) => string): void {
  const count = linksOf(yaml)?.items.length ?? 0;
  for (let index = 0; index < count; index++) {
    endpointsOf(yaml, index).forEach((endpoint, end) => {
      const renamed = rename(endpoint);
      if (renamed !== endpoint) yaml.setIn(['topology', 'links', index, 'endpoints', end], renamed);
    });
  }
}

function isBridge(yaml: Document, node: string): boolean {
  const kind = yaml.getIn(['topology', 'nodes', node, 'kind']);
  return kind === 'bridge' || kind === 'ovs-bridge';
}

/** Keys of a bridge node that are settings of its own interface. */
const bridgeKeys = ['addresses', 'mac', 'mtu', 'state', 'impairment'] as const;

function interfacePath(yaml: Document, node: string, name: string): readonly string[] {
  const base = ['topology', 'nodes', node];
  if (!isBridge(yaml, node)) return [...base, 'interfaces', name];
  return name === node ? base : [...base, 'ports', name];
}

function setInterface(
  yaml: Document,
  node: string,
  name: string,
  settings: Readonly<Record<string, unknown>> | null,
): void {
  const path = interfacePath(yaml, node, name);
  if (settings === null && path.length > 3) {
    deleteAndPrune(yaml, path, 3);
    return;
  }
  const current = yaml.getIn(path);
  const known = isMap(current)
    ? current.items.map((pair) => String(isScalar(pair.key) ? pair.key.value : pair.key))
    : [];
  const keys = path.length === 3 ? bridgeKeys : new Set([...known, ...Object.keys(settings ?? {})]);
  for (const key of keys) {
    const value = settings?.[key];
    const empty =
      value === undefined ||
      value === null ||
      (Array.isArray(value) && value.length === 0 && key !== 'trunk') ||
      (isRecord(value) && Object.keys(value).length === 0);
    if (empty) deleteAndPrune(yaml, [...path, key], 3);
    else assign(yaml, [...path, key], value);
  }
}

/** The nodes whose interfaces share one namespace with those of a node. */
function neighbours(yaml: Document, node: string): string[] {
  const nodes = yaml.getIn(['topology', 'nodes']);
  if (!isMap(nodes)) return [node];
  const home = (name: string): unknown =>
    isBridge(yaml, name) ? (yaml.getIn(['topology', 'nodes', name, 'namespace']) ?? '') : name;
  return nodes.items
    .map((pair) => String(isScalar(pair.key) ? pair.key.value : pair.key))
    .filter((name) => home(name) === home(node));
}

/** Calls back for each interface that a node has settings for. */
function eachInterface(
  yaml: Document,
  node: string,
  act: (name: string, settings: YAMLMap, key: 'interfaces' | 'ports') => void,
): void {
  for (const key of ['interfaces', 'ports'] as const) {
    const map = yaml.getIn(['topology', 'nodes', node, key]);
    if (!isMap(map)) continue;
    for (const pair of [...map.items]) {
      if (isMap(pair.value))
        act(String(isScalar(pair.key) ? pair.key.value : pair.key), pair.value, key);
    }
  }
}

/** Takes an interface out of every list of members, and removes what stands on it, as the kernel would. */
function forgetInterface(yaml: Document, node: string, name: string): void {
  for (const near of neighbours(yaml, node)) {
    eachInterface(yaml, near, (other, settings, key) => {
      const members = settings.get('members');
      const at = isSeq(members)
        ? members.items.findIndex((item) => yamlValue(yaml, item) === name)
        : -1;
      if (at >= 0) {
        deleteAndPrune(yaml, ['topology', 'nodes', near, key, other, 'members', at], 6);
        // A bond of Open vSwitch has two members at least: its port goes with the last but one.
        const left = settings.get('members');
        const few = !isSeq(left) || left.items.length < 2;
        if (few && settings.get('kind') === 'bond' && isOvs(yaml, near)) {
          removeInterface(yaml, near, other);
          return;
        }
      }
      if (other !== name && settings.get('parent') === name && settings.get('kind') !== 'vxlan') {
        removeInterface(yaml, near, other);
      }
    });
  }
  if (isOvs(yaml, node)) forgetMirrored(yaml, node, name);
}

function isOvs(yaml: Document, node: string): boolean {
  return yaml.getIn(['topology', 'nodes', node, 'kind']) === 'ovs-bridge';
}

/** Calls back for each mirror of an Open vSwitch bridge. */
function eachMirror(
  yaml: Document,
  node: string,
  act: (name: string, settings: YAMLMap) => void,
): void {
  const map = yaml.getIn(['topology', 'nodes', node, 'mirrors']);
  if (!isMap(map)) return;
  for (const pair of [...map.items]) {
    if (isMap(pair.value)) act(String(isScalar(pair.key) ? pair.key.value : pair.key), pair.value);
  }
}

/** Takes a port out of the mirrors of its bridge; a mirror without a place to go ends with that. */
function forgetMirrored(yaml: Document, node: string, name: string): void {
  const base = ['topology', 'nodes', node, 'mirrors'];
  eachMirror(yaml, node, (mirror, settings) => {
    if (settings.get('output') === name) {
      deleteAndPrune(yaml, [...base, mirror], 3);
      return;
    }
    for (const key of ['source', 'destination']) {
      const ports = settings.get(key);
      if (!isSeq(ports)) continue;
      const at = ports.items.findIndex((item) => yamlValue(yaml, item) === name);
      if (at >= 0) deleteAndPrune(yaml, [...base, mirror, key, at], 5);
    }
  });
}

function removeInterface(yaml: Document, node: string, name: string): void {
  forgetInterface(yaml, node, name);
  const endpoint = `${node}:${name}`;
  for (let index = (linksOf(yaml)?.items.length ?? 0) - 1; index >= 0; index--) {
    if (endpointsOf(yaml, index).includes(endpoint)) removeLink(yaml, index);
  }
  deleteAndPrune(yaml, interfacePath(yaml, node, name), 3);
  const checks = yaml.getIn(['checks']);
  if (!isSeq(checks)) return;
  for (let index = checks.items.length - 1; index >= 0; index--) {
    if (yaml.getIn(['checks', index, 'to']) === endpoint) {
      deleteAndPrune(yaml, ['checks', index], 0);
    }
  }
}

function renameInterface(yaml: Document, node: string, from: string, to: string): void {
  renameKey(yaml, ['topology', 'nodes', node, 'interfaces'], from, to);
  renameKey(yaml, ['topology', 'nodes', node, 'ports'], from, to);
  renameEndpoints(yaml, (endpoint) =>
    endpoint === `${node}:${from}` ? `${node}:${to}` : endpoint,
  );
  const checks = yaml.getIn(['checks']);
  if (isSeq(checks)) {
    checks.items.forEach((_, index) => {
      if (yaml.getIn(['checks', index, 'to']) === `${node}:${from}`) {
        yaml.setIn(['checks', index, 'to'], `${node}:${to}`);
      }
    });
  }
  eachMirror(yaml, node, (_name, settings) => {
    if (settings.get('output') === from) settings.set('output', to);
    for (const key of ['source', 'destination']) {
      const ports = settings.get(key);
      if (!isSeq(ports)) continue;
      ports.items.forEach((item, index) => {
        if (yamlValue(yaml, item) === from) ports.set(index, to);
      });
    }
  });
  const renameIn = (item: unknown, ...keys: string[]) => {
    if (!isMap(item)) return;
    for (const key of keys) if (item.get(key) === from) item.set(key, to);
  };
  for (const near of neighbours(yaml, node)) {
    eachInterface(yaml, near, (_name, settings) => {
      renameIn(settings, 'parent');
      const members = settings.get('members');
      if (!isSeq(members)) return;
      members.items.forEach((item, index) => {
        if (yamlValue(yaml, item) === from) members.set(index, to);
      });
    });
    for (const path of [
      ['routes'],
      ['nat'],
      ['filter', 'input', 'rules'],
      ['filter', 'forward', 'rules'],
      ['filter', 'output', 'rules'],
    ]) {
      const list = yaml.getIn(['topology', 'nodes', near, ...path]);
      if (isSeq(list)) list.items.forEach((item) => renameIn(item, 'dev', 'in', 'out'));
    }
  }
}

/** What the palette offers: a router is a namespace that forwards. */
export type NewNodeKind = NodeKind | 'router';

export function isNewNodeKind(text: string): text is NewNodeKind {
  return text in nodeStems;
}

const nodeStems: Readonly<Record<NewNodeKind, string>> = {
  namespace: 'ns',
  router: 'r',
  bridge: 'br',
  'ovs-bridge': 'sw',
  internet: 'internet',
  vm: 'vm',
};

export function newNode(kind: NewNodeKind): LabNode {
  return kind === 'router' ? { kind: 'namespace', forwarding: true } : { kind };
}

/** The first free name for a node of that kind: `ns1`, `r1`, `br1` … */
export function freeNodeName(document: LabDocument, kind: NewNodeKind): string {
  const taken = (name: string) => name in document.topology.nodes;
  // There is one of them in a lab.
  if (kind === 'internet' && !taken(nodeStems.internet)) return nodeStems.internet;
  return firstFree(nodeStems[kind], 1, taken);
}

/** Interface names that a node uses, with those that share its namespace. */
export function interfaceNames(document: LabDocument, node: string): Set<string> {
  const namespaceOf = (name: string): string => {
    const settings = document.topology.nodes[name];
    return settings === undefined ? name : (namespaceOfNode(name, settings) ?? '');
  };
  const names = new Set<string>();
  for (const [name, settings] of Object.entries(document.topology.nodes)) {
    if (isBridgeKind(settings.kind) && namespaceOf(name) === namespaceOf(node)) names.add(name);
  }
  for (const link of document.topology.links ?? []) {
    for (const endpoint of link.endpoints.map(parseEndpoint)) {
      if (namespaceOf(endpoint.node) === namespaceOf(node)) names.add(endpoint.interface);
    }
  }
  for (const [name, settings] of Object.entries(document.topology.nodes)) {
    if (namespaceOf(name) !== namespaceOf(node)) continue;
    for (const each of Object.keys(interfaceSettingsOf(settings))) names.add(each);
  }
  return names;
}

/**
 * The first free interface name for a new link's end: `eth0`, `eth1` … in a namespace; at a bridge, whose ports share
 * the bridge's namespace, a name that tells what hangs on it (`toward`) where that fits.
 */
export function freeInterfaceName(document: LabDocument, node: string, toward?: string): string {
  const taken = interfaceNames(document, node);
  const used = (name: string) => taken.has(name);
  if (!isBridgeKind(document.topology.nodes[node]?.kind)) return firstFree('eth', 0, used);
  const machine = toward !== undefined && document.topology.nodes[toward]?.kind === 'vm';
  const named = toward === undefined ? '' : `${machine ? 'tap' : 'v'}-${toward}`.slice(0, 15);
  return named !== '' && !used(named) ? named : firstFree('port', 1, used);
}

export function firstFree(stem: string, start: number, taken: (name: string) => boolean): string {
  let number = start;
  while (taken(`${stem}${number}`)) number++;
  return `${stem}${number}`;
}
