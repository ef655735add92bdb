/**
 * The processes behind flows: of each end that is in the flow's own namespace, who holds its socket. Looked up when somebody asks
 * for flows, as it is then; said only where there is one socket that it can be, and one process that holds it.
 */
import type { CaptureFlow } from '../api/traffic.ts';
import type { InventoryTracker } from '../inventory/tracker.ts';
import { listAddresses } from '../kernel/addresses.ts';
import {
  type InternetSocket,
  listInternetSockets,
  type Transport,
  transports,
} from '../kernel/internet-sockets.ts';
import { findSocketHolders, type SocketHolder } from '../kernel/socket-holders.ts';

/** What is known of one namespace. */
export interface NamespaceSockets {
  readonly sockets: Readonly<Record<Transport, readonly InternetSocket[]>>;
  /** Addresses of its interfaces, in canonical text. */
  readonly addresses: ReadonlySet<string>;
}

type End = CaptureFlow['ends'][number];

/** Pure. Inode of the one socket that this end can be of; null where there is none, or more than one. */
export function socketOfEnd(
  { sockets, addresses }: NamespaceSockets,
  transport: Transport,
  own: Pick<End, 'address' | 'port'>,
  other: Pick<End, 'address' | 'port'>,
): number | null {
  const family = own.address.includes(':') ? 6 : 4;
  const here = sockets[transport].filter(
    ({ inode, families, local }) =>
      inode !== 0 && families.includes(family) && local.port === own.port,
  );
  const connected = here.filter(
    ({ local, remote }) =>
      local.address === own.address &&
      remote?.address === other.address &&
      remote.port === other.port,
  );
  if (connected.length > 0) return onlyInode(connected);
  // One that waits for connections has no packets of a connection.
  if (transport === 'tcp') return null;
  const open = here.filter(({ remote }) => remote === null);
  const bound = open.filter(({ local }) => local.address === own.address);
  if (bound.length > 0) return onlyInode(bound);
  // Through a router pass packets of ports that its own sockets have as well.
  if (!addresses.has(own.address) && !own.address.startsWith('127.')) return null;
  return onlyInode(open.filter(({ local }) => local.address === null));
}

function onlyInode(sockets: readonly InternetSocket[]): number | null {
  const inodes = new Set(sockets.map(({ inode }) => inode));
  const [inode] = inodes;
  return inodes.size === 1 && inode !== undefined ? inode : null;
}

function transportOf({ ipProtocol }: CaptureFlow): Transport | null {
  if (ipProtocol === transports.tcp) return 'tcp';
  return ipProtocol === transports.udp ? 'udp' : null;
}

/** The same flows, with the processes of their ends. `asked` sees its own alone; null sees everybody's. */
export function withProcesses(
  flows: readonly CaptureFlow[],
  tracker: Pick<InventoryTracker, 'observed'>,
  asked: { readonly uid: number } | null,
): CaptureFlow[] {
  const spaces = new Map<string, NamespaceSockets | null>();
  const spaceOf = (id: string): NamespaceSockets | null => {
    const known = spaces.get(id);
    if (known !== undefined) return known;
    const read = readSpace(id, tracker);
    spaces.set(id, read);
    return read;
  };
  const inodes = flows.map((flow) => inodesOf(flow, spaceOf));
  const wanted = inodes.flat().filter((inode) => inode !== null);
  const holders = findSocketHolders(new Set(wanted));
  return flows.map((flow, at) => ({
    ...flow,
    ends: flow.ends.map((end, place) => {
      const inode = inodes[at]?.[place] ?? null;
      const holder = inode === null ? null : onlyHolder(holders.get(inode) ?? [], asked);
      return holder === null ? end : { ...end, process: { pid: holder.pid, name: holder.name } };
    }),
  }));
}

function inodesOf(
  flow: CaptureFlow,
  spaceOf: (id: string) => NamespaceSockets | null,
): readonly (number | null)[] {
  const [one, other] = flow.ends;
  const transport = transportOf(flow);
  if (transport === null || one === undefined || other === undefined) return [];
  const space = spaceOf(flow.namespace);
  if (space === null) return [];
  return [socketOfEnd(space, transport, one, other), socketOfEnd(space, transport, other, one)];
}

function onlyHolder(
  holders: readonly SocketHolder[],
  asked: { readonly uid: number } | null,
): SocketHolder | null {
  const [holder] = holders;
  if (holder === undefined || holders.length > 1) return null;
  return asked === null || asked.uid === 0 || asked.uid === holder.uid ? holder : null;
}

/** Null where the namespace is gone. */
function readSpace(
  id: string,
  tracker: Pick<InventoryTracker, 'observed'>,
): NamespaceSockets | null {
  const namespace = tracker.observed(id);
  if (namespace === undefined) return null;
  const object = `sockets of namespace ${namespace.title ?? id}`;
  const tcp = listInternetSockets(namespace.fd, 'tcp', object);
  const udp = listInternetSockets(namespace.fd, 'udp', object);
  const addresses = listAddresses(namespace.socket);
  if (!addresses.ok) return null;
  return {
    // A kernel may tell of one and not of the other.
    sockets: { tcp: tcp.ok ? tcp.value : [], udp: udp.ok ? udp.value : [] },
    addresses: new Set(addresses.value.map(({ address }) => address)),
  };
}
