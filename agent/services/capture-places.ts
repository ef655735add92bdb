/** Where a capture is to be: the places that were asked for, as namespaces and interfaces that are there now. */
import type { CapturePlace } from '../api/traffic.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import type { RingRequest } from '../capture/ring-set.ts';
import { linkTypeOf } from '../capture/ring-block.ts';
import type { InventoryTracker, ObservedNamespace } from '../inventory/tracker.ts';
import { listLinks } from '../kernel/links.ts';
import { unknownInterface } from './interface-states.ts';
import type { NodeInterfaces } from './lab-nodes.ts';

export interface PlaceSources {
  readonly tracker: InventoryTracker;
  readonly interfacesOf: (lab: string, node: string) => Result<NodeInterfaces>;
}

interface WantedInterfaces {
  readonly namespace: ObservedNamespace;
  /** Of the namespace as a whole, also what comes later. */
  whole: boolean;
  readonly indices: Set<number>;
}

/** Namespaces that share some places are asked for once. Descriptors are the tracker's. */
export function ringsOf(
  places: readonly CapturePlace[],
  sources: PlaceSources,
): Result<readonly RingRequest[]> {
  const wanted = new Map<string, WantedInterfaces>();
  const at = (namespace: ObservedNamespace): WantedInterfaces => {
    const known = wanted.get(namespace.id) ?? { namespace, whole: false, indices: new Set() };
    wanted.set(namespace.id, known);
    return known;
  };
  for (const place of places) {
    const added = addPlace(place, sources, at);
    if (!added.ok) return added;
  }
  const rings: RingRequest[] = [];
  for (const { namespace, whole, indices } of wanted.values()) {
    const { id, title, fd, socket } = namespace;
    const links = listLinks(socket);
    if (!links.ok) return links;
    const there = links.value.filter(({ index }) => whole || indices.has(index));
    if (!whole && there.length < indices.size) return fail(unknownLink(id));
    rings.push({
      namespace: id,
      title,
      fd,
      interfaces: there.map(({ index, name, hardwareType }) => ({
        index,
        name,
        linkType: linkTypeOf(hardwareType),
      })),
      only: !whole,
    });
  }
  return succeed(rings);
}

function addPlace(
  place: CapturePlace,
  { tracker, interfacesOf }: PlaceSources,
  at: (namespace: ObservedNamespace) => WantedInterfaces,
): Result<void> {
  switch (place.kind) {
    case 'namespace': {
      const namespace = tracker.observed(place.namespace);
      if (namespace === undefined) return fail(unknownNamespace(place.namespace));
      at(namespace).whole = true;
      return succeed(undefined);
    }
    case 'link': {
      const [id = '', index = ''] = place.link.split('/');
      const namespace = tracker.observed(id);
      if (namespace === undefined || !/^\d+$/.test(index)) return fail(unknownLink(place.link));
      at(namespace).indices.add(Number(index));
      return succeed(undefined);
    }
    case 'node': {
      const { lab, node, device } = place;
      const found = interfacesOf(lab, node);
      if (!found.ok) return found;
      const handle = tracker.namespaceHandle(found.value.namespace);
      if (!handle.ok) return handle;
      const namespace = tracker.observed(handle.value.id);
      if (namespace === undefined) return fail(unknownNamespace(handle.value.id));
      const { names } = found.value;
      if (device === null && names === null) {
        at(namespace).whole = true;
        return succeed(undefined);
      }
      const links = listLinks(handle.value.socket);
      if (!links.ok) return links;
      const chosen = links.value.filter(
        ({ name }) =>
          (names === null || names.includes(name)) && (device === null || name === device),
      );
      if (chosen.length === 0) return fail(unknownInterface(`${lab}:${node}`, device ?? node));
      for (const { index } of chosen) at(namespace).indices.add(index);
      return succeed(undefined);
    }
  }
}

function unknownNamespace(id: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-namespace-id',
    object: `namespace ${id}`,
    reason: 'The namespace is not there (any more).',
    next: 'Look at what exists, then try again.',
    values: { namespace: id },
  };
}

function unknownLink(id: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-link',
    object: `interface ${id}`,
    reason: 'The interface is not there (any more).',
    next: 'Look at what exists, then try again.',
    values: { link: id },
  };
}
