/** Nodes of labs that are up, as the kernel has them. */
import path from 'node:path';
import { isSwitch, namespaceOfNode } from '../api/document.ts';
import type { ExportRecords } from '../api/flow-export.ts';
import type { ProcessPlace } from '../api/process.ts';
import { fail, type Result, succeed } from '../api/result.ts';
import { logNameOf } from '../apply/execute.ts';
import { collectorProcessName, isCollector } from '../lab/collector.ts';
import { groupPathOf } from '../lab/cpu-split.ts';
import { failureOf } from '../lab/sentences.ts';
import { machineProcessName } from '../lab/virtual-machine.ts';
import { readCollected } from './collected.ts';
import { unknownNode } from './interface-states.ts';
import { logDirectoryOf } from './lab-executor.ts';
import type { LabServiceOptions } from './lab-options.ts';
import type { LabStates } from './lab-states.ts';
import type { Spot } from './processes.ts';

export interface NodeInterfaces {
  /** Name of the namespace; null is the realm's own. */
  readonly namespace: string | null;
  /** Null for all of the namespace. */
  readonly names: readonly string[] | null;
}

export class LabNodes {
  private readonly options: LabServiceOptions;
  private readonly states: LabStates;

  constructor(options: LabServiceOptions, states: LabStates) {
    this.options = options;
    this.states = states;
  }

  /** What a place is; fails for a machine that does not run. */
  spotOf(place: ProcessPlace): Result<Spot> {
    if (place.kind === 'realm') return succeed({ namespace: null, machine: null, joins: [] });
    const document = this.states.inForceOf(place.lab);
    if (!document.ok) return document;
    const nodes = new Map(Object.entries(document.value.topology.nodes));
    const node = nodes.get(place.node);
    if (node === undefined) return fail(unknownNode(place.lab, place.node));
    if (node.kind === 'vm') return this.machineAt(place.lab, place.node);
    const namespace = namespaceOfNode(place.node, node);
    const owned = namespace === null ? succeed(undefined) : this.checkNode(place.lab, namespace);
    if (!owned.ok) return owned;
    const group = node.kind === 'namespace' && document.value.cpu !== undefined ? node.cpu : null;
    const joins =
      group === undefined || group === null
        ? []
        : (this.options.cpu?.groupsOf(place.lab)?.filesToJoin(groupPathOf(group)) ?? []);
    return succeed({ namespace, machine: null, joins });
  }

  /** What the collector of a node has received: at most `limit` records, and the totals. */
  collected(lab: string, node: string, limit: number): Result<ExportRecords> {
    const document = this.states.inForceOf(lab);
    if (!document.ok) return document;
    const nodes = new Map(Object.entries(document.value.topology.nodes));
    const found = nodes.get(node);
    if (found === undefined) return fail(unknownNode(lab, node));
    if (found.kind !== 'namespace' || found.collector === undefined) {
      return fail(failureOf('refused', 'check-without-collector', `${lab}:${node}`, { node }));
    }
    const log = path.join(logDirectoryOf(this.options, lab), logNameOf(node, collectorProcessName));
    const running = this.options.tracker
      .snapshot()
      .namespaces.some(
        ({ names, runs }) =>
          names.includes(node) &&
          runs.some((run) => run.lab === lab && isCollector(run.name, run.command)),
      );
    return readCollected(log, limit, running);
  }

  /**
   * Where a node's interfaces are: all of a namespace, or of a switch its own and its ports, which share a namespace with
   * others. Fails as `spotOf` does.
   */
  interfacesOf(lab: string, node: string): Result<NodeInterfaces> {
    const spot = this.spotOf({ kind: 'node', lab, node });
    if (!spot.ok) return spot;
    const { namespace } = spot.value;
    const document = this.states.inForceOf(lab);
    if (!document.ok) return document;
    const found = new Map(Object.entries(document.value.topology.nodes)).get(node);
    if (found === undefined || !isSwitch(found)) {
      if (found?.kind === 'namespace' || found?.kind === 'vm') {
        return succeed({ namespace, names: null });
      }
      return fail({
        kind: 'refused',
        code: 'node-without-interfaces',
        object: `${lab}:${node}`,
        reason: `${node} has no interfaces of its own.`,
        next: 'Name the interface of the node that is wired to it.',
        values: { lab, node },
      });
    }
    const { namespaces, links, engines } = this.options.tracker.snapshot();
    const place = namespaces.find(({ names, root }) =>
      namespace === null ? root : names.includes(namespace),
    );
    const ofPlace = links.filter((link) => link.namespace === place?.id);
    const bridge = ofPlace.find(({ name }) => name === node);
    const ports = ofPlace.filter(({ master }) => master !== null && master === bridge?.id);
    const ovs = engines
      .filter((engine) => engine.namespace === place?.id)
      .flatMap(({ bridges }) => bridges)
      .find((one) => one.bridge.name === node);
    const names = [
      ...(bridge === undefined ? [] : [bridge.name]),
      ...ports.map(({ name }) => name),
      ...(ovs?.interfaces ?? []).map(({ name }) => name),
    ];
    return succeed({ namespace, names: [...new Set(names)] });
  }

  private machineAt(lab: string, node: string): Result<Spot> {
    const process = machineProcessName(node);
    const view = this.options.tracker
      .snapshot()
      .namespaces.find(({ runs }) => runs.some((run) => run.lab === lab && run.name === process));
    if (view === undefined) {
      return fail({
        kind: 'refused',
        code: 'machine-not-running',
        object: `${lab}:${node}`,
        reason: `The virtual machine ${node} does not run.`,
        next: 'Plan and apply again: that starts it anew.',
        values: { lab, node },
      });
    }
    const namespace = view.root ? null : (view.names[0] ?? null);
    const log = path.join(logDirectoryOf(this.options, lab), logNameOf(namespace, process));
    return succeed({ namespace, machine: { lab, node, log }, joins: [] });
  }

  /** On the host, a namespace of a node's name may meanwhile be somebody else's: nobody is let into that. */
  checkNode(lab: string, node: string): Result<void> {
    if (this.options.realm !== 'host') return succeed(undefined);
    const view = this.options.tracker
      .snapshot()
      .namespaces.find(({ names }) => names.includes(node));
    if (view?.lab === lab && !view.root) return succeed(undefined);
    return fail({
      kind: 'refused',
      code: 'foreign-node',
      object: `${lab}:${node}`,
      reason: `The namespace ${node} does not bear the mark of lab ${lab} (any more), so it may be somebody else’s.`,
      next: 'Plan the lab again, and look at what has changed.',
      values: { lab, node },
    });
  }
}
