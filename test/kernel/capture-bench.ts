/** Captures of a realm of a test's own: its inventory, the service, and the calls as one client makes them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import type { CaptureProgress, CaptureStart, CaptureTotals } from '../../agent/api/traffic.ts';
import { fail, type Failure, type Result } from '../../agent/api/result.ts';
import type { SessionPort } from '../../agent/capture/session-thread.ts';
import { InventoryTracker } from '../../agent/inventory/tracker.ts';
import { CaptureService } from '../../agent/services/captures.ts';
import { must } from './netlink-private.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** The thread's program; `npm test` has built it. */
export function captureProgram(): string {
  const built = spawnSync(
    process.execPath,
    [path.join(root, 'main/start/build.mjs'), 'capture-worker'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  if (built.status !== 0) throw new Error(`The build failed: ${built.stderr.toString()}`);
  return path.join(root, 'dist/agent/capture-worker.js');
}

export function run(line: string): string {
  return execFileSync('ip', line.split(' '), { stdio: 'pipe', encoding: 'utf8' });
}

export function inNamespace(namespace: string, line: string): string {
  return run(`netns exec ${namespace} ${line}`);
}

/** What this process has open, by what it is. */
export function openDescriptors(): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/, 'N')];
    } catch {
      return [];
    }
  });
}

export interface Capture {
  readonly id: string;
  readonly session: SessionPort;
  readonly progress: readonly CaptureProgress[];
  readonly totals: () => CaptureTotals | undefined;
  /** Cancels the call, and gives what it answers. */
  readonly end: () => Promise<Result<unknown>>;
}

export class CaptureBench {
  readonly tracker: InventoryTracker;
  readonly captures: CaptureService;
  private readonly running = new Set<Capture>();

  private constructor(tracker: InventoryTracker, program: string) {
    this.tracker = tracker;
    this.captures = new CaptureService({
      tracker,
      interfacesOf: () => fail(noLab),
      program,
    });
  }

  static async open(program: string): Promise<CaptureBench> {
    return new CaptureBench(must(await InventoryTracker.open()), program);
  }

  idOf(namespace: string | null): string {
    return must(this.tracker.namespaceHandle(namespace)).id;
  }

  linkId(namespace: string, name: string): string {
    const links = JSON.parse(run(`-n ${namespace} -j link`)) as {
      ifindex: number;
      ifname: string;
    }[];
    const link = links.find(({ ifname }) => ifname === name);
    if (link === undefined) throw new Error(`no ${name}`);
    return `${this.idOf(namespace)}/${String(link.ifindex)}`;
  }

  /** Rejects with the failure's sentence where it does not begin. */
  async start(
    request: Pick<CaptureStart, 'places'> & Partial<CaptureStart>,
    owner = 'owner',
  ): Promise<Capture> {
    const stop = new AbortController();
    const progress: CaptureProgress[] = [];
    const started = deferred<string>();
    const answered = this.captures.start({
      filter: null,
      snapLength: 262_144,
      ...request,
      owner,
      signal: stop.signal,
      onProgress: (one) => {
        progress.push(one);
        if (one.kind === 'started') started.resolve(one.capture);
      },
    });
    answered.then(
      (result) => {
        started.reject(new Error(result.ok ? 'ended' : JSON.stringify(result.failure)));
      },
      (error: unknown) => {
        started.reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
    const id = await started.promise;
    const capture: Capture = {
      id,
      session: must(this.captures.find(id, owner)),
      progress,
      totals: () => progress.findLast((one) => one.kind === 'totals')?.totals,
      end: () => {
        this.running.delete(capture);
        stop.abort();
        return answered;
      },
    };
    this.running.add(capture);
    return capture;
  }

  async close(): Promise<void> {
    for (const capture of [...this.running]) await capture.end();
    await this.captures.close();
    this.tracker.close();
  }
}

const noLab: Failure = {
  kind: 'unknown-object',
  code: 'unknown-lab',
  object: 'lab',
  reason: 'The test has no lab.',
  next: 'Name a namespace.',
};

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((take, refuse) => {
    resolve = take;
    reject = refuse;
  });
  return { promise, resolve, reject };
}
