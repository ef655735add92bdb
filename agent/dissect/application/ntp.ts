/** Network time (RFC 5905). */
import type { Protocol } from '../core/dissection.ts';
import { hexadecimal, meaningsOf, octets, text, unsigned, type FieldType } from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { uint32, uint8 } from '../core/octets.ts';

const modes = meaningsOf({
  1: 'symmetric active',
  2: 'symmetric passive',
  3: 'client',
  4: 'server',
  5: 'broadcast',
  6: 'control',
  7: 'private',
});

const flags = hexadecimal('ntp.flags', 'Flags');
const leap = unsigned('ntp.flags.li', 'Leap indicator', {
  meanings: meaningsOf({ 0: 'no warning', 1: 'a second more', 2: 'a second less', 3: 'unknown' }),
});
const version = unsigned('ntp.flags.vn', 'Version');
const mode = unsigned('ntp.flags.mode', 'Mode', { meanings: modes });
const stratum = unsigned('ntp.stratum', 'Stratum');
const poll = unsigned('ntp.ppoll', 'Polling interval (power of two of seconds)');
const precision = unsigned('ntp.precision', 'Precision (power of two of seconds)');
const rootDelay = unsigned('ntp.rootdelay', 'Root delay', { unit: 's/65536' });
const rootDispersion = unsigned('ntp.rootdispersion', 'Root dispersion', { unit: 's/65536' });
const reference = octets('ntp.refid', 'Reference');
const referenceTime = text('ntp.reftime', 'Reference time');
const originTime = text('ntp.org', 'Origin time');
const receiveTime = text('ntp.rec', 'Receive time');
const transmitTime = text('ntp.xmt', 'Transmit time');
const keyId = octets('ntp.keyid', 'Key');
const digest = octets('ntp.mac', 'Authentication code');

/** From 1900, where the first era begins, to 1970. */
const secondsTo1970 = 2_208_988_800;

/** 32 bits of seconds and 32 of fractions. Before the middle of the era the next one is meant (RFC 4330, 3). */
function time(tree: FieldTree, type: FieldType): void {
  if (tree.has(8)) {
    const seconds = uint32(tree.bytes, tree.at);
    const fraction = uint32(tree.bytes, tree.at + 4);
    const era = seconds < 0x80000000 && seconds !== 0 ? 2 ** 32 : 0;
    const milliseconds = (seconds + era - secondsTo1970) * 1000;
    const nanoseconds = Math.floor((fraction / 2 ** 32) * 1e9);
    const shown = `${new Date(milliseconds).toISOString().slice(0, -5)}.${String(nanoseconds).padStart(9, '0')}Z`;
    // Nothing is known where all of it is zero.
    tree.add(type, tree.at, 8, seconds === 0 && fraction === 0 ? '' : shown);
  }
  tree.skip(8);
}

export const networkTime: Protocol = {
  name: 'ntp',
  title: 'NTP',
  minimum: 1,
  fields: [
    flags,
    leap,
    version,
    mode,
    stratum,
    poll,
    precision,
    rootDelay,
    rootDispersion,
    reference,
    referenceTime,
    originTime,
    receiveTime,
    transmitTime,
    keyId,
    digest,
  ],
  enter: () => undefined,
  describe(tree) {
    const word = tree.peek();
    tree.word(flags, 1, [
      [leap, 0xc0],
      [version, 0x38],
      [mode, 0x07],
    ]);
    // Control and private messages are others altogether.
    if ((word & 7) >= 6) return;
    tree.unsigned(stratum, 1);
    tree.unsigned(poll, 1);
    tree.unsigned(precision, 1);
    tree.unsigned(rootDelay, 4);
    tree.unsigned(rootDispersion, 4);
    tree.octets(reference, 4);
    time(tree, referenceTime);
    time(tree, originTime);
    time(tree, receiveTime);
    time(tree, transmitTime);
    if (tree.left !== 20 && tree.left !== 24) return;
    tree.octets(keyId, 4);
    tree.octets(digest, tree.left);
  },
  info({ bytes }, { start }) {
    const word = uint8(bytes, start);
    return `NTP version ${String((word >> 3) & 7)}, ${modes.get(word & 7) ?? 'reserved'}`;
  },
};
