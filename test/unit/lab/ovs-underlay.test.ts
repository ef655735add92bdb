/** MTUs that the tunnels of Open vSwitch bridges leave to what is switched through them. */
import { describe, expect, test } from 'vitest';
import { readDocument } from '../../../agent/lab/document-text.ts';
import { networkOf } from '../../../agent/lab/network.ts';

interface Site {
  /** Words of the tunnel port. */
  readonly tunnel?: string;
  /** Words of the link that bears the underlay. */
  readonly underlay?: string;
  readonly addresses?: readonly [string, string];
  /** Further nodes and links. */
  readonly nodes?: string;
  readonly links?: string;
  /** Words of the link of the host. */
  readonly host?: string;
  /** Words of the bridge with the tunnel. */
  readonly bridge?: string;
}

/** A machine m1 with a tunnel to m2; at its bridge i1 the host h1. */
function site({
  tunnel = 'kind: vxlan, remote: 192.0.2.2, key: 7',
  underlay = '',
  addresses = ['192.0.2.1/24', '192.0.2.2/24'],
  nodes = '',
  links = '',
  host = '',
  bridge = '',
}: Site = {}): string {
  return `netloom: 1
name: lab
topology:
  nodes:
    m1: { kind: namespace, interfaces: { eth0: { addresses: ['${addresses[0]}'] } } }
    m2: { kind: namespace, interfaces: { eth0: { addresses: ['${addresses[1]}'] } } }
    ex1: { kind: ovs-bridge, namespace: m1, uplink: eth0 }
    ex2: { kind: ovs-bridge, namespace: m2, uplink: eth0 }
    i1: { kind: ovs-bridge, namespace: m1, ports: { t: { ${tunnel} } }${bridge} }
    h1: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
${nodes}
  links:
    - { endpoints: ['m1:eth0', 'm2:eth0']${underlay} }
    - { endpoints: ['i1:p1', 'h1:eth0']${host} }
${links}`;
}

/** What the document has against it, and the MTU that it gives to a link (`namespace/name`); null leaves it open. */
function look(text: string, ...keys: readonly string[]): readonly unknown[] {
  const { problems, advice, document } = readDocument(text, { file: 'lab.yaml' });
  if (document === null) throw new Error(JSON.stringify(problems));
  const { links } = networkOf(document);
  return [
    ...[...problems, ...advice].map(({ code }) => code),
    ...keys.map((key) => links.get(key)?.mtu),
  ];
}

describe('the MTU of what is switched through a tunnel of Open vSwitch', () => {
  const ipv6 = ['2001:db8::1/64', '2001:db8::2/64'] as const;
  test.each([
    ['VXLAN', site(), 1450],
    ['Geneve', site({ tunnel: 'kind: geneve, remote: 192.0.2.2' }), 1450],
    ['GRE', site({ tunnel: 'kind: gre, remote: 192.0.2.2' }), 1462],
    ['GRE with a key', site({ tunnel: 'kind: gre, remote: 192.0.2.2, key: 7' }), 1458],
    [
      'VXLAN over IPv6',
      site({ tunnel: "kind: vxlan, remote: '2001:db8::2', key: 7", addresses: ipv6 }),
      1430,
    ],
    ['VXLAN over jumbo frames', site({ underlay: ', mtu: 9000' }), 8950],
    [
      'the tightest of several',
      site({
        bridge: '',
        tunnel: 'kind: vxlan, remote: 192.0.2.2, key: 7 }, g: { kind: gre, remote: 192.0.2.2',
      }),
      1450,
    ],
  ])('is worked out for %s', (_, text, mtu) => {
    expect(look(text, 'h1/eth0', 'm1/p1', 'm1/eth0')).toEqual([
      mtu,
      mtu,
      text.includes('9000') ? 9000 : null,
    ]);
  });

  test('is that of every bridge behind it, across patch ports and bridges of the kernel', () => {
    const text = site({
      nodes: `    j1: { kind: ovs-bridge, namespace: m1 }
    k1: { kind: bridge, namespace: m1 }
    h2: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.2/24] } } }`,
      links: `    - { type: patch, endpoints: ['i1:x', 'j1:y'] }
    - { endpoints: ['j1:p2', 'k1:q2'] }
    - { endpoints: ['k1:p3', 'h2:eth0'] }`,
    });
    expect(look(text, 'm1/p2', 'm1/q2', 'm1/p3', 'h2/eth0')).toEqual([1450, 1450, 1450, 1450]);
  });

  test('goes to internal ports that have addresses', () => {
    const text = site({
      bridge: ', addresses: [10.0.0.7/24]',
      tunnel:
        'kind: vxlan, remote: 192.0.2.2, key: 7 }, in: { kind: internal, addresses: [10.0.0.8/24] }, on: { kind: internal',
    });
    expect(look(text, 'm1/i1', 'm1/in', 'm1/on')).toEqual([1450, 1450, null]);
  });

  test('is less again in a tunnel within the tunnel', () => {
    const text = site({
      nodes: `    n1: { kind: namespace, interfaces: { eth0: { addresses: [10.0.0.9/24] } } }
    ex3: { kind: ovs-bridge, namespace: n1, uplink: eth0 }
    i3: { kind: ovs-bridge, namespace: n1, ports: { t: { kind: vxlan, remote: 10.0.0.1, key: 8 } } }
    h3: { kind: namespace, interfaces: { eth0: { addresses: [10.9.0.1/24] } } }`,
      links: `    - { endpoints: ['i1:p9', 'n1:eth0'] }
    - { endpoints: ['i3:p3', 'h3:eth0'] }`,
    });
    expect(look(text, 'n1/eth0', 'h3/eth0')).toEqual([1450, 1400]);
  });

  test('leaves what the document sets, and warns where that does not fit', () => {
    expect(look(site({ host: ', mtu: 1400' }), 'h1/eth0', 'm1/p1')).toEqual([1400, 1400]);
    expect(look(site({ host: ', mtu: 1500' }), 'h1/eth0')).toEqual(['mtu-beyond-ovs-tunnel', 1500]);
  });

  test('does not make a tunnel smaller that lies on its own bridge', () => {
    const text = site({ nodes: '', links: '' })
      .replace('    ex1: { kind: ovs-bridge, namespace: m1, uplink: eth0 }\n', '')
      .replace(
        'i1: { kind: ovs-bridge, namespace: m1,',
        'i1: { kind: ovs-bridge, namespace: m1, uplink: eth0,',
      );
    expect(look(text, 'm1/eth0', 'm2/eth0', 'h1/eth0')).toEqual([
      'mtu-beyond-ovs-tunnel',
      null,
      null,
      null,
    ]);
  });

  test('is left alone where nothing is tunnelled', () => {
    expect(look(site({ tunnel: 'kind: internal' }), 'h1/eth0', 'm1/p1', 'm1/t')).toEqual([
      null,
      null,
      null,
    ]);
  });
});
