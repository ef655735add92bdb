/** CPU splits on cgroup v2, in a guest with 16 CPUs (cpu.inside.ts, cpu-rules.inside.ts). */
import { bundleDirectory, bundleForGuest } from '../harness/guest-bundle.ts';
import { GuestReports } from '../harness/guest-reports.ts';

const files = await bundleForGuest([
  'test/emulated/cpu.inside.ts',
  'test/emulated/cpu-rules.inside.ts',
]);
const reports = await GuestReports.collect(
  'guest-cpu',
  (places) => places.vitest({ directory: bundleDirectory, files, stem: 'inside', isolate: false }),
  // Once in a while 16 processors that are threads on fewer real ones wait for each other for ever; the longest that a test
  // goes on without a word is half of this.
  { machine: 'emulated', timeoutSeconds: 1500, silentSeconds: 240, cpus: 16 },
  2,
);

// How the tests went is said one by one.
reports.testBoot('CPU splits', [0, 1]);
if (reports.run !== null) {
  reports.testInside('inside', 'cpu.inside.mjs');
  reports.testInside('inside', 'cpu-rules.inside.mjs');
}
