/**
 * Whether the firewall of a namespace drops frames that cross a bridge in it. With br_netfilter's switches on, bridged
 * packets go through the hooks of IP (net/bridge/br_netfilter_hooks.c), `forward` among them.
 */
import { z } from 'zod';
import { runCommandNow } from './process.ts';
import { readSetting } from './sysctl.ts';

const RulesetSchema = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const ChainSchema = z.object({
  family: z.string(),
  table: z.string(),
  name: z.string(),
  hook: z.literal('forward'),
  policy: z.string(),
});

/**
 * Pure. The chains at the forward hook that drop by their policy, as `FAMILY TABLE CHAIN`, of the families given; from
 * what `nft -j list ruleset` says, which has those of iptables-nft too.
 */
export function droppingChains(ruleset: string, families: ReadonlySet<string>): readonly string[] {
  let value: unknown;
  try {
    value = JSON.parse(ruleset);
  } catch {
    return [];
  }
  const parsed = RulesetSchema.safeParse(value);
  if (!parsed.success) return [];
  return parsed.data.nftables.flatMap((entry) => {
    const chain = ChainSchema.safeParse(entry['chain']);
    if (!chain.success || chain.data.policy !== 'drop') return [];
    const { family, table, name } = chain.data;
    return families.has(family) ? [`${family} ${table} ${name}`] : [];
  });
}

/**
 * The first chain of the agent's own namespace that drops what crosses a bridge there; null when there is none, and when
 * nobody can tell: then there is nothing to warn of.
 */
export function findBridgedDrop(): string | null {
  const isOn = (setting: string): boolean => {
    const value = readSetting(undefined, `bridge/${setting}`);
    return value.ok && value.value === '1';
  };
  const families = new Set([
    ...(isOn('bridge-nf-call-iptables') ? ['ip', 'inet'] : []),
    ...(isOn('bridge-nf-call-ip6tables') ? ['ip6', 'inet'] : []),
  ]);
  if (families.size === 0) return null;
  const listed = runCommandNow({
    file: 'nft',
    args: ['-j', 'list', 'ruleset'],
    purpose: 'looking for a firewall that drops what crosses a bridge',
    timeout: 5000,
  });
  if (!listed.ok || listed.value.exitCode !== 0) return null;
  return droppingChains(listed.value.stdout, families)[0] ?? null;
}
