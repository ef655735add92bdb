/** CPU groups on a machine whose first process is systemd, in a guest (cpu-systemd.inside.ts; without cpuset). */
import { GuestReports } from '../harness/guest-reports.ts';

const reports = await GuestReports.collect(
  'guest-systemd-host',
  (places) =>
    places.vitest({
      directory: 'test/guest',
      files: ['test/guest/cpu-systemd.inside.ts'],
      stem: 'inside',
    }),
  { machine: 'user-mode', init: 'systemd', timeoutSeconds: 900 },
);

// How the tests went is said one by one.
reports.testBoot('A machine of systemd’s', [0, 1]);
if (reports.run !== null) reports.testInside('inside', 'cpu-systemd.inside.ts');
