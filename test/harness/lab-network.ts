/** Networks of a lab before and after changes that were taken back. */
import { networkDifferences, type NetworkState } from './network-state.ts';

/**
 * What differs, but for MACs that the first state does not pin: those are not part of the network. The kernel keeps one
 * that was pinned for a while, and one that a roll-back gave again to a link that it made anew; it also keeps the
 * link-local address that it once derived from another MAC (EUI-64, RFC 4291).
 */
export function labDifferences(before: NetworkState, after: NetworkState): readonly string[] {
  return networkDifferences(withoutDerived(before), withoutDerived(after)).filter(
    (difference) => !/\/mac: null → /.test(difference),
  );
}

function withoutDerived(state: NetworkState): NetworkState {
  return Object.fromEntries(
    Object.entries(state).map(([name, namespace]) => {
      const addresses = Object.entries(namespace.addresses).map(([link, list]) => [
        link,
        Array.isArray(list)
          ? list.filter((one) => !/"fe80::[0-9a-f:]*ff:fe/.test(String(one)))
          : list,
      ]);
      return [name, { ...namespace, addresses: Object.fromEntries(addresses) }];
    }),
  );
}
