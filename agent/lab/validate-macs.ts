/** MAC addresses. */
import { isUsableMac } from './address.ts';
import type { BroadcastDomains } from './broadcast-domains.ts';
import { append } from './collections.ts';
import type { DocumentInterfaces, Interface } from './document-interfaces.ts';
import type { Findings } from './findings.ts';

export function checkMacs(
  made: DocumentInterfaces,
  domains: BroadcastDomains,
  findings: Findings,
): void {
  const seen = new Map<string, Interface[]>();
  for (const item of made.interfaces.values()) {
    const mac = item.settings.mac?.toLowerCase();
    if (mac === undefined) continue;
    const path = [...item.path, 'mac'];
    const kind = item.device?.kind;
    if (kind === 'tun' || kind === 'gre' || kind === 'ipip') {
      findings.report('mac-not-possible', item.label, { kind }, path);
      continue;
    }
    if (!isUsableMac(mac)) {
      findings.report('unusable-mac', item.label, { mac }, path);
      continue;
    }
    const others = seen.get(mac) ?? [];
    const near = others.find((other) => domains.areJoined(other, item));
    const [far] = others;
    if (near !== undefined) {
      findings.report('duplicate-mac', item.label, { mac, other: near.label }, path);
    } else if (far !== undefined) {
      findings.advise('repeated-mac', item.label, { mac, other: far.label }, path);
    }
    append(seen, mac, item);
  }
}
