/**
 * CPU groups on a machine whose first process is systemd, in a guest without cpuset: what systemd does
 * (cpu-systemd.inside.ts), and what ours come to there (cpu-holder.inside.ts).
 */
import { GuestReports } from '../harness/guest-reports.ts';

const reports = await GuestReports.collect(
  'guest-systemd-host',
  (places) =>
    places.vitest({
      directory: 'test/guest',
      files: ['test/guest/cpu-systemd.inside.ts', 'test/guest/cpu-holder.inside.ts'],
      stem: 'inside',
    }),
  { machine: 'user-mode', init: 'systemd', timeoutSeconds: 900 },
);

// How the tests went is said one by one.
reports.testBoot('A machine of systemd’s', [0, 1]);
if (reports.run !== null) {
  reports.testInside('inside', 'cpu-systemd.inside.ts');
  reports.testInside('inside', 'cpu-holder.inside.ts');
}
