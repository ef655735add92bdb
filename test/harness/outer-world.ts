/**
 * A machine on paper with a world around it, for tests of what reaches out of a sandbox: a network namespace that plays
 * the machine, wired to another that plays everything outside. The addresses are those of documentation (RFC 5737);
 * nothing leaves the two.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A server outside, behind the machine's default route: TCP answers `outside`, UDP too. */
export const outside = { address: '198.51.100.9', port: 8080 } as const;
/** The machine's own address, and a port of its loopback, where TCP and UDP answer `loopback`. */
export const machine = { address: '203.0.113.1', loopbackPort: 7777 } as const;

const script = `
ip link set lo up
unshare --net sleep infinity &
world=$!
until [ "$(readlink /proc/$world/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link add up0 type veth peer name down0 netns $world
ip address add ${machine.address}/24 dev up0
ip link set up0 up
in_world() { nsenter -t $world -n -- "$@"; }
in_world ip link set lo up
in_world ip address add 203.0.113.9/24 dev down0
in_world ip address add ${outside.address}/32 dev lo
in_world ip link set down0 up
ip route add default via 203.0.113.9
echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range
in_world socat TCP-LISTEN:${outside.port},reuseaddr,fork SYSTEM:'echo outside' &
in_world socat UDP-RECVFROM:${outside.port},fork SYSTEM:'echo outside' &
socat TCP-LISTEN:${machine.loopbackPort},bind=127.0.0.1,reuseaddr,fork SYSTEM:'echo loopback' &
socat UDP-RECVFROM:${machine.loopbackPort},bind=127.0.0.1,fork SYSTEM:'echo loopback' &
until [ "$(ss -Hlntu | grep -c :${machine.loopbackPort})" = 2 ]; do sleep 0.01; done
until [ "$(in_world ss -Hlntu | grep -c :${outside.port})" = 2 ]; do sleep 0.01; done
echo ready
read -r _
`;

export interface OuterWorld {
  /** Words that run a command in the machine's network. */
  readonly enter: readonly string[];
  /** Runs a command there; what it printed. */
  readonly run: (...command: readonly string[]) => string;
  readonly end: () => void;
}

/** Ends with the test's process, whose pipe it waits on. */
export async function makeOuterWorld(): Promise<OuterWorld> {
  const isRoot = process.getuid?.() === 0;
  const child: ChildProcess = spawn(
    'unshare',
    [
      ...(isRoot ? [] : ['--user', '--map-root-user']),
      ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
      ...['--', 'sh', '-e', '-c', script],
    ],
    { cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] },
  );
  let errors = '';
  child.stderr?.on('data', (data: Buffer) => (errors += data.toString()));
  if (child.stdout === null) throw new Error('it has a pipe');
  let ready = false;
  for await (const line of createInterface({ input: child.stdout })) {
    ready = line === 'ready';
    break;
  }
  if (!ready) throw new Error(`no outer world: ${errors}`);
  const user = isRoot ? [] : ['-U', '--preserve-credentials'];
  const enter = ['nsenter', '-t', String(child.pid), ...user, '-n', '--'];
  return {
    enter,
    run: (...command) => {
      const [program = '', ...args] = [...enter, ...command];
      const result = spawnSync(program, args, { cwd: '/', timeout: 20_000, input: '' });
      return result.stdout.toString();
    },
    end: () => void child.kill('SIGKILL'),
  };
}
