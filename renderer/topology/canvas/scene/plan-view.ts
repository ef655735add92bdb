/** A plan by what its steps touch. */
import { type Plan, type PlanStep } from '../../../../agent/api/index.ts';
import { type Difference } from './scene.ts';

/** Steps of a plan by what they touch. */
export class PlanView {
  readonly #node = new Map<string, PlanStep[]>();
  readonly #interface = new Map<string, PlanStep[]>();

  constructor(plan: Pick<Plan, 'steps'> | null) {
    for (const step of plan?.steps ?? []) {
      for (const target of step.targets) {
        const [map, key] =
          target.interface === null || target.interface === target.node
            ? [this.#node, target.node]
            : [this.#interface, `${target.node}:${target.interface}`];
        const steps = map.get(key);
        if (steps === undefined) map.set(key, [step]);
        else steps.push(step);
      }
    }
  }

  node(name: string): Difference {
    return differenceOf(
      this.#node.get(name) ?? [],
      new Set(['namespace', 'bridge', 'ovs-bridge', 'machine']),
    );
  }

  /** The realm's own namespace is there anyway; its rules make it the way out. */
  internet(name: string): Difference {
    return differenceOf(this.#node.get(name) ?? [], new Set(['rules']));
  }

  interface(id: string): Difference {
    return differenceOf(this.#interface.get(id) ?? [], new Set(['veth', 'device']));
  }

  removedNodes(): string[] {
    return [...this.#node.keys()].filter((name) => this.node(name) === 'remove');
  }
}

/** Adding or removing the object itself outweighs changes to it; both at once is a change. */
function differenceOf(steps: readonly PlanStep[], own: ReadonlySet<string>): Difference {
  const verbs = new Set(steps.filter((step) => own.has(step.object)).map((step) => step.verb));
  if (verbs.has('add') && verbs.has('remove')) return 'change';
  if (verbs.has('add')) return 'add';
  if (verbs.has('remove')) return 'remove';
  return steps.length > 0 ? 'change' : null;
}

/** While a plan is carried out, what has appeared is no longer to be added: the drawing fills in. */
export function pending(difference: Difference, real: boolean): Difference {
  return difference === 'add' && real ? null : difference;
}
