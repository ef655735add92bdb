/** Routing information: RIP (RFC 1058, 2453), RIPng (RFC 2080), OSPF (RFC 2328, 5340) and BGP (RFC 4271). */
import type { Protocol } from '../core/dissection.ts';
import {
  type FieldType,
  group,
  hexadecimal,
  ipv4,
  ipv6,
  meaningsOf,
  octets,
  text,
  unsigned,
} from '../core/field.ts';
import type { FieldTree } from '../core/field-tree.ts';
import { ipv4Text, uint16, uint8 } from '../core/octets.ts';

const ripCommands = meaningsOf({ 1: 'request', 2: 'response' });
const ripCommand = unsigned('rip.command', 'Command', { meanings: ripCommands });
const ripVersion = unsigned('rip.version', 'Version');
const ripEntry = group('rip.entry', 'Route');
const ripFamily = unsigned('rip.family', 'Address family', {
  meanings: meaningsOf({ 0: 'unspecified', 2: 'IPv4', 0xffff: 'authentication' }),
});
const ripTag = unsigned('rip.route_tag', 'Route tag');
const ripAddress = ipv4('rip.ip', 'Address');
const ripMask = ipv4('rip.netmask', 'Mask');
const ripNext = ipv4('rip.next_hop', 'Next hop');
const ripMetric = unsigned('rip.metric', 'Metric', { unit: 'hops' });
const ripKind = unsigned('rip.auth.type', 'Kind of authentication');
const ripPassword = text('rip.auth.passwd', 'Password');
const ripAuthentication = octets('rip.auth.data', 'Authentication');

export const routingInformation: Protocol = {
  name: 'rip',
  title: 'RIP',
  minimum: 4,
  fields: [
    ripCommand,
    ripVersion,
    ripEntry,
    ripFamily,
    ripTag,
    ripAddress,
    ripMask,
    ripNext,
    ripMetric,
    ripKind,
    ripPassword,
    ripAuthentication,
  ],
  titleOf: ({ bytes }, { start }) => `RIPv${String(uint8(bytes, start + 1))}`,
  enter: () => undefined,
  describe(tree) {
    tree.unsigned(ripCommand, 1);
    const version = tree.unsigned(ripVersion, 1);
    tree.skip(2);
    while (tree.left >= 20) {
      tree.group(ripEntry, () => {
        const family = tree.unsigned(ripFamily, 2);
        if (family === 0xffff) {
          const kind = tree.unsigned(ripKind, 2);
          if (kind === 2) tree.text(ripPassword, 16);
          else tree.octets(ripAuthentication, 16);
          return;
        }
        if (version === 2) tree.unsigned(ripTag, 2);
        else tree.skip(2);
        const address = tree.ipv4(ripAddress);
        if (version === 2) {
          tree.ipv4(ripMask);
          tree.ipv4(ripNext);
        } else {
          tree.skip(8);
        }
        tree.name(null, address);
        tree.unsigned(ripMetric, 4);
      });
    }
  },
  info: ({ bytes }, { start, end }) =>
    routesText(ripCommands.get(uint8(bytes, start)), end - start),
};

/** Entries of RIP and RIPng have 20 bytes, after four. */
function routesText(command: string | undefined, length: number): string {
  const count = Math.floor((length - 4) / 20);
  return `${command ?? 'unknown command'}, ${String(count)} ${count === 1 ? 'route' : 'routes'}`;
}

const ngCommand = unsigned('ripng.cmd', 'Command', { meanings: ripCommands });
const ngVersion = unsigned('ripng.version', 'Version');
const ngReserved = octets('ripng.reserved', 'Reserved');
const ngEntry = group('ripng.rte', 'Route');
const ngPrefix = ipv6('ripng.rte.ipv6_prefix', 'Prefix');
const ngTag = hexadecimal('ripng.rte.route_tag', 'Route tag');
const ngLength = unsigned('ripng.rte.prefix_length', 'Prefix length', { unit: 'bits' });
const ngMetric = unsigned('ripng.rte.metric', 'Metric', { unit: 'hops' });

export const routingInformation6: Protocol = {
  name: 'ripng',
  title: 'RIPng',
  minimum: 4,
  fields: [ngCommand, ngVersion, ngReserved, ngEntry, ngPrefix, ngTag, ngLength, ngMetric],
  enter: () => undefined,
  describe(tree) {
    tree.unsigned(ngCommand, 1);
    tree.unsigned(ngVersion, 1);
    tree.octets(ngReserved, 2);
    while (tree.left >= 20) {
      tree.group(ngEntry, () => {
        tree.name(null, tree.ipv6(ngPrefix));
        tree.unsigned(ngTag, 2);
        tree.unsigned(ngLength, 1);
        tree.unsigned(ngMetric, 1);
      });
    }
  },
  info: ({ bytes }, { start, end }) =>
    routesText(ripCommands.get(uint8(bytes, start)), end - start),
};

const ospfTypes = meaningsOf({
  1: 'Hello',
  2: 'Database description',
  3: 'Link state request',
  4: 'Link state update',
  5: 'Link state acknowledgement',
});
const ospfVersion = unsigned('ospf.version', 'Version');
const ospfType = unsigned('ospf.msg', 'Type', { meanings: ospfTypes });
const ospfLength = unsigned('ospf.packet_length', 'Length', { unit: 'bytes' });
const ospfRouter = ipv4('ospf.srcrouter', 'Router');
const ospfArea = ipv4('ospf.area_id', 'Area');
const ospfChecksum = hexadecimal('ospf.checksum', 'Checksum');
const ospfAuthentication = unsigned('ospf.auth.type', 'Authentication', {
  meanings: meaningsOf({ 0: 'none', 1: 'password', 2: 'cryptographic' }),
});
const ospfNone = octets('ospf.auth.none', 'Authentication data');
const ospfPassword = text('ospf.auth.simple', 'Password');
const ospfOther = octets('ospf.auth.data', 'Authentication data');
const ospfInstance = unsigned('ospf.instance_id', 'Instance');
const helloMask = ipv4('ospf.hello.network_mask', 'Mask');
const helloInterface = unsigned('ospf.hello.interface_id', 'Interface');
const helloInterval = unsigned('ospf.hello.hello_interval', 'Hello interval', { unit: 's' });
const helloOptions = hexadecimal('ospf.hello.options', 'Options');
const helloPriority = unsigned('ospf.hello.router_priority', 'Priority');
const deadInterval = unsigned('ospf.hello.router_dead_interval', 'Dead interval', { unit: 's' });
const designated = ipv4('ospf.hello.designated_router', 'Designated router');
const backup = ipv4('ospf.hello.backup_designated_router', 'Backup designated router');
const neighbour = ipv4('ospf.hello.active_neighbor', 'Neighbour');

function describeHello(tree: FieldTree, version: number): void {
  if (version === 2) {
    tree.ipv4(helloMask);
    tree.unsigned(helloInterval, 2);
    tree.unsigned(helloOptions, 1);
    tree.unsigned(helloPriority, 1);
    tree.unsigned(deadInterval, 4);
  } else {
    tree.unsigned(helloInterface, 4);
    tree.unsigned(helloPriority, 1);
    tree.unsigned(helloOptions, 3);
    tree.unsigned(helloInterval, 2);
    tree.unsigned(deadInterval, 2);
  }
  tree.ipv4(designated);
  tree.ipv4(backup);
  while (tree.left >= 4) tree.ipv4(neighbour);
}

export const shortestPath: Protocol = {
  name: 'ospf',
  title: 'OSPF',
  minimum: 16,
  fields: [
    ospfVersion,
    ospfType,
    ospfLength,
    ospfRouter,
    ospfArea,
    ospfChecksum,
    ospfAuthentication,
    ospfNone,
    ospfPassword,
    ospfOther,
    ospfInstance,
    helloMask,
    helloInterface,
    helloInterval,
    helloOptions,
    helloPriority,
    deadInterval,
    designated,
    backup,
    neighbour,
  ],
  enter(_packet, layer) {
    const { bytes } = layer.packet;
    const { start } = layer;
    const length = uint16(bytes, start + 2);
    // A digest may stand behind it.
    if (length >= 16) layer.headerEnd = layer.end = Math.min(layer.end, start + length);
  },
  describe(tree) {
    const version = tree.unsigned(ospfVersion, 1);
    const kind = tree.unsigned(ospfType, 1);
    tree.unsigned(ospfLength, 2);
    tree.ipv4(ospfRouter);
    tree.ipv4(ospfArea);
    tree.unsigned(ospfChecksum, 2);
    if (version === 2) {
      const authentication = tree.unsigned(ospfAuthentication, 2);
      if (authentication === 0) tree.octets(ospfNone, 8);
      else if (authentication === 1) tree.text(ospfPassword, 8);
      else tree.octets(ospfOther, 8);
    } else {
      tree.unsigned(ospfInstance, 1);
      tree.skip(1);
    }
    if (kind === 1) describeHello(tree, version);
  },
  info({ bytes }, { start }) {
    const kind = uint8(bytes, start + 1);
    const name = ospfTypes.get(kind) ?? `type ${String(kind)}`;
    return `${name} of ${ipv4Text(bytes, start + 4)}, area ${ipv4Text(bytes, start + 8)}`;
  },
};

const bgpTypes = meaningsOf({
  1: 'OPEN',
  2: 'UPDATE',
  3: 'NOTIFICATION',
  4: 'KEEPALIVE',
  5: 'ROUTE-REFRESH',
});
const bgpMessage = group('bgp.message', 'Message');
const bgpMarker = octets('bgp.marker', 'Marker');
const bgpLength = unsigned('bgp.length', 'Length', { unit: 'bytes' });
const bgpType = unsigned('bgp.type', 'Type', { meanings: bgpTypes });
const openVersion = unsigned('bgp.open.version', 'Version');
const openSystem = unsigned('bgp.open.myas', 'Autonomous system');
const openHold = unsigned('bgp.open.holdtime', 'Hold time', { unit: 's' });
const openIdentifier = ipv4('bgp.open.identifier', 'Identifier');
const openLength = unsigned('bgp.open.opt.len', 'Length of parameters', { unit: 'bytes' });
const openParameters = octets('bgp.open.parameters', 'Parameters');
const majorError = unsigned('bgp.notify.major_error', 'Error', {
  meanings: meaningsOf({
    1: 'message header',
    2: 'open message',
    3: 'update message',
    4: 'hold timer expired',
    5: 'state machine',
    6: 'cease',
  }),
});
const minorError = unsigned('bgp.notify.subcode', 'Subcode');
const errorData = octets('bgp.notify.data', 'Data');
const withdrawnLength = unsigned(
  'bgp.update.withdrawn_routes.length',
  'Length of withdrawn routes',
  {
    unit: 'bytes',
  },
);
const attributesLength = unsigned('bgp.update.path_attributes.length', 'Length of attributes', {
  unit: 'bytes',
});
const attributes = octets('bgp.update.attributes', 'Path attributes');
const prefixLength = unsigned('bgp.prefix_length', 'Prefix length', { unit: 'bits' });
const withdrawn = ipv4('bgp.withdrawn_prefix', 'Withdrawn prefix');
const reachable = ipv4('bgp.nlri_prefix', 'Prefix');

/** A length in bits and as many bytes as that takes. */
function describePrefixes(tree: FieldTree, type: FieldType): void {
  while (tree.left > 0) {
    const bits = tree.unsigned(prefixLength, 1);
    if (tree.failed) return;
    const size = Math.ceil(bits / 8);
    if (bits > 32) {
      tree.malformed(tree.at - 1);
      return;
    }
    if (!tree.has(size)) {
      tree.incomplete();
      return;
    }
    const address = new Uint8Array(4);
    address.set(tree.bytes.subarray(tree.at, tree.at + size));
    tree.add(type, tree.at, size, ipv4Text(address, 0));
    tree.skip(size);
  }
}

function describeBody(tree: FieldTree, kind: number): void {
  switch (kind) {
    case 1:
      tree.unsigned(openVersion, 1);
      tree.unsigned(openSystem, 2);
      tree.unsigned(openHold, 2);
      tree.ipv4(openIdentifier);
      tree.octets(openParameters, tree.unsigned(openLength, 1));
      break;
    case 2:
      tree.within(tree.unsigned(withdrawnLength, 2), () => {
        describePrefixes(tree, withdrawn);
      });
      tree.octets(attributes, tree.unsigned(attributesLength, 2));
      describePrefixes(tree, reachable);
      break;
    case 3:
      tree.unsigned(majorError, 1);
      tree.unsigned(minorError, 1);
      tree.octets(errorData, tree.left);
      break;
    default:
      break;
  }
}

/** 16 bytes of ones, a length and a type. */
const bgpHeader = 19;

export const borderGateway: Protocol = {
  name: 'bgp',
  title: 'BGP',
  minimum: bgpHeader,
  fields: [
    bgpMessage,
    bgpMarker,
    bgpLength,
    bgpType,
    openVersion,
    openSystem,
    openHold,
    openIdentifier,
    openLength,
    openParameters,
    majorError,
    minorError,
    errorData,
    withdrawnLength,
    attributesLength,
    attributes,
    prefixLength,
    withdrawn,
    reachable,
  ],
  enter: () => undefined,
  describe(tree) {
    while (tree.left >= bgpHeader) {
      // Of what comes from the middle of a message nothing can be said.
      if (tree.has(1) && tree.peek() !== 0xff) return;
      tree.group(bgpMessage, () => {
        tree.octets(bgpMarker, 16);
        const length = tree.unsigned(bgpLength, 2);
        const kind = tree.unsigned(bgpType, 1);
        tree.name(null, bgpTypes.get(kind) ?? `type ${String(kind)}`);
        if (tree.failed) return;
        if (length < bgpHeader) {
          tree.malformed(tree.at - 3);
          return;
        }
        // The rest of it comes in the next segment.
        const size = length - bgpHeader;
        if (size <= tree.left) tree.within(size, () => describeBody(tree, kind));
        else tree.skip(tree.left);
      });
    }
  },
  info({ bytes }, { start, end }) {
    const names: string[] = [];
    const stop = Math.min(end, bytes.length);
    for (let at = start; at + bgpHeader <= stop && names.length < 8;) {
      const kind = uint8(bytes, at + 18);
      names.push(bgpTypes.get(kind) ?? `type ${String(kind)}`);
      at += Math.max(bgpHeader, uint16(bytes, at + 16));
    }
    return names.join(', ');
  },
};
