/** Loops of bridges, and bonds that lead to each other. */
import { namespaceOfNode } from '../api/document.ts';
import { parseSubnetAddress } from './address.ts';
import { type BridgeEnd, type BridgeWire, findBridgeLoops } from './bridge-loops.ts';
import { append } from './collections.ts';
import { addressesOf, type DocumentInterfaces, type Interface } from './document-interfaces.ts';
import type { DocumentPath, Findings } from './findings.ts';
import { linkKey } from './network.ts';
import { forwardsByItself } from './ovs-network.ts';
import { tunnelPairs } from './validate-ovs.ts';

export class LoopValidator {
  private readonly made: DocumentInterfaces;
  private readonly findings: Findings;

  constructor(made: DocumentInterfaces, findings: Findings) {
    this.made = made;
    this.findings = findings;
  }

  /** Loops that no spanning tree cuts. */
  check(): void {
    const wires = this.wiresBetweenBridges();
    for (const { wire, bridges, cutBy } of findBridgeLoops(wires, this.made.nodes)) {
      const [left, right, path] = wire;
      const object = `${left.label} — ${right.label}`;
      const values = { bridges: bridges.join(', ') };
      if (cutBy === null) {
        this.findings.report('bridge-loop', object, values, path);
        continue;
      }
      this.findings.report('bridge-loop-past-tree', object, { ...values, bridge: cutBy }, path);
    }
  }

  /** The wires that carry frames between bridges that forward by themselves, a bond as one. */
  private wiresBetweenBridges(): readonly BridgeWire<Interface>[] {
    const forwards = (bridge: string): boolean => {
      const node = this.made.nodes.get(bridge);
      if (node?.kind === 'ovs-bridge') return forwardsByItself(node);
      return node?.kind === 'bridge' && node.state !== 'down';
    };
    const bundles = new Set<string>();
    const found: BridgeWire<Interface>[] = [];
    for (const [left, right, path] of [
      ...this.made.wires,
      ...this.made.patches,
      ...this.ovsTunnels(),
    ]) {
      if (!isAtBridge(left) || !isAtBridge(right) || !left.up || !right.up) continue;
      if (!forwards(left.bridge) || !forwards(right.bridge)) continue;
      // The wires between two bonds are one link.
      const [one, other] = [this.made.bundleOf(left), this.made.bundleOf(right)];
      if (one !== undefined && other !== undefined) {
        const bundle = [one.label, other.label].sort().join(' ');
        if (bundles.has(bundle)) continue;
        bundles.add(bundle);
      }
      // Of a bond that the far end knows nothing of, one member forwards what it hears.
      const alone = [left, right].find((end) => this.spreads(end));
      if (alone !== undefined) {
        const bond = this.made.bundleOf(alone)?.label ?? alone.label;
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
  checkBondPairs(): void {
    const seen = new Set<string>();
    for (const [left, right] of this.made.wires) {
      for (const [end, far] of [
        [left, right],
        [right, left],
      ] as const) {
        const [, bond] = this.made.ovsBondOf(end) ?? [];
        const [own, other] = [this.made.bundleOf(end), this.made.bundleOf(far)];
        if (bond === undefined || own === undefined || other === undefined) continue;
        if ((bond.mode ?? 'active-backup') !== 'active-backup' || (bond.lacp ?? 'off') !== 'off') {
          continue;
        }
        if (seen.has(own.label)) continue;
        seen.add(own.label);
        this.findings.advise(
          'bonds-choose-apart',
          own.label,
          { bond: own.label, other: other.label },
          own.path,
        );
      }
    }
  }

  /** Whether a link is in a bond of Open vSwitch that may lead to several switches. */
  private spreads(item: Interface): boolean {
    const bond = this.made.ovsBondOf(item)?.[1];
    return bond !== undefined && (bond.lacp ?? 'off') === 'off';
  }

  /** Tunnels between Open vSwitch bridges, as wires. */
  private ovsTunnels(): readonly (readonly [Interface, Interface, DocumentPath])[] {
    const holders = new Map<string, (string | null)[]>();
    for (const item of this.made.interfaces.values()) {
      for (const text of addressesOf(item.settings)) {
        append(holders, parseSubnetAddress(text)?.host.text ?? text, item.namespace);
      }
    }
    const portAt = ([bridge, port]: readonly [string, string]): Interface | undefined => {
      const node = this.made.nodes.get(bridge);
      const namespace = node === undefined ? null : namespaceOfNode(bridge, node);
      return this.made.ovsPorts.get(linkKey(namespace, port));
    };
    return tunnelPairs(this.made.nodes, (address) => holders.get(address) ?? []).flatMap(
      ([one, other]) => {
        const [left, right] = [portAt(one), portAt(other)];
        return left === undefined || right === undefined ? [] : [[left, right, left.path] as const];
      },
    );
  }
}

function isAtBridge(end: Interface): end is Interface & BridgeEnd {
  return end.bridge !== null;
}
