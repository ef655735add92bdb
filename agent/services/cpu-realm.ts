/** Where the CPU groups of a realm's labs are, found once: which hierarchies, and what there is of a lab's. */
import { readFileSync } from 'node:fs';
import { cpuPlaceVariable } from '../api/realm-files.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import type { ReadFile } from '../cpu/files.ts';
import { holderUnitOf } from '../cpu/holder.ts';
import type { CpuHierarchy, CpuMachine } from '../cpu/machine.ts';
import {
  clearDelegatedGroup,
  enterDelegatedGroup,
  findDelegatedGroups,
  lackOfPlace,
  ownPlaceIn,
} from '../kernel/cgroup-delegation.ts';
import {
  type CgroupLayout,
  directoryOfProcess,
  findCgroupLayout,
  heldBy,
  hierarchiesBelow,
  isPartition,
  isSystemdMachine,
  parseProcessCgroups,
} from '../kernel/cgroup-hierarchies.ts';
import { findHolder } from '../kernel/cgroup-holder.ts';
import { Cgroups } from '../kernel/cgroups.ts';
import type { CpuRealm as CpuRealmInput } from '../lab/plan-cpu.ts';
import { failureOf } from '../lab/sentences.ts';

export interface CpuPlaces {
  /** Their bases are where labs' groups are made, or where the units are that hold them. */
  readonly hierarchies: readonly CpuHierarchy[];
  /** Whether each lab's groups are held by a unit of systemd's of their own (agent/cpu/holder.ts). */
  readonly areHeld: boolean;
  /** Where processes go that leave a lab's groups, by hierarchy: where the agent is. */
  readonly outside: readonly string[];
}

/** Fails with 'unsupported' or 'refused' where groups cannot be, and says what would provide them. */
export function findCpuPlaces(
  realm: string,
  below: string | undefined = process.env[cpuPlaceVariable],
): Result<CpuPlaces> {
  if (realm !== 'host') return findDelegatedPlaces(realm);
  const layout = findCgroupLayout();
  const areHeld = below === undefined && isSystemdMachine();
  if (areHeld && layout.mode !== 'v2') {
    return fail(failureOf('refused', 'cpu-under-systemd', realm, {}));
  }
  const hierarchies = hierarchiesBelow(layout, below ?? '/');
  if (!offersCpu(hierarchies)) {
    return fail(failureOf('unsupported', 'cpu-no-controller', realm, {}));
  }
  const own = readPlaces('self');
  const outside = layout.hierarchies.map(
    (one, index) => directoryOfProcess(one, own) ?? hierarchies[index]?.base ?? one.mountPoint,
  );
  return succeed({ hierarchies, areHeld, outside });
}

/**
 * In a sandbox: the groups that its keeper, which is pid 1 there, was started in and that were handed over to its user. The
 * agent joins it there, wherever it was started: nobody moves a process to or from where they may not write.
 */
function findDelegatedPlaces(realm: string): Result<CpuPlaces> {
  const layout = findCgroupLayout();
  if (!offersCpu(layout.hierarchies)) {
    return fail(failureOf('unsupported', 'cpu-no-controller', realm, {}));
  }
  const hierarchies = findDelegatedGroups(layout, readPlaces(1));
  if (!offersCpu(hierarchies)) return fail(notDelegated(realm, layout));
  const own = readPlaces('self');
  for (const hierarchy of hierarchies) {
    const found = layout.hierarchies.find((one) => hierarchy.base.startsWith(one.mountPoint));
    if (found !== undefined && directoryOfProcess(found, own) === ownPlaceIn(hierarchy)) continue;
    const entered = enterDelegatedGroup(hierarchy, process.pid);
    if (entered.ok) continue;
    const values = { realm, place: hierarchy.base };
    return fail({
      ...failureOf('refused', 'cpu-agent-outside', realm, values),
      causes: [entered.failure],
    });
  }
  return succeed({ hierarchies, areHeld: false, outside: hierarchies.map(ownPlaceIn) });
}

function offersCpu(hierarchies: readonly Pick<CpuHierarchy, 'controllers'>[]): boolean {
  return hierarchies.some(({ controllers }) => controllers.includes('cpu'));
}

function readPlaces(pid: number | 'self'): ReadonlyMap<string, string> {
  return parseProcessCgroups(readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8'));
}

/** Why a sandbox has no groups, with the command that gives it some. */
export function notDelegated(realm: string, layout: CgroupLayout = findCgroupLayout()): Failure {
  const isVersion2 = layout.hierarchies.every(({ version }) => version === 2);
  const code = isVersion2 ? 'cpu-in-sandbox' : 'cpu-in-sandbox-v1';
  const lab = realm.replace(/^sandbox:/, '');
  const mounts = layout.hierarchies.map(({ mountPoint }) => mountPoint).join(' ');
  return failureOf('refused', code, realm, { lab, mounts });
}

/** Why groups cannot be made where they are to be; null when they can. It may change while the agent runs. */
function lackOfPlaces({ hierarchies }: CpuPlaces): Failure | null {
  for (const { base } of hierarchies) {
    const lack = lackOfPlace(base);
    if (lack === 'read-only') return failureOf('refused', 'cpu-place-read-only', base, { base });
    if (lack === 'missing') return failureOf('refused', 'cpu-place-missing', base, { base });
  }
  return null;
}

interface Capability {
  readonly name: string;
  readonly available: boolean;
  readonly reason: string;
}

/** What this machine offers for CPU groups, in words: each controller, and whether the host's labs can have groups. */
export function describeCpuOffers(): readonly Capability[] {
  const { mode, hierarchies } = findCgroupLayout();
  const controllers = (['cpu', 'cpuset'] as const).map((name): Capability => {
    const found = hierarchies.find((one) => one.controllers.includes(name));
    const where = found === undefined ? '' : `cgroup v${found.version} at ${found.mountPoint}`;
    return {
      name: `cgroup:${name}`,
      available: found !== undefined,
      reason:
        found === undefined
          ? `No hierarchy of control groups has it (${mode}).`
          : `${where}${mode === 'hybrid' ? ', beside the other version' : ''}`,
    };
  });
  const places = findCpuPlaces('host');
  const lack = places.ok ? lackOfPlaces(places.value) : places.failure;
  const groups: Capability = {
    name: 'cpu-groups',
    available: lack === null,
    reason:
      places.ok && lack === null
        ? `in the realm of the host, in ${placesOf(places.value)}`
        : sentenceOf(lack),
  };
  const cpuset = places.ok
    ? places.value.hierarchies.find((one) => one.controllers.includes('cpuset'))
    : undefined;
  // The unit that holds a lab's groups is none.
  const areHeld = places.ok && places.value.areHeld;
  const hasPartitions = lack === null && !areHeld && cpuset !== undefined && isPartition(cpuset);
  const partitions: Capability = {
    name: 'cpu-groups:partitions',
    available: hasPartitions,
    reason: hasPartitions
      ? `groups that have CPUs for themselves, taken from ${cpuset.base}`
      : 'Only cgroup v2 gives a group CPUs for itself, and only below its top or a partition.',
  };
  const delegated = findDelegatedGroups(findCgroupLayout(), readPlaces('self'));
  const isDelegated = offersCpu(delegated);
  const inSandbox: Capability = {
    name: 'cpu-groups:sandbox',
    available: isDelegated,
    reason: isDelegated
      ? `in sandboxes that are started from here, in ${basesOf(delegated)}`
      : sentenceOf(notDelegated('sandbox:LAB')),
  };
  return [...controllers, groups, partitions, inSandbox];
}

function placesOf({ hierarchies, areHeld }: CpuPlaces): string {
  return areHeld
    ? `a unit of systemd’s for each lab, ${holderUnitOf('LAB')}`
    : basesOf(hierarchies);
}

function basesOf(hierarchies: readonly CpuHierarchy[]): string {
  return hierarchies.map(({ base }) => base).join(', ');
}

function sentenceOf(failure: Failure | null): string {
  return failure === null ? '' : `${failure.reason} ${failure.next}`;
}

/**
 * For whoever starts a keeper: the delegated groups that this process is in, cleared for a sandbox's own groups. What
 * cannot be cleared is left out.
 */
export function readyDelegatedGroups(): readonly string[] {
  return findDelegatedGroups(findCgroupLayout(), readPlaces('self'))
    .filter((group) => clearDelegatedGroup(group).ok)
    .map(({ base }) => base);
}

export class RealmCpu {
  private readonly places: Result<CpuPlaces>;

  constructor(places: Result<CpuPlaces>) {
    this.places = places;
  }

  /** Null where there can be none. `read` as in `Cgroups`. */
  groupsOf(lab: string, read?: ReadFile): Cgroups | null {
    if (!this.places.ok) return null;
    const { hierarchies, areHeld, outside } = this.places.value;
    const own = areHeld ? hierarchies.map((one) => heldBy(one, holderUnitOf(lab))) : hierarchies;
    return new Cgroups(own, lab, outside, read);
  }

  /** What there is of a lab's groups now. */
  observe(lab: string): CpuRealmInput {
    const groups = this.groupsOf(lab);
    if (groups === null) return { kind: 'lacking', failure: this.lack() };
    return {
      kind: 'offered',
      machine: this.machineOf(lab, groups),
      lack: this.places.ok ? lackOfPlaces(this.places.value) : null,
      groupOf: (pid) => groups.groupOf(pid),
    };
  }

  /** What is left in a place that nothing holds is made anew: it does not count. */
  private machineOf(lab: string, groups: Cgroups): CpuMachine {
    const machine = groups.machine();
    const [hierarchy] = groups.hierarchies;
    if (!this.places.ok || !this.places.value.areHeld || hierarchy === undefined) return machine;
    const holder = findHolder(lab, hierarchy);
    return { ...machine, holder, groups: holder.state === 'held' ? machine.groups : new Map() };
  }

  private lack(): Failure {
    if (this.places.ok) throw new Error('nothing is lacking');
    return this.places.failure;
  }
}
