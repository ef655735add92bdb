/** What is said of a file that is open: what could not be read of it, and what is not kept. */
import type { CaptureTotals } from '../../agent/api/index.ts';
import type { Text } from '../app/text/text.ts';
import type { OpenedFile } from './file-reading.ts';

export interface FileSaying {
  readonly tone: 'bad' | 'warning' | 'muted';
  readonly text: string;
}

/** One sentence each; none of a file that was read to its end and is kept whole. */
export function sayingsOf(
  { name, size, read, faults, unreadable }: OpenedFile,
  { packets, oldest }: CaptureTotals,
  state: 'running' | 'stopped',
  { t, number }: Pick<Text, 't' | 'number'>,
): readonly FileSaying[] {
  const sayings: FileSaying[] = [];
  const { end, first, count } = faults;
  const shown = number(packets);
  const atByte = (offset: number) => ({ name, offset: number(offset) });
  const tone = packets === 0 ? 'bad' : 'warning';
  if (unreadable) {
    sayings.push({ tone, text: t('packets.file.unreadable', atByte(read)) });
  } else if (size === 0 && state === 'stopped') {
    sayings.push({ tone, text: t('packets.file.empty', { name }) });
  } else if (end !== null) {
    const { kind, offset, detail } = end;
    const values = { ...atByte(offset), detail, shown };
    const isCut = kind === 'cut-off';
    const text =
      kind === 'not-a-capture'
        ? t('packets.file.notCapture', values)
        : kind === 'other-format'
          ? t('packets.file.otherFormat', values)
          : kind === 'unsupported-version'
            ? t('packets.file.version', values)
            : packets === 0
              ? t(isCut ? 'packets.file.cutAtOnce' : 'packets.file.damagedAtOnce', values)
              : t(isCut ? 'packets.file.cut' : 'packets.file.damaged', values);
    sayings.push({ tone, text });
  } else if (state === 'stopped' && read < size) {
    const percent = number(Math.floor((read / size) * 100));
    sayings.push({ tone: 'muted', text: t('packets.file.stopped', { percent }) });
  }
  if (first !== null) {
    const values = { ...atByte(first.offset), count, shown: number(count) };
    sayings.push({ tone: 'warning', text: t('packets.file.skipped', values) });
  }
  if (oldest > 1) {
    const kept = number(packets - oldest + 1);
    sayings.push({ tone: 'muted', text: t('packets.file.newest', { shown, kept }) });
  }
  if (state === 'running') {
    const percent = number(size === 0 ? 100 : Math.floor((read / size) * 100));
    sayings.push({ tone: 'muted', text: t('packets.file.reading', { name, percent }) });
  }
  return sayings;
}
