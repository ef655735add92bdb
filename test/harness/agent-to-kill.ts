/** An agent that is killed at every point of a change: what it leaves is the one state or the other. */
import { expect } from 'vitest';
import type { PlanTarget } from '../../agent/api/calls.ts';
import type { ApplyOutcome, TransactionProgress } from '../../agent/api/lab.ts';
import type { Plan, PlanStep } from '../../agent/api/plan.ts';
import type { Result } from '../../agent/api/result.ts';
import type { ConnectedAgent, Realms } from '../../main/agent-link/realms.ts';
import { isAlive, Netloom, type RunningRealm, waitUntil } from './netloom.ts';

export interface Change {
  readonly what: string;
  /** What is in force before; null is nothing at all. */
  readonly before: PlanTarget | null;
  readonly wanted: PlanTarget;
}

export interface Witness<State> {
  readonly read: (realm: RunningRealm) => State;
  /** What differs, but for what a state may differ in that was made anew. */
  readonly differences: (before: State, after: State) => readonly string[];
  /** Fault points (`agent/apply/fault.ts`) of a step. */
  readonly pointsOf: (step: PlanStep, index: number) => readonly string[];
}

export function documentTarget(text: string): PlanTarget {
  return { kind: 'document', text, path: null, replace: true };
}

/** Up from nothing, an edit and the way down. */
export function threeChanges(lab: string, first: string, second: string): readonly Change[] {
  return [
    { what: 'up from nothing', before: null, wanted: documentTarget(first) },
    { what: 'a change', before: documentTarget(first), wanted: documentTarget(second) },
    { what: 'a down', before: documentTarget(second), wanted: { kind: 'down', lab } },
  ];
}

/** Points of every change. */
const settledPoints = [
  'kill-before-journal',
  'kill-after-journal',
  'kill-before-verify',
  'kill-before-commit',
  'kill-mid-commit',
  'kill-after-commit',
];

export class AgentToKill {
  readonly netloom: Netloom;
  readonly realm: RunningRealm;
  private readonly link: Realms;
  private readonly lab: string;
  private agent: ConnectedAgent;

  private constructor(
    lab: string,
    place: { readonly netloom: Netloom; readonly link: Realms; readonly realm: RunningRealm },
    agent: ConnectedAgent,
  ) {
    this.lab = lab;
    this.netloom = place.netloom;
    this.link = place.link;
    this.realm = place.realm;
    this.agent = agent;
  }

  /** In a realm of its own that bears the lab's name. */
  static async open(lab: string): Promise<AgentToKill> {
    const netloom = new Netloom();
    const link = netloom.link();
    const realm = await netloom.emptyRealm(lab);
    const connected = await link.connect(realm.realm);
    if (!connected.ok) throw new Error(connected.failure.reason);
    return new AgentToKill(lab, { netloom, link, realm }, connected.value);
  }

  async dispose(): Promise<void> {
    this.agent.client.close();
    await this.netloom.dispose();
  }

  get client(): ConnectedAgent['client'] {
    return this.agent.client;
  }

  async plan(target: PlanTarget): Promise<Plan> {
    const planned = await this.client.call('lab.plan', { target });
    if (!planned.ok) throw new Error(JSON.stringify(planned.failure));
    expect(planned.value.refusals).toEqual([]);
    return planned.value;
  }

  /** Whether the agent survived it. */
  async apply(target: PlanTarget): Promise<boolean> {
    const plan = (await this.plan(target)).id ?? '';
    const applied = await this.client.call('lab.apply', { plan });
    if (applied.ok) return true;
    expect(applied.failure.kind, JSON.stringify(applied.failure)).toBe('unreachable');
    return false;
  }

  /** What comes of it; `watch` is told how far it is. */
  async applyWatched(
    target: PlanTarget,
    watch: (progress: TransactionProgress) => void,
  ): Promise<Result<ApplyOutcome>> {
    const plan = (await this.plan(target)).id ?? '';
    return this.client.call('lab.apply', { plan }, { onProgress: watch });
  }

  /** Without a word, as by SIGKILL from anybody. */
  async kill(): Promise<void> {
    const pid = this.link.findAgent(this.realm.realm)?.pid;
    if (pid === undefined) throw new Error('no agent to kill');
    process.kill(pid, 'SIGKILL');
    expect(await waitUntil(() => !isAlive(pid))).toBe(true);
  }

  /** Its successor dies at the given point; '' is none. */
  async replace(fault: string): Promise<void> {
    this.client.close();
    const stopped = await this.link.stopAgent(this.realm.realm);
    if (!stopped.ok) throw new Error(stopped.failure.reason);
    this.agent = await this.netloom.startFaultyAgent(this.link, this.realm, fault);
  }

  private async isKnown(): Promise<boolean> {
    const labs = await this.client.call('lab.list', {});
    return labs.ok && labs.value.labs.length > 0;
  }

  /** Kills an agent at every point, and looks at what its successor makes of it. */
  async expectOneOrTheOther<State>(
    { before, wanted }: Change,
    { read, differences, pointsOf }: Witness<State>,
  ): Promise<void> {
    const prepare: PlanTarget = before ?? { kind: 'down', lab: this.lab };
    const reset = async (): Promise<void> => {
      if (before !== null || (await this.isKnown())) await this.apply(prepare);
    };
    await this.replace('');
    await reset();
    const first = read(this.realm);
    const { steps } = await this.plan(wanted);
    expect(steps.length).toBeGreaterThan(3);
    expect(await this.apply(wanted)).toBe(true);
    const last = read(this.realm);
    expect(differences(first, last)).not.toEqual([]);
    await reset();
    expect(differences(first, read(this.realm))).toEqual([]);

    const points = [...settledPoints, ...steps.flatMap(pointsOf)];
    const outcomes: Record<string, string> = {};
    await this.replace(points[0] ?? '');
    for (const [at, point] of points.entries()) {
      expect(await this.apply(wanted), `${point} must kill it`).toBe(false);
      // The agent that recovers is the one that the next point kills, unless that point counts in a recovery too.
      const next = points[at + 1] ?? '';
      const counts = next === 'kill-mid-commit';
      await this.replace(counts ? '' : next);
      const { recoveries } = this.agent.info;
      expect(
        recoveries.map(({ outcome }) => outcome),
        `${point}: ${JSON.stringify(recoveries)}`,
      ).not.toContain('failed');
      const now = read(this.realm);
      const [toFirst, toLast] = [differences(first, now), differences(last, now)];
      const isAtFirst = toFirst.length === 0;
      expect(isAtFirst || toLast.length === 0, neither(point, toFirst, toLast)).toBe(true);
      outcomes[point] = isAtFirst ? 'as before' : 'as asked';
      // The record says what the kernel has.
      const target = isAtFirst ? prepare : wanted;
      const drift = await this.client.call('lab.plan', { target });
      if (drift.ok) expect(drift.value.steps, point).toEqual([]);
      else expect(before, point).toBe(null);
      if (isAtFirst && !counts) continue;
      await this.replace('');
      if (!isAtFirst) await reset();
      await this.replace(next);
    }
    expect(new Set(Object.values(outcomes)).size, JSON.stringify(outcomes)).toBe(2);
  }
}

function neither(point: string, toFirst: readonly string[], toLast: readonly string[]): string {
  return [
    `${point} left neither. From before:`,
    ...toFirst,
    'From what was asked for:',
    ...toLast,
  ].join('\n');
}
