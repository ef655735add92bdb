/** Open vSwitch bridges as contestants bring them up: a ring joined by patch ports, and two of Mininet's topologies. */
import { hostsOf } from './host-lab.ts';

interface Ring {
  readonly bridge: string;
  /** Towards the bridge before and the one after, each with the port at the other end. */
  readonly ports: readonly { readonly name: string; readonly peer: string }[];
}

function ringOf(count: number): readonly Ring[] {
  return Array.from({ length: count }, (_, index) => {
    const before = (index + count - 1) % count;
    const after = (index + 1) % count;
    return {
      bridge: `s${String(index)}`,
      ports: [
        { name: `a${String(index)}`, peer: `b${String(before)}` },
        { name: `b${String(index)}`, peer: `a${String(after)}` },
      ],
    };
  });
}

/** A lab document: `count` bridges and as many links between them, which have two patch ports each. Nothing goes round it: they wait for flows. */
export function ringLabOf(name: string, count: number): string {
  const ring = ringOf(count);
  return [
    'netloom: 1',
    `name: ${name}`,
    'topology:',
    '  nodes:',
    ...ring.map(({ bridge }) => `    ${bridge}: { kind: ovs-bridge, failMode: secure }`),
    '  links:',
    ...ring.map(({ bridge }, index) => {
      const next = String((index + 1) % count);
      return `    - { type: patch, endpoints: [${bridge}:b${String(index)}, s${next}:a${next}] }`;
    }),
    '',
  ].join('\n');
}

/** The same for one ovs-vsctl(8), with the mark on every row that a lab has. */
export function ringWordsOf(name: string, count: number): readonly string[] {
  const mark = `external_ids:netloom=${name}`;
  return ringOf(count).flatMap(({ bridge, ports }) => [
    ...['--', 'add-br', bridge],
    ...['--', 'set', 'Bridge', bridge, 'datapath_type=netdev', 'fail_mode=secure', mark],
    ...['--', 'set', 'Port', bridge, mark],
    ...['--', 'set', 'Interface', bridge, mark],
    ...ports.flatMap(({ name: port, peer }) => [
      ...['--', 'add-port', bridge, port],
      ...['--', 'set', 'Port', port, mark],
      ...['--', 'set', 'Interface', port, 'type=patch', `options:peer=${peer}`, mark],
    ]),
  ]);
}

export function ringRemovalOf(count: number): readonly string[] {
  return ringOf(count).flatMap(({ bridge }) => ['--', 'del-br', bridge]);
}

/** Mininet’s `linear,COUNT`: bridges in a row, each with a host. */
export function linearLabOf(name: string, count: number): string {
  const wires = Array.from({ length: count - 1 }, (_, index) => [index, index + 1] as const);
  return wiredLabOf(name, count, wires, '{ kind: ovs-bridge }');
}

/** Mininet’s `torus,SIDE,SIDE`: a grid whose ends meet, each bridge with a host; it needs a spanning tree. */
export function torusLabOf(name: string, side: number): string {
  const at = (row: number, column: number): number => (row % side) * side + (column % side);
  const wires = Array.from({ length: side * side }, (_, index) => {
    const [row, column] = [Math.floor(index / side), index % side];
    return [[index, at(row, column + 1)] as const, [index, at(row + 1, column)] as const];
  });
  return wiredLabOf(name, side * side, wires.flat(), '{ kind: ovs-bridge, stp: true }');
}

/** All links are veth pairs, as Mininet makes them. */
function wiredLabOf(
  name: string,
  count: number,
  wires: readonly (readonly [number, number])[],
  bridge: string,
): string {
  const taken = new Map<number, number>();
  const portOf = (index: number): string => {
    const number = (taken.get(index) ?? 0) + 1;
    taken.set(index, number);
    return `s${String(index)}:s${String(index)}-eth${String(number)}`;
  };
  const hosts = hostsOf(count);
  return [
    'netloom: 1',
    `name: ${name}`,
    'topology:',
    '  nodes:',
    ...hosts.flatMap((host, index) => [
      `    s${String(index)}: ${bridge}`,
      `    ${host.name}: { kind: namespace, interfaces: { eth0: { addresses: [${host.address}] } } }`,
    ]),
    '  links:',
    ...hosts.map((host, index) => `    - endpoints: [${host.name}:eth0, ${portOf(index)}]`),
    ...wires.map(([one, other]) => `    - endpoints: [${portOf(one)}, ${portOf(other)}]`),
    '',
  ].join('\n');
}
