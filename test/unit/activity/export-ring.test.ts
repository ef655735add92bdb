import { describe, expect, it } from 'vitest';
import {
  ExportRing,
  readExportRing,
  type RingFile,
  ringFileSize,
} from '../../../agent/activity/export-ring.ts';
import { ExportTotals, otherExporters } from '../../../agent/activity/export-totals.ts';
import type { ExportRecord } from '../../../agent/api/flow-export.ts';

function memoryFile(): RingFile & { text: string; longest: number } {
  return {
    text: '',
    longest: 0,
    clear() {
      this.text = '';
    },
    append(text) {
      this.text += text;
      this.longest = Math.max(this.longest, Buffer.byteLength(this.text));
    },
  };
}

function countsAt(time: number, exporter = '192.0.2.1') {
  return {
    protocol: 'ipfix' as const,
    exporter,
    time,
    flows: 0,
    counters: 0,
    options: 1,
    packets: 0,
    bytes: 0,
    problems: time % 2 === 0 ? [] : (['truncated'] as const),
  };
}

function recordAt(time: number, octets = 400): ExportRecord {
  const fields = [{ name: 'x', value: 'é'.repeat(octets / 2) }];
  return { kind: 'options', protocol: 'ipfix', exporter: '192.0.2.1', domain: 1, time, fields };
}

describe('what a collector keeps', () => {
  it('stays within two files, with the latest records and all totals', () => {
    const files = [memoryFile(), memoryFile()] as const;
    const ring = new ExportRing(files, (text) => Buffer.byteLength(text));
    const count = 20_000;
    for (let time = 1; time <= count; time += 1) ring.write(countsAt(time), [recordAt(time)]);
    for (const { longest } of files) {
      expect(longest).toBeGreaterThan(ringFileSize / 2);
      expect(longest).toBeLessThanOrEqual(ringFileSize);
    }
    // Whichever of the files is given first.
    for (const texts of [files.map(({ text }) => text), files.map(({ text }) => text).reverse()]) {
      const { records, totals } = readExportRing(texts, 1000);
      expect(records.map(({ time }) => time)).toEqual(
        Array.from({ length: 1000 }, (_, index) => count - index),
      );
      expect(totals).toMatchObject([
        {
          datagrams: count,
          options: count,
          problems: { truncated: count / 2 },
          first: 1,
          last: count,
        },
      ]);
    }
  });

  it('is read while it is written', () => {
    const files = [memoryFile(), memoryFile()] as const;
    const ring = new ExportRing(files, (text) => Buffer.byteLength(text));
    ring.write(countsAt(1), [recordAt(1)]);
    ring.write(countsAt(2), [recordAt(2)]);
    const cut = files.map(({ text }) => text.slice(0, -10));
    expect(readExportRing(cut, 10).records.map(({ time }) => time)).toEqual([1]);
    expect(readExportRing(['', 'nonsense\n{}\n'], 10)).toEqual({ records: [], totals: [] });
  });

  it('keeps the totals of a datagram that is too long for a file', () => {
    const files = [memoryFile(), memoryFile()] as const;
    const ring = new ExportRing(files, (text) => Buffer.byteLength(text));
    ring.write(
      countsAt(1),
      Array.from({ length: 3000 }, () => recordAt(1)),
    );
    const { records, totals } = readExportRing(
      files.map(({ text }) => text),
      1000,
    );
    expect(records).toHaveLength(64);
    expect(totals).toMatchObject([{ datagrams: 1 }]);
  });

  it('tells a bounded number of exporters apart', () => {
    const totals = new ExportTotals();
    for (let index = 0; index < 1000; index += 1) totals.add(countsAt(index, `10.0.0.${index}`));
    const list = totals.list();
    expect(list).toHaveLength(257);
    expect(list.find(({ exporter }) => exporter === otherExporters)?.datagrams).toBe(1000 - 256);
  });
});
