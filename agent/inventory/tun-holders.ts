/**
 * Which processes hold taps and tuns: those that have /dev/net/tun open and attached. Sources: drivers/net/tun.c
 * (tun_chr_show_fdinfo, TUNGETDEVNETNS), pidfd_getfd(2).
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ProcessView } from '../api/inventory.ts';
import type { OvsEngineView } from '../api/ovs.ts';
import { identifyDescriptor, inodeOf, openProcess } from '../kernel/namespaces.ts';
import { closeDescriptor, controlDeviceWith, copyDescriptorOf } from '../kernel/native.ts';
import { maximumListedHolders, type NamespaceState } from './assemble.ts';

/** A process with an attached descriptor. */
export interface TunHolder {
  readonly pid: number;
  /** The link's present name. */
  readonly name: string;
  /** Id (inode) of the link's namespace; undefined when the kernel did not tell. */
  readonly namespace: string | undefined;
}

const TUNGETDEVNETNS = 0x54e3;

/** Pure: name of the link in /proc/PID/fdinfo/FD; undefined when the descriptor is attached to none. */
export function attachedLink(information: string): string | undefined {
  return /^iff:\t(.+)$/m.exec(information)?.[1];
}

/** The link may have been moved since: only its descriptor knows where it is. */
function namespaceOfLink(pid: number, fd: number): string | undefined {
  const holder = openProcess(pid);
  if (!holder.ok) return undefined;
  const copy = copyDescriptorOf(holder.value, fd);
  closeDescriptor(holder.value);
  if (copy < 0) return undefined;
  const namespace = controlDeviceWith(copy, TUNGETDEVNETNS, 0);
  closeDescriptor(copy);
  if (namespace < 0) return undefined;
  const identity = identifyDescriptor(namespace);
  closeDescriptor(namespace);
  return identity.ok ? String(inodeOf(identity.value)) : undefined;
}

function entriesOf(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** All that are seen in /proc, pids ascending. What vanishes meanwhile, or may not be read, is left out. */
export function findTunHolders(): readonly TunHolder[] {
  const found: TunHolder[] = [];
  for (const entry of entriesOf('/proc')) {
    const first = entry.charCodeAt(0);
    if (first < 0x31 || first > 0x39) continue;
    for (const fd of entriesOf(`/proc/${entry}/fd`)) {
      try {
        // With a /dev of its own, a process's path may be cut or longer.
        if (!readlinkSync(`/proc/${entry}/fd/${fd}`).endsWith('/net/tun')) continue;
        const name = attachedLink(readFileSync(`/proc/${entry}/fdinfo/${fd}`, 'utf8'));
        if (name === undefined) continue;
        const pid = Number(entry);
        found.push({ pid, name, namespace: namespaceOfLink(pid, Number(fd)) });
      } catch {
        // Closed meanwhile.
      }
    }
  }
  return found.sort((one, other) => one.pid - other.pid);
}

/** The userspace datapath's own link (dpif-netdev.c), beside those of its bridges. */
const datapathLink = 'ovs-netdev';

/** Pure: the links of switches of the userspace datapath are taps that they hold themselves, and nobody has to look. */
export function tapsOfSwitches(engines: readonly OvsEngineView[]): readonly TunHolder[] {
  return engines.flatMap(({ namespace, datapath, switch: daemon, bridges }) => {
    const { pid, running } = daemon;
    if (datapath !== 'netdev' || pid === null || !running) return [];
    const interfaces = bridges
      .flatMap(({ bridge }) => bridge.ports)
      .flatMap((port) => port.interfaces);
    const internal = interfaces.filter(({ kind }) => kind === 'internal');
    return [datapathLink, ...internal.map(({ name }) => name)].map((name) => ({
      pid,
      name,
      namespace,
    }));
  });
}

/**
 * Pure: holders of a namespace's taps and tuns by interface index. One whose namespace is not known counts for the only
 * link of that name in `all`.
 */
export function tunHolderViews(
  namespace: Pick<NamespaceState, 'id' | 'links'>,
  found: readonly TunHolder[],
  all: readonly Pick<NamespaceState, 'id' | 'links'>[],
  views: (pids: readonly number[]) => readonly ProcessView[],
): ReadonlyMap<number, readonly ProcessView[]> {
  const holders = new Map<number, readonly ProcessView[]>();
  if (found.length === 0) return holders;
  const named = (state: Pick<NamespaceState, 'links'>, name: string): boolean =>
    [...state.links.values()].some((link) => link.kind === 'tun' && link.name === name);
  for (const link of namespace.links.values()) {
    if (link.kind !== 'tun') continue;
    const pids = found
      .filter(
        (holder) =>
          holder.name === link.name &&
          (holder.namespace === undefined
            ? all.filter((other) => named(other, link.name)).length === 1
            : holder.namespace === namespace.id),
      )
      .map(({ pid }) => pid);
    if (pids.length === 0) continue;
    // A queue is a descriptor: one process may have several.
    holders.set(link.index, views([...new Set(pids)].slice(0, maximumListedHolders)));
  }
  return holders;
}
