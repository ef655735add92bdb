/**
 * Forwarding databases of bridges, over a request socket. Sources: include/uapi/linux/neighbour.h,
 * net/core/rtnetlink.c (rtnl_fdb_dump, valid_fdb_dump_strict), net/bridge/br_fdb.c (fdb_fill_info, fdb_to_nud).
 */
import type { FdbEntry } from '../api/bridge-fdb.ts';
import { type Result, succeed } from '../api/result.ts';
import { formatMac } from './ip-address.ts';
import { NLM_F_DUMP, NLM_F_REQUEST, readU16, readU32, visitAttributes } from './netlink-codec.ts';
import type { RequestSocket } from './netlink-socket.ts';
import type { NetlinkRequest } from './rtnetlink.ts';

const RTM_GETNEIGH = 30;
const AF_BRIDGE = 7;
/** struct ndmsg: family, three bytes of padding, ifindex, state, flags, type. */
const headerLength = 12;
const NDA_LLADDR = 2;
const NDA_CACHEINFO = 3;
const NDA_VLAN = 5;
const NDA_MASTER = 9;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NTF_EXT_LEARNED = 0x10;
/** nda_cacheinfo counts in clock_t, whose hertz user space sees as 100 on all that Node runs on. */
const userHertz = 100;

/** Pure: asks for the entries of one bridge (older kernels send those of others too; `decodeFdbEntry` knows). */
export function dumpFdbRequest(bridge: number, object: string): NetlinkRequest {
  return {
    type: RTM_GETNEIGH,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    object,
    headerLength,
    encode(writer) {
      writer.rawU32(AF_BRIDGE);
      writer.rawU32(0);
      writer.rawU32(0);
      writer.u32(NDA_MASTER, bridge);
    },
  };
}

/**
 * Pure: body of an RTM_NEWNEIGH of family AF_BRIDGE; undefined when it is malformed or no entry of that bridge. The
 * address filters of ports, which the same dump shows as `self`, have no master.
 */
export function decodeFdbEntry(
  bytes: Buffer,
  start: number,
  end: number,
  bridge: number,
): FdbEntry | undefined {
  if (end > bytes.length || end - start < headerLength || bytes[start] !== AF_BRIDGE) {
    return undefined;
  }
  const index = bytes.readInt32LE(start + 4);
  const state = bytes.readUInt16LE(start + 8);
  const flags = bytes[start + 10] ?? 0;
  let mac: string | undefined;
  let master: number | undefined;
  let vlan: number | null = null;
  let updated: number | undefined;
  visitAttributes(bytes, start + headerLength, end, (type, from, to) => {
    if (type === NDA_LLADDR && to - from === 6) mac = formatMac(bytes, from, to);
    else if (type === NDA_MASTER) master = readU32(bytes, from, to);
    else if (type === NDA_VLAN) vlan = readU16(bytes, from, to) ?? null;
    // confirmed, used, updated, references: when a frame from the address came in is `updated`.
    else if (type === NDA_CACHEINFO) updated = readU32(bytes, from + 8, to);
  });
  if (mac === undefined || master !== bridge) return undefined;
  const kind = kindOf(state, flags);
  const age = kind !== 'learned' || updated === undefined ? null : updated / userHertz;
  return { mac, index, vlan, kind, age };
}

function kindOf(state: number, flags: number): FdbEntry['kind'] {
  if ((state & NUD_PERMANENT) !== 0) return 'local';
  if ((flags & NTF_EXT_LEARNED) !== 0) return 'external';
  return (state & NUD_NOARP) === 0 ? 'learned' : 'static';
}

/** Entries of a bridge: learned ones first, then by port, address and VLAN. */
export function listFdb(
  socket: RequestSocket,
  bridge: number,
  object: string,
): Result<readonly FdbEntry[]> {
  const listed = socket.list(dumpFdbRequest(bridge, object), (bytes, start, end) =>
    decodeFdbEntry(bytes, start, end, bridge),
  );
  if (!listed.ok) return listed;
  return succeed([...listed.value].sort(compareEntries));
}

function compareEntries(one: FdbEntry, other: FdbEntry): number {
  const rank = ({ kind }: FdbEntry): number => (kind === 'learned' ? 0 : 1);
  return (
    rank(one) - rank(other) ||
    one.index - other.index ||
    (one.mac < other.mac ? -1 : one.mac > other.mac ? 1 : 0) ||
    (one.vlan ?? 0) - (other.vlan ?? 0)
  );
}
