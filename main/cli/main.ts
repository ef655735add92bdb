/** The command line: what it understands, and the exit status of what comes of it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import {
  ConfirmWithinSchema,
  maximumExportRecords,
  type RealmName,
} from '../../agent/api/index.ts';
import { findApplicationRoot } from '../start/application-root.ts';
import {
  agentEnrol,
  agentRevoke,
  agentServe,
  agentStart,
  agentStatus,
  agentStop,
} from './agent-verbs.ts';
import { settle } from './awaiting-verbs.ts';
import { capture, type CaptureOptions } from './capture-verb.ts';
import { type Context, createContext } from './context.ts';
import { dissectCapture, type DissectOptions } from './dissect-verb.ts';
import {
  cpuBind,
  type CpuBindOptions,
  cpuPlan,
  type CpuPlanOptions,
  cpuShow,
  type CpuShowOptions,
} from './cpu-verbs.ts';
import { doctor } from './doctor-verb.ts';
import { link, type LinkOptions, type LinkVerb, linkVerbs } from './link-verb.ts';
import { check, down, list, plan, step, up, type UpOptions } from './lab-verbs.ts';
import { printFailure } from './output.ts';
import { exec, shell } from './process-verbs.ts';
import { collect, records, type RecordsOptions } from './records-verb.ts';
import { show, watchInventory } from './show-verb.ts';
import { test } from './test-verb.ts';
import { watch, type WatchOptions } from './watch-verb.ts';

/** Usage errors have the same status as documents that are wrong. */
const usageStatus = 2;

function parseRevision(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is a number from 1.');
  return Number(text);
}

/** `never` stays a word: commander takes null for an option without a value. */
function parseConfirmWithin(text: string): number | 'never' {
  if (text === 'never') return text;
  const parsed = ConfirmWithinSchema.safeParse(/^\d{1,4}$/.test(text) ? Number(text) : undefined);
  if (!parsed.success) throw new InvalidArgumentError('It is a number from 5 to 3600, or never.');
  return parsed.data;
}

function parseDuration(text: string): number {
  const milliseconds = Number(text);
  if (/^\d{1,6}$/.test(text) && milliseconds >= 10 && milliseconds <= 600_000) return milliseconds;
  throw new InvalidArgumentError('It is a number from 10 to 600000.');
}

function parseInterval(text: string): number {
  const milliseconds = Number(text);
  if (/^\d{3,5}$/.test(text) && milliseconds <= 10_000) return milliseconds;
  throw new InvalidArgumentError('It is a number from 100 to 10000.');
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (/^\d{1,4}$/.test(text) && limit <= maximumExportRecords) return limit;
  throw new InvalidArgumentError(`It is a number up to ${String(maximumExportRecords)}.`);
}

/** Commander gives one word after the other, with what came before. */
function parsePids(text: string, before: readonly number[] | undefined): readonly number[] {
  const pid = Number(text);
  if (!/^[1-9]\d{0,9}$/.test(text) || pid > 2 ** 31 - 1) {
    throw new InvalidArgumentError('It is the number of a process, from 1.');
  }
  return [...(before ?? []), pid];
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('It is a number from 1.');
  return Number(text);
}

function parseSnapLength(text: string): number {
  const length = Number(text);
  if (/^\d{2,6}$/.test(text) && length >= 64 && length <= 262_144) return length;
  throw new InvalidArgumentError('It is a number from 64 to 262144.');
}

function readVersion(): string {
  const text = readFileSync(path.join(findApplicationRoot(), 'package.json'), 'utf8');
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null && 'version' in value
    ? String(value.version)
    : '0';
}

const realmOption = (): Option =>
  new Option(
    '--realm <realm>',
    'sandbox (the lab’s own), sandbox:NAME (shared) or host (this machine itself)',
  );
const readOnlyOption = (): Option =>
  new Option('--read-only', 'the agent looks and changes nothing');
const jsonOption = (): Option => new Option('--json', 'print the result as JSON');

interface Program {
  readonly command: Command;
  /** Exit status of the verb that ran; 0 for --help and --version. */
  readonly status: () => number;
}

/** Listeners of `show --watch`: the workbench is made before the verb knows what it listens to. */
type RealmListener = (realm: RealmName) => void;

function buildProgram(): Program {
  let status = 0;
  let listener: RealmListener = () => undefined;
  const command = new Command('netloom')
    .description('Brings labs up and down, shows what would change and what exists.')
    .version(readVersion())
    .configureHelp({ showGlobalOptions: false })
    // Options after the words of `exec` belong to the command that it runs.
    .enablePositionalOptions()
    .showHelpAfterError('(netloom --help shows what it understands)')
    .exitOverride();

  /** Runs a verb with a context of its own, and lets go of all agents after it. */
  const run = async (verb: (context: Context) => Promise<number>): Promise<void> => {
    const context = createContext((message) => {
      if (message.stream === 'inventory' || message.stream === 'realm') {
        listener(message.value.realm);
      }
    });
    try {
      status = await verb(context);
    } finally {
      context.workbench.close();
      context.library.close();
    }
  };

  command
    .command('up')
    .argument('<file>', 'lab file, or the name of a lab in the library')
    .description('bring a lab up, or change it to its file; then run its checks')
    .addOption(realmOption())
    .option('--yes', 'apply without asking')
    .option('--internet', 'let the lab’s realm reach what you can reach, until it ends')
    .option('--scale', 'make a CPU split for more CPUs smaller, in proportion')
    .option('--replace', 'take the lab’s name over from another file')
    .option('--revision <n>', 'bring up a kept revision instead of the file', parseRevision)
    .option(
      '--confirm-within <seconds>',
      'time to confirm a change that could cut people off; never: without a deadline',
      parseConfirmWithin,
    )
    .addOption(jsonOption())
    .action((file: string, options: UpOptions) => run((context) => up(context, file, options)));
  command
    .command('plan')
    .argument('<file>', 'lab file, or the name of a lab in the library')
    .description('show what would change; without a realm against nothing')
    .addOption(realmOption())
    .addOption(
      new Option('--commands', 'print the standard commands that do the same').conflicts('json'),
    )
    .addOption(jsonOption())
    .action((file: string, options: Parameters<typeof plan>[2]) =>
      run((context) => plan(context, file, options)),
    );
  command
    .command('check')
    .argument('<lab>', 'lab that is up, or its file')
    .description('run the checks of a lab')
    .addOption(jsonOption())
    .action((lab: string, options: Parameters<typeof check>[2]) =>
      run((context) => check(context, lab, options)),
    );
  for (const verb of ['undo', 'redo'] as const) {
    command
      .command(verb)
      .argument('<lab>', 'lab, or its file')
      .description(verb === 'undo' ? 'go one revision back' : 'go one revision forth')
      .addOption(jsonOption())
      .action((lab: string, options: Parameters<typeof step>[3]) =>
        run((context) => step(context, verb, lab, options)),
      );
  }
  for (const verb of ['confirm', 'revert'] as const) {
    command
      .command(verb)
      .argument('<lab>', 'lab, or its file')
      .description(
        verb === 'confirm'
          ? 'keep a change that waits to be confirmed'
          : 'take a change back that waits to be confirmed',
      )
      .addOption(jsonOption())
      .action((lab: string, options: Parameters<typeof settle>[3]) =>
        run((context) => settle(context, `lab.${verb}`, lab, options)),
      );
  }
  command
    .command('down')
    .argument('[lab]', 'lab, or its file')
    .description('take a lab down; the last one ends its sandbox')
    .option('--all', 'take every lab down')
    .addOption(jsonOption())
    .action((lab: string | undefined, options: Parameters<typeof down>[2]) =>
      run((context) => down(context, lab, options)),
    );
  command
    .command('list')
    .description('list the labs and their states')
    .addOption(jsonOption())
    .action((options: Parameters<typeof list>[1]) => run((context) => list(context, options)));
  command
    .command('show')
    .description('show what exists in the realms')
    .addOption(realmOption())
    .option('--watch', 'go on showing as it changes')
    .addOption(jsonOption())
    .action((options: Parameters<typeof show>[1] & { readonly watch?: boolean }) =>
      run((context) =>
        options.watch === true
          ? watchInventory(context, options, (handler) => {
              listener = handler;
            })
          : show(context, options),
      ),
    );
  command
    .command('link')
    .argument('<lab>', 'lab that is up')
    .argument('<interface>', 'NODE:INTERFACE of it')
    .addArgument(new Argument('<what>', 'what happens to it').choices(linkVerbs))
    .description('take an interface down or bring it up, in the kernel alone')
    .option('--for <milliseconds>', 'how long a flap lasts', parseDuration, 1000)
    .addOption(jsonOption())
    .action((lab: string, endpoint: string, what: LinkVerb, options: LinkOptions) =>
      run((context) => link(context, lab, endpoint, what, options)),
    );
  command
    .command('records')
    .argument('<lab>', 'lab that is up')
    .argument('<node>', 'node of it that has a collector')
    .description('show what the collector of a node has received of flows and counters')
    .option('--limit <n>', 'how many records, the latest', parseLimit, 20)
    .addOption(jsonOption())
    .action((lab: string, node: string, options: RecordsOptions) =>
      run((context) => records(context, lab, node, options)),
    );
  const cpu = command
    .command('cpu')
    .description('look at CPU splits, and bind processes to their groups');
  cpu
    .command('show')
    .argument('<lab>', 'lab that is up')
    .description('show a lab’s CPU groups, what they use and how often they are held back')
    .option('--watch', 'go on showing')
    .option('--every <milliseconds>', 'time between two looks', parseInterval, 1000)
    .addOption(jsonOption())
    .action((lab: string, options: CpuShowOptions) =>
      run((context) => cpuShow(context, lab, options)),
    );
  const treeOption = (): Option =>
    new Option('--tree', 'with all that they have started, also what they start meanwhile');
  cpu
    .command('bind')
    .argument('<lab>', 'lab that is up')
    .argument('<group>', 'path of a group, such as A/A1; / is the root')
    .argument('<pids...>', 'processes, by their numbers', parsePids)
    .description('put processes into a CPU group, with all their threads')
    .addOption(treeOption())
    .addOption(jsonOption())
    .action((lab: string, group: string, pids: readonly number[], options: CpuBindOptions) =>
      run((context) => cpuBind(context, lab, group, pids, options)),
    );
  cpu
    .command('unbind')
    .argument('<lab>', 'lab that is up')
    .argument('<pids...>', 'processes that were bound', parsePids)
    .description('put processes back where they were before they were bound')
    .addOption(treeOption())
    .addOption(jsonOption())
    .action((lab: string, pids: readonly number[], options: CpuBindOptions) =>
      run((context) => cpuBind(context, lab, null, pids, options)),
    );
  cpu
    .command('plan')
    .argument('<file>', 'lab file, or the name of a lab in the library')
    .description('show what a CPU split comes to, on the machine that it is written for')
    .option('--scale', 'for this machine’s CPUs, every cap in proportion')
    .addOption(
      new Option('--commands', 'print the writes to control groups that do it').conflicts('json'),
    )
    .addOption(jsonOption())
    .action((file: string, options: CpuPlanOptions) =>
      run((context) => cpuPlan(context, file, options)),
    );
  command
    .command('collect')
    .argument('[words...]', '--netflow PORT, --ipfix PORT, --sflow PORT')
    .description('collect NetFlow, IPFIX and sFlow here, and print records as JSON lines')
    .passThroughOptions()
    .allowUnknownOption()
    .action(async (words: string[]) => {
      status = await collect(words);
    });
  command
    .command('dissect')
    .argument('[file]', 'capture (pcap or pcapng); - is standard input')
    .description('show the packets of a capture, a line each')
    .option('-c, --count <n>', 'stop after so many packets', parseCount)
    .option(
      '-Y, --filter <filter>',
      'leave out what this display filter does not mean, such as "ip.addr == 10.0.0.0/8 && tcp"',
    )
    .option('-v, --verbose', 'show every field below its packet, with the bytes it was read from')
    .option('--fields', 'list the fields that packets may have, instead of packets')
    .option('--json', 'print one JSON object a packet')
    .action(async (file: string | undefined, options: DissectOptions) => {
      status = await dissectCapture(file, options);
    });
  command
    .command('watch')
    .argument('[lab]', 'lab that is up; without one everything in --realm')
    .description('show what interfaces receive and send, as it happens')
    .option('--realm <realm>', 'sandbox:NAME or host')
    .option('--every <milliseconds>', 'time between two looks', parseInterval, 1000)
    .option('-c, --count <n>', 'stop after so many looks', parseCount)
    .option('--csv', 'print comma-separated values, a line for each interface and look')
    .addOption(jsonOption())
    .action((lab: string | undefined, options: WatchOptions) =>
      run((context) => watch(context, lab, options)),
    );
  command
    .command('capture')
    .argument(
      '<words...>',
      'lab that is up, then nodes of it or NODE:DEV, all of it without; with --realm NAMESPACE:DEV or DEV',
    )
    .description('show packets as they pass, a line each, or write them to a file')
    .option('-f, --filter <filter>', 'only what this means, in the syntax of tcpdump')
    .option('-w, --write <file>', 'write pcapng for Wireshark and others; - is standard output')
    .option('-c, --count <n>', 'stop after so many packets', parseCount)
    .option('-s, --snap-length <bytes>', 'bytes of a packet at most', parseSnapLength, 262_144)
    .addOption(
      new Option('--flows', 'show who talked to whom when it ends, instead of packets').conflicts(
        'write',
      ),
    )
    .option('--realm <realm>', 'sandbox:NAME or host')
    .option('--json', 'print one JSON object a packet, or a flow')
    .addOption(
      new Option('--csv', 'print flows as comma-separated values').implies({ flows: true }),
    )
    .action((words: string[], options: CaptureOptions) =>
      run((context) => capture(context, words, options)),
    );
  command
    .command('exec')
    .argument('<lab>', 'lab that is up')
    .argument('<node>', 'node of it; - is the realm itself')
    .argument('<command...>', 'command and its arguments, after --')
    .description('run a command in a node; its exit status is the command’s')
    .passThroughOptions()
    .action((lab: string, node: string, words: string[]) =>
      run((context) => exec(context, lab, node, words)),
    );
  command
    .command('shell')
    .argument('<lab>', 'lab that is up')
    .argument('[node]', 'node of it; without one the realm itself')
    .description('open a shell in a node or in the realm')
    .action((lab: string, node: string | undefined) => run((context) => shell(context, lab, node)));
  command
    .command('test')
    .argument('<file...>', 'lab files')
    .description('try each lab in a fresh sandbox: up, check, down, nothing left')
    .addOption(jsonOption())
    .action((files: string[], options: Parameters<typeof test>[2]) =>
      run((context) => test(context, files, options)),
    );
  command
    .command('doctor')
    .description('try what this machine can do, and say what is missing')
    .addOption(jsonOption())
    .action((options: Parameters<typeof doctor>[1]) => run((context) => doctor(context, options)));

  const agent = command.command('agent').description('start, stop and look at agents');
  agent
    .command('start')
    .description('make what is missing of a realm and its agent; the host’s is root’s to start')
    .addOption(realmOption())
    .addOption(readOnlyOption())
    .addOption(jsonOption())
    .action((options: Parameters<typeof agentStart>[1]) =>
      run((context) => agentStart(context, options)),
    );
  agent
    .command('stop')
    .description('end the agent; the realm and its labs go on')
    .addOption(realmOption())
    .action((options: Parameters<typeof agentStop>[1]) =>
      run((context) => agentStop(context, options)),
    );
  agent
    .command('status')
    .description('show the realms, their keepers, agents and labs')
    .addOption(realmOption())
    .addOption(jsonOption())
    .action((options: Parameters<typeof agentStatus>[1]) =>
      run((context) => agentStatus(context, options)),
    );
  agent
    .command('enrol')
    .argument('<user>', 'user of this machine')
    .description('let a user speak to the host’s agent (as root)')
    .action((user: string) => run((context) => agentEnrol(context, user)));
  agent
    .command('revoke')
    .argument('<user>', 'user of this machine')
    .description('no longer let a user speak to the host’s agent (as root)')
    .action((user: string) => run((context) => agentRevoke(context, user)));
  agent
    .command('serve')
    .description('run an agent in the foreground')
    .addOption(realmOption())
    .addOption(readOnlyOption())
    .action((options: Parameters<typeof agentServe>[1]) =>
      run((context) => agentServe(context, options)),
    );
  return { command, status: () => status };
}

function usageStatusOf(error: CommanderError): number {
  const shown = ['commander.helpDisplayed', 'commander.version'];
  return shown.includes(error.code) ? 0 : usageStatus;
}

/** Understands `words` (without program and script) and does it; gives the exit status. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const program = buildProgram();
  const { command } = program;
  try {
    // Without a verb there is nothing to do: that is how to ask what there is.
    if (words.length === 0) {
      command.outputHelp({ error: true });
      return usageStatus;
    }
    await command.parseAsync([...words], { from: 'user' });
    return program.status();
  } catch (error) {
    if (error instanceof CommanderError) return usageStatusOf(error);
    return printFailure({
      kind: 'bug',
      code: 'unexpected-error',
      object: 'netloom',
      reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
      next: 'Report this.',
    });
  }
}
