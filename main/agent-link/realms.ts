/** Realms as main handles them: finding, starting and ending their keepers and agents. */
import { existsSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import {
  type AgentInfo,
  fail,
  type Failure,
  type KeeperRecord,
  type RealmName,
  RealmNameSchema,
  realmFiles,
  type Result,
  stateFiles,
  succeed,
} from '../../agent/api/index.ts';
import type { RealmOverview } from '../bridge/contract.ts';
import { agentFailure, findAgent, findNode, launchAgent, readLogTail } from './agent-process.ts';
import { AgentClient, callSocketPath } from './client.ts';
import {
  checkOwner,
  type Directories,
  ensureOwnDirectory,
  ensureRealmDirectories,
  findDirectories,
  type RealmDirectories,
  realmDirectories,
} from './directories.ts';
import { publishHostEnrolment } from './enrolment.ts';
import { ensureIdentity } from './identity.ts';
import { endKeeper, findKeeper, nameOfUser, readKeeperRecord, startKeeper } from './keeper.ts';
import { isLocked, withLock } from './lock.ts';
import { openOutside, outsideOf } from './outside.ts';
import { writeWhole } from './private-file.ts';
import {
  isSameProcess,
  type ProcessSight,
  signalProcess,
  sleep,
  waitForEnd,
} from './process-table.ts';
import { curveKeyPair } from './socket.ts';

/** A realm as it looks from outside, without asking its agent. */
export type RealmSight = Omit<RealmOverview, 'labs' | 'agent'>;

/** An agent that answers. */
export interface ConnectedAgent {
  readonly client: AgentClient;
  readonly info: AgentInfo;
}

export interface RealmsOptions {
  /** Where Netloom is installed: `dist/agent` is there. */
  readonly applicationRoot: string;
  readonly directories?: Directories;
  /** What realms work without, such as `no-tun`; for the log or the person. */
  readonly onWarning?: (realm: RealmName, code: string, sentence: string) => void;
}

/** Milliseconds that others may work on the realm before we give up. */
const lockPatience = 60_000;
/**
 * Milliseconds for an agent from its start to its first answer. Before that it takes back what its predecessor left
 * half-done, which is as long as that change was; one that dies meanwhile is told of at once.
 */
const answerLimit = 180_000;

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Who must own the realm's runtime directory. */
function ownerOf(realm: RealmName): number {
  return realm === 'host' ? 0 : (process.geteuid?.() ?? 0);
}

export class Realms {
  readonly directories: Directories;
  readonly #applicationRoot: string;
  readonly #onWarning: (realm: RealmName, code: string, sentence: string) => void;

  constructor(options: RealmsOptions) {
    this.directories = options.directories ?? findDirectories();
    this.#applicationRoot = options.applicationRoot;
    this.#onWarning = options.onWarning ?? (() => undefined);
  }

  directoriesOf(realm: RealmName): RealmDirectories {
    return realmDirectories(realm, this.directories);
  }

  /** Realms that have a runtime or a state directory; the host where it has an agent or is ours to start. */
  list(): readonly RealmName[] {
    const names = new Set<RealmName>();
    for (const entry of readNames(path.join(this.directories.state, 'realms'))) {
      const name = RealmNameSchema.safeParse(entry.replace('-', ':'));
      if (name.success && name.data !== 'host') names.add(name.data);
    }
    for (const entry of readNames(this.directories.runtime)) {
      const record = readKeeperRecord(path.join(this.directories.runtime, entry));
      if (record !== null && this.directoriesOf(record.realm).runtime.endsWith(entry)) {
        names.add(record.realm);
      }
    }
    const host = this.directoriesOf('host');
    // After a reboot only root can see what was up there before.
    if (existsSync(host.runtime) || existsSync(path.join(host.state, stateFiles.labs))) {
      names.add('host');
    }
    return [...names].sort();
  }

  /** A look at the realm's processes; asks nobody. */
  look(realm: RealmName): RealmSight {
    return this.lookClosely(realm).sight;
  }

  /** The same, with the processes that were seen. */
  lookClosely(realm: RealmName): {
    readonly sight: RealmSight;
    readonly keeper: KeeperRecord | null;
    readonly agent: ProcessSight | null;
  } {
    const keeper = this.findKeeper(realm);
    const agent = this.#findAgent(realm, keeper);
    const alive = realm === 'host' || keeper !== null;
    const socket = alive ? this.#socketOf(realm) : null;
    const sight: RealmSight = {
      realm,
      state: this.#judge(realm, { alive, answers: agent !== null && socket !== null, agent }),
      keeperPid: keeper?.pid ?? null,
      agentPid: agent?.pid ?? null,
      socket,
      outside: outsideOf(keeper),
    };
    return { sight, keeper, agent };
  }

  #judge(
    realm: RealmName,
    seen: {
      readonly alive: boolean;
      readonly answers: boolean;
      readonly agent: ProcessSight | null;
    },
  ): RealmSight['state'] {
    // A socket of our own tells that the agent is ready; on the host there may be sockets for others only.
    if (seen.answers || (realm === 'host' && seen.agent !== null)) return 'running';
    if (isLocked(this.#lockFile(realm))) return 'starting';
    const { runtime, state } = this.directoriesOf(realm);
    if (realm === 'host') return existsSync(runtime) ? 'agent-lost' : 'absent';
    if (seen.alive) return 'agent-lost';
    return existsSync(state) || existsSync(runtime) ? 'gone' : 'absent';
  }

  findKeeper(realm: RealmName): KeeperRecord | null {
    return realm === 'host' ? null : findKeeper(this.directoriesOf(realm).runtime);
  }

  /** The agent's process as the caller sees it. */
  findAgent(realm: RealmName): ProcessSight | null {
    return this.#findAgent(realm, this.findKeeper(realm));
  }

  #findAgent(realm: RealmName, keeper: KeeperRecord | null): ProcessSight | null {
    if (realm !== 'host' && keeper === null) return null;
    const runtime = realPath(this.directoriesOf(realm).runtime);
    return runtime === null ? null : findAgent(realm, runtime, keeper);
  }

  /**
   * Connects to the agent that runs; starts nothing. Fails with `realm-gone` when the keeper has ended, `unreachable`
   * when there is no realm or no agent answers, `not-allowed` when the agent does not know us.
   */
  async connect(realm: RealmName): Promise<Result<ConnectedAgent>> {
    const { runtime } = this.directoriesOf(realm);
    if (realm !== 'host') {
      const present = this.#checkPresence(realm, runtime);
      if (!present.ok) return present;
    }
    const identity = ensureIdentity(this.directories);
    if (!identity.ok) return identity;
    const keys = identity.value;
    const client = await AgentClient.connect({
      realm,
      directory: runtime,
      keys,
      owner: ownerOf(realm),
    });
    if (!client.ok) {
      // An agent that runs and has no socket for us has not been told of us.
      const unknown = realm === 'host' && client.failure.code === 'no-agent';
      return unknown && this.findAgent(realm) !== null ? fail(notEnrolled()) : client;
    }
    const info = await client.value.call('agent.info', {});
    if (info.ok) return succeed({ client: client.value, info: info.value });
    client.value.close();
    return info;
  }

  /** Makes what is missing of keeper and agent, and connects. */
  async ensure(
    realm: RealmName,
    options: { readonly readOnly?: boolean } = {},
  ): Promise<Result<ConnectedAgent>> {
    const connected = await this.connect(realm);
    if (connected.ok || connected.failure.kind === 'not-allowed') return connected;
    if (realm === 'host' && !isRoot()) return connected;
    return this.#locked(realm, async () => {
      const keeper = realm === 'host' ? succeed(null) : await this.#ensureKeeper(realm);
      return keeper.ok ? this.#ensureAgent(realm, keeper.value, options.readOnly === true) : keeper;
    });
  }

  /** Starts the agent into the realm that is there; a realm that has ended is not made again. */
  async startAgent(realm: RealmName): Promise<Result<ConnectedAgent>> {
    const connected = await this.connect(realm);
    if (connected.ok || connected.failure.kind !== 'unreachable') return connected;
    if (realm === 'host' && !isRoot()) return connected;
    return this.#locked(realm, async () => {
      const keeper = this.findKeeper(realm);
      if (realm !== 'host' && keeper === null) return fail(realmGone(realm));
      return this.#ensureAgent(realm, keeper, false);
    });
  }

  /** Ends the agent; the realm and its labs go on. Nothing to do counts as done. */
  async stopAgent(realm: RealmName): Promise<Result<void>> {
    if (realm === 'host' && !isRoot()) return fail(onlyRoot(realm));
    if (this.findAgent(realm) === null) return succeed(undefined);
    return this.#locked(realm, async () => {
      const agent = this.findAgent(realm);
      return agent === null ? succeed(undefined) : this.#stop(realm, agent);
    });
  }

  /** Opens the way out of a realm that lives; only by the person's word. */
  async openOutside(realm: RealmName): Promise<Result<void>> {
    if (realm === 'host') return fail(hostIsOutside());
    return this.#locked(realm, async () => {
      const keeper = this.findKeeper(realm);
      if (keeper === null) return fail(realmGone(realm));
      const { runtime } = this.directoriesOf(realm);
      const opened = await openOutside(keeper, runtime, this.#applicationRoot);
      return opened.ok ? succeed(undefined) : opened;
    });
  }

  /** Ends the realm and everything in it; its state directory stays. Nothing to do counts as done. */
  async end(realm: RealmName): Promise<Result<void>> {
    if (realm === 'host') return fail(hostStays());
    const { runtime } = this.directoriesOf(realm);
    if (!existsSync(runtime)) return succeed(undefined);
    return this.#locked(realm, () => endKeeper(realm, runtime));
  }

  #lockFile(realm: RealmName): string {
    const { runtime } = this.directoriesOf(realm);
    return `${runtime}.lock`;
  }

  async #locked<T>(realm: RealmName, work: () => Promise<Result<T>>): Promise<Result<T>> {
    const made = ensureOwnDirectory(
      realm === 'host' ? path.dirname(this.directoriesOf(realm).runtime) : this.directories.runtime,
      realm === 'host' ? 0o755 : 0o700,
    );
    return made.ok ? withLock(this.#lockFile(realm), lockPatience, work) : made;
  }

  #socketOf(realm: RealmName): string | null {
    const identity = ensureIdentity(this.directories);
    if (!identity.ok) return null;
    const socket = callSocketPath(this.directoriesOf(realm).runtime, identity.value.publicKey);
    return existsSync(socket) ? socket : null;
  }

  #checkPresence(realm: RealmName, runtime: string): Result<void> {
    const checked = checkOwner(runtime, ownerOf(realm));
    if (!checked.ok && checked.failure.kind !== 'unknown-object') return checked;
    if (checked.ok && findKeeper(runtime) !== null) return succeed(undefined);
    const { state } = this.directoriesOf(realm);
    return fail(existsSync(state) || checked.ok ? realmGone(realm) : noRealm(realm));
  }

  /** Under the lock. */
  async #ensureKeeper(realm: RealmName): Promise<Result<KeeperRecord>> {
    const living = this.findKeeper(realm);
    if (living !== null) return succeed(living);
    const node = findNode();
    if (!node.ok) return node;
    const identity = ensureIdentity(this.directories);
    if (!identity.ok) return identity;
    // What a realm that ended has left there is of no use to anybody.
    rmSync(this.directoriesOf(realm).runtime, { recursive: true, force: true });
    const made = ensureRealmDirectories(realm, this.directories);
    if (!made.ok) return made;
    const directories = made.value;
    const name = nameOfUser();
    const clients = [
      // The realm's root is who started it, in either kind of map.
      {
        key: identity.value.publicKey,
        uid: 0,
        name: name === '' ? 'owner' : name,
        access: 'write',
      },
    ];
    writeAgentKeys(directories.runtime);
    writeWhole(
      path.join(directories.runtime, realmFiles.enrolment),
      `${JSON.stringify({ clients })}\n`,
    );
    const started = await startKeeper(
      {
        realm,
        directories,
        applicationRoot: this.#applicationRoot,
        node: node.value,
        onWarning: (code, sentence) => this.#onWarning(realm, code, sentence),
      },
      [realmFiles.enrolment, realmFiles.agentKeys, realmFiles.agentPublicKey],
    );
    if (!started.ok) rmSync(directories.runtime, { recursive: true, force: true });
    return started;
  }

  /** Under the lock. An agent that is there and does not answer is replaced. */
  async #ensureAgent(
    realm: RealmName,
    keeper: KeeperRecord | null,
    readOnly: boolean,
  ): Promise<Result<ConnectedAgent>> {
    const connected = await this.connect(realm);
    if (connected.ok) return connected;
    const stuck = this.findAgent(realm);
    if (stuck !== null) {
      const stopped = await this.#kill(realm, stuck);
      if (!stopped.ok) return stopped;
    }
    const node = findNode();
    if (!node.ok) return node;
    if (realm === 'host') {
      const prepared = this.#prepareHost();
      if (!prepared.ok) return prepared;
    }
    const launched = await launchAgent({
      realm,
      directories: this.directoriesOf(realm),
      applicationRoot: this.#applicationRoot,
      node: node.value,
      keeper,
      readOnly,
    });
    if (!launched.ok) return launched;
    let ending: string | null = null;
    void launched.value.ended.then(({ sentence }) => (ending = sentence));
    const answer = await this.#waitForAnswer(realm, () => ending);
    launched.value.release();
    return answer;
  }

  async #waitForAnswer(
    realm: RealmName,
    ending: () => string | null,
  ): Promise<Result<ConnectedAgent>> {
    const { runtime } = this.directoriesOf(realm);
    const end = performance.now() + answerLimit;
    for (;;) {
      const endedBefore = ending();
      const connected = await this.connect(realm);
      if (connected.ok) return connected;
      const tail = readLogTail(runtime);
      if (endedBefore !== null) {
        const reason = `It ended at its start. ${endedBefore} Its log: ${tail}`;
        return fail(agentFailure(realm, 'agent-ended', reason));
      }
      if (performance.now() > end) {
        const seconds = answerLimit / 1_000;
        const reason = `It does not answer after ${seconds} s: ${connected.failure.reason} Its log: ${tail}`;
        const agent = this.findAgent(realm);
        if (agent !== null) await this.#kill(realm, agent);
        return fail(agentFailure(realm, 'agent-silent', reason));
      }
      await sleep(20);
    }
  }

  #prepareHost(): Result<void> {
    const made = ensureRealmDirectories('host', this.directories);
    if (!made.ok) return made;
    const identity = ensureIdentity(this.directories);
    if (!identity.ok) return identity;
    const { runtime } = made.value;
    if (!existsSync(path.join(runtime, realmFiles.agentKeys))) writeAgentKeys(runtime);
    return publishHostEnrolment(made.value, identity.value.publicKey);
  }

  async #stop(realm: RealmName, agent: ProcessSight): Promise<Result<void>> {
    const connected = await this.connect(realm);
    if (connected.ok) {
      const { client } = connected.value;
      const stopped = await client.call('agent.stop', {});
      client.close();
      // It may be gone before its answer is here.
      if (stopped.ok || stopped.failure.kind === 'unreachable') {
        if (await waitForEnd(agent.pid, agent.startTime, 5_000)) return succeed(undefined);
      } else if (stopped.failure.kind !== 'timeout') {
        return stopped;
      }
    }
    return this.#kill(realm, agent);
  }

  async #kill(realm: RealmName, agent: ProcessSight): Promise<Result<void>> {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (isSameProcess(agent.pid, agent.startTime)) signalProcess(agent.pid, signal);
      if (await waitForEnd(agent.pid, agent.startTime, 3_000)) return succeed(undefined);
    }
    return fail(agentFailure(realm, 'agent-stays', `Process ${agent.pid} does not end.`));
  }
}

function readNames(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function realPath(file: string): string | null {
  try {
    return realpathSync(file);
  } catch {
    return null;
  }
}

function writeAgentKeys(runtime: string): void {
  const keys = curveKeyPair();
  writeWhole(path.join(runtime, realmFiles.agentKeys), `${JSON.stringify(keys)}\n`);
  writeWhole(path.join(runtime, realmFiles.agentPublicKey), `${keys.publicKey}\n`, 0o644);
}

function noRealm(realm: RealmName): Failure {
  return {
    kind: 'unreachable',
    code: 'no-realm',
    object: realm,
    reason: 'The realm has not been made.',
    next: `Start it: netloom agent start --realm ${realm}, or bring a lab up in it.`,
  };
}

function realmGone(realm: RealmName): Failure {
  return {
    kind: 'realm-gone',
    code: 'realm-gone',
    object: realm,
    reason: 'The realm has ended, and with it everything that was in it.',
    next: 'Bring its labs up again.',
  };
}

function onlyRoot(realm: RealmName): Failure {
  return {
    kind: 'not-allowed',
    code: 'only-root',
    object: realm,
    reason: 'The agent of the host is root’s.',
    next: 'Use root: sudo netloom agent stop --realm host.',
  };
}

function hostStays(): Failure {
  return {
    kind: 'refused',
    code: 'host-stays',
    object: 'host',
    reason: 'The host realm is the machine itself.',
    next: 'Stop its agent: netloom agent stop --realm host.',
  };
}

function hostIsOutside(): Failure {
  return {
    kind: 'refused',
    code: 'internet-in-host',
    object: 'host',
    reason: 'The host realm is outside already.',
    next: 'Use the machine’s own interfaces, or bring the lab up in a sandbox.',
    values: { node: 'host' },
  };
}

function notEnrolled(): Failure {
  return {
    kind: 'not-allowed',
    code: 'not-enrolled',
    object: 'host',
    reason: 'This user is not enrolled with the agent of the host.',
    next: 'Have root enrol them: netloom agent enrol USER.',
  };
}
