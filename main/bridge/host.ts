/**
 * Main's end of the bridge: takes requests of any number of windows, whatever carries them, parses them strictly and
 * gives them to the handlers; sends every window the streams.
 */
import type { z } from 'zod';
import {
  type CallArguments,
  type CallProgress,
  type CallResult,
  type Failure,
  fail,
  maximumMessageSize,
  type Result,
} from '../../agent/api/index.ts';
import {
  type BridgeCallName,
  bridgeCalls,
  type BridgeCalls,
  type BridgeMessage,
  BridgeRequestSchema,
  type BridgeStreamName,
  type BridgeStreams,
} from './contract.ts';

export interface BridgeCallContext<K extends BridgeCallName> {
  /** Aborted when the window cancels the call, when its time is over, or when the window of its call has closed. */
  readonly signal: AbortSignal;
  readonly progress: (value: CallProgress<BridgeCalls, K>) => void;
}

/** One handler a call; the type has a member for each, so that none can be missing. */
export type BridgeHandlers = {
  readonly [K in BridgeCallName]: (
    args: CallArguments<BridgeCalls, K>,
    context: BridgeCallContext<K>,
  ) => Promise<Result<CallResult<BridgeCalls, K>>>;
};

export type BridgeStreamMessage = {
  [S in BridgeStreamName]: {
    readonly stream: S;
    readonly value: z.infer<BridgeStreams[S]>;
  };
}[BridgeStreamName];

export interface BridgeWindow {
  /** One JSON text that the window sent. */
  receive(text: string): void;
  /** The window is gone. */
  close(): void;
}

/** Connects a window: `send` gets one JSON text a message, in order. */
export type BridgeCarrier = (send: (text: string) => void) => BridgeWindow;

/** A window that asks for more at once than this is broken. */
const maximumCalls = 256;

/** Calls that mean nothing without their window. All others are finished: a closed tab takes no apply back. */
const callsOfTheirWindow: ReadonlySet<BridgeCallName> = new Set([
  'process.run',
  'lab.check',
  'cpu.watch',
  'rates.watch',
  'capture.start',
]);

function isCallName(name: string): name is BridgeCallName {
  return Object.hasOwn(bridgeCalls, name);
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}

function bug(call: string, error: unknown): Failure {
  return {
    kind: 'bug',
    code: 'unexpected-error',
    object: call,
    reason: (error instanceof Error ? error.message : String(error)).slice(0, 2000),
    next: 'Report it, with the log.',
  };
}

function timeoutFailure(call: string, milliseconds: number): Failure {
  return {
    kind: 'timeout',
    code: 'call-timeout',
    object: call,
    reason: `There was no answer within ${String(milliseconds / 1000)} s.`,
    next: 'Try again.',
    values: { seconds: milliseconds / 1000 },
  };
}

export class BridgeHost {
  readonly #handlers: BridgeHandlers;
  readonly #windows = new Set<(text: string) => void>();
  readonly #log: (line: string) => void;

  constructor(handlers: BridgeHandlers, log: (line: string) => void = () => undefined) {
    this.#handlers = handlers;
    this.#log = log;
  }

  /** Number of windows that are connected. */
  get windowCount(): number {
    return this.#windows.size;
  }

  /** Sends a stream's value to every window. */
  publish(message: BridgeStreamMessage): void {
    if (this.#windows.size === 0) return;
    const text = JSON.stringify({ kind: 'stream', ...message } satisfies BridgeMessage);
    for (const send of this.#windows) send(text);
  }

  readonly attach: BridgeCarrier = (send) => {
    const calls = new Map<
      number,
      { readonly name: BridgeCallName; readonly abort: AbortController }
    >();
    let open = true;
    const reply = (message: BridgeMessage): void => {
      if (open) send(JSON.stringify(message));
    };
    this.#windows.add(send);

    const refuse = (id: number, code: string, object: string, reason: string): void => {
      reply({
        kind: 'failure',
        id,
        failure: {
          kind: 'invalid-request',
          code,
          object: object.slice(0, 512),
          reason: reason.slice(0, 2000),
          next: 'Reload the window; if it happens again, report it.',
        },
      });
    };

    return {
      receive: (text) => {
        if (!open) return;
        const request =
          text.length > maximumMessageSize
            ? null
            : (BridgeRequestSchema.safeParse(parseJson(text)).data ?? null);
        if (request === null) {
          this.#log('bridge: a message that is no request was dropped');
          return;
        }
        if (request.kind === 'cancel') {
          calls.get(request.id)?.abort.abort();
          return;
        }
        const { id, call } = request;
        if (!isCallName(call)) {
          refuse(id, 'unknown-call', call, 'There is no such call.');
          return;
        }
        if (calls.has(id)) {
          refuse(id, 'call-id-in-use', call, 'A call with this id is under way.');
          return;
        }
        if (calls.size >= maximumCalls) {
          refuse(id, 'too-many-calls', call, 'Too many calls are under way.');
          return;
        }
        const args = bridgeCalls[call].args.safeParse(request.args);
        if (!args.success) {
          refuse(id, 'invalid-arguments', call, describeIssues(args.error));
          return;
        }
        const abort = new AbortController();
        calls.set(id, { name: call, abort });
        void this.#answer(call, args.data, abort, (value) => {
          if (calls.has(id)) reply({ kind: 'progress', id, value });
        }).then((result) => {
          calls.delete(id);
          reply(
            result.ok
              ? { kind: 'result', id, value: result.value }
              : { kind: 'failure', id, failure: result.failure },
          );
        });
      },
      close: () => {
        open = false;
        this.#windows.delete(send);
        for (const { name, abort } of calls.values()) {
          if (callsOfTheirWindow.has(name)) abort.abort();
        }
      },
    };
  };

  async #answer(
    name: BridgeCallName,
    args: unknown,
    abort: AbortController,
    progress: (value: unknown) => void,
  ): Promise<Result<unknown>> {
    const { timeout } = bridgeCalls[name];
    // The handler belongs to `name` and the arguments have just been parsed with its schema, which the checker cannot
    // carry through the union.
    const handler = this.#handlers[name] as (
      args: unknown,
      context: { readonly signal: AbortSignal; readonly progress: (value: unknown) => void },
    ) => Promise<Result<unknown>>;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Result<unknown>>((resolve) => {
      if (timeout === null) return;
      timer = setTimeout(() => {
        abort.abort();
        resolve(fail(timeoutFailure(name, timeout)));
      }, timeout);
    });
    try {
      return await Promise.race([handler(args, { signal: abort.signal, progress }), late]);
    } catch (error) {
      this.#log(`bridge: ${name}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`);
      return fail(bug(name, error));
    } finally {
      clearTimeout(timer);
    }
  }
}

function describeIssues(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'arguments'}: ${issue.message}`)
    .join('; ');
}
