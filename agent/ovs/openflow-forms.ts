/**
 * Lines of OpenFlow tables in the form that a bridge will show them in. Only the switch itself knows it: what is normalized and
 * how it is printed depends on its version and on the versions of OpenFlow that the bridge speaks. So lines are given to a
 * bridge of a switch that leads nowhere (`--enable-dummy`: no kernel, no links, no privilege) and read back.
 */
import type { OpenFlowTables, OvsBridge } from '../api/ovs.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import { runCommand } from '../kernel/process.ts';
import { bridgeSocket, engineFiles } from './engine-commands.ts';
import { ovsFailure } from './failures.ts';
import { readOpenFlow, replaceOpenFlow } from './openflow.ts';
import { groupId, unnamedPort } from './openflow-lines.ts';
import { startEngine, stopEngine } from './private-engine.ts';

export interface FormRequest {
  readonly bridge: string;
  readonly protocols: OvsBridge['protocols'];
  /** Interfaces; without a number lines can only call them by their name. */
  readonly ports: readonly { readonly name: string; readonly openFlowPort: number | null }[];
  /** As people write them. */
  readonly tables: OpenFlowTables;
}

/** The highest that may be asked for (ofport_request); what nobody pins is numbered downwards from here. */
const highestPort = 65279;
const keptForms = 500;

export class OpenFlowForms {
  private readonly directory: string;
  private readonly known = new Map<string, Result<OpenFlowTables>>();
  private last: Promise<unknown> = Promise.resolve();

  /** `directory`: where the switch has its files while it runs; nothing of it stays. */
  constructor(directory: string) {
    this.directory = directory;
  }

  /**
   * The forms of several bridges, in their order. Each fails on its own, with 'refused' and the line; the whole fails where
   * Open vSwitch is missing or does not start.
   */
  formsOf(requests: readonly FormRequest[]): Promise<Result<readonly Result<OpenFlowTables>[]>> {
    const done = this.last.then(() => this.find(requests));
    this.last = done.catch(() => undefined);
    return done;
  }

  private async find(
    requests: readonly FormRequest[],
  ): Promise<Result<readonly Result<OpenFlowTables>[]>> {
    const keys = requests.map((request) => JSON.stringify(request));
    if (keys.some((key) => !this.known.has(key))) {
      const started = await startEngine({ directory: this.directory, datapath: 'dummy' });
      if (!started.ok) return started;
      try {
        for (const [at, request] of requests.entries()) {
          const key = keys[at] ?? '';
          if (this.known.has(key)) continue;
          const form = await this.form(request);
          // What failed for another reason than a line may succeed the next time.
          if (!form.ok && !form.failure.code.startsWith('openflow-')) return form;
          this.known.set(key, form);
        }
      } finally {
        await stopEngine(this.directory);
      }
    }
    const forms = keys.flatMap((key) => this.known.get(key) ?? []);
    for (const key of this.known.keys()) {
      if (this.known.size <= keptForms) break;
      if (!keys.includes(key)) this.known.delete(key);
    }
    return succeed(forms);
  }

  private async form(request: FormRequest): Promise<Result<OpenFlowTables>> {
    const { bridge, tables } = request;
    const made = await this.vsctl(bridgeWords(request));
    if (!made.ok) return made;
    const target = bridgeSocket(this.directory, bridge);
    const written = await replaceOpenFlow(target, tables);
    const read = written.ok ? await readOpenFlow(target) : written;
    const removed = await this.vsctl(['del-br', bridge]);
    // Whoever reads it knows the bridge, not the switch that reads its lines.
    if (!read.ok) return fail({ ...read.failure, object: bridge });
    if (!removed.ok) return removed;
    for (const line of [...read.value.flows, ...read.value.groups]) {
      const port = unnamedPort(line);
      if (port !== undefined) return fail(portUnknown(line, port, bridge));
    }
    return succeed(read.value);
  }

  private async vsctl(words: readonly string[]): Promise<Result<void>> {
    const { socket } = engineFiles(this.directory);
    const ran = await runCommand({
      file: 'ovs-vsctl',
      args: [`--db=unix:${socket}`, '--timeout=20', ...words],
      purpose: 'making a bridge for reading lines',
    });
    if (!ran.ok) return ran;
    if (ran.value.exitCode === 0) return succeed(undefined);
    const detail = ran.value.stderr.trim();
    return fail(
      ovsFailure(
        'process',
        'ovs-start-failed',
        'ovs-vsctl',
        `ovs-vsctl does not make a bridge: ${detail}.`,
        'Look at the message, correct the cause and try again.',
        { detail: detail.slice(0, 1500), status: ran.value.exitCode },
      ),
    );
  }
}

function bridgeWords({ bridge, protocols, ports }: FormRequest): readonly string[] {
  const words = ['add-br', bridge];
  const settings = ['datapath_type=dummy', 'fail_mode=secure', ...protocolsWords(protocols)];
  words.push('--', 'set', 'Bridge', bridge, ...settings);
  const pinned = new Set(ports.map(({ openFlowPort }) => openFlowPort));
  let free = highestPort;
  for (const { name, openFlowPort } of ports) {
    if (name === bridge) continue;
    while (pinned.has(free)) free -= 1;
    const number = openFlowPort ?? free;
    if (openFlowPort === null) free -= 1;
    words.push('--', 'add-port', bridge, name);
    words.push('--', 'set', 'Interface', name, 'type=dummy', `ofport_request=${number}`);
  }
  return words;
}

function protocolsWords(protocols: OvsBridge['protocols']): readonly string[] {
  return protocols.length === 0 ? [] : [`protocols=${protocols.join(',')}`];
}

function portUnknown(line: string, port: string, bridge: string): Failure {
  const group = groupId(line);
  return ovsFailure(
    'refused',
    'openflow-port-unknown',
    bridge,
    `${group === undefined ? 'A flow' : `The group ${group}`} of ${bridge} speaks of the port ${port}, and no port is pinned to that number.`,
    `Use the name of the port, or give it \`openFlowPort: ${port}\`.`,
    { line: line.slice(0, 500), port, bridge },
  );
}
