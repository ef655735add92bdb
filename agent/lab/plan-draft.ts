/**
 * A plan that is being drawn up: what it is made from, what is known so far of the links, and what has come of it. Only
 * what several parts ask or say belongs here; what decides something belongs to the part whose subject it is.
 */
import type { PlanConfirm, Warning } from '../api/plan.ts';
import type { Failure } from '../api/result.ts';
import { changeOf, type LinkChange } from './link-change.ts';
import { type Network, type NetworkLink, readableDestination, routeKey } from './network.ts';
import {
  type Observed,
  type ObservedLink,
  type ObservedRoute,
  type Ownership,
  ownershipOf,
} from './observed.ts';
import type { Operation } from './operation.ts';
import type { PlanInput } from './plan-input.ts';
import { type SortedSwitches, sortSwitches } from './plan-ovs.ts';
import { type Phase, phases } from './plan-phases.ts';
import { failureOf, type SentenceCode, type SentenceValues, warningOf } from './sentences.ts';
import { drawingOf, interfaceLabel } from './step.ts';

/** A link that is there and stays. */
export interface KeptLink {
  readonly observed: ObservedLink;
  readonly wanted: NetworkLink;
}

export class PlanDraft {
  readonly warnings: Warning[] = [];
  readonly refusals: Failure[] = [];
  /** As in `LabPlan`. */
  readonly onlyWays: string[] = [];
  confirm: PlanConfirm | null = null;

  readonly input: PlanInput;
  readonly lab: string;
  readonly desired: Network;
  readonly base: Network | null;
  readonly observed: Observed;
  readonly ownership: Ownership;
  readonly switches: SortedSwitches;
  /** Links of ours by key, as `LinkSorter` finds them: those that stay, and those that go. */
  readonly kept = new Map<string, KeptLink>();
  readonly removedKeys = new Set<string>();

  private readonly byPhase = new Map<Phase, Operation[]>(phases.map((phase) => [phase, []]));
  private readonly baseRouteKeys = new Map<string, ReadonlySet<string>>();

  constructor(input: PlanInput, desired: Network, base: Network | null, observed: Observed) {
    this.input = input;
    this.lab = input.lab;
    this.desired = desired;
    this.base = base;
    this.observed = observed;
    this.ownership = ownershipOf(input.lab, base, observed);
    this.switches = sortSwitches(desired, observed, this.ownership);
  }

  /** In the order in which they are carried out. */
  operations(): readonly Operation[] {
    return phases.flatMap((phase) => this.byPhase.get(phase) ?? []);
  }

  // What the base document lists, and what is there

  /** Whether the cost of a port was asked for; else it follows from the port's speed. */
  statesCost(key: string): boolean {
    return this.base?.links.get(key)?.port?.cost !== undefined;
  }

  listsAddress(key: string, address: string): boolean {
    return this.base?.links.get(key)?.addresses.includes(address) === true;
  }

  ownsRoute(namespace: string, route: ObservedRoute): boolean {
    if (route.owned) return true;
    const { dev } = route;
    if (dev === null) return false;
    const key = routeKey({ ...route, dev });
    return this.baseRoutes(namespace).has(key);
  }

  /** By `routeKey`. */
  baseRoutes(namespace: string): ReadonlySet<string> {
    const known = this.baseRouteKeys.get(namespace);
    if (known !== undefined) return known;
    const keys = new Set((this.base?.routes.get(namespace) ?? []).map((route) => routeKey(route)));
    this.baseRouteKeys.set(namespace, keys);
    return keys;
  }

  /** IFLA_INFO_KIND of the master; undefined without one. */
  observedMasterKind(link: ObservedLink): string | undefined {
    return this.observed.linkById(link.view.master)?.view.kind;
  }

  // Sentences and output

  label(link: ObservedLink): string {
    return this.labelOf(link.namespace, link.view.name);
  }

  labelOf(namespace: string | null, name: string): string {
    return interfaceLabel(drawingOf(this.desired, this.base), namespace, name);
  }

  warn(code: SentenceCode, object: string, values: SentenceValues): void {
    this.warnings.push(warningOf(code, object, values));
  }

  warnOfRoute(code: SentenceCode, namespace: string, route: ObservedRoute): void {
    this.warn(code, namespace, { to: readableDestination(route.to), place: namespace });
  }

  /** A name is taken; `owner` is the lab that has it, where one has. */
  refuse(
    code: SentenceCode,
    codeOfOtherLab: SentenceCode,
    object: string,
    name: string,
    owner: string | null,
  ): void {
    const other = owner !== null && owner !== this.lab;
    const values = { name, ...(other ? { other: owner } : {}) };
    this.refusals.push(failureOf('name-taken', other ? codeOfOtherLab : code, object, values));
  }

  push(phase: Phase, operation: Operation): void {
    this.byPhase.get(phase)?.push(operation);
  }

  pushChange(
    phase: Phase,
    [namespace, name]: readonly [string | null, string],
    change: LinkChange,
  ): void {
    if (change.isEmpty) return;
    this.push(phase, changeOf(namespace, name, change.before, change.after));
  }
}
