/** The interfaces that a document makes, and how they hang together. What they mean is judged elsewhere. */
import type { Device } from '../api/device.ts';
import type { OvsBridgeNode } from '../api/document-ovs.ts';
import {
  type BridgeNode,
  type BridgePort,
  type InterfaceSettings,
  isSwitch,
  type LabDocument,
  type LabNode,
  namespaceOfNode,
  parseEndpoint,
  type VirtualMachineNode,
} from '../api/document.ts';
import { parseSubnetAddress } from './address.ts';
import { append, own } from './collections.ts';
import { defaultMtu, deviceOf, membersOf } from './device.ts';
import type { DocumentPath, Findings } from './findings.ts';
import { linkKey } from './network.ts';
import {
  internalPortsOf,
  linkPortsOf,
  type OvsBondPort,
  type OvsInternalPort,
  type OvsLinkPort,
} from './ovs-network.ts';
import { OverlayMtus } from './ovs-underlay.ts';

/** An interface that the document makes. */
export interface Interface {
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
export type AnySettings =
  BridgeNode | InterfaceSettings | BridgePort | OvsBridgeNode | OvsLinkPort | OvsInternalPort;

export function addressesOf(settings: AnySettings): readonly string[] {
  return 'addresses' in settings ? (settings.addresses ?? []) : [];
}

export class DocumentInterfaces {
  readonly document: LabDocument;
  readonly nodes: ReadonlyMap<string, LabNode>;
  readonly overlayMtus: OverlayMtus;
  readonly interfaces = new Map<string, Interface>();
  readonly portsByBridge = new Map<string, Interface[]>();
  /** Ports of Open vSwitch that are no links: patch ports, tunnels and bonds. */
  readonly ovsPorts = new Map<string, Interface>();
  readonly patches: (readonly [Interface, Interface, DocumentPath])[] = [];
  /** Links that are pairs, with the path of each. */
  readonly wires: (readonly [Interface, Interface, DocumentPath])[] = [];
  /** The other ends of each machine's links. */
  readonly taps = new Map<string, Interface[]>();

  private readonly findings: Findings;
  /** Bond or VRF by the key of its member. */
  private readonly masters = new Map<string, Interface>();

  constructor(document: LabDocument, findings: Findings) {
    this.document = document;
    this.findings = findings;
    this.nodes = new Map(Object.entries(document.topology.nodes));
    this.overlayMtus = new OverlayMtus(document);
  }

  /** Finds them, and reports what cannot be one. */
  collect(): void {
    this.collectBridges();
    this.collectOvsPorts();
    this.collectDevices();
    this.collectLinks();
    this.collectPatches();
    this.collectMembers();
  }

  private collectBridges(): void {
    for (const [name, node] of this.nodes) {
      if (!isSwitch(node)) continue;
      const path = ['topology', 'nodes', name];
      if (node.namespace !== undefined) {
        const owner = this.nodes.get(node.namespace);
        if (owner?.kind !== 'namespace') {
          const code = owner === undefined ? 'unknown-node' : 'not-a-namespace';
          this.findings.report(code, name, { node: node.namespace }, [...path, 'namespace']);
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

  private collectLinks(): void {
    for (const [index, link] of (this.document.topology.links ?? []).entries()) {
      if (link.type === 'tunnel' || link.type === 'patch') continue;
      const path = ['topology', 'links', index];
      const [first, second] = link.endpoints;
      if (first === second) {
        this.findings.report('same-endpoints', first, { endpoint: first }, [...path, 'endpoints']);
        continue;
      }
      const ends: Interface[] = [];
      for (const [side, text] of link.endpoints.entries()) {
        const endPath = [...path, 'endpoints', side];
        const { node: nodeName, interface: name } = parseEndpoint(text);
        const node = this.nodes.get(nodeName);
        if (node === undefined) {
          this.findings.report('unknown-node', text, { node: nodeName }, endPath);
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
        this.findings.report('machine-to-machine', object, { node: left.node, other: right.node }, [
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
        if (node === undefined) this.findings.report('unknown-node', text, { node: nodeName }, at);
        else if (node.kind !== 'ovs-bridge') {
          this.findings.report('patch-not-at-bridge', text, { node: nodeName }, at);
        } else ends.push(this.ovsPort(nodeName, node, name, at));
      }
      const [left, right] = ends;
      if (left === undefined || right === undefined) continue;
      if (left.node === right.node) {
        this.findings.report('patch-to-itself', object, { bridge: left.node }, path);
      } else if (left.namespace !== right.namespace) {
        const values = { bridge: left.node, other: right.node };
        this.findings.report('patch-across-namespaces', object, values, path);
      } else {
        const added = [left, right].map((end) => this.addOvsPort(end, end.path));
        if (added.every(Boolean)) this.patches.push([left, right, ['topology', 'links', index]]);
      }
    }
  }

  private collectMembers(): void {
    for (const item of this.interfaces.values()) {
      if (item.isBridge || item.device === null) continue;
      const members = membersOf(item.settings as InterfaceSettings | BridgePort);
      if (item.device.kind === 'bond' && members.length === 0) {
        this.findings.advise('bond-without-members', item.label, { bond: item.name }, item.path);
      }
      for (const [index, name] of members.entries()) {
        const path = [...item.path, 'members', index];
        const key = linkKey(item.namespace, name);
        const member = this.interfaces.get(key);
        const other = this.masters.get(key);
        if (member === undefined || member.isBridge || member.node !== item.node) {
          const values = { interface: name, node: item.node };
          this.findings.report('unknown-interface', item.label, values, path);
        } else if (member === item) {
          this.findings.report('member-is-master', item.label, { interface: name }, path);
        } else if (other !== undefined) {
          const values = { interface: name, other: other.name };
          this.findings.report('member-of-two', member.label, values, path);
        } else {
          this.masters.set(key, item);
          if (item.device.kind === 'bond' && addressesOf(member.settings).length > 0) {
            const values = { interface: name, bond: item.name };
            this.findings.report('member-with-address', member.label, values, [
              ...member.path,
              'addresses',
            ]);
          }
        }
      }
    }
  }

  private addInterface(item: Interface, path: DocumentPath): boolean {
    if (!this.isFree(item, path)) return false;
    this.interfaces.set(linkKey(item.namespace, item.name), item);
    return true;
  }

  private addOvsPort(item: Interface, path: DocumentPath): boolean {
    if (!this.isFree(item, path)) return false;
    this.ovsPorts.set(linkKey(item.namespace, item.name), item);
    return true;
  }

  /** Whether nothing else in the namespace has the name; ports of Open vSwitch need one of their own as well. */
  private isFree(item: Interface, path: DocumentPath): boolean {
    const key = linkKey(item.namespace, item.name);
    const port = this.ovsPorts.get(key);
    const other = port ?? this.interfaces.get(key);
    if (other === undefined) return true;
    this.findings.report(
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

  /** Its bond or VRF. */
  masterOf(item: Interface): Interface | undefined {
    return this.masters.get(linkKey(item.namespace, item.name));
  }

  private machineAt({ node }: Interface): VirtualMachineNode | null {
    const found = this.nodes.get(node);
    return found?.kind === 'vm' ? found : null;
  }

  /** The bond that a link is in, of the kernel or of Open vSwitch. */
  bundleOf(item: Interface): Interface | undefined {
    const master = this.masterOf(item);
    if (master !== undefined) return master;
    const bond = this.ovsBondOf(item);
    return bond === undefined ? undefined : this.ovsPorts.get(linkKey(item.namespace, bond[0]));
  }

  /** The bond of Open vSwitch that a link is in, with its settings. */
  ovsBondOf(item: Interface): readonly [string, OvsBondPort] | undefined {
    const node = item.bridge === null ? undefined : this.nodes.get(item.bridge);
    if (node?.kind !== 'ovs-bridge') return undefined;
    for (const [name, port] of Object.entries(node.ports ?? {})) {
      if (port.kind === 'bond' && port.members.includes(item.name)) return [name, port];
    }
    return undefined;
  }

  /** The interface in a namespace that has an address. */
  bearerOf(namespace: string | null, address: string): Interface | undefined {
    return [...this.interfaces.values()].find(
      (item) =>
        item.namespace === namespace &&
        addressesOf(item.settings).some((text) => parseSubnetAddress(text)?.host.text === address),
    );
  }
}

/** Settings of what is drawn at a node, ports of Open vSwitch only where they are links. */
export function settingsAt(node: LabNode): {
  readonly key: 'ports' | 'interfaces';
  readonly settings: Readonly<Record<string, AnySettings>>;
} {
  if (node.kind === 'ovs-bridge') return { key: 'ports', settings: linkPortsOf(node) };
  if (node.kind === 'bridge') return { key: 'ports', settings: node.ports ?? {} };
  return { key: 'interfaces', settings: node.interfaces ?? {} };
}
