/**
 * One namespace under observation: its sockets, and what was last read from it.
 *
 * Events only say where to look again. State comes from answers of the kernel alone, so neither the order of events nor
 * what they leave out matters: the first event of a veth lacks its other end, RTM_DELLINK of family AF_BRIDGE means that
 * a port left its bridge, and IPv4 routes that go with their link or address are announced by nobody (fib_sync_down_dev).
 */
import type { ProcessView, RunView } from '../api/inventory.ts';
import type { VlanEntry } from '../api/device.ts';
import type { Failure, Result } from '../api/result.ts';
import { succeed } from '../api/result.ts';
import { listAddresses } from '../kernel/addresses.ts';
import { listVlans } from '../kernel/bridge-vlans.ts';
import { type Forwarding, readForwarding } from '../kernel/forwarding.ts';
import { isErrno } from '../kernel/kernel-failure.ts';
import { getLink, listLinks, namespaceIdOf } from '../kernel/links.ts';
import { closeNamespace, type NamespaceHandle } from '../kernel/namespaces.ts';
import { EventSocket, type NetlinkEvent, RequestSocket } from '../kernel/netlink-socket.ts';
import { RuleReader } from '../kernel/nftables.ts';
import { listQueueing, type RootQueueing } from '../kernel/queueing.ts';
import { listRoutes } from '../kernel/routes.ts';
import { type Address, type Link, type Route, RT_TABLE_MAIN } from '../kernel/rtnetlink.ts';
import { addressKey, hasVlanTable, type NamespaceState } from './assemble.ts';

export interface MonitorOptions {
  readonly root: boolean;
  /** Bytes; the event socket's own choice without it. */
  readonly receiveBufferSize?: number | undefined;
  /** There is something to read again. */
  readonly onDirty: (monitor: NamespaceMonitor) => void;
  readonly onFailure: (failure: Failure) => void;
}

/** What a `read` found. */
export interface MonitorChanges {
  /** Indices of links that were read or whose addresses were: perhaps different from before. */
  readonly links: ReadonlySet<number>;
  readonly removed: ReadonlySet<number>;
  readonly routes: boolean;
  readonly rules: boolean;
  readonly forwarding: boolean;
  /** A tap or tun has come, or gained or lost its carrier: another process may hold it. */
  readonly tuns: boolean;
}

/** A table so large that reading it takes longer (ms) is read less often: at most this share of the time. */
const quickRead = 5;
const routeShare = 20;
/** Milliseconds until what could not be read is tried again. */
const retryDelay = 1000;
/** What IFLA_QDISC says of a link at whose root nobody can have set anything. */
const noQueueing: ReadonlySet<string | undefined> = new Set([undefined, 'noqueue', 'noop']);
/** Above this many links to read again, one dump is cheaper. */
const fewLinks = 16;

export class NamespaceMonitor implements NamespaceState {
  readonly id: string;
  readonly inode: number;
  readonly root: boolean;
  readonly fd: number;
  readonly socket: RequestSocket;
  names: readonly string[] = [];
  mounts: readonly string[] = [];
  container: string | null = null;
  processes: readonly ProcessView[] = [];
  processCount = 0;
  runs: readonly RunView[] = [];
  rules: string | null = null;
  forwarding: Forwarding = { ipv4: false, ipv6: false };
  links = new Map<number, Link>();
  addresses = new Map<number, ReadonlyMap<string, Address>>();
  routes: readonly Route[] = [];
  queueing: ReadonlyMap<number, RootQueueing> = new Map();
  vlans: ReadonlyMap<number, readonly VlanEntry[]> = new Map();
  holders: ReadonlyMap<number, readonly ProcessView[]> = new Map();
  /** Times that events were lost and everything was read again. */
  overruns = 0;

  private readonly ruleReader = new RuleReader();
  private readonly handle: NamespaceHandle;
  private readonly options: MonitorOptions;
  private events: EventSocket | undefined;
  private readonly dirtyLinks = new Set<number>();
  private readonly dirtyAddresses = new Set<number>();
  private everythingDirty = true;
  private routesDirty = true;
  private queueingDirty = false;
  private vlansDirty = false;
  /** Every change of it is heard (inet_forward_change, addrconf_fixup_forwarding), or its loss is. */
  private forwardingDirty = true;
  private tunsChanged = false;
  private routesNotBefore = 0;
  private retryAt = 0;
  private closed = false;

  private constructor(
    inode: number,
    handle: NamespaceHandle,
    socket: RequestSocket,
    options: MonitorOptions,
  ) {
    this.id = String(inode);
    this.inode = inode;
    this.root = options.root;
    this.fd = handle.fd;
    this.socket = socket;
    this.handle = handle;
    this.options = options;
  }

  /** Takes the handle over, also when it fails. Nothing is read yet. */
  static open(
    inode: number,
    handle: NamespaceHandle,
    options: MonitorOptions,
  ): Result<NamespaceMonitor> {
    const socket = RequestSocket.open(handle.fd, `namespace ${inode}`);
    if (!socket.ok) {
      closeNamespace(handle);
      return socket;
    }
    const monitor = new NamespaceMonitor(inode, handle, socket.value, options);
    const listening = monitor.listen();
    if (!listening.ok) {
      monitor.close();
      return listening;
    }
    return succeed(monitor);
  }

  /** Releases the namespace. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.events?.close();
    this.socket.close();
    closeNamespace(this.handle);
  }

  get dirty(): boolean {
    return this.routesDirty || this.dirtyBesidesRoutes;
  }

  private get dirtyBesidesRoutes(): boolean {
    return (
      this.everythingDirty ||
      this.queueingDirty ||
      this.vlansDirty ||
      this.forwardingDirty ||
      this.dirtyLinks.size > 0 ||
      this.dirtyAddresses.size > 0
    );
  }

  markEverything(): void {
    this.everythingDirty = true;
    this.routesNotBefore = 0;
  }

  markLink(index: number): void {
    this.dirtyLinks.add(index);
  }

  /** Takes in what is queued, so that it does not lead to a further read afterwards. */
  drain(): void {
    this.events?.drain();
  }

  /** Milliseconds until `read` should be called; undefined when there is nothing to read. */
  delay(now: number): number | undefined {
    if (!this.dirty) return undefined;
    return Math.max(
      0,
      (!this.dirtyBesidesRoutes ? this.routesNotBefore : 0) - now,
      this.retryAt - now,
    );
  }

  /** Id of another namespace as seen from this one; undefined while it has none. */
  identify(other: NamespaceMonitor): number | undefined {
    const id = namespaceIdOf(this.socket, other.fd);
    return id.ok ? id.value : undefined;
  }

  /** Reads one link again, at once. */
  rereadLink(index: number): Link | undefined {
    const link = getLink(this.socket, { index });
    if (!link.ok) {
      this.dirtyLinks.add(index);
      return undefined;
    }
    this.keepLink(link.value);
    return link.value;
  }

  /** Reads what is marked. What cannot be read stays marked and is tried at the next occasion. */
  read(now: number): MonitorChanges {
    const changed = new Set<number>();
    const removed = new Set<number>();
    const all = this.everythingDirty;
    const links = new Set(this.dirtyLinks);
    this.everythingDirty = false;
    this.dirtyLinks.clear();
    if (all || (links.size > fewLinks && links.size > this.links.size / 4)) {
      this.readLinks(changed, removed);
    } else {
      for (const index of links) this.readLink(index, changed, removed);
    }
    const addresses = new Set(this.dirtyAddresses);
    this.dirtyAddresses.clear();
    if (all || addresses.size > fewLinks) this.readAddresses(undefined, changed);
    else for (const index of addresses) this.readAddresses(index, changed);
    if (all) {
      this.routesDirty = true;
      this.vlansDirty = true;
      // IFLA_QDISC of the links just read says where a dump can find anything.
      this.queueingDirty ||= this.queueing.size > 0 || this.mayHaveQueueing();
    }
    if (this.queueingDirty) this.readQueueing(changed);
    if (this.vlansDirty) this.readVlans(changed);
    const forwarding = this.forwardingDirty && this.readForwarding();
    const tuns = this.tunsChanged;
    this.tunsChanged = false;
    const routes = this.routesDirty && now >= this.routesNotBefore && this.readRoutes();
    const rules = all && this.readRules();
    return { links: changed, removed, routes, rules, forwarding, tuns };
  }

  /** Looks at our nftables table, of whose changes no event here tells; true when it is another. */
  readRules(): boolean {
    const rules = this.ruleReader.read(this.fd);
    if (!rules.ok) {
      this.options.onFailure(rules.failure);
      return false;
    }
    if (rules.value === this.rules) return false;
    this.rules = rules.value;
    return true;
  }

  private listen(): Result<void> {
    const events = EventSocket.open(
      {
        namespaceFd: this.handle.fd,
        groups: ['link', 'address', 'route', 'queueing', 'forwarding'],
        receiveBufferSize: this.options.receiveBufferSize,
        onEvents: (list) => {
          for (const event of list) this.hear(event);
          if (this.dirty) this.options.onDirty(this);
        },
        onOverrun: () => {
          this.overruns += 1;
          this.everythingDirty = true;
          this.forwardingDirty = true;
          this.options.onDirty(this);
        },
        onFailure: (failure) => {
          this.options.onFailure(failure);
          this.events = undefined;
          const again = this.listen();
          if (!again.ok) this.options.onFailure(again.failure);
          this.everythingDirty = true;
          this.forwardingDirty = true;
          this.options.onDirty(this);
        },
      },
      `events of namespace ${this.inode}`,
    );
    if (!events.ok) return events;
    this.events = events.value;
    return succeed(undefined);
  }

  private hear({ message }: NetlinkEvent): void {
    switch (message.kind) {
      case 'link':
        this.dirtyLinks.add(message.link.index);
        // A message of family AF_BRIDGE is how a change of a VLAN table is told.
        this.vlansDirty = true;
        break;
      case 'queueing':
        this.queueingDirty = true;
        break;
      case 'forwarding':
        this.forwardingDirty = true;
        break;
      case 'address':
        this.dirtyAddresses.add(message.address.interfaceIndex);
        this.routesDirty = true;
        break;
      case 'route':
        if (message.route.table === RT_TABLE_MAIN && !message.route.cloned) this.routesDirty = true;
        break;
      case 'namespace-id':
        break;
    }
  }

  /** Says it, and waits a moment before the next try. */
  private reportFailure(failure: Failure): void {
    this.retryAt = performance.now() + retryDelay;
    this.options.onFailure(failure);
  }

  private keepLink(link: Link): void {
    const old = this.links.get(link.index);
    if (old === undefined || old.up !== link.up || old.lowerUp !== link.lowerUp) {
      this.routesDirty = true;
      // IPv6 addresses come and go with the link; so do those of a link whose index is used again.
      this.dirtyAddresses.add(link.index);
    }
    if (old?.queueingDiscipline !== link.queueingDiscipline) {
      const kinds = [old?.queueingDiscipline, link.queueingDiscipline];
      if (kinds.some((kind) => !noQueueing.has(kind))) this.queueingDirty = true;
    }
    if (
      (link.bridge !== undefined || link.bridgePort !== undefined) &&
      (old === undefined || old.master !== link.master)
    ) {
      this.vlansDirty = true;
    }
    if (
      link.kind === 'tun' &&
      (old?.kind !== 'tun' || old.carrier !== link.carrier || old.lowerUp !== link.lowerUp)
    ) {
      this.tunsChanged = true;
    }
    this.links.set(link.index, link);
  }

  private hasVlanTables(): boolean {
    for (const link of this.links.values()) {
      if (link.bridge !== undefined && hasVlanTable(this, link)) return true;
    }
    return false;
  }

  private mayHaveQueueing(): boolean {
    for (const link of this.links.values()) {
      if (!noQueueing.has(link.queueingDiscipline)) return true;
    }
    return false;
  }

  private readQueueing(changed: Set<number>): void {
    const list = listQueueing(this.socket);
    if (!list.ok) {
      this.reportFailure(list.failure);
      return;
    }
    this.queueingDirty = false;
    for (const index of [...this.queueing.keys(), ...list.value.keys()]) changed.add(index);
    this.queueing = list.value;
  }

  /** Where there is no table, nothing is asked. */
  private readVlans(changed: Set<number>): void {
    const list = this.hasVlanTables() ? listVlans(this.socket) : succeed(new Map<number, never>());
    if (!list.ok) {
      this.reportFailure(list.failure);
      return;
    }
    this.vlansDirty = false;
    for (const index of [...this.vlans.keys(), ...list.value.keys()]) changed.add(index);
    this.vlans = list.value;
  }

  /** True when it is another than before. */
  private readForwarding(): boolean {
    const read = readForwarding(this.socket);
    if (!read.ok) {
      this.reportFailure(read.failure);
      return false;
    }
    this.forwardingDirty = false;
    const { ipv4, ipv6 } = this.forwarding;
    this.forwarding = read.value;
    return ipv4 !== read.value.ipv4 || ipv6 !== read.value.ipv6;
  }

  private dropLink(index: number, removed: Set<number>): void {
    if (!this.links.delete(index)) return;
    this.addresses.delete(index);
    this.routesDirty = true;
    removed.add(index);
  }

  private readLinks(changed: Set<number>, removed: Set<number>): void {
    const list = listLinks(this.socket);
    if (!list.ok) {
      this.everythingDirty = true;
      this.reportFailure(list.failure);
      return;
    }
    const gone = new Set(this.links.keys());
    for (const link of list.value) {
      gone.delete(link.index);
      this.keepLink(link);
      changed.add(link.index);
    }
    for (const index of gone) this.dropLink(index, removed);
  }

  private readLink(index: number, changed: Set<number>, removed: Set<number>): void {
    const link = getLink(this.socket, { index });
    if (link.ok) {
      this.keepLink(link.value);
      changed.add(index);
    } else if (isErrno(link.failure, 'ENODEV')) {
      this.dropLink(index, removed);
    } else {
      this.dirtyLinks.add(index);
      this.reportFailure(link.failure);
    }
  }

  /** Addresses of one link, or of all. */
  private readAddresses(index: number | undefined, changed: Set<number>): void {
    const list = listAddresses(this.socket, { interfaceIndex: index });
    if (!list.ok) {
      // The link is gone, and its own event says so.
      if (index !== undefined && isErrno(list.failure, 'ENODEV')) {
        this.addresses.delete(index);
        return;
      }
      if (index === undefined) this.everythingDirty = true;
      else this.dirtyAddresses.add(index);
      this.reportFailure(list.failure);
      return;
    }
    const found = new Map<number, Map<string, Address>>();
    for (const address of list.value) {
      const known = found.get(address.interfaceIndex);
      if (known === undefined) {
        found.set(address.interfaceIndex, new Map([[addressKey(address), address]]));
      } else {
        known.set(addressKey(address), address);
      }
    }
    if (index === undefined) {
      for (const link of [...this.addresses.keys(), ...found.keys()]) changed.add(link);
      this.addresses = found;
      this.dirtyAddresses.clear();
      return;
    }
    changed.add(index);
    const addresses = found.get(index);
    if (addresses === undefined) this.addresses.delete(index);
    else this.addresses.set(index, addresses);
    this.dirtyAddresses.delete(index);
  }

  private readRoutes(): boolean {
    const start = performance.now();
    const list = listRoutes(this.socket);
    if (!list.ok) {
      this.reportFailure(list.failure);
      return false;
    }
    const end = performance.now();
    this.routesNotBefore = end - start > quickRead ? end + (end - start) * routeShare : 0;
    this.routesDirty = false;
    this.routes = list.value;
    return true;
  }
}
