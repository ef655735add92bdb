/** What exists in the realm: first a snapshot, then deltas. */
import { type FSWatcher, watch } from 'node:fs';
import { setImmediate } from 'node:timers';
import { equalData } from '../api/equal-data.ts';
import type { Inventory, InventoryDelta } from '../api/inventory.ts';
import type { OvsEngineView } from '../api/ovs.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import {
  closeNamespace,
  homeNamespace,
  inodeOf,
  type NamespaceHandle,
  namespaceDirectory,
  openNamespacePath,
  runIn,
} from '../kernel/namespaces.ts';
import type { RequestSocket } from '../kernel/netlink-socket.ts';
import { type Link } from '../kernel/rtnetlink.ts';
import { type FoundRun, type RunRule, RunScan } from '../kernel/runs.ts';
import { linkId, viewLink, viewNamespace, viewRoutes } from './assemble.ts';
import { ContainerNames } from './containers.ts';
import { PublishedInventory } from './diff.ts';
import { joinHolders, MountScan, type NamespaceHolders, ProcessScan } from './holders.ts';
import { NamespaceMonitor } from './namespace-monitor.ts';
import { findTunHolders, tapsOfSwitches, tunHolderViews } from './tun-holders.ts';
import { type WireEnd, WireTable } from './wires.ts';

export interface InventoryTrackerOptions {
  /** Bytes of each event socket's receive buffer; by default what the kernel module chooses. */
  readonly receiveBufferSize?: number | undefined;
  /** Told of what could not be read; the tracker goes on and tries again. */
  readonly onFailure?: ((failure: Failure) => void) | undefined;
  /** Whether a lab's processes may be in the realm's own namespace; true unless said otherwise. */
  readonly runsAtHome?: boolean | undefined;
  /** Whose processes count as runs; anybody's by default. */
  readonly runRule?: RunRule | undefined;
  /** The realm's Open vSwitches; none by default. */
  readonly engines?: EngineSource | undefined;
}

export interface EngineSource {
  /** What is known of them now. `idOf` gives the id of a namespace by its name, null for the realm's own. */
  views(idOf: (namespace: string | null) => string | undefined): readonly OvsEngineView[];
  /** Calls back when they may be different. */
  watch(listener: () => void): void;
}

/** For executors and checks. Both belong to the tracker and live as long as it knows the namespace: do not close. */
export interface TrackedNamespace {
  /** As the inventory has it. */
  readonly id: string;
  /** Descriptor of the namespace, for `runIn` and for moving links. */
  readonly fd: number;
  readonly socket: RequestSocket;
}

export interface ObservedNamespace extends TrackedNamespace {
  /** As people know it; null for the realm's own. */
  readonly title: string | null;
  /** As last read, by index. */
  readonly links: ReadonlyMap<number, Link>;
}

/** Milliseconds between two deltas at least. */
const deltaInterval = 30;
/** The same while a burst of changes is announced with `expectBurst`. */
const burstInterval = 250;
/** Milliseconds between two looks at names, mounts and processes, when nothing hints at a change. */
const scanInterval = 1000;
/** A look takes at most this part of the time, unless it is longer than this (ms) ago. */
const scanShare = 100;
const longestScanInterval = 5000;
/** Hints of changes lead to looks this far apart at least, and ten times as far as one takes. */
const hintedScanInterval = 10;
/** Milliseconds during which a file in /run/netns without a namespace is looked at again quickly. */
const mountPatience = 500;
/** Links read again in each scan because changes to them may come without an event. */
const sweptLinks = 100;
/** Namespaces whose rules are looked at in each scan. */
const sweptRules = 50;
/** Looks until a namespace that could not be entered is tried again. */
const refusedScans = 30;

export class InventoryTracker {
  private readonly options: InventoryTrackerOptions;
  private readonly home: number;
  private readonly monitors = new Map<number, NamespaceMonitor>();
  private readonly dirty = new Set<NamespaceMonitor>();
  /** Namespaces whose own view (names, processes, lab) may be different. */
  private readonly dirtyViews = new Set<NamespaceMonitor>();
  /** Links whose view may be different although nothing of them was read: reread for the wires. */
  private readonly dirtyLinks = new Map<NamespaceMonitor, Set<number>>();
  /** What was let go since the last delta. */
  private detached: { readonly namespace: string; readonly links: readonly string[] }[] = [];
  private readonly published = new PublishedInventory();
  private readonly wires: WireTable;
  private readonly mounts = new MountScan();
  private readonly processes = new ProcessScan();
  private readonly runScan: RunScan;
  /** By the inode of their namespace. */
  private runs: ReadonlyMap<number, readonly FoundRun[]> = new Map();
  private rulePosition = 0;
  private readonly containers = new ContainerNames();
  private readonly containerOf = new Map<
    number,
    { readonly pid: number; readonly name: string | null }
  >();
  private readonly listeners = new Set<(delta: InventoryDelta) => void>();
  /** Inodes that could not be opened as network namespaces, with the look after which to try again. */
  private readonly refused = new Map<number, number>();
  private holders = new Map<number, NamespaceHolders>();
  private directoryWatch: FSWatcher | undefined;
  /** Device and inode of the directory that `directoryWatch` is on. */
  private watchedDirectory: string | undefined;
  private flushTimer: NodeJS.Timeout | undefined;
  private flushSoon: NodeJS.Immediate | undefined;
  private flushDue = Infinity;
  private lastFlush = -Infinity;
  private scanTimer: NodeJS.Timeout | undefined;
  private scanDue = Infinity;
  private lastScan = -Infinity;
  /** Milliseconds of processor time that the last look took. */
  private scanCost = 0;
  private scanCount = 0;
  private incompleteSince: number | undefined;
  private sweepPosition = 0;
  private bursts = 0;
  /** Who holds taps and tuns is to be looked up with the next flush, after the links are read. */
  private tunHoldersDue = false;
  private enginesDue = false;
  private publishedEngines: ReadonlySet<string> = new Set();
  private closed = false;

  private constructor(options: InventoryTrackerOptions, home: number) {
    this.options = options;
    this.home = home;
    this.runScan = new RunScan(options.runRule);
    this.wires = new WireTable({
      identify: (namespace, other) => {
        const from = this.monitors.get(Number(namespace));
        const to = this.monitors.get(Number(other));
        return from === undefined || to === undefined ? undefined : from.identify(to);
      },
      reread: (namespace, index) => {
        const monitor = this.monitors.get(Number(namespace));
        if (monitor === undefined) return undefined;
        const link = monitor.rereadLink(index);
        if (monitor.dirty) this.dirty.add(monitor);
        if (link === undefined) return undefined;
        this.markLink(monitor, index);
        return wireEnd(monitor, link);
      },
    });
  }

  /** Fails when the realm's own namespace cannot be read; namespaces that vanish meanwhile are left out. */
  static open(options: InventoryTrackerOptions = {}): Promise<Result<InventoryTracker>> {
    const own = openNamespacePath(`/proc/self/fd/${homeNamespace()}`, "the realm's namespace");
    if (!own.ok) return Promise.resolve(own);
    const home = inodeOf(own.value.identity);
    const tracker = new InventoryTracker(options, home);
    options.engines?.watch(() => {
      tracker.enginesDue = true;
      tracker.requestFlush(0);
    });
    const attached = tracker.attach(home, own.value);
    if (!attached.ok) {
      tracker.close();
      return Promise.resolve(attached);
    }
    tracker.refresh();
    return Promise.resolve(succeed(tracker));
  }

  /** What listeners were told so far, all deltas applied. */
  snapshot(): Inventory {
    return this.published.snapshot();
  }

  /**
   * Reads everything again, before it returns: names, mounts, processes and every namespace. Listeners get the
   * difference in the same call. To be used before planning and after applying.
   */
  refresh(): void {
    if (this.closed) return;
    this.scan(true);
    for (const monitor of this.monitors.values()) {
      monitor.drain();
      monitor.markEverything();
      this.dirty.add(monitor);
    }
    this.tunHoldersDue = true;
    this.enginesDue = true;
    this.flush();
  }

  /** Deltas from now on, each with the sequence that follows the one before. At most one in 30 ms, but for `refresh`. */
  onDelta(listener: (delta: InventoryDelta) => void): Disposable {
    this.listeners.add(listener);
    return {
      [Symbol.dispose]: () => {
        this.listeners.delete(listener);
      },
    };
  }

  /**
   * Many changes are about to be made: until this is disposed of, deltas come at most four times a second, so that a
   * namespace is not read again after each of its changes. `refresh` reads at once as ever.
   */
  expectBurst(): Disposable {
    this.bursts += 1;
    let open = true;
    return {
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        this.bursts -= 1;
        this.requestFlush(0);
        this.requestScan(0);
      },
    };
  }

  /**
   * Descriptor and request socket of a named namespace, or with null of the realm's own. One that was made a moment
   * ago is taken in at once. Fails with `unknown-object` when there is no such name.
   */
  namespaceHandle(name: string | null): Result<TrackedNamespace> {
    if (name === null) return this.trackedNamespace(this.monitors.get(this.home), 'realm');
    const path = `${namespaceDirectory}/${name}`;
    const inode = name.includes('/') ? undefined : this.mounts.inodeOf(path);
    if (inode === undefined) return unknownNamespace(name);
    const known = this.monitors.get(inode);
    if (known !== undefined) return this.trackedNamespace(known, name);
    const handle = openDetached(path, `namespace ${name}`);
    if (!handle.ok) return unknownNamespace(name);
    const monitor = this.attach(inodeOf(handle.value.identity), handle.value);
    if (!monitor.ok) return monitor;
    monitor.value.names = [name];
    this.requestScan(0);
    return this.trackedNamespace(monitor.value, name);
  }

  /** The namespace of this id; undefined when it is gone. */
  observed(id: string): ObservedNamespace | undefined {
    const monitor = this.monitors.get(Number(id));
    return monitor === undefined ? undefined : observedOf(monitor);
  }

  /** All namespaces that are known. */
  observedNamespaces(): readonly ObservedNamespace[] {
    return Array.from(this.monitors.values(), observedOf);
  }

  /** Times that a namespace's events were lost and it was read anew, for health and tests. */
  get overruns(): number {
    let count = 0;
    for (const monitor of this.monitors.values()) count += monitor.overruns;
    return count;
  }

  /** Releases all namespaces. May be called more than once. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.scanTimer);
    clearTimeout(this.flushTimer);
    clearImmediate(this.flushSoon);
    this.directoryWatch?.close();
    this.listeners.clear();
    for (const monitor of this.monitors.values()) monitor.close();
    this.monitors.clear();
  }

  private trackedNamespace(
    monitor: NamespaceMonitor | undefined,
    name: string,
  ): Result<TrackedNamespace> {
    if (monitor === undefined) return unknownNamespace(name);
    return succeed({ id: monitor.id, fd: monitor.fd, socket: monitor.socket });
  }

  private report(failure: Failure): void {
    this.options.onFailure?.(failure);
  }

  /** Begins to observe; what is in it is read with the next flush. Takes the handle over. */
  private attach(inode: number, handle: NamespaceHandle): Result<NamespaceMonitor> {
    const monitor = NamespaceMonitor.open(inode, handle, {
      root: inode === this.home,
      receiveBufferSize: this.options.receiveBufferSize,
      onDirty: (dirty) => {
        this.dirty.add(dirty);
        this.requestFlush(0);
      },
      onFailure: (failure) => {
        this.report(failure);
      },
    });
    if (!monitor.ok) return monitor;
    this.monitors.set(inode, monitor.value);
    this.dirty.add(monitor.value);
    this.dirtyViews.add(monitor.value);
    this.requestFlush(0);
    return monitor;
  }

  /** Ends the observation: closing our descriptors lets the namespace go. */
  private detach(monitor: NamespaceMonitor): void {
    const links = Array.from(monitor.links.keys(), (index) => linkId(monitor.id, index));
    for (const id of links) this.wires.remove(id);
    this.wires.removeNamespace(monitor.id);
    this.detached.push({ namespace: monitor.id, links });
    this.dirty.delete(monitor);
    this.dirtyViews.delete(monitor);
    this.dirtyLinks.delete(monitor);
    this.containerOf.delete(monitor.inode);
    this.monitors.delete(monitor.inode);
    monitor.close();
    this.requestFlush(0);
  }

  private markLink(monitor: NamespaceMonitor, index: number): void {
    const links = this.dirtyLinks.get(monitor);
    if (links === undefined) this.dirtyLinks.set(monitor, new Set([index]));
    else links.add(index);
  }

  private requestFlush(delay: number): void {
    if (this.closed) return;
    const now = performance.now();
    const interval = this.bursts > 0 ? burstInterval : deltaInterval;
    const due = Math.max(now + delay, this.lastFlush + interval);
    if (due >= this.flushDue) return;
    this.flushDue = due;
    clearTimeout(this.flushTimer);
    clearImmediate(this.flushSoon);
    // Not at once: what other sockets have queued in this turn belongs together.
    if (due <= now) {
      this.flushSoon = setImmediate(() => {
        this.flush();
      });
      this.flushSoon.unref();
    } else {
      this.flushTimer = setTimeout(() => {
        this.flush();
      }, due - now);
      this.flushTimer.unref();
    }
  }

  /** Reads what is marked, joins the wires and tells the listeners. */
  private flush(): void {
    if (this.closed) return;
    clearTimeout(this.flushTimer);
    clearImmediate(this.flushSoon);
    this.flushDue = Infinity;
    const now = performance.now();
    const routes = new Set<NamespaceMonitor>();
    const reading = [...this.dirty];
    this.dirty.clear();
    for (const monitor of reading) {
      if ((monitor.delay(now) ?? 1) > 0) {
        if (monitor.dirty) this.dirty.add(monitor);
        continue;
      }
      const changes = monitor.read(now);
      for (const index of changes.removed) {
        const id = linkId(monitor.id, index);
        this.wires.remove(id);
        this.published.removeLink(id);
      }
      for (const index of changes.links) {
        const link = monitor.links.get(index);
        if (link === undefined) continue;
        this.markLink(monitor, index);
        if (link.kind === 'veth') this.wires.put(wireEnd(monitor, link));
        else this.wires.remove(linkId(monitor.id, index));
        // The lab's mark of a namespace is that of its `lo`.
        if (link.loopback) this.dirtyViews.add(monitor);
      }
      if (changes.routes) routes.add(monitor);
      if (changes.rules || changes.forwarding) this.dirtyViews.add(monitor);
      if (changes.tuns && !this.tunHoldersDue) this.requestScan(0);
      if (monitor.dirty) this.dirty.add(monitor);
    }
    const rewired = this.wires.settle();
    for (const id of rewired) {
      const [namespace, index] = id.split('/');
      const monitor = this.monitors.get(Number(namespace));
      if (monitor !== undefined) this.markLink(monitor, Number(index));
    }
    if (this.tunHoldersDue) this.lookForTunHolders();
    if (this.detached.length > 0) this.enginesDue = true;
    this.publish(routes);
    this.lastFlush = performance.now();
    const delays = Array.from(this.dirty, (monitor) => monitor.delay(this.lastFlush) ?? 0);
    if (this.wires.unsettled) delays.push(deltaInterval);
    if (delays.length > 0) this.requestFlush(Math.min(...delays));
  }

  /** Nothing but a look at all open files tells who has a tap or tun open; where no other is than a switch's own, nobody looks. */
  private lookForTunHolders(): void {
    this.tunHoldersDue = false;
    const monitors = [...this.monitors.values()];
    const made = tapsOfSwitches(this.published.engineViews());
    const isMade = new Set(made.map(({ namespace, name }) => `${namespace ?? ''}/${name}`));
    const present = monitors.some(({ id, links }) =>
      [...links.values()].some(({ kind, name }) => kind === 'tun' && !isMade.has(`${id}/${name}`)),
    );
    const found = present ? [...made, ...findTunHolders()] : made;
    for (const monitor of monitors) {
      const holders = tunHolderViews(monitor, found, monitors, (pids) =>
        this.processes.views(pids),
      );
      for (const index of new Set([...monitor.holders.keys(), ...holders.keys()])) {
        this.markLink(monitor, index);
      }
      monitor.holders = holders;
    }
  }

  private publish(routes: ReadonlySet<NamespaceMonitor>): void {
    for (const { namespace, links } of this.detached) {
      for (const id of links) this.published.removeLink(id);
      this.published.removeNamespace(namespace);
    }
    this.detached = [];
    for (const monitor of this.dirtyViews) this.published.putNamespace(viewNamespace(monitor));
    this.dirtyViews.clear();
    for (const [monitor, indices] of this.dirtyLinks) {
      for (const index of indices) {
        const link = monitor.links.get(index);
        const id = linkId(monitor.id, index);
        if (link === undefined) this.published.removeLink(id);
        else this.published.putLink(viewLink(monitor, link, this.wires.peerOf(id)));
      }
    }
    this.dirtyLinks.clear();
    for (const monitor of routes) this.published.putRoutes(viewRoutes(monitor));
    this.publishEngines();
    const delta = this.published.take();
    if (delta === null) return;
    for (const listener of [...this.listeners]) listener(delta);
  }

  private publishEngines(): void {
    const { engines } = this.options;
    if (engines === undefined || !this.enginesDue) return;
    this.enginesDue = false;
    const ids = new Map<string, string>();
    for (const { names, id } of this.monitors.values()) for (const name of names) ids.set(name, id);
    const home = this.monitors.get(this.home)?.id;
    const views = engines.views((name) => (name === null ? home : ids.get(name)));
    const known = new Set(views.map(({ namespace }) => namespace));
    for (const namespace of this.publishedEngines) {
      if (!known.has(namespace)) this.published.removeEngine(namespace);
    }
    for (const view of views) this.published.putEngine(view);
    this.publishedEngines = known;
  }

  private requestScan(delay: number): void {
    if (this.closed) return;
    const now = performance.now();
    const hinted = this.bursts > 0 ? burstInterval : hintedScanInterval;
    const pause = Math.max(hinted, this.scanCost * 10);
    const due = Math.max(now + delay, this.lastScan + pause);
    if (due >= this.scanDue) return;
    this.scanDue = due;
    clearTimeout(this.scanTimer);
    this.scanTimer = setTimeout(
      () => {
        this.scan(false);
      },
      Math.max(0, due - now),
    );
    this.scanTimer.unref();
  }

  /** Looks which namespaces there are, and at links whose changes may have come without an event. */
  private scan(whole: boolean): void {
    // Processor time: on a busy machine the clock would make looks rare.
    const before = process.cpuUsage();
    clearTimeout(this.scanTimer);
    this.scanDue = Infinity;
    this.scanCount += 1;
    this.watchDirectory();
    this.mounts.scan();
    this.processes.scan(whole);
    const processes = this.processes.byNamespace();
    this.holders = joinHolders(this.mounts, processes);
    // On a machine most processes are in the realm's own namespace, and no lab is up there.
    if (this.options.runsAtHome === false) processes.delete(this.home);
    this.runs = this.runScan.find(processes);
    // Within `refresh` the links are read first.
    if (!whole) this.lookForTunHolders();
    const { user, system } = process.cpuUsage(before);
    this.scanCost = (user + system) / 1000;
    for (const monitor of this.monitors.values()) {
      if (!monitor.root && !this.holders.has(monitor.inode)) this.detach(monitor);
    }
    for (const inode of this.refused.keys()) {
      if (!this.holders.has(inode)) this.refused.delete(inode);
    }
    for (const holders of this.holders.values()) {
      const monitor = this.monitors.get(holders.inode) ?? this.discover(holders);
      if (monitor !== undefined) this.updateHolders(monitor, holders);
    }
    if (!whole) this.sweep();
    const pending =
      this.dirty.size + this.dirtyViews.size + this.dirtyLinks.size + this.detached.length;
    if (pending > 0) this.requestFlush(0);
    this.lastScan = performance.now();
    this.requestScan(this.nextScan());
  }

  /** Milliseconds until the next look. */
  private nextScan(): number {
    const usual = Math.min(longestScanInterval, Math.max(scanInterval, this.scanCost * scanShare));
    if (!this.mounts.incomplete) {
      this.incompleteSince = undefined;
      return usual;
    }
    // `ip netns add` makes the file first and mounts the namespace on it afterwards.
    this.incompleteSince ??= this.lastScan;
    const waited = this.lastScan - this.incompleteSince;
    return waited < mountPatience ? Math.max(hintedScanInterval, waited / 2) : usual;
  }

  private discover(holders: NamespaceHolders): NamespaceMonitor | undefined {
    const retry = this.refused.get(holders.inode);
    if (retry !== undefined && this.scanCount < retry) return undefined;
    this.refused.delete(holders.inode);
    const [name] = holders.names;
    const paths = [
      ...(name === undefined ? [] : [`${namespaceDirectory}/${name}`]),
      ...holders.mounts.slice(0, 1),
      ...holders.pids.slice(0, 3).map((pid) => `/proc/${pid}/ns/net`),
    ];
    for (const path of paths) {
      const handle = openDetached(path, `namespace ${name ?? holders.inode}`);
      if (!handle.ok) continue;
      const inode = inodeOf(handle.value.identity);
      if (inode !== holders.inode) {
        // Another one by now: its own turn comes.
        closeNamespace(handle.value);
        continue;
      }
      const monitor = this.attach(inode, handle.value);
      if (monitor.ok) return monitor.value;
      this.report(monitor.failure);
    }
    // Not a network namespace, not ours to enter, or gone: no hurry to try again.
    this.refused.set(holders.inode, this.scanCount + refusedScans);
    return undefined;
  }

  private updateHolders(monitor: NamespaceMonitor, holders: NamespaceHolders): void {
    const processes = this.processes.views(holders.pids);
    const container = monitor.root ? null : this.containerNameOf(holders);
    const runs = (this.runs.get(holders.inode) ?? [])
      // A process may have left the namespace of its node for another.
      .filter(({ namespace }) =>
        namespace === null ? monitor.root : holders.names.includes(namespace),
      )
      .map(({ lab, name, pid, command, uid }) => ({
        ...{ lab, name, pid, command },
        ...(uid === undefined ? {} : { uid }),
      }));
    if (
      monitor.processCount === holders.pids.length &&
      monitor.container === container &&
      equalData(monitor.names, holders.names) &&
      equalData(monitor.mounts, holders.mounts) &&
      equalData(monitor.processes, processes) &&
      equalData(monitor.runs, runs)
    ) {
      return;
    }
    monitor.names = holders.names;
    monitor.mounts = holders.mounts;
    monitor.processes = processes;
    monitor.processCount = holders.pids.length;
    monitor.container = container;
    monitor.runs = runs;
    this.dirtyViews.add(monitor);
  }

  /** Asked again when another process is the first. */
  private containerNameOf(holders: NamespaceHolders): string | null {
    const [pid] = holders.pids;
    if (pid === undefined) return null;
    const known = this.containerOf.get(holders.inode);
    if (known?.pid === pid) return known.name;
    const name = this.containers.nameOf(holders.pids);
    this.containerOf.set(holders.inode, { pid, name });
    return name;
  }

  /**
   * The kernel announces most changes of a link only while it is up (netdev_state_change), and a bridge's settings not
   * always: such links are read again, a bounded number in each turn.
   */
  private sweep(): void {
    const silent: (readonly [NamespaceMonitor, number])[] = [];
    for (const monitor of this.monitors.values()) {
      for (const link of monitor.links.values()) {
        if (!link.up || link.bridge !== undefined) silent.push([monitor, link.index]);
      }
    }
    const count = Math.min(sweptLinks, silent.length);
    for (let step = 0; step < count; step += 1) {
      const [monitor, index] = silent[(this.sweepPosition + step) % silent.length] ?? [];
      if (monitor === undefined || index === undefined) continue;
      monitor.markLink(index);
      this.dirty.add(monitor);
    }
    const monitors = [...this.monitors.values()];
    for (let step = 0; step < Math.min(sweptRules, monitors.length); step += 1) {
      const monitor = monitors[(this.rulePosition + step) % monitors.length];
      if (monitor?.readRules() === true) this.dirtyViews.add(monitor);
    }
    this.rulePosition += sweptRules;
    this.sweepPosition = silent.length === 0 ? 0 : (this.sweepPosition + count) % silent.length;
  }

  /** Names that come and go are heard at once, as soon as there is a directory for them. */
  private watchDirectory(): void {
    const directory = this.mounts.directoryIdentity();
    if (directory === this.watchedDirectory) return;
    this.directoryWatch?.close();
    this.directoryWatch = undefined;
    this.watchedDirectory = undefined;
    if (directory === undefined) return;
    try {
      const watcher = watch(namespaceDirectory, { persistent: false }, () => {
        this.requestScan(0);
      });
      watcher.on('error', () => {
        this.watchedDirectory = undefined;
      });
      this.directoryWatch = watcher;
      this.watchedDirectory = directory;
    } catch {
      // Gone again, or no watch is left: the regular looks find names too.
    }
  }
}

/**
 * Opens a namespace without holding what it was found by: a descriptor opened through a bind mount would keep that
 * mount busy for `umount`. The one of /proc belongs to the kernel's own mount of nsfs.
 */
function openDetached(path: string, object: string): Result<NamespaceHandle> {
  const found = openNamespacePath(path, object);
  if (!found.ok) return found;
  const inside = runIn(found.value.fd, () => openNamespacePath('/proc/thread-self/ns/net', object));
  closeNamespace(found.value);
  return inside.ok ? inside.value : inside;
}

function observedOf(monitor: NamespaceMonitor): ObservedNamespace {
  const { id, fd, socket, links, names, container, root } = monitor;
  const title = root ? null : (names[0] ?? container ?? `net:[${id}]`);
  return { id, fd, socket, links, title };
}

function wireEnd(monitor: NamespaceMonitor, link: Link): WireEnd {
  // Older kernels leave IFLA_LINK out when both ends have the same index in different namespaces.
  const sameIndex = link.linkNamespaceId === undefined ? undefined : link.index;
  return {
    namespace: monitor.id,
    index: link.index,
    link: link.link ?? sameIndex,
    linkNamespaceId: link.linkNamespaceId,
  };
}

function unknownNamespace(name: string): { readonly ok: false; readonly failure: Failure } {
  return fail({
    kind: 'unknown-object',
    code: 'unknown-namespace',
    object: name.slice(0, 512),
    reason: `There is no network namespace named ${name.slice(0, 100)}.`,
    next: 'Refresh the view: it may have been removed in the meantime.',
  });
}
