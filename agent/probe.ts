/**
 * Prints what the kernel offers where it is started, as JSON, and ends. `netloom doctor` runs it in a throw-away realm:
 * what can be made there is what a lab can have.
 */
import { succeed } from './api/result.ts';
import { machineLackOf } from './apply/guest-system.ts';
import { probeCapabilities } from './kernel/capabilities.ts';

const kernel = probeCapabilities();
const lack = machineLackOf('guest-system');
const system = { name: 'guest-system', available: lack === null, reason: lack ?? '' };
const report = kernel.ok
  ? succeed({ ...kernel.value, capabilities: [...kernel.value.capabilities, system] })
  : kernel;
process.stdout.write(`${JSON.stringify(report)}\n`);
