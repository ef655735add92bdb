/** watch: what moves on interfaces, as it happens. */
import {
  type Inventory,
  type LinkCounterName,
  linkCounterNames,
  type RatesSample,
  ratesCsvHead,
  ratesCsvLine,
  type Result,
  succeed,
  type WatchedLink,
} from '../../agent/api/index.ts';
import { interfaceTitle } from '../../agent/dissect/capture/capture-writer.ts';
import { realmAbsent } from '../workbench/failures.ts';
import type { AgentConnection } from '../workbench/realm-door.ts';
import { type Context, labOf, parseRealm } from './context.ts';
import { type ExitCode, formatTable, printFailure, printResult } from './output.ts';
import { agentOf } from './process-verbs.ts';

export interface WatchOptions {
  readonly realm?: string;
  /** Milliseconds between two readings. */
  readonly every: number;
  /** Readings; on and on unless given. */
  readonly count?: number;
  readonly json?: boolean;
  /** Comma-separated values, which interfaces have whose rates are known. */
  readonly csv?: boolean;
}

/** Null for what is not known. */
type Rates = Readonly<Record<LinkCounterName, number>> | null;

interface Row {
  readonly link: WatchedLink;
  rates: Rates;
}

/** Until Ctrl-C. Of a lab, its namespaces and what is its own elsewhere; with `--realm` alone all that is there. */
export async function watch(
  context: Context,
  word: string | undefined,
  options: WatchOptions,
): Promise<ExitCode> {
  const json = options.json === true;
  const lab = word === undefined ? succeed(null) : await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure, json);
  const agent = await agentFor(context, lab.value, options.realm);
  if (!agent.ok) return printFailure(agent.failure, json);
  const own = new OwnLinks(agent.value, lab.value);
  const begun = await own.look();
  if (!begun.ok) return printFailure(begun.failure, json);
  const end = new AbortController();
  const stop = (): void => {
    end.abort();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const rows = new Map<string, Row>();
  let shown = 0;
  if (options.csv === true) process.stdout.write(ratesCsvHead);
  const take = (sample: RatesSample): void => {
    if (end.signal.aborted) return;
    if (sample.links.some(({ link }) => !own.knows(link))) void own.look();
    follow(rows, sample);
    // The first one only begins to count.
    if (sample.since === 0) return;
    const those = [...rows.values()].filter(({ link }) => own.has(link.link));
    if (options.csv === true) process.stdout.write(csvOf(those));
    else if (json) process.stdout.write(`${JSON.stringify(jsonOf(sample, those))}\n`);
    else printResult(tableOf(those));
    shown += 1;
    if (shown === options.count) stop();
  };
  const watched = await agent.value.call(
    'rates.watch',
    { interval: options.every, namespaces: null, counters: false },
    { signal: end.signal, onProgress: take },
  );
  return watched.ok || end.signal.aborted ? 0 : printFailure(watched.failure, json);
}

async function agentFor(
  context: Context,
  lab: string | null,
  realm: string | undefined,
): Promise<Result<AgentConnection>> {
  if (lab !== null && realm === undefined) return agentOf(context, lab);
  const parsed = parseRealm(realm, lab);
  if (!parsed.ok) return parsed;
  const { value } = parsed;
  return value === null
    ? { ok: false, failure: realmAbsent(realm ?? '') }
    : context.workbench.connection(value);
}

/** Which interfaces are a lab's; all without one. */
class OwnLinks {
  private readonly agent: AgentConnection;
  private readonly lab: string | null;
  private known: ReadonlySet<string> = new Set();
  private own: ReadonlySet<string> = new Set();

  constructor(agent: AgentConnection, lab: string | null) {
    this.agent = agent;
    this.lab = lab;
  }

  async look(): Promise<Result<void>> {
    if (this.lab === null) return succeed(undefined);
    const inventory = await this.agent.call('inventory.snapshot', {});
    if (!inventory.ok) return inventory;
    this.known = new Set(inventory.value.links.map(({ id }) => id));
    this.own = linksOf(inventory.value, this.lab);
    return succeed(undefined);
  }

  knows(link: string): boolean {
    return this.lab === null || this.known.has(link);
  }

  has(link: string): boolean {
    return this.lab === null || this.own.has(link);
  }
}

function linksOf({ namespaces, links }: Inventory, lab: string): ReadonlySet<string> {
  const spaces = new Set(namespaces.filter((one) => one.lab === lab).map(({ id }) => id));
  const own = links.filter((link) => link.lab === lab || spaces.has(link.namespace));
  return new Set(own.map(({ id }) => id));
}

/** Takes a sample in: rates stay what they are until another is told. */
function follow(rows: Map<string, Row>, { links, rates, gone }: RatesSample): void {
  for (const link of gone) rows.delete(link);
  for (const link of links)
    rows.set(link.link, { link, rates: rows.get(link.link)?.rates ?? null });
  for (const { link, rates: row } of rates) {
    const known = rows.get(link);
    if (known !== undefined) known.rates = row === null ? null : named(row);
  }
}

function named(row: readonly number[]): Rates {
  const rates = Object.fromEntries(linkCounterNames.map((name, place) => [name, row[place] ?? 0]));
  return rates as Record<LinkCounterName, number>;
}

function jsonOf({ time, since }: RatesSample, rows: readonly Row[]): unknown {
  return {
    time,
    since,
    interfaces: rows.map(({ link: { link, title, name }, rates }) => ({
      link,
      namespace: title,
      name,
      rates,
    })),
  };
}

function csvOf(rows: readonly Row[]): string {
  const time = Date.now();
  return rows
    .flatMap(({ link: { title, name }, rates }) =>
      rates === null ? [] : [ratesCsvLine(time, { namespace: title, name, rates })],
    )
    .join('');
}

function tableOf(rows: readonly Row[]): string {
  const bytes = ({ rates }: Row): number =>
    rates === null ? -1 : rates.receivedBytes + rates.transmittedBytes;
  const titles = new Map(
    rows.map((row) => [row, interfaceTitle({ namespace: row.link.title, name: row.link.name })]),
  );
  const titleOf = (row: Row): string => titles.get(row) ?? '';
  const sorted = [...rows].sort(
    (one, other) => bytes(other) - bytes(one) || titleOf(one).localeCompare(titleOf(other)),
  );
  const cells = sorted.map((row) => {
    const { rates } = row;
    if (rates === null) return [titleOf(row), '–', '–', '–', '–', '–', '–'];
    return [
      titleOf(row),
      bitRate(rates.receivedBytes),
      count(rates.receivedPackets),
      bitRate(rates.transmittedBytes),
      count(rates.transmittedPackets),
      count(rates.receiveDropped + rates.transmitDropped),
      count(rates.receiveErrors + rates.transmitErrors),
    ];
  });
  const head = ['INTERFACE', 'IN bit/s', 'IN packets/s', 'OUT bit/s', 'OUT packets/s'];
  const table = formatTable([...head, 'DROPS/s', 'ERRORS/s'], cells);
  // On a terminal one takes the other's place.
  return process.stdout.isTTY ? `\u001b[H\u001b[J${table}` : `${table}\n`;
}

/** Three digits, of bits. */
function bitRate(bytes: number): string {
  let [value, step] = [bytes * 8, 0];
  const units = ['', ' k', ' M', ' G', ' T'];
  while (value >= 999.5 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${Number(value.toPrecision(3)).toString()}${units[step] ?? ''}`;
}

function count(rate: number): string {
  return rate === 0 || rate >= 10 ? rate.toFixed(0) : rate.toFixed(1);
}
