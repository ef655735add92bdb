/** Whom a host of the lab sends a packet to on its link: the destination, or the gateway towards it. Pure. */
import type { LabDocument } from '../../../agent/api/index.ts';
import {
  type HostAddress,
  isInSubnet,
  parseDestination,
  parseHostAddress,
  parseSubnetAddress,
} from '../../../agent/lab/address.ts';
import { addressesOf, type HeldAddress } from '../document/devices.ts';

/**
 * The interface of the lab that a host's packet is addressed to, by the host's addresses and the routes that the document
 * gives it, the longest prefix first. Null where the document does not tell.
 */
export function nextHopOf(
  document: LabDocument,
  host: string,
  destination: string,
): HeldAddress | null {
  const target = parseHostAddress(destination);
  if (target === null) return null;
  const own = addressesOf(document, host);
  const onLink = (each: HostAddress): boolean =>
    own.some(({ address }) => isInSubnet(each, address));
  if (onLink(target)) return holderOf(document, target);
  const node = document.topology.nodes[host];
  const routes = node !== undefined && 'routes' in node ? (node.routes ?? []) : [];
  const gateways = routes.flatMap(({ to, via }) => {
    const prefix = parseDestination(to, via ?? null);
    const gateway = via === undefined ? null : parseHostAddress(via);
    const subnet = prefix === null ? null : parseSubnetAddress(prefix.text);
    return prefix !== null && gateway !== null && subnet !== null && isInSubnet(target, subnet)
      ? [{ length: prefix.length, gateway }]
      : [];
  });
  const [best] = gateways.sort((one, other) => other.length - one.length);
  return best === undefined || !onLink(best.gateway) ? null : holderOf(document, best.gateway);
}

function holderOf(document: LabDocument, address: HostAddress): HeldAddress | null {
  for (const node of Object.keys(document.topology.nodes)) {
    const held = addressesOf(document, node).find(
      (each) => each.address.host.text === address.text,
    );
    if (held !== undefined) return held;
  }
  return null;
}
