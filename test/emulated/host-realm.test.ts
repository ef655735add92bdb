/**
 * What takes a whole machine with Debian's full kernel and a NIC. The host realm: test/cli/host-realm.test.ts where root, /run,
 * /var/lib and the machine's own network namespace are the guest's; of the tests there, those that such
 * a machine may answer otherwise; the rest is tried by the tier cli alone, since the guest is slow. And what Linux as a process
 * (test/guest) lacks, with the labs that need it.
 */
import { GuestReports, sayWhen } from '../harness/guest-reports.ts';
import { switchLabs, translatesAddresses } from '../harness/lab-needs.ts';

/** Beginnings or parts of names; each is to be found among those that ran. */
const wanted = [
  ...['is as it was with an agent', 'keeps its NIC', 'brings the lab', 'holds several labs'],
  ...['of a namespace is refused', 'of a tap is refused', 'runs as the person'],
  ...['is known again, and ends with its lab', 'by tester runs'],
  ...['at kill-after:3 leaves', 'stays once it is confirmed', 'goes back by its deadline'],
];

const features = {
  'a masquerading chain':
    'nft add table ip t; nft add chain ip t c "{ type nat hook postrouting priority srcnat; }"; nft add rule ip t c masquerade',
  'cgroup v2 with cpu and cpuset':
    'grep -qw cpu /sys/fs/cgroup/cgroup.controllers; grep -qw cpuset /sys/fs/cgroup/cgroup.controllers',
};

const labs = switchLabs.filter((lab) => translatesAddresses(lab));

const reports = await GuestReports.collect(
  'guest-host',
  (places) => {
    const tests = places.vitest({
      directory: 'test/cli',
      files: ['test/cli/host-realm.test.ts'],
      stem: 'report',
      only: wanted,
    });
    return `
${sayWhen}
${places.tryFeatures(features)}
# Before the host's realm, whose tests look for whatever else changes on the machine.
${places.testLabs('labs', labs)}
took labs
${tests} >${places.at('report.log')} 2>&1
took 'the host’s realm'
`;
  },
  { machine: 'emulated', cpus: 2, timeoutSeconds: 3000, network: true },
);

reports.testBoot('The whole machine');
if (reports.run !== null) {
  reports.testFeatures(features);
  reports.testLabs('root', 'labs', labs);
  reports.testInside('report', 'host-realm.test.ts', wanted);
}
