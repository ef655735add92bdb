/** Packets for people to read on a terminal: a line, or a tree. The texts may hold any characters of the packets. */
import type { CapturedPacket } from './capture/captured-packet.ts';
import type { Dissection } from './core/dissection.ts';
import type { Field } from './core/field.ts';
import { faultsOf } from './packet-json.ts';
import { summaryOf } from './summary.ts';

/** `since` is the time of the first packet. */
export function packetLine(
  packet: CapturedPacket,
  dissection: Dissection,
  since: CapturedPacket['time'],
): string {
  const { source, destination, protocol, info } = summaryOf(dissection);
  const { number, time, wireLength } = packet;
  const elapsed = time === null || since === null ? '–' : elapsedText(time, since);
  const ends = source === '' ? '' : `${source} → ${destination}  `;
  return `${String(number).padStart(5)}  ${elapsed.padStart(11)}  ${ends}${protocol}  ${String(wireLength)}  ${info}`;
}

type Time = Exclude<CapturedPacket['time'], null>;

/** Seconds; nanoseconds apart from them, which would be rounded in times since the epoch. */
function elapsedText(time: Time, since: Time): string {
  return (time.seconds - since.seconds + (time.nanoseconds - since.nanoseconds) / 1e9).toFixed(6);
}

/** One line a layer and a field, indented. */
export function packetTree(dissection: Dissection): readonly string[] {
  const lines: string[] = [];
  const add = (field: Field, indent: string): void => {
    lines.push(`${indent}${fieldText(field)}`);
    for (const inner of field.fields) add(inner, `${indent}  `);
  };
  for (const layer of dissection.layers) {
    const end = Math.min(layer.headerEnd, dissection.bytes.length);
    lines.push(`  ${layer.title}  ${placeText(layer.start, end - layer.start)}`);
    for (const field of layer.fields) add(field, '    ');
  }
  for (const { kind, offset, protocol } of faultsOf(dissection)) {
    lines.push(
      `  fault: ${kind} at byte ${String(offset)}${protocol === null ? '' : ` (${protocol})`}`,
    );
  }
  return lines;
}

function placeText(offset: number, length: number): string {
  return `[${String(offset)}+${String(length)}]`;
}

function fieldText(field: Field): string {
  const { type, offset, length } = field;
  return `${type.label}: ${valueText(field)}  ${placeText(offset, length)}`.replace(':   ', '  ');
}

/** What stands behind a field's label: `64 hops`, `8 (echo request)`; empty for a mere group. */
export function valueText({ type, length, value, meaning }: Field): string {
  const shown =
    typeof value === 'number' && type.hexadecimal
      ? `0x${value.toString(16).padStart(length * 2, '0')}`
      : value === null
        ? ''
        : String(value);
  const unit = type.unit === null || value === null ? '' : ` ${type.unit}`;
  return value === null
    ? (meaning ?? '')
    : `${shown}${unit}${meaning === null ? '' : ` (${meaning})`}`;
}
