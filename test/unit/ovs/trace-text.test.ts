import { expect, it } from 'vitest';
import type { OvsBridge, OvsInterface } from '../../../agent/api/ovs.ts';
import { parseTrace } from '../../../agent/ovs/trace-text.ts';
import { bridge, port } from '../../kernel/ovs-bridges.ts';
import { printed } from './texts.ts';

const common = { mac: null, mtu: null, openFlowPort: null, policing: null };
const one = (entry: OvsInterface) => port(entry.name, { interfaces: [entry] });
const bridges: readonly OvsBridge[] = [
  bridge('br0', [
    port('p1'),
    port('p2'),
    one({ kind: 'patch', name: 'pa', peer: 'pb', ...common }),
  ]),
  bridge('br1', [port('h1'), one({ kind: 'patch', name: 'pb', peer: 'pa', ...common })]),
];
const flooded = {
  bridge: 'br1',
  inPort: 'pb',
  from: 0,
  tables: [
    {
      table: 0,
      match: '',
      priority: 0,
      actions: ['NORMAL', '-> no learned MAC for destination, flooding'],
    },
  ],
  outPorts: ['br1'],
};

it('follows a packet through tables and a patch port', () => {
  const trace = parseTrace(printed('trace-chain'), bridges);
  expect(trace?.flow).toMatch(/^tcp,in_port=p1,/);
  expect(trace?.steps).toEqual([
    {
      bridge: 'br0',
      inPort: 'p1',
      from: null,
      tables: [
        { table: 0, match: 'tcp,in_port=p1', priority: 10, actions: ['resubmit(,5)'] },
        {
          table: 5,
          match: 'ip',
          priority: 32768,
          actions: ['set_field:1.1.1.1->ip_src', 'output:pa'],
        },
      ],
      outPorts: ['pa'],
    },
    flooded,
  ]);
  expect(trace?.result).toMatchObject({
    finalFlow: expect.stringContaining('nw_src=1.1.1.1'),
    datapathActions: 'set(ipv4(src=1.1.1.1)),br1',
    outputs: [{ bridge: 'br1', port: 'br1' }],
  });
});

it('follows a packet that is dropped where no flow fits', () => {
  const trace = parseTrace(printed('trace-drop'), bridges);
  expect(trace?.steps).toEqual([
    {
      bridge: 'br0',
      inPort: 'p1',
      from: null,
      tables: [
        { table: 0, match: 'arp,in_port=p1', priority: 7, actions: ['resubmit(,77)'] },
        { table: 77, match: null, priority: null, actions: ['drop'] },
      ],
      outPorts: [],
    },
  ]);
  expect(trace?.result).toMatchObject({ finalFlow: null, datapathActions: 'drop', outputs: [] });
});

it('tells what is nested from what follows it', () => {
  const trace = parseTrace(printed('trace-nested'), bridges);
  expect(trace?.steps).toEqual([
    {
      bridge: 'br0',
      inPort: 'p1',
      from: null,
      tables: [
        {
          table: 0,
          match: 'ip,in_port=p1,vlan_tci=0x0000/0x1fff,nw_dst=10.5.5.5',
          priority: 70,
          actions: ['resubmit(,9)', 'output:p2'],
        },
        { table: 9, match: 'ip', priority: 32768, actions: ['output:pa', 'resubmit(,10)'] },
        { table: 10, match: '', priority: 32768, actions: ['drop'] },
      ],
      outPorts: ['pa', 'p2'],
    },
    flooded,
  ]);
  const group = parseTrace(printed('trace-group'), bridges);
  expect(group?.steps).toMatchObject([
    {
      tables: [{ actions: ['group:3', 'bucket 0', 'output:pa', 'bucket 1', 'output:p2'] }],
      outPorts: ['pa', 'p2'],
    },
    flooded,
  ]);
  expect(group?.result.outputs).toEqual([
    { bridge: 'br1', port: 'br1' },
    { bridge: 'br0', port: 'p2' },
  ]);
});

it('follows a packet that goes round once more', () => {
  const trace = parseTrace(printed('trace-round'), bridges);
  expect(trace?.steps.map(({ bridge: name, inPort, from }) => [name, inPort, from])).toEqual([
    ['br0', 'p1', null],
    ['br0', 'p1', null],
    ['br1', 'pb', 1],
  ]);
  expect(trace?.steps[1]?.tables).toEqual([
    { table: 6, match: '', priority: 32768, actions: ['output:pa'] },
  ]);
  expect(trace?.result.outputs).toEqual([{ bridge: 'br1', port: 'br1' }]);
  expect(trace?.result.datapathActions).toMatch(/^ct,recirc\(0x[0-9a-f]+\); br1$/);
});

it('says nothing of what is no trace', () => {
  expect(parseTrace('', bridges)).toBeUndefined();
  expect(parseTrace('Bad openflow flow syntax: x', bridges)).toBeUndefined();
});
