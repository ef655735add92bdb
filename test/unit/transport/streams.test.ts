import { afterEach, expect, test, vi } from 'vitest';
import { Subscriber } from 'zeromq';
import type { LabEvent } from '../../../agent/api/index.ts';
import { curveKeyPair } from '../../../agent/transport/index.ts';
import { doorPath } from '../../../agent/transport/socket-file.ts';
import { type Link, makeLink, until } from './link.ts';

vi.setConfig({ testTimeout: 30_000 });

let link: Link;
afterEach(() => link.end());

function event(lab: string): LabEvent {
  return { kind: 'removed', lab };
}

function labOf(value: LabEvent): string {
  return value.kind === 'removed' ? value.lab : value.kind;
}

test('every message published after a subscription has begun arrives, in its order', async () => {
  link = await makeLink();
  const client = await link.connect();
  link.server.publish('labs', event('before'));
  const seen: string[] = [];
  const subscribed = await client.subscribe(
    'labs',
    (value) => seen.push(labOf(value)),
    () => seen.push('gap'),
  );
  expect(subscribed.ok).toBe(true);
  for (let index = 0; index < 300; index += 1) link.server.publish('labs', event(`lab-${index}`));
  await until(() => seen.length >= 300);
  expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => `lab-${index}`));
});

test('a subscription that is closed gets nothing more, and can be made again', async () => {
  link = await makeLink();
  const client = await link.connect();
  const seen: string[] = [];
  const handler = (value: LabEvent): void => void seen.push(labOf(value));
  const first = await client.subscribe('labs', handler, () => seen.push('gap'));
  if (first.ok) first.value.close();
  link.server.publish('labs', event('unheard'));
  const second = await client.subscribe('labs', handler, () => seen.push('gap'));
  expect(second.ok).toBe(true);
  link.server.publish('labs', event('heard'));
  await until(() => seen.length > 0);
  expect(seen).toEqual(['heard']);
});

test('messages lost to a subscriber that did not read are reported as a gap', async () => {
  link = await makeLink();
  const client = await link.connect();
  const seen: string[] = [];
  let gaps = 0;
  await client.subscribe(
    'labs',
    (value) => seen.push(labOf(value)),
    () => (gaps += 1),
  );
  // More at once than the queues of both ends hold.
  const count = 40_000;
  for (let index = 0; index < count; index += 1) link.server.publish('labs', event('many'));
  await until(() => gaps > 0);
  expect(seen.length).toBeLessThan(count);
  await until(() => {
    link.server.publish('labs', event('last'));
    return seen.at(-1) === 'last';
  });
});

test('a pulse tells of a loss after which nothing more is published', async () => {
  link = await makeLink();
  const client = await link.connect();
  let gaps = 0;
  await client.subscribe(
    'labs',
    () => undefined,
    () => (gaps += 1),
  );
  // The last messages of the burst are those that are dropped.
  for (let index = 0; index < 40_000; index += 1) link.server.publish('labs', event('many'));
  await until(() => gaps > 0);
});

test('what a client sends on the stream socket disturbs nobody', async () => {
  link = await makeLink();
  const client = await link.connect();
  const seen: string[] = [];
  await client.subscribe(
    'labs',
    (value) => seen.push(labOf(value)),
    () => seen.push('gap'),
  );
  const rude = new Subscriber({
    linger: 0,
    reconnectInterval: -1,
    curvePublicKey: link.keys.publicKey,
    curveSecretKey: link.keys.secretKey,
    curveServerKey: link.agentKeys.publicKey,
  });
  rude.connect(`ipc://${doorPath(link.directory, 'stream', link.keys.publicKey)}`);
  rude.subscribe(
    'sync:',
    'sync:../../etc/passwd',
    'sync:../../etc/passwd\n',
    'x'.repeat(200),
    'y'.repeat(4_000),
  );
  link.server.publish('labs', event('fine'));
  await until(() => seen.length > 0);
  expect(seen).toEqual(['fine']);
  rude.close();
});

test('a revoked client is cut off at once, and others are not', async () => {
  link = await makeLink();
  const other = curveKeyPair();
  const uid = process.geteuid?.() ?? 0;
  const keep = { key: link.keys.publicKey, uid, name: 'tester', access: 'write' } as const;
  link.enrol([keep, { key: other.publicKey, uid, name: 'other', access: 'write' }]);
  await until(() => link.events.some((e) => e.event === 'door-opened' && e.client === 'other'));
  const [kept, revoked] = [await link.connect(), await link.connect(other)];
  link.enrol([keep]);
  expect(await revoked.ended).toMatchObject({ kind: 'unreachable' });
  expect(await kept.call('agent.info', {})).toMatchObject({ ok: true });
  expect(await link.tryConnect(other)).toMatchObject({ ok: false });
});
