/** A capture's file on a disk that has no more room: the mounts are the test's own. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CaptureWriter } from '../../agent/dissect/capture/capture-writer.ts';
import { CaptureReader } from '../../agent/dissect/capture/capture-reader.ts';
import { CaptureDraft } from '../../main/library/capture-draft.ts';
import { must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let directory: string;

beforeEach(() => {
  requirePrivateNamespaces();
  directory = `/run/${uniqueName('small')}`;
  mkdirSync(directory);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
});
afterEach(() => {
  execFileSync('umount', [directory]);
});

function blocks(): { readonly head: Uint8Array; readonly packet: () => Uint8Array } {
  const writer = new CaptureWriter();
  const section = writer.section('test', 'Linux');
  const { bytes } = writer.interface({
    ...{ namespace: 'r1', name: 'eth0', linkType: 1, snapLength: 0 },
  });
  const time = { seconds: 1, nanoseconds: 0 };
  return {
    head: Buffer.concat([section, bytes]),
    packet: () =>
      writer.packet({ interface: 0, time, bytes: new Uint8Array(3000), wireLength: 3000 }),
  };
}

describe('the file of a capture', () => {
  it('has its name when it is whole, and not before', async () => {
    const file = `${directory}/whole.pcapng`;
    writeFileSync(file, 'before');
    const draft = must(await CaptureDraft.open(file));
    const { head, packet } = blocks();
    must(await draft.add(head, 0));
    must(await draft.add(packet(), 1));
    expect(readFileSync(file, 'utf8')).toBe('before');
    must(await draft.finish());
    expect(existsSync(`${file}.part`)).toBe(false);
    const reader = new CaptureReader();
    const items = [...reader.push(readFileSync(file)), ...reader.end()];
    expect(items.map(({ kind }) => kind)).toEqual(['packet']);
  });

  it('says that the disk is full, and keeps what is whole under another name', async () => {
    const file = `${directory}/full.pcapng`;
    const draft = must(await CaptureDraft.open(file));
    const { head, packet } = blocks();
    must(await draft.add(head, 0));
    let written = 0;
    let failure = null;
    while (failure === null && written < 100) {
      const added = await draft.add(packet(), 1);
      if (added.ok) written += 1;
      else ({ failure } = added);
    }
    expect(written).toBeLessThan(22);
    expect(failure?.reason).toBe('The disk is full.');
    expect(failure?.next).toContain(`The first ${String(written)} packets are in ${file}.part`);
    expect(existsSync(file)).toBe(false);
    const part = readFileSync(`${file}.part`);
    const reader = new CaptureReader();
    const items = [...reader.push(part), ...reader.end()];
    // Nothing is cut off within a block.
    expect(items.map(({ kind }) => kind)).toEqual(Array.from({ length: written }, () => 'packet'));
    expect(statSync(`${file}.part`).size).toBe(part.length);
  });

  it('leaves nothing of what was never begun', async () => {
    const file = `${directory}/none.pcapng`;
    const draft = must(await CaptureDraft.open(file));
    await draft.drop();
    expect([existsSync(file), existsSync(`${file}.part`)]).toEqual([false, false]);
    const nowhere = await CaptureDraft.open(`${directory}/no/such/file`);
    expect(nowhere.ok ? '' : nowhere.failure.kind).toBe('unknown-object');
  });
});
