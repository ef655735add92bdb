/** The unit of systemd's that holds a lab's CPU groups, in plans. */
import { describe, expect, it } from 'vitest';
import type { Inventory } from '../../../agent/api/inventory.ts';
import { type CpuHolder, holderUnitOf } from '../../../agent/cpu/holder.ts';
import { type CpuMachine, paperMachine } from '../../../agent/cpu/machine.ts';
import type { CpuOperation } from '../../../agent/cpu/operation.ts';
import { initialLimits } from '../../../agent/cpu/limits.ts';
import { commandsOfCpu } from '../../../agent/lab/command-cpu.ts';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { planCpu } from '../../../agent/lab/plan-cpu.ts';
import { isCpuOperation } from '../../../agent/lab/operation.ts';

const inventory = { namespaces: [] } as unknown as Inventory;
const unit = holderUnitOf('lab');
const { document } = readDocument(
  'netloom: 1\nname: lab\ntopology: { nodes: {} }\ncpu: { groups: { A: { cap: 1 } } }\n',
);

const there: CpuMachine['groups'] = new Map(
  ['', 'A'].map((group) => [
    group,
    {
      limits: group === '' ? initialLimits : { ...initialLimits, quota: 100_000 },
      open: group === '',
      complete: true,
    },
  ]),
);

function planOf(
  state: CpuHolder['state'],
  groups: CpuMachine['groups'],
  desired: typeof document,
): { readonly kinds: readonly string[]; readonly codes: readonly string[] } {
  const machine = { ...paperMachine([0, 1]), groups, holder: { unit, state } };
  const { weave, refusals } = planCpu(
    {
      ...{ lab: 'lab', desired, base: null, inventory },
      cpu: { kind: 'offered', machine, groupOf: () => null },
    },
    [],
  );
  const operations = weave([]).filter(isCpuOperation) as readonly CpuOperation[];
  return { kinds: operations.map(({ kind }) => kind), codes: refusals.map(({ code }) => code) };
}

describe('the unit that holds a lab’s groups', () => {
  it('starts before the first group, and stops after the last one', () => {
    const up = planOf('absent', new Map(), document);
    expect(up.kinds).toEqual([
      'start-cpu-holder',
      'add-cpu-group',
      'open-cpu-group',
      'add-cpu-group',
    ]);
    const down = planOf('held', there, null);
    expect(down.kinds).toEqual([
      'remove-cpu-group',
      'close-cpu-group',
      'remove-cpu-group',
      'stop-cpu-holder',
    ]);
  });

  it('stays while the lab has groups, and goes with the last, also when those have gone already', () => {
    expect(planOf('held', there, document).kinds).toEqual([]);
    expect(planOf('held', new Map(), null).kinds).toEqual(['stop-cpu-holder']);
    expect(planOf('absent', new Map(), null).kinds).toEqual([]);
  });

  it('starts anew where somebody has stopped it, and what it left goes with the lab', () => {
    expect(planOf('left', new Map(), document).kinds[0]).toBe('start-cpu-holder');
    expect(planOf('left', new Map(), null).kinds).toEqual(['stop-cpu-holder']);
  });

  it('is not somebody else’s of that name, which stays as it is', () => {
    expect(planOf('foreign', new Map(), document)).toEqual({
      kinds: [],
      codes: ['cpu-holder-foreign'],
    });
    expect(planOf('foreign', new Map(), null).kinds).toEqual([]);
  });

  it('is started by a command that anybody can type', () => {
    const machine = paperMachine([0, 1]);
    const held = machine.hierarchies.map((one) => ({ ...one, base: `${one.base}/${unit}` }));
    const context = {
      cpu: { lab: 'lab', machine: { ...machine, hierarchies: held }, isOpen: () => false },
    };
    const word = (text: string): string => (/^[\w/.=:-]+$/.test(text) ? text : `'${text}'`);
    const [start = '', wait] = commandsOfCpu({ kind: 'start-cpu-holder', unit }, context, word);
    expect(start).toMatch(
      /^systemd-run --quiet --collect --unit=netloom-lab\.service --slice=-\.slice /,
    );
    expect(start).toContain("-p 'Delegate=cpu cpuset'");
    expect(start).toContain('mkdir /sys/fs/cgroup/netloom-lab.service/_self && echo 0 > ');
    expect(wait).toContain('/sys/fs/cgroup/netloom-lab.service/_self/cgroup.procs');
    const going = { kind: 'remove-cpu-group', group: '', limits: initialLimits } as const;
    const inUnit = {
      cpu: {
        ...context.cpu,
        machine: { ...context.cpu.machine, holder: { unit, state: 'held' } as const },
      },
    };
    // Whoever is left in the groups is to be out of the unit.
    expect(commandsOfCpu(going, inUnit, word)[0]).toContain('> /sys/fs/cgroup/cgroup.procs');
    expect(commandsOfCpu({ kind: 'stop-cpu-holder', unit }, context, word)).toEqual([
      'systemctl stop netloom-lab.service',
    ]);
  });
});
