/** What the picture shows of a node beside its interfaces. */
import {
  type BridgeNode,
  type LabDocument,
  type LinkView,
  type NamespaceView,
  type OvsBridgeNode,
  type VirtualMachineNode,
} from '../../../../agent/api/index.ts';
import { forwardingOf, interfacesOf, type MachineRun, programOf } from '../../live.ts';
import { foreignInterface, liveAddresses, plainFacts } from './interface-facts.ts';
import { type KernelView } from './kernel-view.ts';
import { type Nodes, type SceneInterface, type SceneNode } from './scene.ts';

export const plainNode = { router: false, nat: 0, filter: false, root: false, runs: [] } as const;

/** The uplink of a bridge where the lab does not make it; one of the lab's own is drawn with its namespace. */
export function uplinkOf(
  kernel: KernelView,
  document: LabDocument,
  name: string,
  node: BridgeNode | OvsBridgeNode,
  drawn: Set<string>,
): readonly SceneInterface[] {
  const { uplink, namespace } = node;
  if (uplink === undefined) return [];
  const own = namespace === undefined ? [] : interfacesOf(document, namespace);
  if (own.some((each) => each.name === uplink)) return [];
  const links = kernel.links(namespace === undefined ? kernel.root : kernel.namespace(namespace));
  const live = links.find((link) => link.name === uplink);
  if (live !== undefined) return [{ ...foreignInterface(live, drawn), device: null, uplink: true }];
  const absent: SceneInterface = {
    id: `${name}:${uplink}`,
    name: uplink,
    address: null,
    moreAddresses: 0,
    presence: 'wanted',
    difference: null,
    drifted: false,
    up: null,
    peer: null,
    ...plainFacts,
    uplink: true,
  };
  return [absent];
}

/** A link of a bridge that the document puts into this namespace is drawn with that bridge. */
export function isPartOfBridge(
  document: LabDocument | null,
  namespace: string,
  link: LinkView,
): boolean {
  return Object.entries(document?.topology.nodes ?? {}).some(([name, node]) => {
    if (node.kind !== 'bridge' && node.kind !== 'ovs-bridge') return false;
    if (node.namespace !== namespace) return false;
    if (name === link.name) return true;
    // The userspace datapath is no master of its ports.
    return node.kind === 'bridge'
      ? link.master !== null
      : document !== null && interfacesOf(document, name).some((each) => each.name === link.name);
  });
}

export function nodeFacts(
  node: Nodes[string],
  namespace: NamespaceView | null,
): Pick<SceneNode, 'router' | 'nat' | 'filter' | 'runs'> {
  if (node.kind !== 'namespace') return { router: false, nat: 0, filter: false, runs: [] };
  const forwarding = namespace?.forwarding ?? forwardingOf(node.forwarding);
  return {
    router: forwarding.ipv4 || forwarding.ipv6,
    nat: node.nat?.length ?? 0,
    filter: Object.keys(node.filter ?? {}).length > 0,
    runs: (node.run ?? []).map((run) => ({
      name: run.name,
      running: namespace === null ? null : namespace.runs.some((each) => each.name === run.name),
    })),
  };
}

/** What carries a machine, and its size. */
export function machineLine(
  { memory, cpus }: VirtualMachineNode,
  run: MachineRun | null,
  started: boolean,
): SceneNode['runs'][number] {
  const virtualized = run?.virtualized ?? null;
  const carrier = virtualized === null ? 'QEMU' : virtualized ? 'QEMU KVM' : 'QEMU TCG';
  const name = [carrier, `${memory ?? 128} MiB`, ...(cpus === undefined ? [] : [`${cpus} CPU`])];
  return { name: name.join(' · '), running: run === null && !started ? null : run !== null };
}

export function bridgeState(node: Nodes[string]): { readonly state?: 'up' | 'down' | undefined } {
  return 'state' in node ? { state: node.state } : {};
}

export function bridgeNote(wanted: readonly string[], live: LinkView | null): string | null {
  const addresses = live === null ? wanted : liveAddresses(live, wanted);
  return addresses.length === 0 ? null : addresses.join(' · ');
}

export function processNote(namespace: NamespaceView | null): string | null {
  if (namespace === null || namespace.processCount === 0) return null;
  const commands = [...new Set(namespace.processes.map((process) => programOf(process.command)))];
  return commands.slice(0, 3).join(' · ') + (commands.length > 3 ? ' …' : '');
}
