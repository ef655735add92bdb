/** What of the drawing lights up for a packet: the wires that it was seen on, with its direction. Pure. */
import type { CapturedInterface, LabDocument, PacketRow } from '../../agent/api/index.ts';
import { internetInterface } from '../../agent/lab/network.ts';
import type { SceneEnd } from '../topology/canvas/scene/scene.ts';
import { isBridgeKind } from '../topology/document/node-kinds.ts';
import { interfacesOf } from '../topology/live.ts';
import type { TraceLight } from '../topology/openflow/trace-path.ts';

/** Scene ids `NODE:INTERFACE` by inventory ids, of all that the document has. */
export function endsByLink(
  document: LabDocument,
  find: (end: SceneEnd) => string | null,
): ReadonlyMap<string, SceneEnd> {
  const found = new Map<string, SceneEnd>();
  for (const [node, { kind }] of Object.entries(document.topology.nodes)) {
    const names = interfacesOf(document, node).map((each) => each.name);
    if (isBridgeKind(kind)) names.push(node);
    if (kind === 'internet') names.push(internetInterface);
    for (const name of names) {
      const end = { node, interface: name };
      const link = find(end);
      if (link !== null) found.set(link, end);
    }
  }
  return found;
}

export function lightOfSightings(
  sightings: readonly Pick<PacketRow, 'interface' | 'direction'>[],
  interfaces: ReadonlyMap<number, Pick<CapturedInterface, 'link'>>,
  ends: ReadonlyMap<string, SceneEnd>,
): TraceLight {
  const nodes = new Set<string>();
  const entered = new Set<string>();
  const left = new Set<string>();
  for (const { interface: number, direction } of sightings) {
    const link = interfaces.get(number)?.link ?? '';
    const end = ends.get(link);
    nodes.add(end?.node ?? '');
    // What the document does not have is drawn by its id.
    const id = end === undefined ? link : `${end.node}:${end.interface}`;
    (direction === 'received' ? entered : left).add(id);
  }
  nodes.delete('');
  return { nodes, entered, left };
}
