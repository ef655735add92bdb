/**
 * Prints what the kernel offers where it is started, as JSON, and ends. `netloom doctor` runs it in a throw-away realm:
 * what can be made there is what a lab can have.
 */
import { probeCapabilities } from './kernel/capabilities.ts';

process.stdout.write(`${JSON.stringify(probeCapabilities())}\n`);
