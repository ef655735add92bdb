/** CPU groups on a machine whose first process is systemd, in a guest with cpuset and two CPUs (cpu-systemd.inside.ts). */
import { GuestReports } from '../harness/guest-reports.ts';

const reports = await GuestReports.collect(
  'emulated-systemd-host',
  (places) =>
    places.vitest({
      directory: 'test/guest',
      files: ['test/guest/cpu-systemd.inside.ts'],
      stem: 'inside',
    }),
  { machine: 'emulated', init: 'systemd', cpus: 2, timeoutSeconds: 900 },
);

// How the tests went is said one by one.
reports.testBoot('A machine of systemd’s with cpuset', [0, 1]);
if (reports.run !== null) reports.testInside('inside', 'cpu-systemd.inside.ts');
