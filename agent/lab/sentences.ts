import type { Warning } from '../api/plan.ts';
import type { Failure, FailureKind, Place } from '../api/result.ts';

/**
 * Every sentence that the pure part of the agent says, in English. A client translates by code and fills in the same
 * values: `{name}` stands for `values.name`. `next` is empty where nothing has to be done.
 */
export const sentences = {
  // The text
  'document-too-large': {
    reason: 'The document has {bytes} bytes; at most {limit} are read.',
    next: 'Split it into several labs.',
  },
  'document-empty': {
    reason: 'The document is empty.',
    next: 'Start with `netloom: 1`, a `name` and a `topology`.',
  },
  'yaml-syntax': { reason: 'This is not valid YAML: {message}.', next: 'Correct the text here.' },
  'yaml-multiple-documents': {
    reason: 'The file holds more than one YAML document.',
    next: 'Keep one lab in a file.',
  },
  'yaml-aliases': {
    reason: 'The aliases of this document expand to too much.',
    next: 'Write the repeated parts out.',
  },
  'yaml-nesting': { reason: 'The document is nested too deeply.', next: 'Flatten it.' },
  'duplicate-key': { reason: 'The key {key} is given twice.', next: 'Keep one of the two.' },
  'unsafe-key': { reason: '{key} cannot be a key.', next: 'Choose another name.' },
  'too-many-problems': {
    reason: 'There are more than {limit} problems; the rest is not listed.',
    next: 'Correct these first.',
  },
  // The schema
  'unknown-key': {
    reason: '{key} is not a key that is known here.',
    next: 'Remove it or correct its spelling.',
  },
  'unknown-key-near': {
    reason: '{key} is not a key that is known here.',
    next: 'Perhaps `{near}` is meant.',
  },
  'missing-key': { reason: 'The key {key} is missing.', next: 'Add it.' },
  'wrong-type': { reason: 'This is {actual}, but {expected} is expected.', next: 'Correct it.' },
  'number-for-text': {
    reason: 'This is {actual}, but text is expected.',
    next: 'Put it in quotes.',
  },
  'wrong-choice': { reason: '{value} is none of {choices}.', next: 'Use one of them.' },
  'out-of-range': { reason: '{value} is {direction} {limit}.', next: 'Choose a value in range.' },
  'wrong-length': {
    reason: 'This has {direction} {limit} {unit}.',
    next: 'Make it {remedy}.',
  },
  'wrong-format': { reason: '{value} does not fit: {rule}.', next: 'Correct it.' },
  'wrong-value': { reason: 'This value does not fit: {rule}.', next: 'Correct it.' },
  'name-with-pattern': {
    reason: 'The kernel would replace the % in {name} by a number of its own.',
    next: 'Use letters, digits, `.`, `_` and `-`.',
  },
  'name-starts-wrong': {
    reason:
      'The name {name} does not start with a letter or digit; commands would read it as something else.',
    next: 'Start it with a letter or digit.',
  },
  'name-too-long': {
    reason: 'The name {name} has {length} characters; the kernel keeps 15 bytes.',
    next: 'Choose a name of at most 15 characters.',
  },
  'name-reserved': {
    reason: 'The name {name} has a meaning of its own to the kernel or to `ip`.',
    next: 'Choose another name.',
  },
  'name-characters': {
    reason: 'The name {name} has characters other than letters, digits, `.`, `_` and `-`.',
    next: 'Use only these.',
  },
  'name-empty': { reason: 'A name is empty.', next: 'Give it 1 to 15 letters or digits.' },
  'not-an-endpoint': {
    reason: '{value} is not of the form NODE:INTERFACE.',
    next: 'Write it like `r1:eth0`.',
  },
  'invalid-lab-name': {
    reason: 'The lab name {name} is not 1 to 32 lower-case letters, digits and inner hyphens.',
    next: 'Choose another name.',
  },
  'invalid-mac': {
    reason: '{mac} is not a MAC address.',
    next: 'Write six bytes, like `02:00:00:00:00:01`.',
  },
  // Nodes, links and interfaces
  'unknown-node': {
    reason: 'No node is named {node}.',
    next: 'Add the node or correct the name.',
  },
  'same-endpoints': {
    reason: 'Both ends of the link are {endpoint}.',
    next: 'Give each end an interface of its own.',
  },
  'duplicate-interface': {
    reason: 'The interface {interface} already exists in {place}: {other} makes it.',
    next: 'Choose another interface name.',
  },
  'interface-without-link': {
    reason: 'No link makes the interface {interface} of {node}.',
    next: 'Add a link with the endpoint {node}:{interface}, or remove these settings.',
  },
  'settings-of-bridge': {
    reason: '{interface} is a bridge; its settings are at its own node.',
    next: 'Move them to the node {interface}.',
  },
  'not-a-namespace': {
    reason: '{node} is not a namespace node.',
    next: 'Name a node of the kind namespace.',
  },
  'too-many-ports': {
    reason: 'The bridge {bridge} has {count} ports; the kernel allows {limit}.',
    next: 'Spread them over several bridges.',
  },
  'bridge-loop': {
    reason: 'This link closes a loop of bridges of which none runs STP: {bridges}.',
    next: 'Set `stp: true` on the bridges of the loop, or remove a link.',
  },
  'unusable-mac': {
    reason: 'The MAC address {mac} is a group address or all zero.',
    next: 'Use an individual address, like `02:00:00:00:00:01`.',
  },
  'duplicate-mac': {
    reason: 'The MAC address {mac} is already on {other}.',
    next: 'Give each interface its own.',
  },
  'repeated-mac': {
    reason: 'The MAC address {mac} is also on {other}, in another broadcast domain.',
    next: '',
  },
  'mtu-mismatch': {
    reason: 'The MTU is {mtu} here and {otherMtu} on {other}; longer packets are lost.',
    next: 'Give both ends the same MTU.',
  },
  'mtu-mismatch-at-bridge': {
    reason:
      'The ports of {bridge} differ in MTU ({mtu} on {port}, {otherMtu} on {other}); longer packets are lost.',
    next: 'Give all links at the bridge the same MTU.',
  },
  'mtu-too-small-for-ipv6': {
    reason:
      'The MTU {mtu} is below 1280, the least that IPv6 needs; the kernel would drop {address}.',
    next: 'Raise the MTU or remove the IPv6 address.',
  },
  // Addresses
  'invalid-address': {
    reason: '{address} is not an IPv4 or IPv6 address with a prefix length.',
    next: 'Write it like `172.16.0.1/24` or `fd00::1/64`.',
  },
  'address-without-prefix': {
    reason: 'The address {address} has no prefix length.',
    next: 'Add one, like `{address}/{length}`.',
  },
  'prefix-out-of-range': {
    reason: 'The prefix length of {address} is above {limit}.',
    next: 'Choose a length from 0 to {limit}.',
  },
  'special-address': {
    reason: 'The address {address} cannot be an interface’s own: it is {sort}.',
    next: 'Choose an ordinary address.',
  },
  'duplicate-address': {
    reason: 'Address {address} is already on {other}.',
    next: 'Choose another address.',
  },
  'repeated-address': {
    reason: 'Address {address} is also on {other}, in another broadcast domain.',
    next: '',
  },
  'network-address': {
    reason: '{address} is the address of the subnet itself.',
    next: 'Choose another address unless this is meant.',
  },
  'broadcast-address': {
    reason: '{address} is the broadcast address of its subnet.',
    next: 'Choose another address.',
  },
  // Routes
  'invalid-route': {
    reason: '{to} is not a destination.',
    next: 'Write `default`, a prefix like `10.0.0.0/8`, or an address.',
  },
  'prefix-with-host-bits': {
    reason: '{to} has bits behind its prefix length.',
    next: 'Write {canonical}.',
  },
  'route-without-target': {
    reason: 'The route to {to} has neither a gateway nor a device.',
    next: 'Add `via` or `dev`.',
  },
  'invalid-gateway': {
    reason: 'The gateway {via} is not an address.',
    next: 'Write an address without a prefix length.',
  },
  'gateway-of-other-family': {
    reason: 'The gateway {via} and the destination {to} are of different families.',
    next: 'Use a gateway of the same family.',
  },
  'gateway-outside-subnets': {
    reason: 'The gateway {via} is in no subnet of {place}.',
    next: 'Choose a gateway in a subnet of the node, or add an address.',
  },
  'gateway-is-own': {
    reason: 'The gateway {via} is an address of the node itself.',
    next: 'Choose the address of a neighbour.',
  },
  'gateway-needs-device': {
    reason: 'The link-local gateway {via} is reached through a certain device only.',
    next: 'Add `dev`.',
  },
  'route-device-unknown': {
    reason: '{node} has no interface {dev}.',
    next: 'Name an interface of the node.',
  },
  'route-device-down': {
    reason: 'The route to {to} is left out while its interface {dev} is down.',
    next: '',
  },
  'duplicate-route': {
    reason: 'There is already a route to {to} with metric {metric}.',
    next: 'Remove one of the two or give it another metric.',
  },
  'route-is-connected': {
    reason: 'The kernel makes the route to {to} itself, from {address}.',
    next: 'Remove the route.',
  },
  // Checks and positions
  'check-from-bridge': {
    reason: '{node} is a bridge; a check starts in a namespace.',
    next: 'Name a node of the kind namespace.',
  },
  'check-target-without-address': {
    reason: '{target} has no address.',
    next: 'Give it one, or name an address.',
  },
  'check-target-unknown': {
    reason: '{target} is neither a node, an interface nor an address.',
    next: 'Correct the name.',
  },
  'check-family-missing': {
    reason: '{node} has no address of the family of {target}.',
    next: '',
  },
  'position-of-unknown-node': {
    reason: 'No node is named {node}; its position is not used.',
    next: '',
  },
  // Plans
  'namespace-taken': {
    reason: 'The namespace {name} exists and is not of this lab.',
    next: 'Rename the node, or remove the namespace.',
  },
  'namespace-of-other-lab': {
    reason: 'The namespace {name} belongs to the lab {other}.',
    next: 'Rename the node, or take the lab {other} down.',
  },
  'interface-taken': {
    reason: 'The interface {name} exists and is not of this lab.',
    next: 'Rename it in the lab, or remove the interface.',
  },
  'interface-of-other-lab': {
    reason: 'The interface {name} belongs to the lab {other}.',
    next: 'Rename it in the lab, or take the lab {other} down.',
  },
  'address-taken': {
    reason: '{interface} already has the address {address}, which is not of this lab.',
    next: 'Remove that address, or choose another.',
  },
  'route-taken': {
    reason:
      'There is already a route to {to} with metric {metric} in {place}, which is not of this lab.',
    next: 'Remove that route, or choose another metric.',
  },
  'foreign-address': {
    reason: 'The address {address} on {interface} is not of this lab and stays.',
    next: '',
  },
  'foreign-address-lost': {
    reason: 'The address {address} on {interface} is not of this lab and goes with this change.',
    next: '',
  },
  'foreign-route': {
    reason: 'The route to {to} in {place} is not of this lab and stays.',
    next: '',
  },
  'foreign-route-lost': {
    reason: 'The route to {to} in {place} is not of this lab and goes with this change.',
    next: '',
  },
  'foreign-interface-lost': {
    reason: 'The interface {name} is not of this lab and goes with its namespace.',
    next: '',
  },
  'foreign-port-released': {
    reason: 'The interface {name} is not of this lab; the bridge {bridge} lets go of it.',
    next: '',
  },
  'processes-lose-name': {
    reason: 'Processes still run in the namespace {name} ({count}); they keep it until they end.',
    next: 'End them to free the namespace.',
  },
  'out-of-reach': {
    reason: 'The interface {name} of this lab is in a namespace without a name and stays.',
    next: 'End the processes that hold the namespace.',
  },
} as const satisfies Readonly<Record<string, { readonly reason: string; readonly next: string }>>;

export type SentenceCode = keyof typeof sentences;
export const codes: readonly string[] = Object.keys(sentences);

export type SentenceValues = Readonly<Record<string, string | number>>;

/** Fills in a template; a placeholder without a value stays as it is. */
export function fillTemplate(template: string, values: SentenceValues): string {
  return template.replace(/\{(\w+)\}/g, (placeholder, name: string) =>
    Object.hasOwn(values, name) ? readable(values[name] ?? '') : placeholder,
  );
}

/** Values come from documents and kernels: no control characters, and not without end. */
function readable(value: string | number): string {
  const text = String(value).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '�');
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}

function boundedValues(values: SentenceValues): SentenceValues {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      typeof value === 'number' ? value : readable(value),
    ]),
  );
}

export function failureOf(
  kind: FailureKind,
  code: SentenceCode,
  object: string,
  values: SentenceValues = {},
  place?: Place,
): Failure {
  const template = sentences[code];
  return {
    kind,
    code,
    object: readable(object),
    reason: fillTemplate(template.reason, values),
    next: fillTemplate(template.next, values),
    values: boundedValues(values),
    ...(place === undefined ? {} : { place }),
  };
}

export function warningOf(
  code: SentenceCode,
  object: string,
  values: SentenceValues = {},
): Warning {
  return {
    code,
    object: readable(object),
    sentence: fillTemplate(sentences[code].reason, values),
    values: boundedValues(values),
  };
}
