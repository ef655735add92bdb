import type { Plan, PlanStep } from '../../agent/api/index.ts';
import { groupLabel } from '../../agent/lab/cpu-split.ts';

/** Steps of a plan that touch a node, or one interface of it where it is named. */
export function stepsFor(
  plan: Plan | null,
  node: string,
  name: string | null,
): readonly PlanStep[] {
  return (plan?.steps ?? []).filter((step) =>
    step.targets.some(
      (target) => target.node === node && (name === null || target.interface === name),
    ),
  );
}

/** Steps of a plan that touch a CPU group itself. */
export function stepsForGroup(plan: Plan | null, group: string): readonly PlanStep[] {
  const label = groupLabel(group);
  return (plan?.steps ?? []).filter((step) => step.object === 'cpu-group' && step.label === label);
}

/** What a node itself is in a plan. */
const ownObjects: ReadonlySet<string> = new Set(['namespace', 'bridge', 'ovs-bridge']);

/** The way out of a realm is made of rules alone. */
function isRealmRules(step: PlanStep): boolean {
  return step.object === 'rules' && step.commands.every((command) => !command.includes('netns'));
}

/**
 * What a plan does to a node or to an interface, as one mark: what makes or removes the object itself says add or
 * remove; anything less is a change.
 */
export function verbOf(
  plan: Plan | null,
  node: string,
  name: string | null,
): 'add' | 'remove' | 'change' | null {
  const steps = stepsFor(plan, node, name);
  const own = steps.find((step) =>
    name === null
      ? ownObjects.has(step.object)
      : step.object === 'veth' || step.object === 'interface',
  );
  const wayOut = name === null ? steps.find(isRealmRules) : undefined;
  if (wayOut !== undefined) return wayOut.verb;
  if (own !== undefined) return own.verb;
  return steps.length > 0 ? 'change' : null;
}
