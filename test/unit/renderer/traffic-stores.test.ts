import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nextTick } from 'vue';
import {
  type CaptureProgress,
  fail,
  type Failure,
  linkCounterNames,
  type LinkCounterName,
  type PacketRow,
  type RatesSample,
  succeed,
} from '../../../agent/api/index.ts';
import { parseDocument } from '../../../agent/lab/index.ts';
import { usePackets } from '../../../renderer/activity/packet-store.ts';
import { useTraffic } from '../../../renderer/activity/traffic-store.ts';
import { useRealms } from '../../../renderer/inventory/realm-store.ts';
import { useLab } from '../../../renderer/topology/lab-store.ts';
import { plainLinkView, plainNamespaceView } from '../../harness/inventory-views.ts';
import { type FakeMain, openWindow, overviewOf } from './fake-window.ts';

const realm = 'sandbox:demo';
const text = `netloom: 1
name: demo
topology:
  nodes:
    r1: { kind: namespace }
    r2: { kind: namespace }
  links:
    - endpoints: [r1:eth0, r2:eth0]
`;
const inventory = {
  sequence: 1,
  namespaces: [
    { ...plainNamespaceView, id: '1', names: [], root: true },
    { ...plainNamespaceView, id: '2', names: ['r1'], lab: 'demo' },
    { ...plainNamespaceView, id: '3', names: ['r2'], lab: 'demo' },
  ],
  links: [
    { ...plainLinkView, id: '2/5', namespace: '2', index: 5, name: 'eth0', kind: 'veth' },
    { ...plainLinkView, id: '3/6', namespace: '3', index: 6, name: 'eth0', kind: 'veth' },
  ],
  routes: [],
  engines: [],
};
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
const row = (some: Partial<Record<LinkCounterName, number>>): number[] =>
  linkCounterNames.map((name) => some[name] ?? 0);

let main: FakeMain;
let lab: ReturnType<typeof useLab>;

beforeEach(async () => {
  main = openWindow();
  main.answers['document.validate'] = ({ text: asked }: { text: string }) =>
    succeed({ document: parseDocument(asked).document, problems: [], advice: [] });
  main.answers['lab.overview'] = () => succeed(overviewOf('up'));
  main.answers['inventory.snapshot'] = () => succeed(inventory);
  lab = useLab();
  useRealms();
  await lab.openDocument({ path: '/labs/demo.yaml', text, version: 'v1' });
  main.emit('realm', {
    ...{ realm, state: 'running', keeperPid: 1, agentPid: 2, socket: null },
    ...{ outside: 'closed', labs: ['demo'], agent: null },
  });
  await settle();
});

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('rates in the window', () => {
  let tell: (sample: RatesSample) => void;
  beforeEach(() => {
    main.answers['rates.watch'] = (_args: never, progress: (value: unknown) => void) => {
      tell = progress;
      return new Promise(() => undefined);
    };
  });
  const sample = (time: number, rates: RatesSample['rates'], gone: string[] = []): RatesSample => ({
    ...{ time, since: 500, links: [], rates, gone },
  });

  it('are asked for while somebody looks, and not before', async () => {
    const traffic = useTraffic();
    await settle();
    expect(main.argsOf('rates.watch')).toEqual([]);
    traffic.lookers = 1;
    await nextTick();
    expect(main.argsOf('rates.watch')).toEqual([
      { realm, interval: 500, namespaces: null, counters: true },
    ]);
    traffic.lookers = 0;
    await nextTick();
    expect(traffic.reading).toBeNull();
  });

  it('stay as they were told until they are told anew, and go with their interface', async () => {
    const traffic = useTraffic();
    traffic.lookers = 1;
    await nextTick();
    tell(sample(1_000, [{ link: '2/5', rates: row({ transmittedBytes: 100 }) }]));
    tell(sample(1_500, []));
    expect(traffic.rateOf('2/5')?.transmittedBytes).toBe(100);
    tell(sample(2_000, [{ link: '2/5', rates: null }]));
    expect(traffic.rateOf('2/5')).toBeNull();
    tell(sample(2_500, [{ link: '2/5', rates: row({ transmittedBytes: 7 }) }]));
    tell(sample(3_000, [], ['2/5']));
    expect(traffic.rateOf('2/5')).toBeNull();
  });

  it('are read as numbers over a second, and kept for a minute', async () => {
    const traffic = useTraffic();
    traffic.lookers = 1;
    await nextTick();
    const packets = (count: number) => [{ link: '2/5', rates: row({ receivedPackets: count }) }];
    tell(sample(10_000, packets(4)));
    tell(sample(10_500, packets(2)));
    expect(traffic.rateOf('2/5')?.receivedPackets).toBe(2);
    expect(traffic.steadyRateOf('2/5')?.receivedPackets).toBe(3);
    const series = traffic.seriesOf('2/5', 'receivedPackets');
    expect(series).toHaveLength(60);
    expect(series.at(-1)).toBe(3);
    expect(series.at(-2)).toBeNull();
    // What has never moved anything has no history to keep.
    tell(sample(11_000, [{ link: '3/6', rates: row({}) }]));
    expect(traffic.seriesOf('3/6', 'receivedPackets')).toEqual([]);
  });
});

describe('a capture of the window', () => {
  const begun: ((progress: CaptureProgress) => void)[] = [];
  const ends: ((result: unknown) => void)[] = [];
  beforeEach(() => {
    begun.length = 0;
    ends.length = 0;
    main.answers['capture.start'] = (_args: never, progress: (value: unknown) => void) => {
      begun.push(progress);
      return new Promise((resolve) => ends.push(resolve));
    };
  });
  const started = (capture: string): CaptureProgress => ({
    kind: 'started',
    capture,
    interfaces: [
      {
        ...{ number: 0, link: '2/5', namespace: '2', title: 'r1', name: 'eth0' },
        ...{ linkType: 1, present: true },
      },
    ],
  });
  const totals = (packets: number): CaptureProgress => ({
    kind: 'totals',
    totals: { packets, bytes: 0, dropped: 0, drops: [], oldest: 1, keptBytes: 0 },
  });
  const syntax: Failure = {
    kind: 'invalid-request',
    code: 'capture-filter',
    object: 'capture filter',
    reason: 'The filter is not accepted: syntax error.',
    next: 'Write another.',
  };

  it('is of what is selected, with the filter that was typed', async () => {
    const packets = usePackets();
    lab.selection = { kind: 'link', index: 0 };
    packets.captureFilter = ' icmp ';
    void packets.start();
    await settle();
    expect(main.argsOf('capture.start')).toEqual([
      {
        ...{ realm, filter: 'icmp', snapLength: 262_144 },
        places: [{ kind: 'node', lab: 'demo', node: 'r1', device: 'eth0' }],
      },
    ]);
    expect([packets.starting, packets.running]).toEqual([true, false]);
    begun[0]?.(started('c1'));
    begun[0]?.(totals(3));
    expect([packets.starting, packets.running, packets.totals.packets]).toEqual([false, true, 3]);
  });

  it('keeps what it has when another one is refused, and says why', async () => {
    const packets = usePackets();
    void packets.start();
    await settle();
    begun[0]?.(started('c1'));
    begun[0]?.(totals(3));
    begun[0]?.({ kind: 'stopped', end: 'asked', failure: null });
    void packets.start();
    await settle();
    ends[1]?.(fail(syntax));
    await settle();
    expect([packets.capture?.id, packets.capture?.state]).toEqual(['c1', 'stopped']);
    expect([packets.totals.packets, packets.refusal?.code]).toEqual([3, 'capture-filter']);
  });

  it('makes room for another one that has begun', async () => {
    const packets = usePackets();
    void packets.start();
    await settle();
    begun[0]?.(started('c1'));
    begun[0]?.(totals(3));
    void packets.start();
    await settle();
    begun[1]?.(started('c2'));
    begun[0]?.(totals(9));
    expect([packets.capture?.id, packets.totals.packets]).toEqual(['c2', 0]);
  });

  it('lights the wire that a packet was seen on', async () => {
    const packets = usePackets();
    void packets.start();
    await settle();
    begun[0]?.(started('c1'));
    const seen: PacketRow = {
      number: 1,
      seconds: 0,
      nanoseconds: 0,
      interface: 0,
      direction: 'sent',
      protocol: 'ICMP',
      source: '',
      destination: '',
      info: '',
      length: 98,
    };
    packets.pick(seen);
    await settle();
    expect([...packets.light.left]).toEqual(['r1:eth0']);
    packets.pick(null);
    expect([...packets.light.left]).toEqual([]);
  });
});
