/** The `netloom` command as a bundle: does what its words ask and ends the process when all that was written is out. */
import { runCommandLine } from './main.ts';

// A reader that has seen enough (`| head`) is no error of ours.
process.stdout.on('error', () => process.exit(0));
// What is waited for may be a process that by itself keeps nothing going (detached, its pipes closed).
const vigil = setInterval(() => undefined, 60_000);
const status = await runCommandLine(process.argv.slice(2));
clearInterval(vigil);
await new Promise((resolve) => process.stdout.write('', resolve));
await new Promise((resolve) => process.stderr.write('', resolve));
process.exit(status);
