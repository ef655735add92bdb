/** Routes, but for those that move with an uplink. */
import { isInSubnet, parseHostAddress, parseSubnetAddress } from './address.ts';
import { type NetworkRoute, readableDestination, routeKey } from './network.ts';
import { type ObservedRoute, routeOfOperation } from './observed.ts';
import type { AddressPlanner } from './plan-addresses.ts';
import type { PlanDraft } from './plan-draft.ts';
import type { LinkStates } from './plan-states.ts';
import type { UplinkPlanner } from './plan-uplinks.ts';
import { failureOf } from './sentences.ts';

export class RoutePlanner {
  private readonly draft: PlanDraft;
  private readonly states: LinkStates;
  private readonly addresses: AddressPlanner;
  private readonly uplinks: UplinkPlanner;

  constructor(
    draft: PlanDraft,
    states: LinkStates,
    addresses: AddressPlanner,
    uplinks: UplinkPlanner,
  ) {
    this.draft = draft;
    this.states = states;
    this.addresses = addresses;
    this.uplinks = uplinks;
  }

  plan(namespace: string): void {
    const wanted = new Map<string, NetworkRoute>();
    for (const route of this.draft.desired.routes.get(namespace) ?? []) {
      wanted.set(routeKey(route), route);
    }
    const staying: ObservedRoute[] = [];
    const present = new Set<string>();
    for (const route of this.draft.observed.routesOf(namespace)) {
      const deviceKey = route.link?.key;
      if (deviceKey !== undefined && this.draft.removedKeys.has(deviceKey)) continue;
      const key = route.dev === null ? null : routeKey({ ...route, dev: route.dev });
      const isWanted = key !== null && wanted.has(key);
      const ours = isWanted || this.draft.ownsRoute(namespace, route);
      if (!ours && route.link !== null && this.uplinks.moves(route.link, route)) {
        staying.push(route);
        continue;
      }
      const disturbed = deviceKey !== undefined && this.disturbs(deviceKey, route);
      if (!ours) {
        if (!disturbed) staying.push(route);
        const code = disturbed ? 'foreign-route-lost' : 'foreign-route';
        this.draft.warnOfRoute(code, namespace, route);
        continue;
      }
      if (isWanted && !disturbed) {
        present.add(key);
        continue;
      }
      const operation = routeOfOperation(route);
      this.draft.push('remove-routes', { kind: 'remove-route', namespace, route: operation });
    }
    const taken = new Set(staying.map((route) => `${route.to} ${route.metric}`));
    for (const [key, route] of wanted) {
      if (present.has(key)) continue;
      if (taken.has(`${route.to} ${route.metric}`)) {
        const to = readableDestination(route.to);
        const values = { to, metric: route.metric, place: namespace };
        this.draft.refusals.push(failureOf('name-taken', 'route-taken', namespace, values));
        continue;
      }
      const operation = routeOfOperation(route);
      this.draft.push('add-routes', { kind: 'add-route', namespace, route: operation });
    }
  }

  /** Whether what is planned for a device makes the kernel drop a route through it. */
  private disturbs(deviceKey: string, route: ObservedRoute): boolean {
    const link = this.draft.kept.get(deviceKey);
    if (link === undefined) return false;
    if (this.states.falls(link)) return true;
    const change = this.addresses.changes.get(deviceKey);
    if (change === undefined) return false;
    if (route.family === 'ipv4' && change.baresIpv4) return true;
    const gateway = route.via === null ? null : parseHostAddress(route.via);
    if (gateway === null) return false;
    // Linux keeps such a route, but could not make it again; this way both directions are the same.
    return [...change.removed].some((text) => {
      const subnet = parseSubnetAddress(text);
      return subnet !== null && isInSubnet(gateway, subnet);
    });
  }
}
