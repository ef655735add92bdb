/**
 * Interfaces that are taken down and brought up on purpose, to see what a lab makes of it. Only the kernel is changed;
 * what differs from the document then is drift as any other, and a plan takes it back.
 */
import type { LabDocument } from '../api/document.ts';
import type { InterfaceState, InterfaceStateChange } from '../api/interface-state.ts';
import { labOfMark } from '../api/names.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { foreignFailure, linkLabel, missingFailure } from '../apply/doors.ts';
import type { InventoryTracker } from '../inventory/tracker.ts';
import { isErrno } from '../kernel/kernel-failure.ts';
import { getLink, setLink } from '../kernel/links.ts';
import type { RequestSocket } from '../kernel/netlink-socket.ts';
import type { Link } from '../kernel/rtnetlink.ts';
import { linkKey, type Network, type NetworkLink, networkOf } from '../lab/network.ts';

export interface InterfaceStatesOptions {
  readonly tracker: Pick<InventoryTracker, 'namespaceHandle'>;
  /** Document in force of a lab that is up. */
  readonly inForce: (lab: string) => Result<LabDocument>;
  /** Runs something that changes the kernel while no transaction does; fails while one runs. */
  readonly exclusively: (lab: string, action: () => Result<void>) => Promise<Result<void>>;
  /** Resolves when the transaction that runs now has ended. */
  readonly idle: () => Promise<void>;
}

/** A link that is to be set back, the very one: a plan may have made it anew meanwhile. */
interface Pending {
  readonly change: InterfaceStateChange;
  readonly index: number;
  readonly timer: NodeJS.Timeout;
}

export class InterfaceStates {
  private readonly options: InterfaceStatesOptions;
  /** By lab, node and interface. */
  private readonly pending = new Map<string, Pending>();

  constructor(options: InterfaceStatesOptions) {
    this.options = options;
  }

  /**
   * Fails with `unknown-object` for what the document in force does not have or the kernel does not, `name-taken` for
   * what is not the lab's, `refused` when it bears an uplink's addresses or it is in that state already and `busy` during a transaction.
   */
  async set(change: InterfaceStateChange): Promise<Result<void>> {
    const { lab, state, forMilliseconds } = change;
    return this.options.exclusively(lab, () => {
      const found = this.find(change);
      if (!found.ok) return found;
      const { socket, link, label, uplink } = found.value;
      if (uplink !== null && (state === 'down' || forMilliseconds !== null)) {
        return fail(bearsUplink(label, uplink));
      }
      if (link.up === (state === 'up')) return fail(alreadyThere(label, state));
      const set = setLink(socket, link.index, { up: state === 'up' }, label);
      if (!set.ok) return set;
      // Whoever sets it now says how it is to stay.
      this.forget(keyOf(change));
      if (forMilliseconds !== null) {
        const timer = setTimeout(() => void this.setBack(change), forMilliseconds);
        timer.unref();
        this.pending.set(keyOf(change), { change, index: link.index, timer });
      }
      return succeed(undefined);
    });
  }

  /** Sets back at once what waits for it. */
  async close(): Promise<void> {
    await Promise.all([...this.pending.values()].map(({ change }) => this.setBack(change)));
  }

  private async setBack(change: InterfaceStateChange): Promise<void> {
    const { lab } = change;
    for (;;) {
      const pending = this.pending.get(keyOf(change));
      if (pending?.change !== change) return;
      clearTimeout(pending.timer);
      const done = await this.options.exclusively(lab, () => {
        this.forget(keyOf(change));
        const found = this.find(change);
        // The lab is down, the interface gone or another one: nothing is left to set back.
        if (!found.ok || found.value.link.index !== pending.index) return succeed(undefined);
        const { socket, link, label } = found.value;
        return setLink(socket, link.index, { up: change.state !== 'up' }, label);
      });
      // What cannot be set back is drift, which the lab shows by itself.
      if (done.ok || done.failure.kind !== 'busy') return;
      await this.options.idle();
    }
  }

  private forget(key: string): void {
    clearTimeout(this.pending.get(key)?.timer);
    this.pending.delete(key);
  }

  private find(change: InterfaceStateChange): Result<{
    readonly socket: RequestSocket;
    readonly link: Link;
    readonly label: string;
    /** Of a bridge: the interface, not the lab's, whose addresses it bears. */
    readonly uplink: string | null;
  }> {
    const { lab, node, interface: name } = change;
    const document = this.options.inForce(lab);
    if (!document.ok) return document;
    if (!Object.hasOwn(document.value.topology.nodes, node)) return fail(unknownNode(lab, node));
    const network = networkOf(document.value);
    const wanted = linkOf(network, node, name);
    if (wanted === null) return fail(unknownInterface(node, name));
    const label = linkLabel(wanted.namespace, name);
    const place = this.options.tracker.namespaceHandle(wanted.namespace);
    if (!place.ok) return fail(missingFailure(label));
    const { socket } = place.value;
    const link = getLink(socket, { name });
    if (!link.ok) return isErrno(link.failure, 'ENODEV') ? fail(missingFailure(label)) : link;
    // The kernel finds alternative names too; those belong to something else.
    if (link.value.name !== name) return fail(missingFailure(label));
    // Without a mark it is still the one that the document lists; the mark of another lab says whose it is.
    const mark = labOfMark(link.value.alias ?? null);
    if (mark !== null && mark !== lab) return fail(foreignFailure(lab, label));
    const uplink = network.uplinks.get(linkKey(wanted.namespace, name)) ?? null;
    return succeed({ socket, link: link.value, label, uplink });
  }
}

function keyOf({ lab, node, interface: name }: InterfaceStateChange): string {
  return `${lab}/${node}/${name}`;
}

function linkOf(network: Network, node: string, name: string): NetworkLink | null {
  for (const link of network.links.values()) {
    if (link.node === node && link.name === name) return link;
  }
  return null;
}

export function unknownNode(lab: string, node: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-node',
    object: `${lab}:${node}`,
    reason: `Lab ${lab} has no node ${node}.`,
    next: 'Name one of its nodes.',
    values: { lab, node },
  };
}

export function unknownInterface(node: string, name: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-interface',
    object: `${node}:${name}`,
    reason: `${node} has no interface ${name}.`,
    next: 'Name an interface of the node, as the lab that is up has it.',
    values: { node, interface: name },
  };
}

/** A plan that could cut a person off has a deadline; this has none. */
function bearsUplink(label: string, uplink: string): Failure {
  return {
    kind: 'refused',
    code: 'interface-bears-uplink',
    object: label,
    reason: `${label} bears the addresses of ${uplink}: whoever works through it would be cut off.`,
    next: 'Change its state in the document; the plan then waits for a confirmation.',
    values: { uplink },
  };
}

function alreadyThere(label: string, state: InterfaceState): Failure {
  return {
    kind: 'refused',
    code: state === 'up' ? 'interface-is-up' : 'interface-is-down',
    object: label,
    reason: `${label} is ${state} already.`,
    next: state === 'up' ? 'Nothing needs to be done.' : 'Bring it up first.',
  };
}
