/** What the kernel shows of an operation. Reads it afresh every time; the inventory lags by its events. */
import { sameImpairment } from '../api/impairment.ts';
import { ownershipProtocol } from '../api/names.ts';
import { assertNever, type Result, succeed } from '../api/result.ts';
import { listAddresses } from '../kernel/addresses.ts';
import { type SomeBridgeSettings, treeTimes } from '../api/device.ts';
import { listVlans } from '../kernel/bridge-vlans.ts';
import { deviceOf } from '../kernel/devices.ts';
import { readForwarding } from '../kernel/forwarding.ts';
import { isErrno } from '../kernel/kernel-failure.ts';
import { getLink, namespaceIdOf } from '../kernel/links.ts';
import { identifyDescriptor, inodeOf } from '../kernel/namespaces.ts';
import { readRules } from '../kernel/nftables.ts';
import { listQueueing } from '../kernel/queueing.ts';
import { listRoutes } from '../kernel/routes.ts';
import type { Link, Route as KernelRoute } from '../kernel/rtnetlink.ts';
import { findRuns, type FoundRun } from '../kernel/runs.ts';
import { sameDevice } from '../lab/device.ts';
import { inverseOf } from '../lab/inverse.ts';
import { isCpuOperation } from '../lab/operation.ts';
import type {
  CpuOperation,
  EngineOperation,
  LinkSettings,
  Operation,
  Route,
  VethEnd,
} from '../lab/operation.ts';
import type { Door, Doors, NamespaceName } from './doors.ts';
import type { Effect } from './executor.ts';
import { peerIndexOf } from './peer-doors.ts';
import { isEngineOperation } from './read-engine.ts';
import { readUplink } from './uplink.ts';

/** Whether a link is as the kernel makes it: no mark, down and nobody's port. */
export function isUntouched(link: Link): boolean {
  return (link.alias ?? '') === '' && !link.up && link.master === undefined;
}

/** Of all operations but those on Open vSwitch and on CPU groups (`read-engine.ts`, `cpu-groups.ts`). */
export function readEffect(
  doors: Doors,
  operation: Exclude<Operation, EngineOperation | CpuOperation>,
): Result<Effect> {
  switch (operation.kind) {
    case 'add-namespace':
      return readNamespace(doors, operation.name);
    case 'add-bridge':
      return readBridge(doors, operation.namespace, operation.name);
    case 'add-veth':
      return readVeth(doors, operation.ends);
    case 'remove-namespace':
    case 'remove-bridge':
    case 'remove-veth':
    case 'remove-device':
      return readRemoval(doors, operation);
    case 'add-device':
      return readDevice(doors, operation);
    case 'change-vlans':
      return readOfLink(doors, operation, (door, link) => {
        const tables = listVlans(door.socket);
        if (!tables.ok) return tables;
        const shown = tables.value.get(link.index) ?? [];
        return succeed(JSON.stringify(shown) === JSON.stringify(operation.after));
      });
    case 'change-impairment':
      return readOfLink(doors, operation, (door, link) => {
        const disciplines = listQueueing(door.socket);
        if (!disciplines.ok) return disciplines;
        const shown = disciplines.value.get(link.index)?.impairment ?? null;
        return succeed(sameImpairment(shown, operation.after));
      });
    case 'change-forwarding':
      return readOfNamespace(doors, operation.namespace, (door) => {
        const shown = readForwarding(door.socket);
        if (!shown.ok) return shown;
        return succeed(shown.value[operation.family] === operation.after);
      });
    case 'change-rules':
      return readOfNamespace(doors, operation.namespace, (door) => {
        const shown = readRules(door.fd);
        return shown.ok ? succeed(shown.value === operation.after) : shown;
      });
    case 'start-process':
      return readRun(doors, operation);
    case 'stop-process':
      return opposite(readRun(doors, operation));
    case 'change-link':
      return readLink(doors, operation.namespace, operation.name, operation.after);
    case 'add-address':
      return readAddress(doors, operation, operation.address, operation.foreign === true);
    case 'remove-address':
      return opposite(readAddress(doors, operation, operation.address, operation.foreign === true));
    case 'change-address': {
      const before = readAddress(doors, operation, operation.before, false);
      if (!before.ok) return before;
      const after = readAddress(doors, operation, operation.after, false);
      if (!after.ok) return after;
      if (after.value === 'foreign') return after;
      if (before.value === 'done') return succeed(after.value === 'done' ? 'partly' : 'not-done');
      return succeed(after.value === 'done' ? 'done' : 'partly');
    }
    case 'add-route':
      return readRoute(doors, operation.namespace, operation.route, operation.foreign === true);
    case 'remove-route':
      return opposite(
        readRoute(doors, operation.namespace, operation.route, operation.foreign === true),
      );
    case 'attach-uplink':
    case 'detach-uplink':
      return readUplink(doors, operation);
    default:
      return assertNever(operation);
  }
}

/** A removal is done when its addition is not; what is in the way of an addition is none of the removal's business. */
function opposite(effect: Result<Effect>): Result<Effect> {
  if (!effect.ok) return effect;
  if (effect.value === 'done') return succeed('not-done');
  return effect.value === 'not-done' ? succeed('done') : effect;
}

/** The contents do not count: they go with the object, and come back one by one. */
function readRemoval(
  doors: Doors,
  operation: Extract<
    Operation,
    { kind: 'remove-namespace' | 'remove-bridge' | 'remove-veth' | 'remove-device' }
  >,
): Result<Effect> {
  const [addition] = inverseOf(operation);
  if (addition === undefined || isEngineOperation(addition) || isCpuOperation(addition)) {
    throw new Error(`${operation.kind} has no inverse`);
  }
  return opposite(readEffect(doors, addition));
}

function openIfThere(doors: Doors, namespace: NamespaceName): Result<Door | null> {
  const door = doors.open(namespace);
  if (door.ok) return door;
  // EINVAL: a plain file of that name, on which nothing is mounted.
  return isErrno(door.failure, 'ENOENT', 'EINVAL') ? succeed(null) : door;
}

function readNamespace(doors: Doors, name: string): Result<Effect> {
  const door = doors.open(name);
  if (!door.ok) {
    if (isErrno(door.failure, 'ENOENT')) return succeed('not-done');
    return isErrno(door.failure, 'EINVAL') ? succeed('partly') : door;
  }
  const loopback = door.value.findLink('lo');
  if (!loopback.ok) return loopback;
  if (loopback.value === null) return succeed('foreign');
  if (doors.isOwn(door.value, loopback.value)) return succeed('done');
  return succeed(isUntouched(loopback.value) ? 'partly' : 'foreign');
}

function readBridge(doors: Doors, namespace: NamespaceName, name: string): Result<Effect> {
  const door = openIfThere(doors, namespace);
  if (!door.ok) return door;
  if (door.value === null) return succeed('not-done');
  const link = door.value.findLink(name);
  if (!link.ok) return link;
  if (link.value === null) return succeed('not-done');
  if (link.value.kind !== 'bridge') return succeed('foreign');
  if (doors.isOwn(door.value, link.value)) return succeed('done');
  return succeed(isUntouched(link.value) ? 'partly' : 'foreign');
}

function readDevice(
  doors: Doors,
  { namespace, name, device }: Extract<Operation, { kind: 'add-device' }>,
): Result<Effect> {
  const door = openIfThere(doors, namespace);
  if (!door.ok) return door;
  if (door.value === null) return succeed('not-done');
  const { value: opened } = door;
  const found = opened.findLink(name);
  if (!found.ok) return found;
  const link = found.value;
  if (link === null) return succeed('not-done');
  const shown = deviceOf(link, (index) => nameOf(opened, index));
  if (shown === null || !sameDevice(shown, device)) return succeed('foreign');
  if (doors.isOwn(opened, link)) return succeed('done');
  return succeed(isUntouched(link) ? 'partly' : 'foreign');
}

function nameOf(door: Door, index: number): string | undefined {
  const link = getLink(door.socket, { index });
  return link.ok ? link.value.name : undefined;
}

/** Whether a link of ours shows what was asked. */
function readOfLink(
  doors: Doors,
  { namespace, name }: { readonly namespace: NamespaceName; readonly name: string },
  shows: (door: Door, link: Link) => Result<boolean>,
): Result<Effect> {
  const door = openIfThere(doors, namespace);
  if (!door.ok) return door;
  if (door.value === null) return succeed('not-done');
  const link = door.value.findLink(name);
  if (!link.ok) return link;
  if (link.value === null) return succeed('not-done');
  const shown = shows(door.value, link.value);
  if (!shown.ok) return shown;
  if (shown.value) return succeed('done');
  return succeed(doors.isOwn(door.value, link.value) ? 'not-done' : 'foreign');
}

function readOfNamespace(
  doors: Doors,
  namespace: string | null,
  shows: (door: Door) => Result<boolean>,
): Result<Effect> {
  const door = openIfThere(doors, namespace);
  if (!door.ok) return door;
  if (door.value === null) return succeed('not-done');
  const shown = shows(door.value);
  return shown.ok ? succeed(shown.value ? 'done' : 'not-done') : shown;
}

function readRun(
  doors: Doors,
  { namespace, name, command }: Extract<Operation, { kind: 'start-process' | 'stop-process' }>,
): Result<Effect> {
  const door = openIfThere(doors, namespace);
  if (!door.ok) return door;
  if (door.value === null) return succeed('not-done');
  const run = findRun(doors, door.value, name);
  if (run === undefined) return succeed('not-done');
  return succeed(JSON.stringify(run.command) === JSON.stringify(command) ? 'done' : 'not-done');
}

/** The lab's run of this name in a namespace; undefined when there is none. */
export function findRun(doors: Doors, door: Door, name: string): FoundRun | undefined {
  const identity = identifyDescriptor(door.fd);
  if (!identity.ok) return undefined;
  return findRuns(doors.runRule)
    .get(inodeOf(identity.value))
    ?.find((found) => found.lab === doors.lab && found.name === name);
}

function readVeth(doors: Doors, ends: readonly [VethEnd, VethEnd]): Result<Effect> {
  const [first, second] = ends;
  const here = openIfThere(doors, first.namespace);
  if (!here.ok) return here;
  const there = openIfThere(doors, second.namespace);
  if (!there.ok) return there;
  const link = here.value === null ? succeed(null) : here.value.findLink(first.name);
  if (!link.ok) return link;
  const peer = there.value === null ? succeed(null) : there.value.findLink(second.name);
  if (!peer.ok) return peer;
  // One end alone, or two ends of different pairs, is not the pair that is asked about.
  if (link.value === null || peer.value === null || here.value === null || there.value === null) {
    return succeed(link.value === null && peer.value === null ? 'not-done' : 'foreign');
  }
  const paired = arePeers(here.value, link.value, there.value, peer.value);
  if (!paired.ok) return paired;
  if (!paired.value) return succeed('foreign');
  const rest = [
    ...(doors.isOwn(here.value, link.value) ? [] : [link.value]),
    ...(doors.isOwn(there.value, peer.value) ? [] : [peer.value]),
  ];
  if (rest.length === 0) return succeed('done');
  return succeed(rest.every(isUntouched) ? 'partly' : 'foreign');
}

function arePeers(here: Door, link: Link, there: Door, peer: Link): Result<boolean> {
  if (link.kind !== 'veth' || peer.kind !== 'veth') return succeed(false);
  if (peerIndexOf(link) !== peer.index || peerIndexOf(peer) !== link.index) return succeed(false);
  if (here === there) {
    return succeed(link.linkNamespaceId === undefined && peer.linkNamespaceId === undefined);
  }
  const id = namespaceIdOf(here.socket, there.fd);
  if (!id.ok) return id;
  return succeed(id.value !== undefined && link.linkNamespaceId === id.value);
}

function readLink(
  doors: Doors,
  namespace: NamespaceName,
  name: string,
  wanted: LinkSettings,
): Result<Effect> {
  const door = openIfThere(doors, namespace);
  if (!door.ok) return door;
  if (door.value === null) return succeed('not-done');
  const link = door.value.findLink(name);
  if (!link.ok) return link;
  if (link.value === null) return succeed('not-done');
  const shown = link.value;
  let master: number | undefined;
  if (typeof wanted.master === 'string') {
    const bridge = door.value.findLink(wanted.master);
    if (!bridge.ok) return bridge;
    if (bridge.value === null) return succeed('not-done');
    master = bridge.value.index;
  }
  const same =
    (wanted.up === undefined || wanted.up === shown.up) &&
    (wanted.mtu === undefined || wanted.mtu === shown.mtu) &&
    (wanted.mac === undefined || wanted.mac.toLowerCase() === shown.mac) &&
    (wanted.master === undefined || master === shown.master) &&
    !hidesTimes(shown, wanted.bridge) &&
    shows(shown.bridge, wanted.bridge) &&
    shows(shown.bridgePort, wanted.port);
  if (same) return succeed('done');
  return succeed(doors.isOwn(door.value, shown) ? 'not-done' : 'foreign');
}

/** A bridge that is not the root of its spanning tree shows the root's times: its own may be others. */
function hidesTimes({ bridge }: Link, wanted: SomeBridgeSettings | undefined): boolean {
  if ((bridge?.rootPort ?? 0) === 0) return false;
  return treeTimes.some((time) => wanted?.[time] !== undefined);
}

/** Whether every field that is asked for is there as asked. */
function shows(shown: object | undefined, wanted: object | undefined): boolean {
  const fields = new Map<string, unknown>(Object.entries(shown ?? {}));
  return Object.entries(wanted ?? {}).every(
    ([key, value]) => value === undefined || fields.get(key) === value,
  );
}

function readAddress(
  doors: Doors,
  place: { readonly namespace: NamespaceName; readonly interface: string },
  address: string,
  foreign: boolean,
): Result<Effect> {
  const door = openIfThere(doors, place.namespace);
  if (!door.ok) return door;
  if (door.value === null) return succeed('not-done');
  const link = door.value.findLink(place.interface);
  if (!link.ok) return link;
  if (link.value === null) return succeed('not-done');
  const addresses = listAddresses(door.value.socket, { interfaceIndex: link.value.index });
  if (!addresses.ok) return addresses;
  const found = addresses.value.find(
    (candidate) => `${candidate.address}/${candidate.prefixLength}` === address,
  );
  if (found === undefined) return succeed('not-done');
  return succeed(foreign || found.protocol === ownershipProtocol ? 'done' : 'foreign');
}

function readRoute(
  doors: Doors,
  namespace: NamespaceName,
  route: Route,
  foreign: boolean,
): Result<Effect> {
  const door = openIfThere(doors, namespace);
  if (!door.ok) return door;
  if (door.value === null) return succeed('not-done');
  let index: number | undefined;
  if (route.dev !== null) {
    const link = door.value.findLink(route.dev);
    if (!link.ok) return link;
    if (link.value === null) return succeed('not-done');
    index = link.value.index;
  }
  const family = route.to.includes(':') || route.via?.includes(':') === true ? 6 : 4;
  const routes = listRoutes(door.value.socket, { family });
  if (!routes.ok) return routes;
  const found = routes.value.filter((candidate) => isRoute(candidate, route, index));
  if (found.length === 0) return succeed('not-done');
  const done = foreign || found.some((candidate) => candidate.protocol === ownershipProtocol);
  return succeed(done ? 'done' : 'foreign');
}

/** Metric that IPv6 routes get when none is asked for (IP6_RT_PRIO_USER); IPv4 has none, which is 0. */
const ipv6Metric = 1024;

function isRoute(candidate: KernelRoute, wanted: Route, index: number | undefined): boolean {
  const everything = wanted.to === '0.0.0.0/0' || wanted.to === '::/0';
  const metric = wanted.metric ?? (candidate.family === 6 ? ipv6Metric : 0);
  return (
    candidate.destination === (everything ? 'default' : wanted.to) &&
    (candidate.gateway ?? null) === wanted.via &&
    (index === undefined || candidate.interfaceIndex === index) &&
    (candidate.metric ?? 0) === metric
  );
}
