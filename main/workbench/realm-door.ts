/**
 * What the workbench asks of realms and their agents. `agent-door.ts` answers it with the real ones; tests with
 * others.
 */
import type {
  AgentCallName,
  AgentCalls,
  AgentInfo,
  AgentStreamName,
  AgentStreams,
  CallArguments,
  CallProgress,
  CallResult,
  RealmName,
  Result,
} from '../../agent/api/index.ts';
import type { z } from 'zod';
import type { RealmOverview } from '../bridge/contract.ts';

export interface AgentCallOptions<K extends AgentCallName> {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((value: CallProgress<AgentCalls, K>) => void) | undefined;
}

export interface StreamListener<S extends AgentStreamName> {
  value(value: z.infer<AgentStreams[S]>): void;
  /** Messages were lost: ask for the whole again. */
  gap(): void;
}

/** One live agent. Once it is lost every pending and later call fails as `unreachable`. */
export interface AgentConnection {
  readonly info: AgentInfo;
  call<K extends AgentCallName>(
    name: K,
    args: CallArguments<AgentCalls, K>,
    options?: AgentCallOptions<K>,
  ): Promise<Result<CallResult<AgentCalls, K>>>;
  /** Resolves when everything published from now on is delivered or reported as a gap. One a stream. */
  subscribe<S extends AgentStreamName>(
    stream: S,
    listener: StreamListener<S>,
  ): Promise<Result<void>>;
  /** Calls the listener once, when the agent no longer answers; at once if it has been lost already. */
  onLost(listener: () => void): void;
  close(): void;
}

/** A realm as it looks from outside, without asking its agent. */
export type RealmSight = Omit<RealmOverview, 'labs' | 'agent'>;

export interface StartOptions {
  /** The agent, where one is started, looks and changes nothing. */
  readonly readOnly?: boolean;
}

export interface RealmDoor {
  /** Realms that are there or have left state behind. */
  list(): Promise<readonly RealmName[]>;
  look(realm: RealmName): Promise<RealmSight>;
  /** Calls back with every realm once, and whenever one looks different; gives the function that stops it. */
  watch(onChange: (sight: RealmSight) => void): () => void;
  /** Where a realm's records and revisions are kept; it need not exist. */
  stateDirectory(realm: RealmName): string;
  /** Connects to the agent that runs. Fails with `unreachable` or `realm-gone`; starts nothing. */
  connect(realm: RealmName): Promise<Result<AgentConnection>>;
  /** Makes what is missing of keeper and agent, and connects. */
  start(realm: RealmName, options?: StartOptions): Promise<Result<AgentConnection>>;
  /** Starts the agent into the realm that is there; one that has ended is not made again. */
  restart(realm: RealmName): Promise<Result<AgentConnection>>;
  /** Whether this machine has a program that could carry what leaves a sandbox; `unsupported` where it has none. */
  canOpenOutside(): Result<void>;
  /** Opens the way out of a realm that is there; open already counts as done. */
  openOutside(realm: RealmName): Promise<Result<void>>;
  /** Ends the agent; the realm and its labs go on. */
  stop(realm: RealmName): Promise<Result<void>>;
  /** Ends the realm and everything in it; its state stays. */
  end(realm: RealmName): Promise<Result<void>>;
  /** Ends a realm of a name that nobody else uses, and removes all that is kept of it. */
  discard(realm: RealmName): Promise<Result<void>>;
}
