/** The plan of a lab: what it comes to, and the order in which its parts (`plan-*.ts`, a subject each) are drawn up. */
import type { OpenFlowTables } from '../api/ovs.ts';
import type { PlanConfirm, PlanStep, Warning } from '../api/plan.ts';
import type { Failure } from '../api/result.ts';
import type { CommandContext } from './command.ts';
import { parentOf } from './device.ts';
import { internetInterface, keyOf, linkKey, type Network, networkOf } from './network.ts';
import { observe } from './observed.ts';
import type { Operation } from './operation.ts';
import { physicalPortsOf, problemOfPhysicalPort } from './physical-port.ts';
import { LinkAdder } from './plan-additions.ts';
import { AddressPlanner } from './plan-addresses.ts';
import { LinkChanger } from './plan-changes.ts';
import { LinkContents } from './plan-contents.ts';
import { planCpu } from './plan-cpu.ts';
import { PlanDraft } from './plan-draft.ts';
import type { PlanInput } from './plan-input.ts';
import { LinkSorter } from './plan-links.ts';
import { LinkMtus } from './plan-mtus.ts';
import { NamespacePlanner, type SortedNamespaces } from './plan-namespaces.ts';
import { type OvsPhase, planSwitches } from './plan-ovs.ts';
import { planProcesses } from './plan-processes.ts';
import { LinkRemover } from './plan-removals.ts';
import { RoutePlanner } from './plan-routes.ts';
import { LinkStates } from './plan-states.ts';
import { UplinkPlanner } from './plan-uplinks.ts';
import { requirementsOf } from './requirements.ts';
import { failureOf } from './sentences.ts';
import { drawingOf, stepOf } from './step.ts';
import { WantedLinks } from './wanted-links.ts';

export interface LabPlan {
  readonly operations: readonly Operation[];
  /** One for each operation, in the same order. */
  readonly steps: readonly PlanStep[];
  readonly warnings: readonly Warning[];
  /** Not empty: nothing may be applied, and there are no operations. */
  readonly refusals: readonly Failure[];
  /** Null when nothing in it can cut anyone off. */
  readonly confirm: PlanConfirm | null;
  /** Interfaces with the only way out of their namespace, which the plan moves. */
  readonly onlyWays: readonly string[];
}

/**
 * The operations that lead from what is observed to what is wanted, in an order that a kernel accepts.
 *
 * What the kernel does by itself along the way is planned for, so that every inverse is exact:
 * - a link that goes down loses its IPv6 addresses (addrconf_ifdown) and all routes through it (fib_sync_down_dev);
 *   so does one whose MTU falls below 1280, as to IPv6;
 * - a link that loses its last IPv4 address loses its IPv4 routes (fib_disable_ip);
 * - an IPv4 address takes the later ones of its subnet with it (__inet_del_ifa, unless promote_secondaries is set);
 * - a bridge follows the smallest MTU of its ports until its own is set after creation (br_mtu_auto_adjust);
 * - a link that joins or leaves a VRF is cycled (cycle_netdev); one that leaves a bond goes down and gets back the MTU and
 *   MAC that it had before, one that joins a bond must be down, takes the bond's and comes up (bond_enslave);
 * - a device goes with the link below it; a VLAN device also goes down and comes up with it, and like a macvlan shrinks
 *   with it (vlan_device_event, macvlan_device_event).
 * Addresses and routes that would vanish so, on the way there or back, are removed first and added again, as operations of their own.
 */
export function planLab(input: PlanInput): LabPlan {
  const desired = input.desired === null ? emptyNetwork : networkOf(input.desired);
  const base = input.base === null ? null : networkOf(input.base);
  const observed = observe(
    input.inventory,
    (name) => desired.namespaces.has(name) || base?.namespaces.has(name) === true,
  );
  const draft = new PlanDraft(input, desired, base, observed);
  const ofNetwork = drawUp(draft);
  refuseWhatIsLacking(draft);
  warnOfBridgeFilter(draft);
  refuseInternet(draft);
  const cpu = planCpu(input, desired.processes);
  draft.refusals.push(...cpu.refusals);
  const refused = draft.refusals.length > 0;
  const operations = cpu.weave(ofNetwork);
  const drawing = drawingOf(desired, base);
  const context = { ...contextOf(draft, operations), ...cpu.context };
  return {
    operations: refused ? [] : operations,
    steps: refused
      ? []
      : operations.map((operation, id) => stepOf(operation, id, drawing, context)),
    warnings: draft.warnings,
    refusals: draft.refusals,
    confirm: refused ? null : draft.confirm,
    onlyWays: draft.onlyWays,
  };
}

/** The operations, in their order. Every part relies on what the parts before it have found. */
function drawUp(draft: PlanDraft): readonly Operation[] {
  const wanted = new WantedLinks(draft.desired);
  const states = new LinkStates(draft, wanted);
  const uplinks = new UplinkPlanner(draft);
  const contents = new LinkContents(draft, uplinks);
  const namespaces = new NamespacePlanner(draft, contents);

  const sortedNamespaces = namespaces.sort();
  const sorter = new LinkSorter(draft, new LinkMtus(draft, wanted, states, uplinks));
  const { veths, bridges, devices, internals } = sorter.sort();
  // Anew, now that it is known which ports stay.
  const mtus = new LinkMtus(draft, wanted, states, uplinks);
  sorter.refuseTaken();
  uplinks.detach();
  uplinks.attach();
  if (draft.refusals.length > 0) return [];

  planProcesses(draft);
  const remover = new LinkRemover(draft, uplinks, contents);
  for (const device of devices) remover.removeDevice(device);
  for (const link of internals) remover.emptyInternal(link);
  checkPhysicalPorts(draft);
  planSwitchesOf(draft, sortedNamespaces);
  for (const pair of veths) remover.removeVeth(pair);
  for (const bridge of bridges) remover.removeBridge(bridge);
  for (const name of sortedNamespaces.removed) namespaces.remove(name);
  namespaces.add(sortedNamespaces.kept);

  const adder = new LinkAdder(draft, wanted);
  const changer = new LinkChanger(draft, wanted, states, mtus);
  adder.add();
  for (const link of wanted.inOrderOfParents()) {
    const kept = draft.kept.get(keyOf(link));
    if (kept !== undefined) changer.change(kept);
  }
  for (const link of [...wanted.inOrderOfParents()].reverse()) mtus.shrink(link);
  for (const link of wanted.inOrderOfMtus()) {
    if (link.kind === 'bridge') mtus.settleBridge(link);
    else if (parentOf(link.device) === null) continue;
    else if (draft.kept.has(keyOf(link))) mtus.grow(link);
    else adder.addDevice(link, 'settle-mtus');
  }

  const addresses = new AddressPlanner(draft, states, mtus, uplinks);
  for (const link of draft.kept.values()) addresses.change(link);
  for (const link of draft.desired.links.values()) {
    if (draft.kept.has(keyOf(link))) continue;
    for (const address of link.addresses) addresses.add(link, address);
  }
  states.settle();
  for (const link of draft.desired.links.values()) changer.planExtras(link);

  const routes = new RoutePlanner(draft, states, addresses, uplinks);
  for (const name of draft.desired.namespaces.keys()) {
    routes.plan(name);
    namespaces.planExtras(name, sortedNamespaces.kept.has(name));
  }
  namespaces.planInternet();
  return draft.operations();
}

/** What `plan-ovs.ts` needs to know of a draft. */
function planSwitchesOf(draft: PlanDraft, { kept, removed }: SortedNamespaces): void {
  planSwitches({
    desired: draft.desired,
    base: draft.base,
    observed: draft.observed,
    sorted: draft.switches,
    removedNamespaces: new Set(removed),
    keptNamespaces: kept,
    isGoing: (key) => draft.removedKeys.has(key),
    openFlow: draft.input.openFlow ?? new Map<string, OpenFlowTables>(),
    usesSystemEngine: draft.input.realmEngine === 'system',
    offersKernelDatapath: draft.input.lackOf?.('datapath:system') === null,
    push: (phase: OvsPhase, operation) => {
      draft.push(phase, operation);
    },
    warn: (code, object, values) => {
      draft.warn(code, object, values);
    },
    refuse: (code, object, values) => {
      draft.refusals.push(failureOf('unsupported', code, object, values));
    },
  });
}

function checkPhysicalPorts(draft: PlanDraft): void {
  for (const port of physicalPortsOf(draft.desired)) {
    const { owner, name } = port;
    const label = `${owner.node}:${name}`;
    const problem = problemOfPhysicalPort(port, draft.observed, draft.lab);
    if (problem !== null) {
      draft.refusals.push(failureOf(problem.kind, problem.code, label, problem.values));
    } else if (draft.observed.links.get(linkKey(owner.namespace, name))?.view.up === false) {
      draft.warn('physical-port-down', label, { interface: name });
    }
  }
}

function refuseWhatIsLacking({ input, desired, refusals }: PlanDraft): void {
  for (const { capability, object } of requirementsOf(desired)) {
    const reason = input.lackOf?.(capability) ?? null;
    if (reason === null) continue;
    const values = { capability, object, reason: reason.replace(/\.$/, '') };
    refusals.push(failureOf('unsupported', 'kernel-lacks', object, values));
  }
}

function warnOfBridgeFilter(draft: PlanDraft): void {
  const chain = draft.input.bridgedDrop ?? null;
  if (chain === null) return;
  for (const { kind, namespace, name } of draft.desired.links.values()) {
    if (kind !== 'bridge' || namespace !== null) continue;
    draft.warn('bridge-filtered', name, { name, chain });
  }
}

/** The way out is the person's to open, before anything is applied. */
function refuseInternet({ input, desired, observed, refusals }: PlanDraft): void {
  const { internet } = input;
  if (desired.internet === null || internet === 'allowed') return;
  const { node } = desired.internet;
  if (internet === 'host') {
    refusals.push(failureOf('refused', 'internet-in-host', node, { node }));
  } else if (!observed.links.has(linkKey(null, internetInterface))) {
    refusals.push(failureOf('not-allowed', 'internet-not-allowed', node, { node }));
  }
}

const emptyNetwork: Network = {
  namespaces: new Map(),
  links: new Map(),
  pairs: [],
  routes: new Map(),
  processes: [],
  uplinks: new Map(),
  switches: new Map(),
  engines: new Set(),
  internet: null,
};

/** A pair may be made in the realm's own namespace, as the notes do, if neither name is or will be there. */
function contextOf(
  { input, desired, base, observed }: PlanDraft,
  operations: readonly Operation[],
): CommandContext {
  const uses = new Map<string, number>();
  for (const link of desired.links.values()) uses.set(link.name, (uses.get(link.name) ?? 0) + 1);
  return {
    isFreeInRealm: (name) =>
      (uses.get(name) ?? 0) <= 1 &&
      !observed.links.has(linkKey(null, name)) &&
      !desired.links.has(linkKey(null, name)),
    usesSystemEngine: input.realmEngine === 'system',
    datapathAt: (namespace) => {
      for (const operation of operations) {
        const { kind } = operation;
        if (kind === 'start-engine' && operation.namespace === namespace) return operation.datapath;
      }
      const isSystem = namespace === null && input.realmEngine === 'system';
      return observed.engines.get(namespace)?.datapath ?? (isSystem ? 'system' : 'netdev');
    },
    switchAt: (namespace, name) => {
      const key = linkKey(namespace, name);
      return (desired.switches.get(key) ?? base?.switches.get(key))?.bridge;
    },
    peerAt: (namespace, name) => {
      const peer = desired.links.get(linkKey(namespace, name))?.peer;
      return peer === undefined || peer === null ? undefined : desired.links.get(peer);
    },
  };
}
