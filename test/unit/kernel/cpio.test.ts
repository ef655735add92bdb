import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeArchive } from '../../../agent/kernel/cpio.ts';

describe('an archive', () => {
  let place: string;
  beforeEach(() => {
    place = mkdtempSync(path.join(tmpdir(), 'netloom-cpio-'));
  });
  afterEach(() => {
    rmSync(place, { recursive: true, force: true });
  });

  it('begins with the header of its first member and ends with the trailer, in fours of bytes', () => {
    const archive = writeArchive([{ path: 'a', kind: 'directory' }]);
    // The header's 110 bytes, and two of the name.
    expect(archive.subarray(0, 112).toString('latin1')).toBe(
      '07070100000001000041ed0000000000000000000000020000000000000000' +
        '000000000000000000000000000000000000000200000000a\0',
    );
    expect(archive.length % 4).toBe(0);
    expect(archive.toString('latin1')).toMatch(/TRAILER!!!\0+$/);
    expect(writeArchive([{ path: 'a', kind: 'directory' }])).toEqual(archive);
  });

  it('is what busybox unpacks', () => {
    const contents = ['', 'a', 'ab', 'abc', 'abcd', 'x'.repeat(70_000)];
    const archive = writeArchive([
      { path: 'bin', kind: 'directory' },
      ...contents.map((text, index) => ({
        path: `bin/${'n'.repeat(index + 1)}`,
        kind: 'file' as const,
        content: Buffer.from(text),
        executable: index === 1,
      })),
    ]);
    execFileSync('busybox', ['cpio', '-i', '-d'], { cwd: place, input: archive, stdio: 'pipe' });
    for (const [index, text] of contents.entries()) {
      const file = path.join(place, 'bin', 'n'.repeat(index + 1));
      expect(readFileSync(file, 'utf8')).toBe(text);
      expect(statSync(file).mode & 0o777).toBe(index === 1 ? 0o755 : 0o644);
    }
  });
});
