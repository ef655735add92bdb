/** VLANs of bridges and their ports. */
import type { BridgePort } from '../api/document.ts';
import { append } from './collections.ts';
import { takesVlans } from './device.ts';
import type { DocumentInterfaces, Interface } from './document-interfaces.ts';
import type { Findings } from './findings.ts';

export function checkVlans(made: DocumentInterfaces, findings: Findings): void {
  for (const [bridgeName, ports] of made.portsByBridge) {
    const node = made.nodes.get(bridgeName);
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
        findings.report('vlan-without-filtering', port.label, values, port.path);
        continue;
      }
      const { vlan, trunk, native } = settings;
      if (vlan !== undefined && (trunk !== undefined || native !== undefined)) {
        findings.report('access-and-trunk', port.label, { port: port.label, vlan }, port.path);
      } else if (native !== undefined && trunk === undefined) {
        findings.report('native-without-trunk', port.label, { port: port.label }, port.path);
      }
      for (const id of new Set([...[vlan, native].flatMap((one) => one ?? []), ...(trunk ?? [])])) {
        append(carriers, id, port);
      }
    }
    if (node.vlanFiltering !== true) continue;
    for (const [id, [port, other]] of carriers) {
      if (port === undefined || other !== undefined || node.vlans?.includes(id) === true) continue;
      if (id === 1 && !takesVlans(port.settings as BridgePort)) continue;
      findings.advise('vlan-alone', port.label, { id, port: port.label }, port.path);
    }
  }
}
