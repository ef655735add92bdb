import type { ApplyOutcome, Failure, RealmName, Result } from '../../agent/api/index.ts';
import type { Workbench } from './workbench.ts';

/** Plans and applies `down`; starts the agent of a realm that has lost its own. */
export async function takeDown(workbench: Workbench, lab: string): Promise<Result<ApplyOutcome>> {
  let plan = await workbench.plan({ kind: 'down', lab }, null);
  if (!plan.ok && plan.failure.code === 'agent-lost') {
    const started = await workbench.startAgent(await workbench.realmOf(lab));
    if (!started.ok) return started;
    plan = await workbench.plan({ kind: 'down', lab }, null);
  }
  if (!plan.ok) return plan;
  return workbench.apply(plan.value.id ?? '');
}

/** Takes every lab down that is meant to be up, one after the other; goes on after a failure. */
export async function takeAllDown(
  workbench: Workbench,
  onLab: (lab: string) => void = () => undefined,
): Promise<{ readonly outcomes: readonly ApplyOutcome[]; readonly failures: readonly Failure[] }> {
  const outcomes: ApplyOutcome[] = [];
  const failures: Failure[] = [];
  const emptied = new Set<RealmName>();
  for (const { record, realm } of (await workbench.records()).values()) {
    if (!record.up) {
      emptied.add(realm);
      continue;
    }
    onLab(record.name);
    const outcome = await takeDown(workbench, record.name);
    if (outcome.ok) outcomes.push(outcome.value);
    else failures.push(outcome.failure);
  }
  // A lab that was undone to nothing left its realm, so that it could be redone there.
  for (const realm of emptied) await workbench.endEmptyRealm(realm);
  return { outcomes, failures };
}
