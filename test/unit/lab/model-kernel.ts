/**
 * A kernel of a few hundred lines: interprets operations on a model of namespaces and links, with the consequences that
 * Linux has (measured on 6.1 and read in its source), and refuses what Linux refuses. It knows nothing of the planner.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  isInSubnet,
  parseHostAddress,
  parsePrefix,
  parseSubnetAddress,
} from '../../../agent/lab/address.ts';
import {
  type BridgeSettings,
  type Device,
  type Impairment,
  initialBridge,
  initialPort,
  initialVlans,
  type PortSettings,
  type SomeBridgeSettings,
  type SomePortSettings,
  type VlanEntry,
} from '../../../agent/api/device.ts';
import type { AddressView, Inventory, LinkView, RouteView } from '../../../agent/api/inventory.ts';
import type { OpenFlowTables, OvsBridge, OvsEngineView } from '../../../agent/api/ovs.ts';
import type { LinkSettings, Operation, Route, VethEnd } from '../../../agent/lab/operation.ts';

interface ModelAddress {
  readonly address: string;
  readonly owned: boolean;
  readonly automatic: boolean;
}

interface ModelLink {
  readonly id: string;
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  space: ModelNamespace;
  mac: string;
  macSet: boolean;
  mtu: number;
  mtuSet: boolean;
  up: boolean;
  master: ModelLink | null;
  peer: ModelLink | null;
  lab: string | null;
  readonly device: Device | null;
  /** What it sits on. */
  readonly parent: ModelLink | null;
  readonly bridge: BridgeSettings | null;
  port: PortSettings | null;
  vlans: readonly VlanEntry[] | null;
  impairment: Impairment | null;
  /** What a bond gives back when it lets go. */
  beforeBond: { readonly mtu: number; readonly mac: string } | null;
  /** Whether a bond has ever had a say in its MTU. */
  wasBonded: boolean;
  addresses: ModelAddress[];
}

interface ModelBridge {
  bridge: OvsBridge;
  readonly lab: string | null;
  /** Null is what Open vSwitch has by itself. */
  tables: OpenFlowTables | null;
}

interface ModelRoute {
  readonly to: string;
  readonly via: string | null;
  readonly dev: ModelLink;
  readonly metric: number;
  readonly owned: boolean;
}

interface ModelNamespace {
  readonly id: string;
  readonly name: string | null;
  readonly links: Map<string, ModelLink>;
  routes: ModelRoute[];
  readonly forwarding: { ipv4: boolean; ipv6: boolean };
  rules: string | null;
  /** Command by name. */
  readonly runs: Map<string, readonly string[]>;
  /** Bridges of its Open vSwitch by name; null without one. */
  engine: Map<string, ModelBridge> | null;
}

const isV6 = (address: string): boolean => address.includes(':');

export class ModelKernel {
  readonly lab: string;
  private readonly spaces = new Map<string | null, ModelNamespace>();
  private counter = 1;

  constructor(lab: string) {
    this.lab = lab;
    this.addSpace(null, null);
  }

  // What a person may do by hand

  addForeignNamespace(name: string): void {
    this.addSpace(name, null);
  }

  addForeignLink(namespace: string | null, name: string, kind: string): void {
    const device: Device | null = kind === 'dummy' ? { kind } : null;
    this.addLink(this.space(namespace), name, kind, null, device);
  }

  addForeignAddress(namespace: string | null, name: string, address: string): void {
    this.addAddress(this.link(namespace, name), address, false);
  }

  addForeignRoute(namespace: string | null, route: Route): void {
    this.addRoute(this.space(namespace), route, false);
  }

  setByHand(namespace: string | null, name: string, settings: LinkSettings): void {
    this.configure(this.link(namespace, name), settings);
  }

  deleteByHand(namespace: string | null, name: string): void {
    this.destroy(this.link(namespace, name));
  }

  deleteAddressByHand(namespace: string | null, name: string, address: string): void {
    this.removeAddress(this.link(namespace, name), address);
  }

  deleteNamespaceByHand(name: string): void {
    this.removeSpace(name);
  }

  impairByHand(namespace: string | null, name: string, impairment: Impairment | null): void {
    this.link(namespace, name).impairment = impairment;
  }

  tagByHand(namespace: string | null, name: string, vlans: readonly VlanEntry[]): void {
    const link = this.link(namespace, name);
    if (link.vlans !== null) link.vlans = vlans;
  }

  /** Ends the processes, drops the rules and stops or starts forwarding. */
  upsetNamespaceByHand(name: string): void {
    const space = this.space(name);
    space.runs.clear();
    space.rules = null;
    space.forwarding.ipv4 = !space.forwarding.ipv4;
  }

  has(namespace: string | null, name: string): boolean {
    return this.spaces.get(namespace)?.links.has(name) === true;
  }

  /** Shrinks the devices that did not shrink with what is below them: nobody could make them so large again. */
  shrinkByHand(): void {
    for (const space of this.spaces.values()) {
      for (const link of space.links.values())
        this.setMtu(link, Math.min(link.mtu, highestMtu(link)));
    }
  }

  /** Whether a route has its gateway in the subnet of an address: it would stay without it, and nobody could add it again. */
  leadsToGateway(namespace: string | null, name: string, address: string): boolean {
    const subnet = parseSubnetAddress(address);
    return this.space(namespace).routes.some(({ dev, via }) => {
      const gateway = via === null ? null : parseHostAddress(via);
      return (
        dev.name === name && gateway !== null && subnet !== null && isInSubnet(gateway, subnet)
      );
    });
  }

  linkNames(): readonly (readonly [string | null, string])[] {
    return [...this.spaces.values()].flatMap((space) =>
      [...space.links.keys()].map((name) => [space.name, name] as const),
    );
  }

  addressesAt(namespace: string | null, name: string): readonly string[] {
    return this.link(namespace, name)
      .addresses.filter((address) => !address.automatic)
      .map((address) => address.address);
  }

  // Operations

  execute(operation: Operation): void {
    this.carryOut(operation);
    for (const space of this.spaces.values()) this.followPorts(space);
  }

  private carryOut(operation: Operation): void {
    switch (operation.kind) {
      case 'add-namespace':
        this.addSpace(operation.name, this.lab);
        return;
      case 'remove-namespace':
        this.mustBeOurs(this.link(operation.name, 'lo'));
        this.removeSpace(operation.name);
        return;
      case 'add-bridge': {
        const bridge = this.addLink(
          this.space(operation.namespace),
          operation.name,
          'bridge',
          this.lab,
        );
        if (operation.mac !== null) bridge.mac = operation.mac;
        assignKnown(bridge.bridge, operation.settings);
        if (operation.mtu !== null) this.configure(bridge, { mtu: operation.mtu });
        return;
      }
      case 'remove-bridge': {
        const bridge = this.link(operation.namespace, operation.name);
        this.mustBeOurs(bridge);
        if (bridge.kind !== 'bridge') throw new Error(`${bridge.name} is no bridge`);
        this.destroy(bridge);
        return;
      }
      case 'add-veth': {
        const [left, right] = operation.ends.map((end) => this.addEnd(end));
        if (left === undefined || right === undefined) throw new Error('a pair has two ends');
        left.peer = right;
        right.peer = left;
        operation.ends.forEach((end, at) => {
          const link = at === 0 ? left : right;
          if (end.master !== null) this.configure(link, { master: end.master });
        });
        return;
      }
      case 'remove-veth': {
        const [left, right] = operation.ends.map((end) => this.link(end.namespace, end.name));
        if (left === undefined || left.peer !== right) throw new Error('not a pair');
        this.mustBeOurs(left);
        this.destroy(left);
        return;
      }
      case 'add-device':
        this.addDevice(operation);
        return;
      case 'remove-device': {
        const link = this.link(operation.namespace, operation.name);
        this.mustBeOurs(link);
        if (!isSame(link.device, operation.device)) throw new Error(`another ${link.name}`);
        this.destroy(link);
        return;
      }
      case 'change-vlans': {
        const link = this.link(operation.namespace, operation.name);
        this.mustBeOurs(link);
        if (operation.self !== (link.kind === 'bridge')) throw new Error('self is of a bridge');
        this.expect(link, 'vlans', link.vlans, operation.before);
        link.vlans = operation.after;
        return;
      }
      case 'change-impairment': {
        const link = this.link(operation.namespace, operation.name);
        this.mustBeOurs(link);
        this.expect(link, 'impairment', link.impairment, operation.before);
        link.impairment = operation.after;
        return;
      }
      case 'change-forwarding': {
        const { forwarding } = this.ownSpace(operation.namespace);
        if (forwarding[operation.family] !== operation.before) throw new Error('forwarding');
        forwarding[operation.family] = operation.after;
        return;
      }
      case 'change-rules': {
        const space = this.ownSpace(operation.namespace);
        if (space.rules !== operation.before) throw new Error('other rules');
        space.rules = operation.after;
        return;
      }
      case 'start-process': {
        const { runs } = this.spaceOfRun(operation.namespace);
        if (runs.has(operation.name)) throw new Error(`${operation.name} runs already`);
        runs.set(operation.name, operation.command);
        return;
      }
      case 'stop-process': {
        const { runs } = this.spaceOfRun(operation.namespace);
        if (!isSame(runs.get(operation.name) ?? null, operation.command)) {
          throw new Error(`${operation.name} does not run so`);
        }
        runs.delete(operation.name);
        return;
      }
      case 'change-link':
        this.changeLink(operation);
        return;
      case 'add-address': {
        const link = this.link(operation.namespace, operation.interface);
        this.mustBeOurs(link);
        this.addAddress(link, operation.address, operation.foreign !== true);
        return;
      }
      case 'remove-address': {
        const link = this.link(operation.namespace, operation.interface);
        this.mustBeOurs(link);
        this.removeAddress(link, operation.address);
        return;
      }
      case 'change-address': {
        const link = this.link(operation.namespace, operation.interface);
        this.mustBeOurs(link);
        if (isV6(operation.before) !== isV6(operation.after)) throw new Error('two families');
        this.removeAddress(link, operation.before);
        this.addAddress(link, operation.after, true);
        return;
      }
      case 'add-route':
        this.addRoute(this.space(operation.namespace), operation.route, operation.foreign !== true);
        return;
      case 'remove-route':
        this.removeRoute(this.space(operation.namespace), operation.route);
        return;
      case 'start-engine': {
        const space = this.space(operation.namespace);
        if (space.engine !== null) throw new Error('an engine runs already');
        space.engine = new Map();
        return;
      }
      case 'stop-engine': {
        const space = this.space(operation.namespace);
        if (space.engine === null) throw new Error('no engine runs');
        if (space.engine.size > 0) throw new Error('bridges are left');
        space.engine = null;
        return;
      }
      case 'change-ovs-bridge':
        this.changeSwitch(operation);
        return;
      case 'change-openflow': {
        const bridge = this.engine(operation.namespace).get(operation.name);
        if (bridge === undefined) throw new Error(`no bridge ${operation.name}`);
        if (!isSame(bridge.tables, operation.before)) throw new Error('other flows');
        bridge.tables = operation.after;
      }
    }
  }

  // Open vSwitch

  private engine(namespace: string | null): Map<string, ModelBridge> {
    const { engine } = this.space(namespace);
    if (engine === null) throw new Error(`no engine in ${namespace ?? 'the realm'}`);
    return engine;
  }

  addForeignSwitch(namespace: string | null, bridge: OvsBridge): void {
    this.space(namespace).engine ??= new Map();
    this.engine(namespace).set(bridge.name, { bridge, lab: null, tables: null });
    this.addLink(this.space(namespace), bridge.name, 'tun', null, modelTap);
  }

  setSwitchByHand(namespace: string | null, name: string, change: Partial<OvsBridge>): void {
    const bridge = this.engine(namespace).get(name);
    if (bridge !== undefined) bridge.bridge = { ...bridge.bridge, ...change };
  }

  private changeSwitch(operation: Extract<Operation, { kind: 'change-ovs-bridge' }>): void {
    const { namespace, name, before, after } = operation;
    const engine = this.engine(namespace);
    const there = engine.get(name);
    if (!isSame(there?.bridge ?? null, before)) throw new Error(`${name} is not as before`);
    if (there !== undefined && there.lab !== this.lab) throw new Error(`${name} is foreign`);
    const space = this.space(namespace);
    const [had, has] = [internalsOf(before), internalsOf(after)];
    for (const link of had) {
      if (has.includes(link)) continue;
      const gone = this.link(namespace, link);
      // Nobody could put back what would go with it.
      if (gone.up || gone.addresses.length > 0) throw new Error(`${link} is in use`);
      this.destroy(gone);
    }
    for (const port of after?.ports ?? []) {
      for (const one of port.interfaces) {
        if (one.kind !== 'system') continue;
        const link = space.links.get(one.name);
        if (link === undefined) throw new Error(`no link ${one.name} for ${name}`);
        if (link.master !== null) throw new Error(`${one.name} is a port of something else`);
      }
    }
    for (const link of has) {
      if (!had.includes(link)) this.addLink(space, link, 'tun', this.lab, modelTap);
    }
    const flushed = before !== null && after !== null && before.failMode !== after.failMode;
    if (flushed && (there?.tables ?? null) !== null) throw new Error('flows would be lost');
    if (after === null) {
      if ((there?.tables ?? null) !== null) throw new Error('flows would be lost');
      engine.delete(name);
    } else if (there === undefined)
      engine.set(name, { bridge: after, lab: this.lab, tables: null });
    else there.bridge = after;
    const names = [...engine.values()].flatMap(({ bridge }) =>
      bridge.ports.flatMap((port) => port.interfaces.map((one) => one.name)),
    );
    if (new Set(names).size < names.length) throw new Error('two ports of one name');
  }

  private followPorts(space: ModelNamespace): void {
    for (const { bridge } of space.engine?.values() ?? []) {
      const all = bridge.ports.flatMap(({ interfaces }) => interfaces);
      const mtus = all.flatMap((one) => {
        if (one.kind === 'internal') return one.mtu ?? [];
        return one.kind === 'system' ? (space.links.get(one.name)?.mtu ?? []) : [];
      });
      for (const one of all) {
        const link = one.kind === 'internal' ? space.links.get(one.name) : undefined;
        if (link === undefined) continue;
        this.setMtu(link, one.mtu ?? Math.min(...mtus, ...(mtus.length === 0 ? [1500] : [])));
      }
    }
  }

  private engineViews(): OvsEngineView[] {
    return [...this.spaces.values()].flatMap((space): OvsEngineView[] =>
      space.engine === null
        ? []
        : [
            {
              namespace: space.id,
              kind: 'private',
              datapath: 'netdev',
              version: '3.1.0',
              schemaVersion: '8.3.1',
              database: { pid: 1, running: true },
              switch: { pid: 2, running: true },
              events: [],
              bridges: [...space.engine.values()].map(({ bridge, lab, tables }) => ({
                bridge,
                lab,
                intricate: false,
                tables,
                interfaces: [],
              })),
            },
          ],
    );
  }

  private changeLink(operation: Extract<Operation, { kind: 'change-link' }>): void {
    const link = this.link(operation.namespace, operation.name);
    const { before, after } = operation;
    if (JSON.stringify(Object.keys(before).sort()) !== JSON.stringify(Object.keys(after).sort())) {
      throw new Error('before and after name different settings');
    }
    // A foreign port of a bridge of ours that comes back is put back.
    const isReattachment = link.lab === null && Object.keys(after).join() === 'master';
    if (!isReattachment) this.mustBeOurs(link);
    if (before.up !== undefined) this.expect(link, 'up', link.up, before.up);
    if (before.master !== undefined) {
      this.expect(link, 'master', link.master?.name ?? null, before.master);
    }
    // A bridge may have followed its ports already, and nobody sees what a bond gives back.
    if (before.mtu !== undefined && link.kind !== 'bridge' && !link.wasBonded) {
      this.expect(link, 'mtu', link.mtu, before.mtu);
    }
    this.expectFields(link, link.bridge, before.bridge);
    // Only a veth pair says how fast it is.
    const { cost, ...port } = before.port ?? {};
    this.expectFields(link, link.port, port);
    if (link.kind === 'veth') this.expectFields(link, link.port, { cost });
    this.configure(link, after);
  }

  private expect(link: ModelLink, key: string, actual: unknown, expected: unknown): void {
    if (isSame(actual, expected)) return;
    const [is, not] = [JSON.stringify(actual), JSON.stringify(expected)];
    throw new Error(`${link.space.name ?? ''}:${link.name}: ${key} is ${is}, not ${not}`);
  }

  private expectFields(link: ModelLink, actual: object | null, expected: object | undefined): void {
    const fields = new Map<string, unknown>(Object.entries(actual ?? {}));
    for (const [key, value] of Object.entries(expected ?? {})) {
      if (value !== undefined) this.expect(link, key, fields.get(key), value);
    }
  }

  // Rules of the kernel

  /** In the order of do_setlink(): the master before the state. */
  private configure(link: ModelLink, settings: LinkSettings): void {
    if (settings.mac !== undefined) {
      link.mac = settings.mac;
      link.macSet = true;
      if (link.device?.kind === 'bond') for (const port of portsOf(link)) port.mac = link.mac;
    }
    if (settings.bridge !== undefined) assignKnown(link.bridge, settings.bridge);
    if (settings.mtu !== undefined && settings.mtu !== link.mtu) {
      if (settings.mtu > highestMtu(link)) throw new Error(`EINVAL MTU of ${link.name}`);
      if (link.kind === 'bridge') link.mtuSet = true;
      this.setMtu(link, settings.mtu);
    }
    if (settings.master !== undefined) {
      if (link.master !== null) this.leave(link, link.master);
      if (settings.master !== null) {
        const master = link.space.links.get(settings.master);
        if (master === undefined) throw new Error(`no master ${settings.master}`);
        this.join(link, master);
      }
    }
    if (settings.port !== undefined) {
      if (link.port === null) throw new Error(`${link.name} is no port`);
      assignKnown(link.port, settings.port);
    }
    if (settings.up === false) this.lower(link);
    if (settings.up === true) this.raise(link);
  }

  private raise(link: ModelLink): void {
    if (link.up) return;
    // vlan_dev_open
    if (link.device?.kind === 'vlan' && link.parent?.up !== true) {
      throw new Error(`ENETDOWN ${link.name}`);
    }
    link.up = true;
    if (link.kind === 'loopback') {
      const given = link.addresses.filter(({ automatic }) => !automatic);
      const own = ['127.0.0.1/8', '::1/128'].map((address) => automaticAddress(address));
      link.addresses = [...own, ...given];
    } else link.addresses.push(automaticAddress(`fe80::${link.index.toString(16)}/64`));
    for (const upper of vlansOn(link)) this.raise(upper);
  }

  private lower(link: ModelLink): void {
    if (!link.up) return;
    link.up = false;
    link.addresses = link.addresses.filter(({ address }) => !isV6(address));
    this.dropRoutes(link, () => true);
    for (const upper of vlansOn(link)) this.lower(upper);
  }

  private join(link: ModelLink, master: ModelLink): void {
    const kind = master.device?.kind ?? master.kind;
    if (kind === 'bond') {
      // bond_enslave
      if (link.up) throw new Error(`EPERM ${link.name} is up`);
      if (portsOf(master).length === 0 && !master.macSet) master.mac = link.mac;
      link.beforeBond = { mtu: link.mtu, mac: link.mac };
      link.wasBonded = true;
      link.master = master;
      link.mac = master.mac;
      this.setMtu(link, master.mtu);
      this.raise(link);
    } else if (kind === 'vrf') {
      link.master = master;
      this.cycle(link);
    } else if (kind === 'bridge') {
      link.master = master;
      link.port = { ...initialPort, cost: costOf(link) };
      link.vlans = initialVlans;
      this.follow(master);
    } else throw new Error(`EOPNOTSUPP ${master.name} takes no ports`);
  }

  private leave(link: ModelLink, master: ModelLink): void {
    const kind = master.device?.kind ?? master.kind;
    link.master = null;
    if (kind === 'bond') {
      // __bond_release_one
      this.lower(link);
      if (link.beforeBond !== null) {
        link.mac = link.beforeBond.mac;
        this.setMtu(link, link.beforeBond.mtu);
      }
      link.beforeBond = null;
      if (portsOf(master).length > 0) return;
      master.mac = '02:00:00:00:ee:ee';
      master.macSet = false;
    } else if (kind === 'vrf') this.cycle(link);
    else {
      link.port = null;
      link.vlans = null;
      this.follow(master);
    }
  }

  /** cycle_netdev */
  private cycle(link: ModelLink): void {
    if (!link.up) return;
    this.lower(link);
    this.raise(link);
  }

  private addDevice(operation: Extract<Operation, { kind: 'add-device' }>): void {
    const { namespace, name, device, mac, mtu, master } = operation;
    const space = this.space(namespace);
    const parentName = 'parent' in device ? device.parent : null;
    const parent = parentName === null ? null : this.link(namespace, parentName);
    if (device.kind === 'vlan') {
      const taken = vlansOn(parent).some(
        (other) =>
          other.device?.kind === 'vlan' &&
          other.device.id === device.id &&
          other.device.protocol === device.protocol,
      );
      if (taken) throw new Error(`EEXIST VLAN ${device.id}`);
    }
    const kind = device.kind === 'tap' ? 'tun' : device.kind;
    const link = this.addLink(space, name, kind, this.lab, device, parent);
    link.mtu = Math.min(device.kind === 'vrf' ? 65575 : 1500, highestMtu(link));
    if (device.kind === 'vlan' || device.kind === 'macvlan') link.mtu = highestMtu(link);
    if (device.kind === 'vxlan' && parent !== null) link.mtu = highestMtu(link);
    this.configure(link, {
      ...(mac === null ? {} : { mac }),
      ...(mtu === null ? {} : { mtu }),
      ...(master === null ? {} : { master }),
    });
  }

  private setMtu(link: ModelLink, mtu: number): void {
    if (mtu === link.mtu) return;
    link.mtu = mtu;
    if (mtu < 1280) link.addresses = link.addresses.filter(({ address }) => !isV6(address));
    // vlan_device_event and macvlan_device_event shrink what is above; bond_change_mtu sets all members.
    for (const upper of uppersOf(link)) {
      if (upper.device?.kind !== 'vxlan' && upper.mtu > mtu) this.setMtu(upper, mtu);
    }
    if (link.device?.kind === 'bond') for (const port of portsOf(link)) this.setMtu(port, mtu);
    if (link.master?.kind === 'bridge') this.follow(link.master);
  }

  /** br_mtu_auto_adjust */
  private follow(bridge: ModelLink): void {
    if (bridge.mtuSet) return;
    const mtus = portsOf(bridge).map((link) => link.mtu);
    this.setMtu(bridge, mtus.length === 0 ? 1500 : Math.min(...mtus));
  }

  private addAddress(link: ModelLink, address: string, owned: boolean): void {
    const host = (text: string): string => text.split('/')[0] ?? '';
    const clash = link.addresses.some((other) =>
      isV6(address) ? host(other.address) === host(address) : other.address === address,
    );
    if (clash) throw new Error(`EEXIST ${address} on ${link.name}`);
    if (isV6(address) && link.mtu < 1280) throw new Error(`IPv6 at MTU ${link.mtu}`);
    link.addresses.push({ address, owned, automatic: false });
  }

  private removeAddress(link: ModelLink, address: string): void {
    const at = link.addresses.findIndex((other) => other.address === address);
    if (at < 0) throw new Error(`EADDRNOTAVAIL ${address} on ${link.name}`);
    const subnet = (text: string): string | undefined =>
      isV6(text) ? undefined : parseSubnetAddress(text)?.subnet;
    const isFirst =
      !isV6(address) &&
      link.addresses.findIndex((other) => subnet(other.address) === subnet(address)) === at;
    link.addresses = link.addresses.filter(
      (other, index) => index !== at && !(isFirst && subnet(other.address) === subnet(address)),
    );
    if (!isV6(address) && !link.addresses.some((other) => !isV6(other.address))) {
      this.dropRoutes(link, (route) => !isV6(route.to));
    }
  }

  private addRoute(space: ModelNamespace, route: Route, owned: boolean): void {
    const dev = space.links.get(route.dev ?? '');
    if (dev === undefined || !dev.up) throw new Error(`ENETDOWN route to ${route.to}`);
    if (parsePrefix(route.to)?.text !== route.to) throw new Error(`not canonical: ${route.to}`);
    const metric = route.metric ?? (isV6(route.to) ? 1024 : 0);
    if (space.routes.some((other) => other.to === route.to && other.metric === metric)) {
      throw new Error(`EEXIST route to ${route.to}`);
    }
    if (route.via !== null) {
      const gateway = parseHostAddress(route.via);
      const reachable = dev.addresses.some((address) => {
        const subnet = parseSubnetAddress(address.address);
        return gateway !== null && subnet !== null && isInSubnet(gateway, subnet);
      });
      if (!reachable) throw new Error(`EHOSTUNREACH gateway ${route.via}`);
    }
    space.routes.push({ to: route.to, via: route.via, dev, metric, owned });
  }

  private removeRoute(space: ModelNamespace, route: Route): void {
    const metric = route.metric ?? (isV6(route.to) ? 1024 : 0);
    const at = space.routes.findIndex(
      (other) =>
        other.to === route.to &&
        other.via === route.via &&
        other.dev.name === route.dev &&
        other.metric === metric,
    );
    if (at < 0) throw new Error(`ESRCH route to ${route.to}`);
    space.routes.splice(at, 1);
  }

  private dropRoutes(link: ModelLink, which: (route: ModelRoute) => boolean): void {
    const { space } = link;
    space.routes = space.routes.filter((route) => route.dev !== link || !which(route));
  }

  private destroy(link: ModelLink): void {
    for (const end of link.peer === null ? [link] : [link, link.peer]) {
      for (const upper of uppersOf(end)) {
        if (end.space.links.has(upper.name)) this.destroy(upper);
      }
      this.dropRoutes(end, () => true);
      end.space.links.delete(end.name);
      if (end.master !== null) this.leave(end, end.master);
      for (const port of portsOf(end)) this.leave(port, end);
    }
  }

  private addSpace(name: string | null, lab: string | null): void {
    if (this.spaces.has(name)) throw new Error(`EEXIST namespace ${String(name)}`);
    const space: ModelNamespace = {
      id: String(4026530000 + this.counter),
      name,
      links: new Map(),
      routes: [],
      forwarding: { ipv4: false, ipv6: false },
      rules: null,
      runs: new Map(),
      engine: null,
    };
    this.counter += 1;
    this.spaces.set(name, space);
    const lo = this.addLink(space, 'lo', 'loopback', lab);
    lo.mtu = 65536;
  }

  private removeSpace(name: string): void {
    const space = this.space(name);
    for (const link of [...space.links.values()]) {
      if (space.links.has(link.name)) this.destroy(link);
    }
    this.spaces.delete(name);
  }

  private addEnd(end: VethEnd): ModelLink {
    const link = this.addLink(this.space(end.namespace), end.name, 'veth', this.lab);
    if (end.mac !== null) link.mac = end.mac;
    if (end.mtu !== null) link.mtu = end.mtu;
    return link;
  }

  private addLink(
    space: ModelNamespace,
    name: string,
    kind: string,
    lab: string | null,
    device: Device | null = null,
    parent: ModelLink | null = null,
  ): ModelLink {
    if (space.links.has(name)) throw new Error(`EEXIST link ${name}`);
    const index = this.counter;
    this.counter += 1;
    const bytes = [2, 0, 0, 0, index >> 8, index & 0xff];
    const link: ModelLink = {
      id: `${space.id}/${index}`,
      index,
      name,
      kind,
      space,
      mac: bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
      mtu: 1500,
      mtuSet: false,
      up: false,
      master: null,
      peer: null,
      lab,
      device,
      parent,
      bridge: kind === 'bridge' ? { ...initialBridge } : null,
      port: null,
      vlans: kind === 'bridge' ? initialVlans : null,
      impairment: null,
      macSet: false,
      beforeBond: null,
      wasBonded: false,
      addresses: [],
    };
    space.links.set(name, link);
    return link;
  }

  private space(name: string | null): ModelNamespace {
    const space = this.spaces.get(name);
    if (space === undefined) throw new Error(`ENOENT namespace ${String(name)}`);
    return space;
  }

  private link(namespace: string | null, name: string): ModelLink {
    const link = this.space(namespace).links.get(name);
    if (link === undefined) throw new Error(`ENODEV ${namespace ?? ''}:${name}`);
    return link;
  }

  /** The realm's own bears no mark, and is the planner's to spare. */
  private ownSpace(name: string | null): ModelNamespace {
    if (name !== null) this.mustBeOurs(this.link(name, 'lo'));
    return this.space(name);
  }

  /** The realm's own namespace is nobody's; a lab may run something there. */
  private spaceOfRun(name: string | null): ModelNamespace {
    return name === null ? this.space(null) : this.ownSpace(name);
  }

  private mustBeOurs(link: ModelLink): void {
    if (link.lab !== this.lab) throw new Error(`${link.name} is foreign`);
  }

  // Views

  inventory(): Inventory {
    const spaces = [...this.spaces.values()];
    return {
      sequence: 1,
      namespaces: spaces.map((space) => ({
        id: space.id,
        names: space.name === null ? [] : [space.name],
        root: space.name === null,
        container: null,
        mounts: [],
        processes: [],
        processCount: space.runs.size,
        runs: [...space.runs].map(([name, command], at) => ({
          lab: this.lab,
          name,
          pid: 100 + at,
          command: [...command],
        })),
        forwarding: { ...space.forwarding },
        rules: space.rules,
        lab: space.links.get('lo')?.lab ?? null,
      })),
      links: spaces.flatMap((space) => [...space.links.values()].map((link) => viewOf(link))),
      routes: spaces.map((space) => ({
        namespace: space.id,
        routes: [
          ...space.routes.map((route) => routeViewOf(route)),
          ...[...space.links.values()].flatMap((link) => connectedRoutesOf(link)),
        ],
      })),
      engines: this.engineViews(),
    };
  }

  /** The whole state as text, without identifiers and unpinned MACs; with `foreignOnly` what is nobody's. */
  text(options: { readonly foreignOnly?: boolean } = {}): string {
    const lines: string[] = [];
    for (const space of this.spaces.values()) {
      const place = space.name ?? '-';
      const isForeign = (link: ModelLink): boolean => link.lab === null;
      if (
        space.name !== null &&
        (options.foreignOnly !== true || space.links.get('lo')?.lab === null)
      ) {
        const { ipv4, ipv6 } = space.forwarding;
        const owner = space.links.get('lo')?.lab ?? 'foreign';
        lines.push(`namespace ${place} ${owner} forwards ${ipv4} ${ipv6} rules ${space.rules}`);
      }
      if (options.foreignOnly !== true || space.links.get('lo')?.lab === null) {
        for (const [name, command] of space.runs) {
          lines.push(`run ${place} ${name} ${command.join(' ')}`);
        }
      }
      for (const link of space.links.values()) {
        if (options.foreignOnly === true && !isForeign(link)) continue;
        lines.push(
          [
            `link ${place}/${link.name} ${link.kind} ${link.lab ?? 'foreign'}`,
            `${link.up ? 'up' : 'down'} mtu ${link.mtu}`,
            `master ${link.master?.name ?? '-'}`,
            `peer ${link.peer === null ? '-' : `${link.peer.space.name ?? '-'}/${link.peer.name}`}`,
            ...[link.device, link.bridge, link.port, link.vlans, link.impairment].map((part) =>
              plainText(part),
            ),
            // A bond gives its members its own, which is that of its first.
            ...(link.kind === 'veth' && link.beforeBond === null ? [link.mac] : []),
          ].join(' '),
        );
        for (const address of link.addresses) {
          if (address.automatic) continue;
          lines.push(`address ${place}/${link.name} ${address.address} ${address.owned}`);
        }
      }
      if (space.engine !== null && options.foreignOnly !== true) lines.push(`engine ${place}`);
      for (const { bridge, lab, tables } of space.engine?.values() ?? []) {
        if (options.foreignOnly === true && lab !== null) continue;
        lines.push(`switch ${place} ${lab} ${plainText(bridge)} ${plainText(tables)}`);
      }
      for (const route of space.routes) {
        if (options.foreignOnly === true && !isForeign(route.dev)) continue;
        const { to, via, dev, metric, owned } = route;
        lines.push(`route ${place} ${to} via ${via ?? '-'} dev ${dev.name} ${metric} ${owned}`);
      }
    }
    return lines.sort().join('\n');
  }
}

const modelTap: Device = { kind: 'tap', owner: null, group: null, multiQueue: false };

function internalsOf(bridge: OvsBridge | null): readonly string[] {
  return (bridge?.ports ?? []).flatMap(({ interfaces }) =>
    interfaces.flatMap(({ kind, name }) => (kind === 'internal' ? [name] : [])),
  );
}

/** JSON with the keys in order. */
function plainText(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part === null || typeof part !== 'object' || Array.isArray(part)
      ? part
      : Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1))),
  );
}

function portsOf(master: ModelLink): readonly ModelLink[] {
  return [...master.space.links.values()].filter((link) => link.master === master);
}

function uppersOf(link: ModelLink): readonly ModelLink[] {
  return [...link.space.links.values()].filter(({ parent }) => parent === link);
}

function vlansOn(link: ModelLink | null): readonly ModelLink[] {
  return link === null ? [] : uppersOf(link).filter(({ device }) => device?.kind === 'vlan');
}

/** vlan_dev_change_mtu, macvlan_change_mtu, vxlan_change_mtu */
function highestMtu({ device, parent }: ModelLink): number {
  if (device === null || parent === null) return Infinity;
  if (device.kind !== 'vxlan') return parent.mtu;
  return parent.mtu - (device.remote !== null && isV6(device.remote) ? 70 : 50);
}

/** port_cost: only a veth pair and what sits on one say a speed. */
function costOf(link: ModelLink): number {
  return link.kind === 'veth' ? initialPort.cost : 100;
}

function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(one, other);
}

function assignKnown<T extends BridgeSettings | PortSettings>(
  target: T | null,
  settings: T extends BridgeSettings ? SomeBridgeSettings : SomePortSettings,
): void {
  if (target === null) throw new Error('there is nothing to set');
  for (const [key, value] of Object.entries(settings)) {
    if (value !== undefined) Object.assign(target, { [key]: value });
  }
}

function automaticAddress(address: string): ModelAddress {
  return { address, owned: false, automatic: true };
}

function viewOf(link: ModelLink): LinkView {
  return {
    id: link.id,
    namespace: link.space.id,
    index: link.index,
    name: link.name,
    kind: link.kind,
    mac: link.mac,
    mtu: link.mtu,
    up: link.up,
    carrier: link.up,
    operationalState: link.up ? 'up' : 'down',
    master: link.master?.id ?? null,
    peer: link.peer?.id ?? null,
    alias: link.lab === null ? null : `netloom:${link.lab}`,
    lab: link.lab,
    addresses: link.addresses.map((address): AddressView => {
      const scope = link.kind === 'loopback' ? 'host' : 'link';
      return {
        address: address.address,
        family: isV6(address.address) ? 'ipv6' : 'ipv4',
        scope: address.automatic ? scope : 'global',
        owned: address.owned,
        tentative: false,
        duplicate: false,
      };
    }),
    device: link.device,
    bridge: link.bridge === null ? null : { ...link.bridge },
    port: link.port === null ? null : { ...link.port },
    portState: link.port === null ? null : 'forwarding',
    vlans: link.vlans === null ? null : [...link.vlans],
    bondMember: link.beforeBond === null ? null : { state: 'active', linkUp: link.up },
    impairment: link.impairment,
    queueing: null,
    holders: [],
  };
}

function routeViewOf(route: ModelRoute): RouteView {
  return {
    family: isV6(route.to) ? 'ipv6' : 'ipv4',
    to: route.to,
    via: route.via,
    index: route.dev.index,
    metric: route.metric,
    table: 254,
    protocol: route.owned ? 78 : 4,
    scope: 'global',
    kind: 'unicast',
    owned: route.owned,
  };
}

/** Protocol `kernel`: never anybody's. */
function connectedRoutesOf(link: ModelLink): readonly RouteView[] {
  if (!link.up || link.kind === 'loopback') return [];
  return link.addresses.flatMap((address): readonly RouteView[] => {
    const subnet = parseSubnetAddress(address.address)?.subnet;
    if (subnet === undefined) return [];
    const family = isV6(subnet) ? 'ipv6' : 'ipv4';
    return [
      {
        family,
        to: subnet,
        via: null,
        index: link.index,
        metric: family === 'ipv6' ? 256 : 0,
        table: 254,
        protocol: 2,
        scope: 'link',
        kind: 'unicast',
        owned: false,
      },
    ];
  });
}
