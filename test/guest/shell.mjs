#!/usr/bin/env node
/**
 * Runs one command as root in the guest and ends with its status:
 *
 *     node test/guest/shell.mjs [--emulated] [--systemd] [--cpus N] [--memory MIB] [--limit SECONDS] [--network] -- COMMAND [ARGUMENT…]
 *
 * The guest is Linux as a process; --emulated is a PC, which is slower and has more processors (--cpus) and a NIC (--network).
 * With --systemd its first process is systemd, of which the command is a service.
 * It starts in the current directory and can write everywhere; only what it puts in $NETLOOM_GUEST_RESULTS, which is
 * printed at the end when something is in it, outlives it. Build before: the guest sees the checkout as it is.
 */
import { parseArgs } from 'node:util';
import { GuestFailure, GuestUnavailable, runInGuest } from '../harness/guest.mjs';

const usage =
  'node test/guest/shell.mjs [--emulated] [--systemd] [--cpus N] [--memory MIB] [--limit SECONDS] [--network] -- COMMAND …';

const separator = process.argv.indexOf('--');
const command = separator < 0 ? [] : process.argv.slice(separator + 1);
if (command.length === 0) {
  process.stderr.write(`Usage: ${usage}\n`);
  process.exit(2);
}
const { values } = parseArgs({
  args: process.argv.slice(2, separator),
  options: {
    emulated: { type: 'boolean', default: false },
    systemd: { type: 'boolean', default: false },
    cpus: { type: 'string', default: '1' },
    memory: { type: 'string', default: '2048' },
    limit: { type: 'string', default: '600' },
    network: { type: 'boolean', default: false },
  },
});
const quote = (word) => `'${word.replaceAll("'", `'\\''`)}'`;

try {
  const { status, seconds, bootSeconds, missingModules } = await runInGuest({
    // One word is a script, as with `sh -c`.
    script: command.length === 1 ? command[0] : command.map(quote).join(' '),
    machine: values.emulated ? 'emulated' : 'user-mode',
    init: values.systemd ? 'systemd' : 'shell',
    cpus: Number(values.cpus),
    memory: Number(values.memory),
    timeoutSeconds: Number(values.limit),
    network: values.network,
    receive: (chunk) => process.stdout.write(chunk),
  });
  const missing = missingModules.length > 0 ? ` Missing: ${missingModules.join(' ')}.` : '';
  process.stderr.write(
    `guest: status ${status}, booted in ${bootSeconds} s, ${seconds.toFixed(1)} s in all.${missing}\n`,
  );
  process.exitCode = status;
} catch (error) {
  if (!(error instanceof GuestFailure) && !(error instanceof GuestUnavailable)) throw error;
  process.stderr.write(`guest: ${error.message}\n`);
  process.exitCode = 125;
}
