/** MTUs: what they are, and whether they fit. */
import { beginsWithDefaultMtu, defaultMtu, overheadOf, parentOf } from './device.ts';
import { addressesOf, type DocumentInterfaces, type Interface } from './document-interfaces.ts';
import type { Findings } from './findings.ts';
import { linkKey, smallestIpv6Mtu } from './network.ts';

export class DocumentMtus {
  private readonly made: DocumentInterfaces;
  private readonly findings: Findings;

  constructor(made: DocumentInterfaces, findings: Findings) {
    this.made = made;
    this.findings = findings;
  }

  /** What an interface has, or begins with where nobody says; null where only the kernel knows. */
  of(item: Interface, depth = 0): number | null {
    // Bridges and devices that sit on each other in a circle are found elsewhere.
    if (depth > 20) return null;
    const bond = this.made.masterOf(item);
    if (bond?.device?.kind === 'bond') return this.of(bond, depth + 1);
    if ((item.isBridge || item.isInternal === true) && item.settings.mtu === undefined) {
      const ports = (this.made.portsByBridge.get(item.bridge ?? item.name) ?? []).filter(
        (port) => this.made.masterOf(port) === undefined,
      );
      const mtus = ports.flatMap((port) => this.of(port, depth + 1) ?? []);
      const overlay = this.made.overlayMtus.ofSwitch(item.bridge ?? item.name);
      return Math.min(...(mtus.length === 0 ? [defaultMtu] : mtus), overlay ?? Infinity);
    }
    if (item.device === null || item.mtu !== null) return item.mtu;
    const name = parentOf(item.device);
    const parent =
      name === null ? undefined : this.made.interfaces.get(linkKey(item.namespace, name));
    if (parent === undefined) return beginsWithDefaultMtu(item.device) ? defaultMtu : null;
    const mtu = this.of(parent, depth + 1);
    return mtu === null ? null : mtu - overheadOf(item.device);
  }

  /** Of links and bridges whose ends differ, and of what is too small for its addresses. */
  check(): void {
    for (const [left, right] of this.made.wires) {
      if (left.mtu === right.mtu || left.mtu === null || right.mtu === null) continue;
      const values = { mtu: left.mtu, otherMtu: right.mtu, other: right.label };
      this.findings.advise('mtu-mismatch', left.label, values, left.path);
    }
    for (const [bridge, ports] of this.made.portsByBridge) {
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
      this.findings.advise('mtu-mismatch-at-bridge', bridge, values, other.path);
    }
    for (const item of this.made.interfaces.values()) {
      const mtu = this.of(item);
      const address = addressesOf(item.settings).find((text) => text.includes(':'));
      if (mtu === null || mtu >= smallestIpv6Mtu || address === undefined) continue;
      this.findings.report('mtu-too-small-for-ipv6', item.label, { mtu, address }, item.path);
    }
  }

  /** Whether what a tunnel adds fits in what it goes through. `overhead` in bytes. */
  checkTunnelMtu(item: Interface, underlay: Interface, overhead: number): void {
    const limit = (this.of(underlay) ?? defaultMtu) - overhead;
    if (item.settings.mtu === undefined || item.settings.mtu <= limit) return;
    const values = { mtu: item.settings.mtu, limit, underlay: underlay.name };
    this.findings.report('mtu-beyond-tunnel', item.label, values, [...item.path, 'mtu']);
  }
}
