/**
 * Prints what the kernel offers where it is started, as JSON, and ends. `netloom doctor` runs it in a throw-away realm:
 * what can be made there is what a lab can have.
 */
import { succeed } from './api/result.ts';
import { lackOfVirtualization, machineLackOf } from './apply/guest-system.ts';
import { probeCapabilities } from './kernel/capabilities.ts';
import { describeCpuOffers, readyDelegatedGroups } from './services/cpu-realm.ts';
import { datapathCapability, lackOfKernelDatapath } from './ovs/datapath.ts';

// Not a question but its answer made true: what a keeper that is started from here may have.
if (process.argv[2] === 'delegated-groups') {
  process.stdout.write(`${JSON.stringify(readyDelegatedGroups())}\n`);
  process.exit();
}

/** What belongs to the machine, not to a realm: this is asked outside of one. */
const ofMachine = process.argv[2] === 'cpu';
const kernel = ofMachine
  ? succeed({ capabilities: [...describeCpuOffers()] })
  : probeCapabilities();
const describe = (name: string, lack: string | null) => ({
  name,
  available: lack === null,
  reason: lack ?? '',
});
const others = ofMachine
  ? []
  : [
      describe(datapathCapability, lackOfKernelDatapath()),
      describe('guest-system', machineLackOf('guest-system')),
      describe('device:kvm', await lackOfVirtualization()),
    ];
const report = kernel.ok
  ? succeed({ ...kernel.value, capabilities: [...kernel.value.capabilities, ...others] })
  : kernel;
process.stdout.write(`${JSON.stringify(report)}\n`);
