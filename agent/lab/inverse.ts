import { initialBridge, type SomeBridgeSettings } from '../api/device.ts';
import { assertNever } from '../api/result.ts';
import { inverseOfCpu } from '../cpu/operation.ts';
import { isCpuOperation } from './operation.ts';
import type { LinkSettings, Operation } from './operation.ts';

/**
 * The operations that take `operation` back, in order. Exact: executed after it they leave what was there before,
 * except for what a kernel invents anew (interface indexes, generated addresses).
 */
export function inverseOf(operation: Operation): readonly Operation[] {
  if (isCpuOperation(operation)) return [inverseOfCpu(operation)];
  switch (operation.kind) {
    case 'add-namespace':
      return [{ kind: 'remove-namespace', name: operation.name, contents: [] }];
    case 'remove-namespace':
      return [{ kind: 'add-namespace', name: operation.name }, ...operation.contents];
    case 'add-bridge':
      return [
        {
          kind: 'remove-bridge',
          namespace: operation.namespace,
          name: operation.name,
          contents: settingsOfBridge(operation),
        },
      ];
    case 'remove-bridge':
      return [
        {
          kind: 'add-bridge',
          namespace: operation.namespace,
          name: operation.name,
          mac: null,
          mtu: null,
          settings: {},
        },
        ...operation.contents,
      ];
    case 'add-veth':
      return [{ kind: 'remove-veth', ends: operation.ends, contents: [] }];
    case 'remove-veth':
      return [{ kind: 'add-veth', ends: operation.ends }, ...operation.contents];
    case 'add-device':
      return [{ ...operation, kind: 'remove-device', contents: [] }];
    case 'remove-device': {
      const { contents, ...device } = operation;
      return [{ ...device, kind: 'add-device' }, ...contents];
    }
    case 'start-process':
      return [{ ...operation, kind: 'stop-process' }];
    case 'stop-process':
      return [{ ...operation, kind: 'start-process' }];
    case 'change-vlans':
      return [{ ...operation, before: operation.after, after: operation.before }];
    case 'change-impairment':
      return [{ ...operation, before: operation.after, after: operation.before }];
    case 'change-forwarding':
      return [{ ...operation, before: operation.after, after: operation.before }];
    case 'change-rules':
      return [{ ...operation, before: operation.after, after: operation.before }];
    case 'change-link':
      return [{ ...operation, before: operation.after, after: operation.before }];
    case 'add-address':
      return [{ ...operation, kind: 'remove-address' }];
    case 'remove-address':
      return [{ ...operation, kind: 'add-address' }];
    case 'change-address':
      return [{ ...operation, before: operation.after, after: operation.before }];
    case 'add-route':
      return [{ ...operation, kind: 'remove-route' }];
    case 'remove-route':
      return [{ ...operation, kind: 'add-route' }];
    case 'start-engine':
      return [{ ...operation, kind: 'stop-engine' }];
    case 'stop-engine':
      return [{ ...operation, kind: 'start-engine' }];
    case 'change-ovs-bridge':
      return [{ ...operation, before: operation.after, after: operation.before }];
    case 'change-openflow':
      return [{ ...operation, before: operation.after, after: operation.before }];
    case 'attach-uplink':
      return [{ ...operation, kind: 'detach-uplink' }];
    case 'detach-uplink':
      return [{ ...operation, kind: 'attach-uplink' }];
    default:
      return assertNever(operation);
  }
}

/** What a bare bridge needs to be this one, as the contents of its removal. */
function settingsOfBridge(
  bridge: Extract<Operation, { readonly kind: 'add-bridge' }>,
): readonly Operation[] {
  const settings = Object.keys(bridge.settings).length > 0;
  const after: LinkSettings = {
    ...(bridge.mac === null ? {} : { mac: bridge.mac }),
    ...(bridge.mtu === null ? {} : { mtu: bridge.mtu }),
    ...(settings ? { bridge: bridge.settings } : {}),
  };
  if (Object.keys(after).length === 0) return [];
  const before = { ...after, ...(settings ? { bridge: initialOf(bridge.settings) } : {}) };
  return [{ kind: 'change-link', namespace: bridge.namespace, name: bridge.name, before, after }];
}

/** What a new bridge has for each of these settings. */
export function initialOf(settings: SomeBridgeSettings): SomeBridgeSettings {
  const keys = new Set(Object.keys(settings));
  return Object.fromEntries(Object.entries(initialBridge).filter(([key]) => keys.has(key)));
}
