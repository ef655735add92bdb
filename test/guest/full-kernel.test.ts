/**
 * What the machine's own kernel lacks, on Debian's full kernel in a guest: what that kernel has, the labs of the gallery
 * that need it, as root and as an ordinary user, and the kernel tier's tests of links. One boot runs all of it and leaves
 * reports; each entry of these is a test here.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { prepareGuest } from '../harness/guest.mjs';
import {
  asPerson,
  type GuestPlaces,
  GuestReports,
  makePerson,
  quote,
  sayWhen,
} from '../harness/guest-reports.ts';
import { fullKernelLabs as labs } from '../harness/lab-needs.ts';
import { checkout } from '../harness/netloom.ts';

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

/** The kernel tier's tests of what links the kernel can make, and of the labs that need them. */
const kernelTests = readdirSync(path.join(checkout, 'test/kernel'))
  .filter((name) => /^(?:device|netlink|full-kernel)-.*\.test\.ts$/.test(name))
  .sort();

/** Those that a kernel's fallback tunnels could stand in the way of. */
const fallbackLabs = ['gre.yaml'];

const people = [
  { who: 'root', stem: 'labs-root', names: labs },
  { who: 'an ordinary user', stem: 'labs-user', names: labs },
  { who: 'root, beside fallback tunnels', stem: 'labs-fallback', names: fallbackLabs },
];

interface LabReport {
  readonly files: readonly {
    readonly file: string;
    readonly outcome: string;
    readonly reason: string | null;
  }[];
}

const reports = await GuestReports.collect('guest', writeScript, { timeoutSeconds: 2400 });

function writeScript(places: GuestPlaces): string {
  const vitest = places.vitest({ directory: 'test/kernel', files: kernelTests, stem: 'vitest' });
  const transcripts = places.vitest({
    directory: 'test/guest',
    files: ['test/guest/transcripts.inside.ts'],
    stem: 'transcripts',
  });
  return `
${sayWhen}${makePerson}
${featureNames
  .map(
    (name, index) =>
      `unshare --net sh -ec ${quote(features[name] ?? 'false')} >${places.at(`feature-${index}.log`)} 2>&1; echo $? >${places.at(`feature-${index}.status`)}`,
  )
  .join('\n')}
took features
# The kernel tier asks for namespaces with nothing but a loopback; before and afterwards they have the fallback tunnels.
${places.testLabs('labs-fallback', fallbackLabs)}
took 'labs beside fallback tunnels'
echo 1 >/proc/sys/net/core/fb_tunnels_only_for_init_net
(
  ${places.testLabs('labs-root', labs)}
  took 'labs as root'
  ${places.testLabs('labs-user', labs, asPerson)}
  took 'labs as a user'
  ${transcripts} >${places.at('transcripts.log')} 2>&1
  took 'transcripts'
) &
labs=$!
NETLOOM_FULL_KERNEL=1 unshare --net --mount --propagation private sh -c 'mount -t tmpfs tmpfs /run && exec "$@"' sh \\
  ${vitest} >${places.at('vitest.log')} 2>&1
took 'kernel tests'
wait $labs
free -m
`;
}

reports.testBoot('The full kernel');

if (reports.run !== null) {
  describe('the guest’s kernel', () => {
    it('is not the machine’s', () => {
      const own = spawnSync('uname', ['-r'], { encoding: 'utf8' }).stdout.trim();
      expect(prepareGuest().release).not.toBe(own);
    });

    it.each(featureNames.map((name, index) => ({ name, index })))('has $name', ({ index }) => {
      const log = reports.read(`feature-${index}.log`);
      expect(reports.read(`feature-${index}.status`).trim(), log).toBe('0');
    });
  });

  describe.each(people)('in the guest as $who', ({ stem, names }) => {
    it.each(names)('the lab %s works and leaves nothing', (lab) => {
      const files = reports.readReport<LabReport>(stem)?.files;
      expect(files, reports.read(`${stem}.log`).slice(-4000)).toBeDefined();
      const found = (files ?? []).filter(({ file }) => path.basename(file) === lab);
      // This kernel lacks nothing: a lab that is skipped here is one that never runs.
      const reasons = found.map(({ reason }) => reason ?? '').join('\n');
      expect(
        found.map(({ outcome }) => outcome),
        reasons,
      ).toEqual(['passed']);
    });

    it('nothing was built anew', () => {
      expect(reports.read(`${stem}.log`)).not.toContain('Building');
    });
  });

  for (const name of kernelTests) reports.testInside('vitest', name);
  reports.testInside('transcripts', 'transcripts.inside.ts');
}
