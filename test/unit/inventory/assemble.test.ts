import { describe, expect, it } from 'vitest';
import { InventorySchema } from '../../../agent/api/inventory.ts';
import {
  addressKey,
  assembleInventory,
  viewLink,
  viewNamespace,
  viewRoutes,
} from '../../../agent/inventory/assemble.ts';
import type { Address } from '../../../agent/kernel/rtnetlink.ts';
import { byIndex, sampleAddress, sampleLink, sampleNamespace, sampleRoute } from './samples.ts';

const loopback = { index: 1, name: 'lo', kind: 'loopback', loopback: true };

function keyed(...addresses: readonly Address[]): ReadonlyMap<string, Address> {
  return new Map(addresses.map((address) => [addressKey(address), address]));
}

describe('the view of a namespace', () => {
  it('knows its lab by the mark on its loopback', () => {
    const links = byIndex(sampleLink({ ...loopback, alias: 'netloom:two' }));
    expect(viewNamespace(sampleNamespace({ links })).lab).toBe('two');
  });

  it('takes no other link and no other alias for a mark', () => {
    const links = byIndex(
      sampleLink({ ...loopback, alias: 'netloom:' }),
      sampleLink({ index: 2, name: 'eth0', alias: 'netloom:two' }),
    );
    expect(viewNamespace(sampleNamespace({ links })).lab).toBeNull();
  });

  it('never gives the root namespace to a lab', () => {
    const links = byIndex(sampleLink({ ...loopback, alias: 'netloom:two' }));
    expect(viewNamespace(sampleNamespace({ root: true, links })).lab).toBeNull();
  });

  it('sorts names and mounts and lists at most fifty processes', () => {
    const processes = Array.from({ length: 60 }, (_, pid) => ({ pid, command: 'sleep' }));
    const view = viewNamespace(
      sampleNamespace({ names: ['b', 'a'], mounts: ['/y', '/x'], processes, processCount: 60 }),
    );
    expect(view.names).toEqual(['a', 'b']);
    expect(view.mounts).toEqual(['/x', '/y']);
    expect(view.processes).toHaveLength(50);
    expect(view.processCount).toBe(60);
  });
});

describe('the view of a link', () => {
  it('says whose it is, what it belongs to and where its other end is', () => {
    const link = sampleLink({ index: 3, name: 'p1', master: 2, alias: 'netloom:two' });
    const view = viewLink(sampleNamespace({ links: byIndex(link) }), link, '200/2');
    expect(view).toMatchObject({
      id: '100/3',
      namespace: '100',
      master: '100/2',
      peer: '200/2',
      lab: 'two',
      alias: 'netloom:two',
    });
  });

  it('shows a foreign alias as it is and claims no lab for it', () => {
    const link = sampleLink({ index: 3, name: 'p1', alias: 'uplink; rm -rf' });
    const view = viewLink(sampleNamespace({}), link, null);
    expect(view.alias).toBe('uplink; rm -rf');
    expect(view.lab).toBeNull();
  });

  it('has no carrier while it is down', () => {
    const link = sampleLink({ index: 3, name: 'p', up: false, lowerUp: false, carrier: true });
    expect(viewLink(sampleNamespace({}), link, null).carrier).toBe(false);
  });

  it.each([
    ['lower-layer-down', 'lowerlayerdown'],
    ['not-present', 'notpresent'],
    ['up', 'up'],
  ] as const)('writes the state %s as the contract does', (operationalState, text) => {
    const link = sampleLink({ index: 3, name: 'p', operationalState });
    expect(viewLink(sampleNamespace({}), link, null).operationalState).toBe(text);
  });

  it('lists IPv4 before IPv6, each in the kernel’s order, and knows its own', () => {
    const own = sampleAddress({ address: '10.0.0.2', protocol: 78 });
    const other = sampleAddress({ address: '10.0.0.1' });
    const six = sampleAddress({
      address: 'fe80::1',
      family: 6,
      prefixLength: 64,
      scope: 'link',
      tentative: true,
      protocol: 3,
    });
    const link = sampleLink({ index: 2, name: 'eth0' });
    const one = sampleNamespace({ addresses: new Map([[2, keyed(six, other, own)]]) });
    const two = sampleNamespace({ addresses: new Map([[2, keyed(other, six, own)]]) });
    expect(viewLink(one, link, null)).toEqual(viewLink(two, link, null));
    expect(viewLink(one, link, null).addresses).toEqual([
      {
        address: '10.0.0.1/24',
        family: 'ipv4',
        scope: 'global',
        owned: false,
        tentative: false,
        duplicate: false,
      },
      {
        address: '10.0.0.2/24',
        family: 'ipv4',
        scope: 'global',
        owned: true,
        tentative: false,
        duplicate: false,
      },
      {
        address: 'fe80::1/64',
        family: 'ipv6',
        scope: 'link',
        owned: false,
        tentative: true,
        duplicate: false,
      },
    ]);
  });

  it('keeps two addresses apart that differ in their prefix only', () => {
    const addresses = keyed(
      sampleAddress({ address: '10.0.0.1', prefixLength: 24 }),
      sampleAddress({ address: '10.0.0.1', prefixLength: 32 }),
    );
    const namespace = sampleNamespace({ addresses: new Map([[2, addresses]]) });
    const view = viewLink(namespace, sampleLink({ index: 2, name: 'eth0' }), null);
    expect(view.addresses.map(({ address }) => address)).toEqual(['10.0.0.1/24', '10.0.0.1/32']);
  });
});

describe('the view of routes', () => {
  it('leaves out what the kernel keeps for itself and other tables', () => {
    const namespace = sampleNamespace({
      routes: [
        sampleRoute({ destination: '10.0.0.0/24', protocol: 2, scope: 'link' }),
        sampleRoute({ destination: 'default', gateway: '10.0.0.1', protocol: 78 }),
        sampleRoute({ destination: '10.0.0.1/32', type: 'local' }),
        sampleRoute({ destination: '10.0.0.255/32', type: 'broadcast' }),
        sampleRoute({ destination: 'ff00::/8', family: 6, type: 'multicast' }),
        sampleRoute({ destination: '10.1.0.0/24', cloned: true }),
        sampleRoute({ destination: '10.2.0.0/24', table: 100 }),
      ],
    });
    expect(viewRoutes(namespace).routes).toEqual([
      {
        family: 'ipv4',
        to: '10.0.0.0/24',
        via: null,
        index: 2,
        metric: 0,
        table: 254,
        protocol: 2,
        scope: 'link',
        kind: 'unicast',
        owned: false,
      },
      {
        family: 'ipv4',
        to: 'default',
        via: '10.0.0.1',
        index: 2,
        metric: 0,
        table: 254,
        protocol: 78,
        scope: 'global',
        kind: 'unicast',
        owned: true,
      },
    ]);
  });

  it('shows each way of a route with several', () => {
    const nextHops = [
      { gateway: '10.0.0.2', interfaceIndex: 3, weight: 1, flags: 0 },
      { gateway: '10.0.0.1', interfaceIndex: 2, weight: 1, flags: 0 },
    ];
    const routes = [sampleRoute({ destination: 'default', interfaceIndex: undefined, nextHops })];
    const view = viewRoutes(sampleNamespace({ routes }));
    expect(view.routes.map(({ via, index }) => [via, index])).toEqual([
      ['10.0.0.1', 2],
      ['10.0.0.2', 3],
    ]);
  });
});

describe('the whole inventory', () => {
  it('satisfies the contract and keeps equal names and indices of two namespaces apart', () => {
    const link = sampleLink({ index: 2, name: 'eth0' });
    const inventory = assembleInventory(
      [
        sampleNamespace({ id: '100', links: byIndex(link) }),
        sampleNamespace({ id: '200', links: byIndex(link) }),
      ],
      (id) => (id === '100/2' ? '200/2' : null),
      7,
    );
    expect(InventorySchema.parse(inventory)).toEqual(inventory);
    expect(inventory.sequence).toBe(7);
    expect(inventory.links.map(({ id, peer }) => [id, peer])).toEqual([
      ['100/2', '200/2'],
      ['200/2', null],
    ]);
  });
});
