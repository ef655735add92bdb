/** What goes with links. */
import { initialBridge, initialVlans } from '../api/device.ts';
import type { LinkView } from '../api/inventory.ts';
import { defaultMtu } from './device.ts';
import { initialOf } from './inverse.ts';
import { changeOf } from './link-change.ts';
import { differing, initialPortOf, lastingSettings, pick, sameVlans } from './link-settings.ts';
import { linkKey } from './network.ts';
import { givenAddresses, type ObservedLink, routeOfOperation } from './observed.ts';
import type { LinkSettings, Operation } from './operation.ts';
import type { PlanDraft } from './plan-draft.ts';
import { smallestMtu } from './plan-mtus.ts';
import type { UplinkPlanner } from './plan-uplinks.ts';

/** What goes with a link that goes, as the operations that put it back. */
export class LinkContents {
  private readonly draft: PlanDraft;
  private readonly uplinks: UplinkPlanner;

  constructor(draft: PlanDraft, uplinks: UplinkPlanner) {
    this.draft = draft;
    this.uplinks = uplinks;
  }

  /** Addresses, administrative states and routes that go with links, in the order that puts them back. */
  of(links: readonly ObservedLink[]): readonly Operation[] {
    const { observed } = this.draft;
    const settings: Operation[] = [];
    const addresses: Operation[] = [];
    const ipv6Addresses: Operation[] = [];
    const ups: Operation[] = [];
    const routes: Operation[] = [];
    for (const link of links) {
      const { view, namespace, key } = link;
      settings.push(...this.settingsOf(namespace, view));
      for (const address of givenAddresses(view)) {
        const ours = address.owned || this.draft.listsAddress(key, address.address);
        if (this.uplinks.gave(link, address)) continue;
        if (!ours) {
          const label = this.draft.labelOf(namespace, view.name);
          const values = { address: address.address, interface: label };
          this.draft.warn('foreign-address-lost', label, values);
        }
        (address.family === 'ipv6' ? ipv6Addresses : addresses).push({
          kind: 'add-address',
          namespace,
          interface: view.name,
          address: address.address,
          ...(ours ? {} : { foreign: true }),
        });
      }
      // A bond brings its members up itself, and gives them its MTU.
      const bond = observed.linkById(view.master)?.view;
      if (bond?.kind === 'bond' && bond.mtu !== view.mtu) {
        settings.push(changeOf(namespace, view.name, { mtu: bond.mtu }, { mtu: view.mtu }));
      }
      const made = this.draft.observedMasterKind(link) === 'bond';
      if (view.up !== made) ups.push(changeOf(namespace, view.name, { up: made }, { up: view.up }));
      if (namespace === null) continue;
      for (const route of observed.routesOf(namespace)) {
        if (route.link?.key !== key || this.uplinks.moves(link, route)) continue;
        const ours = this.draft.ownsRoute(namespace, route);
        if (!ours) this.draft.warnOfRoute('foreign-route-lost', namespace, route);
        routes.push({
          kind: 'add-route',
          namespace,
          route: routeOfOperation(route),
          ...(ours ? {} : { foreign: true }),
        });
      }
    }
    return [...settings, ...addresses, ...ups, ...ipv6Addresses, ...routes];
  }

  /** What a link that is made anew lacks of what this one has. */
  private settingsOf(namespace: string | null, view: LinkView): readonly Operation[] {
    const at = { namespace, name: view.name };
    const port = view.port === null ? {} : differing(view.port, initialPortOf(view.kind));
    // The cost of a port that nobody has set follows from its speed.
    const stated = this.draft.statesCost(linkKey(namespace, view.name));
    const { cost, ...others } = port;
    const wanted = stated && cost !== undefined ? { ...others, cost } : others;
    const self = view.bridge !== null;
    const vlans = view.vlans ?? initialVlans;
    const bare = { port: pick(initialPortOf(view.kind), wanted) };
    return [
      ...(Object.keys(wanted).length === 0
        ? []
        : [changeOf(namespace, view.name, bare, { port: wanted })]),
      ...(sameVlans(vlans, initialVlans)
        ? []
        : [
            { kind: 'change-vlans' as const, ...at, self, before: [...initialVlans], after: vlans },
          ]),
      ...(view.impairment === null
        ? []
        : [{ kind: 'change-impairment' as const, ...at, before: null, after: view.impairment }]),
    ];
  }

  /** What a bare bridge needs to be this one. A MAC or MTU is only set again where it was pinned. */
  ofBridge(bridge: ObservedLink): readonly Operation[] {
    const { view } = bridge;
    const listed = this.draft.base?.links.get(bridge.key);
    const automatic = smallestMtu(this.draft.observed.portsOf(bridge).map((port) => port.view.mtu));
    const pinsMtu = (listed?.mtu ?? null) !== null || view.mtu !== automatic;
    const pinsMac = (listed?.mac ?? null) !== null && view.mac !== null;
    const settings = differing(lastingSettings(view, listed?.bridge ?? null), initialBridge);
    const after: LinkSettings = {
      ...(pinsMtu ? { mtu: view.mtu } : {}),
      ...(pinsMac && view.mac !== null ? { mac: view.mac } : {}),
      ...(Object.keys(settings).length > 0 ? { bridge: settings } : {}),
    };
    if (Object.keys(after).length === 0) return [];
    // Setting the MTU that a bridge has does not pin it (dev_set_mtu returns early): there and back does.
    const passing = pinsMtu && view.mtu === defaultMtu ? defaultMtu - 1 : defaultMtu;
    const before: LinkSettings = {
      ...after,
      ...(after.mtu === undefined ? {} : { mtu: passing }),
      ...(after.bridge === undefined ? {} : { bridge: initialOf(after.bridge) }),
    };
    const { namespace } = bridge;
    const detour = changeOf(namespace, view.name, { mtu: defaultMtu }, { mtu: passing });
    return [
      ...(passing === defaultMtu ? [] : [detour]),
      changeOf(namespace, view.name, before, after),
    ];
  }
}
