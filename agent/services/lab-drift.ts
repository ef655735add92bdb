/** How far labs that are up have drifted from their documents. */
import type { LabRecord } from '../api/lab.ts';
import { isUp } from '../apply/history.ts';
import type { TransactionRunner } from '../apply/transaction.ts';
import type { LabServiceOptions } from './lab-options.ts';
import type { LabPlanner } from './lab-planner.ts';
import type { LabStates } from './lab-states.ts';

/** Milliseconds between something that has changed and the look at it: changes come in crowds. */
const driftDelay = 200;
/** Milliseconds between two looks at the files of CPU groups: nothing tells of their changes. */
const groupLook = 1000;
/** Thousands of groups take long to read: the next look at them is this many times as long away. */
const groupLookPause = 50;

export class DriftWatch {
  private timer: NodeJS.Timeout | undefined;
  private groupTimer: NodeJS.Timeout | undefined;
  private nextGroupLook = 0;
  private readonly options: LabServiceOptions;
  private readonly runner: TransactionRunner;
  private readonly states: LabStates;
  private readonly planner: LabPlanner;
  private closed = false;

  constructor(
    options: LabServiceOptions,
    runner: TransactionRunner,
    states: LabStates,
    planner: LabPlanner,
  ) {
    this.options = options;
    this.runner = runner;
    this.states = states;
    this.planner = planner;
    if (options.cpu === undefined) return;
    this.groupTimer = setInterval(() => {
      if (performance.now() >= this.nextGroupLook && this.hasGroups()) this.lookSoon();
    }, groupLook);
    this.groupTimer.unref();
  }

  lookSoon(): void {
    if (this.closed || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      const begun = performance.now();
      this.look();
      const ended = performance.now();
      this.nextGroupLook = ended + (ended - begun) * groupLookPause;
    }, driftDelay);
    this.timer.unref();
  }

  /** Compares every lab that is up with what the inventory shows; tells of differences that are new. */
  look(): void {
    // During a transaction everything drifts; it looks again at its end.
    if (this.closed || this.runner.running !== null) return;
    for (const state of this.states.byName.values()) {
      const drift = this.driftOf(state.record);
      if (drift === state.drift) continue;
      state.drift = drift;
      this.states.publish(state);
    }
  }

  /** Whether a lab that is up has CPU groups. */
  private hasGroups(): boolean {
    return [...this.states.byName.values()].some(({ record }) => {
      if (!isUp(record, this.options.incarnation)) return false;
      const document = this.states.inForce(record);
      return document.ok && document.value.cpu !== undefined;
    });
  }

  private driftOf(record: LabRecord): number | null {
    if (!isUp(record, this.options.incarnation)) return null;
    const document = this.states.inForce(record);
    if (!document.ok) return null;
    const desired = document.value;
    const planned = this.planner.planWith(record.name, desired, desired);
    return planned.operations.length + planned.refusals.length;
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    clearInterval(this.groupTimer);
  }
}
