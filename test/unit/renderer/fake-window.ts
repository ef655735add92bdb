import { createPinia, setActivePinia } from 'pinia';
import { vi } from 'vitest';
import {
  type Failure,
  fail,
  type LabDocument,
  type Plan,
  type Result,
  succeed,
} from '../../../agent/api/index.ts';
import type {
  BridgeCallName,
  BridgeStreamName,
  LabOverview,
  LabState,
} from '../../../main/bridge/contract.ts';
import { installBridge } from '../../../renderer/bridge/bridge.ts';
import type { Bridge } from '../../../renderer/bridge/client.ts';

type Answer = (args: never, progress: (value: unknown) => void) => unknown;

/** Main as a test wants it: answers by call name, and a hand on the streams. What is not answered is not found. */
export class FakeMain {
  readonly answers: Partial<Record<BridgeCallName, Answer>> = {};
  readonly calls: { readonly name: BridgeCallName; readonly args: unknown }[] = [];
  readonly #handlers = new Map<string, ((value: unknown) => void)[]>();

  emit(stream: BridgeStreamName, value: unknown): void {
    for (const handler of this.#handlers.get(stream) ?? []) handler(value);
  }

  argsOf(name: BridgeCallName): unknown[] {
    return this.calls.filter((call) => call.name === name).map((call) => call.args);
  }

  bridge(): Bridge {
    const call = async (
      name: BridgeCallName,
      args: unknown,
      options: { onProgress?: (value: never) => void } = {},
    ): Promise<Result<unknown>> => {
      this.calls.push({ name, args });
      const answer = this.answers[name];
      if (answer === undefined) return fail(failure('unknown-object'));
      return (await answer(args as never, (value) =>
        options.onProgress?.(value as never),
      )) as Result<unknown>;
    };
    return {
      call: call as Bridge['call'],
      subscribe: (stream, handler) => {
        const handlers = this.#handlers.get(stream) ?? [];
        this.#handlers.set(stream, handlers);
        handlers.push(handler as (value: unknown) => void);
        return () => undefined;
      },
      state: 'open',
      watch: () => () => undefined,
    };
  }
}

/** The little of a browser that the stores touch, and a fresh set of stores. */
export function openWindow(): FakeMain {
  vi.stubGlobal('window', {
    matchMedia: () => ({ matches: false, addEventListener: () => undefined }),
    addEventListener: () => undefined,
  });
  vi.stubGlobal('document', {
    documentElement: { dataset: {}, lang: '' },
    visibilityState: 'visible',
    addEventListener: () => undefined,
  });
  vi.stubGlobal('navigator', { language: 'en-GB' });
  const main = new FakeMain();
  main.answers['settings.write'] = () => succeed({});
  installBridge(main.bridge());
  setActivePinia(createPinia());
  return main;
}

export function failure(kind: Failure['kind']): Failure {
  return { kind, code: kind, object: 'object', reason: 'Because.', next: 'Try again.' };
}

export function documentOf(title: string): LabDocument {
  return { netloom: 1, name: 'demo', title, topology: { nodes: {} } };
}

export function overviewOf(
  state: LabState,
  change: { revision?: number; canUndo?: boolean; canRedo?: boolean } = {},
): LabOverview {
  const revision = change.revision ?? 1;
  return {
    name: 'demo',
    state,
    realm: 'sandbox:demo',
    status: {
      record: {
        name: 'demo',
        realm: 'sandbox:demo',
        path: '/labs/demo.yaml',
        up: true,
        incarnation: 'one',
        revision,
        revisions: [],
        documentHash: null,
      },
      drift: 0,
      checks: [],
      busy: false,
      awaiting: null,
    },
    canUndo: change.canUndo ?? false,
    canRedo: change.canRedo ?? false,
    revisions: [],
  };
}

export function planOf(id: string, document: string | null): Plan {
  return {
    id,
    lab: 'demo',
    realm: 'sandbox:demo',
    goal: { kind: 'document' },
    base: 1,
    document,
    steps: [],
    warnings: [],
    refusals: [],
    confirm: null,
  };
}
