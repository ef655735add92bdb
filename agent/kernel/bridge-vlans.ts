/**
 * VLAN tables of bridges and their ports, over a request socket. Sources: include/uapi/linux/if_bridge.h,
 * net/bridge/br_netlink.c (br_fill_ifinfo, br_afspec, br_process_vlan_info).
 */
import type { VlanEntry } from '../api/device.ts';
import { type Result, succeed } from '../api/result.ts';
import {
  type MessageWriter,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  readU16,
  visitAttributes,
} from './netlink-codec.ts';
import type { RequestSocket } from './netlink-socket.ts';
import {
  type NetlinkRequest,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_SETLINK,
  writeLinkHeader,
} from './rtnetlink.ts';

const AF_BRIDGE = 7;
const IFLA_AF_SPEC = 26;
const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_BRVLAN = 2;
const IFLA_BRIDGE_FLAGS = 0;
const IFLA_BRIDGE_VLAN_INFO = 2;
const BRIDGE_FLAGS_SELF = 2;
const PVID = 0x02;
const UNTAGGED = 0x04;
const RANGE_BEGIN = 0x08;
const RANGE_END = 0x10;

/** Pure: body of an RTM_NEWLINK of family AF_BRIDGE; undefined when it is malformed. */
export function decodeVlans(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly index: number; readonly vlans: readonly VlanEntry[] } | undefined {
  if (end > bytes.length || end - start < 16 || bytes[start] !== AF_BRIDGE) return undefined;
  const vlans: VlanEntry[] = [];
  let first: number | undefined;
  visitAttributes(bytes, start + 16, end, (type, from, to) => {
    if (type !== IFLA_AF_SPEC) return;
    visitAttributes(bytes, from, to, (inner, at, after) => {
      if (inner !== IFLA_BRIDGE_VLAN_INFO) return;
      const flags = readU16(bytes, at, after);
      const id = readU16(bytes, at + 2, after);
      if (flags === undefined || id === undefined) return;
      if ((flags & RANGE_BEGIN) !== 0) {
        first = id;
        return;
      }
      const from = (flags & RANGE_END) === 0 ? id : (first ?? id);
      first = undefined;
      for (let each = from; each <= Math.min(id, 4094); each += 1) {
        vlans.push({ id: each, pvid: (flags & PVID) !== 0, untagged: (flags & UNTAGGED) !== 0 });
      }
    });
  });
  return { index: bytes.readInt32LE(start + 4), vlans };
}

/** Pure: asks for the tables of all bridges and ports, every entry on its own. */
export function dumpVlansRequest(): NetlinkRequest {
  return {
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    object: 'VLAN tables',
    headerLength: 16,
    encode(writer) {
      writeLinkHeader(writer, 0, 0, 0, AF_BRIDGE);
      writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN);
    },
  };
}

/**
 * VLAN tables of the namespace's bridges and ports, by interface index, each by VLAN id. A kernel without VLAN
 * filtering gives empty ones.
 */
export function listVlans(
  socket: RequestSocket,
): Result<ReadonlyMap<number, readonly VlanEntry[]>> {
  const list = socket.list(dumpVlansRequest(), decodeVlans);
  if (!list.ok) return list;
  const found = new Map<number, readonly VlanEntry[]>();
  for (const { index, vlans } of list.value) {
    // A port of a driver that is a bridge itself answers twice: for its master and for itself.
    if (vlans.length > 0 || !found.has(index)) found.set(index, vlans);
  }
  return succeed(found);
}

/** Pure: writes entries, ascending, as ranges where neighbours are alike; a PVID stands alone, the kernel insists. */
function writeEntries(writer: MessageWriter, entries: readonly VlanEntry[]): void {
  const sorted = [...entries].sort((one, other) => one.id - other.id);
  const write = (flags: number, id: number): void => {
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt16LE(flags, 0);
    bytes.writeUInt16LE(id, 2);
    writer.binary(IFLA_BRIDGE_VLAN_INFO, bytes);
  };
  for (let position = 0; position < sorted.length; position += 1) {
    const entry = sorted[position];
    if (entry === undefined) break;
    const flags = (entry.pvid ? PVID : 0) | (entry.untagged ? UNTAGGED : 0);
    let last = position;
    for (;;) {
      const next = sorted[last + 1];
      const alike =
        next?.id === entry.id + (last + 1 - position) &&
        !entry.pvid &&
        !next.pvid &&
        next.untagged === entry.untagged;
      if (!alike) break;
      last += 1;
    }
    if (last === position) {
      write(flags, entry.id);
    } else {
      write(flags | RANGE_BEGIN, entry.id);
      write(flags | RANGE_END, entry.id + last - position);
    }
    position = last;
  }
}

/** Pure: adds entries (or sets those that are there anew), or deletes them. */
export function vlansRequest(
  action: 'set' | 'delete',
  index: number,
  options: { readonly self: boolean },
  entries: readonly VlanEntry[],
  object: string,
): NetlinkRequest {
  return {
    type: action === 'set' ? RTM_SETLINK : RTM_DELLINK,
    flags: NLM_F_REQUEST,
    object,
    headerLength: 16,
    encode(writer) {
      writeLinkHeader(writer, index, 0, 0, AF_BRIDGE);
      const specification = writer.beginNested(IFLA_AF_SPEC);
      if (options.self) writer.u16(IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_SELF);
      const plain = entries.map(({ id }) => ({ id, pvid: false, untagged: false }));
      writeEntries(writer, action === 'set' ? entries : plain);
      writer.endNested(specification);
    },
  };
}

function changeRequests(
  index: number,
  options: { readonly self: boolean },
  before: readonly VlanEntry[],
  after: readonly VlanEntry[],
  object: string,
): readonly NetlinkRequest[] {
  const old = new Map(before.map((entry) => [entry.id, entry]));
  const kept = new Set(after.map(({ id }) => id));
  const set = after.filter((entry) => {
    const known = old.get(entry.id);
    return known?.pvid !== entry.pvid || known.untagged !== entry.untagged;
  });
  const gone = before.filter(({ id }) => !kept.has(id));
  return [
    ...(set.length === 0 ? [] : [vlansRequest('set', index, options, set, object)]),
    ...(gone.length === 0 ? [] : [vlansRequest('delete', index, options, gone, object)]),
  ];
}

/**
 * Makes the table of a port, or with `self` of the bridge itself, go from `before` to `after`; what is in neither stays
 * as it is. Fails with EOPNOTSUPP when the kernel has no VLAN filtering or the link is no port; what was done is then
 * taken back.
 */
export function changeVlans(
  socket: RequestSocket,
  index: number,
  options: { readonly self: boolean },
  before: readonly VlanEntry[],
  after: readonly VlanEntry[],
  object: string,
): Result<void> {
  for (const request of changeRequests(index, options, before, after, object)) {
    const done = socket.execute(request);
    if (done.ok) continue;
    // Whatever part of it was done: each alone, since what was not added cannot be deleted.
    const old = new Set(before.map(({ id }) => id));
    const added = after.filter(({ id }) => !old.has(id));
    socket.transact([
      ...added.map((entry) => vlansRequest('delete', index, options, [entry], object)),
      ...before.map((entry) => vlansRequest('set', index, options, [entry], object)),
    ]);
    return done;
  }
  return succeed(undefined);
}
