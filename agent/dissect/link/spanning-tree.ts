/** BPDUs of the spanning tree protocols: STP, RSTP and MSTP (IEEE 802.1Q, clause 14). */
import type { Protocol } from '../core/dissection.ts';
import {
  type FieldType,
  flag,
  hexadecimal,
  mac,
  meaningsOf,
  octets,
  unsigned,
} from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { macText, uint16, uint32, uint8 } from '../core/octets.ts';

const versions = meaningsOf({ 0: 'STP', 2: 'RSTP', 3: 'MSTP', 4: 'SPT' });
const types = meaningsOf({ 0: 'configuration', 2: 'rapid', 0x80: 'topology change' });
const roles = meaningsOf({ 0: 'unknown', 1: 'alternate or backup', 2: 'root', 3: 'designated' });

const protocolId = hexadecimal('stp.protocol', 'Protocol');
const version = unsigned('stp.version', 'Version', { meanings: versions });
const type = hexadecimal('stp.type', 'Type', { meanings: types });
const flags = hexadecimal('stp.flags', 'Flags');
const acknowledgement = flag('stp.flags.tcack', 'Topology change acknowledged');
const agreement = flag('stp.flags.agreement', 'Agreement');
const forwarding = flag('stp.flags.forwarding', 'Forwarding');
const learning = flag('stp.flags.learning', 'Learning');
const role = unsigned('stp.flags.port_role', 'Port role', { meanings: roles });
const proposal = flag('stp.flags.proposal', 'Proposal');
const topologyChange = flag('stp.flags.tc', 'Topology change');
const rootPriority = unsigned('stp.root.prio', 'Root priority');
const rootExtension = unsigned('stp.root.ext', 'Root system id extension');
const rootMac = mac('stp.root.hw', 'Root');
const rootCost = unsigned('stp.root.cost', 'Root path cost');
const bridgePriority = unsigned('stp.bridge.prio', 'Bridge priority');
const bridgeExtension = unsigned('stp.bridge.ext', 'Bridge system id extension');
const bridgeMac = mac('stp.bridge.hw', 'Bridge');
const port = hexadecimal('stp.port', 'Port');
const messageAge = unsigned('stp.msg_age', 'Message age', { unit: 's' });
const maximumAge = unsigned('stp.max_age', 'Maximum age', { unit: 's' });
const helloTime = unsigned('stp.hello', 'Hello time', { unit: 's' });
const forwardDelay = unsigned('stp.forward', 'Forward delay', { unit: 's' });
const versionOneLength = unsigned('stp.version_1_length', 'Version 1 length', { unit: 'bytes' });
const instances = octets('stp.instances', 'Instances');

/** What Cisco adds where each VLAN has a tree of its own. */
const partType = hexadecimal('stp.pvst.tlvtype', 'Type');
const partLength = unsigned('stp.pvst.tlvlen', 'Length', { unit: 'bytes' });
const originalVlan = unsigned('stp.pvst.origvlan', 'VLAN');

/** The four upper bits are the priority, the others the system id extension (IEEE 802.1D-2004, 9.2.5). */
function bridgeId(tree: FieldTree, [priority, extension, address]: readonly FieldType[]): void {
  if (priority === undefined || extension === undefined || address === undefined) return;
  const at = tree.at;
  if (tree.has(1)) tree.add(priority, at, 1, (tree.peek() & 0xf0) << 8, null, 0xf0);
  tree.bits(extension, at, 2, 0x0fff);
  tree.skip(2);
  tree.mac(address);
}

/** Times have units of 1/256 s. */
function time(tree: FieldTree, of: FieldType): void {
  if (tree.has(2)) tree.add(of, tree.at, 2, tree.peek(2) / 256);
  tree.skip(2);
}

export const spanningTree: Protocol = {
  name: 'stp',
  title: 'STP',
  minimum: 4,
  fields: [
    protocolId,
    version,
    type,
    flags,
    acknowledgement,
    agreement,
    forwarding,
    learning,
    role,
    proposal,
    topologyChange,
    rootPriority,
    rootExtension,
    rootMac,
    rootCost,
    bridgePriority,
    bridgeExtension,
    bridgeMac,
    port,
    messageAge,
    maximumAge,
    helloTime,
    forwardDelay,
    versionOneLength,
    instances,
    partType,
    partLength,
    originalVlan,
  ],
  titleOf: ({ bytes }, { start }) => versions.get(uint8(bytes, start + 2)) ?? 'STP',
  enter: () => undefined,
  describe(tree) {
    tree.unsigned(protocolId, 2);
    const which = tree.unsigned(version, 1);
    const kind = tree.unsigned(type, 1);
    if (kind === 0x80) return;
    tree.word(flags, 1, [
      [acknowledgement, 0x80],
      ...(kind === 0
        ? []
        : ([
            [agreement, 0x40],
            [forwarding, 0x20],
            [learning, 0x10],
            [role, 0x0c],
            [proposal, 0x02],
          ] as const)),
      [topologyChange, 0x01],
    ]);
    bridgeId(tree, [rootPriority, rootExtension, rootMac]);
    tree.unsigned(rootCost, 4);
    bridgeId(tree, [bridgePriority, bridgeExtension, bridgeMac]);
    tree.unsigned(port, 2);
    time(tree, messageAge);
    time(tree, maximumAge);
    time(tree, helloTime);
    time(tree, forwardDelay);
    if (kind === 0) return;
    tree.unsigned(versionOneLength, 1);
    if (which >= 3) {
      tree.octets(instances, tree.left);
    } else if (tree.left >= 6) {
      tree.unsigned(partType, 2);
      tree.unsigned(partLength, 2);
      tree.unsigned(originalVlan, 2);
    }
  },
  info({ bytes }, layer) {
    const { start } = layer;
    if (uint8(bytes, start + 3) === 0x80) return 'Topology change';
    if (!layer.has(27)) return 'BPDU';
    const priority = uint16(bytes, start + 5);
    return `Root ${String(priority)}/${macText(bytes, start + 7)}, cost ${String(
      uint32(bytes, start + 13),
    )}, port 0x${uint16(bytes, start + 25).toString(16)}`;
  },
};
