/** What `validate-ovs.ts` needs to know of the document around a bridge. */
import { namespaceOfNode } from '../api/document.ts';
import { append } from './collections.ts';
import { defaultMtu } from './device.ts';
import { addressesOf, type DocumentInterfaces, type Interface } from './document-interfaces.ts';
import type { DocumentPath, Findings } from './findings.ts';
import { linkKey } from './network.ts';
import type { DocumentMtus } from './validate-mtus.ts';
import { type Bearer, type FarEnd, validateOvs } from './validate-ovs.ts';

export function checkOvs(made: DocumentInterfaces, mtus: DocumentMtus, findings: Findings): void {
  const uplinks = new Set(
    [...made.nodes.values()].flatMap((node) =>
      node.kind === 'ovs-bridge' && node.uplink !== undefined
        ? [linkKey(node.namespace ?? null, node.uplink)]
        : [],
    ),
  );
  const isOvs = (node: string): boolean => made.nodes.get(node)?.kind === 'ovs-bridge';
  const bearers = new Map<string | null, Bearer[]>();
  for (const item of made.interfaces.values()) {
    const addresses = addressesOf(item.settings);
    if (addresses.length === 0) continue;
    const { namespace, name, isBridge, isInternal, node } = item;
    append(bearers, namespace, {
      name,
      isInternal:
        isInternal === true || (isBridge && isOvs(node)) || uplinks.has(linkKey(namespace, name)),
      mtu: mtus.of(item) ?? defaultMtu,
      addresses,
    });
  }
  const ends = new Map<string, FarEnd[]>();
  const addEnd = (bridge: string, item: Interface): void => {
    const mtu = mtus.of(item);
    if (mtu !== null) append(ends, bridge, { label: item.label, mtu, path: item.path });
  };
  for (const [left, right] of made.wires) {
    if (left.bridge !== null && right.bridge === null) addEnd(left.bridge, right);
    if (right.bridge !== null && left.bridge === null) addEnd(right.bridge, left);
  }
  for (const item of made.interfaces.values()) {
    const own = item.isInternal === true || (item.isBridge && isOvs(item.node));
    if (own && item.bridge !== null && addressesOf(item.settings).length > 0) {
      addEnd(item.bridge, item);
    }
  }
  validateOvs({
    nodes: made.nodes,
    report: (...words) => {
      findings.report(...words);
    },
    advise: (...words) => {
      findings.advise(...words);
    },
    hasInterface: (namespace, name) => made.interfaces.has(linkKey(namespace, name)),
    isLink: (bridge, port) => {
      const node = made.nodes.get(bridge);
      const item =
        node === undefined
          ? undefined
          : made.interfaces.get(linkKey(namespaceOfNode(bridge, node), port));
      return item?.bridge === bridge && !item.isBridge && item.isInternal !== true;
    },
    isPatch: (bridge, port) =>
      made.patches.some((ends) => ends.slice(0, 2).some((end) => isEnd(end, bridge, port))),
    bearersIn: (namespace) => bearers.get(namespace) ?? [],
    endsAt: (bridge) => ends.get(bridge) ?? [],
  });
}

function isEnd(end: Interface | DocumentPath, bridge: string, port: string): boolean {
  return 'node' in end && end.node === bridge && end.name === port;
}
