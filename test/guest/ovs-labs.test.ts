/** Every lab of the gallery with an Open vSwitch on the kernel's datapath, in a guest: as root, one of them as an ordinary user. */
import { asPerson, GuestReports, makePerson, sayWhen } from '../harness/guest-reports.ts';
import { switchLabs, translatesAddresses } from '../harness/lab-needs.ts';

// The others are tried in the emulated machine.
const labs = switchLabs.filter((lab) => !translatesAddresses(lab));
const byUser = labs.slice(0, 1);

const reports = await GuestReports.collect(
  'guest-ovs',
  (places) => `
${sayWhen}${makePerson}
${places.testLabs('root', labs)}
took 'labs as root'
${places.testLabs('user', byUser, asPerson)}
took 'a lab as a user'
`,
  { machine: 'user-mode', timeoutSeconds: 1500 },
);

reports.testBoot('Open vSwitch on the kernel’s datapath');
if (reports.run !== null) {
  reports.testLabs('root', 'root', labs);
  reports.testLabs('an ordinary user', 'user', byUser);
}
