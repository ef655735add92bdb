import { isSwitch, namespaceOfNode, parseEndpoint } from '../api/document.ts';
import type {
  BridgeNode,
  BridgePort,
  InterfaceSettings,
  LabDocument,
  LabLink,
  LabNode,
  VirtualMachineNode,
  NamespaceNode,
  RouteSettings,
} from '../api/document.ts';
import type { ImpairmentSettings } from '../api/document-values.ts';
import type { Device } from '../api/device.ts';
import type { OvsBridgeNode } from '../api/document-ovs.ts';
import type { Warning } from '../api/plan.ts';
import type { Failure, Place } from '../api/result.ts';
import {
  broadcastOf,
  hasHostBits,
  isInSubnet,
  isUsableMac,
  networkAddressOf,
  oddityOf,
  parseDestination,
  parseHostAddress,
  parseSubnetAddress,
} from './address.ts';
import type { HostAddress, SubnetAddress } from './address.ts';
import { type BridgeEnd, type BridgeWire, findBridgeLoops } from './bridge-loops.ts';
import { resolveCheck } from './check.ts';
import {
  beginsWithDefaultMtu,
  bitsPerSecond,
  defaultMtu,
  deviceOf,
  membersOf,
  overheadOf,
  parentOf,
  takesVlans,
} from './device.ts';
import { Groups } from './groups.ts';
import { longestCommandLine, systemCommandLine, usesSystem } from './virtual-machine.ts';
import { defaultMetric, linkKey, smallestIpv6Mtu } from './network.ts';
import {
  forwardsByItself,
  internalPortsOf,
  linkPortsOf,
  type OvsBondPort,
  type OvsInternalPort,
  type OvsLinkPort,
  type OvsPortWords,
  vlanOf,
} from './ovs-network.ts';
import { OverlayMtus } from './ovs-underlay.ts';
import { tunnelPairs, validateOvs } from './validate-ovs.ts';
import type { Bearer, FarEnd } from './validate-ovs.ts';
import { validateCpu } from './validate-cpu.ts';
import { validateRules } from './validate-rules.ts';
import { failureOf, warningOf } from './sentences.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';

/** Keys and indexes that lead to a value of the document. */
export type DocumentPath = readonly (string | number)[];
export type Locate = (path: DocumentPath) => Place;

/** What is allowed but probably not meant. */
export interface Advice extends Warning {
  readonly place?: Place | undefined;
}

export interface Validation {
  readonly problems: readonly Failure[];
  readonly advice: readonly Advice[];
}

/** BR_MAX_PORTS is 1 << 10, and port number 0 is not used. */
const maximumPorts = 1023;

/** At most this many problems, and as many pieces of advice, are reported. */
const maximumReports = 100;

/** `a.b.0` */
export function pathText(path: DocumentPath): string {
  return path.join('.');
}

/** Finds what a schema cannot: what the document means as a network. Expects what the schema has let through. */
export function validateDocument(
  document: LabDocument,
  locate: Locate = (path) => ({ path: pathText(path) }),
): Validation {
  const validator = new Validator(document, locate);
  validator.run();
  return { problems: validator.problems, advice: validator.advice };
}

/** An interface that the document makes. */
interface Interface {
  readonly label: string;
  readonly node: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly settings: AnySettings;
  readonly path: DocumentPath;
  /** Bridge that it is, or at which it is drawn. */
  readonly bridge: string | null;
  readonly isBridge: boolean;
  readonly device: Device | null;
  /** Made by Open vSwitch for a bridge, beside that one's own. */
  readonly isInternal?: true;
  /** Null for a device whose MTU only the kernel knows. */
  readonly mtu: number | null;
  readonly up: boolean;
}

/** Settings of a bridge itself, of an interface or of a port. */
type AnySettings =
  BridgeNode | InterfaceSettings | BridgePort | OvsBridgeNode | OvsLinkPort | OvsInternalPort;

function addressesOf(settings: AnySettings): readonly string[] {
  return 'addresses' in settings ? (settings.addresses ?? []) : [];
}

class Validator {
  readonly problems: Failure[] = [];
  readonly advice: Advice[] = [];

  private readonly document: LabDocument;
  private readonly locate: Locate;
  private readonly nodes: ReadonlyMap<string, LabNode>;
  private readonly overlayMtus: OverlayMtus;
  private readonly interfaces = new Map<string, Interface>();
  private readonly portsByBridge = new Map<string, Interface[]>();
  /** Ports of Open vSwitch that are no links: patch ports, tunnels and bonds. */
  private readonly ovsPorts = new Map<string, Interface>();
  private readonly patches: (readonly [Interface, Interface, DocumentPath])[] = [];
  private readonly wires: (readonly [Interface, Interface, DocumentPath])[] = [];
  private readonly domains = new Groups();
  /** Bond or VRF by the key of its member. */
  private readonly masters = new Map<string, Interface>();

  constructor(document: LabDocument, locate: Locate) {
    this.document = document;
    this.locate = locate;
    this.nodes = new Map(Object.entries(document.topology.nodes));
    this.overlayMtus = new OverlayMtus(document);
  }

  run(): void {
    this.collectBridges();
    this.collectOvsPorts();
    this.collectDevices();
    this.collectLinks();
    this.collectPatches();
    this.collectMembers();
    this.checkSettingsHaveLinks();
    this.checkBridges();
    this.checkUplinks();
    this.checkOvs();
    this.checkDevices();
    this.checkTunnels();
    this.checkVlans();
    this.checkImpairments();
    this.joinDomains();
    this.checkLoops();
    this.checkBondPairs();
    this.checkMtus();
    this.checkMacs();
    this.checkAddresses();
    this.checkLinkSubnets();
    this.checkInternet();
    for (const [name, node] of this.nodes) {
      if (node.kind === 'vm') this.checkMachine(name, node);
      if (node.kind !== 'namespace') continue;
      this.checkRoutes(name, node);
      this.checkRules(name, node);
      this.checkProcesses(name, node);
    }
    this.checkChecks();
    validateCpu(this.document, {
      report: this.report.bind(this),
      advise: this.advise.bind(this),
    });
    for (const name of Object.keys(this.document.positions ?? {})) {
      if (this.nodes.has(name)) continue;
      this.advise('position-of-unknown-node', name, { node: name }, ['positions', name]);
    }
  }

  // Interfaces

  private collectBridges(): void {
    for (const [name, node] of this.nodes) {
      if (!isSwitch(node)) continue;
      const path = ['topology', 'nodes', name];
      if (node.namespace !== undefined) {
        const owner = this.nodes.get(node.namespace);
        if (owner?.kind !== 'namespace') {
          const code = owner === undefined ? 'unknown-node' : 'not-a-namespace';
          this.report(code, name, { node: node.namespace }, [...path, 'namespace']);
        }
      }
      this.addInterface(
        {
          label: name,
          node: name,
          namespace: node.namespace ?? null,
          name,
          settings: node,
          path,
          bridge: name,
          isBridge: true,
          device: null,
          mtu: node.mtu ?? defaultMtu,
          up: node.state !== 'down',
        },
        path,
      );
    }
  }

  private collectOvsPorts(): void {
    for (const [nodeName, node] of this.nodes) {
      if (node.kind !== 'ovs-bridge') continue;
      for (const [name, settings] of internalPortsOf(node)) {
        const path = ['topology', 'nodes', nodeName, 'ports', name];
        const item: Interface = {
          ...this.ovsPort(nodeName, node, name, path),
          settings,
          isInternal: true,
          mtu: settings.mtu ?? null,
          up: settings.state !== 'down',
        };
        // One with an MTU of its own counts for the others.
        const counts = this.addInterface(item, path) && settings.mtu !== undefined;
        if (counts) append(this.portsByBridge, nodeName, item);
      }
      for (const [name, { kind }] of Object.entries(node.ports ?? {})) {
        if (kind === undefined || ['veth', 'tap', 'internal'].includes(kind)) continue;
        const path = ['topology', 'nodes', nodeName, 'ports', name];
        this.addOvsPort(this.ovsPort(nodeName, node, name, path), path);
      }
    }
  }

  private ovsPort(
    bridge: string,
    node: OvsBridgeNode,
    name: string,
    path: DocumentPath,
  ): Interface {
    return {
      label: `${bridge}:${name}`,
      node: bridge,
      namespace: node.namespace ?? null,
      name,
      settings: {},
      path,
      bridge,
      isBridge: false,
      device: null,
      mtu: null,
      up: true,
    };
  }

  private collectPatches(): void {
    for (const [index, link] of (this.document.topology.links ?? []).entries()) {
      if (link.type !== 'patch') continue;
      const path = ['topology', 'links', index, 'endpoints'];
      const object = link.endpoints.join(' — ');
      const ends: Interface[] = [];
      for (const [side, text] of link.endpoints.entries()) {
        const { node: nodeName, interface: name } = parseEndpoint(text);
        const node = this.nodes.get(nodeName);
        const at = [...path, side];
        if (node === undefined) this.report('unknown-node', text, { node: nodeName }, at);
        else if (node.kind !== 'ovs-bridge') {
          this.report('patch-not-at-bridge', text, { node: nodeName }, at);
        } else ends.push(this.ovsPort(nodeName, node, name, at));
      }
      const [left, right] = ends;
      if (left === undefined || right === undefined) continue;
      if (left.node === right.node) {
        this.report('patch-to-itself', object, { bridge: left.node }, path);
      } else if (left.namespace !== right.namespace) {
        const values = { bridge: left.node, other: right.node };
        this.report('patch-across-namespaces', object, values, path);
      } else {
        const added = [left, right].map((end) => this.addOvsPort(end, end.path));
        if (added.every(Boolean)) this.patches.push([left, right, ['topology', 'links', index]]);
      }
    }
  }

  private addOvsPort(item: Interface, path: DocumentPath): boolean {
    if (!this.isFree(item, path)) return false;
    this.ovsPorts.set(linkKey(item.namespace, item.name), item);
    return true;
  }

  private collectDevices(): void {
    for (const [nodeName, node] of this.nodes) {
      const atBridge = isSwitch(node);
      const { key, settings: interfaces } = settingsAt(node);
      for (const [name, settings] of Object.entries(interfaces)) {
        const device = deviceOf(settings as InterfaceSettings | BridgePort);
        if (device === null) continue;
        const path = ['topology', 'nodes', nodeName, key, name];
        const item: Interface = {
          label: `${nodeName}:${name}`,
          node: nodeName,
          namespace: namespaceOfNode(nodeName, node),
          name,
          settings,
          path,
          bridge: atBridge ? nodeName : null,
          isBridge: false,
          device,
          mtu: settings.mtu ?? null,
          up: settings.state !== 'down',
        };
        if (this.addInterface(item, path) && atBridge) append(this.portsByBridge, nodeName, item);
      }
    }
  }

  private collectMembers(): void {
    for (const item of this.interfaces.values()) {
      if (item.isBridge || item.device === null) continue;
      const members = membersOf(item.settings as InterfaceSettings | BridgePort);
      if (item.device.kind === 'bond' && members.length === 0) {
        this.advise('bond-without-members', item.label, { bond: item.name }, item.path);
      }
      for (const [index, name] of members.entries()) {
        const path = [...item.path, 'members', index];
        const key = linkKey(item.namespace, name);
        const member = this.interfaces.get(key);
        const other = this.masters.get(key);
        if (member === undefined || member.isBridge || member.node !== item.node) {
          const values = { interface: name, node: item.node };
          this.report('unknown-interface', item.label, values, path);
        } else if (member === item) {
          this.report('member-is-master', item.label, { interface: name }, path);
        } else if (other !== undefined) {
          const values = { interface: name, other: other.name };
          this.report('member-of-two', member.label, values, path);
        } else {
          this.masters.set(key, item);
          if (item.device.kind === 'bond' && addressesOf(member.settings).length > 0) {
            const values = { interface: name, bond: item.name };
            this.report('member-with-address', member.label, values, [...member.path, 'addresses']);
          }
        }
      }
    }
  }

  private masterOf(item: Interface): Interface | undefined {
    return this.masters.get(linkKey(item.namespace, item.name));
  }

  private collectLinks(): void {
    for (const [index, link] of (this.document.topology.links ?? []).entries()) {
      if (link.type === 'tunnel' || link.type === 'patch') continue;
      const path = ['topology', 'links', index];
      const [first, second] = link.endpoints;
      if (first === second) {
        this.report('same-endpoints', first, { endpoint: first }, [...path, 'endpoints']);
        continue;
      }
      const ends: Interface[] = [];
      for (const [side, text] of link.endpoints.entries()) {
        const endPath = [...path, 'endpoints', side];
        const { node: nodeName, interface: name } = parseEndpoint(text);
        const node = this.nodes.get(nodeName);
        if (node === undefined) {
          this.report('unknown-node', text, { node: nodeName }, endPath);
          continue;
        }
        const atBridge = isSwitch(node);
        const { key, settings: all } = settingsAt(node);
        const settings = own(all, name);
        const overlay = this.overlayMtus.ofLink(link);
        const end: Interface = {
          label: text,
          node: nodeName,
          namespace: namespaceOfNode(nodeName, node),
          name,
          settings: settings ?? {},
          path: settings === undefined ? endPath : ['topology', 'nodes', nodeName, key, name],
          bridge: atBridge ? nodeName : null,
          isBridge: false,
          device: null,
          mtu: settings?.mtu ?? link.mtu ?? overlay ?? defaultMtu,
          up: settings?.state !== 'down',
        };
        if (this.addInterface(end, endPath)) ends.push(end);
        if (atBridge) append(this.portsByBridge, nodeName, end);
      }
      const [left, right] = ends;
      if (left === undefined || right === undefined) continue;
      const [one, other] = [this.machineAt(left), this.machineAt(right)];
      if (one !== null && other !== null) {
        const object = link.endpoints.join(' — ');
        this.report('machine-to-machine', object, { node: left.node, other: right.node }, [
          ...path,
          'endpoints',
        ]);
        continue;
      }
      if (one !== null) append(this.taps, left.node, right);
      if (other !== null) append(this.taps, right.node, left);
      this.wires.push([left, right, path]);
    }
  }

  private addInterface(item: Interface, path: DocumentPath): boolean {
    if (!this.isFree(item, path)) return false;
    this.interfaces.set(linkKey(item.namespace, item.name), item);
    return true;
  }

  /** Whether nothing else in the namespace has the name; ports of Open vSwitch need one of their own as well. */
  private isFree(item: Interface, path: DocumentPath): boolean {
    const key = linkKey(item.namespace, item.name);
    const port = this.ovsPorts.get(key);
    const other = port ?? this.interfaces.get(key);
    if (other === undefined) return true;
    this.report(
      'duplicate-interface',
      item.label,
      {
        interface: item.name,
        place: item.namespace ?? 'the realm’s own namespace',
        other: other.isBridge
          ? `the node ${other.label}`
          : other === port || other.isInternal === true
            ? `the port ${other.label}`
            : other.device === null
              ? `the link at ${other.label}`
              : `the device ${other.label}`,
      },
      path,
    );
    return false;
  }

  private checkSettingsHaveLinks(): void {
    for (const [name, node] of this.nodes) {
      const { key, settings } = settingsAt(node);
      const namespace = namespaceOfNode(name, node);
      for (const interfaceName of Object.keys(settings)) {
        const place = linkKey(namespace, interfaceName);
        const made = this.interfaces.get(place) ?? this.ovsPorts.get(place);
        if (made?.node === name && !made.isBridge) continue;
        this.report(
          made?.isBridge === true ? 'settings-of-bridge' : 'interface-without-link',
          `${name}:${interfaceName}`,
          { interface: interfaceName, node: name },
          ['topology', 'nodes', name, key, interfaceName],
        );
      }
    }
  }

  private checkBridges(): void {
    for (const [bridge, ports] of this.portsByBridge) {
      if (ports.length <= maximumPorts || this.nodes.get(bridge)?.kind !== 'bridge') continue;
      const values = { bridge, count: ports.length, limit: maximumPorts };
      this.report('too-many-ports', bridge, values, ['topology', 'nodes', bridge]);
    }
  }

  /** What an uplink is in the machine is seen when the lab is planned; here, what the document says of it. */
  private checkUplinks(): void {
    const seen = new Map<string, string>();
    for (const [name, node] of this.nodes) {
      if (!isSwitch(node) || node.uplink === undefined) continue;
      const { uplink } = node;
      const path = ['topology', 'nodes', name, 'uplink'];
      const key = linkKey(node.namespace ?? null, uplink);
      const other = seen.get(key);
      if (other !== undefined) {
        this.report('uplink-of-two', name, { interface: uplink, other }, path);
      }
      seen.set(key, name);
      if (node.state === 'down') {
        this.report('uplink-bridge-down', name, { bridge: name, interface: uplink }, path);
      }
      const item = this.interfaces.get(key);
      if (node.kind === 'ovs-bridge' && (item?.device !== null || item.bridge !== null)) {
        const values = { interface: uplink, bridge: name };
        this.report('ovs-uplink-not-made', name, values, path);
        continue;
      }
      if (item === undefined) continue;
      const master = this.masterOf(item)?.name ?? (item.isBridge ? null : item.bridge);
      const kind = item.isBridge ? 'bridge' : item.device?.kind;
      if (master !== null) {
        this.report('uplink-is-member', name, { interface: uplink, other: master }, path);
      } else if (kind !== undefined && portlessKinds.has(kind)) {
        this.report('uplink-not-possible', name, { kind }, path);
      } else {
        const bridge = this.interfaces.get(linkKey(node.namespace ?? null, name));
        if (bridge !== undefined) this.domains.join(this.domainOf(item), this.domainOf(bridge));
      }
    }
  }

  private checkLoops(): void {
    for (const { wire, bridges, cutBy } of findBridgeLoops(
      this.wiresBetweenBridges(),
      this.nodes,
    )) {
      const [left, right, path] = wire;
      const object = `${left.label} — ${right.label}`;
      const values = { bridges: bridges.join(', ') };
      if (cutBy === null) this.report('bridge-loop', object, values, path);
      else this.report('bridge-loop-past-tree', object, { ...values, bridge: cutBy }, path);
    }
  }

  /** The wires that carry frames between bridges that forward by themselves, a bond as one. */
  private wiresBetweenBridges(): readonly BridgeWire<Interface>[] {
    const forwards = (bridge: string): boolean => {
      const node = this.nodes.get(bridge);
      if (node?.kind === 'ovs-bridge') return forwardsByItself(node);
      return node?.kind === 'bridge' && node.state !== 'down';
    };
    const bundles = new Set<string>();
    const found: BridgeWire<Interface>[] = [];
    for (const [left, right, path] of [...this.wires, ...this.patches, ...this.ovsTunnels()]) {
      if (!isAtBridge(left) || !isAtBridge(right) || !left.up || !right.up) continue;
      if (!forwards(left.bridge) || !forwards(right.bridge)) continue;
      // The wires between two bonds are one link.
      const [one, other] = [this.bundleOf(left), this.bundleOf(right)];
      if (one !== undefined && other !== undefined) {
        const bundle = [one.label, other.label].sort().join(' ');
        if (bundles.has(bundle)) continue;
        bundles.add(bundle);
      }
      // Of a bond that the far end knows nothing of, one member forwards what it hears.
      const alone = [left, right].find((end) => this.spreads(end));
      if (alone !== undefined) {
        const bond = this.bundleOf(alone)?.label ?? alone.label;
        if (bundles.has(bond)) continue;
        bundles.add(bond);
      }
      found.push([left, right, path]);
    }
    return found;
  }

  /**
   * Of two bonds joined by their links, one that keeps to a single link chooses it by itself: unless both choose the same,
   * nothing passes. LACP makes them agree.
   */
  private checkBondPairs(): void {
    const seen = new Set<string>();
    for (const [left, right] of this.wires) {
      for (const [end, far] of [
        [left, right],
        [right, left],
      ] as const) {
        const [, bond] = this.ovsBondOf(end) ?? [];
        const [own, other] = [this.bundleOf(end), this.bundleOf(far)];
        if (bond === undefined || own === undefined || other === undefined) continue;
        if ((bond.mode ?? 'active-backup') !== 'active-backup' || (bond.lacp ?? 'off') !== 'off') {
          continue;
        }
        if (seen.has(own.label)) continue;
        seen.add(own.label);
        this.advise(
          'bonds-choose-apart',
          own.label,
          { bond: own.label, other: other.label },
          own.path,
        );
      }
    }
  }

  /** The bond that a link is in, of the kernel or of Open vSwitch. */
  private bundleOf(item: Interface): Interface | undefined {
    const master = this.masterOf(item);
    if (master !== undefined) return master;
    const bond = this.ovsBondOf(item);
    return bond === undefined ? undefined : this.ovsPorts.get(linkKey(item.namespace, bond[0]));
  }

  /** The bond of Open vSwitch that a link is in, with its settings. */
  private ovsBondOf(item: Interface): readonly [string, OvsBondPort] | undefined {
    const node = item.bridge === null ? undefined : this.nodes.get(item.bridge);
    if (node?.kind !== 'ovs-bridge') return undefined;
    for (const [name, port] of Object.entries(node.ports ?? {})) {
      if (port.kind === 'bond' && port.members.includes(item.name)) return [name, port];
    }
    return undefined;
  }

  /** Whether a link is in a bond of Open vSwitch that may lead to several switches. */
  private spreads(item: Interface): boolean {
    const bond = this.ovsBondOf(item)?.[1];
    return bond !== undefined && (bond.lacp ?? 'off') === 'off';
  }

  /** Tunnels between Open vSwitch bridges, as wires. */
  private ovsTunnels(): readonly (readonly [Interface, Interface, DocumentPath])[] {
    const holders = new Map<string, (string | null)[]>();
    for (const item of this.interfaces.values()) {
      for (const text of addressesOf(item.settings)) {
        append(holders, parseSubnetAddress(text)?.host.text ?? text, item.namespace);
      }
    }
    const portAt = ([bridge, port]: readonly [string, string]): Interface | undefined => {
      const node = this.nodes.get(bridge);
      const namespace = node === undefined ? null : namespaceOfNode(bridge, node);
      return this.ovsPorts.get(linkKey(namespace, port));
    };
    return tunnelPairs(this.nodes, (address) => holders.get(address) ?? []).flatMap(
      ([one, other]) => {
        const [left, right] = [portAt(one), portAt(other)];
        return left === undefined || right === undefined ? [] : [[left, right, left.path] as const];
      },
    );
  }

  // Open vSwitch

  private checkOvs(): void {
    const uplinks = new Set(
      [...this.nodes.values()].flatMap((node) =>
        node.kind === 'ovs-bridge' && node.uplink !== undefined
          ? [linkKey(node.namespace ?? null, node.uplink)]
          : [],
      ),
    );
    const isOvs = (node: string): boolean => this.nodes.get(node)?.kind === 'ovs-bridge';
    const bearers = new Map<string | null, Bearer[]>();
    for (const item of this.interfaces.values()) {
      const addresses = addressesOf(item.settings);
      if (addresses.length === 0) continue;
      const { namespace, name, isBridge, isInternal, node } = item;
      append(bearers, namespace, {
        name,
        isInternal:
          isInternal === true || (isBridge && isOvs(node)) || uplinks.has(linkKey(namespace, name)),
        mtu: this.mtuOf(item) ?? defaultMtu,
        addresses,
      });
    }
    const ends = new Map<string, FarEnd[]>();
    const addEnd = (bridge: string, item: Interface): void => {
      const mtu = this.mtuOf(item);
      if (mtu !== null) append(ends, bridge, { label: item.label, mtu, path: item.path });
    };
    for (const [left, right] of this.wires) {
      if (left.bridge !== null && right.bridge === null) addEnd(left.bridge, right);
      if (right.bridge !== null && left.bridge === null) addEnd(right.bridge, left);
    }
    for (const item of this.interfaces.values()) {
      const own = item.isInternal === true || (item.isBridge && isOvs(item.node));
      if (own && item.bridge !== null && addressesOf(item.settings).length > 0) {
        addEnd(item.bridge, item);
      }
    }
    validateOvs({
      nodes: this.nodes,
      report: (...words) => {
        this.report(...words);
      },
      advise: (...words) => {
        this.advise(...words);
      },
      hasInterface: (namespace, name) => this.interfaces.has(linkKey(namespace, name)),
      isLink: (bridge, port) => {
        const node = this.nodes.get(bridge);
        const item =
          node === undefined
            ? undefined
            : this.interfaces.get(linkKey(namespaceOfNode(bridge, node), port));
        return item?.bridge === bridge && !item.isBridge && item.isInternal !== true;
      },
      isPatch: (bridge, port) =>
        this.patches.some((ends) => ends.slice(0, 2).some((end) => isEnd(end, bridge, port))),
      bearersIn: (namespace) => bearers.get(namespace) ?? [],
      endsAt: (bridge) => ends.get(bridge) ?? [],
    });
  }

  // MTU and MAC

  private checkMtus(): void {
    for (const [left, right] of this.wires) {
      if (left.mtu === right.mtu || left.mtu === null || right.mtu === null) continue;
      const values = { mtu: left.mtu, otherMtu: right.mtu, other: right.label };
      this.advise('mtu-mismatch', left.label, values, left.path);
    }
    for (const [bridge, ports] of this.portsByBridge) {
      const [first, ...rest] = ports.filter(({ mtu }) => mtu !== null);
      const other = rest.find((port) => port.mtu !== first?.mtu);
      if (first === undefined || first.mtu === null) continue;
      if (other === undefined || other.mtu === null) continue;
      const values = {
        bridge,
        mtu: first.mtu,
        port: first.label,
        otherMtu: other.mtu,
        other: other.label,
      };
      this.advise('mtu-mismatch-at-bridge', bridge, values, other.path);
    }
    for (const item of this.interfaces.values()) {
      const mtu = this.mtuOf(item);
      const address = addressesOf(item.settings).find((text) => text.includes(':'));
      if (mtu === null || mtu >= smallestIpv6Mtu || address === undefined) continue;
      this.report('mtu-too-small-for-ipv6', item.label, { mtu, address }, item.path);
    }
  }

  /** What an interface has, or begins with where nobody says; null where only the kernel knows. */
  private mtuOf(item: Interface, depth = 0): number | null {
    // Bridges and devices that sit on each other in a circle are found elsewhere.
    if (depth > 20) return null;
    const bond = this.masterOf(item);
    if (bond?.device?.kind === 'bond') return this.mtuOf(bond, depth + 1);
    if ((item.isBridge || item.isInternal === true) && item.settings.mtu === undefined) {
      const ports = (this.portsByBridge.get(item.bridge ?? item.name) ?? []).filter(
        (port) => this.masterOf(port) === undefined,
      );
      const mtus = ports.flatMap((port) => this.mtuOf(port, depth + 1) ?? []);
      const overlay = this.overlayMtus.ofSwitch(item.bridge ?? item.name);
      return Math.min(...(mtus.length === 0 ? [defaultMtu] : mtus), overlay ?? Infinity);
    }
    if (item.device === null || item.mtu !== null) return item.mtu;
    const name = parentOf(item.device);
    const parent = name === null ? undefined : this.interfaces.get(linkKey(item.namespace, name));
    if (parent === undefined) return beginsWithDefaultMtu(item.device) ? defaultMtu : null;
    const mtu = this.mtuOf(parent, depth + 1);
    return mtu === null ? null : mtu - overheadOf(item.device);
  }

  private checkMacs(): void {
    const seen = new Map<string, Interface[]>();
    for (const item of this.interfaces.values()) {
      const mac = item.settings.mac?.toLowerCase();
      if (mac === undefined) continue;
      const path = [...item.path, 'mac'];
      const kind = item.device?.kind;
      if (kind === 'tun' || kind === 'gre' || kind === 'ipip') {
        this.report('mac-not-possible', item.label, { kind }, path);
        continue;
      }
      if (!isUsableMac(mac)) {
        this.report('unusable-mac', item.label, { mac }, path);
        continue;
      }
      const others = seen.get(mac) ?? [];
      const near = others.find((other) => this.shareDomain(other, item));
      const [far] = others;
      if (near !== undefined) {
        this.report('duplicate-mac', item.label, { mac, other: near.label }, path);
      } else if (far !== undefined) {
        this.advise('repeated-mac', item.label, { mac, other: far.label }, path);
      }
      append(seen, mac, item);
    }
  }

  /** Who hears the broadcasts of whom. */
  private shareDomain(left: Interface, right: Interface): boolean {
    return this.domains.areJoined(this.domainOf(left), this.domainOf(right));
  }

  /** What an interface itself hears without a tag. */
  private domainOf(item: Interface): string {
    const bridge = item.bridge === null ? undefined : this.nodes.get(item.bridge);
    const untagged = this.lanesOf(item).get('untagged');
    if (bridge !== undefined && untagged !== undefined) return untagged;
    return `interface ${linkKey(item.namespace, item.name)}`;
  }

  /**
   * The broadcast domains that frames on a wire at this end belong to, by their tag: a bridge that filters VLANs has one
   * for each VLAN, one that does not carries each tag apart, a host hears a tag with the VLAN device of that id.
   */
  private lanesOf(item: Interface): ReadonlyMap<Lane, string> {
    const group = this.masterOf(item);
    const top = group?.device?.kind === 'bond' ? group : item;
    const lanes = new Map<Lane, string>();
    const node = top.bridge === null ? undefined : this.nodes.get(top.bridge);
    if (node?.kind === 'ovs-bridge' && forwardsByItself(node)) return this.ovsLanesOf(item, node);
    if (node?.kind !== 'bridge') {
      lanes.set('untagged', `interface ${linkKey(top.namespace, top.name)}`);
      for (const device of this.vlansOn(top)) {
        if (device.device?.kind !== 'vlan') continue;
        lanes.set(device.device.id, `interface ${linkKey(device.namespace, device.name)}`);
      }
      return lanes;
    }
    const bridge = `bridge ${top.bridge ?? ''}`;
    if (node.vlanFiltering !== true) {
      lanes.set('untagged', bridge);
      return lanes;
    }
    const vlan = (id: number): string => `${bridge} vlan ${id}`;
    const port: BridgePort = top.isBridge ? {} : (top.settings as BridgePort);
    if (top.isBridge || !takesVlans(port)) lanes.set('untagged', vlan(1));
    if (port.vlan !== undefined) lanes.set('untagged', vlan(port.vlan));
    if (port.native !== undefined) lanes.set('untagged', vlan(port.native));
    for (const id of top.isBridge ? (node.vlans ?? []) : (port.trunk ?? [])) {
      if (id !== port.native) lanes.set(id, vlan(id));
    }
    return lanes;
  }

  /** Every Open vSwitch bridge looks at tags. What has none, at a port that says nothing, is VLAN 0. */
  private ovsLanesOf(item: Interface, node: OvsBridgeNode): ReadonlyMap<Lane, string> {
    const lanes = new Map<Lane, string>();
    const vlan = (id: number): string => `bridge ${item.bridge ?? ''} vlan ${id}`;
    const { mode, tag, trunks } = vlanOf(this.vlanWordsOf(item, node));
    if (mode === 'trunk') {
      if (trunks.length === 0) lanes.set('untagged', vlan(0));
    } else if (tag !== null) lanes.set('untagged', vlan(tag));
    if (mode === 'native-tagged' && tag !== null) lanes.set(tag, vlan(tag));
    for (const id of trunks) lanes.set(id, vlan(id));
    return lanes;
  }

  private vlanWordsOf(item: Interface, node: OvsBridgeNode): OvsPortWords {
    if (item.isBridge) return node.vlan === undefined ? {} : { vlan: node.vlan };
    return this.ovsBondOf(item)?.[1] ?? own(node.ports ?? {}, item.name) ?? {};
  }

  private vlansByParent: ReadonlyMap<string, readonly Interface[]> | null = null;

  private vlansOn(item: Interface): readonly Interface[] {
    this.vlansByParent ??= groupBy(
      [...this.interfaces.values()].filter(({ device }) => device?.kind === 'vlan'),
      ({ namespace, device }) => linkKey(namespace, parentOf(device) ?? ''),
    );
    return this.vlansByParent.get(linkKey(item.namespace, item.name)) ?? [];
  }

  private joinDomains(): void {
    for (const [left, right] of [...this.wires, ...this.patches]) this.joinLanes(left, right);
    for (const link of this.tunnels) {
      const [left, right] = link.map(({ device }) => device);
      if (left !== undefined && right !== undefined) this.joinLanes(left, right);
    }
    for (const item of this.interfaces.values()) {
      const lower = parentOf(item.device);
      const parent =
        lower === null ? undefined : this.interfaces.get(linkKey(item.namespace, lower));
      if (parent === undefined) continue;
      if (item.device?.kind === 'macvlan') this.joinLanes(item, parent);
      // A VLAN device on a bridge is in the bridge's own VLAN.
      if (item.device?.kind !== 'vlan') continue;
      if (!parent.isBridge && parent.isInternal !== true) continue;
      const { id } = item.device;
      const lane = this.lanesOf(parent).get(id) ?? this.transparentLane(parent, id);
      if (lane !== undefined) this.domains.join(this.domainOf(item), lane);
    }
  }

  private joinLanes(left: Interface, right: Interface): void {
    const [one, other] = [this.lanesOf(left), this.lanesOf(right)];
    const passing = this.isOvs(left) && this.isOvs(right) ? this.ovsVlans() : [];
    for (const lane of new Set([...one.keys(), ...other.keys(), ...passing])) {
      const here = one.get(lane) ?? this.transparentLane(left, lane);
      const there = other.get(lane) ?? this.transparentLane(right, lane);
      if (here !== undefined && there !== undefined) this.domains.join(here, there);
    }
  }

  private isOvs({ bridge }: Interface): boolean {
    return bridge !== null && this.nodes.get(bridge)?.kind === 'ovs-bridge';
  }

  private knownOvsVlans: readonly number[] | null = null;

  /** VLANs that any Open vSwitch bridge speaks of: a trunk of all between two of them carries each. */
  private ovsVlans(): readonly number[] {
    this.knownOvsVlans ??= [
      ...new Set(
        [...this.nodes.values()].flatMap((node) =>
          node.kind !== 'ovs-bridge'
            ? []
            : [{ vlan: node.vlan }, ...Object.values(node.ports ?? {})].flatMap((port) => {
                const { tag, trunks } = vlanOf(port);
                return tag === null ? trunks : [tag, ...trunks];
              }),
        ),
      ),
    ];
    return this.knownOvsVlans;
  }

  /** A bridge that does not look at tags passes them on. */
  private transparentLane(item: Interface, lane: Lane): string | undefined {
    const node = item.bridge === null ? undefined : this.nodes.get(item.bridge);
    if (node?.kind === 'ovs-bridge') {
      const { mode, trunks } = vlanOf(this.vlanWordsOf(item, node));
      const takesAll = forwardsByItself(node) && mode !== 'access' && trunks.length === 0;
      return takesAll && lane !== 'untagged'
        ? `bridge ${item.bridge ?? ''} vlan ${lane}`
        : undefined;
    }
    if (node?.kind !== 'bridge' || node.vlanFiltering === true) return undefined;
    return `bridge ${item.bridge ?? ''} tag ${lane}`;
  }

  // Devices

  private checkDevices(): void {
    const vlans = new Map<string, Interface>();
    for (const item of this.interfaces.values()) {
      const { device } = item;
      const lower = parentOf(device);
      if (device !== null) this.checkTunnelEnds(item, device);
      if (device === null || lower === null) continue;
      const path = [...item.path, 'parent'];
      const parent = this.interfaces.get(linkKey(item.namespace, lower));
      if (parent === undefined) {
        const values = { interface: lower, node: item.namespace ?? item.node };
        this.report('unknown-interface', item.label, values, path);
        continue;
      }
      const circle = this.circleBelow(item);
      if (circle !== null) {
        const values = { interface: item.name, circle: circle.join(' → ') };
        this.report('device-on-itself', item.label, values, path);
        continue;
      }
      if (device.kind === 'vlan') {
        const key = `${linkKey(item.namespace, lower)} ${device.id} ${device.protocol}`;
        const other = vlans.get(key);
        if (other !== undefined) {
          const values = { id: device.id, parent: lower, other: other.name };
          this.report('duplicate-vlan', item.label, values, [...item.path, 'id']);
        } else vlans.set(key, item);
        this.checkVlanOfBridge(item, device.id, parent);
      }
      this.checkTunnelMtu(item, parent, overheadOf(device));
      if (item.up && !parent.up && device.kind !== 'vxlan') {
        const values = { interface: item.name, parent: lower };
        this.report('parent-down', item.label, values, item.path);
      }
    }
  }

  private checkVlanOfBridge(item: Interface, id: number, parent: Interface): void {
    const node = parent.isBridge ? this.nodes.get(parent.node) : undefined;
    if (node?.kind !== 'bridge' || node.vlanFiltering !== true) return;
    if (node.vlans?.includes(id) === true) return;
    const values = { bridge: parent.name, id, interface: item.name };
    this.report('vlan-not-at-bridge', item.label, values, [...item.path, 'id']);
  }

  /** Names on the way down that lead back to where it began; null when there is an end. */
  private circleBelow(item: Interface): readonly string[] | null {
    const way = [item.name];
    let lower = parentOf(item.device);
    while (lower !== null && way.length < 100) {
      way.push(lower);
      // A port of a bridge cannot sit on that bridge either.
      if (lower === item.name || lower === item.bridge) return way;
      lower = parentOf(this.interfaces.get(linkKey(item.namespace, lower))?.device ?? null);
    }
    return null;
  }

  private checkTunnelEnds(item: Interface, device: Device): void {
    const ends = 'remote' in device ? { local: null, ...device } : null;
    if (ends === null) return;
    for (const key of ['local', 'remote'] as const) {
      const text = ends[key];
      if (text === null || parseHostAddress(text) !== null) continue;
      this.report('invalid-host', item.label, { text }, [...item.path, key]);
    }
    const [local, remote] = [ends.local, ends.remote].map((text) =>
      text === null ? null : parseHostAddress(text),
    );
    if (remote !== null && remote !== undefined && this.bearerOf(item.namespace, remote.text)) {
      const values = { node: item.namespace ?? item.node };
      this.report('tunnel-to-itself', item.label, values, [...item.path, 'remote']);
      return;
    }
    if (local === null || local === undefined) return;
    if (remote !== null && remote !== undefined && remote.family !== local.family) {
      const values = { local: local.text, remote: remote.text };
      this.report('unlike-ends', item.label, values, item.path);
      return;
    }
    const bearer = this.bearerOf(item.namespace, local.text);
    if (bearer === undefined) {
      const values = { address: local.text, node: item.namespace ?? item.node };
      this.report('underlay-not-own', item.label, values, [...item.path, 'local']);
      return;
    }
    this.checkTunnelMtu(item, bearer, overheadOf(device));
  }

  private checkTunnelMtu(item: Interface, underlay: Interface, overhead: number): void {
    const limit = (this.mtuOf(underlay) ?? defaultMtu) - overhead;
    if (item.settings.mtu === undefined || item.settings.mtu <= limit) return;
    const values = { mtu: item.settings.mtu, limit, underlay: underlay.name };
    this.report('mtu-beyond-tunnel', item.label, values, [...item.path, 'mtu']);
  }

  /** The interface in a namespace that has an address. */
  private bearerOf(namespace: string | null, address: string): Interface | undefined {
    return [...this.interfaces.values()].find(
      (item) =>
        item.namespace === namespace &&
        addressesOf(item.settings).some((text) => parseSubnetAddress(text)?.host.text === address),
    );
  }

  // Tunnels

  private readonly tunnels: (readonly TunnelEnd[])[] = [];

  private checkTunnels(): void {
    const taken = new Set<Interface>();
    for (const [index, link] of (this.document.topology.links ?? []).entries()) {
      if (link.type !== 'tunnel') continue;
      const ends = this.tunnelEnds(link, ['topology', 'links', index], taken);
      const [left, right] = ends;
      if (left === undefined || right === undefined) continue;
      this.tunnels.push(ends);
    }
  }

  private tunnelEnds(
    link: Extract<LabLink, { readonly type: 'tunnel' }>,
    path: DocumentPath,
    taken: Set<Interface>,
  ): readonly TunnelEnd[] {
    const ends: TunnelEnd[] = [];
    for (const [side, text] of link.endpoints.entries()) {
      const at = [...path, 'endpoints', side];
      const { node: nodeName, interface: name } = parseEndpoint(text);
      const node = this.nodes.get(nodeName);
      const device = this.interfaces.get(linkKey(nodeName, name));
      if (node === undefined) this.report('unknown-node', text, { node: nodeName }, at);
      else if (isSwitch(node)) this.report('tunnel-at-bridge', text, { node: nodeName }, at);
      else if (node.kind === 'vm') this.report('tunnel-at-machine', text, { node: nodeName }, at);
      else if (device?.device?.kind !== 'tap' && device?.device?.kind !== 'tun') {
        this.report('tunnel-without-device', text, { endpoint: text }, at);
      } else if (taken.has(device)) {
        this.report('tunnel-device-taken', text, { endpoint: text }, at);
      } else {
        taken.add(device);
        ends.push({ device, kind: device.device.kind });
      }
    }
    const [left, right] = ends;
    if (left === undefined || right === undefined) return [];
    const object = link.endpoints.join(' — ');
    if (left.device.node === right.device.node) {
      this.report('tunnel-to-itself', object, { node: left.device.node }, [...path, 'endpoints']);
      return [];
    }
    if (left.kind !== right.kind) {
      const [endpoint, other] = link.endpoints;
      const values = { endpoint, kind: left.kind, other, otherKind: right.kind };
      this.report('tunnel-of-unlike-devices', object, values, [...path, 'endpoints']);
    }
    const families = new Set<string>();
    for (const [side, { device, kind }] of ends.entries()) {
      const text = link.underlay[side] ?? '';
      const at = [...path, 'underlay', side];
      const address = parseHostAddress(text);
      if (address === null) {
        this.report('invalid-host', object, { text }, at);
        continue;
      }
      families.add(address.family);
      const bearer = this.bearerOf(device.namespace, address.text);
      if (bearer === undefined || bearer === device) {
        const values = { address: address.text, node: device.node };
        this.report('underlay-not-own', object, values, at);
        continue;
      }
      // UDP, and for a tap the inner Ethernet header.
      const overhead = (address.family === 'ipv6' ? 48 : 28) + (kind === 'tap' ? 14 : 0);
      this.checkTunnelMtu(device, bearer, overhead);
    }
    if (families.size > 1) {
      const [one, other] = link.underlay;
      this.report('families-differ', object, { one, other }, [...path, 'underlay']);
    }
    return ends;
  }

  // VLANs

  private checkVlans(): void {
    for (const [bridgeName, ports] of this.portsByBridge) {
      const node = this.nodes.get(bridgeName);
      if (node?.kind !== 'bridge') continue;
      const carriers = new Map<number, Interface[]>();
      for (const port of ports) {
        const settings = port.settings as BridgePort;
        if (!takesVlans(settings)) {
          append(carriers, 1, port);
          continue;
        }
        if (node.vlanFiltering !== true) {
          const values = { bridge: bridgeName, port: port.label };
          this.report('vlan-without-filtering', port.label, values, port.path);
          continue;
        }
        const { vlan, trunk, native } = settings;
        if (vlan !== undefined && (trunk !== undefined || native !== undefined)) {
          this.report('access-and-trunk', port.label, { port: port.label, vlan }, port.path);
        } else if (native !== undefined && trunk === undefined) {
          this.report('native-without-trunk', port.label, { port: port.label }, port.path);
        }
        for (const id of new Set([
          ...[vlan, native].flatMap((one) => one ?? []),
          ...(trunk ?? []),
        ])) {
          append(carriers, id, port);
        }
      }
      if (node.vlanFiltering !== true) continue;
      for (const [id, [port, other]] of carriers) {
        if (port === undefined || other !== undefined || node.vlans?.includes(id) === true)
          continue;
        if (id === 1 && !takesVlans(port.settings as BridgePort)) continue;
        this.advise('vlan-alone', port.label, { id, port: port.label }, port.path);
      }
    }
  }

  // Impairments, rules and processes

  private checkImpairments(): void {
    for (const item of this.interfaces.values()) {
      const { impairment } = item.settings;
      if (impairment !== undefined) this.checkImpairment(item, impairment);
    }
  }

  private checkImpairment(item: Interface, impairment: ImpairmentSettings): void {
    const path = [...item.path, 'impairment'];
    if ((impairment.delay ?? 0) === 0) {
      for (const [key, what] of [
        ['jitter', 'Jitter'],
        ['reorder', 'Reordering'],
      ] as const) {
        if ((impairment[key] ?? 0) === 0) continue;
        this.report('jitter-without-delay', item.label, { what, key }, [...path, key]);
      }
    }
    if (impairment.rate !== undefined && (bitsPerSecond(impairment.rate) ?? 0) < 8) {
      this.report('rate-too-low', item.label, { rate: impairment.rate }, [...path, 'rate']);
    }
  }

  private checkRules(name: string, node: NamespaceNode): void {
    validateRules(node, {
      hasInterface: (text) => text === 'lo' || this.interfaces.has(linkKey(name, text)),
      report: (code, values, path) => {
        this.report(code, name, { node: name, ...values }, ['topology', 'nodes', name, ...path]);
      },
    });
    const forwards = node.forwarding !== undefined && node.forwarding !== false;
    if ((node.nat ?? []).length === 0 || forwards) return;
    const path = ['topology', 'nodes', name, 'nat'];
    this.advise('nat-without-forwarding', name, { node: name }, path);
  }

  private checkProcesses(name: string, node: NamespaceNode): void {
    const seen = new Set<string>();
    for (const [index, run] of (node.run ?? []).entries()) {
      if (seen.has(run.name)) {
        const path = ['topology', 'nodes', name, 'run', index, 'name'];
        this.report('duplicate-process', name, { node: name, name: run.name }, path);
      }
      seen.add(run.name);
    }
  }

  // Virtual machines

  /** The other ends of each machine's links. */
  private readonly taps = new Map<string, Interface[]>();

  private machineAt({ node }: Interface): VirtualMachineNode | null {
    const found = this.nodes.get(node);
    return found?.kind === 'vm' ? found : null;
  }

  private checkMachine(name: string, node: VirtualMachineNode): void {
    const path = ['topology', 'nodes', name];
    const [first, ...others] = this.taps.get(name) ?? [];
    const apart = others.find(({ namespace }) => namespace !== first?.namespace);
    if (first !== undefined && apart !== undefined) {
      const values = { node: name, one: first.label, other: apart.label };
      this.report('machine-in-two-namespaces', name, values, path);
    }
    for (const key of ['initramfs', 'append'] as const) {
      // Netloom's own system has an initramfs; its command line takes further words.
      const missing = key === 'append' ? node.disk !== undefined : true;
      if (node[key] === undefined || node.kernel !== undefined || !missing) continue;
      this.report('machine-without-kernel', name, { node: name, key }, [...path, key]);
    }
    this.checkRoutes(name, node);
    if (!usesSystem(node)) {
      if ((node.routes ?? []).length === 0) return;
      this.advise('machine-routes-unused', name, { node: name }, [...path, 'routes']);
      return;
    }
    const cards = Object.entries(node.interfaces ?? {}).map(([card, { addresses }]) => ({
      name: card,
      tap: '',
      mac: '',
      mtu: null,
      addresses: addresses ?? [],
    }));
    const length = new TextEncoder().encode(systemCommandLine(name, node, cards)).length;
    if (length <= longestCommandLine) return;
    const values = { node: name, length, limit: longestCommandLine };
    this.report('machine-command-line-too-long', name, values, path);
  }

  // Addresses

  private checkAddresses(): void {
    // By address, then by where it must be unique: a domain or a namespace.
    const holders = new Map<string, Map<string, Interface>>();
    for (const item of this.interfaces.values()) {
      for (const [index, text] of addressesOf(item.settings).entries()) {
        const path = [...item.path, 'addresses', index];
        const address = this.checkAddress(item, text, path);
        if (address === null) continue;
        const scopes = [
          `domain ${this.domains.rootOf(this.domainOf(item))}`,
          `namespace ${item.namespace ?? ''}`,
        ];
        const linkLocal = oddityOf(address.host) === 'link-local';
        const known = holders.get(address.host.text) ?? new Map<string, Interface>();
        holders.set(address.host.text, known);
        const near = scopes
          .slice(0, linkLocal ? 1 : 2)
          .map((scope) => known.get(scope))
          .find((other) => other !== undefined);
        const far = known.get('anywhere');
        if (near !== undefined) {
          const values = { address: address.text, other: near.label };
          this.report('duplicate-address', item.label, values, path);
        } else if (far !== undefined && !linkLocal) {
          const values = { address: address.text, other: far.label };
          this.advise('repeated-address', item.label, values, path);
        }
        for (const scope of [...scopes, 'anywhere']) {
          if (!known.has(scope)) known.set(scope, item);
        }
      }
    }
  }

  private checkAddress(item: Interface, text: string, path: DocumentPath): SubnetAddress | null {
    const address = parseSubnetAddress(text);
    if (address === null) {
      const [host = '', length] = text.split('/');
      const parsed = parseHostAddress(host);
      if (parsed === null) this.report('invalid-address', item.label, { address: text }, path);
      else if (length === undefined) {
        const usual = parsed.family === 'ipv4' ? 24 : 64;
        const values = { address: text, length: usual };
        this.report('address-without-prefix', item.label, values, path);
      } else if (/^\d+$/.test(length) && Number(length) > 32) {
        const limit = parsed.family === 'ipv4' ? 32 : 128;
        this.report('prefix-out-of-range', item.label, { address: text, limit }, path);
      } else this.report('invalid-address', item.label, { address: text }, path);
      return null;
    }
    const oddity = oddityOf(address.host);
    if (oddity !== null && oddity !== 'link-local') {
      const values = { address: text, sort: oddity };
      this.report('special-address', item.label, values, path);
      return null;
    }
    const values = { address: address.host.text, subnet: address.subnet };
    if (networkAddressOf(address) === address.host.text) {
      this.advise('network-address', item.label, values, path);
    } else if (broadcastOf(address) === address.host.text) {
      this.advise('broadcast-address', item.label, values, path);
    }
    return address;
  }

  /** Two hosts on one wire hear only each other: with addresses of no common subnet they are cut off. */
  private checkLinkSubnets(): void {
    const pairs = [
      ...this.wires.map(([left, right]) => [left, right] as const),
      ...this.tunnels.flatMap(([left, right]) =>
        left === undefined || right === undefined ? [] : [[left.device, right.device] as const],
      ),
    ];
    for (const [left, right] of pairs) {
      if (left.bridge !== null || right.bridge !== null) continue;
      if (this.masterOf(left) !== undefined || this.masterOf(right) !== undefined) continue;
      for (const family of ['ipv4', 'ipv6'] as const) {
        const here = this.subnetsAt(left, family);
        const there = this.subnetsAt(right, family);
        const [mine] = here;
        const [theirs] = there;
        if (mine === undefined || theirs === undefined) continue;
        const common = here.some((one) =>
          there.some((other) => isInSubnet(other.host, one) || isInSubnet(one.host, other)),
        );
        if (common) continue;
        const values = { address: theirs.text, other: left.label, subnet: mine.subnet };
        this.report('address-outside-link', right.label, values, [...right.path, 'addresses']);
      }
    }
  }

  private subnetsAt(item: Interface, family: 'ipv4' | 'ipv6'): readonly SubnetAddress[] {
    return addressesOf(item.settings).flatMap((text) => {
      const address = parseSubnetAddress(text);
      return address === null || address.host.family !== family ? [] : [address];
    });
  }

  // The outside

  private checkInternet(): void {
    const [first, ...others] = [...this.nodes].filter(([, { kind }]) => kind === 'internet');
    if (first === undefined) return;
    const [internet] = first;
    for (const [node] of others) {
      this.report('internet-twice', node, { node, other: internet }, ['topology', 'nodes', node]);
    }
    for (const [left, right] of this.wires) {
      const near = left.node === internet ? left : right;
      const far = near === left ? right : left;
      if (near.node !== internet) continue;
      const [own] = this.subnetsAt(near, 'ipv4');
      if (own === undefined) {
        const values = { node: internet, interface: near.name };
        this.advise('internet-without-address', near.label, values, near.path);
        continue;
      }
      const neighbour = this.nodes.get(far.node);
      if (neighbour?.kind !== 'namespace') continue;
      if (neighbour.routes?.some(({ to }) => to === 'default' || to === '0.0.0.0/0') === true) {
        continue;
      }
      const values = { node: far.node, internet, gateway: own.host.text };
      this.advise('no-route-to-internet', far.node, values, ['topology', 'nodes', far.node]);
    }
  }

  // Routes

  private checkRoutes(node: string, settings: Pick<NamespaceNode, 'routes'>): void {
    const routes = settings.routes ?? [];
    if (routes.length === 0) return;
    const subnets = this.subnetsOf(node);
    const seen = new Set<string>();
    for (const [index, route] of routes.entries()) {
      const path = ['topology', 'nodes', node, 'routes', index];
      const destination = parseDestination(route.to, route.via ?? null);
      if (destination === null) {
        this.report('invalid-route', node, { to: route.to }, [...path, 'to']);
        continue;
      }
      if (route.to !== 'default' && hasHostBits(route.to)) {
        const values = { to: route.to, canonical: destination.text };
        this.report('prefix-with-host-bits', node, values, [...path, 'to']);
        continue;
      }
      const dev = this.routeDevice(node, route, subnets, path);
      if (dev === null) continue;
      if (!dev.up) {
        const values = { to: route.to, dev: dev.name };
        this.advise('route-device-down', node, values, path);
      }
      const metric =
        route.metric === undefined || route.metric === 0
          ? defaultMetric(destination.family)
          : route.metric;
      const key = `${destination.text} ${metric}`;
      if (seen.has(key)) {
        this.report('duplicate-route', node, { to: route.to, metric }, path);
      }
      seen.add(key);
      // The route of the subnet itself has metric 0 for IPv4 and 256 (IP6_RT_PRIO_ADDRCONF) for IPv6.
      const connected = subnets.find(
        ({ address }) =>
          address.subnet === destination.text &&
          metric === (destination.family === 'ipv4' ? 0 : 256),
      );
      if (connected !== undefined) {
        const values = { to: route.to, address: connected.address.text };
        this.report('route-is-connected', node, values, path);
      }
    }
  }

  private subnetsOf(namespace: string): readonly Subnet[] {
    this.interfacesByNamespace ??= groupBy(this.interfaces.values(), (item) => item.namespace);
    return (this.interfacesByNamespace.get(namespace) ?? []).flatMap((item) =>
      addressesOf(item.settings).flatMap((text) => {
        const address = parseSubnetAddress(text);
        return address === null ? [] : [{ item, address }];
      }),
    );
  }
  private interfacesByNamespace: ReadonlyMap<string | null, readonly Interface[]> | null = null;

  /** The interface that a route leaves through; null when it was reported. */
  private routeDevice(
    node: string,
    route: RouteSettings,
    subnets: readonly Subnet[],
    path: DocumentPath,
  ): Interface | null {
    const dev = route.dev === undefined ? undefined : this.interfaces.get(linkKey(node, route.dev));
    if (route.dev !== undefined && dev === undefined) {
      this.report('route-device-unknown', node, { node, dev: route.dev }, [...path, 'dev']);
      return null;
    }
    if (route.via === undefined) {
      if (dev === undefined) this.report('route-without-target', node, { to: route.to }, path);
      return dev ?? null;
    }
    const viaPath = [...path, 'via'];
    const via = parseHostAddress(route.via);
    const oddity = via === null ? null : oddityOf(via);
    if (via === null || (oddity !== null && oddity !== 'link-local')) {
      this.report('invalid-gateway', node, { via: route.via }, viaPath);
      return null;
    }
    const destination = parseDestination(route.to, route.via);
    if (destination?.family !== via.family) {
      const values = { via: route.via, to: route.to };
      this.report('gateway-of-other-family', node, values, viaPath);
      return null;
    }
    if (subnets.some(({ address }) => address.host.text === via.text)) {
      this.report('gateway-is-own', node, { via: route.via }, viaPath);
      return null;
    }
    return this.gatewayDevice(node, { via, text: route.via, dev }, subnets, viaPath);
  }

  private gatewayDevice(
    node: string,
    gateway: {
      readonly via: HostAddress;
      readonly text: string;
      readonly dev: Interface | undefined;
    },
    subnets: readonly Subnet[],
    path: DocumentPath,
  ): Interface | null {
    const { via, dev } = gateway;
    if (via.family === 'ipv6' && oddityOf(via) === 'link-local') {
      if (dev === undefined) this.report('gateway-needs-device', node, { via: via.text }, path);
      return dev ?? null;
    }
    const subnet = subnets.find(
      ({ item, address }) => (dev === undefined || item === dev) && isInSubnet(via, address),
    );
    if (subnet !== undefined) return subnet.item;
    const values = { via: gateway.text, place: dev?.label ?? node };
    this.report('gateway-outside-subnets', node, values, path);
    return null;
  }

  // Checks

  private checkChecks(): void {
    for (const [index, check] of (this.document.checks ?? []).entries()) {
      const resolved = resolveCheck(this.document, check);
      if (resolved.ok) continue;
      const { code } = resolved.failure;
      const ofSource = ['unknown-node', 'check-from-bridge', 'check-from-machine'].includes(code);
      const key =
        check.check === 'records'
          ? code === 'check-protocol-not-collected'
            ? 'protocol'
            : 'at'
          : ofSource
            ? 'from'
            : 'to';
      const path = ['checks', index, key];
      this.add({ ...resolved.failure, object: `check ${index + 1}`, place: this.locate(path) });
    }
  }

  // Output

  private report(
    code: SentenceCode,
    object: string,
    values: SentenceValues,
    path: DocumentPath,
  ): void {
    if (this.problems.length >= maximumReports) return;
    this.add(failureOf('invalid-document', code, object, values, this.locate(path)));
  }

  private add(problem: Failure): void {
    if (this.problems.length < maximumReports) this.problems.push(problem);
  }

  private advise(
    code: SentenceCode,
    object: string,
    values: SentenceValues,
    path: DocumentPath,
  ): void {
    if (this.advice.length >= maximumReports) return;
    this.advice.push({ ...warningOf(code, object, values), place: this.locate(path) });
  }
}

function isAtBridge(end: Interface): end is Interface & BridgeEnd {
  return end.bridge !== null;
}

function isEnd(end: Interface | DocumentPath, bridge: string, port: string): boolean {
  return 'node' in end && end.node === bridge && end.name === port;
}

interface Subnet {
  readonly item: Interface;
  readonly address: SubnetAddress;
}

/** What a bridge does not take as a port (br_add_if). */
const portlessKinds: ReadonlySet<string> = new Set(['bridge', 'tun', 'gre', 'ipip', 'vrf']);

/** Tag of a frame on a wire. */
type Lane = number | 'untagged';

interface TunnelEnd {
  readonly device: Interface;
  readonly kind: 'tap' | 'tun';
}

/** Settings of what is drawn at a node, ports of Open vSwitch only where they are links. */
function settingsAt(node: LabNode): {
  readonly key: 'ports' | 'interfaces';
  readonly settings: Readonly<Record<string, AnySettings>>;
} {
  if (node.kind === 'ovs-bridge') return { key: 'ports', settings: linkPortsOf(node) };
  if (node.kind === 'bridge') return { key: 'ports', settings: node.ports ?? {} };
  return { key: 'interfaces', settings: node.interfaces ?? {} };
}

/** Looks up an own key: documents may use names such as `constructor`. */
function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function groupBy<K, V>(values: Iterable<V>, keyOf: (value: V) => K): ReadonlyMap<K, readonly V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) append(groups, keyOf(value), value);
  return groups;
}
