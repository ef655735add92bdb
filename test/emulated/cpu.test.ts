/** CPU splits on cgroup v2, in a guest with 16 CPUs (cpu.inside.ts). */
import { GuestReports } from '../harness/guest-reports.ts';

const reports = await GuestReports.collect(
  'guest-cpu',
  (places) =>
    places.vitest({
      directory: 'test/emulated',
      files: ['test/emulated/cpu.inside.ts'],
      stem: 'inside',
    }),
  { machine: 'emulated', timeoutSeconds: 3000, cpus: 16 },
);

// How the tests went is said one by one.
reports.testBoot('CPU splits', [0, 1]);
if (reports.run !== null) reports.testInside('inside', 'cpu.inside.ts');
