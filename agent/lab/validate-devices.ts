/** Devices: what they sit on, and the ends of those that are tunnels. */
import type { Device } from '../api/device.ts';
import { parseHostAddress } from './address.ts';
import { overheadOf, parentOf } from './device.ts';
import type { DocumentInterfaces, Interface } from './document-interfaces.ts';
import type { Findings } from './findings.ts';
import { linkKey } from './network.ts';
import type { DocumentMtus } from './validate-mtus.ts';

export class DeviceValidator {
  private readonly made: DocumentInterfaces;
  private readonly mtus: DocumentMtus;
  private readonly findings: Findings;

  constructor(made: DocumentInterfaces, mtus: DocumentMtus, findings: Findings) {
    this.made = made;
    this.mtus = mtus;
    this.findings = findings;
  }

  check(): void {
    const vlans = new Map<string, Interface>();
    for (const item of this.made.interfaces.values()) {
      const { device } = item;
      const lower = parentOf(device);
      if (device !== null) this.checkTunnelEnds(item, device);
      if (device === null || lower === null) continue;
      const path = [...item.path, 'parent'];
      const parent = this.made.interfaces.get(linkKey(item.namespace, lower));
      if (parent === undefined) {
        const values = { interface: lower, node: item.namespace ?? item.node };
        this.findings.report('unknown-interface', item.label, values, path);
        continue;
      }
      const circle = this.circleBelow(item);
      if (circle !== null) {
        const values = { interface: item.name, circle: circle.join(' → ') };
        this.findings.report('device-on-itself', item.label, values, path);
        continue;
      }
      if (device.kind === 'vlan') {
        const key = `${linkKey(item.namespace, lower)} ${device.id} ${device.protocol}`;
        const other = vlans.get(key);
        if (other !== undefined) {
          const values = { id: device.id, parent: lower, other: other.name };
          this.findings.report('duplicate-vlan', item.label, values, [...item.path, 'id']);
        } else vlans.set(key, item);
        this.checkVlanOfBridge(item, device.id, parent);
      }
      this.mtus.checkTunnelMtu(item, parent, overheadOf(device));
      if (item.up && !parent.up && device.kind !== 'vxlan') {
        const values = { interface: item.name, parent: lower };
        this.findings.report('parent-down', item.label, values, item.path);
      }
    }
  }

  private checkVlanOfBridge(item: Interface, id: number, parent: Interface): void {
    const node = parent.isBridge ? this.made.nodes.get(parent.node) : undefined;
    if (node?.kind !== 'bridge' || node.vlanFiltering !== true) return;
    if (node.vlans?.includes(id) === true) return;
    const values = { bridge: parent.name, id, interface: item.name };
    this.findings.report('vlan-not-at-bridge', item.label, values, [...item.path, 'id']);
  }

  /** Names on the way down that lead back to where it began; null when there is an end. */
  private circleBelow(item: Interface): readonly string[] | null {
    const way = [item.name];
    let lower = parentOf(item.device);
    while (lower !== null && way.length < 100) {
      way.push(lower);
      // A port of a bridge cannot sit on that bridge either.
      if (lower === item.name || lower === item.bridge) return way;
      lower = parentOf(this.made.interfaces.get(linkKey(item.namespace, lower))?.device ?? null);
    }
    return null;
  }

  private checkTunnelEnds(item: Interface, device: Device): void {
    const ends = 'remote' in device ? { local: null, ...device } : null;
    if (ends === null) return;
    for (const key of ['local', 'remote'] as const) {
      const text = ends[key];
      if (text === null || parseHostAddress(text) !== null) continue;
      this.findings.report('invalid-host', item.label, { text }, [...item.path, key]);
    }
    const [local, remote] = [ends.local, ends.remote].map((text) =>
      text === null ? null : parseHostAddress(text),
    );
    if (
      remote !== null &&
      remote !== undefined &&
      this.made.bearerOf(item.namespace, remote.text)
    ) {
      const values = { node: item.namespace ?? item.node };
      this.findings.report('tunnel-to-itself', item.label, values, [...item.path, 'remote']);
      return;
    }
    if (local === null || local === undefined) return;
    if (remote !== null && remote !== undefined && remote.family !== local.family) {
      const values = { local: local.text, remote: remote.text };
      this.findings.report('unlike-ends', item.label, values, item.path);
      return;
    }
    const bearer = this.made.bearerOf(item.namespace, local.text);
    if (bearer === undefined) {
      const values = { address: local.text, node: item.namespace ?? item.node };
      this.findings.report('underlay-not-own', item.label, values, [...item.path, 'local']);
      return;
    }
    this.mtus.checkTunnelMtu(item, bearer, overheadOf(device));
  }
}
