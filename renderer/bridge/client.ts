import type { z } from 'zod';
import {
  type CallArguments,
  type CallProgress,
  type CallResult,
  type Failure,
  fail,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import {
  BridgeMessageSchema,
  type BridgeCallName,
  bridgeCalls,
  type BridgeCalls,
  type BridgeRequest,
  type BridgeStreamName,
  type BridgeStreams,
  bridgeStreams,
} from '../../main/bridge/contract.ts';
import type { Carrier, CarrierState } from './carrier.ts';

export interface CallOptions<K extends BridgeCallName> {
  readonly onProgress?: (progress: CallProgress<BridgeCalls, K>) => void;
  /** Aborting asks main to cancel; the call still answers once. */
  readonly signal?: AbortSignal;
}

export type StreamValue<S extends BridgeStreamName> = z.infer<BridgeStreams[S]>;

/** The typed door to main. A call never rejects: what can go wrong comes back as a failure. */
export interface Bridge {
  call<K extends BridgeCallName>(
    name: K,
    args: CallArguments<BridgeCalls, K>,
    options?: CallOptions<K>,
  ): Promise<Result<CallResult<BridgeCalls, K>>>;
  /** Returns the function that ends the subscription. */
  subscribe<S extends BridgeStreamName>(
    stream: S,
    handler: (value: StreamValue<S>) => void,
  ): () => void;
  readonly state: CarrierState;
  /** Called at every change of the carrier's state. */
  watch(handler: (state: CarrierState) => void): () => void;
}

interface PendingCall {
  readonly request: BridgeRequest;
  sent: boolean;
  progress(value: unknown): void;
  settle(result: Result<unknown>): void;
}

/** Main enforces a call's time limit and says why; this side only catches a main that does not answer at all. */
const grace = 3_000;

export function createBridge(carrier: Carrier): Bridge {
  let state: CarrierState = 'connecting';
  let nextId = 1;
  const pending = new Map<number, PendingCall>();
  const streams = new Map<string, Set<(value: unknown) => void>>();
  const watchers = new Set<(state: CarrierState) => void>();

  const send = (request: BridgeRequest) => carrier.send(JSON.stringify(request));
  const settle = (id: number, result: Result<unknown>) => {
    const call = pending.get(id);
    pending.delete(id);
    call?.settle(result);
  };

  const receive = (text: string) => {
    const parsed = BridgeMessageSchema.safeParse(readJson(text));
    if (!parsed.success) {
      console.error('The bridge carried a message that is none', parsed.error.message);
      return;
    }
    const message = parsed.data;
    switch (message.kind) {
      case 'progress':
        pending.get(message.id)?.progress(message.value);
        return;
      case 'result':
        settle(message.id, succeed(message.value));
        return;
      case 'failure':
        settle(message.id, fail(message.failure));
        return;
      case 'stream':
        for (const handler of streams.get(message.stream) ?? []) handler(message.value);
    }
  };

  const change = (next: CarrierState) => {
    state = next;
    if (next === 'lost') {
      // What was sent may or may not have been done; what was not sent waits for the next connection.
      for (const [id, call] of [...pending]) if (call.sent) settle(id, fail(connectionLost));
    }
    if (next === 'open') {
      for (const call of pending.values()) {
        if (!call.sent) send(call.request);
        call.sent = true;
      }
    }
    for (const watcher of watchers) watcher(next);
  };

  carrier.open({ message: receive, state: change });

  return {
    call(name, args, options = {}) {
      const id = nextId++;
      const description = bridgeCalls[name];
      const request: BridgeRequest = { kind: 'call', id, call: name, args };
      return new Promise((resolve) => {
        const timer =
          description.timeout === null
            ? undefined
            : setTimeout(() => settle(id, fail(noAnswer(name))), description.timeout + grace);
        const cancel = () => {
          const call = pending.get(id);
          if (call === undefined) return;
          if (call.sent && state === 'open') send({ kind: 'cancel', id });
          else settle(id, fail(cancelled(name)));
        };
        const call: PendingCall = {
          request,
          sent: state === 'open',
          progress(value) {
            const parsed = description.progress.safeParse(value);
            // The description is chosen by `name`, which the checker cannot carry through the union.
            if (parsed.success) options.onProgress?.(parsed.data as never);
            else console.error(`Progress of ${name} does not match`, parsed.error.message);
          },
          settle(result) {
            clearTimeout(timer);
            options.signal?.removeEventListener('abort', cancel);
            if (!result.ok) return resolve(result);
            const parsed = description.result.safeParse(result.value);
            // As above: the schema belongs to `name`.
            if (parsed.success) resolve(succeed(parsed.data as never));
            else resolve(fail(malformed(name, parsed.error.message)));
          },
        };
        pending.set(id, call);
        options.signal?.addEventListener('abort', cancel, { once: true });
        if (call.sent) send(request);
        if (options.signal?.aborted === true) cancel();
      });
    },
    subscribe(stream, handler) {
      const handlers = streams.get(stream) ?? new Set();
      streams.set(stream, handlers);
      const receiveValue = (value: unknown) => {
        const parsed = bridgeStreams[stream].safeParse(value);
        // The schema belongs to `stream`.
        if (parsed.success) handler(parsed.data as StreamValue<typeof stream>);
        else
          console.error(`A message of the stream ${stream} does not match`, parsed.error.message);
      };
      handlers.add(receiveValue);
      return () => handlers.delete(receiveValue);
    },
    get state() {
      return state;
    },
    watch(handler) {
      watchers.add(handler);
      return () => watchers.delete(handler);
    },
  };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const connectionLost: Failure = {
  kind: 'unreachable',
  code: 'bridge-lost',
  object: 'Netloom',
  reason: 'The connection to Netloom broke before the answer came.',
  next: 'The window connects again by itself; then look at the state and try again.',
};

const noAnswer = (call: string): Failure => ({
  kind: 'timeout',
  code: 'bridge-timeout',
  object: call,
  reason: 'Netloom did not answer in time.',
  next: 'Check that the program still runs and try again.',
});

const cancelled = (call: string): Failure => ({
  kind: 'cancelled',
  code: 'cancelled',
  object: call,
  reason: 'The request was cancelled.',
  next: 'Nothing needs to be done.',
});

const malformed = (call: string, detail: string): Failure => ({
  kind: 'bug',
  code: 'malformed-answer',
  object: call,
  reason: `The answer does not match its description: ${detail}`.slice(0, 2000),
  next: 'Reload the window; if it happens again, report it.',
});
