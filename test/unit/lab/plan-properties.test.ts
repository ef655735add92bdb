import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LabDocument } from '../../../agent/api/document.ts';
import { inverseOf } from '../../../agent/lab/inverse.ts';
import { OperationSchema } from '../../../agent/lab/operation.ts';
import { planLab } from '../../../agent/lab/plan.ts';
import { ModelKernel } from './model-kernel.ts';
import { labDocuments } from './random-labs.ts';

const runs = { numRuns: 250 };

/** A realm with things in it that are nobody's. */
function furnishedKernel(): ModelKernel {
  const kernel = new ModelKernel('lab');
  kernel.addForeignNamespace('other');
  kernel.addForeignLink('other', 'e0', 'dummy');
  kernel.addForeignAddress('other', 'e0', '10.0.0.1/24');
  kernel.addForeignLink(null, 'docker0', 'bridge');
  kernel.addForeignLink(null, 'eth0', 'physical');
  kernel.addForeignAddress(null, 'eth0', '192.168.0.97/24');
  kernel.setByHand(null, 'eth0', { up: true, master: 'docker0' });
  return kernel;
}

function plan(kernel: ModelKernel, desired: LabDocument | null, base: LabDocument | null) {
  return planLab({ lab: 'lab', desired, base, inventory: kernel.inventory() });
}

/** Something that a person does by hand to what is there; nothing when it does not apply. */
const drift = fc.record({
  act: fc.constantFrom(
    'delete',
    'down',
    'up',
    'mtu',
    'release',
    'address',
    'namespace',
    'impairment',
    'vlans',
    'upset',
  ),
  target: fc.nat(),
});

function disturb(kernel: ModelKernel, { act, target }: { act: string; target: number }): void {
  const links = kernel
    .linkNames()
    .filter(
      ([space, name]) => name !== 'lo' && space !== 'other' && !/^(docker0|eth0)$/.test(name),
    );
  const link = links[target % Math.max(1, links.length)];
  if (link === undefined) return;
  const [space, name] = link;
  const [address] = kernel.addressesAt(space, name);
  const deed = deeds[act];
  try {
    deed?.(kernel, space, name, address);
    kernel.shrinkByHand();
  } catch {
    // What the kernel refuses to a person, such as a VLAN device up on a link that is down, leaves all as it was.
  }
}

const deeds: Readonly<
  Record<
    string,
    (kernel: ModelKernel, space: string | null, name: string, address: string | undefined) => void
  >
> = {
  delete: (kernel, space, name) => {
    kernel.deleteByHand(space, name);
  },
  down: (kernel, space, name) => {
    kernel.setByHand(space, name, { up: false });
  },
  up: (kernel, space, name) => {
    kernel.setByHand(space, name, { up: true });
  },
  mtu: (kernel, space, name) => {
    kernel.setByHand(space, name, { mtu: 1300 });
  },
  release: (kernel, space, name) => {
    kernel.setByHand(space, name, { master: null });
  },
  address: (kernel, space, name, address) => {
    if (address === undefined || kernel.leadsToGateway(space, name, address)) return;
    kernel.deleteAddressByHand(space, name, address);
  },
  namespace: (kernel, space) => {
    if (space !== null) kernel.deleteNamespaceByHand(space);
  },
  impairment: (kernel, space, name) => {
    kernel.impairByHand(space, name, null);
  },
  vlans: (kernel, space, name) => {
    kernel.tagByHand(space, name, [{ id: 7, pvid: false, untagged: false }]);
  },
  upset: (kernel, space) => {
    if (space !== null) kernel.upsetNamespaceByHand(space);
  },
};

describe('a plan on a model of the kernel', { timeout: 120_000 }, () => {
  test('is carried out without a refusal and leaves nothing to plan', () => {
    fc.assert(
      fc.property(fc.array(labDocuments, { minLength: 1, maxLength: 4 }), (documents) => {
        const kernel = furnishedKernel();
        let base: LabDocument | null = null;
        for (const desired of [...documents, null]) {
          const { operations, steps, refusals } = plan(kernel, desired, base);
          expect(refusals).toEqual([]);
          expect(steps.map((step) => step.id)).toEqual(operations.map((_, id) => id));
          for (const operation of operations) kernel.execute(OperationSchema.parse(operation));
          expect(plan(kernel, desired, desired).operations).toEqual([]);
          expect(plan(kernel, desired, base).operations).toEqual([]);
          base = desired;
        }
        expect(kernel.text()).toBe(furnishedKernel().text());
      }),
      runs,
    );
  });

  test('can be taken back exactly, wholly or from any step on', () => {
    fc.assert(
      fc.property(labDocuments, labDocuments, fc.nat(), (first, second, stop) => {
        const kernel = furnishedKernel();
        for (const operation of plan(kernel, first, null).operations) kernel.execute(operation);
        const { operations } = plan(kernel, second, first);
        const done = operations.slice(0, stop % (operations.length + 1));
        const before = kernel.text();
        for (const operation of done) kernel.execute(operation);
        for (const operation of [...done].reverse()) {
          for (const inverse of inverseOf(operation)) kernel.execute(inverse);
        }
        expect(kernel.text()).toBe(before);
      }),
      runs,
    );
  });

  test('undone by a plan to the document before leaves the network before', () => {
    fc.assert(
      fc.property(fc.array(labDocuments, { minLength: 2, maxLength: 4 }), (documents) => {
        const kernel = furnishedKernel();
        const withoutMacs = (): string => kernel.text().replace(/ 02:00:00:00:00:\S+/g, '');
        const history: { readonly document: LabDocument | null; readonly text: string }[] = [];
        let base: LabDocument | null = null;
        const go = (desired: LabDocument | null): void => {
          for (const operation of plan(kernel, desired, base).operations) kernel.execute(operation);
          base = desired;
        };
        for (const desired of documents) {
          history.push({ document: base, text: withoutMacs() });
          go(desired);
        }
        for (const { document, text } of history.reverse()) {
          go(document);
          expect(withoutPinned(withoutMacs())).toBe(withoutPinned(text));
        }
      }),
      runs,
    );
  });

  test('sets right what was changed by hand, and can still be taken back', () => {
    fc.assert(
      fc.property(
        labDocuments,
        labDocuments,
        fc.array(drift, { minLength: 1, maxLength: 4 }),
        (first, second, acts) => {
          const kernel = furnishedKernel();
          for (const operation of plan(kernel, first, null).operations) kernel.execute(operation);
          for (const act of acts) disturb(kernel, act);
          const before = kernel.text();
          const { operations, refusals } = plan(kernel, second, first);
          expect(refusals).toEqual([]);
          for (const operation of operations) kernel.execute(operation);
          expect(plan(kernel, second, second).operations).toEqual([]);
          for (const operation of [...operations].reverse()) {
            for (const inverse of inverseOf(operation)) kernel.execute(inverse);
          }
          expect(kernel.text()).toBe(before);
        },
      ),
      runs,
    );
  });

  test('never touches what is foreign', () => {
    fc.assert(
      fc.property(labDocuments, labDocuments, (first, second) => {
        const kernel = furnishedKernel();
        const before = kernel.text({ foreignOnly: true });
        let base: LabDocument | null = null;
        for (const desired of [first, second, null]) {
          for (const operation of plan(kernel, desired, base).operations) kernel.execute(operation);
          expect(kernel.text({ foreignOnly: true })).toBe(before);
          base = desired;
        }
      }),
      runs,
    );
  });

  test('taken back twice has the effect of once', () => {
    fc.assert(
      fc.property(labDocuments, labDocuments, (first, second) => {
        const kernel = furnishedKernel();
        for (const operation of plan(kernel, first, null).operations) kernel.execute(operation);
        const { operations } = plan(kernel, second, first);
        for (const operation of operations) kernel.execute(operation);
        const text = (): string => kernel.text().replace(/ 02:00:00:00:00:\S+/g, '');
        const after = text();
        for (const operation of [...operations].reverse()) {
          const inverses = inverseOf(operation);
          for (const inverse of inverses) kernel.execute(inverse);
          const again = [...inverses].reverse().flatMap((inverse) => inverseOf(inverse));
          for (const step of again) kernel.execute(step);
          for (const inverse of inverses) kernel.execute(inverse);
        }
        for (const operation of operations) kernel.execute(operation);
        expect(text()).toBe(after);
      }),
      runs,
    );
  });
});

/** A MAC that a document pinned stays when it no longer does. */
function withoutPinned(text: string): string {
  return text.replace(/ 02:00:00:00:ff:\S+/g, '');
}
