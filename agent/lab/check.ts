import { localizedText, parseEndpoint } from '../api/document.ts';
import type { LabDocument, LabNode, ReachCheck } from '../api/document.ts';
import { fail, succeed } from '../api/result.ts';
import type { Result } from '../api/result.ts';
import { parseHostAddress, parseSubnetAddress } from './address.ts';
import type { AddressFamily, HostAddress } from './address.ts';
import { failureOf } from './sentences.ts';

export interface ResolvedReachCheck {
  readonly kind: 'reach';
  /** Namespace that asks. */
  readonly fromNamespace: string;
  /** Address without a prefix length, canonical. */
  readonly destination: string;
  readonly family: AddressFamily;
  readonly expect: 'reachable' | 'unreachable';
  readonly timeoutMilliseconds: number;
  readonly label: string;
}

const defaultTimeoutSeconds = 2;

/** Who asks whom. Fails with the kind `invalid-document` when the check names what the document does not have. */
export function resolveCheck(
  document: LabDocument,
  check: ReachCheck,
  language: 'en' | 'zh' = 'en',
): Result<ResolvedReachCheck> {
  const nodes = document.topology.nodes;
  const from = Object.hasOwn(nodes, check.from) ? nodes[check.from] : undefined;
  if (from === undefined) {
    return fail(failureOf('invalid-document', 'unknown-node', check.from, { node: check.from }));
  }
  if (from.kind !== 'namespace') {
    return fail(
      failureOf('invalid-document', 'check-from-bridge', check.from, { node: check.from }),
    );
  }
  const target = resolveTarget(document, check.to);
  if (!target.ok) return target;
  const expect = check.expect ?? 'reachable';
  return succeed({
    kind: 'reach',
    fromNamespace: check.from,
    destination: target.value.text,
    family: target.value.family,
    expect,
    timeoutMilliseconds: Math.round((check.timeout ?? defaultTimeoutSeconds) * 1000),
    label: localizedText(check.name, language) || defaultLabel(check, expect, language),
  });
}

function defaultLabel(
  check: ReachCheck,
  expect: ResolvedReachCheck['expect'],
  language: 'en' | 'zh',
): string {
  const { from, to } = check;
  if (language === 'zh') {
    return expect === 'reachable' ? `${from} 能到达 ${to}` : `${from} 不能到达 ${to}`;
  }
  return expect === 'reachable' ? `${from} reaches ${to}` : `${from} does not reach ${to}`;
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
