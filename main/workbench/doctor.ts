/** What this machine can do, found by trying: a realm is made and the kernel asked in it; programs are started. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import {
  type Capability,
  type Failure,
  type Result,
  fail,
  succeed,
} from '../../agent/api/index.ts';
import { findNode } from '../agent-link/agent-process.ts';
import { findOutsideProgram } from '../agent-link/outside.ts';
import { run } from '../agent-link/process.ts';
import type { AgentConnection, RealmDoor } from './realm-door.ts';
import { inThrowAwayRealm } from './throw-away-realm.ts';

export interface DoctorOptions {
  readonly door: RealmDoor;
  readonly applicationRoot: string;
}

const ProbeSchema = z.object({
  ok: z.literal(true),
  value: z.object({
    capabilities: z.array(
      z.object({ name: z.string(), available: z.boolean(), reason: z.string() }),
    ),
  }),
});

/** A program that Netloom or the consoles of a lab use: how to try it, and Debian's package of it. */
const programs: readonly {
  readonly name: string;
  readonly args: readonly string[];
  readonly package: string;
}[] = [
  { name: 'unshare', args: ['--version'], package: 'util-linux' },
  { name: 'nsenter', args: ['--version'], package: 'util-linux' },
  { name: 'flock', args: ['--version'], package: 'util-linux' },
  { name: 'newuidmap', args: [], package: 'uidmap' },
  { name: 'ip', args: ['-Version'], package: 'iproute2' },
  { name: 'bridge', args: ['-Version'], package: 'iproute2' },
  { name: 'tc', args: ['-Version'], package: 'iproute2' },
  { name: 'nft', args: ['--version'], package: 'nftables' },
  { name: 'socat', args: ['-V'], package: 'socat' },
  { name: 'qemu-system-x86_64', args: ['--version'], package: 'qemu-system-x86' },
  { name: 'brctl', args: ['--version'], package: 'bridge-utils' },
  { name: 'ovs-vsctl', args: ['--version'], package: 'openvswitch-switch' },
];

/** Kernel modules of what is not built in, where the module is not named like the kind. */
const modules: Readonly<Record<string, string>> = {
  system: 'openvswitch',
  vlan: '8021q',
  bond: 'bonding',
  gre: 'ip_gre',
  gretap: 'ip_gre',
  tap: 'tun',
  'vlan-filtering': 'bridge',
  htb: 'sch_htb',
  tbf: 'sch_tbf',
  netem: 'sch_netem',
  fq_codel: 'sch_fq_codel',
  prio: 'sch_prio',
  ingress: 'sch_ingress',
};

const sandboxRemedies: Readonly<Record<string, string>> = {
  'missing-tool': 'sudo apt-get install util-linux',
  'program-missing': 'sudo apt-get install util-linux',
  'user-namespaces-off':
    'sudo sysctl -w user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1',
  'user-namespaces-apparmor': 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
};

function sandboxCapability(failure: Failure | null): Capability {
  return {
    name: 'sandbox',
    available: failure === null,
    reason: failure?.reason ?? null,
    remedy: failure === null ? null : (sandboxRemedies[failure.code] ?? null),
  };
}

/** `link:vxlan` → `sudo modprobe vxlan`. A kernel without loadable modules has no remedy. */
function moduleRemedy(name: string): string | null {
  if (name === 'guest-system') {
    return 'sudo apt-get install --no-install-recommends linux-image-amd64 busybox-static';
  }
  const [group = '', kind = ''] = name.split(':');
  if (!['link', 'queueing', 'bridge', 'datapath'].includes(group) || !existsSync('/proc/modules'))
    return null;
  return `sudo modprobe ${modules[kind] ?? kind}`;
}

async function readOutput(
  agent: AgentConnection,
  command: readonly string[],
): Promise<Result<string>> {
  const chunks: Buffer[] = [];
  let session = '';
  const ended = await agent.call(
    'process.run',
    { place: { kind: 'realm' }, command: [...command], terminal: null },
    {
      onProgress: (progress) => {
        if (progress.kind === 'started') session = progress.session;
        if (progress.kind !== 'output') return;
        const data = Buffer.from(progress.data, 'base64');
        if (progress.stream === 'out') chunks.push(data);
        void agent.call('process.acknowledge', { session, bytes: data.length });
      },
    },
  );
  return ended.ok ? succeed(Buffer.concat(chunks).toString('utf8')) : ended;
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}

async function probeKernel(options: DoctorOptions): Promise<Result<readonly Capability[]>> {
  const script = path.join(options.applicationRoot, 'dist/agent/probe.js');
  const node = findNode();
  if (!node.ok) return node;
  return inThrowAwayRealm(options.door, 'doctor', async (agent) => {
    const output = await readOutput(agent, [node.value, script]);
    if (!output.ok) return output;
    const probed = ProbeSchema.safeParse(parseJson(output.value));
    if (!probed.success) {
      return fail({
        kind: 'process',
        code: 'probe-failed',
        object: script,
        reason: 'The probe in the realm gave no answer.',
        next: 'Look at the agent’s log in the realm’s runtime directory.',
      });
    }
    return succeed(
      probed.data.value.capabilities
        .filter(({ name }) => !name.startsWith('program:'))
        .map(({ name, available, reason }) => ({
          name,
          available,
          reason: available ? null : reason,
          remedy: available ? null : moduleRemedy(name),
        })),
    );
  });
}

/** CPU groups belong to the machine, so they are looked for outside of any realm. */
async function probeCpu({ applicationRoot }: DoctorOptions): Promise<readonly Capability[]> {
  const node = findNode();
  if (!node.ok) return [];
  const script = path.join(applicationRoot, 'dist/agent/probe.js');
  const output = await run(node.value, [script, 'cpu'], { timeout: 10_000 });
  const probed = output.ok ? ProbeSchema.safeParse(parseJson(output.value.output)) : null;
  if (probed?.success !== true) return [];
  return probed.data.value.capabilities.map((one) => ({ ...one, remedy: null }));
}

async function probeProgram(program: (typeof programs)[number]): Promise<Capability> {
  const started = await run(program.name, program.args, { timeout: 5_000 });
  const name = `program:${program.name}`;
  return started.ok
    ? { name, available: true, reason: null, remedy: null }
    : {
        name,
        available: false,
        reason: started.failure.reason,
        remedy: `sudo apt-get install ${program.package}`,
      };
}

async function probeElectron(applicationRoot: string): Promise<Capability> {
  const directory = path.join(applicationRoot, 'node_modules/electron');
  const name = 'program:electron';
  const missing: Capability = {
    name,
    available: false,
    reason: 'Electron’s binary has not been fetched; the browser shell is used.',
    remedy: 'npx install-electron',
  };
  const program = await readFile(path.join(directory, 'path.txt'), 'utf8').catch(() => null);
  if (program === null) return missing;
  const binary = path.join(
    process.env['ELECTRON_OVERRIDE_DIST_PATH'] ?? path.join(directory, 'dist'),
    program,
  );
  return existsSync(binary) ? { name, available: true, reason: null, remedy: null } : missing;
}

/** For labs that ask for the outside; nothing is opened. */
function probeInternet(): Capability {
  const found = findOutsideProgram();
  return {
    name: 'internet',
    available: found.ok,
    reason: found.ok ? null : found.failure.reason,
    remedy: found.ok ? null : 'sudo apt-get install passt',
  };
}

function probeDisplay(): Capability {
  const display = process.env['WAYLAND_DISPLAY'] ?? process.env['DISPLAY'] ?? '';
  return {
    name: 'display',
    available: display !== '',
    reason: display === '' ? 'Neither WAYLAND_DISPLAY nor DISPLAY is set.' : null,
    remedy: null,
  };
}

/** Takes about a second: a realm is made and ended. */
export async function examineMachine(options: DoctorOptions): Promise<readonly Capability[]> {
  const [kernel, cpu, electron, ...tried] = await Promise.all([
    probeKernel(options),
    probeCpu(options),
    probeElectron(options.applicationRoot),
    ...programs.map(probeProgram),
  ]);
  return [
    sandboxCapability(kernel.ok ? null : kernel.failure),
    ...(kernel.ok ? kernel.value : []),
    ...cpu,
    ...tried,
    probeInternet(),
    electron,
    probeDisplay(),
  ];
}
