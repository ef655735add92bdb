import { z } from 'zod';
import type { FilterRule, NamespaceNode, NatRule } from '../api/document.ts';
import { assertNever } from '../api/result.ts';
import { parseHostAddress, parsePrefix } from './address.ts';
import type { HostAddress, Prefix } from './address.ts';

/**
 * The nftables table that a namespace node asks for. Pure. Its canonical text is what `nft -j -p list table` says of it
 * (libnftables-json(5)) without what counts or numbers: two texts are equal when the rules are the same. Protocols are
 * numbers (-p), since their names come from /etc/protocols, which a machine may lack.
 */
export const ruleTable = 'netloom';
export const ruleFamily = 'inet';

const table = { family: z.literal(ruleFamily), table: z.literal(ruleTable) };

const chainNames = ['input', 'forward', 'output', 'prerouting', 'postrouting'] as const;
type ChainName = (typeof chainNames)[number];

/** Standard priorities of filter, dstnat and srcnat (include/uapi/linux/netfilter_ipv4.h). */
const chainKinds: Readonly<Record<ChainName, { readonly type: 'filter' | 'nat'; prio: number }>> = {
  input: { type: 'filter', prio: 0 },
  forward: { type: 'filter', prio: 0 },
  output: { type: 'filter', prio: 0 },
  prerouting: { type: 'nat', prio: -100 },
  postrouting: { type: 'nat', prio: 100 },
};

const protocolNumbers = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;
const protocolNames: ReadonlyMap<number, keyof typeof protocolNumbers> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [58, 'icmpv6'],
]);

/** In the order of the kernel's bits, in which nft lists them. */
const connectionStates = ['invalid', 'established', 'related', 'new'] as const;

const StateSchema = z.enum(connectionStates);

/** What a packet must be, one schema for each shape that is made here. */
const MatchSchema = z.union([
  z.strictObject({
    op: z.literal('=='),
    left: z.strictObject({ meta: z.strictObject({ key: z.enum(['iifname', 'oifname']) }) }),
    right: z.string(),
  }),
  z.strictObject({
    op: z.literal('=='),
    left: z.strictObject({ meta: z.strictObject({ key: z.literal('nfproto') }) }),
    right: z.enum(['ipv4', 'ipv6']),
  }),
  z.strictObject({
    op: z.literal('=='),
    left: z.strictObject({ meta: z.strictObject({ key: z.literal('l4proto') }) }),
    right: z.number().int(),
  }),
  z.strictObject({
    op: z.literal('=='),
    left: z.strictObject({
      payload: z.strictObject({
        protocol: z.enum(['ip', 'ip6']),
        field: z.enum(['saddr', 'daddr']),
      }),
    }),
    right: z.union([
      z.string(),
      z.strictObject({ prefix: z.strictObject({ addr: z.string(), len: z.number().int() }) }),
    ]),
  }),
  z.strictObject({
    op: z.literal('=='),
    left: z.strictObject({
      payload: z.strictObject({ protocol: z.enum(['tcp', 'udp']), field: z.literal('dport') }),
    }),
    right: z.union([
      z.number().int(),
      z.strictObject({ range: z.tuple([z.number().int(), z.number().int()]) }),
    ]),
  }),
  z.strictObject({
    op: z.literal('=='),
    left: z.strictObject({
      fib: z.strictObject({ flags: z.literal('daddr'), result: z.literal('type') }),
    }),
    right: z.literal('local'),
  }),
  z.strictObject({
    op: z.literal('in'),
    left: z.strictObject({ ct: z.strictObject({ key: z.literal('state') }) }),
    right: z.union([StateSchema, z.array(StateSchema).min(2)]),
  }),
]);
type Match = z.infer<typeof MatchSchema>;

const TranslationSchema = z.strictObject({
  family: z.enum(['ip', 'ip6']),
  addr: z.string(),
  port: z.number().int().optional(),
});

const StatementSchema = z.union([
  z.strictObject({ match: MatchSchema }),
  z.strictObject({ accept: z.null() }),
  z.strictObject({ drop: z.null() }),
  z.strictObject({
    reject: z.strictObject({ type: z.literal('icmpx'), expr: z.literal('port-unreachable') }),
  }),
  z.strictObject({ masquerade: z.null() }),
  z.strictObject({ snat: TranslationSchema }),
  z.strictObject({ dnat: TranslationSchema }),
]);
type Statement = z.infer<typeof StatementSchema>;

const ItemSchema = z.union([
  z.strictObject({
    table: z.strictObject({ family: z.literal(ruleFamily), name: z.literal(ruleTable) }),
  }),
  z.strictObject({
    chain: z.strictObject({
      ...table,
      name: z.enum(chainNames),
      type: z.enum(['filter', 'nat']),
      hook: z.enum(chainNames),
      prio: z.number().int(),
      policy: z.enum(['accept', 'drop']),
    }),
  }),
  z.strictObject({
    rule: z.strictObject({
      ...table,
      chain: z.enum(chainNames),
      expr: z.array(StatementSchema).min(1),
      comment: z.string().optional(),
    }),
  }),
]);
/** An object of libnftables-json(5) of the shapes that are made here. */
type Item = z.infer<typeof ItemSchema>;

const ListSchema = z.array(z.unknown());

/**
 * Canonical text of the rules that a node asks for; null when it asks for none. Addresses and ports must be valid. Where
 * no namespace tells whose they are, each bears `mark` as its comment.
 */
export function rulesOf(node: Pick<NamespaceNode, 'nat' | 'filter'>, mark?: string): string | null {
  const chains: Item[] = [];
  const rules: Item[] = [];
  const addChain = (
    name: ChainName,
    policy: 'accept' | 'drop',
    statements: readonly (readonly Statement[])[],
  ): void => {
    const place = { family: ruleFamily, table: ruleTable } as const;
    chains.push({ chain: { ...place, name, hook: name, policy, ...chainKinds[name] } });
    const comment = mark === undefined ? {} : { comment: mark };
    for (const expr of statements) {
      rules.push({ rule: { ...place, chain: name, expr: [...expr], ...comment } });
    }
  };
  for (const name of ['input', 'forward', 'output'] as const) {
    const chain = node.filter?.[name];
    if (chain === undefined) continue;
    addChain(name, chain.policy ?? 'accept', (chain.rules ?? []).map(filterStatements));
  }
  const translations = node.nat ?? [];
  for (const name of ['prerouting', 'postrouting'] as const) {
    const own = translations.filter(({ kind }) => (kind === 'dnat') === (name === 'prerouting'));
    if (own.length > 0) addChain(name, 'accept', own.map(natStatements));
  }
  if (chains.length === 0) return null;
  return canonicalText([{ table: { family: ruleFamily, name: ruleTable } }, ...chains, ...rules]);
}

/**
 * Canonical text of what `nft -j -p list table inet netloom` printed, given as parsed JSON; null for anything that is
 * not such a listing. Takes away handles, counts and the version of nft, and what versions of it write differently.
 */
export function canonicalRules(listing: unknown): string | null {
  const parsed = z.object({ nftables: ListSchema }).safeParse(listing);
  if (!parsed.success) return null;
  return canonicalText(
    parsed.data.nftables.filter((item) => !isRecord(item) || !Object.hasOwn(item, 'metainfo')),
  );
}

/**
 * Commands that bring `rules` about where `before` is, to be run in the namespace (`ip netns exec NAME …`). Rules of
 * shapes that a document cannot ask for (somebody edited our table, and this puts it back) are given as JSON.
 */
export function ruleCommand(rules: string | null, before: string | null): string[] {
  const removal = before === null ? [] : [`nft delete table ${ruleFamily} ${ruleTable}`];
  if (rules === null) return removal;
  const items = listOf(rules);
  const texts: string[] = [];
  for (const item of items) {
    const known = ItemSchema.safeParse(item);
    if (!known.success) return [...removal, `nft -j ${quote(`{"nftables":${rules}}`)}`];
    texts.push(`add ${itemText(known.data)}`);
  }
  const together = `nft '${texts.join('; ')}'`;
  const short = together.length <= longestCommand;
  return [...removal, ...(short ? [together] : texts.map((text) => `nft '${text}'`))];
}

/** Longer than this, a command is easier to read in pieces. */
const longestCommand = 240;

/** One short line for each rule, and for each chain of the filter what becomes of the rest. */
export function describeRules(rules: string | null): string[] {
  if (rules === null) return [];
  const lines: string[] = [];
  const policies: string[] = [];
  for (const item of listOf(rules)) {
    const known = ItemSchema.safeParse(item);
    if (!known.success) {
      lines.push(shorten(JSON.stringify(item)));
    } else if ('chain' in known.data) {
      const { name, type, policy } = known.data.chain;
      if (type === 'filter') policies.push(`${name}: ${policy} otherwise`);
    } else if ('rule' in known.data) {
      lines.push(ruleLine(known.data.rule.chain, known.data.rule.expr));
    }
  }
  // The policy of a chain stands behind its rules.
  return [...chainNames, ''].flatMap((name) => {
    const isOf = (line: string): boolean =>
      name === ''
        ? !chainNames.some((chain) => line.startsWith(`${chain}: `))
        : line.startsWith(`${name}: `);
    return [...lines.filter(isOf), ...policies.filter(isOf)];
  });
}

function shorten(text: string): string {
  return text.length > 160 ? `${text.slice(0, 159)}…` : text;
}

function filterStatements(rule: FilterRule): readonly Statement[] {
  const { action, in: input, out, from, to, protocol, port, state } = rule;
  const verdict: Statement =
    action === 'accept'
      ? { accept: null }
      : action === 'drop'
        ? { drop: null }
        : { reject: { type: 'icmpx', expr: 'port-unreachable' } };
  return [
    ...(input === undefined ? [] : [interfaceMatch('iifname', input)]),
    ...(out === undefined ? [] : [interfaceMatch('oifname', out)]),
    ...peerMatches(from, to, protocol),
    ...protocolMatches(protocol, port),
    ...(state === undefined ? [] : [stateMatch(state)]),
    verdict,
  ];
}

function natStatements(rule: NatRule): readonly Statement[] {
  switch (rule.kind) {
    case 'masquerade':
      return [
        interfaceMatch('oifname', rule.out),
        ...peerMatches(rule.from, undefined),
        { masquerade: null },
      ];
    case 'snat':
      return [
        interfaceMatch('oifname', rule.out),
        ...peerMatches(rule.from, undefined),
        { snat: translation(hostOf(rule.to)) },
      ];
    case 'dnat':
      return [
        interfaceMatch('iifname', rule.in),
        // What is only on its way through this node keeps its destination.
        {
          match: {
            op: '==',
            left: { fib: { flags: 'daddr', result: 'type' } },
            right: 'local',
          },
        },
        ...protocolMatches(rule.protocol, rule.port),
        { dnat: translation(hostOf(rule.to), rule.toPort) },
      ];
    default:
      return assertNever(rule);
  }
}

function interfaceMatch(key: 'iifname' | 'oifname', name: string): Statement {
  return { match: { op: '==', left: { meta: { key } }, right: name } };
}

/**
 * nft drops a family match next to an address or the ICMP of that family, so there is one only where nothing else says
 * it.
 */
function peerMatches(
  from: string | undefined,
  to: string | undefined,
  protocol?: FilterRule['protocol'],
): readonly Statement[] {
  const peers = [
    ...(from === undefined ? [] : [{ field: 'saddr' as const, prefix: prefixOf(from) }]),
    ...(to === undefined ? [] : [{ field: 'daddr' as const, prefix: prefixOf(to) }]),
  ];
  const addresses = peers.filter(({ prefix }) => prefix.length > 0);
  const [any] = peers;
  if (addresses.length === 0 && any !== undefined) {
    if (protocol === (any.prefix.family === 'ipv4' ? 'icmp' : 'icmpv6')) return [];
    return [{ match: { op: '==', left: { meta: { key: 'nfproto' } }, right: any.prefix.family } }];
  }
  return addresses.map(({ field, prefix }) => {
    const [addr = ''] = prefix.text.split('/');
    const whole = prefix.length === prefix.bytes.length * 8;
    return {
      match: {
        op: '==',
        left: { payload: { protocol: prefix.family === 'ipv4' ? 'ip' : 'ip6', field } },
        right: whole ? addr : { prefix: { addr, len: prefix.length } },
      },
    };
  });
}

function protocolMatches(
  protocol: FilterRule['protocol'],
  port: FilterRule['port'],
): readonly Statement[] {
  if (protocol === undefined) return [];
  if (port === undefined || protocol === 'icmp' || protocol === 'icmpv6') {
    return [
      {
        match: {
          op: '==',
          left: { meta: { key: 'l4proto' } },
          right: protocolNumbers[protocol],
        },
      },
    ];
  }
  const [first = 0, last = first] = String(port).split('-').map(Number);
  return [
    {
      match: {
        op: '==',
        left: { payload: { protocol, field: 'dport' } },
        right: first === last ? first : { range: [first, last] },
      },
    },
  ];
}

function stateMatch(states: NonNullable<FilterRule['state']>): Statement {
  const listed = connectionStates.filter((state) => states.includes(state));
  const [only] = listed;
  return {
    match: {
      op: 'in',
      left: { ct: { key: 'state' } },
      right: listed.length === 1 && only !== undefined ? only : listed,
    },
  };
}

function translation(host: HostAddress, port?: number): z.infer<typeof TranslationSchema> {
  return {
    family: host.family === 'ipv4' ? 'ip' : 'ip6',
    addr: host.text,
    ...(port === undefined ? {} : { port }),
  };
}

function hostOf(text: string): HostAddress {
  const host = parseHostAddress(text);
  if (host === null) throw new RangeError(`No address: ${JSON.stringify(text)}`);
  return host;
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === null) throw new RangeError(`No prefix: ${JSON.stringify(text)}`);
  return prefix;
}

function itemText(item: Item): string {
  const place = `${ruleFamily} ${ruleTable}`;
  if ('table' in item) return `table ${place}`;
  if ('chain' in item) {
    const { name, type, hook, prio, policy } = item.chain;
    return `chain ${place} ${name} { type ${type} hook ${hook} priority ${prio}; policy ${policy}; }`;
  }
  const { chain, expr, comment } = item.rule;
  const note = comment === undefined ? '' : ` comment "${comment}"`;
  return `rule ${place} ${chain} ${expr.map(statementText).join(' ')}${note}`;
}

function statementText(statement: Statement): string {
  if ('match' in statement) return matchText(statement.match);
  if ('accept' in statement) return 'accept';
  if ('drop' in statement) return 'drop';
  if ('reject' in statement) return 'reject with icmpx port-unreachable';
  if ('masquerade' in statement) return 'masquerade';
  const [word, { family, addr, port }] =
    'snat' in statement ? (['snat', statement.snat] as const) : (['dnat', statement.dnat] as const);
  return `${word} ${family} to ${addressWithPort(addr, port)}`;
}

function addressWithPort(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function matchText(match: Match): string {
  const { left, right } = match;
  if ('fib' in left) return 'fib daddr type local';
  if ('ct' in left) return `ct state ${[right].flat().join(',')}`;
  if ('payload' in left) {
    return `${left.payload.protocol} ${left.payload.field} ${operandText(right)}`;
  }
  switch (left.meta.key) {
    case 'iifname':
    case 'oifname':
      return `${left.meta.key} "${operandText(right)}"`;
    case 'nfproto':
      return `meta nfproto ${operandText(right)}`;
    case 'l4proto': {
      const name = protocolNames.get(Number(right));
      return `meta l4proto ${name === 'icmpv6' ? 'ipv6-icmp' : (name ?? operandText(right))}`;
    }
    default:
      return assertNever(left.meta);
  }
}

/** `10.0.0.0/8`, `80`, `8000-8100` and plain words. */
function operandText(right: Match['right']): string {
  if (typeof right !== 'object') return String(right);
  if (Array.isArray(right)) return right.join(',');
  if ('prefix' in right) return `${right.prefix.addr}/${right.prefix.len}`;
  return right.range.join('-');
}

function ruleLine(chain: ChainName, statements: readonly Statement[]): string {
  const words: string[] = [];
  let verb = '';
  let target = '';
  for (const statement of statements) {
    if ('match' in statement) {
      words.push(...matchWords(statement.match));
    } else {
      [verb = ''] = Object.keys(statement);
      if ('snat' in statement) target = ` to ${statement.snat.addr}`;
      if ('dnat' in statement) {
        target = ` to ${addressWithPort(statement.dnat.addr, statement.dnat.port)}`;
      }
    }
  }
  const prefix = chainKinds[chain].type === 'filter' ? `${chain}: ` : '';
  return `${prefix}${[verb, ...words].join(' ')}${target}`;
}

function matchWords(match: Match): readonly string[] {
  const { left, right } = match;
  // Said by the word dnat.
  if ('fib' in left) return [];
  if ('ct' in left) return ['state', [right].flat().join(',')];
  if ('payload' in left) {
    const { field, protocol } = left.payload;
    const word = field === 'saddr' ? 'from' : field === 'daddr' ? 'to' : protocol;
    return [word, operandText(right)];
  }
  switch (left.meta.key) {
    case 'iifname':
      return ['in', operandText(right)];
    case 'oifname':
      return ['out', operandText(right)];
    case 'nfproto':
      return [operandText(right)];
    case 'l4proto':
      return [protocolNames.get(Number(right)) ?? operandText(right)];
    default:
      return assertNever(left.meta);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function canonicalText(items: readonly unknown[]): string {
  return JSON.stringify(items.map(canonicalValue));
}

function canonicalValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonicalValue);
  if (typeof value === 'string') return parseHostAddress(value)?.text ?? value;
  if (!isRecord(value)) return value;
  const entries = Object.entries(value)
    .filter(([key]) => key !== 'handle')
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, part]): [string, unknown] => [
      key,
      // Flags of a fib or ct match, of which there is one: a list in some versions, the flag itself in others.
      (key === 'right' || (key === 'flags' && Object.hasOwn(value, 'result'))) &&
      Array.isArray(part) &&
      part.length === 1
        ? canonicalValue(part[0])
        : // What a rule has counted; it starts anew.
          key === 'counter' && isRecord(part)
          ? { bytes: 0, packets: 0 }
          : canonicalValue(part),
    ]);
  return Object.fromEntries(entries);
}

function listOf(rules: string): readonly unknown[] {
  const parsed: unknown = JSON.parse(rules);
  return ListSchema.parse(parsed);
}

/** In single quotes for a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
