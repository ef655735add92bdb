/** Links that are tunnels between tap or tun devices. */
import { isSwitch, type LabLink, parseEndpoint } from '../api/document.ts';
import { parseHostAddress } from './address.ts';
import type { DocumentInterfaces, Interface } from './document-interfaces.ts';
import type { DocumentPath, Findings } from './findings.ts';
import { linkKey } from './network.ts';
import type { DocumentMtus } from './validate-mtus.ts';

export interface TunnelEnd {
  readonly device: Interface;
  readonly kind: 'tap' | 'tun';
}

export class TunnelValidator {
  /** Both ends of each tunnel, where `check` has found them. */
  readonly pairs: (readonly TunnelEnd[])[] = [];

  private readonly made: DocumentInterfaces;
  private readonly mtus: DocumentMtus;
  private readonly findings: Findings;

  constructor(made: DocumentInterfaces, mtus: DocumentMtus, findings: Findings) {
    this.made = made;
    this.mtus = mtus;
    this.findings = findings;
  }

  check(): void {
    const taken = new Set<Interface>();
    for (const [index, link] of (this.made.document.topology.links ?? []).entries()) {
      if (link.type !== 'tunnel') continue;
      const ends = this.tunnelEnds(link, ['topology', 'links', index], taken);
      const [left, right] = ends;
      if (left === undefined || right === undefined) continue;
      this.pairs.push(ends);
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
      const node = this.made.nodes.get(nodeName);
      const device = this.made.interfaces.get(linkKey(nodeName, name));
      if (node === undefined) this.findings.report('unknown-node', text, { node: nodeName }, at);
      else if (isSwitch(node))
        this.findings.report('tunnel-at-bridge', text, { node: nodeName }, at);
      else if (node.kind === 'vm')
        this.findings.report('tunnel-at-machine', text, { node: nodeName }, at);
      else if (device?.device?.kind !== 'tap' && device?.device?.kind !== 'tun') {
        this.findings.report('tunnel-without-device', text, { endpoint: text }, at);
      } else if (taken.has(device)) {
        this.findings.report('tunnel-device-taken', text, { endpoint: text }, at);
      } else {
        taken.add(device);
        ends.push({ device, kind: device.device.kind });
      }
    }
    const [left, right] = ends;
    if (left === undefined || right === undefined) return [];
    const object = link.endpoints.join(' — ');
    if (left.device.node === right.device.node) {
      this.findings.report('tunnel-to-itself', object, { node: left.device.node }, [
        ...path,
        'endpoints',
      ]);
      return [];
    }
    if (left.kind !== right.kind) {
      const [endpoint, other] = link.endpoints;
      const values = { endpoint, kind: left.kind, other, otherKind: right.kind };
      this.findings.report('tunnel-of-unlike-devices', object, values, [...path, 'endpoints']);
    }
    const families = new Set<string>();
    for (const [side, { device, kind }] of ends.entries()) {
      const text = link.underlay[side] ?? '';
      const at = [...path, 'underlay', side];
      const address = parseHostAddress(text);
      if (address === null) {
        this.findings.report('invalid-host', object, { text }, at);
        continue;
      }
      families.add(address.family);
      const bearer = this.made.bearerOf(device.namespace, address.text);
      if (bearer === undefined || bearer === device) {
        const values = { address: address.text, node: device.node };
        this.findings.report('underlay-not-own', object, values, at);
        continue;
      }
      // UDP, and for a tap the inner Ethernet header.
      const overhead = (address.family === 'ipv6' ? 48 : 28) + (kind === 'tap' ? 14 : 0);
      this.mtus.checkTunnelMtu(device, bearer, overhead);
    }
    if (families.size > 1) {
      const [one, other] = link.underlay;
      this.findings.report('families-differ', object, { one, other }, [...path, 'underlay']);
    }
    return ends;
  }
}
