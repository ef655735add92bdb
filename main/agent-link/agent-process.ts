/** The agent as a process: finding it, starting it, ending it. */
import { accessSync, closeSync, constants, realpathSync } from 'node:fs';
import path from 'node:path';
import {
  fail,
  type Failure,
  type KeeperRecord,
  cpuPlaceVariable,
  realmFiles,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import type { RealmDirectories } from './directories.ts';
import { enterRealm } from './keeper.ts';
import { childEnvironment, type DetachedProcess, searchPath, startDetached } from './process.ts';
import {
  findProcesses,
  lookAtProcess,
  namespaceOf,
  type ProcessSight,
  uidOf,
} from './process-table.ts';
import { openRealmLog, readRealmFile } from './realm-file.ts';

/** The Node program: ours, or the first in PATH where ours is Electron's. */
export function findNode(): Result<string> {
  if (process.versions['electron'] === undefined) return succeed(realpathSync(process.execPath));
  for (const directory of searchPath().split(':')) {
    const candidate = path.join(directory, 'node');
    try {
      accessSync(candidate, constants.X_OK);
      return succeed(realpathSync(candidate));
    } catch {
      continue;
    }
  }
  return fail({
    kind: 'process',
    code: 'node-missing',
    object: 'node',
    reason: 'The agent runs on Node, and there is no program node in PATH.',
    next: 'Install Node 20.19 or newer.',
  });
}

function agentScript(applicationRoot: string): string {
  return path.join(realpathSync(applicationRoot), 'dist/agent/agent.js');
}

function isAgentOf(args: readonly string[], realm: string, runtime: string): boolean {
  return (
    args[1] !== undefined &&
    path.basename(args[1]) === 'agent.js' &&
    args[args.indexOf('--realm') + 1] === realm &&
    args[args.indexOf('--runtime') + 1] === runtime
  );
}

/** The realm's agent as a process that the caller sees, or null. It need not answer yet. */
export function findAgent(
  realm: string,
  runtime: string,
  keeper: KeeperRecord | null,
): ProcessSight | null {
  const world = keeper === null ? null : namespaceOf(keeper.pid, 'pid');
  for (const pid of findProcesses((args) => isAgentOf(args, realm, runtime))) {
    // nsenter bears the same words and stays outside; anybody may write such words.
    const isOurs =
      realm === 'host' ? uidOf(pid) === 0 : world !== null && namespaceOf(pid, 'pid') === world;
    const sight = isOurs ? lookAtProcess(pid) : null;
    if (sight !== null) return sight;
  }
  return null;
}

/** The end of the agent's log, as one line. */
export function readLogTail(runtime: string): string {
  try {
    const text = readRealmFile(path.join(runtime, realmFiles.log), 4_096);
    return text.trim().split('\n').slice(-6).join(' | ').slice(-1_200);
  } catch {
    return '';
  }
}

/** The control group that somebody has set aside for the host's labs. */
function placeOfGroups(): Readonly<Record<string, string>> {
  const place = process.env[cpuPlaceVariable];
  return place === undefined ? {} : { [cpuPlaceVariable]: place };
}

export interface AgentLaunch {
  readonly realm: string;
  readonly directories: RealmDirectories;
  readonly applicationRoot: string;
  readonly node: string;
  /** Null for the host realm, where the agent runs as it is started. */
  readonly keeper: KeeperRecord | null;
  /** It looks and changes nothing. */
  readonly readOnly: boolean;
}

/** Starts the agent, detached, its output in its log. It takes a moment until it answers. */
export async function launchAgent(launch: AgentLaunch): Promise<Result<DetachedProcess>> {
  const { realm, directories, applicationRoot, node, keeper, readOnly } = launch;
  const agent = [
    node,
    agentScript(applicationRoot),
    ...['--realm', realm],
    ...['--runtime', realpathSync(directories.runtime)],
    ...['--state', realpathSync(directories.state)],
    ...(readOnly ? ['--read-only'] : []),
  ];
  const [program = node, ...args] =
    keeper === null ? agent : enterRealm(keeper, applicationRoot, agent);
  let log: number;
  try {
    log = openRealmLog(path.join(directories.runtime, realmFiles.log));
  } catch (error) {
    return fail(agentFailure(realm, 'agent-log', `Its log cannot be written: ${String(error)}.`));
  }
  try {
    return await startDetached(program, args, {
      stdio: ['ignore', log, log],
      environment: childEnvironment(keeper === null ? placeOfGroups() : {}),
    });
  } finally {
    closeSync(log);
  }
}

export function agentFailure(realm: string, code: string, reason: string): Failure {
  return {
    kind: 'process',
    code,
    object: realm,
    reason: reason.slice(0, 2_000),
    next: 'Look at the agent’s log (netloom agent status names its directory), then start it again.',
  };
}
