/** What a lab of the gallery is on this kernel, made by hand; and what its transcript by `sh` makes, held against it. */
import path from 'node:path';
import { expect } from 'vitest';
import { lackOfKernelDatapath } from '../../agent/ovs/datapath.ts';
import { type BareNetwork, makeBareNetwork } from './lab-bare-network.ts';
import { labScripts, realmScript } from './lab-expectations.ts';
import { type CommandResult, gallery, install, type Netloom } from './netloom.ts';
import { networkDifferences, type NetworkState, readNetworkState } from './network-state.ts';

export const labOf = (file: string): string => path.basename(file, '.yaml');
export const fileOf = (file: string): string => path.join(gallery, file);

/** The network of a script, made by hand in an empty one. */
export async function byHand(...scripts: readonly string[]): Promise<NetworkState> {
  const bare: BareNetwork = await makeBareNetwork(path.join(install().root, 'bin'));
  try {
    bare.script(scripts.join('\n'));
    return readNetworkState(bare.inside);
  } finally {
    bare.end();
  }
}

/** What Open vSwitch uses by itself in a realm; a plan against nothing does not know, and takes its own. */
const datapath = lackOfKernelDatapath() === null ? 'system' : 'netdev';

const known = new Map<string, Promise<NetworkState | null>>();

/** Null when the kernel lacks something that the lab needs. */
export function labByHand(
  file: string,
  usual: 'system' | 'netdev' = datapath,
): Promise<NetworkState | null> {
  const script = labScripts[file];
  if (script === undefined) throw new Error(`no network written by hand for ${file}`);
  const key = `${file} ${usual}`;
  const made =
    known.get(key) ??
    byHand(realmScript, `usual=${usual}`, script).catch((error: unknown) => {
      // The words of iproute2 and Open vSwitch for a kind of link, a queueing discipline, a setting or a datapath that the
      // kernel does not have.
      if (/Unknown device type|kind is unknown|not supported|add_dp/i.test(String(error))) {
        return null;
      }
      throw error;
    });
  known.set(key, made);
  return made;
}

/** What a person copies, who has nothing yet: whoever it is. */
const transcripts = new Map<string, Promise<CommandResult>>();
function transcriptOf(file: string, netloom: Netloom): Promise<CommandResult> {
  const printed = transcripts.get(file) ?? netloom.must(['plan', fileOf(file), '--commands']);
  transcripts.set(file, printed);
  return printed;
}

/**
 * Runs a lab's transcript in a realm that is as empty as that of the person who copies it. Gives false where the kernel lacks
 * what the lab needs.
 */
export async function expectTranscript(file: string, netloom: Netloom): Promise<boolean> {
  const expected = await labByHand(file, 'netdev');
  if (expected === null) return false;
  const transcript = await transcriptOf(file, netloom);
  const realm = await netloom.emptyRealm(`by-${labOf(file)}`);
  realm.script(transcript.stdout);
  // A process that a script leaves in the background is another program for a moment.
  await expect
    .poll(() => networkDifferences(expected, readNetworkState(realm.inRealm)), {
      message: `${file}:\n${transcript.stdout}`,
      timeout: 10_000,
      interval: 200,
    })
    .toEqual([]);
  process.kill(realm.keeper, 'SIGKILL');
  return true;
}
