/**
 * What the machine's own kernel lacks, on Debian's full kernel in a guest: what that kernel has, the labs of the gallery
 * that need it, as root and as an ordinary user, and the kernel tier's tests of links. One boot runs all of it and leaves
 * reports; each entry of these is a test here.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { GuestFailure, GuestUnavailable, prepareGuest, runInGuest } from '../harness/guest.mjs';
import type { GuestResult } from '../harness/guest.d.mts';
import { hasOpenVswitch, needsFullKernel } from '../harness/lab-mutations.ts';
import {
  checkout,
  gallery,
  install,
  ordinaryUser,
  temporaryDirectory,
} from '../harness/netloom.ts';

/** Scripts that run by `sh -e` in a network namespace of their own, by what they show. */
const features: Readonly<Record<string, string>> = {
  'a dummy': 'ip link add d0 type dummy',
  'a bond in 802.3ad mode': 'ip link add b0 type bond mode 802.3ad',
  'an 802.1Q device': 'ip link add d0 type dummy; ip link add v0 link d0 type vlan id 7',
  'a GRE tunnel': 'ip link add g0 type gre local 192.0.2.1 remote 192.0.2.2',
  'a GRE tunnel of frames': 'ip link add g0 type gretap local 192.0.2.1 remote 192.0.2.2 key 7',
  'an IP-in-IP tunnel': 'ip link add i0 type ipip local 192.0.2.1 remote 192.0.2.2',
  'a VXLAN': 'ip link add x0 type vxlan id 7 dstport 4789 local 192.0.2.1 remote 192.0.2.2',
  'a Geneve tunnel': 'ip link add g0 type geneve id 7 remote 192.0.2.2',
  'a macvlan': 'ip link add d0 type dummy; ip link add m0 link d0 type macvlan mode bridge',
  'a VRF': 'ip link add r0 type vrf table 7',
  'a bridge that filters VLANs':
    'ip link add b0 type bridge vlan_filtering 1; ip -j -d link show b0 | grep -q \'"vlan_filtering":1\'',
  'a delay and loss (netem)':
    'tc qdisc add dev lo root netem delay 5ms loss 3%; tc -j qdisc show dev lo | grep -q \'"kind":"netem"\'',
  'a token bucket (tbf)': 'tc qdisc add dev lo root tbf rate 8mbit burst 4kb latency 50ms',
  'a masquerading chain':
    'nft add table ip t; nft add chain ip t c "{ type nat hook postrouting priority srcnat; }"; nft add rule ip t c masquerade',
  'Open vSwitch’s datapath': 'genl ctrl get name ovs_datapath | grep -q ovs_datapath',
  'cgroup v2 with cpu and cpuset':
    'grep -qw cpu /sys/fs/cgroup/cgroup.controllers; grep -qw cpuset /sys/fs/cgroup/cgroup.controllers',
  'modules that the kernel loads itself':
    '! grep -q ^ipvlan /proc/modules; ip link add d0 type dummy; ip link add i0 link d0 type ipvlan; grep -q ^ipvlan /proc/modules',
};
const featureNames = Object.keys(features);

/** The labs that need more than every kernel has; the others are tried on the machine's own (test/cli/lab-gallery.test.ts), Open vSwitch by ovs.test.ts. */
const labs = readdirSync(gallery)
  .filter((name) => name.endsWith('.yaml') && needsFullKernel(name) && !hasOpenVswitch(name))
  .sort();

/** The kernel tier's tests of what links the kernel can make, and of the labs that need them. */
const kernelTests = readdirSync(path.join(checkout, 'test/kernel'))
  .filter((name) => /^(?:device|netlink|full-kernel)-.*\.test\.ts$/.test(name))
  .sort();

const people = [
  { who: 'root', stem: 'labs-root' },
  { who: 'an ordinary user', stem: 'labs-user' },
];

interface LabReport {
  readonly files: readonly {
    readonly file: string;
    readonly outcome: string;
    readonly reason: string | null;
  }[];
}

/** vitest's own report, as far as it is read here. */
interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[] | null;
    }[];
  }[];
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function writeScript(results: string): string {
  const { root, node } = install();
  const at = (name: string): string => quote(path.join(results, name));
  const netloom = `${quote(node)} ${quote(path.join(root, 'main/cli/netloom.mjs'))}`;
  const files = labs.map((name) => quote(path.join(root, 'assets/labs', name))).join(' ');
  const home = '/tmp/guest-person';
  const asUser = `setpriv --reuid ${ordinaryUser} --regid ${ordinaryUser} --clear-groups env HOME=${home} XDG_RUNTIME_DIR=${home}/run`;
  const vitest = [process.execPath, 'node_modules/vitest/vitest.mjs', 'run']
    .concat(['--config', 'test/vitest.config.ts', '--dir', 'test/kernel', '--no-file-parallelism'])
    .concat(['--reporter=default', '--reporter=json'])
    .concat(kernelTests.map((name) => `test/kernel/${name}`))
    .map(quote)
    .join(' ');
  return `
took() { echo "$1: $(cut -d ' ' -f 1 /proc/uptime)"; }
${featureNames
  .map(
    (name, index) =>
      `unshare --net sh -ec ${quote(features[name] ?? 'false')} >${at(`feature-${index}.log`)} 2>&1; echo $? >${at(`feature-${index}.status`)}`,
  )
  .join('\n')}
took features
# The kernel tier asks for namespaces with nothing but a loopback; afterwards they have the fallback tunnels again.
echo 1 >/proc/sys/net/core/fb_tunnels_only_for_init_net
(
  cd /
  ${netloom} test --json ${files} >${at('labs-root.json')} 2>${at('labs-root.log')}
  took 'labs as root'
) &
root=$!
NETLOOM_FULL_KERNEL=1 unshare --net --mount --propagation private sh -c 'mount -t tmpfs tmpfs /run && exec "$@"' sh \\
  ${vitest} --outputFile.json=${at('vitest.json')} >${at('vitest.log')} 2>&1
took 'kernel tests'
echo 0 >/proc/sys/net/core/fb_tunnels_only_for_init_net
mkdir -m 700 ${home} ${home}/run
chown -R ${ordinaryUser}:${ordinaryUser} ${home}
(
  cd /
  ${asUser} ${netloom} test --json ${files} >${at('labs-user.json')} 2>${at('labs-user.log')}
)
took 'labs as a user'
wait $root
free -m
`;
}

interface Outcome {
  readonly results: string;
  readonly run: GuestResult | null;
  readonly problem: string | null;
  /** Why there is no guest here, in one sentence. */
  readonly missing: string | null;
}

async function runEverything(): Promise<Outcome> {
  let results = '';
  try {
    // Before anything is made: where every test is skipped, no hook runs that would remove it.
    prepareGuest();
    results = path.join(temporaryDirectory('guest'), 'results');
    mkdirSync(results);
    const run = await runInGuest({
      script: writeScript(results),
      results,
      workingDirectory: checkout,
      timeoutSeconds: 2400,
      receive: (chunk) => process.stderr.write(chunk),
    });
    return { results, run, problem: null, missing: null };
  } catch (error) {
    if (error instanceof GuestUnavailable) {
      return { results, run: null, problem: null, missing: error.message };
    }
    if (!(error instanceof GuestFailure)) throw error;
    return { results, run: null, problem: error.message, missing: null };
  }
}

const { results, run, problem, missing } = await runEverything();

function read(name: string): string {
  return readFileSync(path.join(results, name), 'utf8');
}

function readReport<T>(stem: string): T {
  try {
    return JSON.parse(read(`${stem}.json`)) as T;
  } catch {
    throw new Error(`No report; what was printed:\n${read(`${stem}.log`).slice(-4000)}`);
  }
}

function readVitestReport(): VitestReport | null {
  try {
    return readReport<VitestReport>('vitest');
  } catch {
    return null;
  }
}

if (missing !== null) {
  process.stderr.write(`The guest tier is skipped: ${missing}\n`);
  it.skip(`The full kernel’s tests need a guest: ${missing}`, () => undefined);
} else {
  it('the guest boots, runs everything and comes to its end', () => {
    expect(problem).toBeNull();
    expect(run?.status).toBe(0);
  });
}

if (run !== null) {
  describe('the guest’s kernel', () => {
    it('has all modules that are asked for', () => {
      expect(run.missingModules).toEqual([]);
    });

    it('is not the machine’s', () => {
      const own = spawnSync('uname', ['-r'], { encoding: 'utf8' }).stdout.trim();
      expect(prepareGuest().release).not.toBe(own);
    });

    it.each(featureNames.map((name, index) => ({ name, index })))('has $name', ({ index }) => {
      expect(read(`feature-${index}.status`).trim(), read(`feature-${index}.log`)).toBe('0');
    });
  });

  describe.each(people)('in the guest as $who', ({ stem }) => {
    it.each(labs)('the lab %s works and leaves nothing', (lab) => {
      const report = readReport<LabReport>(stem);
      const found = report.files.filter(({ file }) => path.basename(file) === lab);
      // This kernel lacks nothing: a lab that is skipped here is one that never runs.
      const reasons = found.map(({ reason }) => reason ?? '').join('\n');
      expect(
        found.map(({ outcome }) => outcome),
        reasons,
      ).toEqual(['passed']);
    });

    it('nothing was built anew', () => {
      expect(read(`${stem}.log`)).not.toContain('Building');
    });
  });

  const vitestReport = readVitestReport();
  describe.each(kernelTests)('test/kernel/%s in the guest', (name) => {
    const file = vitestReport?.testResults.find((one) => path.basename(one.name) === name);

    it('is loaded and has tests', () => {
      expect(file, read('vitest.log').slice(-4000)).toBeDefined();
      expect(file?.assertionResults, file?.message).not.toEqual([]);
    });

    for (const { fullName, status, failureMessages } of file?.assertionResults ?? []) {
      it(fullName, (test) => {
        if (status === 'pending' || status === 'skipped' || status === 'todo') test.skip();
        const reason = [...(failureMessages ?? []), file?.message ?? ''].join('\n');
        expect(status, reason).toBe('passed');
      });
    }
  });
}
