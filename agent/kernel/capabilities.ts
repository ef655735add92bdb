/**
 * What this kernel and machine can do, found by trying: each kind of link is made in a throw-away namespace of this
 * very process, which ends with the attempt. Nothing is changed anywhere else.
 */
import { release } from 'node:os';
import { type Failure, type Result, succeed } from '../api/result.ts';
import { addAddress, listAddresses } from './addresses.ts';
import { isErrno, kernelFailure } from './kernel-failure.ts';
import { runInFresh } from './namespaces.ts';
import { closeDescriptor, controlDevice, O_RDWR, openDescriptor } from './native.ts';
import { type MessageWriter, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST } from './netlink-codec.ts';
import { RequestSocket } from './netlink-socket.ts';
import { findProgram } from './process.ts';
import {
  type NetlinkRequest,
  newBridgeRequest,
  newLinkRequest,
  newVethRequest,
  setLinkRequest,
} from './rtnetlink.ts';

export interface Capability {
  /** `link:vxlan`, `queueing:htb`, `address-protocol`, `program:nft`, … */
  readonly name: string;
  readonly available: boolean;
  /** Why not, or something worth knowing; empty when there is nothing to say. */
  readonly reason: string;
}

export interface CapabilityReport {
  /** `uname -r`. */
  readonly kernelRelease: string;
  readonly capabilities: readonly Capability[];
}

/** Attributes of IFLA_INFO_DATA that a kind insists on (include/uapi/linux/if_link.h, if_tunnel.h). */
const kinds: readonly {
  readonly kind: string;
  readonly needsLower?: boolean;
  readonly data?: (writer: MessageWriter) => void;
}[] = [
  { kind: 'dummy' },
  { kind: 'ifb' },
  { kind: 'bond' },
  { kind: 'team' },
  {
    kind: 'vlan',
    needsLower: true,
    data(writer) {
      writer.u16(1, 5); // IFLA_VLAN_ID
    },
  },
  { kind: 'macvlan', needsLower: true },
  { kind: 'ipvlan', needsLower: true },
  {
    kind: 'vxlan',
    data(writer) {
      writer.u32(1, 77); // IFLA_VXLAN_ID
      writer.u16BigEndian(15, 4789); // IFLA_VXLAN_PORT
    },
  },
  {
    kind: 'geneve',
    data(writer) {
      writer.u32(1, 77); // IFLA_GENEVE_ID
      writer.binary(2, Uint8Array.of(192, 0, 2, 1)); // IFLA_GENEVE_REMOTE
    },
  },
  { kind: 'gre', data: writeTunnelEnds },
  { kind: 'gretap', data: writeTunnelEnds },
  {
    kind: 'ipip',
    data(writer) {
      writer.binary(2, Uint8Array.of(192, 0, 2, 1)); // IFLA_IPTUN_LOCAL
      writer.binary(3, Uint8Array.of(192, 0, 2, 2)); // IFLA_IPTUN_REMOTE
    },
  },
  {
    kind: 'vrf',
    data(writer) {
      writer.u32(1, 1077); // IFLA_VRF_TABLE
    },
  },
  { kind: 'wireguard' },
];

function writeTunnelEnds(writer: MessageWriter): void {
  writer.binary(6, Uint8Array.of(192, 0, 2, 1)); // IFLA_GRE_LOCAL
  writer.binary(7, Uint8Array.of(192, 0, 2, 2)); // IFLA_GRE_REMOTE
}

const queueingKinds = ['htb', 'tbf', 'netem', 'fq_codel', 'prio', 'ingress'] as const;

/** RTM_NEWQDISC with a kind and no options: an unknown kind is ENOENT, a known one at most complains of options. */
function queueingRequest(index: number, kind: string): NetlinkRequest {
  const ingress = kind === 'ingress';
  return {
    type: 36,
    flags: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL,
    object: `queueing discipline ${kind}`,
    headerLength: 20,
    encode(writer) {
      // struct tcmsg: family, padding, ifindex, handle, parent, info.
      writer.rawU32(0);
      writer.rawU32(index);
      writer.rawU32(ingress ? 0xffff0000 : 0x00010000);
      writer.rawU32(ingress ? 0xfffffff1 : 0xffffffff);
      writer.rawU32(0);
      writer.string(1, kind);
    },
  };
}

function describe(name: string, result: Result<unknown>, lacking: readonly string[]): Capability {
  if (result.ok) return { name, available: true, reason: '' };
  const { failure } = result;
  if (isErrno(failure, ...lacking)) {
    return { name, available: false, reason: `The kernel does not have it. ${failure.reason}` };
  }
  return { name, available: false, reason: failure.reason };
}

/** What every kernel has that Netloom runs on; asking does not lead to a try. */
const universal: ReadonlySet<string> = new Set(['link:veth', 'link:bridge']);

let tried: ReadonlyMap<string, Capability> | null = null;

/** Why a capability is lacking; null when it is there. Everything is tried at the first question that needs it. */
export function lackOf(name: string): string | null {
  if (universal.has(name)) return null;
  if (tried === null) {
    const report = probeCapabilities();
    if (!report.ok) return null;
    tried = new Map(report.value.capabilities.map((one) => [one.name, one]));
  }
  const found = tried.get(name);
  return found === undefined || found.available ? null : found.reason;
}

/**
 * Tries everything. It takes some tens of milliseconds and blocks the caller. Fails only when no namespace can be
 * made at all.
 */
export function probeCapabilities(): Result<CapabilityReport> {
  const probed = runInFresh(probeInside);
  if (!probed.ok) {
    return probed;
  }
  const programs = [
    ...['nft', 'ip', 'bridge', 'tc', 'ovs-vsctl', 'ovs-vswitchd', 'setsid', 'socat'],
    'qemu-system-x86_64',
  ];
  return succeed({
    kernelRelease: release(),
    capabilities: [
      ...probed.value,
      ...programs.map((program): Capability => {
        const path = findProgram(program);
        return {
          name: `program:${program}`,
          available: path !== undefined,
          reason: path ?? `${program} is not installed.`,
        };
      }),
    ],
  });
}

function probeInside(): readonly Capability[] {
  const opened = RequestSocket.open();
  if (!opened.ok) {
    return [{ name: 'rtnetlink', available: false, reason: opened.failure.reason }];
  }
  const socket = opened.value;
  try {
    const found: Capability[] = [];
    // Names and indexes are free: the namespace is new and nobody else is in it.
    const veth = socket.execute(
      newVethRequest({ name: 'probe0', index: 100 }, { name: 'probe1', index: 101 }),
    );
    found.push(describe('link:veth', veth, ['EOPNOTSUPP']));
    const bridge = socket.execute(newBridgeRequest({ name: 'probe2', index: 102 }));
    found.push(describe('link:bridge', bridge, ['EOPNOTSUPP']));
    const filtering = socket.execute(
      setLinkRequest(102, { bridge: { vlanFiltering: true } }, 'bridge VLAN filtering'),
    );
    found.push(describe('bridge:vlan-filtering', filtering, ['EOPNOTSUPP']));
    for (const [position, { kind, needsLower, data }] of kinds.entries()) {
      const made = socket.execute(
        newLinkRequest({
          name: `probe${position + 3}`,
          kind,
          index: 103 + position,
          link: needsLower === true ? 100 : undefined,
          data,
        }),
      );
      found.push(describe(`link:${kind}`, made, ['EOPNOTSUPP']));
    }
    found.push(probeTun('tun', 0x1001), probeTun('tap', 0x1002));
    found.push(probeAddressProtocol(socket));
    for (const kind of queueingKinds) {
      const made = socket.execute(queueingRequest(101, kind));
      const lacks = !made.ok && isErrno(made.failure, 'ENOENT', 'EOPNOTSUPP', 'EPERM', 'ENODEV');
      found.push(
        lacks
          ? describe(`queueing:${kind}`, made, ['ENOENT', 'EOPNOTSUPP'])
          : { name: `queueing:${kind}`, available: true, reason: '' },
      );
    }
    return found;
  } finally {
    socket.close();
  }
}

/** TUNSETIFF in the namespace that the thread is in; the link goes with its descriptor. */
function probeTun(kind: string, flags: number): Capability {
  const name = `link:${kind}`;
  const refuse = (call: string, result: number): Capability => {
    const failure: Failure = kernelFailure('/dev/net/tun', { call, errno: -result });
    return { name, available: false, reason: failure.reason };
  };
  const fd = openDescriptor('/dev/net/tun', O_RDWR);
  if (fd < 0) return refuse('open', fd);
  const request = Buffer.alloc(40);
  request.write(`probe-${kind}`, 0);
  request.writeUInt16LE(flags, 16);
  const made = controlDevice(fd, 0x400454ca, request);
  closeDescriptor(fd);
  return made < 0 ? refuse('TUNSETIFF', made) : { name, available: true, reason: '' };
}

/** IFA_PROTO came with Linux 5.18; older kernels take it without a word and forget it. */
function probeAddressProtocol(socket: RequestSocket): Capability {
  const name = 'address-protocol';
  const added = addAddress(socket, { interfaceIndex: 1, prefix: '127.7.7.7/32', protocol: 77 });
  if (!added.ok) return { name, available: false, reason: added.failure.reason };
  const listed = listAddresses(socket, { interfaceIndex: 1 });
  const kept = listed.ok && listed.value.some((address) => address.protocol === 77);
  return {
    name,
    available: kept,
    reason: kept ? '' : 'The kernel is older than 5.18 and does not keep who made an address.',
  };
}
