/**
 * An archive in the format that the kernel takes as its first root file system: cpio "newc".
 * Source: Documentation/driver-api/early-userspace/buffer-format.rst.
 */
import { Buffer } from 'node:buffer';

export type ArchiveEntry =
  | { readonly path: string; readonly kind: 'directory' }
  | {
      readonly path: string;
      readonly kind: 'file';
      readonly content: Uint8Array;
      readonly executable?: boolean;
    };

const regularFile = 0o100000;
const directory = 0o040000;
const trailer = 'TRAILER!!!';

/** Everything belongs to root and was made at the beginning of 1970, so that the same entries give the same bytes. */
export function writeArchive(entries: readonly ArchiveEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => {
    const isFile = entry.kind === 'file';
    const mode = isFile
      ? regularFile | (entry.executable === true ? 0o755 : 0o644)
      : directory | 0o755;
    const content = isFile ? entry.content : new Uint8Array();
    return member(index + 1, entry.path, mode, isFile ? 1 : 2, content);
  });
  return Buffer.concat([...parts, ...member(0, trailer, 0, 1, new Uint8Array())]);
}

/** Header and name together, and the content, are each filled up to four bytes. */
function member(
  inode: number,
  path: string,
  mode: number,
  links: number,
  content: Uint8Array,
): readonly Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  // c_ino … c_check: inode, mode, uid, gid, links, time, size, device (2), device it stands for (2), name, checksum.
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  const head = Buffer.concat([Buffer.from(header), name]);
  return [head, filling(head.length), content, filling(content.length)];
}

function filling(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
