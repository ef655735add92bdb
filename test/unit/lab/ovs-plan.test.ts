import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LabDocumentSchema, type LabDocument } from '../../../agent/api/document.ts';
import { inverseOf } from '../../../agent/lab/inverse.ts';
import { networkOf } from '../../../agent/lab/network.ts';
import { OperationSchema } from '../../../agent/lab/operation.ts';
import { type LabPlan, planLab } from '../../../agent/lab/plan.ts';
import type { PlanInput } from '../../../agent/lab/plan-input.ts';
import { validateDocument } from '../../../agent/lab/validate.ts';
import { ModelKernel } from './model-kernel.ts';

function lab(nodes: Record<string, unknown>, links: unknown[] = []): LabDocument {
  return LabDocumentSchema.parse({ netloom: 1, name: 'lab', topology: { nodes, links } });
}

function plan(
  kernel: ModelKernel,
  desired: LabDocument | null,
  base: LabDocument | null,
  more: Partial<PlanInput> = {},
) {
  return planLab({ lab: 'lab', desired, base, inventory: kernel.inventory(), ...more });
}

function bringUp(kernel: ModelKernel, desired: LabDocument | null, base: LabDocument | null): void {
  const { operations, refusals } = plan(kernel, desired, base);
  expect(refusals).toEqual([]);
  for (const operation of operations) kernel.execute(operation);
}

interface Draft {
  readonly machine: boolean;
  readonly vlan: number | null;
  readonly internal: number;
  readonly mtu: number | null;
  readonly patch: boolean;
  readonly bond: boolean;
  readonly mirror: boolean;
  readonly flows: number;
  readonly secure: boolean;
  readonly where: 'ovs' | 'other' | 'bridge' | 'host';
  readonly uplink: boolean;
  readonly device: boolean;
}

/** One or two bridges in a namespace or in the realm's own, with a changing crowd of ports. */
function build(draft: Draft): LabDocument {
  const namespace = draft.machine ? { namespace: 'm' } : {};
  const nodes: Record<string, unknown> = {
    h1: { kind: 'namespace', interfaces: { e0: { addresses: ['10.0.0.1/24'] } } },
    h2: { kind: 'namespace' },
    ...(draft.machine
      ? {
          m: {
            kind: 'namespace',
            interfaces: {
              ...(draft.uplink ? { up0: { addresses: ['10.9.0.2/24'] } } : {}),
              ...(draft.device && draft.internal > 0
                ? { 'svi.7': { kind: 'vlan', parent: 'svi0', id: 7, addresses: ['10.7.0.1/24'] } }
                : {}),
            },
            ...(draft.internal > 0
              ? { routes: [{ to: '10.5.0.0/16', via: '10.1.0.2', dev: 'svi0' }] }
              : {}),
          },
        }
      : {}),
    s1: {
      kind: 'ovs-bridge',
      ...namespace,
      ...(draft.uplink && draft.machine ? { uplink: 'up0' } : {}),
      ...(draft.secure ? { failMode: 'secure' } : {}),
      ...(draft.flows > 0
        ? { flows: Array.from({ length: draft.flows }, (_, at) => `priority=${at} actions=NORMAL`) }
        : {}),
      ports: {
        ...(draft.where === 'ovs' && draft.vlan !== null ? { p1: { vlan: draft.vlan } } : {}),
        ...(draft.internal > 0
          ? {
              svi0: {
                kind: 'internal',
                addresses: ['10.1.0.1/24', 'fd00::1/64'],
                ...(draft.mtu === null ? {} : { mtu: draft.mtu }),
                ...(draft.internal > 1 ? { mac: '02:00:00:00:00:99' } : {}),
              },
            }
          : {}),
        ...(draft.bond ? { bond0: { kind: 'bond', members: ['l1', 'l2'] } } : {}),
      },
      ...(draft.mirror ? { mirrors: { m1: { all: true, output: 'l1' } } } : {}),
    },
    s2: { kind: 'ovs-bridge', ...namespace, rstp: true },
    ...(draft.where === 'bridge' ? { b1: { kind: 'bridge', ...namespace } } : {}),
  };
  const at = { ovs: 's1', other: 's2', bridge: 'b1', host: 'h2' }[draft.where];
  const links = [
    { endpoints: [`${at}:p1`, 'h1:e0'], ...(draft.mtu === null ? {} : { mtu: draft.mtu }) },
    ...(draft.bond || draft.mirror
      ? [{ endpoints: ['s1:l1', 'h2:e1'] }, { endpoints: ['s1:l2', 'h2:e2'] }]
      : []),
    ...(draft.patch ? [{ type: 'patch', endpoints: ['s1:x1', 's2:x2'] }] : []),
    ...(draft.uplink && draft.machine ? [{ endpoints: ['m:up0', 'h2:e9'] }] : []),
  ];
  return lab(nodes, links);
}

const drafts = fc.record<Draft>({
  machine: fc.boolean(),
  vlan: fc.constantFrom(null, 10, 20),
  internal: fc.constantFrom(0, 1, 2),
  mtu: fc.constantFrom(null, 1400, 1300),
  patch: fc.boolean(),
  bond: fc.boolean(),
  mirror: fc.boolean(),
  flows: fc.constantFrom(0, 1, 2),
  secure: fc.boolean(),
  where: fc.constantFrom('ovs', 'other', 'bridge', 'host'),
  uplink: fc.boolean(),
  device: fc.boolean(),
});
/** A mirror's output is a port of its own, not a member of a bond. */
const documents = drafts
  .map((draft) => build({ ...draft, mirror: draft.mirror && !draft.bond }))
  .filter((document) => validateDocument(document).problems.length === 0);

describe('a plan with Open vSwitch, on a model of it', { timeout: 120_000 }, () => {
  test('is carried out without a refusal and leaves nothing to plan', () => {
    fc.assert(
      fc.property(fc.array(documents, { minLength: 1, maxLength: 4 }), (sequence) => {
        const kernel = new ModelKernel('lab');
        let base: LabDocument | null = null;
        for (const desired of [...sequence, null]) {
          const { operations, refusals } = plan(kernel, desired, base);
          expect(refusals).toEqual([]);
          for (const operation of operations) kernel.execute(OperationSchema.parse(operation));
          expect(plan(kernel, desired, desired).operations).toEqual([]);
          base = desired;
        }
        expect(kernel.text()).toBe(new ModelKernel('lab').text());
      }),
      { numRuns: 300 },
    );
  });

  test('can be taken back from anywhere', () => {
    fc.assert(
      fc.property(documents, fc.option(documents), fc.nat(), (before, after, cut) => {
        const kernel = new ModelKernel('lab');
        bringUp(kernel, before, null);
        const text = kernel.text();
        const { operations } = plan(kernel, after, before);
        const done = operations.slice(0, cut % (operations.length + 1));
        for (const operation of done) kernel.execute(operation);
        for (const operation of [...done].reverse()) {
          for (const back of inverseOf(operation)) kernel.execute(back);
        }
        expect(kernel.text()).toBe(text);
      }),
      { numRuns: 300 },
    );
  });
});

const simple = lab(
  {
    h1: { kind: 'namespace', interfaces: { e0: { addresses: ['10.0.0.1/24'] } } },
    sw: { kind: 'ovs-bridge', addresses: ['10.0.0.254/24'], ports: { p1: { vlan: 10 } } },
  },
  [{ endpoints: ['sw:p1', 'h1:e0'] }],
);

describe('the planner of Open vSwitch', () => {
  test('brings the way to a collector up before what is told of can pass', () => {
    const desired = lab(
      {
        h1: { kind: 'namespace' },
        s1: { kind: 'ovs-bridge', ipfix: { targets: ['192.0.2.2:4739'], sampling: 1 } },
        mgmt: { kind: 'bridge', addresses: ['192.0.2.1/24'] },
        late: {
          kind: 'namespace',
          collector: true,
          interfaces: { eth0: { addresses: ['192.0.2.2/24'] } },
        },
      },
      [{ endpoints: ['h1:eth0', 's1:p1'] }, { endpoints: ['late:eth0', 'mgmt:p2'] }],
    );
    const raised = plan(new ModelKernel('lab'), desired, null).operations.flatMap((operation) =>
      operation.kind === 'change-link' && operation.after.up === true ? [operation.name] : [],
    );
    const places = ['mgmt', 'p2', 'p1'].map((name) => raised.indexOf(name));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((one, other) => one - other));
  });

  test('starts the engine before links, and gives addresses after the bridge is there', () => {
    const { operations } = plan(new ModelKernel('lab'), simple, null);
    const kinds = operations.map(({ kind }) => kind);
    const order = ['add-namespace', 'start-engine', 'add-veth', 'change-ovs-bridge', 'add-address'];
    const places = order.map((kind) => kinds.indexOf(kind as (typeof kinds)[number]));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((one, other) => one - other));
  });

  test('brings a bridge back that was changed by hand', () => {
    const kernel = new ModelKernel('lab');
    bringUp(kernel, simple, null);
    kernel.setSwitchByHand(null, 'sw', { stp: true });
    const { operations } = plan(kernel, simple, simple);
    expect(operations.map(({ kind }) => kind)).toEqual(['change-ovs-bridge']);
  });

  test('spares a bridge of the same name that is not of the lab, and its engine', () => {
    const kernel = new ModelKernel('lab');
    const foreign = networkOf(simple).switches.get('/sw')?.bridge;
    if (foreign === undefined) throw new Error('no bridge');
    kernel.addForeignSwitch(null, { ...foreign, ports: foreign.ports.slice(1) });
    expect(plan(kernel, simple, null).refusals.map(({ code }) => code)).toEqual([
      'ovs-bridge-taken',
    ]);
    expect(plan(kernel, null, null).operations).toEqual([]);
  });

  test('uses the machine’s Open vSwitch on the host, if that runs', () => {
    const host = { realmEngine: 'system' } as const;
    const kernel = new ModelKernel('lab');
    const codes = plan(kernel, simple, null, host).refusals.map(({ code }) => code);
    expect(codes).toEqual(['ovs-not-running']);
    const inventory = kernel.inventory();
    const [root] = inventory.namespaces;
    const engines = [
      {
        namespace: root?.id ?? '',
        kind: 'system' as const,
        datapath: 'system' as const,
        version: '',
        schemaVersion: '',
        database: { pid: 1, running: true },
        switch: { pid: 2, running: true },
        events: [],
        bridges: [],
      },
    ];
    const { operations, steps } = plan(kernel, simple, null, {
      ...host,
      inventory: { ...inventory, engines },
    });
    expect(operations.some(({ kind }) => kind === 'start-engine')).toBe(false);
    const commands = steps.flatMap((step) => step.commands);
    expect(commands).toContain('ovs-vsctl -- add-br sw -- add-port sw p1 -- set Port p1 tag=10');
  });

  describe('chooses a datapath', () => {
    const offering = { lackOf: () => null };
    const datapathsOf = (made: LabPlan): readonly (readonly [string, string])[] =>
      made.operations.flatMap((one) =>
        one.kind === 'start-engine' || one.kind === 'stop-engine' ? [[one.kind, one.datapath]] : [],
      );
    const asking = (datapath: 'netdev' | 'system'): LabDocument =>
      lab({
        sw: {
          kind: 'ovs-bridge',
          datapath,
          ports: { p1: { kind: 'internal', policing: { rate: '1mbit' } } },
        },
      });
    const open = lab({
      sw: { kind: 'ovs-bridge', ports: { p1: { kind: 'internal', policing: { rate: '1mbit' } } } },
    });

    test('the kernel’s, where the machine offers it', () => {
      const made = plan(new ModelKernel('lab'), simple, null, offering);
      expect(datapathsOf(made)).toEqual([['start-engine', 'system']]);
      const commands = made.steps.flatMap((step) => step.commands).join('\n');
      expect(commands).not.toMatch(/datapath_type|ethtool|--disable-system/);
    });

    test('else that of Open vSwitch, and warns of what it does not do', () => {
      const lacking = {
        lackOf: (name: string) => (name === 'datapath:system' ? 'no module' : null),
      };
      const made = plan(new ModelKernel('lab'), open, null, lacking);
      expect(datapathsOf(made)).toEqual([['start-engine', 'netdev']]);
      expect(made.warnings.map(({ code }) => code)).toEqual(['policing-without-effect']);
      expect(plan(new ModelKernel('lab'), open, null, offering).warnings).toEqual([]);
      expect(plan(new ModelKernel('lab'), asking('system'), null, lacking).refusals).toMatchObject([
        { code: 'kernel-lacks', values: { capability: 'datapath:system' } },
      ]);
    });

    test('as the document says, and not another than an Open vSwitch has that runs', () => {
      const kernel = new ModelKernel('lab');
      const made = plan(kernel, asking('netdev'), null, offering);
      expect(datapathsOf(made)).toEqual([['start-engine', 'netdev']]);
      bringUp(kernel, asking('netdev'), null);
      expect(datapathsOf(plan(kernel, null, asking('netdev')))).toEqual([
        ['stop-engine', 'netdev'],
      ]);
      const other = plan(kernel, asking('system'), asking('netdev'), offering);
      expect(other.refusals.map(({ code }) => code)).toEqual(['ovs-datapath-differs']);
    });

    test('not one that somebody else has in the namespace', () => {
      const inventory = new ModelKernel('lab').inventory();
      const [root] = inventory.namespaces;
      const [lo] = inventory.links;
      if (lo === undefined || root === undefined) throw new Error('an empty inventory');
      const foreign = { ...lo, id: 'foreign', index: 77, name: 'ovs-system', kind: 'openvswitch' };
      const there = { ...inventory, links: [...inventory.links, foreign] };
      const made = plan(new ModelKernel('lab'), simple, null, { ...offering, inventory: there });
      expect(datapathsOf(made)).toEqual([['start-engine', 'netdev']]);
      const other = { ...foreign, id: 'other', index: 78, name: 'ovs-netdev', kind: 'tun' };
      const both = { ...inventory, links: [...inventory.links, foreign, other] };
      const refused = plan(new ModelKernel('lab'), simple, null, { ...offering, inventory: both });
      expect(refused.refusals.map(({ code }) => code)).toEqual(['ovs-datapath-taken']);
      const beside = { ...inventory, links: [...inventory.links, other] };
      expect(
        datapathsOf(plan(new ModelKernel('lab'), simple, null, { ...offering, inventory: beside })),
      ).toEqual([['start-engine', 'system']]);
    });
  });

  test('compares flows in the form that the switch shows', () => {
    const kernel = new ModelKernel('lab');
    const flows = ['table=0, priority=5, actions=drop'];
    const form = { flows: ['priority=5 actions=drop'], groups: [], meters: [] };
    const desired = lab({ sw: { kind: 'ovs-bridge', flows } });
    const openFlow = new Map([['/sw', form]]);
    for (const operation of plan(kernel, desired, null, { openFlow }).operations) {
      kernel.execute(operation);
    }
    expect(plan(kernel, desired, desired, { openFlow }).operations).toEqual([]);
    expect(plan(kernel, desired, desired).operations.map(({ kind }) => kind)).toEqual([
      'change-openflow',
    ]);
  });
});
