/** Random bridges in normal form, with names that are unique in a database. */
import fc from 'fast-check';
import {
  openFlowVersions,
  type OvsBridge,
  type OvsInterface,
  type OvsPort,
  ovsBondModes,
} from '../../agent/api/ovs.ts';

const maybe = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.option(values, { nil: null, freq: 2 });
const byName = <T extends { readonly name: string }>(entries: readonly T[]): T[] =>
  [...entries].sort((one, other) => (one.name < other.name ? -1 : 1));
const ascending = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const vlan = fc.integer({ min: 1, max: 4094 });
const vlans = fc.uniqueArray(vlan, { maxLength: 4 }).map(ascending);
const rate = fc.integer({ min: 1000, max: 10_000_000_000 });
const mac = fc
  .integer({ min: 1, max: 255 })
  .map((byte) => `02:00:00:ab:cd:${byte.toString(16).padStart(2, '0')}`);
const address = fc.constantFrom('10.0.0.1', '10.0.0.2', 'fd00::3');
const targets = fc
  .uniqueArray(fc.constantFrom('10.0.0.9:2055', '10.0.0.8:6343', '127.0.0.1:4739'), {
    minLength: 1,
  })
  .map((list) => list.sort());

function interfaceOf(
  name: string,
  kinds: readonly OvsInterface['kind'][],
): fc.Arbitrary<OvsInterface> {
  const common = fc.record({
    name: fc.constant(name),
    mac: maybe(mac),
    mtu: maybe(fc.integer({ min: 68, max: 9000 })),
    openFlowPort: maybe(fc.integer({ min: 1, max: 65279 })),
    policing: maybe(
      fc.record({
        rate: fc.integer({ min: 1, max: 100000 }),
        burst: fc.integer({ min: 0, max: 9999 }),
      }),
    ),
  });
  const tunnel = fc.record({
    local: maybe(address),
    remote: address,
    key: maybe(fc.integer({ min: 0, max: 16777215 })),
    port: maybe(fc.integer({ min: 1, max: 65535 })),
  });
  return fc
    .record({ kind: fc.constantFrom(...kinds), common, tunnel, peer: fc.constantFrom('x', 'y') })
    .map(({ kind, common: shared, tunnel: settings, peer }): OvsInterface => {
      if (kind === 'system' || kind === 'internal') return { kind, ...shared };
      if (kind === 'patch') return { kind, peer, ...shared };
      return { kind, ...settings, ...shared };
    });
}

const anyKind = ['system', 'internal', 'patch', 'vxlan', 'gre', 'geneve'] as const;

function portOf(name: string, bridge: string): fc.Arbitrary<OvsPort> {
  const members = ['a', 'b', 'c'].map((letter) => `${name}${letter}`);
  const bonded = fc
    .tuple(
      fc
        .subarray(members, { minLength: 2 })
        .chain((names) =>
          fc.tuple(...names.map((member) => interfaceOf(member, ['system', 'internal']))),
        ),
      fc.record({
        mode: fc.constantFrom(...ovsBondModes),
        lacp: fc.constantFrom('off' as const, 'active' as const, 'passive' as const),
        lacpTime: fc.constantFrom('slow' as const, 'fast' as const),
        lacpFallback: fc.boolean(),
        upDelay: fc.integer({ min: 0, max: 1000 }),
        downDelay: fc.integer({ min: 0, max: 1000 }),
      }),
    )
    .map(([interfaces, bond]) => ({ interfaces: byName(interfaces), bond }));
  const single = interfaceOf(name, name === bridge ? ['internal'] : anyKind).map((one) => ({
    interfaces: [one],
    bond: null,
  }));
  return fc
    .record({
      carried: name === bridge ? single : fc.oneof({ weight: 3, arbitrary: single }, bonded),
      vlan: fc.record({
        mode: fc.constantFrom(
          'access' as const,
          'trunk' as const,
          'native-tagged' as const,
          'native-untagged' as const,
        ),
        tag: maybe(vlan),
        trunks: vlans,
      }),
      qos: maybe(
        fc.record({
          kind: fc.constantFrom('linux-htb' as const, 'linux-hfsc' as const),
          maximumRate: maybe(rate),
          queues: fc
            .uniqueArray(
              fc.record({
                id: fc.integer({ min: 0, max: 5 }),
                minimumRate: maybe(rate),
                maximumRate: maybe(rate),
                priority: maybe(fc.integer({ min: 0, max: 9 })),
              }),
              { selector: ({ id }) => id, maxLength: 3 },
            )
            .map((queues) => queues.sort((one, other) => one.id - other.id)),
        }),
      ),
      cost: maybe(fc.integer({ min: 1, max: 9 })),
      priority: maybe(fc.integer({ min: 0, max: 240 })),
    })
    .map(({ carried, ...rest }) => ({ name, ...carried, ...rest }));
}

/** `shared` names may be ports of any bridge, but of one at a time. */
export function bridgeOf(name: string, others: readonly string[]): fc.Arbitrary<OvsBridge> {
  return fc.subarray([...others]).chain((names) => {
    const all = [name, ...names].sort();
    const ports = fc.subarray(all).map((list) => list.sort());
    return fc
      .record({
        name: fc.constant(name),
        datapathId: maybe(fc.constantFrom('0000000000000001', 'abcdef0123456789')),
        failMode: fc.constantFrom('standalone' as const, 'secure' as const),
        protocols: fc.subarray([...openFlowVersions]),
        controllers: fc
          .subarray(['tcp:10.0.0.1:6653', 'tcp:10.0.0.2:6653', 'ptcp:6654'])
          .map((list) => list.sort()),
        controllersOutOfBand: fc.boolean(),
        stp: fc.boolean(),
        rstp: fc.boolean(),
        priority: maybe(fc.constantFrom(0, 4096, 61440)),
        forwardDelay: maybe(fc.integer({ min: 4, max: 30 })),
        helloTime: maybe(fc.integer({ min: 1, max: 10 })),
        maximumAge: maybe(fc.integer({ min: 6, max: 40 })),
        ageingTime: maybe(fc.integer({ min: 15, max: 3600 })),
        multicastSnooping: fc.boolean(),
        mac: maybe(mac),
        ports: fc.tuple(...all.map((port) => portOf(port, name))),
        mirrors: fc
          .uniqueArray(
            fc.record({
              name: fc.constantFrom('m1', 'm2'),
              selectAll: fc.boolean(),
              selectSource: ports,
              selectDestination: ports,
              selectVlans: vlans,
              outputPort: maybe(fc.constantFrom(...all)),
              outputVlan: maybe(vlan),
            }),
            { selector: ({ name: own }) => own, maxLength: 2 },
          )
          .map(byName),
        netflow: maybe(
          fc.record({
            targets,
            activeTimeout: fc.integer({ min: -1, max: 600 }),
            engineType: maybe(fc.integer({ min: 0, max: 255 })),
            engineId: maybe(fc.integer({ min: 0, max: 255 })),
            addIdToInterface: fc.boolean(),
          }),
        ),
        sflow: maybe(
          fc.record({
            targets,
            sampling: maybe(fc.integer({ min: 1, max: 1000 })),
            polling: maybe(fc.integer({ min: 0, max: 100 })),
            header: maybe(fc.integer({ min: 14, max: 1500 })),
            agent: maybe(fc.constant('eth0')),
          }),
        ),
        ipfix: maybe(
          fc.record({
            targets,
            sampling: maybe(fc.integer({ min: 1, max: 1000 })),
            observationDomain: maybe(fc.integer({ min: 0, max: 4294967295 })),
            observationPoint: maybe(fc.integer({ min: 0, max: 4294967295 })),
            cacheActiveTimeout: maybe(fc.integer({ min: 0, max: 4200 })),
            cacheMaximumFlows: maybe(fc.integer({ min: 0, max: 4294967295 })),
          }),
        ),
      })
      .map((bridge): OvsBridge => ({ ...bridge, ports: byName(bridge.ports) }));
  });
}

/** Some of three bridges, sharing the names of four ports. */
export const someBridges: fc.Arbitrary<readonly OvsBridge[]> = fc
  .tuple(
    fc.subarray(['br0', 'br1', 'br2']),
    fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 4, maxLength: 4 }),
  )
  .chain(([names, owners]) =>
    fc.tuple(
      ...names.map((name, at) =>
        bridgeOf(
          name,
          ['p0', 'p1', 'p2', 'p3'].filter((_port, number) => owners[number] === at),
        ),
      ),
    ),
  );
