/** Where the CPU groups of a realm's labs are, found once: which hierarchies, and what there is of a lab's. */
import { readFileSync } from 'node:fs';
import { cpuPlaceVariable } from '../api/realm-files.ts';
import { fail, type Failure, type Result, succeed } from '../api/result.ts';
import type { ReadFile } from '../cpu/files.ts';
import type { CpuHierarchy } from '../cpu/machine.ts';
import {
  directoryOfProcess,
  findCgroupLayout,
  hierarchiesBelow,
  isSystemdMachine,
  parseProcessCgroups,
} from '../kernel/cgroup-hierarchies.ts';
import { Cgroups } from '../kernel/cgroups.ts';
import type { CpuRealm as CpuRealmInput } from '../lab/plan-cpu.ts';
import { failureOf } from '../lab/sentences.ts';

export interface CpuPlaces {
  readonly hierarchies: readonly CpuHierarchy[];
  /** Where processes go that leave a lab's groups, by hierarchy: where the agent is. */
  readonly outside: readonly string[];
}

/** Fails with 'unsupported' or 'refused' where groups cannot be, and says what would provide them. */
export function findCpuPlaces(
  realm: string,
  below: string | undefined = process.env[cpuPlaceVariable],
): Result<CpuPlaces> {
  if (realm !== 'host') return fail(failureOf('refused', 'cpu-in-sandbox', realm, {}));
  if (below === undefined && isSystemdMachine()) {
    return fail(failureOf('refused', 'cpu-under-systemd', realm, {}));
  }
  const layout = findCgroupLayout();
  const hierarchies = hierarchiesBelow(layout, below ?? '/');
  if (!hierarchies.some(({ controllers }) => controllers.includes('cpu'))) {
    return fail(failureOf('unsupported', 'cpu-no-controller', realm, {}));
  }
  const own = parseProcessCgroups(readFileSync('/proc/self/cgroup', 'utf8'));
  const outside = layout.hierarchies.map(
    (one, index) => directoryOfProcess(one, own) ?? hierarchies[index]?.base ?? one.mountPoint,
  );
  return succeed({ hierarchies, outside });
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
  const groups: Capability = {
    name: 'cpu-groups',
    available: places.ok,
    reason: places.ok
      ? `in the realm of the host, in ${places.value.hierarchies.map(({ base }) => base).join(', ')}`
      : `${places.failure.reason} ${places.failure.next}`,
  };
  return [...controllers, groups];
}

export class RealmCpu {
  private readonly places: Result<CpuPlaces>;

  constructor(places: Result<CpuPlaces>) {
    this.places = places;
  }

  /** Null where there can be none. `read` as in `Cgroups`. */
  groupsOf(lab: string, read?: ReadFile): Cgroups | null {
    if (!this.places.ok) return null;
    const { hierarchies, outside } = this.places.value;
    return new Cgroups(hierarchies, lab, outside, read);
  }

  /** What there is of a lab's groups now. */
  observe(lab: string): CpuRealmInput {
    const groups = this.groupsOf(lab);
    if (groups === null) return { kind: 'lacking', failure: this.lack() };
    return {
      kind: 'offered',
      machine: groups.machine(),
      groupOf: (pid) => groups.groupOf(pid),
    };
  }

  private lack(): Failure {
    if (this.places.ok) throw new Error('nothing is lacking');
    return this.places.failure;
  }
}
