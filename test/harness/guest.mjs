/**
 * A guest: a full kernel of Debian's, for what the machine's own lacks. It sees the machine's root read-only
 * under a layer in memory, so it has the same Node, the same programs and the same build, and can change nothing; the
 * one place that both can write is a directory for results. It has no network device, or one whose other end is in the
 * emulator itself and reaches nothing. Plain JavaScript on Node alone,
 * since it also runs by hand (test/guest/shell.mjs) and from any checkout.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { emulatedMachine } from './guest/emulated.mjs';
import { GuestUnavailable, needPrograms, systemPath } from './guest/host.mjs';
import { secondStage, thirdStage, writeInitramfs } from './guest/initramfs.mjs';
import { prepareSystemd } from './guest/systemd.mjs';
import { userModeMachine } from './guest/user-mode.mjs';

export { GuestUnavailable };

/** The guest did not come to the end of its script; the message says how far it came. */
export class GuestFailure extends Error {}

/** The guest said nothing for longer than it may. */
export class GuestSilent extends GuestFailure {}

const machines = { emulated: emulatedMachine, 'user-mode': userModeMachine };

/**
 * Loaded before the script, as on a machine that has been up for a while: ip_gre, ip6_gre and ipip give every namespace
 * a fallback device, which must not appear in the middle of a lab. What is not here the kernel loads when it is asked.
 */
const networkModules = [
  ...['veth', 'bridge', 'br_netfilter', '8021q', 'bonding', 'dummy', 'macvlan', 'vrf', 'tun'],
  ...['vxlan', 'ip_gre', 'ip6_gre', 'ipip', 'geneve', 'openvswitch'],
  ...['sch_netem', 'sch_tbf', 'sch_htb', 'sch_fq_codel', 'sch_prio', 'sch_ingress'],
  ...['cls_basic', 'cls_flower', 'cls_matchall', 'cls_u32', 'act_police', 'act_mirred'],
  ...['nf_tables', 'nft_masq', 'nft_ct', 'nft_limit', 'nf_nat'],
];

/**
 * Kernel, modules, busybox and, as `init`, systemd out of Debian's packages, unpacked once into a cache; nothing is installed.
 * Throws GuestUnavailable where that or a program is missing.
 */
export function prepareGuest(machine, init = 'shell') {
  if (process.arch !== 'x64') throw new GuestUnavailable('The guest is for x86-64 machines only.');
  needPrograms([['setpriv', 'util-linux']]);
  const guest = machines[machine].prepare();
  return { ...guest, systemd: init === 'systemd' ? prepareSystemd() : null };
}

function readOptional(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Hands on what a file has gained since the last call. */
function follow(file, receive) {
  let position = 0;
  return () => {
    let descriptor;
    try {
      descriptor = openSync(file, 'r');
    } catch {
      return;
    }
    const buffer = Buffer.alloc(65_536);
    for (;;) {
      const length = readSync(descriptor, buffer, 0, buffer.length, position);
      if (length === 0) break;
      position += length;
      receive(Buffer.from(buffer.subarray(0, length)));
    }
    closeSync(descriptor);
  };
}

const lastLines = (text) => text.trim().split('\n').slice(-15).join('\n');

/**
 * Boots a guest on a machine of this kind, runs a shell script in it as root and ends it. In the script `$NETLOOM_GUEST_RESULTS` is a directory
 * that both sides write; it is `results` when that is given, and gone afterwards when not. `memory` is in MiB.
 * `init` is the first process: a shell that runs the script, or 'systemd', of which the script is a service (guest/systemd.mjs).
 * `network` gives it a NIC; `forwardedPort` does too, and leads from that port of this machine's loopback to the same port of
 * 10.0.2.15, which the script has to give to `eth0`. `silentSeconds` is how long the script may print nothing (GuestSilent). `receive` is called with what the script prints while it runs. Throws GuestUnavailable or GuestFailure.
 */
export async function runInGuest({
  script,
  machine: kind,
  init = 'shell',
  cpus = 1,
  memory = 2048,
  timeoutSeconds = 240,
  silentSeconds = null,
  workingDirectory = process.cwd(),
  results,
  network = false,
  forwardedPort = null,
  receive = () => undefined,
}) {
  const machine = machines[kind];
  const guest = prepareGuest(kind, init);
  const begun = performance.now();
  const directory = results ?? mkdtempSync(path.join(tmpdir(), 'netloom-guest-run-'));
  const own = mkdtempSync(path.join(tmpdir(), 'netloom-guest-boot-'));
  const inDirectory = (name) => path.join(directory, name);
  const console_ = path.join(own, 'console');
  try {
    writeFileSync(inDirectory('script.sh'), script);
    const card = network || forwardedPort !== null;
    const modules = [
      ...networkModules,
      ...machine.networkModules,
      ...(card ? machine.networkDeviceModules : []),
    ];
    const third = inDirectory('run.sh');
    writeFileSync(inDirectory('start.sh'), secondStage({ directory, modules, init, third }));
    writeFileSync(third, thirdStage({ directory, workingDirectory }));
    const initramfs = path.join(own, 'initramfs');
    writeInitramfs({ machine, guest, directory, file: initramfs });
    const { file, args, env } = machine.command({
      ...{ guest, initramfs, console: console_, directory, cpus, memory },
      ...{ network: card, forwardedPort },
    });
    const printed = openSync(console_, 'a');
    // Whatever ends this process ends the machine too.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', file, ...args], {
      stdio: ['ignore', printed, 'pipe'],
      env: { ...process.env, PATH: systemPath, ...env },
    });
    closeSync(printed);
    const complaints = [];
    child.stderr.on('data', (chunk) => complaints.push(chunk));
    let heard = performance.now();
    let silent = false;
    const catchUp = follow(inDirectory('output'), (chunk) => {
      heard = performance.now();
      receive(chunk);
    });
    const follower = setInterval(() => {
      catchUp();
      if (silentSeconds === null || performance.now() - heard < silentSeconds * 1000) return;
      silent = true;
      child.kill('SIGKILL');
    }, 200);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutSeconds * 1000);
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    }).finally(() => {
      clearTimeout(timer);
      clearInterval(follower);
      process.removeListener('exit', kill);
    });
    catchUp();
    const said = readOptional(console_) ?? '';
    const output = readOptional(inDirectory('output')) ?? '';
    const status = readOptional(inDirectory('status'));
    const booted = readOptional(inDirectory('booted'));
    const tail = `The console's end:\n${lastLines(said)}\nThe script's end:\n${lastLines(output)}`;
    if (/Kernel panic - not syncing/u.test(said)) {
      const around = said.split('\n');
      const place = around.findIndex((line) => line.includes('Kernel panic'));
      const lines = around.slice(Math.max(0, place - 15), place + 15).join('\n');
      throw new GuestFailure(`The guest's kernel panicked:\n${lines}`);
    }
    if (late) {
      const place = booted === null ? 'while it booted' : 'while its script ran';
      throw new GuestFailure(`The guest took more than ${timeoutSeconds} s, ${place}. ${tail}`);
    }
    if (silent) {
      throw new GuestSilent(`The guest printed nothing for ${silentSeconds} s. ${tail}`);
    }
    if (status === null) {
      const complaint = Buffer.concat(complaints).toString().trim();
      throw new GuestFailure(`The guest ended before its script did. ${complaint}\n${tail}`);
    }
    return {
      status: Number(status),
      output,
      bootSeconds: Number(booted),
      seconds: (performance.now() - begun) / 1000,
      missingModules: (readOptional(inDirectory('missing-modules')) ?? '')
        .split('\n')
        .filter((name) => name !== ''),
    };
  } finally {
    rmSync(own, { recursive: true, force: true });
    if (results === undefined) rmSync(directory, { recursive: true, force: true });
  }
}
