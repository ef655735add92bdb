import { isSwitch, localizedText, parseEndpoint } from '../api/document.ts';
import type {
  BridgeNode,
  ConnectCheck,
  CpuCheck,
  LabCheck,
  LabDocument,
  LabNode,
  ReachCheck,
  RecordsCheck,
} from '../api/document.ts';
import type { OvsBridgeNode } from '../api/document-ovs.ts';
import { assertNever, fail, succeed } from '../api/result.ts';
import type { Result } from '../api/result.ts';
import { type GroupPath, walkGroups } from '../cpu/group.ts';
import { parseHostAddress, parseSubnetAddress } from './address.ts';
import type { AddressFamily, HostAddress } from './address.ts';
import { portsOfCollector } from './collector.ts';
import { groupLabel, groupPathOf, splitOf } from './cpu-split.ts';
import { bitsPerSecond } from './device.ts';
import { internalPortsOf } from './ovs-network.ts';
import { failureOf } from './sentences.ts';

/** Null where there is no bound. */
export interface Bounds {
  readonly atLeast: number | null;
  readonly atMost: number | null;
}

interface ResolvedTarget {
  /** Namespace that asks. */
  readonly fromNamespace: string;
  /** Address without a prefix length, canonical. */
  readonly destination: string;
  readonly family: AddressFamily;
  readonly label: string;
}

export interface ResolvedReachCheck extends ResolvedTarget {
  readonly kind: 'reach';
  readonly expect: 'reachable' | 'unreachable';
  readonly timeoutMilliseconds: number;
  /** Bounds of the round trip in milliseconds; null for any. */
  readonly roundTrip: Bounds | null;
}

export interface ResolvedConnectCheck extends ResolvedTarget {
  readonly kind: 'connect';
  /** TCP. */
  readonly port: number;
  readonly expect: 'reachable' | 'unreachable';
  readonly timeoutMilliseconds: number;
}

export interface ResolvedRateCheck extends ResolvedTarget, Bounds {
  readonly kind: 'rate';
  /** Namespace that receives. The bounds are in bits a second. */
  readonly toNamespace: string;
}

export interface ResolvedRecordsCheck {
  readonly kind: 'records';
  readonly label: string;
  /** Node with the collector. */
  readonly at: string;
  readonly protocol: 'netflow' | 'ipfix' | 'sflow';
  readonly expect: 'present' | 'absent';
  /** Canonical; null for any. */
  readonly source: string | null;
  readonly destination: string | null;
  readonly timeoutMilliseconds: number;
}

export interface ResolvedCpuCheck {
  readonly kind: 'cpu';
  readonly label: string;
  readonly group: GroupPath;
  /** Cores that it must use at least and at most. */
  readonly least: number;
  readonly most: number;
  /** Groups that are kept busy beside it. */
  readonly against: readonly GroupPath[];
  readonly milliseconds: number;
}

export type ResolvedCheck =
  | ResolvedReachCheck
  | ResolvedConnectCheck
  | ResolvedRateCheck
  | ResolvedRecordsCheck
  | ResolvedCpuCheck;

const defaultTimeoutSeconds = 2;

/** Who asks whom. Fails with the kind `invalid-document` when the check names what the document does not have. */
export function resolveCheck(
  document: LabDocument,
  check: LabCheck,
  language: 'en' | 'zh' = 'en',
): Result<ResolvedCheck> {
  if (check.check === 'records') return resolveRecords(document, check, language);
  if (check.check === 'cpu') return resolveCpu(document, check, language);
  const nodes = document.topology.nodes;
  const from = Object.hasOwn(nodes, check.from) ? nodes[check.from] : undefined;
  if (from === undefined) {
    return fail(failureOf('invalid-document', 'unknown-node', check.from, { node: check.from }));
  }
  if (from.kind !== 'namespace') {
    const code = from.kind === 'vm' ? 'check-from-machine' : 'check-from-bridge';
    return fail(failureOf('invalid-document', code, check.from, { node: check.from }));
  }
  const toNamespace = namespaceNodeOf(document, check.to);
  if (check.check === 'rate' && toNamespace === null) {
    return fail(
      failureOf('invalid-document', 'check-target-no-node', check.to, { target: check.to }),
    );
  }
  const target = resolveTarget(document, check.to);
  if (!target.ok) return target;
  const shared = {
    fromNamespace: check.from,
    destination: target.value.text,
    family: target.value.family,
    label: localizedText(check.name, language) || defaultLabel(check, language),
  };
  switch (check.check) {
    case 'reach':
      return succeed({
        ...shared,
        kind: 'reach',
        ...expectationOf(check),
        roundTrip: check.roundTrip === undefined ? null : boundsOf(check.roundTrip),
      });
    case 'connect':
      return succeed({ ...shared, kind: 'connect', port: check.port, ...expectationOf(check) });
    case 'rate': {
      const { atLeast, atMost } = boundsOf(check);
      return succeed({
        ...shared,
        kind: 'rate',
        toNamespace: toNamespace ?? '',
        atLeast: atLeast === null ? null : bitsPerSecond(atLeast),
        atMost: atMost === null ? null : bitsPerSecond(atMost),
      });
    }
    default:
      return assertNever(check);
  }
}

/** Exporters tell of a flow when it has ended or lasted. */
const defaultRecordsTimeoutSeconds = 10;

function resolveRecords(
  document: LabDocument,
  check: RecordsCheck,
  language: 'en' | 'zh',
): Result<ResolvedRecordsCheck> {
  const { at, protocol } = check;
  const nodes = document.topology.nodes;
  const node = Object.hasOwn(nodes, at) ? nodes[at] : undefined;
  if (node === undefined) {
    return fail(failureOf('invalid-document', 'unknown-node', at, { node: at }));
  }
  if (node.kind !== 'namespace' || node.collector === undefined) {
    return fail(failureOf('invalid-document', 'check-without-collector', at, { node: at }));
  }
  if (portsOfCollector(node.collector)[protocol] === undefined) {
    const values = { node: at, protocol: collectedProtocols[protocol] };
    return fail(failureOf('invalid-document', 'check-protocol-not-collected', at, values));
  }
  const canonical = (text: string | undefined): string | null =>
    text === undefined ? null : (parseHostAddress(text)?.text ?? text);
  return succeed({
    kind: 'records',
    label: localizedText(check.name, language) || recordsLabel(check, language),
    at,
    protocol,
    expect: check.expect ?? 'present',
    source: canonical(check.source),
    destination: canonical(check.destination),
    timeoutMilliseconds: Math.round((check.timeout ?? defaultRecordsTimeoutSeconds) * 1000),
  });
}

const defaultTolerance = 10;
const defaultCpuSeconds = 2;

function resolveCpu(
  document: LabDocument,
  check: CpuCheck,
  language: 'en' | 'zh',
): Result<ResolvedCpuCheck> {
  const group = groupPathOf(check.group);
  const against = (check.against ?? []).map(groupPathOf);
  const split = splitOf(document, []);
  if (split === null) {
    const values = { group: check.group };
    return fail(failureOf('invalid-document', 'check-without-split', check.group, values));
  }
  const known = new Set([...walkGroups(split.root)].map(([path]) => path));
  const missing = [group, ...against].find((path) => !known.has(path));
  if (missing !== undefined) {
    const label = groupLabel(missing);
    return fail(failureOf('invalid-document', 'cpu-group-unknown', label, { group: label }));
  }
  const within = (outer: GroupPath, inner: GroupPath): boolean =>
    outer === '' || inner === outer || inner.startsWith(`${outer}/`);
  const same = against.find((other) => within(other, group) || within(group, other));
  if (same !== undefined) {
    const values = { group: check.group, other: groupLabel(same) };
    return fail(failureOf('invalid-document', 'check-against-itself', check.group, values));
  }
  const share = (check.tolerance ?? defaultTolerance) / 100;
  return succeed({
    kind: 'cpu',
    label: localizedText(check.name, language) || cpuLabel(check, language),
    group,
    least: check.cores * (1 - share),
    most: check.cores * (1 + share),
    against,
    milliseconds: Math.round((check.seconds ?? defaultCpuSeconds) * 1000),
  });
}

function cpuLabel({ group, cores, against = [] }: CpuCheck, language: 'en' | 'zh'): string {
  const others = against.join(', ');
  if (language === 'zh') {
    return against.length === 0
      ? `${group} 用 ${cores} 核`
      : `${others} 同时忙碌时 ${group} 用 ${cores} 核`;
  }
  const what = `${group} uses ${cores} ${cores === 1 ? 'core' : 'cores'}`;
  return against.length === 0 ? what : `${what} beside ${others}`;
}

/** As they are written. */
export const collectedProtocols = { netflow: 'NetFlow', ipfix: 'IPFIX', sflow: 'sFlow' } as const;

/** Whose records are asked for, in a form that every language reads: ` (10.0.0.1 → *)`; empty for any. */
export function matchText({
  source,
  destination,
}: {
  readonly source?: string | null | undefined;
  readonly destination?: string | null | undefined;
}): string {
  const [from, to] = [source ?? null, destination ?? null];
  return from === null && to === null ? '' : ` (${from ?? '*'} → ${to ?? '*'})`;
}

function recordsLabel(check: RecordsCheck, language: 'en' | 'zh'): string {
  const protocol = collectedProtocols[check.protocol];
  const match = matchText(check);
  const present = check.expect !== 'absent';
  if (language === 'zh')
    return `${check.at} ${present ? '收到' : '收不到'} ${protocol} 记录${match}`;
  return `${check.at} ${present ? 'receives' : 'receives no'} ${protocol} records${match}`;
}

function expectationOf(
  check: ReachCheck | ConnectCheck,
): Pick<ResolvedReachCheck, 'expect' | 'timeoutMilliseconds'> {
  return {
    expect: check.expect ?? 'reachable',
    timeoutMilliseconds: Math.round((check.timeout ?? defaultTimeoutSeconds) * 1000),
  };
}

function boundsOf<T extends string | number>(bounds: {
  readonly atLeast?: T | undefined;
  readonly atMost?: T | undefined;
}): { readonly atLeast: T | null; readonly atMost: T | null } {
  return { atLeast: bounds.atLeast ?? null, atMost: bounds.atMost ?? null };
}

/** The namespace node that `NODE` or `NODE:INTERFACE` names; null when it is none. */
function namespaceNodeOf(document: LabDocument, to: string): string | null {
  if (parseHostAddress(to) !== null) return null;
  const name = to.includes(':') ? parseEndpoint(to).node : to;
  const nodes = document.topology.nodes;
  return Object.hasOwn(nodes, name) && nodes[name]?.kind === 'namespace' ? name : null;
}

/** Bounds as text that reads the same in every language, such as `≥ 10 ms, ≤ 20 ms`; empty without bounds. */
export function boundsText(bounds: {
  readonly atLeast: string | null;
  readonly atMost: string | null;
}): string {
  return [
    bounds.atLeast === null ? [] : `≥ ${bounds.atLeast}`,
    bounds.atMost === null ? [] : `≤ ${bounds.atMost}`,
  ]
    .flat()
    .join(', ');
}

export function millisecondBounds(bounds: Bounds): string {
  const text = (value: number | null): string | null => (value === null ? null : `${value} ms`);
  return boundsText({ atLeast: text(bounds.atLeast), atMost: text(bounds.atMost) });
}

function defaultLabel(
  check: Exclude<LabCheck, RecordsCheck | CpuCheck>,
  language: 'en' | 'zh',
): string {
  const chinese = language === 'zh';
  const { from, to } = check;
  switch (check.check) {
    case 'reach': {
      const label =
        check.expect === 'unreachable'
          ? `${from} ${chinese ? '不能到达' : 'does not reach'} ${to}`
          : `${from} ${chinese ? '能到达' : 'reaches'} ${to}`;
      const bounds = millisecondBounds(boundsOf(check.roundTrip ?? {}));
      if (bounds === '' || check.expect === 'unreachable') return label;
      return chinese ? `${label}，往返时延 ${bounds}` : `${label}, round trip ${bounds}`;
    }
    case 'connect': {
      const reachable = check.expect !== 'unreachable';
      return chinese
        ? `${from} ${reachable ? '能' : '不能'}连接 ${to} 的 TCP 端口 ${check.port}`
        : `${from} ${reachable ? 'connects' : 'does not connect'} to TCP port ${check.port} of ${to}`;
    }
    case 'rate': {
      const bounds = boundsText(boundsOf(check));
      const label = chinese ? `${from} 到 ${to} 的速率` : `Rate from ${from} to ${to}`;
      return bounds === '' ? label : `${label} ${bounds}`;
    }
    default:
      return assertNever(check);
  }
}

function resolveTarget(document: LabDocument, to: string): Result<HostAddress> {
  const nodes = document.topology.nodes;
  const literal = parseHostAddress(to);
  if (literal !== null) return succeed(literal);
  const endpoint = to.includes(':') ? parseEndpoint(to) : { node: to, interface: null };
  const node = Object.hasOwn(nodes, endpoint.node) ? nodes[endpoint.node] : undefined;
  if (node === undefined) {
    return fail(failureOf('invalid-document', 'check-target-unknown', to, { target: to }));
  }
  const addresses = addressesOf(document, endpoint.node, node, endpoint.interface);
  const [first] = addresses.flatMap((text) => parseSubnetAddress(text)?.host ?? []);
  return first === undefined
    ? fail(failureOf('invalid-document', 'check-target-without-address', to, { target: to }))
    : succeed(first);
}

/** The interfaces of a switch that may have addresses: its own, and with Open vSwitch internal ports. */
function interfacesOfSwitch(
  name: string,
  node: BridgeNode | OvsBridgeNode,
): readonly (readonly [string, { readonly addresses?: string[] | undefined }])[] {
  return [[name, node] as const, ...(node.kind === 'ovs-bridge' ? internalPortsOf(node) : [])];
}

/** Addresses of a node, or of one of its interfaces, in document order; those of bridges inside it come last. */
function addressesOf(
  document: LabDocument,
  name: string,
  node: LabNode,
  interfaceName: string | null,
): readonly string[] {
  const interfaces = isSwitch(node)
    ? interfacesOfSwitch(name, node)
    : [
        ...Object.entries(node.interfaces ?? {}),
        ...Object.entries(document.topology.nodes).flatMap(([key, other]) =>
          isSwitch(other) && other.namespace === name ? interfacesOfSwitch(key, other) : [],
        ),
      ];
  return interfaces.flatMap(([key, settings]) =>
    (interfaceName === null || interfaceName === key) && 'addresses' in settings
      ? (settings.addresses ?? [])
      : [],
  );
}
