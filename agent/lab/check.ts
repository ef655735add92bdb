import { localizedText, parseEndpoint } from '../api/document.ts';
import type { ConnectCheck, LabCheck, LabDocument, LabNode, ReachCheck } from '../api/document.ts';
import { assertNever, fail, succeed } from '../api/result.ts';
import type { Result } from '../api/result.ts';
import { parseHostAddress, parseSubnetAddress } from './address.ts';
import type { AddressFamily, HostAddress } from './address.ts';
import { bitsPerSecond } from './device.ts';
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

export type ResolvedCheck = ResolvedReachCheck | ResolvedConnectCheck | ResolvedRateCheck;

const defaultTimeoutSeconds = 2;

/** Who asks whom. Fails with the kind `invalid-document` when the check names what the document does not have. */
export function resolveCheck(
  document: LabDocument,
  check: LabCheck,
  language: 'en' | 'zh' = 'en',
): Result<ResolvedCheck> {
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

function defaultLabel(check: LabCheck, language: 'en' | 'zh'): string {
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

/** Addresses of a node, or of one of its interfaces, in document order; those of bridges inside it come last. */
function addressesOf(
  document: LabDocument,
  name: string,
  node: LabNode,
  interfaceName: string | null,
): readonly string[] {
  if (node.kind === 'bridge') {
    return interfaceName === null || interfaceName === name ? (node.addresses ?? []) : [];
  }
  const own = Object.entries(node.interfaces ?? {});
  const inner = Object.entries(document.topology.nodes).filter(
    ([, other]) => other.kind === 'bridge' && other.namespace === name,
  );
  return [...own, ...inner].flatMap(([key, settings]) =>
    (interfaceName === null || interfaceName === key) && 'addresses' in settings
      ? (settings.addresses ?? [])
      : [],
  );
}
