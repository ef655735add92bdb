import {
  type Document,
  isCollection,
  isMap,
  isPair,
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
  type InterfaceSettings,
  type LabCheck,
  type LabDocument,
  type LabNode,
  type LocalizedText,
  type NodeKind,
  parseEndpoint,
  type Result,
  succeed,
} from '../../../agent/api/index.ts';

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
  | { readonly kind: 'add-link'; readonly endpoints: readonly [string, string] }
  /** Also removes the settings of both ends. */
  | { readonly kind: 'remove-link'; readonly index: number }
  /** Replaces the settings of an interface; `null` deletes them. A bridge's own interface bears its name. */
  | {
      readonly kind: 'set-interface';
      readonly node: string;
      readonly interface: string;
      readonly settings: InterfaceSettings | null;
    }
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
  | { readonly kind: 'set-checks'; readonly checks: readonly LabCheck[] }
  | { readonly kind: 'set-title'; readonly title: LocalizedText };

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
function keepForm(before: string, after: string): string {
  const old = before.split('\n');
  const fresh = after.split('\n');
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
      else yaml.setIn(path, createValue(yaml, edit.value));
      return;
    }
    case 'add-link': {
      const link = yaml.createNode({ endpoints: [...edit.endpoints] }) as YAMLMap;
      const endpoints = link.get('endpoints');
      if (isSeq(endpoints)) endpoints.flow = true;
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
    case 'remove-link':
      removeLink(yaml, edit.index);
      return;
    case 'set-interface':
      setInterface(yaml, edit.node, edit.interface, edit.settings);
      return;
    case 'rename-interface':
      renameInterface(yaml, edit.node, edit.interface, edit.to);
      return;
    case 'move-nodes':
      for (const [name, position] of Object.entries(edit.positions))
        setPosition(yaml, name, position);
      return;
    case 'set-checks':
      if (edit.checks.length === 0) yaml.deleteIn(['checks']);
      else yaml.setIn(['checks'], yaml.createNode(edit.checks));
      return;
    case 'set-title':
      yaml.setIn(['title'], createValue(yaml, edit.title));
      return;
  }
}

/** Lists of plain values are written on one line, as people write them. */
function createValue(yaml: Document, value: unknown): unknown {
  const node = yaml.createNode(value);
  flowPlainLists(node);
  return node;
}

function flowPlainLists(node: unknown): void {
  if (isSeq(node)) {
    if (node.items.every((item) => isScalar(item))) node.flow = true;
    else node.items.forEach(flowPlainLists);
  } else if (isMap(node)) {
    for (const item of node.items) if (isPair(item)) flowPlainLists(item.value);
  }
}

function setPosition(yaml: Document, name: string, position: readonly [number, number]): void {
  const node = yaml.createNode([Math.round(position[0]), Math.round(position[1])]) as YAMLSeq;
  node.flow = true;
  yaml.setIn(['positions', name], node);
}

/** Deletes a value and the collections that it leaves empty, down to `keep` leading keys. */
function deleteAndPrune(yaml: Document, path: readonly (string | number)[], keep: number): void {
  if (!yaml.hasIn(path)) return;
  yaml.deleteIn(path);
  for (let length = path.length - 1; length > keep; length--) {
    const parent = yaml.getIn(path.slice(0, length));
    if (!isCollection(parent) || parent.items.length > 0) return;
    yaml.deleteIn(path.slice(0, length));
  }
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
  for (const endpoint of endpointsOf(yaml, index)) {
    const { node, interface: name } = parseEndpoint(endpoint);
    setInterface(yaml, node, name, null);
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

function renameKey(yaml: Document, path: readonly string[], from: string, to: string): void {
  const map = yaml.getIn(path);
  if (!isMap(map)) return;
  for (const pair of map.items) {
    const key = isScalar(pair.key) ? pair.key.value : pair.key;
    if (key !== from) continue;
    if (isScalar(pair.key)) pair.key.value = to;
    else pair.key = to;
  }
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
  return yaml.getIn(['topology', 'nodes', node, 'kind']) === 'bridge';
}

const settingKeys = ['addresses', 'mac', 'mtu', 'state'] as const;

function setInterface(
  yaml: Document,
  node: string,
  name: string,
  settings: InterfaceSettings | null,
): void {
  const base = ['topology', 'nodes', node];
  const path = isBridge(yaml, node)
    ? name === node
      ? base
      : [...base, 'ports', name]
    : [...base, 'interfaces', name];
  for (const key of settingKeys) {
    const value = settings?.[key];
    const empty = value === undefined || (Array.isArray(value) && value.length === 0);
    if (empty) deleteAndPrune(yaml, [...path, key], base.length);
    else yaml.setIn([...path, key], createValue(yaml, value));
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
  const routes = yaml.getIn(['topology', 'nodes', node, 'routes']);
  if (isSeq(routes)) {
    routes.items.forEach((route) => {
      if (isMap(route) && route.get('dev') === from) route.set('dev', to);
    });
  }
}

const nodeStems: Readonly<Record<NodeKind, string>> = { namespace: 'ns', bridge: 'br' };

/** The first free name for a node of that kind: `ns1`, `br1` … */
export function freeNodeName(document: LabDocument, kind: NodeKind): string {
  return firstFree(nodeStems[kind], 1, (name) => name in document.topology.nodes);
}

/** Interface names that a node uses, with those that share its namespace. */
function interfaceNames(document: LabDocument, node: string): Set<string> {
  const namespaceOf = (name: string): string => {
    const settings = document.topology.nodes[name];
    return settings?.kind === 'bridge' ? (settings.namespace ?? '') : name;
  };
  const names = new Set<string>();
  for (const [name, settings] of Object.entries(document.topology.nodes)) {
    if (settings.kind === 'bridge' && namespaceOf(name) === namespaceOf(node)) names.add(name);
  }
  for (const link of document.topology.links ?? []) {
    for (const endpoint of link.endpoints.map(parseEndpoint)) {
      if (namespaceOf(endpoint.node) === namespaceOf(node)) names.add(endpoint.interface);
    }
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
  if (document.topology.nodes[node]?.kind !== 'bridge') return firstFree('eth', 0, used);
  const named = toward === undefined ? '' : `v-${toward}`.slice(0, 15);
  return named !== '' && !used(named) ? named : firstFree('port', 1, used);
}

function firstFree(stem: string, start: number, taken: (name: string) => boolean): string {
  let number = start;
  while (taken(`${stem}${number}`)) number++;
  return `${stem}${number}`;
}
