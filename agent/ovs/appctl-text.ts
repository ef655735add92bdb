/** What the control commands of ovs-vswitchd print, as data. Pure. Fields that a version adds are passed over. */

export interface BondReport {
  readonly port: string;
  readonly mode: string;
  /** `off`, `configured` or `negotiated`. */
  readonly lacpStatus: string;
  /** Name of the member that carries what is not shared out; null where there is none. */
  readonly active: string | null;
  readonly members: readonly { readonly name: string; readonly enabled: boolean }[];
}

/** Blocks that begin with `---- NAME ----`. */
function blocksOf(text: string): readonly (readonly [string, readonly string[]])[] {
  const blocks: [string, string[]][] = [];
  for (const line of text.split('\n')) {
    const heading = /^---- (.+) ----\s*$/.exec(line)?.[1];
    if (heading !== undefined) blocks.push([heading, []]);
    else blocks.at(-1)?.[1].push(line);
  }
  return blocks;
}

function valueIn(lines: readonly string[], key: string): string | undefined {
  const line = lines.find((one) => one.trimStart().startsWith(`${key}:`));
  return line?.slice(line.indexOf(':') + 1).trim();
}

/** `bond/show`. What once was a member is called a slave before Open vSwitch 2.16. */
export function parseBonds(text: string): readonly BondReport[] {
  return blocksOf(text).map(([port, lines]) => {
    const members: { name: string; enabled: boolean }[] = [];
    let active: string | null = null;
    for (const line of lines) {
      const member = /^(?:member|slave):? ([^:]+): (enabled|disabled)/.exec(line);
      if (member !== null) {
        members.push({ name: member[1] ?? '', enabled: member[2] === 'enabled' });
      } else if (/^\s+active (?:member|slave)\s*$/.test(line)) {
        active = members.at(-1)?.name ?? null;
      }
    }
    return {
      port,
      mode: valueIn(lines, 'bond_mode') ?? '',
      lacpStatus: valueIn(lines, 'lacp_status') ?? 'off',
      active,
      members,
    };
  });
}

export interface LacpReport {
  readonly port: string;
  readonly active: boolean;
  readonly negotiated: boolean;
  readonly systemId: string;
  readonly members: readonly {
    readonly name: string;
    /** `current`, `expired` or `defaulted`. */
    readonly status: string;
    readonly attached: boolean;
    readonly partner: string | null;
  }[];
}

/** `lacp/show`. */
export function parseLacp(text: string): readonly LacpReport[] {
  return blocksOf(text).map(([port, lines]) => {
    const status = (valueIn(lines, 'status') ?? '').split(/\s+/);
    const members: LacpReport['members'][number][] = [];
    for (const [at, line] of lines.entries()) {
      const member = /^(?:member|slave): ([^:]+): (\S+)\s*(.*)$/.exec(line);
      if (member === null) continue;
      const following = lines.slice(at + 1);
      const end = following.findIndex((one) => /^(?:member|slave): /.test(one));
      const own = end < 0 ? following : following.slice(0, end);
      const partner = valueIn(own, 'partner sys_id');
      members.push({
        name: member[1] ?? '',
        status: member[2] ?? '',
        attached: (member[3] ?? '').split(/\s+/).includes('attached'),
        partner: partner === undefined || partner === '00:00:00:00:00:00' ? null : partner,
      });
    }
    return {
      port,
      active: status.includes('active'),
      negotiated: status.includes('negotiated'),
      systemId: valueIn(lines, 'sys_id') ?? '',
      members,
    };
  });
}

/** State of the members of all bonds, by interface, as the inventory tells it. */
export function bondMembersOf(
  bonds: readonly BondReport[],
  lacp: readonly LacpReport[],
): ReadonlyMap<string, { enabled: boolean; active: boolean; lacp: string | null }> {
  const negotiation = new Map(
    lacp.flatMap(({ members }) => members.map(({ name, status }) => [name, status] as const)),
  );
  return new Map(
    bonds.flatMap(({ members, active }) =>
      members.map(
        ({ name, enabled }) =>
          [
            name,
            { enabled, active: name === active, lacp: negotiation.get(name) ?? null },
          ] as const,
      ),
    ),
  );
}

export interface SwitchFdbEntry {
  /** OpenFlow number of the port; `LOCAL` is the bridge's own. */
  readonly port: string;
  readonly vlan: number;
  readonly mac: string;
  /** Seconds; null for one that stays. */
  readonly age: number | null;
}

/** `fdb/show`. */
export function parseFdb(text: string): readonly SwitchFdbEntry[] {
  return text.split('\n').flatMap((line) => {
    const entry = /^\s*(\S+)\s+(\d+)\s+([0-9a-f:]{17})\s+(\S+)/.exec(line);
    if (entry === null) return [];
    const age = Number(entry[4]);
    return [
      {
        port: entry[1] ?? '',
        vlan: Number(entry[2]),
        mac: entry[3] ?? '',
        age: Number.isFinite(age) ? age : null,
      },
    ];
  });
}

export interface TreeReport {
  readonly bridge: string;
  readonly isRoot: boolean;
  /** `PRIORITY.MAC` of the root and of this bridge. */
  readonly root: string;
  readonly own: string;
  readonly rootPort: string | null;
  readonly rootPathCost: number | null;
  readonly ports: readonly {
    readonly name: string;
    /** In lower case, as `designated`, `forwarding`. */
    readonly role: string;
    readonly state: string;
    readonly cost: number;
    /** Priority and number. */
    readonly id: string;
  }[];
}

/** `stp/show` and `rstp/show`. */
export function parseTrees(text: string): readonly TreeReport[] {
  return blocksOf(text).map(([bridge, lines]) => {
    const middle = lines.findIndex((line) => line.startsWith('Bridge ID:'));
    const [upper, lower] = [lines.slice(0, middle), lines.slice(Math.max(middle, 0))];
    const word = (part: readonly string[], key: string): string | undefined =>
      part.map((line) => line.trim().split(/\s+/)).find(([name]) => name === key)?.[1];
    const identity = (part: readonly string[]): string =>
      `${word(part, 'stp-priority') ?? ''}.${word(part, 'stp-system-id') ?? ''}`;
    const cost = word(upper, 'root-path-cost');
    const table = lower.findIndex((line) => /^\s+-{3,}/.test(line));
    const rows = table < 0 ? [] : lower.slice(table + 1);
    return {
      bridge,
      isRoot: upper.some((line) => line.includes('This bridge is the root')),
      root: identity(upper),
      own: identity(lower),
      rootPort: word(upper, 'root-port') ?? null,
      rootPathCost: cost === undefined ? null : Number(cost),
      ports: rows.flatMap((row) => {
        const [name, role, state, price, id] = row.trim().split(/\s+/);
        if (name === undefined || role === undefined || state === undefined) return [];
        if (price === undefined || id === undefined) return [];
        return [
          {
            name,
            role: role.toLowerCase(),
            state: state.toLowerCase(),
            cost: Number(price),
            id,
          },
        ];
      }),
    };
  });
}

export interface UpcallReport {
  readonly datapath: string;
  readonly flows: number;
  readonly averageFlows: number;
  readonly maximumFlows: number;
  readonly flowLimit: number;
  /** Milliseconds that the last look through all flows took. */
  readonly dumpDuration: number;
}

/** `upcall/show`. */
export function parseUpcalls(text: string): readonly UpcallReport[] {
  const reports: UpcallReport[] = [];
  let datapath = '';
  let flows: readonly number[] = [];
  for (const line of text.split('\n')) {
    const heading = /^(\S+):\s*$/.exec(line)?.[1];
    if (heading !== undefined) datapath = heading;
    const counts =
      /^\s+flows\s*: \(current (\d+)\) \(avg (\d+)\) \(max (\d+)\) \(limit (\d+)\)/.exec(line);
    if (counts !== null) flows = counts.slice(1).map(Number);
    const duration = /^\s+dump duration\s*: (\d+)ms/.exec(line)?.[1];
    if (duration === undefined) continue;
    const [current = 0, average = 0, maximum = 0, limit = 0] = flows;
    reports.push({
      datapath,
      flows: current,
      averageFlows: average,
      maximumFlows: maximum,
      flowLimit: limit,
      dumpDuration: Number(duration),
    });
  }
  return reports;
}

export interface CoverageCounter {
  /** A second, over the last five, over the last minute and over the last hour. */
  readonly rates: readonly [number, number, number];
  readonly total: number;
}

/** `coverage/show`: by event. */
export function parseCoverage(text: string): ReadonlyMap<string, CoverageCounter> {
  const counters = new Map<string, CoverageCounter>();
  for (const line of text.split('\n')) {
    const found = /^(\S+)\s+([\d.]+)\/sec\s+([\d.]+)\/sec\s+([\d.]+)\/sec\s+total: (\d+)/.exec(
      line,
    );
    if (found === null) continue;
    counters.set(found[1] ?? '', {
      rates: [Number(found[2]), Number(found[3]), Number(found[4])],
      total: Number(found[5]),
    });
  }
  return counters;
}

export interface DatapathReport {
  readonly datapath: string;
  /** Packets that the datapath knew what to do with, that it had to ask for, and that were lost meanwhile. */
  readonly hit: number;
  readonly missed: number;
  readonly lost: number;
  readonly flows: number;
}

/** `dpctl/show`. */
export function parseDatapaths(text: string): readonly DatapathReport[] {
  const reports: DatapathReport[] = [];
  let datapath = '';
  let lookups: readonly number[] = [];
  for (const line of text.split('\n')) {
    const heading = /^(\S+):\s*$/.exec(line)?.[1];
    if (heading !== undefined) datapath = heading;
    const counts = /^\s+lookups: hit:(\d+) missed:(\d+) lost:(\d+)/.exec(line);
    if (counts !== null) lookups = counts.slice(1).map(Number);
    const flows = /^\s+flows: (\d+)/.exec(line)?.[1];
    if (flows === undefined) continue;
    const [hit = 0, missed = 0, lost = 0] = lookups;
    reports.push({ datapath, hit, missed, lost, flows: Number(flows) });
  }
  return reports;
}
