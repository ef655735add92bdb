import type { ObjectKind, PlanStep, StepChange, StepTarget } from '../api/plan.ts';
import { assertNever } from '../api/result.ts';
import { commandsOf } from './command.ts';
import type { CommandContext } from './command.ts';
import { linkKey } from './network.ts';
import type { Network, NetworkLink } from './network.ts';
import type { LinkSettings, Operation, Route } from './operation.ts';

/** How a document draws the interfaces of a namespace: an end at a bridge belongs to the bridge. */
export interface Drawing {
  readonly linkAt: (namespace: string | null, name: string) => NetworkLink | undefined;
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
  };
}

/** Name of an interface as a person reads it: `r1:veth1.1`, `br-ex:veth3` for a port, `br-ex` for a bridge itself. */
export function interfaceLabel(drawing: Drawing, namespace: string | null, name: string): string {
  const link = drawing.linkAt(namespace, name);
  if (link?.kind === 'bridge') return name;
  const place = link?.node ?? namespace;
  return place === null ? name : `${place}:${name}`;
}

function targetsOf(drawing: Drawing, namespace: string | null, name: string): StepTarget[] {
  const link = drawing.linkAt(namespace, name);
  if (link?.kind === 'bridge') return [{ node: name, interface: null }];
  const node = link?.node ?? namespace;
  if (node === null) return [];
  return [{ node, interface: name === 'lo' ? null : name }];
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
    ...(bridge.stp ? [change('stp', null, 'on')] : []),
  ];
}

function changesOfSettings(name: string, before: LinkSettings, after: LinkSettings): StepChange[] {
  const upDown = (up: boolean | undefined): string | null =>
    up === undefined ? null : up ? 'up' : 'down';
  const onOff = (on: boolean | undefined): string | null =>
    on === undefined ? null : on ? 'on' : 'off';
  const text = (value: number | undefined): string | null =>
    value === undefined ? null : String(value);
  const changes: StepChange[] = [];
  if (after.mtu !== undefined) changes.push(change('mtu', text(before.mtu), text(after.mtu)));
  if (after.mac !== undefined) changes.push(change('mac', before.mac ?? null, after.mac));
  if (after.master !== undefined) {
    changes.push(change('master', before.master ?? null, after.master));
  }
  if (after.stp !== undefined) changes.push(change('stp', onOff(before.stp), onOff(after.stp)));
  if (after.up !== undefined) {
    const field = name === 'lo' ? 'loopback' : 'state';
    changes.push(change(field, upDown(before.up), upDown(after.up)));
  }
  return changes;
}

function change(
  field: StepChange['field'],
  before: string | null,
  after: string | null,
): StepChange {
  return { field, before, after };
}
