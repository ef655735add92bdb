/** The way of a packet on the drawing: bridges, ports and wires that a trace goes by, and where it goes on. Pure. */
import {
  type LabDocument,
  type OpenFlowTrace,
  type OvsVlan,
  parseEndpoint,
} from '../../../agent/api/index.ts';
import { interfaceSettingsOf } from '../document/node-kinds.ts';
import { wantedOvsVlan } from '../ovs-view.ts';
import { fieldOf } from './packet.ts';

/** What one Open vSwitch said of the packet, which came to it by a wire from another. */
export interface TracedRun {
  /** Bridge that the question was asked of. */
  readonly node: string;
  readonly trace: OpenFlowTrace;
  /** The port that it left an earlier one by, and the interface that it came in by, `NODE:NAME`; null for the first. */
  readonly from: string | null;
  readonly by: string | null;
}

/** What is lit. Interfaces are `NODE:INTERFACE`, as the drawing calls them. */
export interface TraceLight {
  readonly nodes: ReadonlySet<string>;
  readonly entered: ReadonlySet<string>;
  readonly left: ReadonlySet<string>;
}

export const noLight: TraceLight = { nodes: new Set(), entered: new Set(), left: new Set() };

export function lightOf(runs: readonly TracedRun[]): TraceLight {
  const nodes = new Set<string>();
  const entered = new Set<string>();
  const left = new Set<string>();
  for (const { trace, by } of runs) {
    // A member of a bond, where the switch speaks of the bond.
    if (by !== null) entered.add(by);
    for (const step of trace.steps) {
      nodes.add(step.bridge);
      if (step.inPort !== null) entered.add(`${step.bridge}:${step.inPort}`);
      for (const port of step.outPorts) left.add(`${step.bridge}:${port}`);
    }
    for (const { bridge, port, member } of trace.result.outputs) {
      left.add(`${bridge}:${port}`);
      if (member !== undefined) left.add(`${bridge}:${member}`);
    }
  }
  return { nodes, entered, left };
}

interface End {
  readonly node: string;
  readonly interface: string;
}

/**
 * Where what leaves by a port comes to: the other end of its wire, or of its tunnel, where that is a port of an Open
 * vSwitch bridge too. `tunnels` are pairs of ports that point at each other.
 */
export function beyond(
  document: LabDocument,
  tunnels: readonly (readonly [End, End])[],
  end: End,
): End | null {
  const at = `${end.node}:${end.interface}`;
  for (const link of document.topology.links ?? []) {
    const index = link.endpoints.indexOf(at);
    const far = index < 0 ? undefined : link.endpoints[1 - index];
    if (far === undefined || link.type === 'patch') continue;
    const found = parseEndpoint(far);
    return document.topology.nodes[found.node]?.kind === 'ovs-bridge' ? found : null;
  }
  for (const [one, other] of tunnels) {
    if (`${one.node}:${one.interface}` === at) return ovsEnd(document, other);
    if (`${other.node}:${other.interface}` === at) return ovsEnd(document, one);
  }
  return null;
}

function ovsEnd(document: LabDocument, end: End): End | null {
  return document.topology.nodes[end.node]?.kind === 'ovs-bridge' ? end : null;
}

/** The VLAN settings of a port, or of the bond that it is a member of. */
function vlanAt(document: LabDocument, { node, interface: name }: End): OvsVlan {
  const all = interfaceSettingsOf(document.topology.nodes[node]);
  const bond = Object.values(all).find(
    (settings) =>
      settings.kind === 'bond' && (settings.members ?? []).some((member) => member === name),
  );
  return wantedOvsVlan(bond ?? all[name] ?? {});
}

/**
 * The tag that a packet bears on the wire beyond a port, where nothing but the settings of ports decides: they give it a
 * VLAN where it comes in, and take the tag away where it leaves. `steps` are those of its trace.
 */
export function tagBeyond(
  document: LabDocument,
  packet: string,
  steps: OpenFlowTrace['steps'],
  leavesBy: End,
): number | null {
  const chain: OpenFlowTrace['steps'] = [];
  let at = steps.findIndex((step) => step.bridge === leavesBy.node);
  while (at >= 0) {
    const step = steps[at];
    if (step === undefined || chain.includes(step)) break;
    chain.unshift(step);
    at = step.from ?? -1;
  }
  const own = fieldOf(packet, 'dl_vlan');
  let vlan = own !== null && /^\d+$/.test(own) ? Number(own) : null;
  for (const step of chain) {
    if (step.inPort === null) continue;
    const port = vlanAt(document, { node: step.bridge, interface: step.inPort });
    // An access port gives its VLAN to all, a native one to what comes without a tag.
    if (port.mode === 'access' || vlan === null) vlan = port.tag;
  }
  const out = vlanAt(document, leavesBy);
  if (vlan === null || out.mode === 'access') return null;
  return out.mode === 'native-untagged' && out.tag === vlan ? null : vlan;
}
