/** Interfaces that are spoken of and not made, or that are too many at a bridge. */
import { namespaceOfNode } from '../api/document.ts';
import { type DocumentInterfaces, settingsAt } from './document-interfaces.ts';
import type { Findings } from './findings.ts';
import { linkKey } from './network.ts';

/** BR_MAX_PORTS is 1 << 10, and port number 0 is not used. */
const maximumPorts = 1023;

export function checkSettingsHaveLinks(made: DocumentInterfaces, findings: Findings): void {
  for (const [name, node] of made.nodes) {
    const { key, settings } = settingsAt(node);
    const namespace = namespaceOfNode(name, node);
    for (const interfaceName of Object.keys(settings)) {
      const place = linkKey(namespace, interfaceName);
      const found = made.interfaces.get(place) ?? made.ovsPorts.get(place);
      if (found?.node === name && !found.isBridge) continue;
      findings.report(
        found?.isBridge === true ? 'settings-of-bridge' : 'interface-without-link',
        `${name}:${interfaceName}`,
        { interface: interfaceName, node: name },
        ['topology', 'nodes', name, key, interfaceName],
      );
    }
  }
}

export function checkBridges(made: DocumentInterfaces, findings: Findings): void {
  for (const [bridge, ports] of made.portsByBridge) {
    if (ports.length <= maximumPorts || made.nodes.get(bridge)?.kind !== 'bridge') continue;
    const values = { bridge, count: ports.length, limit: maximumPorts };
    findings.report('too-many-ports', bridge, values, ['topology', 'nodes', bridge]);
  }
}
