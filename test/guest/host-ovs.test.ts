/** The host's realm with the machine's own Open vSwitch, in a guest (host-ovs.inside.ts). */
import { GuestReports } from '../harness/guest-reports.ts';

const reports = await GuestReports.collect(
  'guest-host-ovs',
  (places) =>
    places.vitest({
      directory: 'test/guest',
      files: ['test/guest/host-ovs.inside.ts'],
      stem: 'inside',
    }),
  { machine: 'user-mode', timeoutSeconds: 1500 },
);

// How the tests went is said one by one.
reports.testBoot('The machine’s Open vSwitch', [0, 1]);
if (reports.run !== null) reports.testInside('inside', 'host-ovs.inside.ts');
