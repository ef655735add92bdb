/** Operations on Open vSwitch as a person reads them. */
import type { OvsBridge, OvsInterface, OvsPort, OvsVlan } from '../api/ovs.ts';
import type { PlanStep, StepChange } from '../api/plan.ts';
import { assertNever } from '../api/result.ts';
import type { EngineOperation } from './operation.ts';
import { rateWords } from './rate-words.ts';

type Description = Omit<PlanStep, 'id' | 'commands'>;

/** `place` is the namespace of the engine. */
export function describeOvs(
  operation: EngineOperation,
  place: Pick<PlanStep, 'label' | 'targets'>,
): Description {
  switch (operation.kind) {
    case 'start-engine':
    case 'stop-engine':
      return {
        verb: operation.kind === 'start-engine' ? 'add' : 'remove',
        object: 'engine',
        ...place,
        changes:
          operation.kind === 'start-engine'
            ? [{ field: 'datapath', before: null, after: operation.datapath }]
            : [],
      };
    case 'change-ovs-bridge': {
      const { name, before, after } = operation;
      return {
        verb: before === null ? 'add' : after === null ? 'remove' : 'change',
        object: 'ovs-bridge',
        label: name,
        targets: [{ node: name, interface: null }],
        changes: after === null ? [] : changesOfBridge(before, after),
      };
    }
    case 'change-openflow': {
      const { name, before, after } = operation;
      const count = (lines: readonly string[] | undefined): string | null =>
        lines === undefined ? null : String(lines.length);
      return {
        verb: before === null ? 'add' : after === null ? 'remove' : 'change',
        object: 'openflow',
        label: name,
        targets: [{ node: name, interface: null }],
        changes: (['flows', 'groups', 'meters'] as const).flatMap((table) => {
          const [from, to] = [before?.[table] ?? [], after?.[table] ?? []];
          return from.join('\n') === to.join('\n')
            ? []
            : [{ field: table, before: count(before?.[table]), after: count(after?.[table]) }];
        }),
      };
    }
    default:
      return assertNever(operation);
  }
}

const fields = {
  datapathId: 'datapath-id',
  failMode: 'fail-mode',
  protocols: 'protocols',
  controllers: 'controllers',
  controllersOutOfBand: 'out-of-band',
  stp: 'stp',
  rstp: 'rstp',
  priority: 'priority',
  forwardDelay: 'forward-delay',
  helloTime: 'hello-time',
  maximumAge: 'maximum-age',
  ageingTime: 'ageing-time',
  multicastSnooping: 'multicast-snooping',
  mac: 'mac',
} as const satisfies Partial<Record<keyof OvsBridge, StepChange['field']>>;

/** What a bridge has that nobody has said anything about. */
const initial: Readonly<Record<keyof typeof fields, string | null>> = {
  datapathId: null,
  failMode: 'standalone',
  protocols: null,
  controllers: null,
  controllersOutOfBand: 'off',
  stp: 'off',
  rstp: 'off',
  priority: null,
  forwardDelay: null,
  helloTime: null,
  maximumAge: null,
  ageingTime: null,
  multicastSnooping: 'off',
  mac: null,
};

function changesOfBridge(before: OvsBridge | null, after: OvsBridge): StepChange[] {
  const changes: StepChange[] = [];
  for (const key of Object.keys(fields) as (keyof typeof fields)[]) {
    const from = before === null ? initial[key] : textOf(before[key]);
    const to = textOf(after[key]);
    // Of a new bridge, only what is unusual.
    if (from !== to)
      changes.push({ field: fields[key], before: before === null ? null : from, after: to });
  }
  const had = new Map((before?.ports ?? []).map((port) => [port.name, portWords(port)]));
  for (const port of after.ports) {
    const words = portWords(port);
    const old = had.get(port.name) ?? null;
    had.delete(port.name);
    if (old === words || (before === null && isPlainOwnPort(port, after.name))) continue;
    changes.push({ field: 'ovs-port', before: old, after: words });
  }
  for (const words of had.values()) changes.push({ field: 'ovs-port', before: words, after: null });
  const mirrors = new Map(
    (before?.mirrors ?? []).map((mirror) => [mirror.name, JSON.stringify(mirror)]),
  );
  for (const mirror of after.mirrors) {
    const old = mirrors.get(mirror.name);
    mirrors.delete(mirror.name);
    if (old === JSON.stringify(mirror)) continue;
    changes.push({
      field: 'mirror',
      before: old === undefined ? null : mirror.name,
      after: mirror.name,
    });
  }
  for (const name of mirrors.keys()) changes.push({ field: 'mirror', before: name, after: null });
  for (const table of ['netflow', 'sflow', 'ipfix'] as const) {
    const [from, to] = [before?.[table] ?? null, after[table]];
    if (JSON.stringify(from) === JSON.stringify(to)) continue;
    const words = (value: { readonly targets: readonly string[] } | null): string | null =>
      value === null ? null : value.targets.join(', ');
    changes.push({ field: table, before: words(from), after: words(to) });
  }
  return changes;
}

function isPlainOwnPort(port: OvsPort, bridge: string): boolean {
  return port.name === bridge && portWords(port) === portWords({ ...plainPort, name: bridge });
}

const plainPort: OvsPort = {
  name: '',
  interfaces: [],
  bond: null,
  vlan: { mode: 'trunk', tag: null, trunks: [] },
  qos: null,
  cost: null,
  priority: null,
};

function textOf(value: string | number | boolean | null | readonly string[]): string | null {
  if (value === null) return null;
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'object') return value.length === 0 ? null : value.join(', ');
  return String(value);
}

/** `p1, VLAN 10`, `bond0 of p1, p2, balance-tcp, LACP active`. */
export function portWords(port: OvsPort): string {
  const { name, interfaces, bond, qos, cost, priority } = port;
  return [
    bond === null ? name : `${name} of ${interfaces.map((one) => one.name).join(', ')}`,
    ...(bond === null
      ? []
      : [
          bond.mode,
          ...(bond.lacp === 'off'
            ? []
            : [`LACP ${bond.lacp} ${bond.lacpTime}${bond.lacpFallback ? ' with fallback' : ''}`]),
        ]),
    ...(bond === null || bond.upDelay + bond.downDelay === 0
      ? []
      : [`up after ${bond.upDelay} ms, down after ${bond.downDelay} ms`]),
    ...vlanWords(port.vlan),
    ...interfaces.flatMap(interfaceWords),
    ...(qos === null
      ? []
      : [`${qos.kind}${qos.maximumRate === null ? '' : ` ${rateWords(qos.maximumRate)}`}`]),
    ...(qos?.queues.map(
      ({ id, minimumRate, maximumRate, priority: order }) =>
        `queue ${id}${queueRates(minimumRate, maximumRate)}${order === null ? '' : ` priority ${order}`}`,
    ) ?? []),
    ...(cost === null ? [] : [`cost ${cost}`]),
    ...(priority === null ? [] : [`priority ${priority}`]),
  ].join(', ');
}

/** ` 1 Mbit/s – 5 Mbit/s`, ` up to 5 Mbit/s`; empty where neither is set. */
function queueRates(minimum: number | null, maximum: number | null): string {
  if (minimum === null) return maximum === null ? '' : ` up to ${rateWords(maximum)}`;
  return maximum === null
    ? ` at least ${rateWords(minimum)}`
    : ` ${rateWords(minimum)} – ${rateWords(maximum)}`;
}

function vlanWords({ mode, tag, trunks }: OvsVlan): readonly string[] {
  const listed = trunks.length === 0 ? [] : [`trunk ${trunks.join(' ')}`];
  if (mode === 'access') return [`VLAN ${tag ?? 0}`];
  if (mode === 'trunk') return listed;
  return [...listed, `native ${tag ?? 0} ${mode === 'native-tagged' ? 'tagged' : 'untagged'}`];
}

function interfaceWords(one: OvsInterface): readonly string[] {
  return [
    ...kindWords(one),
    ...(one.mac === null ? [] : [one.mac]),
    ...(one.mtu === null ? [] : [`MTU ${one.mtu}`]),
    ...(one.openFlowPort === null ? [] : [`OpenFlow port ${one.openFlowPort}`]),
    ...(one.policing === null
      ? []
      : [`policing ${rateWords(one.policing.rate * 1000)}, burst ${one.policing.burst} kbit`]),
  ];
}

function kindWords(one: OvsInterface): readonly string[] {
  switch (one.kind) {
    case 'system':
    case 'internal':
      return [];
    case 'patch':
      return [`patch to ${one.peer}`];
    case 'vxlan':
    case 'gre':
    case 'geneve':
      return [
        `${one.kind}${one.key === null ? '' : ` ${one.key}`}${one.local === null ? '' : ` from ${one.local}`} to ` +
          `${one.remote}${one.port === null ? '' : `:${one.port}`}`,
      ];
    default:
      return assertNever(one);
  }
}
