/** What a fault of a file means, and what to do about it. */
import { assertNever } from '../../api/result.ts';
import { type CaptureFault, maximumPacketLength } from './captured-packet.ts';

export interface FaultText {
  readonly reason: string;
  readonly next: string;
}

export function textOfFault({ kind, offset, detail }: CaptureFault): FaultText {
  const at = `At byte ${String(offset)}`;
  switch (kind) {
    case 'not-a-capture':
      return {
        reason: `${at} it has ${detail} where captures (pcap, pcapng) have a number that names the format.`,
        next: 'Give a file that tcpdump, dumpcap or Wireshark has written.',
      };
    case 'other-format':
      return {
        reason: `It is a file of the format ${detail}.`,
        next:
          detail === 'snoop'
            ? 'Turn it into pcapng (editcap does).'
            : 'Unpack it, or pipe it unpacked into `netloom dissect -`.',
      };
    case 'unsupported-version':
      return {
        reason: `${at} it has version ${detail} of its format, which is not known.`,
        next: 'Save it anew as pcap 2.4 or pcapng 1 (editcap does).',
      };
    case 'cut-off':
      return {
        reason: `It ends within the record that begins at byte ${String(offset)}: it was cut off, or is still written.`,
        next: 'The packets before it are complete.',
      };
    case 'bad-length':
      return {
        reason: `${at} there is a length of ${detail} bytes, which its record cannot have: the file is damaged.`,
        next: 'What can be read of it is shown.',
      };
    case 'length-mismatch':
      return {
        reason: `${at} a block ends with another length than it begins with (${detail}): the file is damaged.`,
        next: 'The packets before it are complete.',
      };
    case 'unknown-interface':
      return {
        reason: `${at} there is a packet of interface ${detail}, which the file does not describe.`,
        next: 'The packet is left out.',
      };
    case 'too-long':
      return {
        reason: `${at} there is a block of ${detail} bytes; packets of more than ${String(maximumPacketLength)} are not read.`,
        next: 'It is left out.',
      };
    case 'too-many-interfaces':
      return {
        reason: `${at} there are more descriptions of interfaces than any machine has.`,
        next: 'The others are left out.',
      };
    default:
      return assertNever(kind);
  }
}
