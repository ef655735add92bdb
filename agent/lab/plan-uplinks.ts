/** Uplinks: interfaces that are not ours, as ports of bridges of ours. */
import { defaultConfirmWithin } from '../api/plan.ts';
import {
  linkKey,
  type NetworkLink,
  type NetworkRoute,
  readableDestination,
  routeKey,
} from './network.ts';
import type { GivenAddress, ObservedLink } from './observed.ts';
import type { Operation } from './operation.ts';
import type { PlanDraft } from './plan-draft.ts';
import { failureOf, type SentenceCode, type SentenceValues, warningOf } from './sentences.ts';
import { movableOf } from './uplink.ts';

interface AttachedUplink {
  readonly bridge: ObservedLink;
  readonly uplink: ObservedLink;
}

type UplinkOperation = Extract<Operation, { readonly kind: 'attach-uplink' | 'detach-uplink' }>;

type RouteKeyParts = Pick<NetworkRoute, 'to' | 'via' | 'metric'> & { readonly owned: boolean };

/** What a bridge does not take as a port (br_add_if), and what is a bridge's own business. */
const unfitKinds: ReadonlySet<string> = new Set(['loopback', 'bridge', 'gre', 'ipip', 'vrf']);

export class UplinkPlanner {
  /** Uplinks that are ports of a bridge of ours, and the bridges, by the bridge's key. */
  readonly attached: ReadonlyMap<string, AttachedUplink>;
  /** What goes back to an uplink, by its key. */
  readonly detaching = new Map<string, UplinkOperation>();

  private readonly draft: PlanDraft;
  /** Keys of uplinks that are or become ports. */
  private readonly movingRoutes = new Set<string>();

  constructor(draft: PlanDraft) {
    this.draft = draft;
    this.attached = this.findAttached();
  }

  private findAttached(): ReadonlyMap<string, AttachedUplink> {
    const { observed, ownership } = this.draft;
    const found = new Map<string, AttachedUplink>();
    for (const uplinks of [this.draft.desired.uplinks, this.draft.base?.uplinks ?? []]) {
      for (const [key, name] of uplinks) {
        const bridge = observed.links.get(key);
        if (bridge?.view.kind !== 'bridge' || !ownership.ownsLink(bridge)) continue;
        const uplink = observed.links.get(linkKey(bridge.namespace, name));
        if (uplink === undefined || uplink.view.master !== bridge.view.id) continue;
        if (!ownership.ownsLink(uplink)) found.set(key, { bridge, uplink });
      }
    }
    return found;
  }

  /** Whether an address of a bridge came from its uplink: nobody else has a say about it. */
  gave(link: ObservedLink, address: GivenAddress): boolean {
    if (!this.attached.has(link.key) || address.owned) return false;
    return (
      !this.draft.listsAddress(link.key, address.address) &&
      this.draft.desired.links.get(link.key)?.addresses.includes(address.address) !== true
    );
  }

  /** Whether a route through a bridge or an uplink goes where the uplink’s addresses go. */
  moves({ namespace, key, view }: ObservedLink, route: RouteKeyParts): boolean {
    if (!this.attached.has(key)) return this.movingRoutes.has(key);
    const text = routeKey({ ...route, dev: view.name });
    const listed = namespace !== null && this.draft.baseRoutes(namespace).has(text);
    if (route.owned || listed) return false;
    const wanted = namespace === null ? [] : (this.draft.desired.routes.get(namespace) ?? []);
    return !wanted.some((other) => routeKey(other) === text);
  }

  /** Gives back what no longer is an uplink, or loses its bridge. */
  detach(): void {
    const { desired, observed } = this.draft;
    for (const [key, { bridge, uplink }] of this.attached) {
      const stays = this.draft.kept.has(key);
      if (stays && desired.uplinks.get(key) === uplink.view.name) continue;
      const { addresses, routes } = movableOf(
        bridge.view,
        observed.routesThrough(bridge),
        (address) => this.gave(bridge, address),
        (route, to) => this.moves(bridge, { ...route, to }),
      );
      const pinned = desired.links.get(key)?.mac ?? null;
      const others = observed
        .portsOf(bridge)
        .flatMap((port) => (port === uplink ? [] : (port.view.mac ?? [])));
      const operation: UplinkOperation = {
        kind: 'detach-uplink',
        namespace: bridge.namespace,
        bridge: bridge.view.name,
        interface: uplink.view.name,
        addresses,
        routes,
        macs: {
          attached: bridge.view.mac,
          // What the kernel would choose (br_stp_recalculate_bridge_id).
          detached: stays ? (pinned ?? others.sort()[0] ?? null) : null,
        },
      };
      this.detaching.set(uplink.key, operation);
      this.draft.push('detach-uplinks', operation);
    }
  }

  attach(): void {
    const { desired } = this.draft;
    for (const [key, name] of desired.uplinks) {
      const bridge = desired.links.get(key);
      if (bridge === undefined) continue;
      const uplink = this.draft.observed.links.get(linkKey(bridge.namespace, name));
      const label = this.draft.labelOf(bridge.namespace, name);
      const problem = this.problemOfUplink(uplink, key);
      if (problem !== null || uplink === undefined) {
        const [code, more] = problem ?? (['uplink-missing', {}] as const);
        const values = { interface: label, bridge: bridge.name, ...more };
        const kind = code === 'uplink-missing' ? 'unknown-object' : 'name-taken';
        this.draft.refusals.push(failureOf(kind, code, label, values));
        continue;
      }
      this.attachUplink(key, bridge, uplink, label);
    }
  }

  /** Why an interface cannot be the uplink of a bridge; null when it can. */
  private problemOfUplink(
    uplink: ObservedLink | undefined,
    bridgeKey: string,
  ): readonly [SentenceCode, SentenceValues] | null {
    if (uplink === undefined || this.draft.removedKeys.has(uplink.key)) {
      return ['uplink-missing', {}];
    }
    const { view } = uplink;
    if (view.lab !== null && view.lab !== this.draft.lab) {
      return ['interface-of-other-lab', { name: view.name, other: view.lab }];
    }
    if (unfitKinds.has(view.kind) || view.device?.kind === 'tun') {
      return ['uplink-unfit', { kind: view.kind }];
    }
    const attached = this.attached.get(bridgeKey);
    const stays = attached?.uplink === uplink;
    if (view.master === null || stays || this.detaching.has(uplink.key)) return null;
    const master = this.draft.observed.viewById.get(view.master)?.name ?? 'another interface';
    return ['uplink-is-port', { master }];
  }

  private attachUplink(
    key: string,
    bridge: NetworkLink,
    uplink: ObservedLink,
    label: string,
  ): void {
    const { view } = uplink;
    const own = movableOf(
      view,
      this.draft.observed.routesThrough(uplink),
      (address) => !address.owned,
      () => true,
    );
    this.movingRoutes.add(uplink.key);
    for (const to of own.intricate) {
      const values = { to: readableDestination(to), interface: label };
      this.draft.refusals.push(failureOf('refused', 'uplink-route-intricate', label, values));
    }
    for (const address of own.dynamic) {
      const values = { address, interface: label, bridge: bridge.name };
      this.draft.warn('uplink-address-dynamic', label, values);
    }
    if (!view.up) this.draft.warn('uplink-down', label, { interface: label, bridge: bridge.name });
    const back = this.detaching.get(uplink.key);
    const addresses = [...own.addresses, ...(back?.addresses ?? [])];
    const routes = [...own.routes, ...(back?.routes ?? [])];
    const observed = this.draft.observed.links.get(key);
    if (this.attached.get(key)?.uplink === uplink && addresses.length + routes.length === 0) return;
    this.draft.push('attach-uplinks', {
      kind: 'attach-uplink',
      namespace: bridge.namespace,
      bridge: bridge.name,
      interface: view.name,
      addresses,
      routes,
      // Neighbours and DHCP servers know the way in by the NIC's MAC; and it must not change as ports come and go.
      macs: {
        attached: bridge.mac === null ? view.mac : null,
        detached:
          bridge.mac === null && this.draft.kept.has(key) ? (observed?.view.mac ?? null) : null,
      },
    });
    const values = { interface: label, bridge: bridge.name };
    this.draft.confirm ??= {
      within: defaultConfirmWithin,
      reason: warningOf('uplink-at-stake', label, values),
    };
    const defaults = this.draft.observed.defaultsBeside(uplink);
    const before =
      back === undefined
        ? undefined
        : this.draft.observed.links.get(linkKey(back.namespace, back.bridge));
    const through = [uplink, observed, before].map((link) => link?.view.index);
    for (const family of ['ipv4', 'ipv6'] as const) {
      const ways = defaults.filter((route) => route.family === family);
      if (ways.length === 0 || !ways.every(({ index }) => through.includes(index ?? -1))) continue;
      if (!this.draft.onlyWays.includes(label)) this.draft.onlyWays.push(label);
    }
  }
}
