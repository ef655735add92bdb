/** Addresses of interfaces. */
import {
  broadcastOf,
  isInSubnet,
  networkAddressOf,
  oddityOf,
  parseHostAddress,
  parseSubnetAddress,
  type SubnetAddress,
} from './address.ts';
import type { BroadcastDomains } from './broadcast-domains.ts';
import { addressesOf, type DocumentInterfaces, type Interface } from './document-interfaces.ts';
import type { DocumentPath, Findings } from './findings.ts';
import type { TunnelValidator } from './validate-tunnels.ts';

export class AddressValidator {
  private readonly made: DocumentInterfaces;
  private readonly domains: BroadcastDomains;
  private readonly tunnels: TunnelValidator;
  private readonly findings: Findings;

  constructor(
    made: DocumentInterfaces,
    domains: BroadcastDomains,
    tunnels: TunnelValidator,
    findings: Findings,
  ) {
    this.made = made;
    this.domains = domains;
    this.tunnels = tunnels;
    this.findings = findings;
  }

  /** Each by itself, and whether it is had twice. */
  check(): void {
    // By address, then by where it must be unique: a domain or a namespace.
    const holders = new Map<string, Map<string, Interface>>();
    for (const item of this.made.interfaces.values()) {
      for (const [index, text] of addressesOf(item.settings).entries()) {
        const path = [...item.path, 'addresses', index];
        const address = this.checkAddress(item, text, path);
        if (address === null) continue;
        const scopes = [`domain ${this.domains.rootOf(item)}`, `namespace ${item.namespace ?? ''}`];
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
          this.findings.report('duplicate-address', item.label, values, path);
        } else if (far !== undefined && !linkLocal) {
          const values = { address: address.text, other: far.label };
          this.findings.advise('repeated-address', item.label, values, path);
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
      if (parsed === null)
        this.findings.report('invalid-address', item.label, { address: text }, path);
      else if (length === undefined) {
        const usual = parsed.family === 'ipv4' ? 24 : 64;
        const values = { address: text, length: usual };
        this.findings.report('address-without-prefix', item.label, values, path);
      } else if (/^\d+$/.test(length) && Number(length) > 32) {
        const limit = parsed.family === 'ipv4' ? 32 : 128;
        this.findings.report('prefix-out-of-range', item.label, { address: text, limit }, path);
      } else this.findings.report('invalid-address', item.label, { address: text }, path);
      return null;
    }
    const oddity = oddityOf(address.host);
    if (oddity !== null && oddity !== 'link-local') {
      const values = { address: text, sort: oddity };
      this.findings.report('special-address', item.label, values, path);
      return null;
    }
    const values = { address: address.host.text, subnet: address.subnet };
    if (networkAddressOf(address) === address.host.text) {
      this.findings.advise('network-address', item.label, values, path);
    } else if (broadcastOf(address) === address.host.text) {
      this.findings.advise('broadcast-address', item.label, values, path);
    }
    return address;
  }

  /** Two hosts on one wire hear only each other: with addresses of no common subnet they are cut off. */
  checkLinkSubnets(): void {
    const pairs = [
      ...this.made.wires.map(([left, right]) => [left, right] as const),
      ...this.tunnels.pairs.flatMap(([left, right]) =>
        left === undefined || right === undefined ? [] : [[left.device, right.device] as const],
      ),
    ];
    for (const [left, right] of pairs) {
      if (left.bridge !== null || right.bridge !== null) continue;
      if (this.made.masterOf(left) !== undefined || this.made.masterOf(right) !== undefined)
        continue;
      for (const family of ['ipv4', 'ipv6'] as const) {
        const here = subnetsAt(left, family);
        const there = subnetsAt(right, family);
        const [mine] = here;
        const [theirs] = there;
        if (mine === undefined || theirs === undefined) continue;
        const common = here.some((one) =>
          there.some((other) => isInSubnet(other.host, one) || isInSubnet(one.host, other)),
        );
        if (common) continue;
        const values = { address: theirs.text, other: left.label, subnet: mine.subnet };
        this.findings.report('address-outside-link', right.label, values, [
          ...right.path,
          'addresses',
        ]);
      }
    }
  }
}

export function subnetsAt(item: Interface, family: 'ipv4' | 'ipv6'): readonly SubnetAddress[] {
  return addressesOf(item.settings).flatMap((text) => {
    const address = parseSubnetAddress(text);
    return address === null || address.host.family !== family ? [] : [address];
  });
}
