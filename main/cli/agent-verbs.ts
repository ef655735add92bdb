/** agent start, stop, status, enrol, revoke, serve. */
import { fail, type RealmName, type Result } from '../../agent/api/index.ts';
import { enrolUser, revokeUser } from '../agent-link/enrolment.ts';
import type { RealmOverview } from '../bridge/contract.ts';
import { type Context, parseRealm } from './context.ts';
import {
  type ExitCode,
  formatTable,
  printFailure,
  printJson,
  printProgress,
  printResult,
} from './output.ts';

interface RealmChoice {
  readonly realm?: string;
}

interface StartChoice extends RealmChoice {
  readonly readOnly?: boolean;
}

/** An agent that runs already goes on as it was started: whoever asks for one that only looks is not to be deceived. */
async function startRealm(
  context: Context,
  realm: RealmName,
  options: StartChoice,
): Promise<Result<RealmOverview>> {
  const readOnly = options.readOnly === true;
  const started = await context.workbench.startRealm(realm, { readOnly });
  if (!started.ok || !readOnly || started.value.agent?.readOnly !== false) return started;
  return fail({
    kind: 'refused',
    code: 'agent-may-write',
    object: realm,
    reason: 'An agent runs here that may change things.',
    next: `Stop it first: netloom agent stop --realm ${realm}.`,
    values: { realm },
  });
}

/** Here `sandbox` alone names no realm: there is no lab that it could be of. */
function chooseRealm(options: RealmChoice): RealmName | ExitCode {
  const parsed = parseRealm(options.realm, null);
  if (!parsed.ok) return printFailure(parsed.failure);
  return (
    parsed.value ??
    printFailure({
      kind: 'invalid-request',
      code: 'realm-needed',
      object: '--realm',
      reason: 'It says which agent is meant, and is missing.',
      next: 'Give --realm sandbox:NAME or --realm host.',
    })
  );
}

function describeRealms(realms: readonly RealmOverview[]): string {
  const rows = realms.map(({ realm, state, keeperPid, agentPid, outside, labs }) => [
    realm,
    state,
    keeperPid === null ? '–' : String(keeperPid),
    agentPid === null ? '–' : String(agentPid),
    outside,
    labs.length === 0 ? '–' : labs.join(' '),
  ]);
  return formatTable(['REALM', 'STATE', 'KEEPER', 'AGENT', 'OUTSIDE', 'LABS'], rows);
}

export async function agentStart(
  context: Context,
  options: StartChoice & { readonly json?: boolean },
): Promise<ExitCode> {
  const realm = chooseRealm(options);
  if (typeof realm === 'number') return realm;
  const started = await startRealm(context, realm, options);
  if (!started.ok) return printFailure(started.failure, options.json);
  if (options.json === true) printJson(started.value);
  else printResult(`The agent of ${realm} runs (pid ${String(started.value.agentPid ?? '?')}).`);
  return 0;
}

export async function agentStop(context: Context, options: RealmChoice): Promise<ExitCode> {
  const realm = chooseRealm(options);
  if (typeof realm === 'number') return realm;
  const { state } = await context.workbench.realm(realm);
  const stopped = await context.workbench.stopAgent(realm);
  if (!stopped.ok) return printFailure(stopped.failure);
  printResult(
    state === 'running'
      ? `The agent of ${realm} has ended; the realm goes on.`
      : `No agent runs in ${realm}.`,
  );
  return 0;
}

/** All realms, or the one asked for; 3 when that one has no agent that answers. */
export async function agentStatus(
  context: Context,
  options: RealmChoice & { readonly json?: boolean },
): Promise<ExitCode> {
  const wish = parseRealm(options.realm, null);
  if (!wish.ok) return printFailure(wish.failure, options.json);
  const realms =
    wish.value === null
      ? await context.workbench.realms()
      : [await context.workbench.realm(wish.value)];
  if (options.json === true) printJson({ realms });
  else if (realms.length === 0) printResult('No realm runs.');
  else printResult(describeRealms(realms));
  return wish.value !== null && realms.some(({ agent }) => agent === null) ? 3 : 0;
}

export async function agentEnrol(_context: Context, user: string): Promise<ExitCode> {
  const enrolled = await enrolUser(user, 'write');
  if (!enrolled.ok) return failEnrolment(enrolled.failure);
  printResult(
    `${enrolled.value.name} (uid ${String(enrolled.value.uid)}) may use the host’s agent.`,
  );
  return 0;
}

export async function agentRevoke(_context: Context, user: string): Promise<ExitCode> {
  const revoked = await revokeUser(user);
  if (!revoked.ok) return failEnrolment(revoked.failure);
  printResult(`${user} may no longer use the host’s agent.`);
  return 0;
}

/** No agent is asked here: what may not be done is a refusal, not an agent out of reach. */
function failEnrolment(failure: Parameters<typeof printFailure>[0]): ExitCode {
  const code = printFailure(failure);
  return code === 3 ? 1 : code;
}

/** Keeps an agent up while this command runs, for a service manager; ends it with the command. */
export async function agentServe(context: Context, options: StartChoice): Promise<ExitCode> {
  const realm = chooseRealm({ realm: options.realm ?? 'host' });
  if (typeof realm === 'number') return realm;
  const started = await startRealm(context, realm, options);
  if (!started.ok) return printFailure(started.failure);
  const agent = await context.workbench.connection(realm);
  if (!agent.ok) return printFailure(agent.failure);
  printProgress(`The agent of ${realm} runs (pid ${String(started.value.agentPid ?? '?')}).`);
  const asked = await new Promise<boolean>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve(true);
      });
    }
    agent.value.onLost(() => {
      resolve(false);
    });
  });
  if (!asked) {
    printProgress(`The agent of ${realm} has ended.`);
    return 3;
  }
  const stopped = await context.workbench.stopAgent(realm);
  return stopped.ok ? 0 : printFailure(stopped.failure);
}
