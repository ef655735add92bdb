import fc from 'fast-check';
import { expect, it } from 'vitest';
import { JsonStream, JsonStreamError } from '../../../agent/ovs/json-stream.ts';
import {
  meterId,
  parseFlowLine,
  parseFlowStatistics,
  parseMeters,
  tableChanges,
  unnamedPort,
} from '../../../agent/ovs/openflow-lines.ts';
import { atomsOf, changedValue, parseSchema, textMapOf } from '../../../agent/ovs/values.ts';

it('finds the values in a stream however it is cut', () => {
  const message = fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue()));
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.nat(40)), (messages, cuts) => {
      const bytes = Buffer.from(messages.map((one) => JSON.stringify(one)).join('\n'));
      const stream = new JsonStream(1_000_000);
      const found: unknown[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        found.push(...stream.push(bytes.subarray(at, at + cut)));
        at += cut;
      }
      expect(found).toEqual(JSON.parse(`[${messages.map((one) => JSON.stringify(one)).join()}]`));
    }),
  );
});

it('gives up a stream that is none or whose message is too long', () => {
  const code = (text: string, limit = 20): string => {
    try {
      new JsonStream(limit).push(Buffer.from(text));
      return 'taken';
    } catch (error) {
      return error instanceof JsonStreamError ? error.code : 'other';
    }
  };
  expect(code('HTTP/1.1')).toBe('malformed');
  expect(code('{"a":}')).toBe('malformed');
  expect(code(']')).toBe('malformed');
  expect(code(`{"a":"${'x'.repeat(30)}`)).toBe('too-large');
  expect(code(`{"a":"${'x'.repeat(30)}"}`)).toBe('too-large');
  expect(code('{"a":"]}"}')).toBe('taken');
});

it('reads changes of sets, maps and single values (RFC 7047 with update3)', () => {
  const set = { isMap: false, isSingle: false, initial: ['set', []] } as const;
  const map = { isMap: true, isSingle: false, initial: ['map', []] } as const;
  const single = { isMap: false, isSingle: true, initial: ['set', []] } as const;
  expect(changedValue(set, ['set', [1, 2]], ['set', [2, 3]])).toEqual(['set', [1, 3]]);
  expect(changedValue(set, 1, 1)).toEqual(['set', []]);
  expect(changedValue(single, 7, ['set', []])).toEqual(['set', []]);
  const before = [
    'map',
    [
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ],
  ] as const;
  const change = [
    'map',
    [
      ['a', '1'],
      ['b', '9'],
      ['d', '4'],
    ],
  ] as const;
  expect(textMapOf(changedValue(map, before, change))).toEqual(
    new Map([
      ['b', '9'],
      ['c', '3'],
      ['d', '4'],
    ]),
  );
  expect(atomsOf(['uuid', 'x'])).toEqual([['uuid', 'x']]);
});

it('reads a schema, and nothing else', () => {
  const schema = parseSchema({
    version: '1.2.3',
    tables: {
      T: {
        columns: {
          one: { type: 'integer' },
          maybe: { type: { key: 'integer', min: 0, max: 1 } },
          many: { type: { key: { type: 'string' }, min: 0, max: 'unlimited' } },
          pairs: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
        },
      },
    },
  });
  expect(schema?.version).toBe('1.2.3');
  expect([...(schema?.tables.get('T') ?? [])]).toEqual([
    ['one', { isMap: false, isSingle: true, initial: 0 }],
    ['maybe', { isMap: false, isSingle: true, initial: ['set', []] }],
    ['many', { isMap: false, isSingle: false, initial: ['set', []] }],
    ['pairs', { isMap: true, isSingle: false, initial: ['map', []] }],
  ]);
  for (const answer of [null, 'x', {}, { tables: { T: {} } }]) {
    expect(parseSchema(answer)).toBeUndefined();
  }
});

it('takes a flow line apart', () => {
  const line =
    ' cookie=0x5, duration=3.027s, table=1, n_packets=4, n_bytes=392, idle_timeout=10, hard_timeout=100, send_flow_rem idle_age=2, priority=10,ip,in_port="a b" actions=meter:1,resubmit(,2)';
  expect(parseFlowLine(line)).toMatchObject({
    table: 1,
    priority: 10,
    match: 'ip,in_port="a b"',
    actions: 'meter:1,resubmit(,2)',
  });
  expect(parseFlowLine('table=2, actions=drop')).toMatchObject({
    table: 2,
    priority: 32768,
    match: '',
    actions: 'drop',
  });
  expect(parseFlowLine('OFPST_FLOW reply (OF1.5) (xid=0x2):')).toBeUndefined();
  expect(parseFlowStatistics(`OFPST_FLOW reply (OF1.5) (xid=0x2):\n${line}\n`)).toEqual([
    {
      table: 1,
      priority: 10,
      cookie: '0x5',
      match: 'ip,in_port="a b"',
      actions: 'meter:1,resubmit(,2)',
      packets: 4,
      bytes: 392,
      durationSeconds: 3.027,
      idleAge: 2,
    },
  ]);
});

it('makes of printed meters what add-meter takes', () => {
  const text = `OFPST_METER_CONFIG reply (OF1.5) (xid=0x2):
meter=1 kbps bands=
type=drop rate=1000

meter=3 pktps burst stats bands=
type=drop rate=10 burst_size=5
type=drop rate=20 burst_size=7
`;
  const meters = parseMeters(text);
  expect(meters).toEqual([
    'meter=1,kbps,band=type=drop,rate=1000',
    'meter=3,pktps,burst,stats,band=type=drop,rate=10,burst_size=5,type=drop,rate=20,burst_size=7',
  ]);
  expect(meters.map(meterId)).toEqual(['1', '3']);
});

it('changes only what differs, flows last', () => {
  const before = {
    flows: ['ip actions=drop', 'priority=5,tcp actions=group:1', 'arp actions=NORMAL'],
    groups: ['group_id=1,type=all,bucket=actions=output:p1'],
    meters: ['meter=1,kbps,band=type=drop,rate=1'],
  };
  const after = {
    flows: ['ip actions=NORMAL', 'arp actions=NORMAL'],
    groups: ['group_id=2,type=all,bucket=actions=output:p1'],
    meters: ['meter=1,kbps,band=type=drop,rate=2'],
  };
  expect(tableChanges(before, after)).toEqual({
    addMeters: [],
    changeMeters: after.meters,
    removeMeters: [],
    bundle: [
      'flow delete_strict table=0,priority=5,tcp',
      'group delete group_id=1',
      'group add_or_mod group_id=2,type=all,bucket=actions=output:p1',
      'flow add ip actions=NORMAL',
    ],
  });
  expect(tableChanges(before, before)).toMatchObject({ bundle: [], changeMeters: [] });
});

it('finds ports that have no name', () => {
  expect(unnamedPort('ip,in_port=3 actions=drop')).toBe('3');
  expect(unnamedPort('actions=set_queue:1,output:12,pop_queue')).toBe('12');
  expect(unnamedPort('group_id=1,type=all,bucket=actions=output:4')).toBe('4');
  for (const line of [
    'in_port=p3 actions=output:p1,LOCAL',
    'actions=CONTROLLER:65535',
    'table=2, actions=learn(table=3,output:NXM_OF_IN_PORT[]),output:"3"',
  ]) {
    expect(unnamedPort(line)).toBeUndefined();
  }
});
