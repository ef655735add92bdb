/**
 * The labs of the gallery that need more than the machine's own kernel has, in a guest: as root, as an ordinary user, beside a
 * kernel's fallback tunnels, and by their transcripts; and what that kernel has. One boot runs all of it and leaves reports;
 * each entry of these is a test here.
 */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { prepareGuest } from '../harness/guest.mjs';
import { asPerson, GuestReports, makePerson, sayWhen } from '../harness/guest-reports.ts';
import { fullKernelLabs as labs } from '../harness/lab-needs.ts';

/** Scripts that run by `sh -e` in a network namespace of their own, by what they show. */
const features = {
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
  'Open vSwitch’s datapath': 'genl ctrl get name ovs_datapath | grep -q ovs_datapath',
  'modules that the kernel loads itself':
    '! grep -q ^ipvlan /proc/modules; ip link add d0 type dummy; ip link add i0 link d0 type ipvlan; grep -q ^ipvlan /proc/modules',
};

/** Those that a kernel's fallback tunnels could stand in the way of. */
const fallbackLabs = ['gre.yaml'];

const reports = await GuestReports.collect(
  'guest-labs',
  (places) => {
    const transcripts = places.vitest({
      directory: 'test/guest',
      files: ['test/guest/transcripts.inside.ts'],
      stem: 'transcripts',
    });
    return `
${sayWhen}${makePerson}
${places.tryFeatures(features)}
took features
${places.testLabs('labs-fallback', fallbackLabs)}
took 'labs beside fallback tunnels'
# The others ask for namespaces with nothing but a loopback.
echo 1 >/proc/sys/net/core/fb_tunnels_only_for_init_net
${places.testLabs('labs-root', labs)}
took 'labs as root'
${places.testLabs('labs-user', labs, asPerson)}
took 'labs as a user'
${transcripts} >${places.at('transcripts.log')} 2>&1
took 'transcripts'
`;
  },
  { machine: 'user-mode', timeoutSeconds: 1500 },
);

reports.testBoot('The labs');

if (reports.run !== null) {
  it('the guest’s kernel is not the machine’s', () => {
    const own = spawnSync('uname', ['-r'], { encoding: 'utf8' }).stdout.trim();
    expect(prepareGuest('user-mode').release).not.toBe(own);
  });

  reports.testFeatures(features);
  reports.testLabs('root', 'labs-root', labs);
  reports.testLabs('an ordinary user', 'labs-user', labs);
  reports.testLabs('root, beside fallback tunnels', 'labs-fallback', fallbackLabs);
  reports.testInside('transcripts', 'transcripts.inside.ts');
}
