/** Carries operations out on the kernel. Synchronous: a request and its answer are one system call each. */
import { constants, mkdirSync, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Device } from '../api/device.ts';
import { ownershipMark, ownershipProtocol } from '../api/names.ts';
import type { OvsBridge, OvsInterface } from '../api/ovs.ts';
import { assertNever, fail, type Failure, type Result, succeed } from '../api/result.ts';
import { addAddress, deleteAddress } from '../kernel/addresses.ts';
import { changeVlans } from '../kernel/bridge-vlans.ts';
import { attachTun, createDevice } from '../kernel/devices.ts';
import { finishChecksums } from '../kernel/checksums.ts';
import { writeForwarding } from '../kernel/forwarding.ts';
import { parseIpPrefix } from '../kernel/ip-address.ts';
import { isErrno } from '../kernel/kernel-failure.ts';
import {
  createBridge,
  createVeth,
  deleteLink,
  deleteLinkGroup,
  groupLinks,
  setBridgePort,
  setLink,
} from '../kernel/links.ts';
import type { Cgroups } from '../kernel/cgroups.ts';
import { createNamespace, removeNamespace } from '../kernel/namespaces.ts';
import { closeDescriptor } from '../kernel/native.ts';
import { readProcess } from '../kernel/process-table.ts';
import { findPerson, nobodyUid, type Person } from '../kernel/person.ts';
import { writeRules } from '../kernel/nftables.ts';
import { setImpairment } from '../kernel/queueing.ts';
import { addRoute, deleteRoute } from '../kernel/routes.ts';
import type { Link, LinkChange } from '../kernel/rtnetlink.ts';
import {
  type RunIdentity,
  type RunOrder,
  type RunReplacement,
  type RunRule,
  startRun,
  stopRun,
} from '../kernel/runs.ts';
import { writeSettings } from '../kernel/sysctl.ts';
import { udpPortsAround } from '../kernel/udp-sockets.ts';
import { consoleSocketOf, machineOfProcess } from '../lab/virtual-machine.ts';
import { isCollector, portsInCommand } from '../lab/collector.ts';
import { type CpuHolderOperation, isHolderOperation } from '../cpu/operation.ts';
import { isCpuOperation } from '../lab/operation.ts';
import type {
  CpuOperation,
  EngineOperation,
  LinkSettings,
  Operation,
  Route,
  VethEnd,
} from '../lab/operation.ts';
import { failureOf } from '../lab/sentences.ts';
import { relayOf, relayOnDescriptor } from '../lab/tunnel.ts';
import {
  type Door,
  Doors,
  foreignFailure,
  linkLabel,
  type Listed,
  missingFailure,
  type NamespaceName,
  ownIndex,
} from './doors.ts';
import { storageFailure } from './durable-file.ts';
import { PeerDoors } from './peer-doors.ts';
import { prepareMachine } from './guest-system.ts';
import type { Effect, ExecutionFailure, OperationExecutor, Tolerance } from './executor.ts';
import {
  carryOutOnGroups,
  carryOutOnHolder,
  type FindProcesses,
  moveAll,
  readEffectOnGroups,
  readEffectOnHolder,
} from './cpu-groups.ts';
import { findRun, isUntouched, readEffect } from './read-back.ts';
import { isEngineOperation, readEngineEffect } from './read-engine.ts';
import type { SwitchEngines } from './switch-engines.ts';
import { moveUplink } from './uplink.ts';

/**
 * Takes bridged frames out of the firewall's hands in the namespace behind the descriptor: it is on in a fresh one
 * where br_netfilter is loaded, and a forward policy of drop would then cut a bridge.
 */
export function releaseBridgeNetfilter(namespaceFd: number): Result<void> {
  const written = writeSettings(namespaceFd, bridgeNetfilterOff, { optional: true });
  return written.ok ? succeed(undefined) : written;
}

const bridgeNetfilterOff: Readonly<Record<string, string>> = {
  'bridge/bridge-nf-call-iptables': '0',
  'bridge/bridge-nf-call-ip6tables': '0',
  'bridge/bridge-nf-call-arptables': '0',
};

/**
 * What root may do in a node that a person's processes are to do as well, and which hurts nobody outside it: serve at any
 * port, and ping. Both settings are the namespace's own (Documentation/networking/ip-sysctl.rst).
 */
const forPeople: Readonly<Record<string, string>> = {
  'ipv4/ip_unprivileged_port_start': '0',
  'ipv4/ping_group_range': '0 2147483647',
};

type PrepareRemoval = (namespace: string) => Promise<void>;

/** How long a collector may take until it listens. */
const collectorMilliseconds = 10_000;
const collectorPollMilliseconds = 20;

type ProcessOperation = Extract<Operation, { kind: 'start-process' | 'stop-process' }>;

/** As whom the processes of a lab run. */
export type RunsAs =
  /** As the agent's user: in a sandbox, where that is the person and there is nobody else. */
  | { readonly kind: 'agent' }
  /**
   * As the person who applies, on the host, where the agent is root; null when nobody does, as in a recovery, which
   * only gives back what was somebody's.
   */
  | { readonly kind: 'person'; readonly uid: number | null };

export function runRuleOf(runsAs: RunsAs): RunRule {
  return runsAs.kind === 'agent' ? 'any' : 'confined';
}

export interface ExecutorOptions {
  readonly lab: string;
  /** What the document in force lists. */
  readonly isListed: Listed;
  /** Waited for before a namespace goes. */
  readonly onRemoval: PrepareRemoval;
  /** Directory for what the lab's processes print. */
  readonly logDirectory: string;
  /** The agent by default. */
  readonly runsAs?: RunsAs | undefined;
  readonly engines: SwitchEngines;
  /** Bundle of `agent/collector.ts`; beside the agent's own by default. */
  readonly collectorProgram?: string | undefined;
  /** The lab's CPU groups; without them it can have none. */
  readonly cgroups?: Cgroups | null | undefined;
}

type BridgeOperation = Extract<Operation, { kind: 'change-ovs-bridge' }>;

export class KernelExecutor implements OperationExecutor {
  private readonly doors: Doors;
  private readonly options: ExecutorOptions;
  private readonly runsAs: RunsAs;
  /** People that were looked up, by uid. */
  private readonly people = new Map<number, Result<Person>>();
  private begun = false;
  /** What the process that is next is started as. */
  private ready: Result<readonly string[]> | null = null;
  /** The collector that was started last. */
  private collectorPid: number | null = null;

  constructor(options: ExecutorOptions) {
    this.options = options;
    this.runsAs = options.runsAs ?? { kind: 'agent' };
    this.doors = new Doors(options.lab, options.isListed, runRuleOf(this.runsAs));
  }

  /** Changes of bridges that follow each other in one database are one transaction of it. */
  groupAt(operations: readonly Operation[], index: number): number {
    const first = operations[index];
    if (first?.kind !== 'change-ovs-bridge') return 1;
    let end = index + 1;
    for (; end < operations.length; end += 1) {
      const next = operations[end];
      if (next?.kind !== 'change-ovs-bridge' || next.namespace !== first.namespace) break;
    }
    return end - index;
  }

  execute(
    group: readonly Operation[],
    tolerance: Tolerance,
    midway: () => Failure | null,
  ): ExecutionFailure | null | Promise<ExecutionFailure | null> {
    this.begun = false;
    const [operation] = group;
    if (operation === undefined) return null;
    if (isEngineOperation(operation)) return this.executeOnEngine(group, operation, midway);
    if (isHolderOperation(operation)) return this.executeOnHolder(operation);
    const result = this.carryOut(operation, tolerance, midway);
    return result.ok ? null : { failure: result.failure, begun: this.begun };
  }

  readBack(operation: Operation): Result<Effect> | Promise<Result<Effect>> {
    return isEngineOperation(operation)
      ? readEngineEffect(this.options.engines, this.options.lab, operation)
      : isCpuOperation(operation)
        ? this.readOnGroups(operation)
        : this.readOnKernel(operation);
  }

  private readOnGroups(operation: CpuOperation): Result<Effect> {
    const groups = this.options.cgroups ?? null;
    return isHolderOperation(operation)
      ? readEffectOnHolder(groups, operation)
      : readEffectOnGroups(groups, operation, this.findProcesses);
  }

  /** A run is there when it is in its CPU group too. */
  private readOnKernel(
    operation: Exclude<Operation, EngineOperation | CpuOperation>,
  ): Result<Effect> {
    const effect = readEffect(this.doors, operation);
    if (!effect.ok || effect.value !== 'done') return effect;
    if (operation.kind !== 'start-process' || operation.group === undefined) return effect;
    const { cgroups } = this.options;
    const [first] = this.findProcesses(operation);
    if (cgroups === undefined || cgroups === null || first === undefined) return effect;
    return succeed(cgroups.groupOf(first) === operation.group ? 'done' : 'not-done');
  }

  private readonly findProcesses: FindProcesses = ({ namespace, name }) => {
    const door = this.doors.open(namespace);
    if (!door.ok) return [];
    const run = findRun(this.doors, door.value, name);
    return run?.pids ?? [];
  };

  async prepare(operation: Operation): Promise<void> {
    if (operation.kind === 'remove-namespace') await this.options.onRemoval(operation.name);
    if (operation.kind !== 'start-process') return;
    const { name, command } = operation;
    this.ready = machineOfProcess(name) === null ? succeed(command) : await prepareMachine(command);
  }

  async conclude(operation: Operation): Promise<void> {
    if (operation.kind === 'start-process') {
      await this.awaitCollector(operation);
      this.gather(operation);
    }
    if (operation.kind !== 'stop-process') return;
    const door = this.doors.open(operation.namespace);
    // A run that does not end is seen by whoever verifies.
    if (door.ok) {
      await stopRun(door.value, this.runOf(operation), this.doors.runRule, this.uidOf(operation));
    }
    const machine = machineOfProcess(operation.name);
    if (machine !== null) rmSync(consoleSocketOf(this.doors.lab, machine), { force: true });
  }

  close(): void {
    this.doors.close();
  }

  /** What a run has forked before it was in its group. That something is left outside is seen by whoever verifies. */
  private gather(operation: ProcessOperation): void {
    const { cgroups } = this.options;
    if (operation.group === undefined || cgroups === undefined || cgroups === null) return;
    moveAll(cgroups, operation.group, () => succeed(this.findProcesses(operation)));
  }

  private async executeOnEngine(
    group: readonly Operation[],
    operation: EngineOperation,
    midway: () => Failure | null,
  ): Promise<ExecutionFailure | null> {
    const result = await this.carryOutOnEngine(group, operation, midway);
    return result.ok ? null : { failure: result.failure, begun: this.begun };
  }

  private async executeOnHolder(operation: CpuHolderOperation): Promise<ExecutionFailure | null> {
    const result = await carryOutOnHolder(this.options.cgroups ?? null, operation);
    // One that fails half-way has left something.
    return result.ok ? null : { failure: result.failure, begun: true };
  }

  private async carryOutOnEngine(
    group: readonly Operation[],
    operation: EngineOperation,
    midway: () => Failure | null,
  ): Promise<Result<void>> {
    const { engines, lab } = this.options;
    const { namespace } = operation;
    switch (operation.kind) {
      case 'start-engine': {
        const door = this.doors.open(namespace);
        if (!door.ok) return door;
        // A start that fails half-way has left something.
        this.begun = true;
        return engines.start(namespace, door.value.fd, operation.datapath);
      }
      case 'stop-engine':
        this.begun = true;
        return engines.stop(namespace);
      case 'change-ovs-bridge': {
        const changes = group.filter((one) => one.kind === 'change-ovs-bridge');
        const { result, committed } = await engines.changeBridges(
          namespace,
          lab,
          changes,
          this.prepareLeaving(namespace, changes),
        );
        this.begun ||= committed;
        if (!result.ok) return result;
        const stop = midway();
        if (stop !== null) return fail(stop);
        const marked = this.markInternal(namespace, changes);
        return marked.ok ? this.finishChecksumsAt(namespace, changes) : marked;
      }
      case 'change-openflow':
        this.begun = true;
        return engines.changeTables(namespace, operation.name, operation.after);
      default:
        return assertNever(operation);
    }
  }

  /**
   * A userspace datapath removes the links of bridges that go one by one, and each time the kernel waits for all processors.
   * The function that this gives removes them together; it is for the moment at which the database says that they go. What
   * it leaves, Open vSwitch removes.
   */
  private prepareLeaving(
    namespace: NamespaceName,
    changes: readonly BridgeOperation[],
  ): () => void {
    const nothing = (): void => undefined;
    const door = this.doors.open(namespace);
    if (!door.ok || !this.options.engines.isUserspace(namespace)) return nothing;
    const { socket } = door.value;
    const indexes = changes.flatMap(({ before, after }) => {
      const kept = new Set(interfaceNames(after, 'internal'));
      return interfaceNames(before, 'internal').flatMap((name) => {
        const link = kept.has(name) ? succeed(null) : door.value.findLink(name);
        if (!link.ok || link.value === null) return [];
        const isOurs = link.value.kind === 'tun' && this.doors.isOwn(door.value, link.value);
        return isOurs ? [link.value.index] : [];
      });
    });
    const group = indexes.length > 1 ? groupLinks(socket, indexes) : null;
    if (group?.ok !== true) return nothing;
    return () => {
      deleteLinkGroup(socket, group.value);
    };
  }

  /** Gives our mark to the links that Open vSwitch has made. */
  private markInternal(
    namespace: NamespaceName,
    changes: readonly BridgeOperation[],
  ): Result<void> {
    const door = this.doors.open(namespace);
    if (!door.ok) return door;
    for (const { before, after } of changes) {
      const known = new Set(interfaceNames(before, 'internal'));
      for (const name of interfaceNames(before, 'internal')) door.value.ownIndexes.delete(name);
      for (const name of interfaceNames(after, 'internal')) {
        if (known.has(name)) continue;
        const marked = this.complete(door.value, name, {});
        if (!marked.ok) return marked;
      }
    }
    return succeed(undefined);
  }

  /** At the other ends of new ports of a userspace datapath; see `finishChecksums`. */
  private finishChecksumsAt(
    namespace: NamespaceName,
    changes: readonly BridgeOperation[],
  ): Result<void> {
    if (!this.options.engines.isUserspace(namespace)) return succeed(undefined);
    const door = this.doors.open(namespace);
    if (!door.ok) return door;
    const peers = new PeerDoors(this.doors, door.value);
    for (const { before, after } of changes) {
      const known = new Set(interfaceNames(before, 'system'));
      for (const name of interfaceNames(after, 'system')) {
        if (known.has(name)) continue;
        // The machine's own interfaces stay as they are.
        const link = door.value.findLink(name);
        if (!link.ok) return link;
        if (link.value?.alias !== ownershipMark(this.doors.lab)) continue;
        const peer = peers.find(name);
        if (peer === null) continue;
        const finished = finishChecksums(peer.door.fd, peer.name);
        if (!finished.ok) return finished;
      }
    }
    return succeed(undefined);
  }

  private carryOut(
    operation: Exclude<Operation, EngineOperation | CpuHolderOperation>,
    tolerance: Tolerance,
    midway: () => Failure | null,
  ): Result<void> {
    if (isCpuOperation(operation)) {
      // One that fails half-way has left something.
      this.begun = true;
      return carryOutOnGroups(this.options.cgroups ?? null, operation, this.findProcesses);
    }
    switch (operation.kind) {
      case 'add-namespace':
        return this.addNamespace(operation.name, midway);
      case 'remove-namespace':
        return this.removeNamespace(operation.name, tolerance);
      case 'add-bridge':
        return this.addBridge(operation, midway);
      case 'remove-bridge':
        return this.removeLink(operation.namespace, operation.name, 'bridge', tolerance);
      case 'add-veth':
        return this.addVeth(operation.ends, midway);
      case 'remove-veth':
        return this.removeVeth(operation.ends, tolerance);
      case 'add-device':
        return this.addDevice(operation, midway);
      case 'remove-device':
        return this.removeLink(
          operation.namespace,
          operation.name,
          linkKindOf(operation.device),
          tolerance,
        );
      case 'change-vlans':
        return this.onOwnLink(operation, tolerance, (door, index, label) =>
          changeVlans(
            door.socket,
            index,
            { self: operation.self },
            operation.before,
            operation.after,
            label,
          ),
        );
      case 'change-impairment':
        return this.onOwnLink(operation, tolerance, (door, index, label) =>
          setImpairment(door.socket, index, operation.after, label),
        );
      case 'change-forwarding': {
        const { namespace, family, after } = operation;
        return this.inOwnNamespace(namespace, (door) => writeForwarding(door.fd, family, after));
      }
      case 'change-rules': {
        const { namespace, after } = operation;
        return this.inOwnNamespace(namespace, (door) => writeRules(door.fd, after));
      }
      case 'start-process':
        return this.startProcess(operation);
      case 'stop-process':
        // It takes a moment, and nothing else waits for it: see `conclude`.
        return this.effect(this.inPlaceOfRun(operation.namespace, () => succeed(undefined)));
      case 'change-link':
        return this.changeLink(operation, tolerance);
      case 'add-address':
        return this.addAddress(operation);
      case 'remove-address':
        return this.removeAddress(operation);
      case 'change-address': {
        const { namespace, interface: name, before, after } = operation;
        const removed = this.removeAddress({ namespace, interface: name, address: before });
        if (!removed.ok) return removed;
        const stop = midway();
        if (stop !== null) return fail(stop);
        return this.addAddress({ namespace, interface: name, address: after });
      }
      case 'add-route':
        return this.addRoute(operation.namespace, operation.route, operation.foreign === true);
      case 'remove-route':
        return this.removeRoute(operation.namespace, operation.route, operation.foreign === true);
      case 'attach-uplink':
      case 'detach-uplink':
        return moveUplink(this.doors, operation, {
          begun: () => {
            this.begun = true;
          },
          midway,
        });
      default:
        return assertNever(operation);
    }
  }

  /** Remembers that the operation has left a trace. */
  private effect<T>(result: Result<T>): Result<T> {
    if (result.ok) this.begun = true;
    return result;
  }

  private addNamespace(name: string, midway: () => Failure | null): Result<void> {
    const handle = this.effect(createNamespace(name));
    if (!handle.ok) return handle;
    const door = this.doors.admit(name, handle.value);
    if (!door.ok) return door;
    const stop = midway();
    if (stop !== null) return fail(stop);
    const released = releaseBridgeNetfilter(door.value.fd);
    if (!released.ok) return released;
    if (this.runsAs.kind === 'person') {
      const opened = writeSettings(door.value.fd, forPeople, { optional: true });
      if (!opened.ok) return opened;
    }
    // The mark comes last: a namespace that bears it is complete.
    const loopback = door.value.findLink('lo');
    if (!loopback.ok) return loopback;
    if (loopback.value === null) return fail(missingFailure(`${name}:lo`));
    return this.mark(door.value, 'lo', loopback.value.index, {});
  }

  private removeNamespace(name: string, tolerance: Tolerance): Result<void> {
    const door = this.doors.open(name);
    if (door.ok) {
      const loopback = door.value.findLink('lo');
      if (!loopback.ok) return loopback;
      const ours =
        loopback.value !== null &&
        (this.doors.isOwn(door.value, loopback.value) ||
          (tolerance.unmarked && isUntouched(loopback.value)));
      if (!ours) return fail(foreignFailure(this.doors.lab, `namespace ${name}`));
    } else if (!tolerance.unmarked || !isErrno(door.failure, 'EINVAL')) {
      return door;
    }
    this.doors.leave(name);
    return this.effect(removeNamespace(name));
  }

  /** The further message that completes a new link: its mark, together with what else is asked. */
  private mark(door: Door, name: string, index: number, change: LinkChange): Result<void> {
    const alias = ownershipMark(this.doors.lab);
    const label = linkLabel(door.name, name);
    const marked = this.effect(setLink(door.socket, index, { ...change, alias }, label));
    if (marked.ok) door.ownIndexes.set(name, index);
    return marked;
  }

  private addBridge(
    bridge: Extract<Operation, { kind: 'add-bridge' }>,
    midway: () => Failure | null,
  ): Result<void> {
    const door = this.doors.open(bridge.namespace);
    if (!door.ok) return door;
    const { name, settings } = bridge;
    const made = this.effect(
      createBridge(door.value.socket, { name, mac: bridge.mac ?? undefined }, settings),
    );
    if (!made.ok) return made;
    const stop = midway();
    if (stop !== null) return fail(stop);
    return this.complete(door.value, name, { mtu: bridge.mtu ?? undefined });
  }

  /** Finds a link that was made a moment ago and marks it. */
  private complete(door: Door, name: string, change: LinkChange): Result<void> {
    const link = door.findLink(name);
    if (!link.ok) return link;
    if (link.value === null) return fail(missingFailure(linkLabel(door.name, name)));
    return this.mark(door, name, link.value.index, change);
  }

  private addVeth(ends: readonly [VethEnd, VethEnd], midway: () => Failure | null): Result<void> {
    const [first, second] = ends;
    const here = this.doors.open(first.namespace);
    if (!here.ok) return here;
    const there = this.doors.open(second.namespace);
    if (!there.ok) return there;
    const made = this.effect(
      createVeth(
        here.value.socket,
        { name: first.name, mac: first.mac ?? undefined },
        {
          name: second.name,
          mac: second.mac ?? undefined,
          namespaceFd: there.value === here.value ? undefined : there.value.fd,
        },
      ),
    );
    if (!made.ok) return made;
    const stop = midway();
    if (stop !== null) return fail(stop);
    const completed = this.completeEnd(here.value, first);
    return completed.ok ? this.completeEnd(there.value, second) : completed;
  }

  private addDevice(
    operation: Extract<Operation, { kind: 'add-device' }>,
    midway: () => Failure | null,
  ): Result<void> {
    const { name, device, mac, mtu, master } = operation;
    const opened = this.doors.open(operation.namespace);
    if (!opened.ok) return opened;
    const door = opened.value;
    // What is below it may be anybody's: a device on top leaves it as it is.
    const indexOf = (lower: string): Result<number> => this.anyIndex(door, lower);
    const made = this.effect(
      createDevice(door, { name, ...(mac === null ? {} : { mac }) }, device, indexOf),
    );
    if (!made.ok) return made;
    const stop = midway();
    if (stop !== null) return fail(stop);
    return this.completeEnd(door, { namespace: operation.namespace, name, mac, mtu, master });
  }

  /** Does something to a link of ours, with its index. */
  private onOwnLink(
    { namespace, name }: { readonly namespace: NamespaceName; readonly name: string },
    tolerance: Tolerance,
    action: (door: Door, index: number, label: string) => Result<void>,
  ): Result<void> {
    const door = this.doors.open(namespace);
    if (!door.ok) return door;
    const index = tolerance.foreignPorts
      ? this.anyIndex(door.value, name)
      : ownIndex(this.doors, door.value, name);
    if (!index.ok) return index;
    return this.effect(action(door.value, index.value, linkLabel(namespace, name)));
  }

  /** Does something to a namespace that bears our mark, or that the document in force lists. */
  /** The realm's own namespace bears nobody's mark: what may be changed there is the planner's to say. */
  private inOwnNamespace(name: string | null, action: (door: Door) => Result<void>): Result<void> {
    const door = this.doors.open(name);
    if (!door.ok) return door;
    if (name === null) return this.effect(action(door.value));
    const owned = ownIndex(this.doors, door.value, 'lo');
    return owned.ok ? this.effect(action(door.value)) : owned;
  }

  /** The realm's own namespace is nobody's, and a lab's processes may be in it. */
  private inPlaceOfRun(name: NamespaceName, action: (door: Door) => Result<void>): Result<void> {
    if (name !== null) return this.inOwnNamespace(name, action);
    const door = this.doors.open(null);
    return door.ok ? this.effect(action(door.value)) : door;
  }

  private runOf({ namespace, name }: Omit<RunIdentity, 'lab'>): RunIdentity {
    return { lab: this.doors.lab, namespace, name };
  }

  private startProcess(operation: ProcessOperation): Result<void> {
    const { namespace, name, command } = operation;
    const { logDirectory } = this.options;
    const ready = this.ready ?? succeed(command);
    this.ready = null;
    return this.inPlaceOfRun(namespace, (door) => {
      const run = { ...this.runOf(operation), command };
      if (!ready.ok) return ready;
      const file = path.join(logDirectory, logNameOf(namespace, name));
      const person = this.personFor(operation);
      if (!person.ok) return person;
      const started = isCollector(name, command)
        ? this.startCollector(person.value, door, run, file)
        : person.value === null
          ? startRun(door, run, file, null, { command: ready.value, descriptors: [] })
          : this.startAs(person.value, door, run, file);
      if (started.ok && isCollector(name, command)) this.collectorPid = started.value;
      if (!started.ok || operation.group === undefined) {
        return started.ok ? succeed(undefined) : started;
      }
      const { cgroups } = this.options;
      if (cgroups === undefined || cgroups === null) return succeed(undefined);
      this.begun = true;
      return cgroups.move([started.value], operation.group);
    });
  }

  /**
   * What an exporter says before somebody listens is lost, and IPFIX says once in ten minutes what its records mean
   * (IPFIX_TEMPLATE_INTERVAL in ofproto/ofproto-dpif-ipfix.c). One that does not come to listen is seen by whoever asks it.
   */
  private async awaitCollector({ command }: ProcessOperation): Promise<void> {
    const pid = this.collectorPid;
    this.collectorPid = null;
    if (pid === null) return;
    const ports = portsInCommand(command);
    const deadline = performance.now() + collectorMilliseconds;
    while (performance.now() < deadline) {
      const state = readProcess(pid)?.state ?? 'Z';
      if (state === 'Z' || state === 'X') return;
      const open = udpPortsAround(pid);
      if (ports.every((port) => open.has(port))) return;
      await delay(collectorPollMilliseconds);
    }
  }

  /** Whose process it is; null where nobody can tell, and in a sandbox. */
  private uidOf({ uid, name, command }: ProcessOperation): number | null {
    if (this.runsAs.kind === 'agent') return null;
    const person = uid ?? this.runsAs.uid;
    // Root's tunnels and collectors need nobody's rights: their words are ours, and what they open is handed to them.
    const ours = relayOf(name, command) !== null || isCollector(name, command);
    return person === 0 && ours ? nobodyUid : person;
  }

  /** As whom a process runs; null is the agent's user. Never root: the words come from a document. */
  private personFor(operation: ProcessOperation): Result<Person | null> {
    if (this.runsAs.kind === 'agent') return succeed(null);
    const { namespace, name } = operation;
    const wanted = this.uidOf(operation);
    if (wanted === null || wanted === 0) {
      return fail(
        failureOf('refused', 'run-as-root', `process ${name} of ${namespace ?? 'the realm'}`, {
          name,
          place: namespace ?? 'the realm',
        }),
      );
    }
    const known = this.people.get(wanted) ?? findPerson(wanted);
    this.people.set(wanted, known);
    return known;
  }

  /** A person may not open the device of a tunnel, and need not: its relay gets it as a descriptor. */
  private startAs(person: Person, door: Door, run: RunOrder, file: string): Result<number> {
    const relay = relayOf(run.name, run.command);
    if (relay === null) return startRun(door, run, file, person);
    const index = ownIndex(this.doors, door, relay.device);
    if (!index.ok) return index;
    const descriptor = attachTun(door.fd, relay.kind, relay.device);
    if (!descriptor.ok) return descriptor;
    const replacement: RunReplacement = {
      command: relayOnDescriptor(run.command, 3),
      descriptors: [descriptor.value],
    };
    try {
      return startRun(door, run, file, person, replacement);
    } finally {
      closeDescriptor(descriptor.value);
    }
  }

  /** Netloom's own program, wherever it is installed; a person may not open the files that it writes, nor need to. */
  private startCollector(
    person: Person | null,
    door: Door,
    run: RunOrder,
    log: string,
  ): Result<number> {
    const descriptors: number[] = [];
    const { O_WRONLY, O_CREAT, O_EXCL, O_APPEND, O_NOFOLLOW } = constants;
    try {
      mkdirSync(path.dirname(log), { recursive: true, mode: 0o700 });
      for (const file of recordFilesOf(log)) {
        // New ones: one that was ended may still write into those that were.
        rmSync(file, { force: true });
        descriptors.push(
          openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW, 0o600),
        );
      }
      const program =
        this.options.collectorProgram ?? path.join(import.meta.dirname, 'collector.js');
      const words = run.command.slice(2);
      return startRun(door, run, log, person, {
        command: [process.execPath, program, ...words, '--keep', '3,4'],
        descriptors,
      });
    } catch (error) {
      return fail(storageFailure(log, error));
    } finally {
      for (const descriptor of descriptors) closeDescriptor(descriptor);
    }
  }

  private completeEnd(door: Door, end: VethEnd): Result<void> {
    let master: number | undefined;
    if (end.master !== null) {
      const index = ownIndex(this.doors, door, end.master);
      if (!index.ok) return index;
      master = index.value;
    }
    return this.complete(door, end.name, { master, mtu: end.mtu ?? undefined });
  }

  private removeVeth(ends: readonly [VethEnd, VethEnd], tolerance: Tolerance): Result<void> {
    const [first, second] = ends;
    const there = this.doors.open(second.namespace);
    const removed = this.removeLink(first.namespace, first.name, 'veth', tolerance);
    if (removed.ok && there.ok) there.value.ownIndexes.delete(second.name);
    return removed;
  }

  private removeLink(
    namespace: NamespaceName,
    name: string,
    kind: string,
    tolerance: Tolerance,
  ): Result<void> {
    const label = linkLabel(namespace, name);
    const door = this.doors.open(namespace);
    if (!door.ok) return door;
    const link = door.value.findLink(name);
    if (!link.ok) return link;
    if (link.value === null) return fail(missingFailure(label));
    if (!this.mayRemove(door.value, link.value, kind, tolerance)) {
      return fail(foreignFailure(this.doors.lab, label));
    }
    door.value.ownIndexes.delete(name);
    return this.effect(deleteLink(door.value.socket, link.value.index, label));
  }

  private mayRemove(door: Door, link: Link, kind: string, tolerance: Tolerance): boolean {
    if (link.kind !== kind) return false;
    return this.doors.isOwn(door, link) || (tolerance.unmarked && isUntouched(link));
  }

  private changeLink(
    { namespace, name, after }: Extract<Operation, { kind: 'change-link' }>,
    tolerance: Tolerance,
  ): Result<void> {
    const door = this.doors.open(namespace);
    if (!door.ok) return door;
    const index =
      tolerance.foreignPorts && isMasterOnly(after)
        ? this.anyIndex(door.value, name)
        : ownIndex(this.doors, door.value, name);
    if (!index.ok) return index;
    let master: number | null | undefined;
    if (typeof after.master === 'string') {
      const bridge = ownIndex(this.doors, door.value, after.master);
      if (!bridge.ok) return bridge;
      master = bridge.value;
    } else {
      master = after.master;
    }
    const change: LinkChange = {
      up: after.up,
      mtu: after.mtu,
      mac: after.mac,
      master,
      bridge: after.bridge,
    };
    const label = linkLabel(namespace, name);
    const { port, ...others } = after;
    const set =
      Object.keys(others).length === 0
        ? succeed(undefined)
        : this.effect(setLink(door.value.socket, index.value, change, label));
    const changed =
      !set.ok || port === undefined
        ? set
        : this.effect(setBridgePort(door.value.socket, index.value, port, label));
    if (!changed.ok || name !== 'lo' || after.up !== false) return changed;
    return this.clearLoopback(door.value, index.value);
  }

  /** The kernel gives `lo` this address when it comes up (inetdev_event) and leaves it there when it goes down. */
  private clearLoopback(door: Door, index: number): Result<void> {
    const removed = deleteAddress(door.socket, { interfaceIndex: index, prefix: '127.0.0.1/8' });
    return removed.ok || isErrno(removed.failure, 'EADDRNOTAVAIL') ? succeed(undefined) : removed;
  }

  private addAddress(place: AddressPlace): Result<void> {
    const door = this.doors.open(place.namespace);
    if (!door.ok) return door;
    const index = ownIndex(this.doors, door.value, place.interface);
    if (!index.ok) return index;
    const ipv6 = parseIpPrefix(place.address)?.family === 6;
    return this.named(
      place,
      this.effect(
        addAddress(door.value.socket, {
          interfaceIndex: index.value,
          prefix: place.address,
          protocol: place.foreign === true ? undefined : ownershipProtocol,
          noDuplicateDetection: ipv6 ? true : undefined,
        }),
      ),
    );
  }

  private removeAddress(place: AddressPlace): Result<void> {
    const door = this.doors.open(place.namespace);
    if (!door.ok) return door;
    const index = ownIndex(this.doors, door.value, place.interface);
    if (!index.ok) return index;
    const removed = deleteAddress(door.value.socket, {
      interfaceIndex: index.value,
      prefix: place.address,
    });
    return this.named(place, this.effect(removed));
  }

  /** Failures about addresses name the link; the request knows only its index. */
  private named(place: AddressPlace, result: Result<void>): Result<void> {
    return result.ok ? result : fail({ ...result.failure, object: addressLabel(place) });
  }

  private addRoute(namespace: NamespaceName, route: Route, foreign: boolean): Result<void> {
    const door = this.doors.open(namespace);
    if (!door.ok) return door;
    const settings = this.routeSettings(door.value, route);
    if (!settings.ok) return settings;
    const protocol = foreign ? undefined : ownershipProtocol;
    return this.effect(addRoute(door.value.socket, { ...settings.value, protocol }));
  }

  private removeRoute(namespace: NamespaceName, route: Route, foreign: boolean): Result<void> {
    const door = this.doors.open(namespace);
    if (!door.ok) return door;
    const settings = this.routeSettings(door.value, route);
    if (!settings.ok) return settings;
    const { socket } = door.value;
    if (!foreign) {
      const removed = this.effect(
        deleteRoute(socket, { ...settings.value, protocol: ownershipProtocol }),
      );
      if (removed.ok || !isErrno(removed.failure, 'ESRCH')) return removed;
      // The document in force lists it, but somebody has made it anew: the planner counts it as ours.
    }
    return this.effect(deleteRoute(socket, settings.value));
  }

  private anyIndex(door: Door, name: string): Result<number> {
    const link = door.findLink(name);
    if (!link.ok) return link;
    return link.value === null
      ? fail(missingFailure(linkLabel(door.name, name)))
      : succeed(link.value.index);
  }

  private routeSettings(
    door: Door,
    route: Route,
  ): Result<Omit<Parameters<typeof addRoute>[1], 'protocol'>> {
    let interfaceIndex: number | undefined;
    if (route.dev !== null) {
      const index = this.anyIndex(door, route.dev);
      if (!index.ok) return index;
      interfaceIndex = index.value;
    }
    return succeed({
      destination: route.to,
      gateway: route.via ?? undefined,
      interfaceIndex,
      metric: route.metric ?? undefined,
    });
  }
}

function interfaceNames(bridge: OvsBridge | null, wanted: OvsInterface['kind']): readonly string[] {
  return (bridge?.ports ?? []).flatMap(({ interfaces }) =>
    interfaces.filter(({ kind }) => kind === wanted).map(({ name }) => name),
  );
}

/** IFLA_INFO_KIND: taps and tuns are of one driver. */
export function linkKindOf(device: Device): string {
  return device.kind === 'tap' ? 'tun' : device.kind;
}

/** A process's name may hold a colon, nothing else that a file name may not; no namespace is called `-`. */
export function logNameOf(namespace: string | null, name: string): string {
  return `${namespace ?? '-'}.${name.replace(':', '-')}.log`;
}

/** The two files of a collector (`activity/export-ring.ts`), beside what it prints. */
export function recordFilesOf(log: string): readonly [string, string] {
  const stem = log.replace(/\.log$/, '');
  return [`${stem}.records-0`, `${stem}.records-1`];
}

function isMasterOnly(settings: LinkSettings): boolean {
  return Object.keys(settings).every((key) => key === 'master');
}

interface AddressPlace {
  readonly namespace: NamespaceName;
  readonly interface: string;
  readonly address: string;
  readonly foreign?: true | undefined;
}

function addressLabel(place: AddressPlace): string {
  return `${place.address} on ${linkLabel(place.namespace, place.interface)}`;
}
