/**
 * A machine for tests of the host realm, where Netloom works on the machine itself: namespaces with a network, /run,
 * /var/lib, processes and users of their own that pass for one, or a guest (test/emulated), which is one. Root has it,
 * and `tester`, an ordinary user. Everything in it ends with the test's process.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  type CommandResult,
  delay,
  ended,
  gallery,
  install,
  ordinaryUser,
  type RunOptions,
  temporaryDirectory,
} from './netloom.ts';
import { type NetworkState, readNetworkState } from './network-state.ts';

/** The guest is the machine. */
const isGuest = process.env['NETLOOM_GUEST'] === '1';

/** A group that the tester is in beside their own. */
export const extraGroup = 47_330;
/** Theirs, below a folder that is not theirs to write. */
export const testerHome = '/run/netloom-tester';

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Nothing of the machine around is written: what is mounted is mounted in a namespace of its own. */
const ownMounts = `
mount -t tmpfs none /run
mount -t tmpfs none /var/lib
cp /etc/passwd /run/passwd
cp /etc/group /run/group
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
`;

const users = `
echo 'tester:x:${ordinaryUser}:${ordinaryUser}::${testerHome}:/bin/sh' >>/etc/passwd
echo 'tester:x:${ordinaryUser}:' >>/etc/group
echo 'testers:x:${extraGroup}:tester' >>/etc/group
mkdir -p -m 700 /run/netloom-root
mkdir -p -m 700 ${testerHome} ${testerHome}/run
chown -R ${ordinaryUser}:${ordinaryUser} ${testerHome}
`;

export type Who = 'root' | 'tester';

export class HostMachine {
  readonly labs: string;
  /** Of the command's environment, beside what everybody has. */
  readonly variables: Record<string, string> = {};
  /** The words that run something in it, as root. */
  readonly enter: readonly string[];
  private readonly holder: ChildProcess | null;

  private constructor(enter: readonly string[], holder: ChildProcess | null) {
    this.enter = enter;
    this.holder = holder;
    this.labs = temporaryDirectory('host-labs');
  }

  static async open(): Promise<HostMachine> {
    if (process.getuid?.() !== 0) throw new Error('A machine of one’s own takes root.');
    if (isGuest) {
      const made = spawnSync('sh', ['-ec', users], { encoding: 'utf8' });
      if (made.status !== 0) throw new Error(made.stderr);
      return new HostMachine([], null);
    }
    const script = `set -e\n${ownMounts}${users}echo ready\nexec sleep infinity`;
    const flags = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child'];
    const holder = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'unshare', ...flags, 'sh', '-c', script],
      { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/', env: { PATH: systemPath } },
    );
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => {
        resolve();
      });
      holder.once('exit', () => {
        reject(new Error('the machine could not be made'));
      });
    });
    const first = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim();
    return new HostMachine(['nsenter', '-t', first, '-n', '-m', '-p', '--'], holder);
  }

  async close(): Promise<void> {
    await this.run('root', ['agent', 'stop', '--realm', 'host']);
    this.holder?.kill('SIGKILL');
  }

  /** Runs a command and gives what it printed; throws when it fails. */
  look(words: readonly string[], input?: string): string {
    const result = this.try(words, input);
    if (result.status === 0) return result.stdout;
    throw new Error(`${words.slice(0, 4).join(' ')}: ${result.stderr}`);
  }

  try(words: readonly string[], input?: string): CommandResult {
    const [program = '', ...args] = [...this.enter, ...words];
    const { status, stdout, stderr } = spawnSync(program, args, {
      encoding: 'utf8',
      cwd: '/',
      env: { PATH: systemPath, LC_ALL: 'C' },
      maxBuffer: 64 * 1024 * 1024,
      timeout: 120_000,
      ...(input === undefined ? {} : { input }),
    });
    return { status, stdout, stderr };
  }

  /** Runs a script by `sh -e`. */
  script(text: string): string {
    return this.look(['sh', '-e'], text);
  }

  /** Starts a program as root and leaves it running. */
  begin(
    words: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const [program = '', ...args] = [...this.enter, ...words];
    return spawn(program, args, {
      cwd: '/',
      stdio: 'ignore',
      env: { PATH: systemPath, ...environment },
    });
  }

  asTester(words: readonly string[]): readonly string[] {
    const user = String(ordinaryUser);
    return ['setpriv', '--reuid', user, '--regid', user, '--init-groups', '--', ...words];
  }

  /** The words that run the command. */
  command(args: readonly string[]): readonly string[] {
    const { root, node } = install();
    return [
      ...['env', `PATH=${path.dirname(node)}:${systemPath}`],
      ...[node, path.join(root, 'main/cli/netloom.mjs'), ...args],
    ];
  }

  /** The command, by somebody of the machine. */
  run(who: Who, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    const home = who === 'root' ? '/run/netloom-root' : testerHome;
    const own = Object.entries(this.variables).map(([name, value]) => `${name}=${value}`);
    const places = [`HOME=${home}`, `XDG_RUNTIME_DIR=${home}/run`];
    const command = ['env', ...places, ...own, ...this.command(args)];
    const [program = '', ...rest] = [
      ...this.enter,
      ...(who === 'root' ? command : this.asTester(command)),
    ];
    // The fourth descriptor is one that a shell may have left open: it must not come to those whom the agent serves.
    const stdio = ['pipe', 'pipe', 'pipe', 'ignore'] as const;
    const child = spawn(program, rest, { cwd: '/', stdio: [...stdio], env: { PATH: systemPath } });
    return ended(child, options);
  }

  async must(who: Who, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    const result = await this.run(who, args, options);
    if (result.status === 0) return result;
    throw new Error(
      `netloom ${args.join(' ')} ended with ${result.status}: ${result.stderr}${result.stdout}`,
    );
  }

  state(): NetworkState {
    return readNetworkState((command) => this.look(command));
  }

  /** The state once nothing changes any more: the kernel takes namespaces away a moment after their names. */
  async settledState(expected: NetworkState): Promise<NetworkState> {
    const wanted = JSON.stringify(expected);
    const end = Date.now() + 20_000;
    for (;;) {
      const state = this.state();
      if (JSON.stringify(state) === wanted || Date.now() > end) return state;
      await delay(100);
    }
  }

  /** Writes a lab file that everybody may read. */
  write(name: string, text: string): string {
    const file = path.join(this.labs, `${name}.yaml`);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  galleryFile(name: string): string {
    return this.write(name, readFileSync(path.join(gallery, `${name}.yaml`), 'utf8'));
  }

  /** Root's agent; the tester is enrolled. */
  async startAgent(): Promise<void> {
    await this.must('root', ['agent', 'start', '--realm', 'host']);
    // It makes their key.
    await this.run('tester', ['agent', 'status']);
    await this.must('root', ['agent', 'enrol', 'tester']);
    for (let round = 0; ; round += 1) {
      const result = await this.run('tester', ['agent', 'status', '--realm', 'host']);
      if (result.status === 0) return;
      if (round === 50) throw new Error(`the tester is not let in: ${result.stderr}`);
      await delay(100);
    }
  }

  /** Pid of the agent, in the machine's own numbers. */
  async agentPid(): Promise<number> {
    const { stdout } = await this.must('root', ['agent', 'status', '--realm', 'host', '--json']);
    const { realms } = JSON.parse(stdout) as { readonly realms: readonly { agentPid: number }[] };
    return realms[0]?.agentPid ?? 0;
  }

  /**
   * An agent with fault points, in place of the one that runs; gives its process. The command passes no such variable
   * on, so this is the command's own launch with an environment beside it.
   */
  async startFaultyAgent(fault: string): Promise<ChildProcess> {
    await this.must('root', ['agent', 'stop', '--realm', 'host']);
    const { root, node } = install();
    const agent = this.begin(
      [
        ...[node, path.join(root, 'dist/agent/agent.js'), '--realm', 'host'],
        ...['--runtime', '/run/netloom/host', '--state', '/var/lib/netloom'],
      ],
      { HOME: '/run/netloom-root', NETLOOM_TESTING: '1', NETLOOM_FAULT: fault },
    );
    for (let round = 0; ; round += 1) {
      const result = await this.run('tester', ['agent', 'status', '--realm', 'host']);
      if (result.status === 0) return agent;
      if (round === 50) throw new Error(`the agent does not answer: ${result.stderr}`);
      await delay(100);
    }
  }
}
