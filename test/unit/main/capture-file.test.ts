import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CaptureRead, fail, type Failure, succeed } from '../../../agent/api/index.ts';
import {
  type ReadCapture,
  saveCapture,
  withExtension,
} from '../../../main/library/capture-file.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'netloom-capture-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const nothing = { packets: 0, bytes: 0, dropped: 0, drops: [], oldest: 1, keptBytes: 0 };
type Asked = Parameters<ReadCapture>[0];

function piece(text: string, some: Partial<CaptureRead>): CaptureRead {
  return {
    ...{ packets: 0, after: 0, interfaces: 1, missed: 0, more: false, stopped: false },
    data: Buffer.from(text).toString('base64'),
    totals: { ...nothing, packets: 5 },
    ...some,
  };
}

describe('a capture that is saved', () => {
  it('is written piece by piece up to what there was at the start, totals last', async () => {
    const asked: Asked[] = [];
    const pieces = [
      piece('head', { packets: 2, after: 2, more: true }),
      // More has come meanwhile, which is left out.
      piece('body', { packets: 3, after: 5, missed: 1, totals: { ...nothing, packets: 900 } }),
      piece('totals', { after: 5 }),
    ];
    const file = path.join(directory, 'captures', 'one.pcapng');
    const saved = await saveCapture(file, (from) => {
      asked.push(from);
      const next = pieces[asked.length - 1];
      if (next === undefined) throw new Error('asked too often');
      return Promise.resolve(succeed(next));
    });
    expect(saved).toEqual(succeed({ path: file, packets: 5, size: 14, missed: 1 }));
    expect(readFileSync(file, 'utf8')).toBe('headbodytotals');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(asked.map(({ after, until, totals }) => [after, until, totals])).toEqual([
      [-1, null, false],
      [2, 5, false],
      [5, 5, true],
    ]);
    expect(readdirSync(path.dirname(file))).toEqual(['one.pcapng']);
  });

  it('takes no other file’s place', async () => {
    const file = path.join(directory, 'one.pcapng');
    const read: ReadCapture = () => Promise.resolve(succeed(piece('a', {})));
    expect((await saveCapture(file, read)).ok).toBe(true);
    const again = await saveCapture(file, read);
    expect(again).toMatchObject({ ok: false, failure: { kind: 'storage', code: 'file-eexist' } });
    expect(readdirSync(directory)).toEqual(['one.pcapng']);
  });

  it('leaves nothing behind when the capture ends under it', async () => {
    const gone: Failure = {
      kind: 'unknown-object',
      code: 'unknown-capture',
      object: 'capture',
      reason: 'There is no such capture.',
      next: 'Start it again.',
    };
    let asked = 0;
    const saved = await saveCapture(path.join(directory, 'one.pcapng'), () => {
      asked += 1;
      return Promise.resolve(asked === 1 ? succeed(piece('a', { more: true })) : fail(gone));
    });
    expect(saved).toEqual(fail(gone));
    expect(readdirSync(directory)).toEqual([]);
  });

  it('has the extension that others open it by', () => {
    expect(['one', 'two.pcapng', 'three.PCAPNG'].map(withExtension)).toEqual([
      'one.pcapng',
      'two.pcapng',
      'three.PCAPNG',
    ]);
  });
});
