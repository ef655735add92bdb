/**
 * Captures of people: one session each, in a thread of its own, that lasts as long as its call. The agent's part is to say where,
 * to tell the session what becomes of that, and to let nobody ask for what another has captured.
 */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { InventoryDelta } from '../api/inventory.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import {
  type CapturedInterface,
  type CaptureProgress,
  type CaptureStart,
  maximumCaptures,
} from '../api/traffic.ts';
import type { PlaceChanges, SessionEvent } from '../capture/capture-session.ts';
import type { RingRequest } from '../capture/ring-set.ts';
import { type SessionPort, SessionThread } from '../capture/session-thread.ts';
import type { InventoryTracker } from '../inventory/tracker.ts';
import { closeNamespace, type NamespaceHandle, openNamespacePath } from '../kernel/namespaces.ts';
import { type PlaceSources, ringsOf } from './capture-places.ts';

export interface CaptureServiceOptions extends PlaceSources {
  /** The bundle of a session's thread; beside the agent's unless given. */
  readonly program?: string;
}

export interface StartRequest extends CaptureStart {
  /** Only who started a capture may ask for its packets. */
  readonly owner: string;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: CaptureProgress) => void;
}

interface RunningCapture {
  readonly owner: string;
  readonly session: SessionThread;
  /** Ids of namespaces that it has rings in. */
  readonly namespaces: ReadonlySet<string>;
}

export class CaptureService {
  private readonly options: CaptureServiceOptions;
  private readonly tracker: InventoryTracker;
  private readonly running = new Map<string, RunningCapture>();
  private readonly watch: Disposable;

  constructor(options: CaptureServiceOptions) {
    this.options = options;
    this.tracker = options.tracker;
    this.watch = options.tracker.onDelta((delta) => {
      this.follow(delta);
    });
  }

  /** Returns when the call is cancelled and nothing of the capture is left, or when it could not begin. */
  async start(request: StartRequest): Promise<Result<Record<string, never>>> {
    const { places, filter, snapLength, owner, signal, onProgress } = request;
    if (this.running.size >= maximumCaptures) return fail(tooMany());
    const rings = ringsOf(places, this.options);
    if (!rings.ok) return rings;
    const id = randomUUID();
    const broken = deferred();
    broken.promise.catch(() => undefined);
    const program = this.options.program ?? path.join(import.meta.dirname, 'capture-worker.js');
    const session = new SessionThread(
      program,
      (event) => {
        onProgress(progressOf(event));
      },
      broken.reject,
    );
    const namespaces = new Set(rings.value.map(({ namespace }) => namespace));
    this.running.set(id, { owner, session, namespaces });
    try {
      const opened = await this.open(session, rings.value, filter, snapLength);
      if (!opened.ok) return opened;
      if (!signal.aborted) {
        onProgress({ kind: 'started', capture: id, interfaces: [...opened.value] });
        await Promise.race([aborted(signal), broken.promise]);
      }
      return fail(cancelled());
    } finally {
      this.running.delete(id);
      await session.close();
    }
  }

  /** The tracker closes its descriptors when a namespace is gone, whose numbers others may get: the thread has its own. */
  private async open(
    session: SessionPort,
    rings: readonly RingRequest[],
    filter: string | null,
    snapLength: number,
  ): Promise<Result<readonly CapturedInterface[]>> {
    const handles: NamespaceHandle[] = [];
    try {
      const own: RingRequest[] = [];
      for (const ring of rings) {
        const object = ring.title === null ? 'realm' : `namespace ${ring.title}`;
        const handle = openNamespacePath(`/proc/self/fd/${String(ring.fd)}`, object);
        if (!handle.ok) return handle;
        handles.push(handle.value);
        own.push({ ...ring, fd: handle.value.fd });
      }
      return await session.open({ rings: own, filter, snapLength });
    } finally {
      for (const handle of handles) closeNamespace(handle);
    }
  }

  /** Fails where there is no such capture of this owner. */
  find(id: string, owner: string): Result<SessionPort> {
    const capture = this.running.get(id);
    if (capture?.owner === owner) return succeed(capture.session);
    return fail({
      kind: 'unknown-object',
      code: 'unknown-capture',
      object: id.slice(0, 64),
      reason: 'There is no such capture, or it has ended.',
      next: 'Start it again.',
    });
  }

  /** Gives a namespace up that is about to go: a ring would keep it, and all that is wired to it. */
  async leave(name: string): Promise<void> {
    const found = this.tracker.namespaceHandle(name);
    if (!found.ok) return;
    const { id } = found.value;
    const changes: PlaceChanges = { namespaces: [id], gone: [], names: [] };
    const those = [...this.running.values()].filter(({ namespaces }) => namespaces.has(id));
    // A thread that breaks meanwhile has no ring any more either.
    await Promise.allSettled(those.map(({ session }) => session.changePlaces(changes)));
  }

  private follow(delta: InventoryDelta): void {
    for (const { session, namespaces } of this.running.values()) {
      const changes = changesIn(delta, namespaces);
      if (changes !== null) session.changePlaces(changes).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.watch[Symbol.dispose]();
    await Promise.all([...this.running.values()].map(({ session }) => session.close()));
  }
}

/** Pure. Null where nothing of it is in these namespaces. */
export function changesIn(
  delta: InventoryDelta,
  namespaces: ReadonlySet<string>,
): PlaceChanges | null {
  const gone = delta.removedLinks.flatMap((id) => {
    const [namespace = '', index] = id.split('/');
    return namespaces.has(namespace) ? [{ namespace, index: Number(index) }] : [];
  });
  const names = delta.links.flatMap(({ namespace, index, name }) =>
    namespaces.has(namespace) ? [{ namespace, index, name }] : [],
  );
  const removed = delta.removedNamespaces.filter((id) => namespaces.has(id));
  return gone.length + names.length + removed.length === 0
    ? null
    : { namespaces: removed, gone, names };
}

function progressOf(event: SessionEvent): CaptureProgress {
  switch (event.kind) {
    case 'interfaces':
      return { kind: 'interfaces', interfaces: [...event.interfaces] };
    case 'totals':
      return event;
    case 'stopped':
      return { ...event, failure: event.end === 'asked' ? null : placesGone() };
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve();
      },
      { once: true },
    );
  });
}

function deferred(): { readonly promise: Promise<never>; readonly reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<never>((_resolve, refuse) => {
    reject = refuse;
  });
  return { promise, reject };
}

function tooMany(): Failure {
  return {
    kind: 'refused',
    code: 'capture-limit',
    object: 'capture',
    reason: `${String(maximumCaptures)} captures run already, which is the most at a time.`,
    next: 'End one of them first.',
    values: { most: maximumCaptures },
  };
}

function cancelled(): Failure {
  return {
    kind: 'cancelled',
    code: 'capture-cancelled',
    object: 'capture',
    reason: 'The capture was ended.',
    next: 'Start it again when it is wanted.',
  };
}

function placesGone(): Failure {
  return {
    kind: 'unknown-object',
    code: 'capture-places-gone',
    object: 'capture',
    reason: 'All interfaces that were captured on are gone.',
    next: 'Look at what was captured, or start again where there is something now.',
  };
}
