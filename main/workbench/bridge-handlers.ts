/** What each call of the bridge does, in terms of the workbench and the library. */
import path from 'node:path';
import {
  assertNever,
  type Capability,
  fail,
  type PlanTarget,
  type Result,
  succeed,
} from '../../agent/api/index.ts';
import type { AppInfo, LabTarget } from '../bridge/contract.ts';
import type { BridgeHandlers } from '../bridge/host.ts';
import { type ReadCapture, saveCapture, withExtension } from '../library/capture-file.ts';
import type { Library } from '../library/library.ts';
import type { SettingsFile } from '../library/settings.ts';
import { stillUp } from './failures.ts';
import { listLabs } from './lab-list.ts';
import { readLab } from './read-lab.ts';
import { takeAllDown } from './take-down.ts';
import type { Workbench } from './workbench.ts';

export interface BridgeDependencies {
  readonly workbench: Workbench;
  readonly library: Library;
  readonly settings: SettingsFile;
  readonly info: AppInfo;
  readonly doctor: () => Promise<readonly Capability[]>;
  /** Ends the program, after the answer to the call is out. */
  readonly quit: () => void;
}

function planTarget(lab: string, target: LabTarget): PlanTarget {
  switch (target.kind) {
    case 'document':
      return target;
    case 'revision':
      return { kind: 'revision', lab, revision: target.revision };
    case 'undo':
    case 'redo':
    case 'down':
      return { kind: target.kind, lab };
    default:
      return assertNever(target);
  }
}

export function bridgeHandlers(dependencies: BridgeDependencies): BridgeHandlers {
  const { workbench, library, settings, info } = dependencies;

  /** Refuses while the lab of that file is up; gives its name, null for a file that holds none. */
  const takenDown = async (
    path: string,
    verb: 'rename' | 'delete',
  ): Promise<Result<string | null>> => {
    const name = (await library.describe(path))?.name ?? null;
    if (name === null) return succeed(null);
    const record = (await workbench.record(name))?.record ?? null;
    // A lab of the same name that came from another file is not this file's.
    if (record === null || (record.path !== null && record.path !== path)) return succeed(null);
    return (await workbench.isUp(name)) ? fail(stillUp(name, verb)) : succeed(name);
  };

  return {
    'app.info': () => Promise.resolve(succeed(info)),
    'app.doctor': async () => succeed({ capabilities: [...(await dependencies.doctor())] }),
    'settings.read': async () => succeed(await settings.read()),
    'settings.write': ({ settings: value }) => settings.write(value),

    'library.list': async () => succeed({ entries: [...(await listLabs(workbench, library))] }),
    'library.gallery': async () => succeed({ entries: [...(await library.gallery())] }),
    'library.openGallery': ({ name }) => library.openGallery(name),
    'library.create': ({ name }) => library.create(name),
    'library.duplicate': ({ path, name }) => library.duplicate(path, name),
    'library.rename': async ({ path, name }) => {
      const free = await takenDown(path, 'rename');
      if (!free.ok) return free;
      const renamed = await library.rename(path, name);
      // Its revisions are documents of a lab with the old name: nothing that the new one could go back to.
      if (renamed.ok && free.value !== null && free.value !== name) {
        const forgotten = await workbench.forget(free.value);
        if (!forgotten.ok) return forgotten;
      }
      return renamed;
    },
    'library.delete': async ({ path }) => {
      const free = await takenDown(path, 'delete');
      if (!free.ok) return free;
      const deleted = await library.delete(path);
      if (!deleted.ok || free.value === null) return deleted;
      const forgotten = await workbench.forget(free.value);
      return forgotten.ok ? deleted : forgotten;
    },

    'document.open': ({ path }) => library.open(path),
    'document.save': ({ path, text, version }) => library.save(path, text, version),
    'document.validate': ({ text, path }) =>
      Promise.resolve(succeed(readLab(text, path ?? undefined))),

    'lab.overview': async ({ lab, path, text }) =>
      succeed(await workbench.overview(lab, path, text)),
    'lab.plan': ({ lab, target, realm }) => workbench.plan(planTarget(lab, target), realm ?? null),
    'lab.apply': ({ plan, confirmWithin }, { signal, progress }) =>
      workbench.apply(plan, { signal, onProgress: progress, confirmWithin }),
    'lab.confirm': ({ lab, token }) => workbench.settle('lab.confirm', lab, token),
    'lab.revert': ({ lab, token }) => workbench.settle('lab.revert', lab, token),
    'lab.check': async ({ lab }, { signal, progress }) => {
      const checked = await workbench.check(lab, { signal, onProgress: progress });
      return checked.ok ? succeed({ results: [...checked.value] }) : checked;
    },
    'interface.setState': async (change) => {
      const set = await workbench.setInterfaceState(change);
      return set.ok ? succeed({}) : set;
    },
    'lab.revision': async ({ lab, revision }) => {
      const text = await workbench.revisionText(lab, revision);
      return text.ok ? succeed({ text: text.value }) : text;
    },

    'realm.list': async () => succeed({ realms: [...(await workbench.realms())] }),
    'realm.startAgent': ({ realm }) => workbench.startAgent(realm),
    'realm.allowInternet': async ({ realm }) => {
      const allowed = await workbench.allowInternet(realm);
      return allowed.ok ? succeed({}) : allowed;
    },
    'inventory.snapshot': ({ realm }) => workbench.inventory(realm),

    'bridge.fdb': async ({ realm, ...place }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('bridge.fdb', place) : agent;
    },

    'collector.records': async ({ realm, ...place }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('collector.records', place) : agent;
    },

    'cpu.watch': async ({ realm, ...watch }, { signal, progress }) => {
      const agent = await workbench.connection(realm);
      if (!agent.ok) return agent;
      return agent.value.call('cpu.watch', watch, { signal, onProgress: progress });
    },

    'cpu.bind': async ({ realm, ...bind }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('cpu.bind', bind) : agent;
    },
    'cpu.candidates': async ({ realm, lab }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('cpu.candidates', { lab }) : agent;
    },

    'rates.watch': async ({ realm, ...watch }, { signal, progress }) => {
      const agent = await workbench.connection(realm);
      if (!agent.ok) return agent;
      return agent.value.call('rates.watch', watch, { signal, onProgress: progress });
    },
    'capture.start': async ({ realm, ...start }, { signal, progress }) => {
      const agent = await workbench.connection(realm);
      if (!agent.ok) return agent;
      return agent.value.call('capture.start', start, { signal, onProgress: progress });
    },
    'capture.stop': async ({ realm, ...stop }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('capture.stop', stop) : agent;
    },
    'capture.rows': async ({ realm, ...asked }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('capture.rows', asked) : agent;
    },
    'capture.packet': async ({ realm, ...asked }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('capture.packet', asked) : agent;
    },
    'capture.sightings': async ({ realm, ...asked }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('capture.sightings', asked) : agent;
    },
    'capture.flows': async ({ realm, ...asked }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('capture.flows', asked) : agent;
    },
    'capture.save': async ({ realm, capture, filter, name }) => {
      const agent = await workbench.connection(realm);
      if (!agent.ok) return agent;
      const read: ReadCapture = (from) =>
        agent.value.call('capture.read', { capture, filter, ...from });
      return saveCapture(path.join(info.captureDirectory, withExtension(name)), read);
    },

    'openflow.flows': async ({ realm, ...place }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('openflow.flows', place) : agent;
    },
    'openflow.trace': async ({ realm, ...packet }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('openflow.trace', packet) : agent;
    },
    'ovs.bridge': async ({ realm, ...place }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('ovs.bridge', place) : agent;
    },
    'ovs.figures': async ({ realm, ...place }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('ovs.figures', place) : agent;
    },

    'process.run': ({ realm, ...request }, { signal, progress }) =>
      workbench.run(realm, request, { signal, onProgress: progress }),
    'process.input': async ({ realm, ...input }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('process.input', input) : agent;
    },
    'process.resize': async ({ realm, ...size }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('process.resize', size) : agent;
    },
    'process.acknowledge': async ({ realm, ...taken }) => {
      const agent = await workbench.connection(realm);
      return agent.ok ? agent.value.call('process.acknowledge', taken) : agent;
    },

    'app.quit': async ({ labs }) => {
      if (labs === 'down') {
        const [failure] = (await takeAllDown(workbench)).failures;
        // What could not be taken down is not left behind without a word.
        if (failure !== undefined) return fail(failure);
      }
      setTimeout(dependencies.quit, 100);
      return succeed({});
    },
  };
}
