import { expect, it } from 'vitest';
import {
  bondMembersOf,
  parseBonds,
  parseCoverage,
  parseDatapaths,
  parseFdb,
  parseLacp,
  parseTrees,
  parseUpcalls,
} from '../../../agent/ovs/appctl-text.ts';
import { printed } from './texts.ts';

it('reads bonds and their negotiation', () => {
  const bonds = parseBonds(printed('bond'));
  const lacp = parseLacp(printed('lacp'));
  expect(bonds).toMatchObject([
    {
      port: 'bond0',
      mode: 'balance-tcp',
      active: null,
      members: [
        { name: 'm1', enabled: false },
        { name: 'm2', enabled: false },
      ],
    },
  ]);
  expect(lacp).toMatchObject([
    {
      port: 'bond0',
      active: true,
      systemId: 'f6:98:80:3a:ef:4f',
      members: [
        { name: 'm1', status: 'defaulted', attached: false, partner: null },
        { name: 'm2', status: 'defaulted', attached: false, partner: null },
      ],
    },
  ]);
  expect([...bondMembersOf(bonds, lacp).keys()]).toEqual(['m1', 'm2']);
});

it('reads which member of a bond carries, in the words of old and new versions', () => {
  const text = (word: string) => `---- b1 ----
bond_mode: active-backup
lacp_status: off
active-backup primary: <none>
active ${word} mac: de:c9:dd:c5:42:c0(m1)

${word} m1: enabled
  active ${word}
  may_enable: true

${word} m2: disabled
  may_enable: false
`;
  for (const word of ['member', 'slave']) {
    const bonds = parseBonds(text(word));
    expect(bonds).toEqual([
      {
        port: 'b1',
        mode: 'active-backup',
        lacpStatus: 'off',
        active: 'm1',
        members: [
          { name: 'm1', enabled: true },
          { name: 'm2', enabled: false },
        ],
      },
    ]);
    expect(bondMembersOf(bonds, [])).toEqual(
      new Map([
        ['m1', { enabled: true, active: true, lacp: null }],
        ['m2', { enabled: false, active: false, lacp: null }],
      ]),
    );
  }
});

it('reads spanning trees', () => {
  expect(parseTrees(printed('stp'))).toMatchObject([
    {
      bridge: 'br0',
      isRoot: true,
      root: '32768.7a:c8:b1:41:4c:4a',
      own: '32768.7a:c8:b1:41:4c:4a',
      rootPort: null,
      ports: [{ name: 'pa', role: 'designated', cost: 2, id: '128.1' }],
    },
  ]);
  expect(parseTrees(printed('rstp'))).toMatchObject([
    {
      bridge: 'br1',
      isRoot: false,
      root: '32768.7a:c8:b1:41:4c:4a',
      own: '32768.f6:98:80:3a:ef:4f',
      rootPort: 'pb',
      rootPathCost: 2000,
      ports: [
        { name: 'pb', role: 'root', state: 'forwarding', cost: 2000, id: '128.1' },
        { name: 'vx', role: 'designated', state: 'forwarding', cost: 2000, id: '128.2' },
      ],
    },
  ]);
});

it('reads learned addresses and figures', () => {
  expect(parseFdb(printed('fdb'))).toEqual([
    { port: '1', vlan: 3, mac: 'd6:44:c1:e5:24:1a', age: 98 },
  ]);
  expect(
    parseFdb(' port  VLAN  MAC                Age\nLOCAL     0  d6:44:c1:e5:24:1b  static\n'),
  ).toEqual([{ port: 'LOCAL', vlan: 0, mac: 'd6:44:c1:e5:24:1b', age: null }]);
  expect(parseUpcalls(printed('upcall'))).toMatchObject([
    { datapath: 'netdev@ovs-netdev', flowLimit: 12000, dumpDuration: 1 },
  ]);
  expect(parseDatapaths(printed('datapath'))).toMatchObject([
    { datapath: 'netdev@ovs-netdev', lost: 0 },
  ]);
  const [datapath] = parseDatapaths(printed('datapath'));
  expect(datapath?.hit).toBeGreaterThan(0);
  expect(parseCoverage(printed('coverage')).get('bridge_reconfigure')).toEqual({
    rates: [expect.any(Number), expect.any(Number), expect.any(Number)],
    total: expect.any(Number),
  });
});
