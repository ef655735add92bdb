/** Builds the picture from document, inventory and plan. */
import { parseEndpoint } from '../../../../agent/api/index.ts';
import { internetInterface } from '../../../../agent/lab/network.ts';
import { commonOf, isBridgeKind } from '../../document/node-kinds.ts';
import { heldAddresses, interfacesOf, isKernelPort, machineRunOf } from '../../live.ts';
import { blockedState, ovsPortOf, usesVlans } from '../../ovs-view.ts';
import { addForeign, removedNode } from './foreign-nodes.ts';
import {
  addressLine,
  blockedOf,
  deviceFacts,
  driftedInterface,
  foreignInterface,
  isOddState,
  isolatedOf,
  liveAddresses,
  ovsFacts,
  ovsVlans,
  vlansOf,
} from './interface-facts.ts';
import { KernelView, namespaceOfNode } from './kernel-view.ts';
import {
  bridgeNote,
  bridgeState,
  isPartOfBridge,
  machineLine,
  nodeFacts,
  processNote,
  uplinkOf,
} from './node-facts.ts';
import { overlaysOf, underlayOf } from './overlays.ts';
import { pending, PlanView } from './plan-view.ts';
import {
  endId,
  type Nodes,
  nothingBelow,
  type Scene,
  type SceneEnd,
  type SceneInput,
  type SceneInterface,
  type SceneNode,
  type SceneWire,
} from './scene.ts';
import { rootBridges } from './tree-roots.ts';

/** Builds the picture. Linear in the size of document and inventory. */
export function buildScene(input: SceneInput): Scene {
  const kernel = new KernelView(input.inventory, input.lab);
  const plan = new PlanView(input.plan);
  const nodes = input.document?.topology.nodes ?? {};
  const links = input.document?.topology.links ?? [];
  const { wires, peers } = wiresOf(input, kernel, plan);

  /** Whether a machine's taps are there: then it ran, or is about to. */
  const started = (machine: string): boolean =>
    links
      .flatMap(({ endpoints }) => endpoints.map(parseEndpoint))
      .some((end) => {
        const [node = '', name = ''] = (peers.get(endId(end)) ?? '').split(':');
        if (end.node !== machine || !(node in nodes)) return false;
        return kernel.link(namespaceOfNode(kernel, nodes, node), name) !== null;
      });

  const drawn = new Set<string>();
  /** NICs that are drawn as ports of the lab's: what is at their other ends may be drawn too. */
  const outsideEnds = new Map<string, SceneEnd>();
  const roots = rootBridges(kernel, nodes, wires);
  const sceneNodes: SceneNode[] = Object.entries(nodes).map(([name, node]): SceneNode => {
    const namespace = namespaceOfNode(kernel, nodes, name);
    const own = isBridgeKind(node.kind) ? kernel.link(namespace, name) : null;
    const ovs = node.kind === 'ovs-bridge' ? kernel.ovsBridge(namespace, name) : null;
    const machine = node.kind === 'vm' ? machineRunOf(input.inventory, input.lab, name) : null;
    const wayOut =
      node.kind === 'internet'
        ? kernel.links(namespace).find((link) => link.name === internetInterface)
        : undefined;
    if (wayOut !== undefined) drawn.add(wayOut.id);
    const exists =
      node.kind === 'vm'
        ? machine !== null
        : isBridgeKind(node.kind)
          ? own !== null || ovs !== null
          : node.kind === 'internet'
            ? (namespace?.rules ?? null) !== null
            : namespace !== null;
    if (own !== null) drawn.add(own.id);
    const filtering =
      node.kind === 'bridge' && (own?.bridge?.vlanFiltering ?? node.vlanFiltering ?? false);
    const stp = node.kind === 'bridge' && (own?.bridge?.stp ?? node.stp ?? false);
    const telling = node.kind === 'ovs-bridge' && usesVlans(node, ovs);
    const interfaces = input.document === null ? [] : interfacesOf(input.document, name);
    const wanted = interfaces.map((each): SceneInterface => {
      const nic = each.device === 'physical' ? kernel.nic(namespace, each.name) : null;
      const live = nic ?? kernel.link(namespace, each.name);
      if (live !== null) drawn.add(live.id);
      if (nic !== null) outsideEnds.set(nic.id, { node: name, interface: each.name });
      const port = ovsPortOf(ovs, each.name);
      // A bond, a tunnel and a patch port are there when Open vSwitch has them; it takes no link of the kernel.
      const there =
        (live !== null && nic === null) ||
        machine !== null ||
        (node.kind === 'ovs-bridge' && !isKernelPort(each) && port !== null);
      const id = `${name}:${each.name}`;
      const wantedAddresses =
        input.document === null ? [] : heldAddresses(input.document, name, each.name).addresses;
      return {
        id,
        name: each.name,
        ...addressLine(live === null ? wantedAddresses : liveAddresses(live, wantedAddresses)),
        presence: there ? 'real' : 'wanted',
        difference: pending(node.kind === 'vm' ? plan.node(name) : plan.interface(id), there),
        drifted:
          (nic === null && driftedInterface(live, wantedAddresses)) ||
          (nic === null &&
            live !== null &&
            input.drifted &&
            isOddState(live, commonOf(each.settings))) ||
          (input.drifted && ovs !== null && (there || nic !== null) && port === null),
        up: live?.up ?? port?.state?.linkUp ?? null,
        peer: peers.get(id) ?? nic?.peer ?? null,
        ...deviceFacts(each, interfaces, live),
        ...(port === null ? {} : ovsFacts(each, interfaces, port)),
        vlans: filtering ? vlansOf(each, live) : telling ? ovsVlans(each, interfaces, port) : null,
        isolated: live?.port?.isolated ?? isolatedOf(each),
        blocked: stp ? blockedOf(live) : blockedState(port?.state ?? null),
        uplink: false,
        error: port?.state?.error ?? null,
      };
    });
    const outward =
      (node.kind === 'bridge' || node.kind === 'ovs-bridge') && input.document !== null
        ? uplinkOf(kernel, input.document, name, node, drawn)
        : [];
    const foreign =
      node.kind === 'namespace' && namespace !== null
        ? kernel
            .links(namespace)
            .filter((link) => link.kind !== 'loopback' && !drawn.has(link.id))
            .filter((link) => !(kernel.owns(link) && isPartOfBridge(input.document, name, link)))
            .map((link) => foreignInterface(link, drawn))
        : [];
    return {
      id: name,
      title: name,
      kind: node.kind,
      presence: exists ? 'real' : 'wanted',
      difference: pending(node.kind === 'internet' ? plan.internet(name) : plan.node(name), exists),
      drifted: own !== null && input.drifted && isOddState(own, bridgeState(node)),
      within: 'namespace' in node ? (node.namespace ?? null) : null,
      ...nodeFacts(node, namespace),
      ...(node.kind === 'vm' ? { runs: [machineLine(node, machine, started(name))] } : {}),
      note:
        node.kind === 'bridge' || node.kind === 'ovs-bridge'
          ? bridgeNote(
              input.document === null ? [] : heldAddresses(input.document, name, name).addresses,
              own,
            )
          : node.kind === 'internet'
            ? (wayOut?.name ?? null)
            : node.kind !== 'namespace' || (node.run ?? []).length > 0
              ? null
              : processNote(namespace),
      root: roots.has(name),
      interfaces: [...wanted, ...outward, ...foreign],
    };
  });

  for (const name of plan.removedNodes()) {
    if (name in nodes) continue;
    const node = removedNode(kernel, name, drawn);
    if (node !== null) sceneNodes.push(node);
  }
  addForeign(kernel, sceneNodes, wires, drawn, outsideEnds);
  return { nodes: sceneNodes, wires };
}

/** Whether an end of a wire is there; null for one that is not. */
function endState(
  kernel: KernelView,
  nodes: Nodes,
  end: SceneEnd,
): { readonly carrier: boolean | null } | null {
  const namespace = namespaceOfNode(kernel, nodes, end.node);
  const link = kernel.link(namespace, end.interface);
  if (link !== null || nodes[end.node]?.kind !== 'ovs-bridge') return link;
  const port = ovsPortOf(kernel.ovsBridge(namespace, end.node), end.interface);
  const inside = port !== null && !['system', 'internal'].includes(port.interface?.kind ?? '');
  return inside ? { carrier: port.state?.linkUp ?? null } : null;
}

interface WiredNodes {
  readonly wires: SceneWire[];
  /** Scene ids of the ends of wires, by those of the other ends. */
  readonly peers: ReadonlyMap<string, string>;
}

function wiresOf(input: SceneInput, kernel: KernelView, plan: PlanView): WiredNodes {
  const nodes = input.document?.topology.nodes ?? {};
  const links = input.document?.topology.links ?? [];
  const wires: SceneWire[] = [];
  const peers = new Map<string, string>();
  const join = (
    ends: readonly [SceneEnd, SceneEnd],
    wire: Pick<SceneWire, 'id' | 'index' | 'kind' | 'underlay'>,
  ) => {
    const ids = [endId(ends[0]), endId(ends[1])] as const;
    peers.set(ids[0], ids[1]);
    peers.set(ids[1], ids[0]);
    // Of a machine's card there is the other end, while the machine runs.
    const outside = ends.filter((end) => nodes[end.node]?.kind !== 'vm');
    const live = outside.map((end) => endState(kernel, nodes, end));
    const running = ends.every(
      (end) => outside.includes(end) || machineRunOf(input.inventory, input.lab, end.node) !== null,
    );
    const real = running && live.every((view) => view !== null);
    const differences = ids.map((id) => plan.interface(id));
    wires.push({
      ...wire,
      ends,
      presence: real ? 'real' : 'wanted',
      difference: pending(
        differences.find((difference) => difference === 'add' || difference === 'remove') ?? null,
        real,
      ),
      carrier: real ? live.every((view) => view?.carrier !== false) : null,
    });
  };
  links.forEach((link, index) => {
    const [first, second] = link.endpoints.map(parseEndpoint);
    if (first === undefined || second === undefined) return;
    if (!(first.node in nodes) || !(second.node in nodes)) return;
    const tunnel = link.type === 'tunnel';
    const underlay =
      tunnel && input.document !== null
        ? underlayOf(input.document, [first.node, second.node], link.underlay)
        : nothingBelow;
    join([first, second], {
      id: `link:${index}`,
      index,
      kind: tunnel ? 'tunnel' : link.type === 'patch' ? 'patch' : 'veth',
      underlay,
    });
  });
  for (const overlay of input.document === null ? [] : overlaysOf(input.document)) {
    const [one, other] = overlay.ends;
    if (peers.has(endId(one)) || peers.has(endId(other))) continue;
    join(overlay.ends, {
      id: `overlay:${endId(one)}|${endId(other)}`,
      index: null,
      kind: 'overlay',
      underlay: overlay.underlay,
    });
  }
  return { wires, peers };
}
