/** capture: packets of nodes as they pass, a line each, or as a file that other programs read. */
import {
  type CapturedInterface,
  type CapturePlace,
  type CaptureProgress,
  type CaptureRead,
  type CaptureStart,
  fail,
  type Failure,
  type RealmName,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import type { CapturedPacket } from '../../agent/dissect/capture/captured-packet.ts';
import { CaptureReader } from '../../agent/dissect/capture/capture-reader.ts';
import { dissect } from '../../agent/dissect/dissect.ts';
import { packetJson } from '../../agent/dissect/packet-json.ts';
import { packetLine } from '../../agent/dissect/packet-text.ts';
import { CaptureDraft } from '../library/capture-draft.ts';
import { storageFailure } from '../library/storage-failure.ts';
import type { AgentConnection } from '../workbench/realm-door.ts';
import { type Context, labOf, parseRealm } from './context.ts';
import { LineOutput } from './line-output.ts';
import { type ExitCode, exitCodeOf, printable, printFailure, printProgress } from './output.ts';
import { flowSink, titleOfInterface } from './flow-sink.ts';
import { agentOf } from './process-verbs.ts';

export interface CaptureOptions {
  readonly filter?: string;
  readonly write?: string;
  readonly count?: number;
  readonly snapLength: number;
  readonly realm?: string;
  readonly json?: boolean;
  /** Who talked to whom instead of packets; with `csv` as comma-separated values. */
  readonly flows?: boolean;
  readonly csv?: boolean;
}

interface Target {
  readonly agent: AgentConnection;
  readonly places: readonly CapturePlace[];
}

/** Milliseconds that the agent waits for packets before it answers that there are none. */
const waitTime = 500;

export interface Finished {
  readonly agent: AgentConnection;
  readonly capture: string;
  readonly interfaces: ReadonlyMap<number, CapturedInterface>;
}

/** Takes what comes; fails where it can take no more. */
export interface Sink {
  take(piece: CaptureRead): Promise<Result<void>>;
  /** All of it was taken; the agent has the capture still. */
  finish(done: Finished): Promise<Result<void>>;
  /** Nothing was captured. */
  drop(): Promise<void>;
}

export async function capture(
  context: Context,
  words: readonly string[],
  options: CaptureOptions,
): Promise<ExitCode> {
  const json = options.json === true;
  const target = await targetOf(context, words, options.realm);
  if (!target.ok) return printFailure(target.failure, json);
  const sink = await sinkOf(options);
  if (!sink.ok) return printFailure(sink.failure, json);
  const { agent, places } = target.value;
  const run = new CaptureRun(agent, sink.value, options.count ?? Infinity);
  const stop = (): void => {
    run.stop();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return run.run(
    { places: [...places], filter: options.filter ?? null, snapLength: options.snapLength },
    json,
  );
}

/** Without `--realm` a lab and its nodes, all of them without one; with it namespaces and interfaces by their names. */
async function targetOf(
  context: Context,
  words: readonly string[],
  realm: string | undefined,
): Promise<Result<Target>> {
  if (realm === undefined) {
    const [word, ...nodes] = words;
    if (word === undefined) return fail(noPlace());
    const lab = await labOf(context, word);
    if (!lab.ok) return lab;
    const agent = await agentOf(context, lab.value);
    if (!agent.ok) return agent;
    const places = nodes.map((each): CapturePlace => {
      const [node = '', device] = each.split(':');
      return { kind: 'node', lab: lab.value, node, device: device ?? null };
    });
    if (places.length > 0) return succeed({ agent: agent.value, places });
    const whole = await namespacesOf(agent.value, lab.value);
    return whole.ok ? succeed({ agent: agent.value, places: whole.value }) : whole;
  }
  const parsed = parseRealm(realm, null);
  if (!parsed.ok) return parsed;
  if (parsed.value === null || words.length === 0) return fail(noPlace());
  return namedPlaces(context, parsed.value, words);
}

async function namespacesOf(
  agent: AgentConnection,
  lab: string,
): Promise<Result<readonly CapturePlace[]>> {
  const inventory = await agent.call('inventory.snapshot', {});
  if (!inventory.ok) return inventory;
  const { namespaces, links } = inventory.value;
  const own = namespaces.filter((namespace) => namespace.lab === lab && !namespace.root);
  const elsewhere = links.filter(
    (link) => link.lab === lab && own.every(({ id }) => id !== link.namespace),
  );
  const places = [
    ...own.map(({ id }): CapturePlace => ({ kind: 'namespace', namespace: id })),
    ...elsewhere.map(({ id }): CapturePlace => ({ kind: 'link', link: id })),
  ];
  return places.length > 0 ? succeed(places) : fail(noPlace());
}

/** `DEV` or `:DEV` of the realm's own namespace, `NAMESPACE:` with all of it, `NAMESPACE:DEV`. */
async function namedPlaces(
  context: Context,
  realm: RealmName,
  words: readonly string[],
): Promise<Result<Target>> {
  const agent = await context.workbench.connection(realm);
  if (!agent.ok) return agent;
  const inventory = await agent.value.call('inventory.snapshot', {});
  if (!inventory.ok) return inventory;
  const places: CapturePlace[] = [];
  for (const word of words) {
    const [name = '', device = ''] = word.includes(':') ? word.split(':') : ['', word];
    const namespace = inventory.value.namespaces.find(({ names, root }) =>
      name === '' ? root : names.includes(name),
    );
    if (namespace === undefined) return fail(unknownWord(word, `no namespace ${name}`));
    if (device === '') {
      places.push({ kind: 'namespace', namespace: namespace.id });
      continue;
    }
    const link = inventory.value.links.find(
      (one) => one.namespace === namespace.id && one.name === device,
    );
    if (link === undefined) return fail(unknownWord(word, `no interface ${device} there`));
    places.push({ kind: 'link', link: link.id });
  }
  return succeed({ agent: agent.value, places });
}

async function sinkOf({ write, json, flows, csv }: CaptureOptions): Promise<Result<Sink>> {
  if (flows === true) {
    return succeed(flowSink(csv === true ? 'csv' : json === true ? 'json' : 'table'));
  }
  if (write === undefined) return succeed(new PacketLines(json === true));
  if (write === '-') return succeed(standardOutput);
  const draft = await CaptureDraft.open(write);
  if (!draft.ok) return draft;
  return succeed({
    take: (piece) => draft.value.add(Buffer.from(piece.data, 'base64'), piece.packets),
    finish: () => draft.value.finish(),
    drop: () => draft.value.drop(),
  });
}

const standardOutput: Sink = {
  take: ({ data }) =>
    new Promise((resolve) => {
      process.stdout.write(Buffer.from(data, 'base64'), (error) => {
        const isWritten = error === null || error === undefined;
        resolve(isWritten ? succeed(undefined) : storageFailure('standard output', error));
      });
    }),
  finish: () => Promise.resolve(succeed(undefined)),
  drop: () => Promise.resolve(),
};

/** A line a packet, as `dissect` has them. */
class PacketLines implements Sink {
  private readonly json: boolean;
  private readonly reader = new CaptureReader();
  private readonly output = new LineOutput();
  private since: CapturedPacket['time'] = null;

  constructor(json: boolean) {
    this.json = json;
  }

  async take({ data }: CaptureRead): Promise<Result<void>> {
    for (const item of this.reader.push(Buffer.from(data, 'base64'))) {
      // The agent writes none.
      if (item.kind === 'fault') throw new Error(`a damaged capture: ${item.fault.kind}`);
      const { packet } = item;
      const { bytes, wireLength, time } = packet;
      const dissection = dissect(bytes, packet.interface.linkType, wireLength);
      if (this.json) {
        this.output.line(JSON.stringify(packetJson(packet, dissection)));
        continue;
      }
      this.since ??= time;
      const where = packet.interface.name ?? '';
      this.output.line(
        printable(`${where.padEnd(16)} ${packetLine(packet, dissection, this.since)}`),
      );
    }
    try {
      await this.output.flush();
      return succeed(undefined);
    } catch (error) {
      return storageFailure('standard output', error);
    }
  }

  finish(): Promise<Result<void>> {
    return Promise.resolve(succeed(undefined));
  }

  drop(): Promise<void> {
    return Promise.resolve();
  }
}

class CaptureRun {
  private readonly agent: AgentConnection;
  private readonly sink: Sink;
  private readonly most: number;
  private readonly call = new AbortController();
  private readonly interfaces = new Map<number, CapturedInterface>();
  private id: string | null = null;
  private asked = false;
  /** Why it stopped, where nobody asked for that. */
  private ended: Failure | null = null;
  private packets = 0;
  private missed = 0;
  private dropped = 0;

  constructor(agent: AgentConnection, sink: Sink, most: number) {
    this.agent = agent;
    this.sink = sink;
    this.most = most;
  }

  /** Takes no more packets; those that were captured are taken still. */
  stop(): void {
    this.asked = true;
    if (this.id === null) this.call.abort();
    else void this.agent.call('capture.stop', { capture: this.id });
  }

  async run(start: CaptureStart, json: boolean): Promise<ExitCode> {
    const started = new Promise<string | null>((resolve) => {
      void this.agent
        .call('capture.start', start, {
          signal: this.call.signal,
          onProgress: (progress) => {
            this.follow(progress);
            if (progress.kind === 'started') resolve(progress.capture);
          },
        })
        .then((answer) => {
          if (!answer.ok && !this.call.signal.aborted) this.ended = answer.failure;
          resolve(null);
        });
    });
    const id = await started;
    if (id === null) {
      await this.sink.drop();
      return this.ended === null ? 0 : printFailure(this.ended, json);
    }
    const taken = await this.take(id);
    const { agent, interfaces } = this;
    const finished = taken.ok ? await this.sink.finish({ agent, capture: id, interfaces }) : taken;
    this.call.abort();
    this.summarize();
    if (!finished.ok) return printFailure(finished.failure);
    if (this.ended === null) return 0;
    printFailure(this.ended);
    return exitCodeOf(this.ended) === 3 ? 3 : 1;
  }

  private remember(interfaces: readonly CapturedInterface[]): void {
    for (const one of interfaces) this.interfaces.set(one.number, one);
  }

  private follow(progress: CaptureProgress): void {
    switch (progress.kind) {
      case 'started':
        this.id = progress.capture;
        this.remember(progress.interfaces);
        printProgress(`capturing on ${describeInterfaces(progress.interfaces)}; Ctrl-C ends it`);
        // It was asked to end before it began.
        if (this.asked) this.stop();
        return;
      case 'interfaces':
        this.remember(progress.interfaces);
        for (const one of progress.interfaces) {
          if (!one.present) printProgress(printable(`${titleOfInterface(one)} is gone`));
        }
        return;
      case 'totals':
        this.dropped = progress.totals.dropped;
        return;
      case 'stopped':
        this.ended = progress.failure;
    }
  }

  /** Until it is stopped or there are as many as are wanted. */
  private async take(capture: string): Promise<Result<void>> {
    let from = { after: -1, interfaces: 0 };
    for (;;) {
      // Packets are numbered as they come, so that the last that is wanted is known.
      const until = this.most === Infinity ? null : this.most;
      const read = await this.agent.call('capture.read', {
        capture,
        filter: null,
        ...from,
        until,
        wait: waitTime,
        totals: false,
      });
      if (!read.ok) return this.end(read.failure);
      const piece = read.value;
      const taken = await this.sink.take(piece);
      if (!taken.ok) return taken;
      this.packets += piece.packets;
      this.missed += piece.missed;
      this.dropped = piece.totals.dropped;
      from = { after: piece.after, interfaces: piece.interfaces };
      const isEnough = this.packets + this.missed >= this.most;
      if (piece.more || !(piece.stopped || isEnough)) continue;
      if (isEnough && !piece.stopped) await this.agent.call('capture.stop', { capture });
      return this.takeTotals(capture, from);
    }
  }

  private async takeTotals(
    capture: string,
    from: { readonly after: number; readonly interfaces: number },
  ): Promise<Result<void>> {
    const rest = { filter: null, until: from.after, wait: 0, totals: true };
    const read = await this.agent.call('capture.read', { capture, ...from, ...rest });
    if (!read.ok) return this.end(read.failure);
    this.dropped = read.value.totals.dropped;
    return this.sink.take(read.value);
  }

  /** The agent gives no more; what it has given is whole. */
  private end(failure: Failure): Result<void> {
    this.ended ??= failure;
    return succeed(undefined);
  }

  private summarize(): void {
    const missed =
      this.missed === 0
        ? ''
        : `, ${String(this.missed)} missed here, since they were read too slowly`;
    printProgress(
      `${String(this.packets)} packets captured, ${String(this.dropped)} dropped by the kernel${missed}`,
    );
  }
}

function describeInterfaces(interfaces: readonly CapturedInterface[]): string {
  const shown = interfaces.slice(0, 8).map(titleOfInterface).join(', ');
  const more = interfaces.length - 8;
  return printable(more > 0 ? `${shown} and ${String(more)} more` : shown);
}

function noPlace(): Failure {
  return {
    kind: 'invalid-request',
    code: 'capture-without-place',
    object: 'netloom capture',
    reason: 'It is not said where.',
    next: 'Name a lab that is up and nodes of it, or with --realm interfaces: netloom capture LAB NODE:DEV.',
  };
}

function unknownWord(word: string, why: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'unknown-interface',
    object: word,
    reason: `There is ${why}.`,
    next: 'Name what exists: netloom show tells.',
  };
}
