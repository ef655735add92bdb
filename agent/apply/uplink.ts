/**
 * Moves the addresses and routes of an interface that is not ours to a bridge of ours, and back. Every step may be
 * repeated: what is there already stays, what is gone already is not missed.
 */
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { addAddress, changeAddress, deleteAddress, listAddresses } from '../kernel/addresses.ts';
import { isErrno } from '../kernel/kernel-failure.ts';
import { setLink } from '../kernel/links.ts';
import { addRoute, deleteRoute, listRoutes } from '../kernel/routes.ts';
import {
  type Address,
  type Link,
  type Route,
  type RouteSettings,
  RT_TABLE_MAIN,
} from '../kernel/rtnetlink.ts';
import { labOfMark } from '../api/names.ts';
import type { Operation, UplinkAddress, UplinkRoute } from '../lab/operation.ts';
import { inAdditionOrder } from '../lab/uplink.ts';
import { type Door, type Doors, foreignFailure, linkLabel, missingFailure } from './doors.ts';
import type { Effect } from './executor.ts';

export type UplinkOperation = Extract<Operation, { kind: 'attach-uplink' | 'detach-uplink' }>;

export interface UplinkProgress {
  /** Called before the first effect. */
  readonly begun: () => void;
  /** Called when nothing has the addresses; a failure stops it there. */
  readonly midway: () => Failure | null;
}

/** RT_TABLE_LOCAL: the kernel's own, of addresses. */
const localTable = 255;

export function moveUplink(
  doors: Doors,
  operation: UplinkOperation,
  progress: UplinkProgress,
): Result<void> {
  const ends = findEnds(doors, operation);
  if (!ends.ok) return ends;
  const { door, bridge, uplink } = ends.value;
  const attach = operation.kind === 'attach-uplink';
  const label = linkLabel(operation.namespace, operation.interface);
  const bridgeLabel = linkLabel(operation.namespace, operation.bridge);
  if (uplink === null) return fail(missingFailure(label));
  // On the way back the bridge may be gone, and with it what it had.
  if (bridge === null && attach) return fail(missingFailure(bridgeLabel));
  if (bridge !== null && !doors.isOwn(door, bridge)) {
    return fail(foreignFailure(doors.lab, bridgeLabel));
  }
  if (labOfMark(uplink.alias ?? null) !== null) return fail(foreignFailure(doors.lab, label));
  if (attach && uplink.master !== undefined && uplink.master !== bridge?.index) {
    return fail(missingFailure(`${label} as a port of nothing`));
  }
  const from = attach ? uplink : bridge;
  const to = attach ? bridge : uplink;
  if (to === null) return fail(missingFailure(bridgeLabel));
  if (from !== null) {
    const simple = refuseOtherTables(door, from, linkLabel(operation.namespace, from.name));
    if (!simple.ok) return simple;
  }
  progress.begun();
  const steps: (() => Result<void>)[] = [];
  const order = inAdditionOrder(operation.addresses);
  if (from !== null) {
    for (const route of [...operation.routes].reverse()) {
      steps.push(() => removeRoute(door, route, from));
    }
    for (const address of [...order].reverse()) {
      steps.push(() => removeAddress(door, address, from));
    }
  }
  steps.push(() => {
    const stop = progress.midway();
    return stop === null ? succeed(undefined) : fail(stop);
  });
  const { socket } = door;
  const isPort = bridge !== null && uplink.master === bridge.index;
  if (attach !== isPort) {
    const master = attach ? (bridge?.index ?? null) : null;
    steps.push(() => setLink(socket, uplink.index, { master }, label));
  }
  const mac = attach ? operation.macs.attached : operation.macs.detached;
  if (bridge !== null && mac !== null && mac !== bridge.mac) {
    steps.push(() => setLink(socket, bridge.index, { mac }, bridgeLabel));
  }
  for (const address of order) steps.push(() => giveAddress(door, address, to));
  for (const route of operation.routes) steps.push(() => giveRoute(door, route, to));
  for (const step of steps) {
    const done = step();
    if (!done.ok) return done;
  }
  return succeed(undefined);
}

interface Ends {
  readonly door: Door;
  readonly bridge: Link | null;
  readonly uplink: Link | null;
}

function findEnds(doors: Doors, operation: UplinkOperation): Result<Ends> {
  const door = doors.open(operation.namespace);
  if (!door.ok) return door;
  const bridge = door.value.findLink(operation.bridge);
  if (!bridge.ok) return bridge;
  const uplink = door.value.findLink(operation.interface);
  if (!uplink.ok) return uplink;
  return succeed({ door: door.value, bridge: bridge.value, uplink: uplink.value });
}

/** Routes of other tables go with the last IPv4 address, and no plan knows of them. */
function refuseOtherTables(door: Door, link: Link, label: string): Result<void> {
  const routes = listRoutes(door.socket, { table: 'all', interfaceIndex: link.index });
  if (!routes.ok) return routes;
  const other = routes.value.find(
    ({ table, interfaceIndex }) =>
      interfaceIndex === link.index && table !== RT_TABLE_MAIN && table !== localTable,
  );
  if (other === undefined) return succeed(undefined);
  return fail({
    kind: 'refused',
    code: 'uplink-other-tables',
    object: label,
    reason: `${label} has routes in table ${other.table}, which would be lost when its addresses move.`,
    next: 'Remove those routes, or choose another interface as the uplink.',
    values: { table: other.table },
  });
}

function settingsOf(given: UplinkAddress, link: Link): Parameters<typeof addAddress>[1] {
  const label = given.label === null ? undefined : `${link.name}${given.label}`;
  return {
    interfaceIndex: link.index,
    prefix: given.address,
    scope: given.scope,
    peer: given.peer ?? undefined,
    broadcast: given.broadcast ?? undefined,
    // IFNAMSIZ
    label: label !== undefined && label.length <= 15 ? label : undefined,
    metric: given.metric ?? undefined,
    protocol: given.protocol ?? undefined,
    noPrefixRoute: given.noPrefixRoute,
    noDuplicateDetection: given.noDuplicateDetection,
  };
}

function giveAddress(door: Door, given: UplinkAddress, link: Link): Result<void> {
  const settings = settingsOf(given, link);
  const ipv6 = given.address.includes(':');
  // A route from an IPv6 address waits until that has been tried for duplicates; the flag goes again below.
  const added = addAddress(door.socket, { ...settings, noDuplicateDetection: ipv6 });
  if (!added.ok && !isErrno(added.failure, 'EEXIST')) return added;
  return ipv6 && !given.noDuplicateDetection
    ? changeAddress(door.socket, settings)
    : succeed(undefined);
}

function removeAddress(door: Door, given: UplinkAddress, link: Link): Result<void> {
  const removed = deleteAddress(door.socket, {
    interfaceIndex: link.index,
    prefix: given.address,
    peer: given.peer ?? undefined,
  });
  return removed.ok || isErrno(removed.failure, 'EADDRNOTAVAIL') ? succeed(undefined) : removed;
}

function routeSettings(route: UplinkRoute, link: Link): RouteSettings {
  const everything = route.to === '0.0.0.0/0' || route.to === '::/0';
  return {
    destination: everything ? 'default' : route.to,
    family: route.to.includes(':') ? 6 : 4,
    gateway: route.via ?? undefined,
    interfaceIndex: link.index,
    metric: route.metric,
    protocol: route.protocol,
    scope: route.scope,
    preferredSource: route.source ?? undefined,
    onLink: route.onLink,
  };
}

function giveRoute(door: Door, route: UplinkRoute, link: Link): Result<void> {
  const settings = routeSettings(route, link);
  const added = addRoute(door.socket, settings);
  if (added.ok || !isErrno(added.failure, 'EEXIST')) return added;
  const routes = listRoutes(door.socket, { family: settings.family ?? 4 });
  if (!routes.ok) return routes;
  if (routes.value.some((candidate) => isRoute(candidate, route, link))) return succeed(undefined);
  // Two of the same destination and metric, as there were before.
  return addRoute(door.socket, settings, { append: true });
}

function removeRoute(door: Door, route: UplinkRoute, link: Link): Result<void> {
  const removed = deleteRoute(door.socket, routeSettings(route, link));
  return removed.ok || isErrno(removed.failure, 'ESRCH') ? succeed(undefined) : removed;
}

function isRoute(candidate: Route, route: UplinkRoute, link: Link): boolean {
  const everything = route.to === '0.0.0.0/0' || route.to === '::/0';
  return (
    candidate.interfaceIndex === link.index &&
    candidate.family === (route.to.includes(':') ? 6 : 4) &&
    candidate.destination === (everything ? 'default' : route.to) &&
    (candidate.gateway ?? null) === route.via &&
    (candidate.metric ?? 0) === route.metric
  );
}

function isAddress(candidate: Address, given: UplinkAddress, link: Link): boolean {
  return (
    candidate.interfaceIndex === link.index &&
    `${candidate.address}/${candidate.prefixLength}` === given.address &&
    (candidate.peer ?? null) === given.peer
  );
}

/** `done` and `not-done` when everything is at one of the two, `partly` in between. */
export function readUplink(doors: Doors, operation: UplinkOperation): Result<Effect> {
  const ends = findEnds(doors, operation);
  if (!ends.ok) return ends;
  const { door, bridge, uplink } = ends.value;
  const addresses = listAddresses(door.socket);
  if (!addresses.ok) return addresses;
  const routes = listRoutes(door.socket);
  if (!routes.ok) return routes;
  const placesOf = (link: Link | null): number =>
    link === null
      ? 0
      : operation.addresses.filter((given) =>
          addresses.value.some((candidate) => isAddress(candidate, given, link)),
        ).length +
        operation.routes.filter((given) =>
          routes.value.some((candidate) => isRoute(candidate, given, link)),
        ).length;
  const all = operation.addresses.length + operation.routes.length;
  const isPort = uplink !== null && bridge !== null && uplink.master === bridge.index;
  const attached = isPort && placesOf(bridge) === all && placesOf(uplink) === 0;
  const detached = !isPort && placesOf(uplink) === all && placesOf(bridge) === 0;
  const attach = operation.kind === 'attach-uplink';
  if (attached !== detached) return succeed(attached === attach ? 'done' : 'not-done');
  return succeed('partly');
}
