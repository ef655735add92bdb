import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readProcessors } from '../../../main/workbench/processors.ts';
import { temporaryDirectory } from './temporary-directory.ts';

function write(root: string, file: string, text: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), text);
}

describe('the processors of a machine', () => {
  it('are those that are on, with their core, socket and node', () => {
    const root = temporaryDirectory();
    write(root, 'cpu/online', '0-1,3\n');
    for (const [cpu, core, socket] of [
      [0, 0, 0],
      [1, 0, 0],
      [2, 1, 1],
      [3, 1, 1],
    ]) {
      write(root, `cpu/cpu${cpu}/topology/core_id`, `${core}\n`);
      write(root, `cpu/cpu${cpu}/topology/physical_package_id`, `${socket}\n`);
    }
    write(root, 'node/node0/cpulist', '0-1\n');
    write(root, 'node/node1/cpulist', '2-3\n');
    write(root, 'node/possible', '0-1\n');
    expect(readProcessors(root)).toEqual([
      { cpu: 0, core: 0, socket: 0, node: 0 },
      { cpu: 1, core: 0, socket: 0, node: 0 },
      { cpu: 3, core: 1, socket: 1, node: 1 },
    ]);
  });

  it('are cores of their own where the kernel says nothing of them', () => {
    const root = temporaryDirectory();
    write(root, 'cpu/online', '0-1\n');
    write(root, 'cpu/cpu1/topology/physical_package_id', '-1\n');
    expect(readProcessors(root)).toEqual([
      { cpu: 0, core: 0, socket: 0, node: 0 },
      { cpu: 1, core: 1, socket: 0, node: 0 },
    ]);
  });
});
