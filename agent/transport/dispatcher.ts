/** Turns the text of a request into a call of its handler, and the handler's end into exactly one answer. */
import type { z } from 'zod';
import {
  type AgentCallName,
  agentCalls,
  type AgentCalls,
  type CallArguments,
  type CallProgress,
  type CallResult,
  fail,
  type Failure,
  type Reply,
  type Request,
  RequestSchema,
  requestVersion,
  type Result,
  succeed,
} from '../api/index.ts';
import {
  callCancelled,
  handlerBug,
  invalidRequest,
  readOnlyKey,
  schemaMismatch,
  versionMismatch,
} from './failures.ts';
import { type AgentHandlers, CallCancelled, type Peer } from './handlers.ts';

/** Stands for the id in an answer to what bears none. */
export const noRequest = -1;

/** What a request turns out to be. */
export type Incoming =
  | { readonly kind: 'request'; readonly request: Request }
  | { readonly kind: 'bad'; readonly id: number; readonly failure: Failure };

const decoder = new TextDecoder('utf-8', { fatal: true });

/** The id that a message bears, although it is no request: its sender learns which of its calls went wrong. */
function idOf(content: unknown): number {
  if (typeof content !== 'object' || content === null || !('id' in content)) return noRequest;
  return Number.isSafeInteger(content.id) && Number(content.id) >= 0
    ? Number(content.id)
    : noRequest;
}

/** Strict: bytes that are not UTF-8, not JSON, or JSON with anything more or less than a request are bad. */
export function parseRequest(bytes: Uint8Array): Incoming {
  const bad = (id: number, failure: Failure): Incoming => ({ kind: 'bad', id, failure });
  let content: unknown;
  try {
    content = JSON.parse(decoder.decode(bytes));
  } catch {
    return bad(noRequest, invalidRequest('not-json', 'request', 'It is not JSON text in UTF-8.'));
  }
  const parsed = RequestSchema.safeParse(content);
  if (!parsed.success) {
    return bad(idOf(content), schemaMismatch('invalid-envelope', 'request', parsed.error));
  }
  const request = parsed.data;
  if (request.version !== requestVersion) {
    return bad(request.id, versionMismatch(request.version, requestVersion));
  }
  return { kind: 'request', request };
}

function isCallName(name: string): name is AgentCallName {
  return Object.hasOwn(agentCalls, name);
}

interface CallSchemas<K extends AgentCallName> {
  readonly args: z.ZodType<CallArguments<AgentCalls, K>>;
  readonly result: z.ZodType<CallResult<AgentCalls, K>>;
  readonly progress: z.ZodType<CallProgress<AgentCalls, K>>;
}

function schemasOf<K extends AgentCallName>(name: K): CallSchemas<K> {
  // True by the definition of CallArguments and its like; the checker does not see it while K is open.
  return agentCalls[name] as unknown as CallSchemas<K>;
}

export interface DispatcherOptions {
  readonly handlers: AgentHandlers;
  /** Whether what handlers give is checked against the contract. */
  readonly checkResults: boolean;
  /** Told of exceptions in handlers, which are bugs. */
  readonly onBug: (call: string, error: unknown) => void;
}

export interface Execution {
  readonly signal: AbortSignal;
  readonly peer: Peer;
  readonly id: number;
  readonly reply: (reply: Reply) => void;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** Runs the call and replies once, after any progress. Never throws and never rejects. */
  async run(name: string, args: unknown, execution: Execution): Promise<void> {
    const outcome = isCallName(name)
      ? await this.#run(name, args, execution)
      : fail(invalidRequest('unknown-call', name, 'There is no such call.'));
    const { id, reply } = execution;
    reply(
      outcome.ok
        ? { kind: 'result', id, value: outcome.value }
        : { kind: 'failure', id, failure: outcome.failure },
    );
  }

  async #run<K extends AgentCallName>(
    name: K,
    args: unknown,
    { signal, peer, id, reply }: Execution,
  ): Promise<Result<unknown>> {
    if (agentCalls[name].effect === 'write' && peer.access !== 'write') {
      return fail(readOnlyKey(name));
    }
    const { handlers, checkResults, onBug } = this.#options;
    const schemas = schemasOf(name);
    const parsed = schemas.args.safeParse(args);
    if (!parsed.success) return fail(schemaMismatch('invalid-arguments', name, parsed.error));
    let answered = false;
    const progress = (value: CallProgress<AgentCalls, K>): void => {
      if (answered) return;
      if (checkResults) schemas.progress.parse(value);
      reply({ kind: 'progress', id, value });
    };
    try {
      const result = await handlers[name](parsed.data, { signal, progress, peer });
      answered = true;
      if (!result.ok) return result;
      if (!checkResults) return succeed(result.value);
      const checked = schemas.result.safeParse(result.value);
      if (checked.success) return succeed(result.value);
      onBug(name, checked.error);
      return fail(handlerBug(name, `its answer breaks the contract: ${checked.error.message}`));
    } catch (error) {
      answered = true;
      if (signal.aborted && (error instanceof CallCancelled || isAbort(error))) {
        return fail(callCancelled(name));
      }
      onBug(name, error);
      return fail(handlerBug(name, error instanceof Error ? error.message : String(error)));
    }
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
