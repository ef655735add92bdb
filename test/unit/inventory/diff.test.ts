import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applyInventoryDelta,
  emptyInventory,
  type Inventory,
  InventoryDeltaSchema,
  type LinkView,
  type NamespaceView,
  type RouteTableView,
} from '../../../agent/api/inventory.ts';
import { viewLink, viewNamespace, viewRoutes } from '../../../agent/inventory/assemble.ts';
import { equalData } from '../../../agent/api/equal-data.ts';
import { diffInventories, PublishedInventory } from '../../../agent/inventory/diff.ts';
import { sampleLink, sampleNamespace, sampleRoute } from './samples.ts';

/** What exists: few keys, so that things come, change and go. */
interface World {
  readonly namespaces: ReadonlyMap<string, NamespaceView>;
  readonly links: ReadonlyMap<string, LinkView>;
  readonly routes: ReadonlyMap<string, RouteTableView>;
}

const worldArbitrary: fc.Arbitrary<World> = fc
  .dictionary(
    fc.constantFrom('1', '2', '3', '4'),
    fc.record({
      name: fc.constantFrom('a', 'b'),
      metric: fc.constantFrom(0, 1),
      links: fc.dictionary(
        fc.constantFrom('1', '2', '3'),
        fc.record({ mtu: fc.constantFrom(1500, 9000), peer: fc.constantFrom(null, '1/2') }),
      ),
    }),
  )
  .map((content) => {
    const namespaces = new Map<string, NamespaceView>();
    const links = new Map<string, LinkView>();
    const routes = new Map<string, RouteTableView>();
    for (const [id, { name, metric, links: list }] of Object.entries(content)) {
      const table = [sampleRoute({ destination: 'default', metric })];
      const state = sampleNamespace({ id, names: [name], routes: table });
      namespaces.set(id, viewNamespace(state));
      routes.set(id, viewRoutes(state));
      for (const [index, { mtu, peer }] of Object.entries(list)) {
        const link = sampleLink({ index: Number(index), name: `l${index}`, mtu });
        links.set(`${id}/${index}`, viewLink(state, link, peer));
      }
    }
    return { namespaces, links, routes };
  });

/** Order carries no meaning in an inventory. */
function contentOf(inventory: Inventory): World {
  return {
    namespaces: new Map(inventory.namespaces.map((view) => [view.id, view])),
    links: new Map(inventory.links.map((view) => [view.id, view])),
    routes: new Map(inventory.routes.map((view) => [view.namespace, view])),
  };
}

function inventoryOf(world: World, sequence: number): Inventory {
  return {
    sequence,
    namespaces: [...world.namespaces.values()],
    links: [...world.links.values()],
    routes: [...world.routes.values()],
    engines: [],
  };
}

describe('a delta', () => {
  it('leads from any inventory to any other', () => {
    fc.assert(
      fc.property(worldArbitrary, worldArbitrary, (before, after) => {
        const old = inventoryOf(before, 3);
        const delta = diffInventories(old, inventoryOf(after, 4));
        if (delta === null) {
          expect(contentOf(old)).toEqual(after);
          return;
        }
        expect(InventoryDeltaSchema.safeParse(delta).success).toBe(true);
        const next = applyInventoryDelta(old, delta);
        expect(next?.sequence).toBe(4);
        expect(next === null ? null : contentOf(next)).toEqual(after);
      }),
    );
  });

  it('is refused when one before it is missing', () => {
    const world = inventoryOf({ namespaces: new Map(), links: new Map(), routes: new Map() }, 2);
    const delta = {
      ...world,
      removedNamespaces: [],
      removedLinks: [],
      removedEngines: [],
      sequence: 4,
    };
    expect(applyInventoryDelta(world, delta)).toBeNull();
  });
});

describe('the published inventory', () => {
  it('gives deltas that, one after another, keep a client at its snapshot', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(worldArbitrary, fc.boolean()), { maxLength: 12 }), (steps) => {
        const published = new PublishedInventory();
        let client: Inventory | null = emptyInventory;
        let now: World = { namespaces: new Map(), links: new Map(), routes: new Map() };
        for (const [next, take] of steps) {
          // Some states are passed through without a delta of their own.
          for (const id of now.links.keys()) if (!next.links.has(id)) published.removeLink(id);
          for (const id of now.namespaces.keys()) {
            if (!next.namespaces.has(id)) published.removeNamespace(id);
          }
          for (const view of next.namespaces.values()) published.putNamespace(view);
          for (const view of next.links.values()) published.putLink(view);
          for (const view of next.routes.values()) published.putRoutes(view);
          now = next;
          if (!take) continue;
          const delta = published.take();
          if (delta !== null && client !== null) client = applyInventoryDelta(client, delta);
          expect(client).not.toBeNull();
          expect(contentOf(client ?? emptyInventory)).toEqual(now);
          expect(contentOf(published.snapshot())).toEqual(now);
          expect(published.snapshot().sequence).toBe(client?.sequence);
        }
      }),
    );
  });

  it('says nothing when what changed has changed back', () => {
    const published = new PublishedInventory();
    const state = sampleNamespace({});
    published.putNamespace(viewNamespace(state));
    expect(published.take()).not.toBeNull();
    published.removeNamespace(state.id);
    published.putNamespace(viewNamespace(state));
    expect(published.take()).toBeNull();
  });
});

describe('equality of data', () => {
  it('agrees with the JSON text for plain data', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        const copy: unknown = JSON.parse(JSON.stringify(one));
        expect(equalData(copy, JSON.parse(JSON.stringify(one)))).toBe(true);
        if (equalData(one, other)) expect(one).toEqual(other);
      }),
    );
  });

  it('tells an empty list from an empty object and null from nothing', () => {
    expect(equalData([], {})).toBe(false);
    expect(equalData({ a: null }, {})).toBe(false);
    expect(equalData({ a: null }, { b: null })).toBe(false);
  });
});
