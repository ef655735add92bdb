/**
 * A stand-in for main, for developing the renderer without a realm: `npx vite renderer` and `?stand-in` in the address.
 * Nothing here is real and nothing of it is in a production build (`import.meta.env.DEV` guards the only import). It
 * reads, validates and plans with the agent's own pure parts, so that what the window shows has the right shape, and
 * plays a kernel that always does as asked.
 */
import {
  type ApplyOutcome,
  type CheckResult,
  type Failure,
  fail,
  initialBridge,
  initialPort,
  type Inventory,
  type LabDocument,
  type LabStatus,
  type LinkView,
  type NamespaceView,
  type Plan,
  type Result,
  type Revision,
  succeed,
  type TransactionProgress,
} from '../../agent/api/index.ts';
import { forwardingOf } from '../topology/live.ts';
import {
  linkKey,
  type Network,
  networkOf,
  parseDocument,
  planLab,
  sayCheck,
  validateDocument,
} from '../../agent/lab/index.ts';
import { rulesOf } from '../../agent/lab/rules.ts';
import {
  BridgeRequestSchema,
  type BridgeStreamName,
  type GalleryEntry,
  type LabOverview,
  type LabState,
  type LabTarget,
  type LibraryEntry,
  type OpenDocument,
  type RealmOverview,
  type Settings,
} from '../../main/bridge/contract.ts';
import { enginesOf, flowsOf, traceOf } from './stand-in-ovs.ts';
import type { Carrier, CarrierListener } from '../bridge/carrier.ts';

interface File {
  text: string;
  modified: string;
}

interface Lab {
  up: boolean;
  gone: boolean;
  revision: number;
  revisions: { revision: Revision; text: string }[];
  checks: CheckResult[];
  plan: { plan: Plan; cause: Revision['cause'] | 'down'; to: number | null } | null;
}

type Progress = (value: unknown) => void;
type Handler = (args: never, progress: Progress, signal: AbortSignal) => unknown;

const directory = '/home/lin/.local/share/netloom/labs';
const kernel = '6.18.0';
const gallery = Object.values(
  import.meta.glob<string>('../../assets/labs/*.yaml', {
    query: '?raw',
    import: 'default',
    eager: true,
  }),
);
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const emptyInventory: Inventory = {
  sequence: 0,
  namespaces: [],
  links: [],
  routes: [],
  engines: [],
};
const rootId = '4026531840';

class StandIn {
  readonly #listener: CarrierListener;
  readonly #files = new Map<string, File>();
  readonly #labs = new Map<string, Lab>();
  readonly #realms = new Map<string, RealmOverview>();
  readonly #inventories = new Map<string, Inventory>();
  readonly #running = new Map<number, AbortController>();
  readonly #shells = new Map<string, (data: string) => void>();
  #settings: Settings = {
    theme: 'system',
    language: 'system',
    lastDocument: null,
    view: 'library',
    layout: {},
  };
  #plans = 0;

  constructor(listener: CarrierListener) {
    this.#listener = listener;
    const kept = sessionStorage.getItem('stand-in-settings');
    if (kept !== null) this.#settings = { ...this.#settings, ...JSON.parse(kept) };
    // For looking at what a lost agent and an ended realm look like.
    Object.assign(window, { standIn: this });
  }

  receive(text: string): void {
    const request = BridgeRequestSchema.parse(JSON.parse(text));
    if (request.kind === 'cancel') {
      this.#running.get(request.id)?.abort();
      return;
    }
    const { id } = request;
    const answer = (message: object) => this.#listener.message(JSON.stringify({ id, ...message }));
    const handler = (this.#handlers as Record<string, Handler | undefined>)[request.call];
    const controller = new AbortController();
    this.#running.set(id, controller);
    const progress = (value: unknown) => answer({ kind: 'progress', value });
    void (async () => {
      await wait(15);
      const outcome = (await handler?.(request.args as never, progress, controller.signal)) as
        Result<unknown> | undefined;
      this.#running.delete(id);
      if (outcome === undefined) answer({ kind: 'failure', failure: missing(request.call) });
      else if (outcome.ok) answer({ kind: 'result', value: outcome.value });
      else answer({ kind: 'failure', failure: outcome.failure });
    })();
  }

  /** `window.standIn.loseAgent('two-namespaces')` in the browser's console. */
  loseAgent(lab: string): void {
    this.#setRealm(lab, 'agent-lost');
  }

  endRealm(lab: string): void {
    const known = this.#labs.get(lab);
    if (known !== undefined) Object.assign(known, { up: false, gone: true });
    this.#setRealm(lab, 'gone');
    this.#tellLab(lab);
  }

  /** Somebody typed `ip link add` in a console. */
  addForeign(lab: string): void {
    const realm = `sandbox:${lab}`;
    const inventory = this.#inventories.get(realm);
    if (inventory === undefined) return;
    const foreign: LinkView = {
      ...plainLink(rootId, 90, 'br-test', 'bridge'),
      bridge: { ...initialBridge },
      addresses: [],
    };
    const links = inventory.links.map((link) =>
      link.name === 'veth1.2' ? { ...link, mtu: 1400 } : link,
    );
    this.#setInventory(realm, { ...inventory, links: [...links, foreign] });
    this.#drift.set(lab, 1);
    this.#tellLab(lab);
  }
  readonly #drift = new Map<string, number>();

  #publish(stream: BridgeStreamName, value: unknown): void {
    this.#listener.message(JSON.stringify({ kind: 'stream', stream, value }));
  }

  #setInventory(realm: string, inventory: Inventory): void {
    this.#inventories.set(realm, inventory);
    this.#publish('inventory', { kind: 'reset', realm, inventory });
  }

  #setRealm(lab: string, state: RealmOverview['state']): RealmOverview {
    const realm = `sandbox:${lab}`;
    const overview: RealmOverview = {
      realm,
      state,
      keeperPid: state === 'gone' ? null : 4711,
      agentPid: state === 'running' ? 4720 : null,
      socket: null,
      outside: 'closed',
      labs: [lab],
      agent:
        state === 'running'
          ? {
              apiVersion: 1,
              version: '0.1.0',
              realm,
              pid: 12,
              incarnation: 'stand-in',
              kernel,
              startedAt: new Date().toISOString(),
              readOnly: false,
              recoveries: [],
            }
          : null,
    };
    this.#realms.set(realm, overview);
    this.#publish('realm', overview);
    return overview;
  }

  #lab(name: string): Lab {
    const known = this.#labs.get(name);
    if (known !== undefined) return known;
    const lab: Lab = { up: false, gone: false, revision: 0, revisions: [], checks: [], plan: null };
    this.#labs.set(name, lab);
    return lab;
  }

  #inForce(lab: Lab): string | null {
    return lab.revisions.find((each) => each.revision.number === lab.revision)?.text ?? null;
  }

  #state(name: string, text: string): LabState {
    const lab = this.#lab(name);
    if (lab.gone) return 'gone';
    if (!lab.up) return lab.revisions.length > 0 ? 'down' : 'new';
    if ((this.#drift.get(name) ?? 0) > 0) return 'drifted';
    return this.#inForce(lab) === text ? 'up' : 'changed';
  }

  #overview(name: string, text: string): LabOverview {
    const lab = this.#lab(name);
    const inForce = this.#inForce(lab);
    const status: LabStatus | null =
      lab.revisions.length === 0
        ? null
        : {
            record: {
              name,
              realm: `sandbox:${name}`,
              path: `${directory}/${name}.yaml`,
              up: lab.up,
              incarnation: 'stand-in',
              revision: lab.revision,
              revisions: lab.revisions.map((each) => each.revision),
              documentHash: inForce === null ? null : 'hash',
            },
            drift: lab.up ? (this.#drift.get(name) ?? 0) : null,
            checks: lab.up ? lab.checks : [],
            busy: false,
            awaiting: null,
          };
    return {
      name,
      state: this.#state(name, text),
      realm: `sandbox:${name}`,
      status,
      canUndo: lab.up && lab.revision > 0,
      canRedo: lab.up && lab.revisions.some((each) => each.revision.number > lab.revision),
      revisions: lab.revisions.map((each) => each.revision),
    };
  }

  /** The document that is in force in a realm. */
  #documentIn(realm: string): LabDocument | null {
    const text = this.#inForce(this.#lab(realm.replace('sandbox:', '')));
    return text === null ? null : parseDocument(text).document;
  }

  #tellLab(name: string): void {
    const file = this.#files.get(`${directory}/${name}.yaml`);
    this.#publish('lab', this.#overview(name, file?.text ?? ''));
  }

  #open(path: string): Result<OpenDocument> {
    const file = this.#files.get(path);
    if (file === undefined) return fail(missing(path));
    return succeed({ path, text: file.text, version: file.modified });
  }

  #write(path: string, text: string): Result<OpenDocument> {
    this.#files.set(path, { text, modified: new Date().toISOString() });
    this.#publish('library', { changed: true });
    return this.#open(path);
  }

  #entry(path: string, file: File): LibraryEntry {
    const { document } = parseDocument(file.text);
    const name = (path.split('/').at(-1) ?? '').replace('.yaml', '');
    const lab = this.#lab(name);
    return {
      name,
      title: document?.title ?? name,
      path,
      modified: file.modified,
      state: this.#state(name, file.text),
      realm: lab.up ? `sandbox:${name}` : null,
      revision: lab.revision === 0 ? null : lab.revision,
      nodes: Object.keys(document?.topology.nodes ?? {}).length,
      links: document?.topology.links?.length ?? 0,
      problem: null,
    };
  }

  #plan(name: string, target: LabTarget): Result<Plan> {
    const lab = this.#lab(name);
    const realm = `sandbox:${name}`;
    const { text, to, cause } = this.#goal(lab, target);
    const parsed = text === null ? null : parseDocument(text);
    if (parsed !== null && parsed.document === null) {
      return fail(invalid(name, parsed.problems));
    }
    const desired = parsed?.document ?? null;
    const problems = desired === null ? [] : validateDocument(desired).problems;
    if (problems.length > 0) return fail(invalid(name, problems));
    const inForce = lab.up ? this.#inForce(lab) : null;
    const made = planLab({
      lab: name,
      desired,
      base: inForce === null ? null : parseDocument(inForce).document,
      inventory: this.#inventories.get(realm) ?? emptyInventory,
    });
    const plan: Plan = {
      id: `plan-${++this.#plans}`,
      lab: name,
      realm,
      goal:
        target.kind === 'document'
          ? { kind: 'document' }
          : target.kind === 'down'
            ? { kind: 'down' }
            : { kind: 'revision', revision: to ?? 0 },
      base: lab.up ? lab.revision : null,
      document: text,
      steps: [...made.steps],
      warnings: [...made.warnings],
      refusals: [...made.refusals],
      confirm: made.confirm,
    };
    lab.plan = { plan, cause, to };
    return succeed(plan);
  }

  #goal(
    lab: Lab,
    target: LabTarget,
  ): { text: string | null; to: number | null; cause: Revision['cause'] | 'down' } {
    const textOf = (number: number) =>
      lab.revisions.find((each) => each.revision.number === number)?.text ?? null;
    switch (target.kind) {
      case 'document':
        return { text: target.text, to: null, cause: 'apply' };
      case 'down':
        return { text: null, to: null, cause: 'down' };
      case 'undo':
        return { text: textOf(lab.revision - 1), to: lab.revision - 1, cause: 'undo' };
      case 'redo':
        return { text: textOf(lab.revision + 1), to: lab.revision + 1, cause: 'redo' };
      case 'revision':
        return { text: textOf(target.revision), to: target.revision, cause: 'apply' };
    }
  }

  async #apply(
    name: string,
    id: string,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<Result<ApplyOutcome>> {
    const lab = this.#lab(name);
    const planned = lab.plan;
    if (planned?.plan.id !== id) return fail(stale(name));
    const realm = `sandbox:${name}`;
    const started = performance.now();
    if (this.#realms.get(realm)?.state !== 'running') {
      this.#setRealm(name, 'starting');
      await wait(250);
      this.#setRealm(name, 'running');
    }
    const total = planned.plan.steps.length;
    const before = this.#inventories.get(realm) ?? emptyInventory;
    const after =
      planned.plan.document === null
        ? inventoryOf(name, null)
        : inventoryOf(name, parseDocument(planned.plan.document).document);
    const say = (phase: TransactionProgress['phase'], done: number) => {
      const value: TransactionProgress = {
        lab: name,
        plan: id,
        phase,
        done,
        total,
        failedStep: null,
      };
      progress(value);
      this.#publish('transaction', value);
    };
    say('journal', 0);
    for (let done = 0; done <= total; done += 1) {
      say('execute', done);
      await wait(Math.min(60, 900 / Math.max(1, total)));
      if (signal.aborted) {
        say('roll-back', done);
        await wait(200);
        return fail({ ...stale(name), kind: 'cancelled', code: 'apply-cancelled' });
      }
      // The drawing fills in as the lines tick off.
      const share = done / Math.max(1, total);
      if (after.links.length > before.links.length) {
        this.#setInventory(realm, {
          ...after,
          namespaces: after.namespaces.slice(0, 1 + Math.ceil(after.namespaces.length * share * 2)),
          links: after.links.slice(0, Math.ceil(after.links.length * share)),
        });
      }
    }
    say('verify', total);
    await wait(120);
    this.#setInventory(realm, after);
    say('commit', total);
    lab.gone = false;
    lab.plan = null;
    this.#drift.delete(name);
    this.#settle(lab, planned.plan, planned.cause, planned.to);
    const outcome: ApplyOutcome = {
      lab: name,
      up: lab.up,
      revision: lab.revision,
      operations: total,
      milliseconds: Math.round(performance.now() - started),
      realmEmpty: !lab.up,
      awaiting: null,
    };
    if (!lab.up) {
      this.#inventories.delete(realm);
      this.#setRealm(name, 'absent');
    }
    this.#tellLab(name);
    return succeed(outcome);
  }

  #settle(lab: Lab, plan: Plan, cause: Revision['cause'] | 'down', to: number | null): void {
    if (cause === 'down') {
      lab.up = false;
      return;
    }
    lab.up = true;
    if (to !== null) {
      lab.revision = to;
      return;
    }
    lab.revisions = lab.revisions.filter((each) => each.revision.number <= lab.revision);
    lab.revision += 1;
    lab.revisions.push({
      revision: {
        number: lab.revision,
        time: new Date().toISOString(),
        cause,
        steps: plan.steps.length,
      },
      text: plan.document ?? '',
    });
  }

  async #check(name: string, progress: Progress): Promise<Result<{ results: CheckResult[] }>> {
    const lab = this.#lab(name);
    const document = parseDocument(this.#inForce(lab) ?? '').document;
    const results: CheckResult[] = [];
    for (const [index, check] of (document?.checks ?? []).entries()) {
      await wait(180);
      // Nothing is exported here, and there are no groups.
      if (check.check === 'records' || check.check === 'cpu') continue;
      const unreachable = check.check !== 'rate' && check.expect === 'unreachable';
      const time = 0.03 + index * 0.004;
      const { from, to } = check;
      const result: CheckResult = {
        index,
        label: `${from} → ${to}`,
        outcome: 'passed',
        ...(unreachable
          ? sayCheck('no-answer', { from, to })
          : sayCheck('reached', { from, to, roundTrip: time.toFixed(2) })),
        roundTripMilliseconds: unreachable ? null : time,
      };
      results.push(result);
      progress(result);
    }
    lab.checks = results;
    this.#tellLab(name);
    return succeed({ results });
  }

  #shell(place: string, progress: Progress, signal: AbortSignal): Promise<Result<unknown>> {
    const session = `shell-${this.#shells.size}`;
    const print = (text: string) =>
      progress({
        kind: 'output',
        stream: 'out',
        data: btoa(String.fromCharCode(...new TextEncoder().encode(text))),
      });
    const prompt = `\u001b[1;34mroot@${place}\u001b[0m:~# `;
    progress({ kind: 'started', session, pid: 31 });
    print(`This is a stand-in: it only echoes.\r\n${prompt}`);
    return new Promise((resolve) => {
      const end = () => resolve(succeed({ exitCode: 0, signal: null }));
      signal.addEventListener('abort', end);
      let line = '';
      this.#shells.set(session, (data) => {
        for (const letter of atob(data)) {
          if (letter !== '\r') {
            line += letter;
            print(letter);
            continue;
          }
          if (line.trim() === 'exit') return end();
          const answer = line.startsWith('ip ') ? sampleOutput : '';
          print(`\r\n${answer}${prompt}`);
          line = '';
        }
      });
    });
  }

  readonly #handlers = {
    'app.info': () =>
      succeed({
        version: '0.1.0',
        shell: 'browser',
        user: 'lin',
        root: false,
        kernel,
        libraryDirectory: directory,
        captureDirectory: '/home/lin/.local/share/netloom/captures',
        processors: Array.from({ length: 16 }, (_, cpu) => ({
          cpu,
          core: cpu % 8,
          socket: cpu < 8 ? 0 : 1,
          node: cpu < 8 ? 0 : 1,
        })),
      }),
    'app.doctor': async () => {
      await wait(400);
      return succeed({
        capabilities: [
          { name: 'user namespaces', available: true, reason: null, remedy: null },
          { name: 'veth', available: true, reason: null, remedy: null },
          { name: 'bridge', available: true, reason: null, remedy: null },
          {
            name: 'bridge:vlan-filtering',
            available: false,
            reason: 'The kernel was built without it.',
            remedy: null,
          },
          {
            name: 'brctl',
            available: false,
            reason: 'The program is not installed.',
            remedy: 'apt install bridge-utils',
          },
        ],
      });
    },
    'settings.read': () => succeed(this.#settings),
    'settings.write': ({ settings }: { settings: Settings }) => {
      this.#settings = settings;
      sessionStorage.setItem('stand-in-settings', JSON.stringify(settings));
      return succeed({});
    },
    'library.list': () =>
      succeed({ entries: [...this.#files].map(([path, file]) => this.#entry(path, file)) }),
    'library.gallery': () =>
      succeed({
        entries: gallery.flatMap((text): GalleryEntry[] => {
          const { document } = parseDocument(text);
          if (document === null) return [];
          const { name, title = name, description = '' } = document;
          return [{ name, title, description, document }];
        }),
      }),
    'library.openGallery': ({ name }: { name: string }) => {
      const path = `${directory}/${name}.yaml`;
      if (this.#files.has(path)) return this.#open(path);
      const text = gallery.find((each) => parseDocument(each).document?.name === name) ?? '';
      return this.#write(path, text);
    },
    'library.create': ({ name }: { name: string }) =>
      this.#write(
        `${directory}/${name}.yaml`,
        `netloom: 1\nname: ${name}\ntopology:\n  nodes: {}\n  links: []\n`,
      ),
    'library.duplicate': ({ path, name }: { path: string; name: string }) =>
      this.#write(
        `${directory}/${name}.yaml`,
        (this.#files.get(path)?.text ?? '').replace(/^name: .*$/m, `name: ${name}`),
      ),
    'library.rename': ({ path, name }: { path: string; name: string }) => {
      const text = this.#files.get(path)?.text ?? '';
      this.#files.delete(path);
      return this.#write(`${directory}/${name}.yaml`, text.replace(/^name: .*$/m, `name: ${name}`));
    },
    'library.delete': ({ path }: { path: string }) => {
      this.#files.delete(path);
      this.#publish('library', { changed: true });
      return succeed({});
    },
    'document.open': ({ path }: { path: string }) => this.#open(path),
    'document.save': ({ path, text }: { path: string; text: string }) => this.#write(path, text),
    'document.validate': ({ text }: { text: string }) => {
      const parsed = parseDocument(text);
      if (parsed.document === null) {
        return succeed({ document: null, problems: parsed.problems, advice: [] });
      }
      const found = validateDocument(parsed.document, parsed.locate);
      return succeed({
        document: parsed.document,
        problems: found.problems,
        advice: found.advice.map(({ sentence, ...each }) => ({
          ...each,
          kind: 'invalid-document',
          reason: sentence,
          next: '',
        })),
      });
    },
    'lab.overview': ({ lab, path, text }: { lab: string; path: string; text: string | null }) =>
      succeed(this.#overview(lab, text ?? this.#files.get(path)?.text ?? '')),
    'lab.plan': ({ lab, target }: { lab: string; target: LabTarget }) => this.#plan(lab, target),
    'lab.apply': (
      { lab, plan }: { lab: string; plan: string },
      progress: Progress,
      signal: AbortSignal,
    ) => this.#apply(lab, plan, progress, signal),
    'lab.confirm': ({ lab }: { lab: string }) => fail(nothingAwaits(lab)),
    'lab.revert': ({ lab }: { lab: string }) => fail(nothingAwaits(lab)),
    'lab.check': ({ lab }: { lab: string }, progress: Progress) => this.#check(lab, progress),
    'lab.revision': ({ lab, revision }: { lab: string; revision: number }) =>
      succeed({
        text:
          this.#lab(lab).revisions.find((each) => each.revision.number === revision)?.text ?? '',
      }),
    'realm.list': () => succeed({ realms: [...this.#realms.values()] }),
    'realm.startAgent': async ({ realm }: { realm: string }) => {
      await wait(600);
      return succeed(this.#setRealm(realm.replace('sandbox:', ''), 'running'));
    },
    'openflow.flows': ({ realm, bridge }: { realm: string; bridge: string }) => {
      const node = this.#documentIn(realm)?.topology.nodes[bridge];
      return node?.kind === 'ovs-bridge' ? succeed(flowsOf(node)) : fail(missing(bridge));
    },
    'openflow.trace': (asked: { realm: string; bridge: string; flow: string }) => {
      const document = this.#documentIn(asked.realm);
      return document === null
        ? fail(missing(asked.bridge))
        : succeed(traceOf(document, asked.bridge, asked.flow));
    },
    'inventory.snapshot': ({ realm }: { realm: string }) =>
      succeed(this.#inventories.get(realm) ?? emptyInventory),
    'process.run': (
      { place, realm }: { place: { kind: string; node?: string }; realm: string },
      progress: Progress,
      signal: AbortSignal,
    ) => this.#shell(place.node ?? realm.replace('sandbox:', ''), progress, signal),
    'process.input': ({ session, data }: { session: string; data: string }) => {
      this.#shells.get(session)?.(data);
      return succeed({});
    },
    'process.resize': () => succeed({}),
    'process.acknowledge': () => succeed({}),
    'app.quit': () => succeed({}),
  };
}

function missing(object: string): Failure {
  return {
    kind: 'unknown-object',
    code: 'stand-in',
    object,
    reason: 'The stand-in does not have it.',
    next: 'Run the real program.',
  };
}

function stale(lab: string): Failure {
  return {
    kind: 'stale-plan',
    code: 'stale-plan',
    object: lab,
    reason: 'The network changed since the plan was made.',
    next: 'Look at the new plan.',
  };
}

function nothingAwaits(lab: string): Failure {
  return {
    kind: 'refused',
    code: 'nothing-awaits',
    object: lab,
    reason: `No change of lab ${lab} waits to be confirmed.`,
    next: 'Look at the state of the lab.',
    values: { lab },
  };
}

function invalid(lab: string, problems: readonly Failure[]): Failure {
  return {
    kind: 'invalid-document',
    code: 'invalid-document',
    object: lab,
    reason: `The document has ${problems.length} problems.`,
    next: 'Correct them first.',
    causes: problems,
  };
}

const sampleOutput = [
  '1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN',
  '    inet 127.0.0.1/8 scope host lo',
  '3: veth1.1@if4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP',
  '    inet \u001b[35m172.16.0.1/24\u001b[0m scope global veth1.1',
  '',
].join('\r\n');

function plainLink(namespace: string, index: number, name: string, kind: string): LinkView {
  return {
    id: `${namespace}/${index}`,
    namespace,
    index,
    name,
    kind,
    mac: `e6:0b:ac:a8:d5:${index.toString(16).padStart(2, '0')}`,
    mtu: 1500,
    up: true,
    carrier: true,
    operationalState: 'up',
    master: null,
    peer: null,
    alias: null,
    lab: null,
    addresses: [],
    bridge: null,
    portState: null,
    device: null,
    port: null,
    vlans: null,
    bondMember: null,
    impairment: null,
    queueing: null,
    holders: [],
  };
}

/** What a kernel that did everything as asked would report. */
function inventoryOf(lab: string, document: LabDocument | null): Inventory {
  const namespace = (id: string, names: string[], root: boolean): NamespaceView => ({
    id,
    names,
    root,
    container: null,
    mounts: [],
    processes: root ? [{ pid: 1, command: 'netloom-keeper' }] : [],
    processCount: root ? 1 : 0,
    runs: [],
    forwarding: { ipv4: false, ipv6: false },
    rules: null,
    lab: root ? null : lab,
  });
  const namespaces = [namespace(rootId, [], true)];
  const links: LinkView[] = [];
  if (document === null) return { sequence: 0, namespaces, links, routes: [], engines: [] };
  const network = networkOf(document);
  const ids = new Map<string | null, string>([[null, rootId]]);
  for (const name of network.namespaces.keys()) {
    const id = String(4026532000 + ids.size * 64);
    ids.set(name, id);
    const node = document.topology.nodes[name];
    const runs = network.processes.filter((each) => each.namespace === name);
    namespaces.push({
      ...namespace(id, [name], false),
      forwarding: forwardingOf(node?.kind === 'namespace' ? node.forwarding : undefined),
      rules: node?.kind === 'namespace' ? rulesOf(node) : null,
      // The last of several did not survive, so that this is seen too.
      runs: runs.slice(0, Math.max(1, runs.length - 1)).map((run, index) => ({
        lab,
        name: run.name,
        pid: 210 + index,
        command: [...run.command],
      })),
    });
    links.push({
      ...plainLink(id, 1, 'lo', 'loopback'),
      mac: null,
      mtu: 65536,
      operationalState: 'unknown',
      addresses: [address('127.0.0.1/8', 'host'), address('::1/128', 'host')],
    });
  }
  const byKey = new Map<string, string>();
  let index = 2;
  for (const [key, link] of network.links) {
    const id = ids.get(link.namespace) ?? rootId;
    byKey.set(key, `${id}/${index}`);
    links.push({
      ...plainLink(id, index, link.name, link.device?.kind ?? link.kind),
      mtu: link.mtu ?? 1500,
      up: link.up,
      carrier: link.up,
      operationalState: link.up ? 'up' : 'down',
      lab,
      alias: `netloom:${lab}`,
      addresses: link.addresses.map((each) => address(each, 'global')),
      bridge: link.bridge === null ? null : { ...link.bridge },
      device: link.device,
      port:
        link.port === null
          ? null
          : {
              isolated: link.port.isolated ?? initialPort.isolated,
              cost: link.port.cost ?? initialPort.cost,
              priority: link.port.priority ?? initialPort.priority,
            },
      portState: link.port === null ? null : 'forwarding',
      vlans: link.vlans === null ? null : [...link.vlans],
      impairment: link.impairment,
      holders:
        network.processes.some((each) => each.command.join(' ').includes(link.name)) &&
        (link.device?.kind === 'tap' || link.device?.kind === 'tun')
          ? [{ pid: 210, command: 'socat' }]
          : [],
    });
    index += 1;
  }
  const bonds = new Set<string>();
  const blocking = blockedPorts(network);
  const wired = links.map((view) => {
    const key = [...byKey].find(([, id]) => id === view.id)?.[0];
    const link = key === undefined ? undefined : network.links.get(key);
    if (link === undefined) return view;
    const master = link.master === null ? null : linkKey(link.namespace, link.master);
    const bond = master !== null && network.links.get(master)?.device?.kind === 'bond';
    const first = bond && !bonds.has(master);
    if (bond) bonds.add(master);
    return {
      ...view,
      bondMember: bond
        ? { state: first ? ('active' as const) : ('backup' as const), linkUp: true }
        : null,
      portState: key !== undefined && blocking.has(key) ? 'blocking' : view.portState,
      peer: link.peer === null ? null : (byKey.get(link.peer) ?? null),
      master: master === null ? null : (byKey.get(master) ?? null),
    };
  });
  return {
    sequence: 0,
    namespaces,
    links: wired,
    routes: [],
    engines: enginesOf(lab, document, ids),
  };
}

/** One port of each circle of bridges that run STP: the last one that closes it. */
function blockedPorts(network: Network): Set<string> {
  const tree = new Map<string, string>();
  const rootOf = (name: string): string => {
    const above = tree.get(name);
    return above === undefined || above === name ? name : rootOf(above);
  };
  const blocked = new Set<string>();
  for (const [one, other] of network.pairs) {
    if (one.master === null || other.master === null) continue;
    const [near, far] = [one, other].map((end) => rootOf(linkKey(end.namespace, end.master ?? '')));
    if (near === undefined || far === undefined) continue;
    if (near === far) blocked.add(linkKey(other.namespace, other.name));
    else tree.set(near, far);
  }
  return blocked;
}

function address(text: string, scope: 'global' | 'host') {
  return {
    address: text,
    family: text.includes(':') ? ('ipv6' as const) : ('ipv4' as const),
    scope,
    owned: scope === 'global',
    tentative: false,
    duplicate: false,
  };
}

export function standInCarrier(): Carrier {
  let standIn: StandIn | null = null;
  return {
    open(listener) {
      standIn = new StandIn(listener);
      listener.state('open');
    },
    send: (text) => standIn?.receive(text),
  };
}
