import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type WireEnd, WireTable } from '../../../agent/inventory/wires.ts';

interface Device {
  namespace: string;
  index: number;
  mate: Device | undefined;
}

/** The kernel's side: veth pairs in namespaces, each of which numbers the others as it meets them. */
class Machine {
  readonly devices = new Set<Device>();
  questions = 0;
  private readonly ids = new Map<string, Map<string, number>>();
  private readonly hidden: ReadonlySet<string>;

  constructor(hidden: readonly string[] = []) {
    this.hidden = new Set(hidden);
  }

  private at(namespace: string, index: number): Device | undefined {
    return [...this.devices].find(
      (device) => device.namespace === namespace && device.index === index,
    );
  }

  freeIndex(namespace: string): number {
    let index = 2;
    while (this.at(namespace, index) !== undefined) index += 1;
    return index;
  }

  pair(one: string, other: string): readonly [Device, Device] {
    const a: Device = { namespace: one, index: this.freeIndex(one), mate: undefined };
    this.devices.add(a);
    const b: Device = { namespace: other, index: this.freeIndex(other), mate: a };
    this.devices.add(b);
    a.mate = b;
    return [a, b];
  }

  private idOf(from: string, to: string): number {
    const ids = this.ids.get(from) ?? new Map<string, number>();
    this.ids.set(from, ids);
    const known = ids.get(to);
    if (known !== undefined) return known;
    ids.set(to, ids.size);
    return ids.size - 1;
  }

  end(device: Device): WireEnd {
    const { mate, namespace, index } = device;
    const away = mate !== undefined && mate.namespace !== namespace;
    return {
      namespace,
      index,
      link: mate?.index,
      linkNamespaceId: away ? this.idOf(namespace, mate.namespace) : undefined,
    };
  }

  table(): WireTable {
    return new WireTable({
      identify: (namespace, other) => {
        this.questions += 1;
        return this.hidden.has(other) ? undefined : this.ids.get(namespace)?.get(other);
      },
      reread: (namespace, index) => {
        const device = this.at(namespace, index);
        return device === undefined ? undefined : this.end(device);
      },
    });
  }
}

const idOf = (device: Device): string => `${device.namespace}/${device.index}`;

describe('wires', () => {
  it('join ends of equal index by the namespace that they name', () => {
    const machine = new Machine();
    const table = machine.table();
    // Four namespaces, two wires, and every end is number 2 with its other end number 2.
    const pairs = [machine.pair('1', '3'), machine.pair('2', '4')];
    for (const device of pairs.flat()) table.put(machine.end(device));
    const changed = table.settle();
    expect([...changed].sort()).toEqual(['1/2', '2/2', '3/2', '4/2']);
    expect(table.peerOf('1/2')).toBe('3/2');
    expect(table.peerOf('2/2')).toBe('4/2');
    expect(table.unsettled).toBe(false);
  });

  it('stay open when the other end is in a namespace that nobody knows', () => {
    const machine = new Machine(['9']);
    const table = machine.table();
    const [known] = machine.pair('1', '9');
    // Looks like the other end, and is another wire's.
    const [stranger] = machine.pair('2', '9');
    table.put(machine.end(known));
    table.put(machine.end(stranger));
    table.settle();
    expect(table.peerOf('1/2')).toBeNull();
    expect(table.peerOf('2/2')).toBeNull();
    expect(table.unsettled).toBe(false);
  });

  it('are complete although the first event of an end did not name the other', () => {
    const machine = new Machine();
    const table = machine.table();
    const [one, other] = machine.pair('1', '2');
    table.put({ ...machine.end(one), link: undefined, linkNamespaceId: undefined });
    table.put(machine.end(other));
    table.settle();
    expect(table.peerOf(idOf(one))).toBe(idOf(other));
  });

  it('follow an end to another namespace when only that end is heard of', () => {
    const machine = new Machine();
    const table = machine.table();
    const [one, other] = machine.pair('1', '2');
    for (const device of [one, other]) table.put(machine.end(device));
    table.settle();
    table.remove(idOf(other));
    other.namespace = '3';
    other.index = 17;
    table.put(machine.end(other));
    table.settle();
    expect(table.peerOf(idOf(one))).toBe('3/17');
    expect(table.peerOf('2/2')).toBeNull();
  });

  it('do not join an end by what it said before its other end moved on', () => {
    const machine = new Machine();
    const table = machine.table();
    const [moving, staying] = machine.pair('1', '3');
    for (const device of [moving, staying]) table.put(machine.end(device));
    // It leaves, another wire's end takes its number, and it comes back with a new one.
    table.remove(idOf(moving));
    moving.namespace = '4';
    for (const device of machine.pair('2', '1')) table.put(machine.end(device));
    moving.namespace = '1';
    moving.index = 3;
    table.put(machine.end(moving));
    table.settle();
    expect(table.peerOf('3/2')).toBe('1/3');
    expect(table.peerOf('1/2')).toBe('2/2');
  });

  it('need few questions for a star and for a chain', () => {
    const machine = new Machine();
    const table = machine.table();
    const devices: Device[] = [];
    for (let leaf = 100; leaf < 300; leaf += 1) devices.push(...machine.pair('1', String(leaf)));
    for (let leaf = 100; leaf < 299; leaf += 1) {
      devices.push(...machine.pair(String(leaf), String(leaf + 1)));
    }
    for (const device of devices) table.put(machine.end(device));
    table.settle();
    for (const device of devices) {
      expect(table.peerOf(idOf(device))).toBe(device.mate === undefined ? null : idOf(device.mate));
    }
    expect(machine.questions).toBeLessThan(3 * devices.length);
  });

  it('are right after any sequence of making, moving and deleting', () => {
    const step = fc.record({
      kind: fc.constantFrom('pair', 'pair', 'move', 'delete', 'settle'),
      one: fc.constantFrom('1', '2', '3'),
      other: fc.constantFrom('1', '2', '3'),
      pick: fc.nat(20),
      late: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const machine = new Machine();
        const table = machine.table();
        const tell: (() => void)[] = [];
        const say = (late: boolean, what: () => void): void => {
          if (late) tell.push(what);
          else what();
        };
        // Events name an object; what is put is what the kernel answers at that moment.
        const look = (namespace: string, index: number) => (): void => {
          const device = [...machine.devices].find(
            (item) => item.namespace === namespace && item.index === index,
          );
          if (device === undefined) table.remove(`${namespace}/${index}`);
          else table.put(machine.end(device));
        };
        for (const { kind, one, other, pick, late } of steps) {
          const device = [...machine.devices][pick % Math.max(1, machine.devices.size)];
          if (kind === 'pair') {
            for (const made of machine.pair(one, other)) {
              say(late, look(made.namespace, made.index));
            }
          } else if (kind === 'settle') {
            table.settle();
          } else if (device !== undefined && kind === 'move' && device.namespace !== other) {
            const before = look(device.namespace, device.index);
            device.index = machine.freeIndex(other);
            device.namespace = other;
            say(late, before);
            say(late, look(device.namespace, device.index));
          } else if (device !== undefined && kind === 'delete') {
            for (const gone of [device, device.mate]) {
              if (gone === undefined) continue;
              machine.devices.delete(gone);
              say(late, look(gone.namespace, gone.index));
            }
          }
        }
        for (const what of tell) what();
        for (let turn = 0; turn < 10 && (turn === 0 || table.unsettled); turn += 1) table.settle();
        for (const device of machine.devices) {
          expect(table.peerOf(idOf(device))).toBe(
            device.mate === undefined ? null : idOf(device.mate),
          );
        }
      }),
      { numRuns: 500 },
    );
  });
});
