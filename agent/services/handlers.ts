/** Answers every call of the contract with the services. */
import type { AgentInfo } from '../api/agent-info.ts';
import { fail, type Failure, succeed } from '../api/result.ts';
import { maximumOpenFlowEntries } from '../api/openflow.ts';
import type { InventoryTracker } from '../inventory/tracker.ts';
import type { Engines } from '../ovs/engines.ts';
import type { AgentHandlers } from '../transport/index.ts';
import { readFdb } from './bridge-fdb.ts';
import type { CaptureService } from './captures.ts';
import { withProcesses } from './flow-processes.ts';
import type { LabService } from './labs.ts';
import type { ProcessService } from './processes.ts';
import { watchRates } from './rates-watch.ts';

export interface HandlerOptions {
  readonly info: () => AgentInfo;
  readonly stop: () => void;
  readonly tracker: InventoryTracker;
  readonly labs: LabService;
  readonly processes: ProcessService;
  readonly captures: CaptureService;
  readonly engines: Engines;
  /** Why nothing may be changed here; null when it may. */
  readonly readOnly: Failure | null;
  /** In the realm of the host people share one agent, which is root: what is done is done as the one who asks. */
  readonly shared: boolean;
}

export function makeHandlers(options: HandlerOptions): AgentHandlers {
  const { labs, processes, captures, engines, tracker, readOnly, shared } = options;
  return {
    'agent.info': () => Promise.resolve(succeed(options.info())),
    'agent.stop': (_args, { peer }) => {
      if (shared && peer.uid !== 0) return Promise.resolve(fail(onlyRoot()));
      options.stop();
      return Promise.resolve(succeed({}));
    },
    'inventory.snapshot': () => Promise.resolve(succeed(tracker.snapshot())),
    'bridge.fdb': ({ namespace, bridge }) => Promise.resolve(readFdb(tracker, namespace, bridge)),
    'collector.records': ({ lab, node, limit }) =>
      Promise.resolve(labs.collected(lab, node, limit)),
    'cpu.watch': ({ lab, interval }, { signal, progress }) =>
      labs.watchCpu(lab, interval, signal, progress),
    'cpu.bind': (bind, { peer }) => labs.bindings.bind(bind, shared ? { uid: peer.uid } : null),
    'cpu.candidates': ({ lab }, { peer }) =>
      Promise.resolve(labs.bindings.candidates(lab, shared ? { uid: peer.uid } : null)),
    'rates.watch': (watch, { signal, progress }) =>
      watchRates({ ...watch, tracker, signal, onSample: progress }),
    'capture.start': (start, { signal, progress, peer }) =>
      captures.start({ ...start, owner: peer.key, signal, onProgress: progress }),
    'capture.stop': async ({ capture }, { peer }) => {
      const session = captures.find(capture, peer.key);
      if (!session.ok) return session;
      const stopped = await session.value.stop();
      return stopped.ok ? succeed({}) : stopped;
    },
    'capture.rows': async (args, { peer }) => {
      const session = captures.find(args.capture, peer.key);
      return session.ok ? session.value.rows(args) : session;
    },
    'capture.packet': async ({ capture, number }, { peer }) => {
      const session = captures.find(capture, peer.key);
      return session.ok ? session.value.packet(number) : session;
    },
    'capture.sightings': async ({ capture, number }, { peer }) => {
      const session = captures.find(capture, peer.key);
      return session.ok ? session.value.sightings(number) : session;
    },
    'capture.flows': async ({ capture, count }, { peer }) => {
      const session = captures.find(capture, peer.key);
      if (!session.ok) return session;
      const seen = await session.value.flows(count);
      if (!seen.ok) return seen;
      const asked = shared ? { uid: peer.uid } : null;
      return succeed({ ...seen.value, flows: withProcesses(seen.value.flows, tracker, asked) });
    },
    'capture.read': async (args, { peer }) => {
      const session = captures.find(args.capture, peer.key);
      return session.ok ? session.value.read(args) : session;
    },
    'openflow.flows': async ({ namespace, bridge }) => {
      const flows = await engines.readFlows(namespace, bridge);
      if (!flows.ok) return flows;
      const total = flows.value.length;
      return succeed({ flows: flows.value.slice(0, maximumOpenFlowEntries), total });
    },
    'openflow.trace': ({ namespace, bridge, flow, frame }) =>
      engines.trace(namespace, bridge, flow, frame),
    'ovs.bridge': ({ namespace, bridge }) => engines.readReport(namespace, bridge),
    'ovs.figures': ({ namespace }) => engines.readFigures(namespace),
    'lab.list': () => Promise.resolve(succeed({ labs: [...labs.list()] })),
    'lab.document': ({ lab, revision }) => Promise.resolve(labs.document(lab, revision)),
    'lab.plan': async ({ target }, { peer }) => {
      await labs.prepare(target);
      return labs.plan(target, shared ? { uid: peer.uid } : null);
    },
    'lab.apply': ({ plan, confirmWithin }, { signal, progress, peer }) =>
      labs.apply(plan, signal, progress, confirmWithin, shared ? { uid: peer.uid } : null),
    'lab.confirm': ({ lab, token }) => labs.confirm(lab, token),
    'lab.revert': ({ lab, token }) => labs.revert(lab, token),
    'lab.check': async ({ lab }, { signal, progress }) => {
      if (readOnly !== null) return fail(readOnly);
      const results = await labs.check(lab, signal, progress);
      return results.ok ? succeed({ results: [...results.value] }) : results;
    },
    'lab.forget': ({ lab }) => {
      const forgotten = labs.forget(lab);
      return Promise.resolve(forgotten.ok ? succeed({}) : forgotten);
    },
    'interface.setState': async (change) => {
      const set = await labs.setInterfaceState(change);
      return set.ok ? succeed({}) : set;
    },
    'process.run': ({ place, command, terminal, console }, { signal, progress, peer }) =>
      readOnly === null
        ? processes.run({
            place,
            command,
            terminal,
            console: console ?? false,
            owner: peer.key,
            uid: shared ? peer.uid : null,
            signal,
            onProgress: progress,
          })
        : Promise.resolve(fail(readOnly)),
    'process.input': ({ session, data, end }, { peer }) => {
      const written = processes.input(session, peer.key, data, end);
      return Promise.resolve(written.ok ? succeed({}) : written);
    },
    'process.resize': ({ session, size }, { peer }) => {
      const resized = processes.resize(session, peer.key, size);
      return Promise.resolve(resized.ok ? succeed({}) : resized);
    },
    'process.acknowledge': ({ session, bytes }, { peer }) => {
      const acknowledged = processes.acknowledge(session, peer.key, bytes);
      return Promise.resolve(acknowledged.ok ? succeed({}) : acknowledged);
    },
  };
}

function onlyRoot(): Failure {
  return {
    kind: 'not-allowed',
    code: 'only-root',
    object: 'host',
    reason: 'The agent of the host is root’s.',
    next: 'Use root: sudo netloom agent stop --realm host.',
  };
}
