/** Counters of all links in one dump, on real traffic, against what `ip -s` says of it. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { LinkRateTable } from '../../agent/activity/link-rates.ts';
import { listLinkStatistics } from '../../agent/kernel/link-statistics.ts';
import { closeNamespace, openNamespaceByName } from '../../agent/kernel/namespaces.ts';
import { RequestSocket } from '../../agent/kernel/netlink-socket.ts';
import { must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let one: string;
let other: string;
const sockets: RequestSocket[] = [];

beforeAll(requirePrivateNamespaces);

function run(line: string): void {
  execFileSync('ip', line.split(' '), { stdio: 'pipe' });
}

beforeEach(() => {
  [one, other] = [uniqueName('one'), uniqueName('other')];
  for (const name of [one, other]) run(`netns add ${name}`);
  run(`-n ${one} link add wire type veth peer name wire netns ${other}`);
  for (const [name, host] of [
    [one, 1],
    [other, 2],
  ] as const) {
    run(`-n ${name} address add 10.9.1.${String(host)}/24 dev wire`);
    run(`-n ${name} link set lo up`);
    run(`-n ${name} link set wire up`);
  }
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
  for (const name of [one, other]) execFileSync('ip', ['netns', 'delete', name]);
});

function open(name: string): RequestSocket {
  const handle = must(openNamespaceByName(name));
  const socket = must(RequestSocket.open(handle.fd, `namespace ${name}`));
  closeNamespace(handle);
  sockets.push(socket);
  return socket;
}

interface Witness {
  readonly ifindex: number;
  readonly ifname: string;
  readonly stats64: Readonly<
    Record<'rx' | 'tx', { readonly bytes: number; readonly packets: number }>
  >;
}

function witnesses(name: string): readonly Witness[] {
  const text = execFileSync('ip', ['-n', name, '-s', '-j', 'link'], { encoding: 'utf8' });
  return JSON.parse(text) as Witness[];
}

function ping(...words: readonly string[]): void {
  execFileSync('ip', ['netns', 'exec', one, 'ping', '-q', ...words, '10.9.1.2'], { stdio: 'pipe' });
}

it('has what ip says of every link, and the rate of what was sent', () => {
  ping('-c', '1');
  const socket = open(one);
  const table = new LinkRateTable();
  table.update(one, 0, must(listLinkStatistics(socket)));
  // 42 bytes of headers around each, both ways.
  ping('-c', '50', '-i', '0.002', '-s', '958');
  const listed = must(listLinkStatistics(socket));
  const said = witnesses(one);
  expect(
    listed.map(({ index, counters }) => [
      index,
      counters.receivedBytes,
      counters.transmittedPackets,
    ]),
  ).toEqual(said.map(({ ifindex, stats64 }) => [ifindex, stats64.rx.bytes, stats64.tx.packets]));
  const wire = said.find(({ ifname }) => ifname === 'wire')?.ifindex;
  const rate = table.update(one, 2000, listed).find(({ index }) => index === wire);
  expect(rate?.kind).toBe('rate');
  // A neighbour or a router may be asked for beside them.
  expect(rate?.rates?.transmittedBytes).toBeGreaterThanOrEqual(25_000);
  expect(rate?.rates?.transmittedBytes).toBeLessThan(25_500);
  expect(rate?.rates?.receivedPackets).toBeGreaterThanOrEqual(25);
  expect(rate?.rates?.receivedPackets).toBeLessThan(30);
});

it('shows no spike when a link is renamed, moved, and made anew', () => {
  ping('-c', '20', '-i', '0.002');
  const [from, to] = [open(one), open(other)];
  const table = new LinkRateTable();
  table.update(one, 0, must(listLinkStatistics(from)));
  table.update(other, 0, must(listLinkStatistics(to)));
  const index = witnesses(one).find(({ ifname }) => ifname === 'wire')?.ifindex ?? 0;

  run(`-n ${one} link set wire down`);
  run(`-n ${one} link set wire name renamed`);
  const renamed = table.update(one, 1000, must(listLinkStatistics(from)));
  expect(renamed.find((rate) => rate.index === index)?.kind).toBe('rate');

  run(`-n ${one} link set renamed netns ${other}`);
  expect(must(listLinkStatistics(from)).some((link) => link.index === index)).toBe(false);
  table.update(one, 2000, must(listLinkStatistics(from)));
  const moved = table.update(other, 2000, must(listLinkStatistics(to)));
  expect(moved.map(({ kind }) => kind).sort()).toEqual(['first', 'rate', 'rate']);
  const fastest = moved.flatMap(({ rates }) =>
    rates === null ? [] : [rates.receivedBytes, rates.transmittedBytes],
  );
  expect(Math.max(...fastest)).toBeLessThan(1000);

  // Its counters went with it, which would have been a spike.
  const index2 = moved.find(({ kind }) => kind === 'first')?.index ?? 0;
  expect(moved.find((rate) => rate.index === index2)?.counters.transmittedPackets).toBeGreaterThan(
    19,
  );

  run(`-n ${other} link delete renamed`);
  run(`-n ${other} link add dummy index ${String(index2)} type bridge`);
  const anew = table.update(other, 3000, must(listLinkStatistics(to)));
  expect(anew.find((rate) => rate.index === index2)).toMatchObject({ kind: 'reset', rates: null });
});
