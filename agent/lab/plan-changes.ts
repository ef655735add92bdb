/** Settings of links that stay, and what links of either sort have beside them: of a port, VLANs and impairment. */
import {
  type BridgeSettings,
  initialVlans,
  type PortSettings,
  type SomeBridgeSettings,
} from '../api/device.ts';
import { sameImpairment } from '../api/impairment.ts';
import { parentOf } from './device.ts';
import { changeOf, LinkChange } from './link-change.ts';
import {
  differing,
  initialPortOf,
  lastingSettings,
  ownTimes,
  pick,
  sameVlans,
} from './link-settings.ts';
import { keyOf, type NetworkLink } from './network.ts';
import type { ObservedLink } from './observed.ts';
import type { KeptLink, PlanDraft } from './plan-draft.ts';
import type { LinkMtus } from './plan-mtus.ts';
import type { LinkStates } from './plan-states.ts';
import { failureOf } from './sentences.ts';
import type { WantedLinks } from './wanted-links.ts';

export class LinkChanger {
  private readonly draft: PlanDraft;
  private readonly wanted: WantedLinks;
  private readonly states: LinkStates;
  private readonly mtus: LinkMtus;

  constructor(draft: PlanDraft, wanted: WantedLinks, states: LinkStates, mtus: LinkMtus) {
    this.draft = draft;
    this.wanted = wanted;
    this.states = states;
    this.mtus = mtus;
  }

  /** MAC, MTU, master and the settings of a bridge. */
  change(link: KeptLink): void {
    const { observed, wanted } = link;
    const { view, namespace } = observed;
    const early = new LinkChange();
    const late = new LinkChange();
    const at = [namespace, view.name] as const;
    if (wanted.kind === 'internal') {
      // Its MAC and MTU are in the database.
      this.changeMaster(link, early);
      this.draft.pushChange('change-links', at, early);
      return;
    }
    const bonded = this.wanted.masterKindOf(wanted) === 'bond';
    const leavesBond = this.states.leavesBond(link);
    if (wanted.mac !== null && !bonded && !leavesBond) {
      const forgets = this.forgetsMac(observed);
      if (forgets || wanted.mac !== view.mac) {
        (forgets ? late : early).set('mac', view.mac ?? wanted.mac, wanted.mac);
      }
    }
    if (wanted.bridge !== null) {
      this.changeBridge(observed, wanted.bridge, early, late);
    } else if (parentOf(wanted.device) === null && !leavesBond) {
      const mtu = this.mtus.of(wanted) ?? view.mtu;
      if (bonded) this.mtus.followBond(link);
      else if (mtu !== view.mtu) early.set('mtu', view.mtu, mtu);
    }
    this.changeMaster(link, early);
    this.draft.pushChange(wanted.kind === 'bridge' ? 'prepare-bridges' : 'change-links', at, early);
    if (leavesBond && !bonded) {
      // What the bond had set, after that has given back what was before.
      const again = new LinkChange();
      again.set('mtu', view.mtu, this.mtus.of(wanted) ?? view.mtu);
      if (wanted.mac !== null) again.set('mac', view.mac ?? wanted.mac, wanted.mac);
      this.draft.pushChange('change-links', at, again);
    }
    this.draft.pushChange('settle-mtus', at, late);
  }

  /** Whether a bond loses all its members, and with them its MAC (__bond_release_one). */
  private forgetsMac(bond: ObservedLink): boolean {
    const members = bond.view.kind === 'bond' ? this.draft.observed.portsOf(bond) : [];
    return (
      members.length > 0 &&
      members.every(({ key }) => {
        const kept = this.draft.kept.get(key);
        return kept === undefined
          ? this.draft.removedKeys.has(key)
          : this.states.leavesMaster(kept);
      })
    );
  }

  private changeBridge(
    { view, namespace, key }: ObservedLink,
    wanted: BridgeSettings,
    early: LinkChange,
    late: LinkChange,
  ): void {
    const before: SomeBridgeSettings = differing(lastingSettings(view, null), wanted);
    const given = view.follower === true ? this.draft.base?.links.get(key)?.bridge : null;
    const times = differing(pick(given ?? {}, ownTimes), wanted);
    if (Object.keys(times).length > 0) {
      const after = { bridge: pick(wanted, times) };
      this.draft.push('prepare-bridges', {
        ...{ kind: 'change-link', namespace, name: view.name, before: { bridge: times }, after },
        unseen: true,
      });
    }
    const { stp, ...others } = before;
    const fields = Object.keys(others).length === 0 ? null : others;
    if (fields !== null) early.setBridge(fields, pick(wanted, fields));
    // A loop must not be open while its links change: STP comes before them and goes after them.
    if (stp === undefined) return;
    (wanted.stp ? early : late).setBridge({ stp }, { stp: wanted.stp });
  }

  private changeMaster(link: KeptLink, early: LinkChange): void {
    const { observed, wanted } = link;
    const { view, namespace } = observed;
    const down = changeOf(namespace, view.name, { up: true }, { up: false });
    const up = changeOf(namespace, view.name, { up: false }, { up: true });
    if (this.states.isRaisedFirst(link)) this.draft.push('raise-first', up);
    const leaves = this.states.leavesMaster(link);
    if (leaves) this.resetPort(link);
    const master = this.draft.observed.linkById(view.master);
    const current =
      master === undefined || this.draft.removedKeys.has(master.key) ? null : master.view.name;
    if (wanted.master !== current) early.set('master', current, wanted.master);
    // One that leaves a bond, or whose lower link goes down, goes down by itself.
    if (!view.up || this.states.leavesBond(link)) return;
    const carrier = this.states.carrierOf(link);
    if (carrier !== undefined && this.states.falls(carrier)) return;
    if (this.states.isCycled(link)) this.draft.push('links-down', down);
    else if (!wanted.up) early.set('up', true, false);
  }

  /** What a port has of its bridge goes when it leaves. */
  private resetPort({ observed, wanted }: KeptLink): void {
    const { view, namespace } = observed;
    const at = { namespace, name: view.name };
    const initial = initialPortOf(view.kind);
    // The cost of a port that nobody has set follows from its speed.
    const cost = this.draft.statesCost(observed.key) ? view.port?.cost : initial.cost;
    const changed = view.port === null ? {} : differing({ ...view.port, cost }, initial);
    if (Object.keys(changed).length > 0) {
      const after = pick(initial, changed);
      const change = changeOf(namespace, view.name, { port: changed }, { port: after });
      this.draft.push('reset-ports', change);
    }
    if (wanted.kind === 'bridge' || view.vlans === null) return;
    const before = view.vlans;
    if (sameVlans(before, initialVlans)) return;
    const after = [...initialVlans];
    this.draft.push('reset-ports', { kind: 'change-vlans', ...at, self: false, before, after });
  }

  /** Settings of a port, VLANs and impairment: of links that stay and of new ones. */
  planExtras(wanted: NetworkLink): void {
    const { namespace, name } = wanted;
    const kept = this.draft.kept.get(keyOf(wanted))?.observed.view;
    // A port that changes its bridge begins anew.
    const stays = kept !== undefined && this.staysPort(wanted);
    if (wanted.port !== null) {
      const initial = initialPortOf(wanted.device?.kind ?? wanted.kind);
      const before: PortSettings = (stays ? kept.port : null) ?? initial;
      const cost = this.draft.statesCost(keyOf(wanted)) ? initial.cost : before.cost;
      const port = { ...before, cost, ...wanted.port };
      const changed = differing(before, port);
      if (Object.keys(changed).length > 0) {
        const after = pick(port, changed);
        this.draft.push('vlans', changeOf(namespace, name, { port: changed }, { port: after }));
      }
    }
    if (wanted.vlans !== null && this.knowsVlans(wanted)) {
      const self = wanted.kind === 'bridge';
      const before = (stays || (self && kept !== undefined) ? kept.vlans : null) ?? initialVlans;
      if (!sameVlans(before, wanted.vlans)) {
        const after = wanted.vlans;
        this.draft.push('vlans', { kind: 'change-vlans', namespace, name, self, before, after });
      }
    }
    const before = kept?.impairment ?? null;
    if (kept !== undefined && kept.queueing !== null && wanted.impairment !== null) {
      const label = this.draft.labelOf(namespace, name);
      const values = { name: label, kind: kept.queueing };
      this.draft.refusals.push(failureOf('name-taken', 'queueing-taken', label, values));
    } else if (!sameImpairment(before, wanted.impairment)) {
      const after = wanted.impairment;
      this.draft.push('impairments', { kind: 'change-impairment', namespace, name, before, after });
    }
  }

  private staysPort(wanted: NetworkLink): boolean {
    const kept = this.draft.kept.get(keyOf(wanted))?.observed;
    const master = this.draft.observed.linkById(kept?.view.master ?? null);
    if (master === undefined || this.draft.removedKeys.has(master.key)) return false;
    return master.view.name === wanted.master;
  }

  /** A kernel without VLAN filtering has no table; what needs one is refused elsewhere. */
  private knowsVlans(wanted: NetworkLink): boolean {
    const kept = this.draft.kept.get(keyOf(wanted))?.observed.view;
    if (kept?.vlans !== undefined && kept.vlans !== null) return true;
    return wanted.vlans !== null && !sameVlans(wanted.vlans, initialVlans);
  }
}
