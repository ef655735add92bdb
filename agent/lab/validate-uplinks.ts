/** Uplinks. */
import { isSwitch } from '../api/document.ts';
import type { BroadcastDomains } from './broadcast-domains.ts';
import type { DocumentInterfaces } from './document-interfaces.ts';
import type { Findings } from './findings.ts';
import { linkKey } from './network.ts';

/** What a bridge does not take as a port (br_add_if). */
const portlessKinds: ReadonlySet<string> = new Set(['bridge', 'tun', 'gre', 'ipip', 'vrf']);

/** What an uplink is in the machine is seen when the lab is planned; here, what the document says of it. */
export function checkUplinks(
  made: DocumentInterfaces,
  domains: BroadcastDomains,
  findings: Findings,
): void {
  const seen = new Map<string, string>();
  for (const [name, node] of made.nodes) {
    if (!isSwitch(node) || node.uplink === undefined) continue;
    const { uplink } = node;
    const path = ['topology', 'nodes', name, 'uplink'];
    const key = linkKey(node.namespace ?? null, uplink);
    const other = seen.get(key);
    if (other !== undefined) {
      findings.report('uplink-of-two', name, { interface: uplink, other }, path);
    }
    seen.set(key, name);
    if (node.state === 'down') {
      findings.report('uplink-bridge-down', name, { bridge: name, interface: uplink }, path);
    }
    const item = made.interfaces.get(key);
    if (node.kind === 'ovs-bridge' && (item?.device !== null || item.bridge !== null)) {
      const values = { interface: uplink, bridge: name };
      findings.report('ovs-uplink-not-made', name, values, path);
      continue;
    }
    if (item === undefined) continue;
    const master = made.masterOf(item)?.name ?? (item.isBridge ? null : item.bridge);
    const kind = item.isBridge ? 'bridge' : item.device?.kind;
    if (master !== null) {
      findings.report('uplink-is-member', name, { interface: uplink, other: master }, path);
    } else if (kind !== undefined && portlessKinds.has(kind)) {
      findings.report('uplink-not-possible', name, { kind }, path);
    } else {
      const bridge = made.interfaces.get(linkKey(node.namespace ?? null, name));
      if (bridge !== undefined) domains.join(item, bridge);
    }
  }
}
