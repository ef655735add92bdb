import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Carrier, CarrierListener } from '../../../renderer/bridge/carrier.ts';
import { type Bridge, createBridge } from '../../../renderer/bridge/client.ts';
import { bridgeAddress } from '../../../renderer/bridge/web-socket-carrier.ts';

class FakeCarrier implements Carrier {
  readonly sent: { kind: string; id: number; call?: string }[] = [];
  listener: CarrierListener | null = null;

  open(listener: CarrierListener): void {
    this.listener = listener;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  receive(message: object): void {
    this.listener?.message(JSON.stringify(message));
  }
}

let carrier: FakeCarrier;
let bridge: Bridge;

beforeEach(() => {
  carrier = new FakeCarrier();
  bridge = createBridge(carrier);
});

describe('a call', () => {
  it('waits for the connection and is answered once', async () => {
    const answer = bridge.call('realm.list', {});
    expect(carrier.sent).toEqual([]);
    carrier.listener?.state('open');
    expect(carrier.sent).toEqual([{ kind: 'call', id: 1, call: 'realm.list', args: {} }]);
    carrier.receive({ kind: 'result', id: 1, value: { realms: [] } });
    expect(await answer).toEqual({ ok: true, value: { realms: [] } });
  });

  it('fails when the connection breaks before the answer, since nobody knows what became of it', async () => {
    carrier.listener?.state('open');
    const answer = bridge.call('library.delete', { path: '/labs/demo.yaml' });
    carrier.listener?.state('lost');
    expect(await answer).toMatchObject({ ok: false, failure: { code: 'bridge-lost' } });
    carrier.listener?.state('open');
    expect(carrier.sent).toHaveLength(1);
  });

  it('made while the connection is broken is sent with the next one', async () => {
    carrier.listener?.state('lost');
    void bridge.call('library.list', {});
    expect(carrier.sent).toEqual([]);
    carrier.listener?.state('open');
    expect(carrier.sent).toHaveLength(1);
  });

  it('asks main to cancel, and still waits for its answer', async () => {
    carrier.listener?.state('open');
    const controller = new AbortController();
    const answer = bridge.call(
      'lab.apply',
      { lab: 'demo', plan: 'p1' },
      { signal: controller.signal },
    );
    controller.abort();
    expect(carrier.sent[1]).toEqual({ kind: 'cancel', id: 1 });
    carrier.receive({
      kind: 'failure',
      id: 1,
      failure: { kind: 'cancelled', code: 'cancelled', object: 'demo', reason: 'r', next: 'n' },
    });
    expect(await answer).toMatchObject({ ok: false, failure: { kind: 'cancelled' } });
  });

  it('hands on progress that matches, and only that', async () => {
    const spoken = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    carrier.listener?.state('open');
    const seen: unknown[] = [];
    void bridge.call(
      'lab.apply',
      { lab: 'demo', plan: 'p1' },
      { onProgress: (progress) => seen.push(progress.phase) },
    );
    const good = { lab: 'demo', plan: 'p1', phase: 'verify', done: 1, total: 1, failedStep: null };
    carrier.receive({ kind: 'progress', id: 1, value: good });
    carrier.receive({ kind: 'progress', id: 1, value: { ...good, phase: 'guess' } });
    expect(seen).toEqual(['verify']);
    expect(spoken).toHaveBeenCalledOnce();
    spoken.mockRestore();
  });

  it('does not pass on an answer that breaks the contract', async () => {
    carrier.listener?.state('open');
    const answer = bridge.call('realm.list', {});
    carrier.receive({ kind: 'result', id: 1, value: { realms: 'none' } });
    expect(await answer).toMatchObject({ ok: false, failure: { kind: 'bug' } });
  });
});

describe('a stream', () => {
  it('reaches everyone who listens, until they stop', () => {
    const seen: string[] = [];
    const stop = bridge.subscribe('document', (change) => seen.push(`one ${change.version}`));
    bridge.subscribe('document', (change) => seen.push(`two ${change.version}`));
    const publish = (version: string) =>
      carrier.receive({ kind: 'stream', stream: 'document', value: { path: '/p', version } });
    publish('a');
    stop();
    publish('b');
    expect(seen).toEqual(['one a', 'two a', 'two b']);
  });
});

describe('the address of the bridge', () => {
  it('is on the origin of the page, whatever its path', () => {
    expect(bridgeAddress('http://127.0.0.1:4000/index.html?x=1')).toBe(
      'ws://127.0.0.1:4000/bridge',
    );
  });
});
