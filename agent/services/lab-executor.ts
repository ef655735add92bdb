/** The executor of a lab’s transactions: what it takes for the lab’s, where it logs and as whom it runs what. */
import path from 'node:path';
import type { LabDocument } from '../api/document.ts';
import { KernelExecutor, type RunsAs } from '../apply/execute.ts';
import { linkKey, networkOf } from '../lab/network.ts';
import type { Caller, LabServiceOptions } from './lab-options.ts';

export function executorOf(
  options: LabServiceOptions,
  lab: string,
  base: LabDocument | null,
  caller: Caller,
): KernelExecutor {
  const network = base === null ? null : networkOf(base);
  const isListed = (namespace: string | null, link: string): boolean => {
    if (network === null) return false;
    if (namespace !== null && link === 'lo') return network.namespaces.has(namespace);
    return network.links.has(linkKey(namespace, link));
  };
  return new KernelExecutor({
    lab,
    isListed,
    onRemoval: options.prepareRemoval,
    logDirectory: logDirectoryOf(options, lab),
    runsAs: runsAs(options.realm, caller),
    engines: options.engines,
    collectorProgram: options.collectorProgram,
    cgroups: options.cpu?.groupsOf(lab) ?? null,
  });
}

export function logDirectoryOf(options: LabServiceOptions, lab: string): string {
  return path.join(options.stateDirectory, 'logs', lab);
}

function runsAs(realm: string, caller: Caller): RunsAs {
  return realm === 'host' ? { kind: 'person', uid: caller?.uid ?? null } : { kind: 'agent' };
}
