/**
 * The directory that labs' groups are made in hands its controllers down, which is not ours: what was switched on for a lab
 * is noted at the lab's directory, and switched off again with the last one. Only cgroup v2 has this.
 */
import path from 'node:path';
import { type Result, succeed } from '../api/result.ts';
import { type CpuHierarchy, ownProcesses, rootDirectoryOf } from '../cpu/machine.ts';
import { groupsIn, handDown, handedDownIn } from './cgroup-directory.ts';
import { readExtendedAttribute, writeExtendedAttribute } from './native.ts';

/** A list of controllers with blanks between them. */
const attribute = 'user.netloom.handed-down';

/** Hands down what a lab needs; gives what was not handed down before. */
export function handDownFor(hierarchy: CpuHierarchy): Result<readonly string[]> {
  if (hierarchy.version === 1) return succeed([]);
  const before = handedDownIn(hierarchy.base);
  const handed = handDown(hierarchy, hierarchy.base, '+');
  if (!handed.ok) return handed;
  return succeed(hierarchy.controllers.filter((one) => !before.has(one)));
}

/** Where the attribute cannot be set, they stay handed down: that hurts nobody. */
export function markHandedDown(directory: string, controllers: readonly string[]): void {
  if (controllers.length > 0) writeExtendedAttribute(directory, attribute, controllers.join(' '));
}

export function readHandedDown(directory: string): readonly string[] {
  return readExtendedAttribute(directory, attribute)?.split(' ') ?? [];
}

/**
 * After a lab's directory has gone: takes back what was handed down for it, unless others have groups there now, who would
 * lose their limits with it. Another lab takes the note over.
 */
export function takeBackHandedDown(hierarchy: CpuHierarchy, controllers: readonly string[]): void {
  const those = hierarchy.controllers.filter((one) => controllers.includes(one));
  if (those.length === 0) return;
  const others = groupsIn(hierarchy.base).filter((name) => name !== ownProcesses);
  const lab = others.find((name) => name.startsWith(rootDirectoryOf('')));
  if (lab !== undefined) markHandedDown(path.join(hierarchy.base, lab), those);
  else if (others.length === 0) {
    handDown({ ...hierarchy, controllers: those }, hierarchy.base, '-');
  }
}
