/** Namespaces, and what they have beside links, addresses and routes: forwarding and rules. */
import type { NamespaceView } from '../api/inventory.ts';
import { changeOf } from './link-change.ts';
import { linkKey, type NetworkNamespace } from './network.ts';
import { isOfDatapath } from './observed.ts';
import type { Operation } from './operation.ts';
import type { LinkContents } from './plan-contents.ts';
import type { PlanDraft } from './plan-draft.ts';
import { failureOf } from './sentences.ts';

export interface SortedNamespaces {
  readonly kept: ReadonlySet<string>;
  readonly removed: readonly string[];
}

export class NamespacePlanner {
  private readonly draft: PlanDraft;
  private readonly contents: LinkContents;

  constructor(draft: PlanDraft, contents: LinkContents) {
    this.draft = draft;
    this.contents = contents;
  }

  /** Those of ours that are wanted and there, and those that are there only. */
  sort(): SortedNamespaces {
    const { desired, observed, ownership } = this.draft;
    const kept = new Set<string>();
    for (const name of desired.namespaces.keys()) {
      const view = observed.namespacesByName.get(name);
      if (view === undefined) continue;
      if (ownership.ownsNamespace(view, name)) kept.add(name);
      else this.draft.refuse('namespace-taken', 'namespace-of-other-lab', name, name, view.lab);
    }
    const removed: string[] = [];
    for (const [name, view] of observed.namespacesByName) {
      if (observed.nameOf(view.id) !== name || desired.namespaces.has(name)) continue;
      if (ownership.ownsNamespace(view, name)) removed.push(name);
    }
    return { kept, removed };
  }

  add(kept: ReadonlySet<string>): void {
    for (const { name, loopback } of this.draft.desired.namespaces.values()) {
      if (!kept.has(name)) this.draft.push('add-namespaces', { kind: 'add-namespace', name });
      const lo = kept.has(name) ? this.draft.observed.links.get(linkKey(name, 'lo')) : undefined;
      const up = lo?.view.up ?? false;
      if (up === loopback || (kept.has(name) && lo === undefined)) continue;
      this.draft.push('loopbacks', changeOf(name, 'lo', { up }, { up: loopback }));
    }
  }

  /** Goes after everything of ours in it; what is left inside is foreign. */
  remove(name: string): void {
    const { observed, removedKeys } = this.draft;
    const view = observed.namespacesByName.get(name);
    const contents: Operation[] = [];
    for (const link of observed.linksByNamespace.get(name) ?? []) {
      if (link.view.kind === 'loopback') contents.push(...this.contents.of([link]));
      else if (!removedKeys.has(link.key) && !isOfDatapath(link)) {
        const label = this.draft.label(link);
        this.draft.warn('foreign-interface-lost', label, { name: label });
      }
    }
    for (const route of observed.routesOf(name)) {
      if (route.link !== null && removedKeys.has(route.link.key)) continue;
      if (route.owned || route.link?.view.kind === 'loopback') continue;
      this.draft.warnOfRoute('foreign-route-lost', name, route);
    }
    const ours = view?.runs.filter((run) => run.lab === this.draft.lab).length ?? 0;
    const engine = observed.engines.get(name);
    const daemons = [engine?.database.pid, engine?.switch.pid].filter(
      (pid) => typeof pid === 'number',
    ).length;
    const others = (view?.processCount ?? 0) - ours - daemons;
    // What our processes have started themselves ends with them.
    if (others > 0 && ours === 0)
      this.draft.warn('processes-lose-name', name, { name, count: others });
    if (view !== undefined) contents.unshift(...this.extrasOf(name, view));
    this.draft.push('remove-namespaces', { kind: 'remove-namespace', name, contents });
  }

  /** `kept` tells whether it is there already. */
  planExtras(name: string, kept: boolean): void {
    const wanted = this.draft.desired.namespaces.get(name);
    if (wanted === undefined) return;
    this.changeExtras(
      name,
      kept ? this.draft.observed.namespacesByName.get(name) : undefined,
      wanted,
    );
  }

  /** The realm's own namespace is nobody's: of what a router needs there, only what a lab asks for is changed. */
  planInternet(): void {
    const wanted = this.draft.desired.internet;
    const had = this.draft.base?.internet ?? null;
    if (wanted === null && had === null) return;
    const view = this.draft.observed.realm;
    const rules = view?.rules ?? null;
    // Rules bear the name of their lab: those that are as wanted are ours.
    if (wanted !== null && had === null && rules !== null && rules !== wanted.rules) {
      this.draft.refusals.push(
        failureOf('name-taken', 'internet-taken', wanted.node, { node: wanted.node }),
      );
      return;
    }
    this.changeExtras(null, view, {
      forwarding: { ipv4: wanted !== null, ipv6: view?.forwarding.ipv6 ?? false },
      rules: wanted?.rules ?? null,
    });
  }

  private changeExtras(
    namespace: string | null,
    view: NamespaceView | undefined,
    wanted: Pick<NetworkNamespace, 'forwarding' | 'rules'>,
  ): void {
    for (const family of ['ipv4', 'ipv6'] as const) {
      const before = view?.forwarding[family] ?? false;
      const after = wanted.forwarding[family];
      if (before === after) continue;
      this.draft.push('forwarding', {
        kind: 'change-forwarding',
        namespace,
        family,
        before,
        after,
      });
    }
    const before = view?.rules ?? null;
    if (before === wanted.rules) return;
    this.draft.push('rules', { kind: 'change-rules', namespace, before, after: wanted.rules });
  }

  /** What a namespace that is made anew lacks of what this one has. */
  private extrasOf(namespace: string, view: NamespaceView): readonly Operation[] {
    const extras: Operation[] = [];
    for (const family of ['ipv4', 'ipv6'] as const) {
      if (!view.forwarding[family]) continue;
      extras.push({ kind: 'change-forwarding', namespace, family, before: false, after: true });
    }
    if (view.rules !== null) {
      extras.push({ kind: 'change-rules', namespace, before: null, after: view.rules });
    }
    return extras;
  }
}
