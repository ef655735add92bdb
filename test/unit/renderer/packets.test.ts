import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { CaptureFlow, Inventory, LabDocument } from '../../../agent/api/index.ts';
import { dissect } from '../../../agent/dissect/dissect.ts';
import { displayFilter } from '../../../agent/dissect/filter/display-filter.ts';
import { placesOf, subjectOf } from '../../../renderer/activity/capture-places.ts';
import { fieldRows, rowAt } from '../../../renderer/activity/field-rows.ts';
import {
  filterOfFlow,
  filterOfPacket,
  flowRows,
  sortFlowRows,
} from '../../../renderer/activity/flow-filter.ts';
import { bytesOfBase64, hexLine } from '../../../renderer/activity/hex-lines.ts';
import { endsByLink, lightOfSightings } from '../../../renderer/activity/packet-light.ts';
import { clockText, delayText } from '../../../renderer/activity/packet-time.ts';
import { hueOf, protocolHues, titleOf } from '../../../renderer/activity/protocol-hue.ts';
import { linkFinder, linksOfWires } from '../../../renderer/activity/wire-rates.ts';
import { plainLinkView, plainNamespaceView } from '../../harness/inventory-views.ts';
import { bytes } from '../../harness/packets.ts';

const document: LabDocument = {
  netloom: 1,
  name: 'pair',
  topology: {
    nodes: {
      r1: { kind: 'namespace' },
      br: { kind: 'bridge' },
      machine: { kind: 'vm' },
    },
    links: [{ endpoints: ['r1:eth0', 'br:v-r1'] }, { endpoints: ['br:tap0', 'machine:eth0'] }],
  },
};
const inventory: Inventory = {
  sequence: 1,
  namespaces: [
    { ...plainNamespaceView, id: '1', names: [], root: true },
    { ...plainNamespaceView, id: '2', names: ['r1'] },
  ],
  links: [
    { ...plainLinkView, id: '2/7', namespace: '2', index: 7, name: 'eth0', kind: 'veth' },
    { ...plainLinkView, id: '1/8', namespace: '1', index: 8, name: 'v-r1', kind: 'veth' },
    { ...plainLinkView, id: '1/9', namespace: '1', index: 9, name: 'tap0', kind: 'tun' },
    { ...plainLinkView, id: '1/5', namespace: '1', index: 5, name: 'br', kind: 'bridge' },
    // The same name elsewhere is another one.
    { ...plainLinkView, id: '1/3', namespace: '1', index: 3, name: 'eth0', kind: 'physical' },
  ],
  routes: [],
  engines: [],
};
const find = linkFinder(document, inventory);
const wires = [
  {
    id: 'link:0',
    ends: [
      { node: 'r1', interface: 'eth0' },
      { node: 'br', interface: 'v-r1' },
    ],
  },
  {
    id: 'link:1',
    ends: [
      { node: 'br', interface: 'tap0' },
      { node: 'machine', interface: 'eth0' },
    ],
  },
  {
    id: 'link:2',
    ends: [
      { node: 'r1', interface: 'not-there' },
      { node: 'machine', interface: 'eth1' },
    ],
  },
] as const;

describe('the wires of the drawing', () => {
  it('are found in the kernel by namespace and name, at both ends or at one', () => {
    const found = linksOfWires(wires, find).map(({ wire, links }) => [wire, ...links]);
    expect(found).toEqual([
      ['link:0', '2/7', '1/8'],
      ['link:1', '1/9', null],
    ]);
  });

  it('may lead to what is not the lab’s, by its id', () => {
    expect(find({ node: 'foreign:1/3', interface: '1/3' })).toBe('1/3');
    expect(linkFinder(document, null)({ node: 'r1', interface: 'eth0' })).toBeNull();
  });
});

describe('where packets are captured', () => {
  const view = { name: 'pair', document, inventory, find };
  const at = (node: string, device: string | null) => ({ kind: 'node', lab: 'pair', node, device });

  it('is what is selected, one end of a wire, and the whole lab for nothing', () => {
    expect(placesOf(subjectOf(null), view)).toEqual([at('r1', null), at('br', null)]);
    expect(placesOf(subjectOf({ kind: 'cpu-group', group: '' }), view)).toHaveLength(2);
    expect(placesOf({ kind: 'node', node: 'br' }, view)).toEqual([at('br', null)]);
    expect(placesOf({ kind: 'interface', node: 'r1', interface: 'eth0' }, view)).toEqual([
      at('r1', 'eth0'),
    ]);
    expect(placesOf({ kind: 'link', index: 0 }, view)).toEqual([at('r1', 'eth0')]);
  });

  it('is the tap for a machine, and nothing for a wire that is only drawn', () => {
    expect(placesOf({ kind: 'node', node: 'machine' }, view)).toEqual([at('br', 'tap0')]);
    expect(placesOf({ kind: 'link', index: 1 }, view)).toEqual([at('br', 'tap0')]);
    expect(placesOf({ kind: 'link', index: 0 }, { ...view, find: () => null })).toEqual([]);
  });

  it('is known by id where it is not the lab’s', () => {
    expect(placesOf({ kind: 'foreign', id: '2' }, view)).toEqual([
      { kind: 'namespace', namespace: '2' },
    ]);
    expect(placesOf({ kind: 'foreign', id: '1/3' }, view)).toEqual([{ kind: 'link', link: '1/3' }]);
  });
});

describe('the light of a packet', () => {
  it('goes by the interfaces that saw it, each with its direction', () => {
    const interfaces = new Map([
      [0, { link: '2/7' }],
      [1, { link: '1/8' }],
      [2, { link: '1/3' }],
    ]);
    const light = lightOfSightings(
      [
        { interface: 0, direction: 'sent' },
        { interface: 1, direction: 'received' },
        { interface: 2, direction: 'received' },
      ],
      interfaces,
      endsByLink(document, find),
    );
    expect([...light.left]).toEqual(['r1:eth0']);
    expect([...light.entered]).toEqual(['br:v-r1', '1/3']);
    expect([...light.nodes]).toEqual(['r1', 'br']);
  });
});

/** An echo request from 10.0.0.1 to 10.0.0.2 with four octets of data. */
const request = bytes(`
  02 00 00 00 00 02 02 00 00 00 00 01 08 00
  45 00 00 20 00 01 40 00 40 01 26 da 0a 00 00 01 0a 00 00 02
  08 00 94 28 00 07 00 01 61 62 63 64
`);

describe('the fields of a packet', () => {
  it('are rows with their bytes, the layer that the list speaks of open', () => {
    const { rows, faults } = fieldRows(dissect(request, 1), (_name, innermost) => innermost);
    const layers = rows.filter(({ level }) => level === 1);
    expect(layers.map(({ name, open }) => [name, open]).slice(0, 3)).toEqual([
      ['eth', false],
      ['ip', false],
      ['icmp', true],
    ]);
    const type = rows.find(({ name }) => name === 'icmp.type');
    expect(type).toMatchObject({ level: 2, offset: 34, length: 1 });
    expect(type?.value).toMatch(/^8 \(/);
    expect(faults).toEqual([]);
  });

  it('are found by a byte: the shortest that has it', () => {
    const all = fieldRows(dissect(request, 1), () => true).rows;
    expect(rowAt(all, 34)?.name).toBe('icmp.type');
    expect(rowAt(all, 30)?.name).toBe('ip.dst');
    const closed = fieldRows(dissect(request, 1), () => false).rows;
    expect(rowAt(closed, 30)?.name).toBe('ip');
    expect(rowAt(closed, 4_000)).toBeNull();
  });

  it('of what is cut off say so', () => {
    const cut = fieldRows(dissect(request.subarray(0, 30), 1, request.length), () => true);
    expect(cut.faults.map(({ kind }) => kind)).toContain('truncated');
  });
});

describe('bytes', () => {
  it('are lines of digits and of characters where there are some', () => {
    const line = hexLine(request, 40, 8);
    expect(line.place).toBe('0028');
    expect(line.cells.map(({ hex }) => hex).join(' ')).toBe('00 01 61 62 63 64');
    expect(line.cells.map(({ text }) => text).join('')).toBe('··abcd');
    expect([...bytesOfBase64('CAD/')]).toEqual([8, 0, 255]);
  });
});

function flow(
  some: Partial<CaptureFlow>,
  ends: readonly (readonly [string, number | null])[],
): CaptureFlow {
  return {
    ...{
      namespace: '2',
      protocol: 'tcp',
      ipProtocol: 6,
      packets: 1,
      bytes: 100,
      first: 0,
      last: 0,
    },
    interfaces: [0],
    tcp: null,
    ...some,
    ends: ends.map(([address, port]) => ({ address, port, sent: { packets: 1, bytes: 50 } })),
  };
}

describe('flows', () => {
  const flows = [
    flow({ bytes: 900, tcp: null, protocol: 'icmp', ipProtocol: 1 }, [
      ['10.0.0.1', null],
      ['10.0.0.2', null],
    ]),
    flow({ bytes: 5_000, protocol: 'http' }, [
      ['fd00::1', 40_000],
      ['fd00::2', 80],
    ]),
    flow(
      {
        bytes: 70,
        tcp: { state: 'established', connections: 1, roundTrip: 0.002, roundTrips: [] },
      },
      [
        ['10.0.0.9', 40_001],
        ['10.0.0.10', 80],
      ],
    ),
  ];
  const rows = flowRows(flows, new Map([['2', 'r1']]));

  it('are told by both ends, with ports where there are some', () => {
    expect(rows.map(({ cells }) => [cells.namespace, cells.protocol, cells.one])).toEqual([
      ['r1', 'ICMP', '10.0.0.1'],
      ['r1', 'HTTP', '[fd00::1]:40000'],
      ['r1', 'TCP', '10.0.0.9:40001'],
    ]);
  });

  it('are sorted by number or as people count, what nobody knows last', () => {
    const first = (...by: readonly ['bytes' | 'roundTrip' | 'one', boolean]) =>
      sortFlowRows(rows, ...by).map(({ cells }) => cells.bytes);
    expect(first('bytes', true)).toEqual([5_000, 900, 70]);
    expect(first('bytes', false)).toEqual([70, 900, 5_000]);
    expect(first('roundTrip', true)[0]).toBe(70);
    expect(first('roundTrip', false)[0]).toBe(70);
  });

  it('have a display filter that can be read', () => {
    const filters = flows.map(filterOfFlow);
    expect(filters).toEqual([
      'ip.addr == 10.0.0.1 && ip.addr == 10.0.0.2',
      'ipv6.addr == fd00::1 && ipv6.addr == fd00::2 && tcp.port == 40000 && tcp.port == 80',
      'ip.addr == 10.0.0.9 && ip.addr == 10.0.0.10 && tcp.port == 40001 && tcp.port == 80',
    ]);
    const cards = flow({ ipProtocol: null, protocol: 'arp' }, [
      ['02:00:00:00:00:01', null],
      ['02:00:00:00:00:02', null],
    ]);
    for (const filter of [...filters, filterOfFlow(cards)]) {
      expect(displayFilter(filter ?? '').ok).toBe(true);
    }
  });
});

describe('the conversation of a packet', () => {
  it('has a display filter that means the packet', () => {
    const packet = dissect(request, 1);
    expect(filterOfPacket(packet)).toBe('ip.addr == 10.0.0.1 && ip.addr == 10.0.0.2');
    expect(filterOfPacket(dissect(request.subarray(0, 4), 1))).toBeNull();
  });
});

describe('times', () => {
  it('are the clock to the microsecond, and short delays', () => {
    expect(clockText(0, 123_456_789)).toMatch(/^\d\d:\d\d:00\.123456$/);
    expect([0, 12e-6, 3.4e-3, 1.25, -5e-6].map(delayText)).toEqual([
      '+0 µs',
      '+12 µs',
      '+3.4 ms',
      '+1.25 s',
      '−5 µs',
    ]);
  });
});

/** Relative luminance of `#rrggbb` (WCAG 2.2). */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = (colour.match(/[0-9a-f]{2}/gi) ?? []).map((pair) => {
    const share = Number.parseInt(pair, 16) / 255;
    return share <= 0.040_45 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** `part` of one colour over the other. */
function mixed(one: string, other: string, part: number): string {
  const of = (colour: string) =>
    (colour.match(/[0-9a-f]{2}/gi) ?? []).map((pair) => Number.parseInt(pair, 16));
  const under = of(other);
  return `#${of(one)
    .map((value, place) => Math.round(value * part + (under[place] ?? 0) * (1 - part)))
    .map((value) => value.toString(16).padStart(2, '0'))
    .join('')}`;
}

describe('the hues of protocols', () => {
  it('go by title or name, versions left out', () => {
    expect(
      ['ICMP', 'icmpv6', 'ARP', 'RIPv2', 'NetFlow v9', 'DHCPv6', 'VXLAN', 'STP'].map(hueOf),
    ).toEqual(['icmp', 'icmp', 'arp', 'udp', 'udp', 'dhcp', 'tunnel', 'other']);
    expect(['icmpv6', 'mdns', 'stp'].map(titleOf)).toEqual(['ICMPv6', 'mDNS', 'STP']);
  });

  it('can be read as text on a row of their own colour, in both themes (AA)', () => {
    const css = readFileSync(
      fileURLToPath(new URL('../../../renderer/app/theme.css', import.meta.url)),
      'utf8',
    );
    const themes = [...css.matchAll(/:root\[data-theme='(light|dark)'\] \{([^}]*)\}/g)];
    expect(themes.map(([, theme]) => theme)).toEqual(['light', 'dark']);
    for (const [, theme = '', body = ''] of themes) {
      const colour = (name: string): string =>
        new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(body)?.[1] ?? '';
      const surface = colour('surface');
      for (const hue of protocolHues) {
        const text = colour(`protocol-${hue}`);
        // As the list has it under the pointer, where it is least.
        const row = mixed(text, surface, 0.13);
        expect([theme, hue, contrast(text, row) >= 4.5, contrast(text, surface) >= 4.5]).toEqual([
          theme,
          hue,
          true,
          true,
        ]);
      }
    }
  });
});
