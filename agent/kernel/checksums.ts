/** Who finishes the checksums of what leaves an interface. */
import { Buffer } from 'node:buffer';
import { type Result, succeed } from '../api/result.ts';
import { settleCall } from './kernel-failure.ts';
import { runIn } from './namespaces.ts';
import { AF_INET, closeDescriptor, controlInterface, openSocket, SOCK_DGRAM } from './native.ts';

/** include/uapi/linux/sockios.h */
const SIOCETHTOOL = 0x8946;
/** include/uapi/linux/ethtool.h */
const ETHTOOL_STXCSUM = 0x17;

/**
 * Has the kernel finish checksums before packets leave by the interface, instead of leaving them to hardware that a veth pair
 * does not have: who takes packets off the other end as they are, such as Open vSwitch's userspace datapath, passes on what
 * nobody would accept. As `ethtool -K NAME tx off` (ethtool(8)).
 */
export function finishChecksums(namespaceFd: number, name: string): Result<void> {
  const done = runIn(namespaceFd, () => {
    const socket = openSocket(AF_INET, SOCK_DGRAM, 0);
    if (socket < 0) return socket;
    try {
      // struct ethtool_value; long enough never to be moved while the kernel reads it.
      const value = Buffer.alloc(128);
      value.writeUInt32LE(ETHTOOL_STXCSUM, 0);
      return controlInterface(socket, SIOCETHTOOL, name, value);
    } finally {
      closeDescriptor(socket);
    }
  });
  if (!done.ok) return done;
  const settled = settleCall(done.value, 'ioctl', name);
  return settled.ok ? succeed(undefined) : settled;
}
