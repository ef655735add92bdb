/** The types by which the rest of the agent answers calls. */
import type {
  AgentCallName,
  AgentCalls,
  CallArguments,
  CallProgress,
  CallResult,
  Result,
} from '../api/index.ts';

/** Who made a call. */
export interface Peer {
  /** CURVE public key, Z85: which door the call came through, so it cannot be feigned. */
  readonly key: string;
  readonly name: string;
  /** As enrolled, and as the kernel said when the connection was made; in the agent's user namespace. */
  readonly uid: number;
  readonly access: 'read' | 'write';
  /** Tells the connections of a key apart. Not an identity: a client may choose it. */
  readonly connection: string;
}

export interface CallContext<P> {
  /** Aborted by a cancel request, with a `CallCancelled` as its reason, or when the caller is gone. */
  readonly signal: AbortSignal;
  /** Sends a progress frame; after the answer it does nothing. */
  readonly progress: (value: P) => void;
  readonly peer: Peer;
}

/** Why a call's signal was aborted. */
export class CallCancelled extends Error {
  readonly origin: 'asked' | 'caller-gone' | 'agent-stops' | 'revoked';
  constructor(origin: CallCancelled['origin']) {
    super(`the call was cancelled: ${origin}`);
    this.name = 'CallCancelled';
    this.origin = origin;
  }
}

export type AgentHandler<K extends AgentCallName> = (
  args: CallArguments<AgentCalls, K>,
  context: CallContext<CallProgress<AgentCalls, K>>,
) => Promise<Result<CallResult<AgentCalls, K>>>;

export type AgentHandlers = { readonly [K in AgentCallName]: AgentHandler<K> };
