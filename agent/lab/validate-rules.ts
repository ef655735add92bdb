/** What a schema cannot see of a node's address translation and filter. */
import type { FilterRule, NamespaceNode, NatRule } from '../api/document.ts';
import { type HostAddress, parseDestination, parseHostAddress } from './address.ts';
import type { SentenceCode, SentenceValues } from './sentences.ts';

export interface RuleReport {
  readonly hasInterface: (name: string) => boolean;
  /** `path` leads on from the node. */
  readonly report: (
    code: SentenceCode,
    values: SentenceValues,
    path: readonly (string | number)[],
  ) => void;
}

type Path = readonly (string | number)[];

export function validateRules(node: Pick<NamespaceNode, 'nat' | 'filter'>, to: RuleReport): void {
  for (const [index, rule] of (node.nat ?? []).entries()) checkNat(rule, ['nat', index], to);
  for (const [name, chain] of Object.entries(node.filter ?? {})) {
    for (const [index, rule] of (chain?.rules ?? []).entries()) {
      checkFilter(rule, ['filter', name, 'rules', index], to);
    }
  }
}

function checkNat(rule: NatRule, path: Path, to: RuleReport): void {
  checkInterface(
    rule.kind === 'dnat' ? rule.in : rule.out,
    path,
    rule.kind === 'dnat' ? 'in' : 'out',
    to,
  );
  const from = rule.kind === 'dnat' ? undefined : checkPeers(rule.from, [...path, 'from'], to);
  if (rule.kind === 'masquerade') return;
  const target = parseHostAddress(rule.to);
  if (target === null) to.report('invalid-host', { text: rule.to }, [...path, 'to']);
  else if (from !== undefined && from !== target.family) {
    const one = rule.kind === 'snat' ? (rule.from ?? '') : '';
    to.report('families-differ', { one, other: rule.to }, path);
  }
}

function checkFilter(rule: FilterRule, path: Path, to: RuleReport): void {
  checkInterface(rule.in, path, 'in', to);
  checkInterface(rule.out, path, 'out', to);
  const from = checkPeers(rule.from, [...path, 'from'], to);
  const target = checkPeers(rule.to, [...path, 'to'], to);
  if (from !== undefined && target !== undefined && from !== target) {
    to.report('families-differ', { one: rule.from ?? '', other: rule.to ?? '' }, path);
  }
  if (rule.port === undefined) return;
  if (rule.protocol !== 'tcp' && rule.protocol !== 'udp') {
    to.report('port-without-protocol', {}, [...path, 'port']);
  }
  if (typeof rule.port !== 'string') return;
  const [low = 0, high = 0] = rule.port.split('-').map(Number);
  if (low < 1 || high > 65535 || low > high) {
    to.report('invalid-port-range', { text: rule.port }, [...path, 'port']);
  }
}

function checkInterface(name: string | undefined, path: Path, key: string, to: RuleReport): void {
  if (name === undefined || to.hasInterface(name)) return;
  to.report('unknown-interface', { interface: name }, [...path, key]);
}

/** Family of an address or prefix; undefined when there is none that could be read. */
function checkPeers(
  text: string | undefined,
  path: Path,
  to: RuleReport,
): HostAddress['family'] | undefined {
  if (text === undefined) return undefined;
  const prefix = parseDestination(text, null);
  if (prefix !== null && text !== 'default') return prefix.family;
  to.report('invalid-prefix', { text }, path);
  return undefined;
}
