import { describe, expect, it } from 'vitest';
import type { Inventory, LabDocument } from '../../../agent/api/index.ts';
import { layOutScene, placeMissing } from '../../../renderer/topology/canvas/geometry.ts';
import { buildScene } from '../../../renderer/topology/canvas/scene.ts';
import { plainLinkView, plainNamespaceView } from '../../harness/inventory-views.ts';

const lab: LabDocument = {
  netloom: 1,
  name: 'pair',
  topology: {
    nodes: {
      r1: { kind: 'namespace', interfaces: { a: { addresses: ['10.0.0.1/24'] } } },
      br: { kind: 'bridge' },
    },
    links: [{ endpoints: ['r1:a', 'br:p'] }],
  },
  positions: { r1: [0, 0], br: [0, 200] },
};

const none = plainLinkView;
const inventory: Inventory = {
  sequence: 1,
  namespaces: [
    {
      ...plainNamespaceView,
      id: '1',
      names: [],
      root: true,
      lab: null,
    },
    {
      ...plainNamespaceView,
      id: '2',
      names: ['r1'],
      root: false,
      lab: 'pair',
    },
    {
      ...plainNamespaceView,
      id: '3',
      names: ['guest'],
      root: false,
      lab: null,
    },
  ],
  links: [
    {
      ...none,
      id: '1/5',
      namespace: '1',
      index: 5,
      name: 'br',
      kind: 'bridge',
      master: null,
      peer: null,
      alias: 'netloom:pair',
      lab: 'pair',
      addresses: [],
    },
    {
      ...none,
      id: '1/6',
      namespace: '1',
      index: 6,
      name: 'p',
      kind: 'veth',
      master: '1/5',
      peer: '2/2',
      alias: 'netloom:pair',
      lab: 'pair',
      addresses: [],
    },
    {
      ...none,
      id: '2/2',
      namespace: '2',
      index: 2,
      name: 'a',
      kind: 'veth',
      master: null,
      peer: '1/6',
      alias: 'netloom:pair',
      lab: 'pair',
      addresses: [
        {
          address: '10.0.0.1/24',
          family: 'ipv4',
          scope: 'global',
          owned: true,
          tentative: false,
          duplicate: false,
        },
      ],
    },
    {
      ...none,
      id: '2/3',
      namespace: '2',
      index: 3,
      name: 'x0',
      kind: 'dummy',
      master: null,
      peer: null,
      alias: null,
      lab: null,
      addresses: [],
    },
  ],
  routes: [],
};

const input = { document: lab, inventory, lab: 'pair', plan: null, checks: [] };

describe('the scene', () => {
  it('tells what is real from what is only wanted', () => {
    const wanted = buildScene({ ...input, inventory: null });
    expect(wanted.nodes.map((node) => node.presence)).toEqual(['wanted', 'wanted']);
    const real = buildScene(input);
    expect(real.nodes.slice(0, 2).map((node) => node.presence)).toEqual(['real', 'real']);
    expect(real.wires[0]).toMatchObject({ presence: 'real', carrier: true, index: 0 });
  });

  it('shows what is not the lab’s as foreign, inside a node and beside it', () => {
    const scene = buildScene(input);
    const [first] = scene.nodes;
    expect(first?.interfaces.find((item) => item.name === 'x0')?.presence).toBe('foreign');
    expect(scene.nodes.find((node) => node.title === 'guest')).toMatchObject({
      presence: 'foreign',
    });
    // The lab's own port is drawn at its bridge, not a second time.
    expect(
      scene.nodes.flatMap((node) => node.interfaces).filter((item) => item.name === 'p'),
    ).toHaveLength(1);
  });

  it('flags an address that nobody asked for', () => {
    const [, , link] = inventory.links;
    if (link === undefined) throw new Error('no link');
    const extra = {
      address: '10.9.9.9/24',
      family: 'ipv4',
      scope: 'global',
      owned: false,
      tentative: false,
      duplicate: false,
    } as const;
    const links = inventory.links.map((each) =>
      each === link ? { ...link, addresses: [...link.addresses, extra] } : each,
    );
    const item = buildScene({ ...input, inventory: { ...inventory, links } }).nodes[0]
      ?.interfaces[0];
    expect(item).toMatchObject({ address: '10.0.0.1/24', moreAddresses: 1, drifted: true });
  });

  it('fills in while a plan is carried out', () => {
    const plan = {
      steps: [
        {
          id: 1,
          verb: 'add',
          object: 'namespace',
          label: 'r1',
          targets: [{ node: 'r1', interface: null }],
          changes: [],
          commands: [],
        },
      ],
    } as const;
    const shown = (withInventory: Inventory | null) =>
      buildScene({ ...input, inventory: withInventory, plan: plan as never }).nodes[0]?.difference;
    expect(shown(null)).toBe('add');
    expect(shown(inventory)).toBe(null);
  });
});

describe('the geometry', () => {
  it('puts ports where their peers are and keeps every given position', () => {
    const scene = buildScene(input);
    const given = new Map([
      ['r1', { x: 0, y: 0 }],
      ['br', { x: 0, y: 200 }],
    ]);
    const positions = placeMissing(scene, given);
    expect(positions.get('r1')).toEqual({ x: 0, y: 0 });
    expect(positions.get('br')).toEqual({ x: 0, y: 200 });
    const { cards } = layOutScene(scene, positions);
    expect(cards.get('r1')?.ports.find((port) => port.interface.name === 'a')?.side).toBe('bottom');
    expect(cards.get('br')?.ports.find((port) => port.interface.name === 'p')?.side).toBe('top');
  });

  it('never lays a new card over another', () => {
    const nodes = Object.fromEntries(
      Array.from({ length: 60 }, (_, index) => [`n${index}`, { kind: 'namespace' as const }]),
    );
    const scene = buildScene({
      ...input,
      document: { ...lab, topology: { nodes }, positions: {} },
      inventory: null,
    });
    const points = [...placeMissing(scene, new Map()).values()];
    for (const [index, one] of points.entries()) {
      for (const other of points.slice(index + 1)) {
        expect(Math.abs(one.x - other.x) >= 200 || Math.abs(one.y - other.y) >= 100).toBe(true);
      }
    }
  });
});
