import type { ObjectKind, PlanStep, StepChange, StepTarget } from '../api/plan.ts';
import type { BridgeSettings, Device, Impairment, PortSettings, VlanEntry } from '../api/device.ts';
import { assertNever } from '../api/result.ts';
import { commandsOf } from './command.ts';
import type { CommandContext } from './command.ts';
import { machineOfProcess } from './virtual-machine.ts';
import { linkKey } from './network.ts';
import type { Network, NetworkLink } from './network.ts';
import { rateWords } from './rate-words.ts';
import { groupLabel } from './cpu-split.ts';
import { describeCpu } from './step-cpu.ts';
import { describeOvs } from './step-ovs.ts';
import { isCpuOperation } from './operation.ts';
import type { LinkSettings, Operation, Route } from './operation.ts';
import { describeRules } from './rules.ts';

/** How a document draws the interfaces of a namespace: an end at a bridge belongs to the bridge. */
export interface Drawing {
  readonly linkAt: (namespace: string | null, name: string) => NetworkLink | undefined;
  /** Node that the realm's own namespace is drawn as. */
  readonly realmNode: string | null;
}

/** Looks a link up in the networks in turn. */
export function drawingOf(...networks: readonly (Network | null)[]): Drawing {
  return {
    linkAt: (namespace, name) => {
      const key = linkKey(namespace, name);
      for (const network of networks) {
        const link = network?.links.get(key);
        if (link !== undefined) return link;
      }
      return undefined;
    },
    realmNode: networks.find((network) => network?.internet)?.internet?.node ?? null,
  };
}

/** Name of an interface as a person reads it: `r1:veth1.1`, `br-ex:veth3` for a port, `br-ex` for a bridge itself. */
export function interfaceLabel(drawing: Drawing, namespace: string | null, name: string): string {
  const link = drawing.linkAt(namespace, name);
  if (isSwitchItself(link)) return name;
  const place = link?.node ?? namespace;
  return place === null ? name : `${place}:${name}`;
}

/** Whether a link is a bridge, or an Open vSwitch bridge's own port. */
function isSwitchItself(link: NetworkLink | undefined): boolean {
  return link?.kind === 'bridge' || (link?.kind === 'internal' && link.name === link.node);
}

function targetsOf(drawing: Drawing, namespace: string | null, name: string): StepTarget[] {
  const link = drawing.linkAt(namespace, name);
  if (isSwitchItself(link)) return [{ node: name, interface: null }];
  const node = link?.node ?? namespace;
  if (node === null) return [];
  return [{ node, interface: name === 'lo' ? null : name }];
}

/** A namespace as the object of a step. */
function placeOf(
  { realmNode }: Drawing,
  namespace: string | null,
): Pick<PlanStep, 'label' | 'targets'> {
  const node = namespace ?? realmNode;
  return { label: node ?? 'realm', targets: node === null ? [] : [{ node, interface: null }] };
}

export function routeLabel(route: Pick<Route, 'to' | 'via' | 'dev'>): string {
  const to = route.to === '0.0.0.0/0' ? 'default' : route.to;
  const via = route.via === null ? '' : ` via ${route.via}`;
  return `${to}${via}${route.via === null && route.dev !== null ? ` dev ${route.dev}` : ''}`;
}

/** An operation as a person reads it. */
export function stepOf(
  operation: Operation,
  id: number,
  drawing: Drawing,
  context: CommandContext,
): PlanStep {
  return { id, ...describe(operation, drawing), commands: [...commandsOf(operation, context)] };
}

function describe(operation: Operation, drawing: Drawing): Omit<PlanStep, 'id' | 'commands'> {
  const label = (namespace: string | null, name: string): string =>
    interfaceLabel(drawing, namespace, name);
  if (isCpuOperation(operation)) return describeCpu(operation);
  switch (operation.kind) {
    case 'add-namespace':
    case 'remove-namespace':
      return {
        verb: operation.kind === 'add-namespace' ? 'add' : 'remove',
        object: 'namespace',
        label: operation.name,
        targets: [{ node: operation.name, interface: null }],
        changes:
          operation.kind === 'add-namespace'
            ? [{ field: 'bridge-netfilter', before: null, after: '0' }]
            : [],
      };
    case 'add-bridge':
    case 'remove-bridge':
      return {
        verb: operation.kind === 'add-bridge' ? 'add' : 'remove',
        object: 'bridge',
        label: operation.name,
        targets: [{ node: operation.name, interface: null }],
        changes: operation.kind === 'add-bridge' ? changesOfBridge(operation) : [],
      };
    case 'add-device':
    case 'remove-device':
      return {
        verb: operation.kind === 'add-device' ? 'add' : 'remove',
        object: 'device',
        label: label(operation.namespace, operation.name),
        targets: targetsOf(drawing, operation.namespace, operation.name),
        changes:
          operation.kind === 'add-device'
            ? [change('device', null, deviceWords(operation.device))]
            : [change('device', deviceWords(operation.device), null)],
      };
    case 'change-vlans':
      return {
        verb: 'change',
        object: objectOfLink(drawing, operation.namespace, operation.name),
        label: label(operation.namespace, operation.name),
        targets: targetsOf(drawing, operation.namespace, operation.name),
        changes: [change('vlans', vlanWords(operation.before), vlanWords(operation.after))],
      };
    case 'change-impairment':
      return {
        verb: 'change',
        object: objectOfLink(drawing, operation.namespace, operation.name),
        label: label(operation.namespace, operation.name),
        targets: targetsOf(drawing, operation.namespace, operation.name),
        changes: [
          change(
            'impairment',
            operation.before === null ? null : impairmentLabel(operation.before),
            operation.after === null ? null : impairmentLabel(operation.after),
          ),
        ],
      };
    case 'change-forwarding': {
      const field = operation.family === 'ipv4' ? 'forwarding-ipv4' : 'forwarding-ipv6';
      return {
        verb: 'change',
        object: 'namespace',
        ...placeOf(drawing, operation.namespace),
        changes: [change(field, onOff(operation.before), onOff(operation.after))],
      };
    }
    case 'change-rules':
      return {
        verb: operation.before === null ? 'add' : operation.after === null ? 'remove' : 'change',
        object: 'rules',
        ...placeOf(drawing, operation.namespace),
        changes: [
          change(
            'rules',
            operation.before === null ? null : describeRules(operation.before).join('; '),
            operation.after === null ? null : describeRules(operation.after).join('; '),
          ),
        ],
      };
    case 'start-process':
    case 'stop-process': {
      const machine = machineOfProcess(operation.name);
      if (machine !== null) {
        return {
          verb: operation.kind === 'start-process' ? 'add' : 'remove',
          object: 'machine',
          label: machine,
          targets: [{ node: machine, interface: null }],
          changes: [change('command', null, operation.command.join(' '))],
        };
      }
      const place = operation.namespace === null ? '' : ` in ${operation.namespace}`;
      return {
        verb: operation.kind === 'start-process' ? 'add' : 'remove',
        object: 'process',
        label: `${operation.name}${place}`,
        targets:
          operation.namespace === null ? [] : [{ node: operation.namespace, interface: null }],
        changes: [
          change('command', null, operation.command.join(' ')),
          ...(operation.group === undefined
            ? []
            : [change('cpu-group', null, groupLabel(operation.group))]),
        ],
      };
    }
    case 'add-veth':
    case 'remove-veth':
      return {
        verb: operation.kind === 'add-veth' ? 'add' : 'remove',
        object: 'veth',
        label: operation.ends.map((end) => label(end.namespace, end.name)).join(' — '),
        targets: operation.ends.flatMap((end) => targetsOf(drawing, end.namespace, end.name)),
        changes: [],
      };
    case 'change-link':
      return {
        verb: 'change',
        object: objectOfLink(drawing, operation.namespace, operation.name),
        label: label(operation.namespace, operation.name),
        targets: targetsOf(drawing, operation.namespace, operation.name),
        changes: changesOfSettings(operation.name, operation.before, operation.after),
      };
    case 'add-address':
    case 'remove-address':
      return {
        verb: operation.kind === 'add-address' ? 'add' : 'remove',
        object: 'address',
        label: `${operation.address} on ${label(operation.namespace, operation.interface)}`,
        targets: targetsOf(drawing, operation.namespace, operation.interface),
        changes: [],
      };
    case 'change-address':
      return {
        verb: 'change',
        object: 'address',
        label: `${operation.after} on ${label(operation.namespace, operation.interface)}`,
        targets: targetsOf(drawing, operation.namespace, operation.interface),
        changes: [{ field: 'address', before: operation.before, after: operation.after }],
      };
    case 'add-route':
    case 'remove-route': {
      const { namespace, route } = operation;
      return {
        verb: operation.kind === 'add-route' ? 'add' : 'remove',
        object: 'route',
        label: `${routeLabel(route)}${namespace === null ? '' : ` in ${namespace}`}`,
        targets: route.dev === null ? [] : targetsOf(drawing, namespace, route.dev),
        changes: [],
      };
    }
    case 'start-engine':
    case 'stop-engine':
    case 'change-ovs-bridge':
    case 'change-openflow':
      return describeOvs(operation, placeOf(drawing, operation.namespace));
    case 'attach-uplink':
    case 'detach-uplink': {
      const { namespace, bridge, interface: name } = operation;
      const attach = operation.kind === 'attach-uplink';
      return {
        verb: attach ? 'add' : 'remove',
        object: 'uplink',
        label: `${name} at ${bridge}`,
        targets: targetsOf(drawing, namespace, bridge),
        changes: [
          attach ? change('master', null, bridge) : change('master', bridge, null),
          ...operation.addresses.map(({ address }) => change('address', null, address)),
          ...operation.routes.map(({ to, via }) =>
            change('route', null, via === null ? to : `${to} via ${via}`),
          ),
        ],
      };
    }
    default:
      return assertNever(operation);
  }
}

function objectOfLink(drawing: Drawing, namespace: string | null, name: string): ObjectKind {
  return drawing.linkAt(namespace, name)?.kind === 'bridge' ? 'bridge' : 'interface';
}

function changesOfBridge(
  bridge: Extract<Operation, { readonly kind: 'add-bridge' }>,
): StepChange[] {
  return [
    ...(bridge.mac === null ? [] : [change('mac', null, bridge.mac)]),
    ...(bridge.mtu === null ? [] : [change('mtu', null, String(bridge.mtu))]),
    ...changesOfFields(bridgeFields, {}, bridge.settings),
  ];
}

const bridgeFields = {
  stp: 'stp',
  priority: 'priority',
  forwardDelay: 'forward-delay',
  helloTime: 'hello-time',
  maximumAge: 'maximum-age',
  ageingTime: 'ageing-time',
  multicastSnooping: 'multicast-snooping',
  vlanFiltering: 'vlan-filtering',
} as const satisfies Record<keyof BridgeSettings, StepChange['field']>;

const portFields = {
  isolated: 'isolated',
  cost: 'cost',
  priority: 'port-priority',
} as const satisfies Record<keyof PortSettings, StepChange['field']>;

function changesOfFields<K extends string>(
  fields: Readonly<Record<K, StepChange['field']>>,
  before: { readonly [Field in K]?: boolean | number | undefined },
  after: { readonly [Field in K]?: boolean | number | undefined },
): StepChange[] {
  const changes: StepChange[] = [];
  for (const key of Object.keys(fields) as K[]) {
    if (after[key] !== undefined) {
      changes.push(change(fields[key], words(before[key]), words(after[key])));
    }
  }
  return changes;
}

function words(value: boolean | number | undefined): string | null {
  if (value === undefined) return null;
  return typeof value === 'boolean' ? onOff(value) : String(value);
}

function onOff(on: boolean): string {
  return on ? 'on' : 'off';
}

function changesOfSettings(name: string, before: LinkSettings, after: LinkSettings): StepChange[] {
  const upDown = (up: boolean | undefined): string | null =>
    up === undefined ? null : up ? 'up' : 'down';
  const changes: StepChange[] = [];
  if (after.mtu !== undefined) changes.push(change('mtu', words(before.mtu), words(after.mtu)));
  if (after.mac !== undefined) changes.push(change('mac', before.mac ?? null, after.mac));
  if (after.master !== undefined) {
    changes.push(change('master', before.master ?? null, after.master));
  }
  changes.push(...changesOfFields(bridgeFields, before.bridge ?? {}, after.bridge ?? {}));
  changes.push(...changesOfFields(portFields, before.port ?? {}, after.port ?? {}));
  if (after.up !== undefined) {
    const field = name === 'lo' ? 'loopback' : 'state';
    changes.push(change(field, upDown(before.up), upDown(after.up)));
  }
  return changes;
}

/** A device as a person reads it: `VLAN 10 on eth0`. */
export function deviceWords(device: Device): string {
  const ends = (local: string | null, remote: string | null): string =>
    `${local === null ? '' : ` from ${local}`}${remote === null ? '' : ` to ${remote}`}`;
  switch (device.kind) {
    case 'dummy':
    case 'tap':
    case 'tun':
      return device.kind;
    case 'vlan':
      return `VLAN ${device.id} on ${device.parent}`;
    case 'bond':
      return `bond ${device.mode}`;
    case 'vxlan':
      return `VXLAN ${device.id}${ends(device.local, device.remote)}`;
    case 'gre':
    case 'gretap':
    case 'ipip':
      return `${device.kind.toUpperCase()}${ends(device.local, device.remote)}`;
    case 'geneve':
      return `Geneve ${device.id} to ${device.remote}`;
    case 'macvlan':
      return `macvlan on ${device.parent}`;
    case 'vrf':
      return `VRF with table ${device.table}`;
    default:
      return assertNever(device);
  }
}

/** A table of VLANs as a person reads it: `10 untagged, 20`. */
export function vlanWords(vlans: readonly VlanEntry[]): string {
  if (vlans.length === 0) return 'none';
  return vlans.map(({ id, untagged }) => (untagged ? `${id} untagged` : String(id))).join(', ');
}

/** An impairment as a person reads it: `20 ms, 1 % loss, 10 Mbit/s`. */
export function impairmentLabel(impairment: Impairment): string {
  const { rate, delay, jitter, loss, duplicate, reorder, corrupt } = impairment;
  return [
    ...(delay > 0 ? [`${delay} ms${jitter > 0 ? ` ± ${jitter} ms` : ''}`] : []),
    ...(loss > 0 ? [`${loss} % loss`] : []),
    ...(duplicate > 0 ? [`${duplicate} % twice`] : []),
    ...(reorder > 0 ? [`${reorder} % reordered`] : []),
    ...(corrupt > 0 ? [`${corrupt} % corrupt`] : []),
    ...(rate === null ? [] : [rateWords(rate)]),
  ].join(', ');
}

function change(
  field: StepChange['field'],
  before: string | null,
  after: string | null,
): StepChange {
  return { field, before, after };
}
