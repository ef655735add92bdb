/** What `ofproto/trace --names` prints, as data. Pure. */
import type { OpenFlowTrace } from '../api/openflow.ts';
import { type OvsBridge, type OvsInterface, ovsTunnelKinds } from '../api/ovs.ts';

type Step = OpenFlowTrace['steps'][number];
type TraceTable = Step['tables'][number];

interface Place {
  readonly bridge: string;
  readonly port: string;
  readonly kind: OvsInterface['kind'];
  readonly peer: string | null;
}

/** A bridge that the packet is in, while it is read. */
interface Block {
  readonly indent: number;
  isOver: boolean;
  /** Tables that the next line may belong to, the innermost last. */
  readonly open: { readonly indent: number; readonly entry: TraceTable }[];
  readonly step: {
    readonly bridge: string;
    inPort: string | null;
    from: number | null;
    readonly tables: TraceTable[];
    readonly outPorts: string[];
  };
}

/** From one entry into the datapath to the next: a packet that goes round once more begins anew. */
interface Pass {
  flow: string;
  finalFlow: string;
  megaflow: string;
  datapathActions: string;
  readonly blocks: Block[];
}

function placesOf(bridges: readonly OvsBridge[]): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  for (const bridge of bridges) {
    for (const port of bridge.ports) {
      for (const entry of port.interfaces) {
        places.set(entry.name, {
          bridge: bridge.name,
          port: port.name,
          kind: entry.kind,
          peer: entry.kind === 'patch' ? entry.peer : null,
        });
      }
    }
  }
  return places;
}

function isTunnel(place: Place): boolean {
  return ovsTunnelKinds.some((kind) => kind === place.kind);
}

const unquote = (name: string): string => name.replace(/^"(.*)"$/, '$1');

/**
 * `bridges`: those of the switch, by which ports are told apart. Where a packet is flooded, Open vSwitch names no ports; they
 * are those of the bridge that the datapath sends it to, and those by which it came to other bridges. Undefined where the
 * text is no trace.
 */
export function parseTrace(text: string, bridges: readonly OvsBridge[]): OpenFlowTrace | undefined {
  const passes = readPasses(text);
  const [first] = passes;
  if (first === undefined || first.megaflow === '') return undefined;
  const places = placesOf(bridges);
  const steps: Block['step'][] = [];
  const outputs: OpenFlowTrace['result']['outputs'] = [];
  for (const pass of passes) {
    const begin = steps.length;
    for (const [at, { step }] of pass.blocks.entries()) {
      if (at === 0) step.inPort = entryPort(pass.flow, step.bridge, places);
      else findOrigin(steps, begin, step, places);
      steps.push(step);
    }
    for (const name of outputsOf(pass.datapathActions)) {
      const place = places.get(name);
      const step = place && steps.slice(begin).findLast(({ bridge }) => bridge === place.bridge);
      if (place === undefined || step === undefined) continue;
      add(step.outPorts, place.port);
      if (!outputs.some((one) => one.bridge === place.bridge && one.port === place.port)) {
        outputs.push({
          bridge: place.bridge,
          port: place.port,
          ...(name === place.port ? {} : { member: name }),
        });
      }
    }
    for (const step of steps.slice(begin)) {
      for (const port of tunnelsOf(step, places)) {
        add(step.outPorts, port);
        outputs.push({ bridge: step.bridge, port });
      }
    }
  }
  const changed = passes.map(({ finalFlow }) => finalFlow).filter((flow) => flow !== 'unchanged');
  return {
    flow: first.flow,
    steps,
    result: {
      finalFlow: changed.at(-1) ?? null,
      megaflow: first.megaflow,
      datapathActions: passes.map(({ datapathActions }) => datapathActions).join('; '),
      outputs,
    },
  };
}

function add(list: string[], entry: string): void {
  if (!list.includes(entry)) list.push(entry);
}

function readPasses(text: string): readonly Pass[] {
  const passes: Pass[] = [];
  let blocks: Block[] = [];
  for (const line of text.split('\n')) {
    const said = /^(Flow|Final flow|Megaflow|Datapath actions): (.*)$/.exec(line);
    const pass = passes.at(-1);
    if (said !== null) {
      const value = said[2] ?? '';
      if (said[1] === 'Flow') {
        blocks = [];
        passes.push({
          flow: value,
          finalFlow: 'unchanged',
          megaflow: '',
          datapathActions: '',
          blocks,
        });
      } else if (pass !== undefined) {
        if (said[1] === 'Final flow') pass.finalFlow = value;
        else if (said[1] === 'Megaflow') pass.megaflow = value;
        else pass.datapathActions = value;
      }
      continue;
    }
    const indent = line.search(/\S/);
    if (indent < 0 || pass === undefined || pass.megaflow !== '') continue;
    if (/^\s*-+$/.test(line)) continue;
    const heading = /^\s*bridge\("(.*)"\)$/.exec(line)?.[1];
    // What is done stands further right than its bridge; a bridge and a table may stand where the one before them does.
    const isAction = heading === undefined && !/^\s*\d+\. /.test(line);
    for (const block of blocks) {
      if (block.indent > indent || (isAction && block.indent === indent)) block.isOver = true;
    }
    if (heading !== undefined) {
      const step = { bridge: heading, inPort: null, from: null, tables: [], outPorts: [] };
      blocks.push({ indent, isOver: false, open: [], step });
      continue;
    }
    readLine(blocks, indent, line.trim());
  }
  return passes;
}

/**
 * A line is of the innermost bridge and table that it stands in. What is nested is over once a line stands further left; what
 * follows at the same place takes the place of what was there.
 */
function readLine(blocks: readonly Block[], indent: number, line: string): void {
  const block = blocks.findLast((one) => !one.isOver);
  if (block === undefined) return;
  const table = /^(\d+)\. (.*)$/.exec(line);
  while ((block.open.at(-1)?.indent ?? -1) >= indent) block.open.pop();
  if (table !== null) {
    const words = table[2] ?? '';
    const flow = /^(?:(.*), )?priority (\d+)(?:, cookie \S+)?$/.exec(words);
    const entry: TraceTable = {
      table: Number(table[1]),
      match: flow === null ? null : (flow[1] ?? ''),
      priority: flow === null ? null : Number(flow[2]),
      actions: [],
    };
    block.step.tables.push(entry);
    block.open.push({ indent, entry });
    return;
  }
  // Before the first table it says how a packet goes on that went round.
  block.open.at(-1)?.entry.actions.push(line.replace(/^>>+ /, '-> '));
}

function entryPort(
  flow: string,
  bridge: string,
  places: ReadonlyMap<string, Place>,
): string | null {
  const name = unquote(/(?:^|,)in_port=("[^"]*"|[^,]*)/.exec(flow)?.[1] ?? '');
  if (name === 'LOCAL') return bridge;
  return places.get(name)?.port ?? null;
}

/** By which patch port of which earlier step the packet came: the latest that leads here, one that is spoken of first. */
function findOrigin(
  steps: readonly Block['step'][],
  begin: number,
  step: Block['step'],
  places: ReadonlyMap<string, Place>,
): void {
  const ways: { readonly from: number; readonly name: string; readonly peer: string }[] = [];
  for (let from = steps.length - 1; from >= begin; from -= 1) {
    for (const [name, place] of places) {
      if (place.peer === null || place.bridge !== steps[from]?.bridge) continue;
      if (places.get(place.peer)?.bridge === step.bridge)
        ways.push({ from, name, peer: place.peer });
    }
  }
  const isFree = ({ name, from }: (typeof ways)[number]): boolean =>
    steps[from]?.outPorts.includes(name) !== true;
  const isSpokenOf = ({ name, from }: (typeof ways)[number]): boolean =>
    steps[from]?.tables.some(({ actions }) => actions.some((line) => portIn(line) === name)) ===
    true;
  const way = ways.find((one) => isFree(one) && isSpokenOf(one)) ?? ways.find(isFree) ?? ways[0];
  if (way === undefined) return;
  step.from = way.from;
  step.inPort = places.get(way.peer)?.port ?? way.peer;
  const origin = steps[way.from];
  if (origin !== undefined) add(origin.outPorts, places.get(way.name)?.port ?? way.name);
}

/** The port that an action or a remark sends to. */
function portIn(line: string): string | undefined {
  const found =
    /^output:("[^"]*"|[^,\s]+)/.exec(line)?.[1] ??
    /^-> forwarding to learned port ("[^"]*"|\S+)/.exec(line)?.[1];
  return found === undefined ? undefined : unquote(found);
}

/** Tunnel ports that a packet leaves by: the datapath calls them by other names. */
function tunnelsOf(step: Block['step'], places: ReadonlyMap<string, Place>): readonly string[] {
  const lines = step.tables.flatMap(({ actions }) => actions);
  if (!lines.some((line) => /^-> (?:output to|tunneling to) /.test(line))) return [];
  if (lines.some((line) => line.startsWith('-> native tunnel routing failed'))) return [];
  const own = [...places].filter(([, place]) => place.bridge === step.bridge && isTunnel(place));
  const named = own.filter(([name]) => lines.some((line) => portIn(line) === name));
  return (named.length > 0 ? named : own).map(([, place]) => place.port);
}

/** Names that stand alone among the actions of a datapath, also in what is done to a copy. */
function outputsOf(actions: string): readonly string[] {
  return [...actions.matchAll(/(?:^|[,(])("[^"]*"|[^,()\s]+)(?=$|[,)])/g)].map(([, name = '']) =>
    unquote(name),
  );
}

/** Whether it ended at a group that chooses by the hash of the datapath, which the packet does not have yet. */
export function waitsForHash({ steps, result }: OpenFlowTrace): boolean {
  const asks = /\bhash\([^)]*\)+,recirc\(/.test(result.datapathActions);
  const undecided = steps.some(({ tables }) =>
    tables.some(({ actions }) => actions.includes('-> no live bucket')),
  );
  return asks && undecided;
}
