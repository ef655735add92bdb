/** Filters in the syntax of tcpdump: what they let through of real packets, tagged ones and those of tun included. */
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compileFilter } from '../../agent/capture/capture-filter.ts';
import { PacketRing } from '../../agent/capture/packet-ring.ts';
import { dissect } from '../../agent/dissect/dissect.ts';
import { attachTun } from '../../agent/kernel/devices.ts';
import { closeNamespace, openNamespaceByName, runIn } from '../../agent/kernel/namespaces.ts';
import {
  AF_PACKET,
  closeDescriptor,
  openSocket,
  sendTo,
  SOCK_CLOEXEC,
  SOCK_RAW,
  writeDescriptor,
} from '../../agent/kernel/native.ts';
import { ascii, bytes, datagram, frame, message, packet4, udpFrame } from '../harness/packets.ts';
import { must, requirePrivateNamespaces, uniqueName } from './netlink-private.ts';

let one: string;
let other: string;
const rings: PacketRing[] = [];

beforeAll(requirePrivateNamespaces);

function run(line: string): string {
  return execFileSync('ip', line.split(' '), { stdio: 'pipe', encoding: 'utf8' });
}

beforeEach(() => {
  [one, other] = [uniqueName('one'), uniqueName('other')];
  for (const name of [one, other]) run(`netns add ${name}`);
  run(`-n ${one} link add wire type veth peer name wire netns ${other}`);
  for (const name of [one, other]) run(`-n ${name} link set wire up`);
  run(`-n ${one} address add 10.9.6.1/24 dev wire`);
  run(`-n ${other} address add 10.9.6.2/24 dev wire`);
  execFileSync('ip', ['netns', 'exec', one, 'ping', '-q', '-c', '1', '-W', '5', '10.9.6.2'], {
    stdio: 'pipe',
  });
});

afterEach(() => {
  for (const ring of rings.splice(0)) ring.close();
  for (const name of [one, other]) run(`netns delete ${name}`);
});

/** Stacks of protocols of what passes, without those of the kernel's own talk. */
function capture(
  filter: string,
  snapLength = 262_144,
): { readonly stacks: string[]; readonly lengths: number[] } {
  const handle = must(openNamespaceByName(other));
  const found = { stacks: [] as string[], lengths: [] as number[] };
  rings.push(
    must(
      PacketRing.open({
        namespaceFd: handle.fd,
        filter: must(compileFilter(filter, snapLength)),
        nameOf: () => null,
        onPacket: ({ bytes: whole, interface: { linkType }, wireLength }) => {
          found.stacks.push(
            dissect(whole, linkType, wireLength)
              .layers.map(({ protocol }) => protocol.name)
              .join(' '),
          );
          found.lengths.push(whole.length);
        },
        onEnd: (failure) => {
          throw new Error(failure.reason);
        },
      }),
    ),
  );
  closeNamespace(handle);
  return found;
}

const echo = packet4(
  1,
  message(bytes('0800 0000 1234 0001', ascii('an echo that is long enough to be one'))),
);
const query = { source: 40_000, destination: 53 };
const frames: readonly Uint8Array[] = [
  frame(0x0800, echo),
  udpFrame(new Uint8Array(20), query),
  frame(0x8100, bytes('000a 0800', echo)),
  frame(0x8100, bytes('000b 0800', echo)),
  frame(0x88a8, bytes('0014 8100 000a 0800', echo)),
];

function send(): void {
  const handle = must(openNamespaceByName(one));
  const fd = must(runIn(handle.fd, () => openSocket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)));
  const links = JSON.parse(run(`-n ${one} -j link show wire`)) as { ifindex: number }[];
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeInt32LE(links[0]?.ifindex ?? 0, 4);
  for (const whole of frames) expect(sendTo(fd, whole, 0, address)).toBe(whole.length);
  closeDescriptor(fd);
  closeNamespace(handle);
}

const ping = 'eth ip icmp data';
const tagged = 'eth vlan ip icmp data';
const doubly = 'eth ieee8021ad vlan ip icmp data';

describe('a filter', () => {
  it.each([
    // The kernel has taken the first tag out, so what asks for none means packets with one, too.
    ['icmp and src 10.0.0.1', [ping, tagged, tagged]],
    ['icmp and src 10.0.0.1 and not vlan', [ping]],
    ['udp dst port 53', ['eth ip udp dns']],
    ['src host 10.0.0.1 and not icmp', ['eth ip udp dns']],
    ['vlan', [tagged, tagged, doubly]],
    ['vlan 10 and icmp', [tagged]],
    ['vlan 20 and vlan 10 and ip', [doubly]],
    ['ether src 02:00:00:00:00:0a and not vlan', [ping, 'eth ip udp dns']],
  ] as const)('lets through what tcpdump would: %s', async (filter, stacks) => {
    const found = capture(filter);
    send();
    await expect.poll(() => found.stacks).toEqual(stacks);
    await pause(60);
    expect(found.stacks).toEqual(stacks);
  });

  it('keeps as many bytes as are asked for', async () => {
    const found = capture('icmp and src 10.0.0.1 and not vlan', 30);
    send();
    await expect.poll(() => found.lengths).toEqual([30]);
  });

  it('means packets of tun by their own headers, among those of Ethernet', async () => {
    run(`tuntap add mode tun name tun0`);
    run(`link set tun0 netns ${other}`);
    run(`-n ${other} link set tun0 up`);
    const handle = must(openNamespaceByName(other));
    const fd = must(attachTun(handle.fd, 'tun', 'tun0'));
    closeNamespace(handle);
    const found = capture('udp port 53 or vlan 10');
    const only = capture('ip6 or udp port 53');
    const inner = packet4(17, datagram(ascii('x'.repeat(20)), query));
    try {
      expect(writeDescriptor(fd, inner)).toBe(inner.length);
      expect(writeDescriptor(fd, echo)).toBe(echo.length);
      send();
      await expect
        .poll(() => only.stacks.filter((stack) => stack.endsWith('dns')))
        .toEqual(['ip udp dns', 'eth ip udp dns']);
      expect(only.lengths).toContain(inner.length);
      // Tags have no meaning there, so neither has all of this filter.
      await expect.poll(() => found.stacks).toEqual(['eth ip udp dns', tagged]);
    } finally {
      closeDescriptor(fd);
    }
  });
});

describe('a filter that is wrong', () => {
  it.each([
    ['udp prot 53', /syntax error|parse error/],
    ['host 10.0.0.300', /10\.0\.0\.300|invalid/],
    ['port nosuchservice', /unknown port/],
    ['('.repeat(5_000), /more than 4096 characters/],
  ])('is refused with the words of the compiler: %s', (text, words) => {
    const compiled = compileFilter(text, 100);
    if (compiled.ok) throw new Error('it was compiled');
    expect(compiled.failure).toMatchObject({ kind: 'invalid-request', code: 'capture-filter' });
    expect(compiled.failure.reason).toMatch(words);
  });

  it('is refused where the text would end for the compiler before its end', () => {
    const compiled = compileFilter('tcp\0 nonsense', 100);
    expect(compiled.ok ? '' : compiled.failure.reason).toContain('a character of value 0');
  });

  it('is one that names a host which nobody knows', () => {
    const compiled = compileFilter('host nowhere.invalid', 100);
    expect(compiled.ok ? '' : compiled.failure.reason).toContain('nowhere.invalid');
  });

  it('leaves nothing behind', () => {
    const before = run('link');
    expect(compileFilter('icmp', 100).ok).toBe(true);
    expect(run('link')).toBe(before);
  });
});
