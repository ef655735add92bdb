/** IP addresses of links, over a request socket. */
import type { Result } from '../api/result.ts';
import type { RequestSocket } from './netlink-socket.ts';
import {
  type Address,
  type AddressFilter,
  type AddressSettings,
  changeAddressRequest,
  decodeAddress,
  deleteAddressRequest,
  dumpAddressesRequest,
  newAddressRequest,
} from './rtnetlink.ts';

/** Fails with EEXIST when the link has this address and prefix. Throws on text that is no prefix: validate before. */
export function addAddress(socket: RequestSocket, settings: AddressSettings): Result<void> {
  return socket.execute(newAddressRequest(settings));
}

/** Changes an address that is there. */
export function changeAddress(socket: RequestSocket, settings: AddressSettings): Result<void> {
  return socket.execute(changeAddressRequest(settings));
}

/** Fails with EADDRNOTAVAIL when the link has no such address. */
export function deleteAddress(
  socket: RequestSocket,
  settings: Pick<AddressSettings, 'interfaceIndex' | 'prefix' | 'peer'>,
): Result<void> {
  return socket.execute(deleteAddressRequest(settings));
}

export function listAddresses(
  socket: RequestSocket,
  filter: AddressFilter = {},
): Result<readonly Address[]> {
  return socket.list(dumpAddressesRequest(filter), (bytes, start, end) => {
    const address = decodeAddress(bytes, start, end);
    if (address === undefined) return undefined;
    if (filter.family !== undefined && address.family !== filter.family) return undefined;
    return filter.interfaceIndex === undefined || address.interfaceIndex === filter.interfaceIndex
      ? address
      : undefined;
  });
}
