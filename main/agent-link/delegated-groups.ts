/** Control groups that this process is in and that were handed over to its user: what a sandbox may split. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { run } from './process.ts';

const DirectoriesSchema = z.array(z.string().startsWith('/'));

/**
 * Directories of delegated groups, one a hierarchy at most, emptied of processes where its version wants that; none when
 * nobody has handed any over. The agent's own program looks, since what decides is the kernel's.
 */
export async function readyDelegatedGroups(
  agentDirectory: string,
  node: string,
): Promise<readonly string[]> {
  if (!isInGroup()) return [];
  const script = path.join(agentDirectory, 'probe.js');
  const looked = await run(node, [script, 'delegated-groups'], { timeout: 10_000 });
  if (!looked.ok || looked.value.status !== 0) return [];
  try {
    return DirectoriesSchema.parse(JSON.parse(looked.value.output));
  } catch {
    return [];
  }
}

/** At the top of every hierarchy nothing can be ours, and nobody needs to look. */
function isInGroup(): boolean {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  return lines.some((line) => /^(?:0:|\d+:(?:[^:]*,)?cpu(?:,[^:]*)?):\/./.test(line));
}
