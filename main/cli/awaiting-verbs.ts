/** What becomes of a change that waits to be confirmed: asked on the terminal, or by confirm and revert. */
import { createInterface } from 'node:readline';
import type { Awaiting, Result, ApplyOutcome } from '../../agent/api/index.ts';
import { type Context, labOf } from './context.ts';
import { type ExitCode, printFailure, printJson, printProgress, printResult } from './output.ts';

export type Answer = 'keep' | 'revert' | 'nothing' | 'late';

const secondsOf = (milliseconds: number): string => `${String(Math.ceil(milliseconds / 1000))} s`;

/** `waits 42 s to be confirmed` */
export function awaitingWords(awaiting: Awaiting): string {
  return `waits ${secondsOf(awaiting.endsInMilliseconds)} to be confirmed`;
}

export function howToConfirm(lab: string): string {
  return `Keep it with: netloom confirm ${lab}   Take it back with: netloom revert ${lab}`;
}

/** Asks on the terminal, with the seconds that are left. `nothing` when it was closed without an answer. */
export function askWhetherToKeep(awaiting: Awaiting): Promise<Answer> {
  const end = performance.now() + awaiting.endsInMilliseconds;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const show = (): void => {
    terminal.setPrompt(`Keep? [y/N] (${secondsOf(Math.max(0, end - performance.now()))} left) `);
    terminal.prompt(true);
  };
  return new Promise((resolve) => {
    const finish = (answer: Answer): void => {
      clearInterval(timer);
      terminal.removeAllListeners();
      terminal.close();
      resolve(answer);
    };
    const timer = setInterval(() => {
      if (performance.now() >= end) finish('late');
      else show();
    }, 1000);
    terminal.on('line', (line) => {
      finish(/^y(?:es)?$/i.test(line.trim()) ? 'keep' : 'revert');
    });
    terminal.on('SIGINT', () => {
      finish('nothing');
    });
    terminal.on('close', () => {
      finish('nothing');
    });
    show();
  });
}

/** Keeps or takes back; an agent that is lost is started again first. */
export async function settleChange(
  context: Context,
  call: 'lab.confirm' | 'lab.revert',
  lab: string,
  token: string | null,
): Promise<Result<ApplyOutcome>> {
  const settled = await context.workbench.settle(call, lab, token);
  if (settled.ok || settled.failure.code !== 'agent-lost') return settled;
  const realm = await context.workbench.realmOf(lab);
  printProgress(`The agent of ${realm} does not answer; starting it again.`);
  const started = await context.workbench.startAgent(realm);
  return started.ok ? context.workbench.settle(call, lab, token) : started;
}

export function settledSentence(call: 'lab.confirm' | 'lab.revert', outcome: ApplyOutcome): string {
  const { lab, up, revision } = outcome;
  if (call === 'lab.confirm') return `${lab} stays at revision ${String(revision)}.`;
  return up
    ? `${lab} is back at revision ${String(revision)}.`
    : `${lab} is taken back: everything is as before.`;
}

export async function settle(
  context: Context,
  call: 'lab.confirm' | 'lab.revert',
  word: string,
  options: { readonly json?: boolean },
): Promise<ExitCode> {
  const json = options.json === true;
  const lab = await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure, json);
  const settled = await settleChange(context, call, lab.value, null);
  if (!settled.ok) return printFailure(settled.failure, json);
  if (json) printJson({ lab: lab.value, outcome: settled.value });
  else printResult(settledSentence(call, settled.value));
  return 0;
}
