import {
  interfaceBlock,
  join,
  option,
  packetBlock,
  sectionHeader,
} from '../../harness/captures.ts';
import { ascii } from '../../harness/packets.ts';
import { samples } from './samples.ts';

/** All samples in a file of pcapng, with an interface for each link type that is named by it. */
export function sampleCapture(): Uint8Array {
  const linkTypes = [...new Set(samples.map(({ linkType = 1 }) => linkType))];
  return join([
    sectionHeader(),
    ...linkTypes.map((linkType) =>
      interfaceBlock(linkType, [option(2, ascii(`link${String(linkType)}`))]),
    ),
    ...samples.map(({ bytes, linkType = 1 }, index) =>
      packetBlock({ bytes, interface: linkTypes.indexOf(linkType), time: BigInt(index) }),
    ),
  ]);
}
