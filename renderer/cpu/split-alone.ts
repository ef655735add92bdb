import type { LabDocument } from '../../agent/api/index.ts';

/** Whether there is nothing of a lab but its CPU split to look at. */
export function isSplitAlone(document: LabDocument | null): boolean {
  return document?.cpu !== undefined && Object.keys(document.topology.nodes).length === 0;
}
