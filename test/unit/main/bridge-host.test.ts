import { describe, expect, it } from 'vitest';
import { succeed } from '../../../agent/api/index.ts';
import { type BridgeHandlers, BridgeHost } from '../../../main/bridge/host.ts';

type Message = Readonly<Record<string, unknown>>;

/** A host whose handlers are those given; any other one is a bug. */
function makeHost(handlers: Partial<BridgeHandlers>): BridgeHost {
  const others = new Proxy<Partial<BridgeHandlers>>(handlers, {
    get: (given, name) =>
      Reflect.get(given, name) ?? (() => Promise.reject(new Error(`no ${String(name)}`))),
  });
  // The proxy has an answer to every name.
  return new BridgeHost(others as BridgeHandlers);
}

function openWindow(host: BridgeHost) {
  const messages: Message[] = [];
  const waiting: (() => void)[] = [];
  const window = host.attach((text) => {
    const message: unknown = JSON.parse(text);
    messages.push(message as Message);
    for (const wake of waiting.splice(0)) wake();
  });
  const next = async (count: number): Promise<readonly Message[]> => {
    while (messages.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
    return messages;
  };
  return {
    ...window,
    messages,
    next,
    ask: (value: unknown) => window.receive(JSON.stringify(value)),
  };
}

describe('the host of the bridge', () => {
  it('answers a call with its result', async () => {
    const host = makeHost({ 'realm.list': () => Promise.resolve(succeed({ realms: [] })) });
    const window = openWindow(host);
    window.ask({ kind: 'call', id: 1, call: 'realm.list', args: {} });
    expect(await window.next(1)).toEqual([{ kind: 'result', id: 1, value: { realms: [] } }]);
  });

  it('refuses unknown calls, wrong arguments and what is not asked for', async () => {
    const window = openWindow(makeHost({}));
    window.receive('no json');
    window.receive('{"kind":"call"}');
    window.ask({ kind: 'call', id: 1, call: 'constructor', args: {} });
    window.ask({ kind: 'call', id: 2, call: 'realm.list', args: { more: 1 } });
    window.ask({ kind: 'call', id: 3, call: 'realm.startAgent', args: { realm: '../etc' } });
    const messages = await window.next(3);
    expect(messages.map(({ id, failure }) => [id, (failure as Message)['code']])).toEqual([
      [1, 'unknown-call'],
      [2, 'invalid-arguments'],
      [3, 'invalid-arguments'],
    ]);
  });

  it('turns an error of ours into a failure of that call alone', async () => {
    const window = openWindow(makeHost({}));
    window.ask({ kind: 'call', id: 1, call: 'realm.list', args: {} });
    expect(await window.next(1)).toMatchObject([
      { kind: 'failure', id: 1, failure: { kind: 'bug' } },
    ]);
  });

  it('cancels on request, and what belongs to a window when it closes; an apply goes on', async () => {
    const aborted: string[] = [];
    const pending = (name: string, signal: AbortSignal): Promise<never> =>
      new Promise(() => {
        signal.addEventListener('abort', () => aborted.push(name));
      });
    const host = makeHost({
      'lab.apply': (_args, { signal }) => pending('apply', signal),
      'lab.check': (_args, { signal }) => pending('check', signal),
    });
    const window = openWindow(host);
    const apply = { call: 'lab.apply', args: { lab: 'a', plan: 'p' } };
    window.ask({ kind: 'call', id: 1, ...apply });
    window.ask({ kind: 'call', id: 2, ...apply });
    window.ask({ kind: 'call', id: 3, call: 'lab.check', args: { lab: 'a' } });
    window.ask({ kind: 'cancel', id: 1 });
    expect(aborted).toEqual(['apply']);
    window.close();
    expect(aborted).toEqual(['apply', 'check']);
    expect(host.windowCount).toBe(0);
  });

  it('sends streams to every window, in order', async () => {
    const host = makeHost({});
    const windows = [openWindow(host), openWindow(host)];
    host.publish({ stream: 'library', value: { changed: true } });
    host.publish({ stream: 'document', value: { path: '/a.yaml', version: 'v' } });
    for (const window of windows) {
      expect((await window.next(2)).map(({ stream }) => stream)).toEqual(['library', 'document']);
    }
  });
});
