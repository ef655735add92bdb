/** exec and shell: a program in a lab's node, with this terminal's input and output. */
import { constants } from 'node:os';
import {
  assertNever,
  fail,
  type ProcessExit,
  type ProcessPlace,
  type ProcessProgress,
  type Result,
  type TerminalSize,
} from '../../agent/api/index.ts';
import { notUp, unknownLab } from '../workbench/failures.ts';
import type { AgentConnection } from '../workbench/realm-door.ts';
import { type Context, labOf } from './context.ts';
import { printFailure } from './output.ts';

/** Largest piece of input in one message; the wire takes 256 KiB of base64. */
const inputPiece = 128 * 1024;

export async function agentOf(context: Context, lab: string): Promise<Result<AgentConnection>> {
  const found = await context.workbench.record(lab);
  if (found === null) return fail(unknownLab(lab));
  if (!found.record.up) return fail(notUp(found.record));
  const connected = await context.workbench.connection(found.realm);
  if (!connected.ok && connected.failure.code === 'realm-absent') return fail(notUp(found.record));
  return connected;
}

function terminalSize(): TerminalSize {
  // A terminal that does not know its size says 0.
  const within = (value: number | undefined, otherwise: number): number =>
    value === undefined || value === 0 ? otherwise : Math.min(1000, value);
  return {
    columns: within(process.stdout.columns, 80),
    rows: within(process.stdout.rows, 24),
  };
}

/** A shell's way to say how a program ended: its status, or 128 and the signal's number. */
function statusOf(exit: ProcessExit): number {
  if (exit.signal === null) return exit.exitCode ?? 1;
  const numbers: Readonly<Record<string, number>> = constants.signals;
  return 128 + (numbers[exit.signal] ?? 0);
}

/** Moves input, output and window size between this process and a program until that ends. */
async function converse(
  agent: AgentConnection,
  place: ProcessPlace,
  command: readonly string[],
  terminal: boolean,
  console: boolean,
): Promise<Result<ProcessExit>> {
  const abort = new AbortController();
  let release: () => void = () => undefined;
  const write = (session: string, stream: NodeJS.WriteStream, data: Buffer): void => {
    stream.write(data, () => {
      void agent.call('process.acknowledge', { session, bytes: data.length });
    });
  };
  let current = '';
  const receive = (progress: ProcessProgress): void => {
    switch (progress.kind) {
      case 'started':
        current = progress.session;
        release = feed(agent, progress.session, terminal, abort);
        return;
      case 'output': {
        const target = progress.stream === 'out' ? process.stdout : process.stderr;
        write(current, target, Buffer.from(progress.data, 'base64'));
        return;
      }
      default:
        assertNever(progress);
    }
  };
  try {
    return await agent.call(
      'process.run',
      { place, command: [...command], terminal: terminal ? terminalSize() : null, console },
      { signal: abort.signal, onProgress: receive },
    );
  } finally {
    release();
  }
}

/** Sends what comes on standard input; gives the function that stops it. */
function feed(
  agent: AgentConnection,
  session: string,
  terminal: boolean,
  abort: AbortController,
): () => void {
  const input = process.stdin;
  let last: Promise<unknown> = Promise.resolve();
  const send = (data: string, end: boolean): void => {
    // One after the other: pieces of input must not overtake each other, and what is not taken is not read on.
    input.pause();
    last = last.then(async () => {
      await agent.call('process.input', { session, data, end });
      if (!end) input.resume();
    });
  };
  const onData = (chunk: Buffer): void => {
    for (let start = 0; start < chunk.length; start += inputPiece) {
      send(chunk.subarray(start, start + inputPiece).toString('base64'), false);
    }
  };
  const onEnd = (): void => {
    send('', true);
  };
  const onResize = (): void => {
    void agent.call('process.resize', { session, size: terminalSize() });
  };
  const onSignal = (): void => {
    abort.abort();
  };
  const raw = terminal && input.isTTY;
  if (raw) input.setRawMode(true);
  input.on('data', onData);
  input.on('end', onEnd);
  input.resume();
  if (terminal) process.stdout.on('resize', onResize);
  // In raw mode Ctrl-C is a byte for the program; else it ends the program, and with it this command.
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return () => {
    input.off('data', onData);
    input.off('end', onEnd);
    process.stdout.off('resize', onResize);
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    if (raw) input.setRawMode(false);
    input.pause();
  };
}

/** What shells end with when there is no such program. */
const unknownProgram = 127;

/** The command's own exit status, 127 when there is no such program, or 1–3 when it could not be run. */
async function runIn(
  context: Context,
  word: string,
  node: string | null,
  command: readonly string[],
  terminal: boolean,
  console: boolean,
): Promise<number> {
  const lab = await labOf(context, word);
  if (!lab.ok) return printFailure(lab.failure);
  const agent = await agentOf(context, lab.value);
  if (!agent.ok) return printFailure(agent.failure);
  const place: ProcessPlace =
    node === null ? { kind: 'realm' } : { kind: 'node', lab: lab.value, node };
  const ended = await converse(agent.value, place, command, terminal, console);
  if (ended.ok) return statusOf(ended.value);
  const status = printFailure(ended.failure);
  return ended.failure.code === 'program-missing' ? unknownProgram : status;
}

export function exec(
  context: Context,
  lab: string,
  node: string,
  command: readonly string[],
): Promise<number> {
  // Commander leaves the first `--` where it is when options are passed through.
  const words = command[0] === '--' ? command.slice(1) : command;
  if (words.length === 0) {
    return Promise.resolve(
      printFailure({
        kind: 'invalid-request',
        code: 'no-command',
        object: 'exec',
        reason: 'There is no command after --.',
        next: 'Name one: netloom exec LAB NODE -- COMMAND.',
      }),
    );
  }
  return runIn(context, lab, node === '-' ? null : node, words, false, false);
}

export async function shell(
  context: Context,
  lab: string,
  node: string | undefined,
): Promise<number> {
  const shellProgram = process.env['SHELL'] ?? '/bin/sh';
  const interactive = process.stdin.isTTY && process.stdout.isTTY;
  const place = node === undefined || node === '-' ? null : node;
  return runIn(context, lab, place, [shellProgram], interactive, true);
}
