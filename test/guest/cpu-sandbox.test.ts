/** CPU groups in a sandbox on cgroup v2: what test/cli has of it, in a guest (without cpuset). */
import { GuestReports } from '../harness/guest-reports.ts';

const reports = await GuestReports.collect(
  'guest-cpu-sandbox',
  (places) =>
    places.vitest({
      directory: 'test/cli',
      files: ['test/cli/cpu-sandbox.test.ts'],
      stem: 'inside',
    }),
  { machine: 'user-mode', timeoutSeconds: 900 },
);

reports.testBoot('CPU groups in a sandbox', [0, 1]);
if (reports.run !== null) reports.testInside('inside', 'cpu-sandbox.test.ts');
