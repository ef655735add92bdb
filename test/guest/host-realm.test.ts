/**
 * The host realm on a machine that is one: test/cli/host-realm.test.ts in a guest with Debian's full kernel and a NIC,
 * where root, /run, /var/lib and the machine's own network namespace are the guest's. Of the tests there, those that such
 * a machine may answer otherwise; the rest is tried by the tier cli alone, since the guest is slow.
 */
import { GuestReports } from '../harness/guest-reports.ts';

/** Beginnings or parts of names; each is to be found among those that ran. */
const wanted = [
  ...['is as it was with an agent', 'keeps its NIC', 'brings the lab', 'holds several labs'],
  ...['of a namespace is refused', 'of a tap is refused', 'runs as the person'],
  ...['is known again, and ends with its lab', 'by tester runs'],
  ...['at kill-after:3 leaves', 'stays once it is confirmed', 'goes back by its deadline'],
];

const reports = await GuestReports.collect(
  'guest-host',
  (places) =>
    places.vitest({
      directory: 'test/cli',
      files: ['test/cli/host-realm.test.ts'],
      stem: 'report',
      only: wanted,
    }),
  { timeoutSeconds: 3000, network: true },
);

// How the tests went is said one by one.
reports.testBoot('The host realm', [0, 1]);
if (reports.run !== null) reports.testInside('report', 'host-realm.test.ts', wanted);
