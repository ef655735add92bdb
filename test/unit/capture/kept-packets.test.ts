/** What a capture keeps: bounded memory, the order of packets, and which of them a filter means. */
import { describe, expect, it } from 'vitest';
import { ArrivalOrder } from '../../../agent/capture/arrival-order.ts';
import { InterfaceRegister } from '../../../agent/packets/interface-register.ts';
import { identityOf, isWithin } from '../../../agent/packets/packet-identity.ts';
import { PacketMatches } from '../../../agent/packets/packet-matches.ts';
import { PacketStore } from '../../../agent/packets/packet-store.ts';
import { changesIn } from '../../../agent/services/captures.ts';
import { dissect } from '../../../agent/dissect/dissect.ts';
import { frame, message, packet4, udpFrame } from '../../harness/packets.ts';

function add(store: PacketStore, bytes: Uint8Array, interfaceNumber = 0): number {
  return store.add({
    time: { seconds: 1_700_000_000, nanoseconds: 999_999_999 },
    interface: interfaceNumber,
    direction: 'sent',
    bytes,
    wireLength: bytes.length + 4,
    isChecksumPending: true,
    segmentSize: 1448,
  });
}

/** The same numbers each time (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('the store', () => {
  it('gives back what was added', () => {
    const store = new PacketStore({ capacity: 4, memory: 100 });
    expect([store.oldest, store.newest, store.get(1), store.bytes]).toEqual([1, 0, null, 0]);
    expect(add(store, Uint8Array.of(1, 2, 3), 7)).toBe(1);
    expect(store.get(1)).toEqual({
      number: 1,
      time: { seconds: 1_700_000_000, nanoseconds: 999_999_999 },
      interface: 7,
      direction: 'sent',
      bytes: Uint8Array.of(1, 2, 3),
      wireLength: 7,
      isChecksumPending: true,
      segmentSize: 1448,
    });
    expect([store.get(0), store.get(2), store.get(Number.NaN)]).toEqual([null, null, null]);
  });

  it('keeps the last that fit, whole, whatever their lengths are', () => {
    const random = randomNumbers(1);
    for (const [capacity, memory] of [
      [10, 1000],
      [1000, 300],
      [1, 64],
    ] as const) {
      const store = new PacketStore({ capacity, memory });
      const all: Uint8Array[] = [];
      for (let number = 1; number <= 2000; number += 1) {
        const length = Math.floor(random() * 70);
        const bytes = Uint8Array.from({ length }, () => Math.floor(random() * 256));
        all.push(bytes);
        expect(add(store, bytes)).toBe(number);
        expect(store.newest).toBe(number);
        expect(store.newest - store.oldest + 1).toBeLessThanOrEqual(capacity);
        expect(store.bytes).toBeLessThanOrEqual(memory);
        for (let kept = store.oldest; number % 40 === 0 && kept <= number; kept += 1) {
          const packet = store.get(kept);
          const wanted = all[kept - 1] ?? Uint8Array.of();
          // The one that is larger than all memory is cut.
          expect(packet?.bytes).toEqual(wanted.subarray(0, memory));
        }
        expect(store.get(store.oldest - 1)).toBeNull();
      }
      // Neither bound forgets more than it has to.
      if (capacity === 10) expect(store.newest - store.oldest + 1).toBe(10);
      if (capacity === 1000) expect(store.bytes).toBeGreaterThan(memory - 140);
    }
  });
});

describe('a filter', () => {
  it('knows what was there and what came, in slices, and asks for each once', () => {
    const asked: number[] = [];
    const matches = new PacketMatches(1000, (number) => {
      asked.push(number);
      return number % 3 === 0;
    });
    let slices = 0;
    // A packet comes while it works; the oldest has made room.
    const step = (oldest: number): boolean => matches.advance(oldest, () => true);
    while (!step(11)) {
      slices += 1;
      if (slices === 2) matches.add(1002);
    }
    expect(slices).toBeGreaterThan(5);
    expect(asked).toEqual(Array.from({ length: 990 }, (_, place) => 11 + place));
    matches.add(1005);
    const wanted = [
      ...Array.from({ length: 1000 }, (_, place) => place + 1).filter(
        (number) => number > 10 && number % 3 === 0,
      ),
      1002,
      1005,
    ];
    expect(Array.from({ length: matches.count }, (_, place) => matches.at(place))).toEqual(wanted);
    expect([matches.placeOf(0), matches.placeOf(13), matches.placeOf(1003)]).toEqual([
      0,
      1,
      wanted.length - 1,
    ]);
    expect([matches.placeOf(2000), matches.at(-1), matches.at(matches.count)]).toEqual([
      matches.count,
      undefined,
      undefined,
    ]);
    matches.forget(1002);
    expect([matches.count, matches.at(0)]).toEqual([2, 1002]);
  });

  it('grows no list of what is forgotten', () => {
    const matches = new PacketMatches(0, () => true);
    matches.advance(1, () => false);
    for (let number = 1; number <= 50_000; number += 1) {
      matches.add(number);
      if (number > 100) matches.forget(number - 99);
    }
    expect([matches.count, matches.at(0), matches.at(99)]).toEqual([100, 49_901, 50_000]);
  });
});

describe('packets of several rings', () => {
  it('come in the order of their times, however late a ring hands them on', () => {
    const order = new ArrivalOrder<string>(40);
    const taken: string[] = [];
    const take = (value: string): void => {
      taken.push(value);
    };
    const at = (milliseconds: number) => ({ seconds: 5, nanoseconds: milliseconds * 1e6 });
    order.add(at(10), 'a10', 100);
    order.add(at(30), 'a30', 100);
    order.release(120, take);
    expect(taken).toEqual([]);
    order.add(at(20), 'b20', 125);
    order.add(at(50), 'b50', 125);
    order.release(140, take);
    // What was held for less goes with it, where it passed before.
    expect(taken).toEqual(['a10', 'b20', 'a30']);
    order.release(Infinity, take);
    expect(taken).toEqual(['a10', 'b20', 'a30', 'b50']);
    order.release(Infinity, take);
    expect(taken.length).toBe(4);
  });
});

describe('interfaces', () => {
  it('keep their number through names, and give it to nobody else', () => {
    const register = new InterfaceRegister();
    const place = { namespace: '7', title: 'r1', index: 3 };
    const number = register.numberOf(place, 1, () => 'eth0');
    expect(register.titleOf(number)).toBe('r1:eth0');
    register.takeChanged();
    register.rename('7', 3, 'wan');
    expect(register.takeChanged().map(({ name, present }) => [name, present])).toEqual([
      ['wan', true],
    ]);
    register.rename('7', 3, 'wan');
    expect(register.takeChanged()).toEqual([]);
    register.remove('7', 3);
    const next = register.numberOf(place, 1, () => 'eth9');
    expect(next).not.toBe(number);
    expect(register.takeChanged().map(({ name, present }) => [name, present])).toEqual([
      ['wan', false],
      ['eth9', true],
    ]);
    // Packets of another shape are of another interface of the file.
    const raw = register.numberOf(place, 101, () => 'eth9');
    expect([raw === next, register.get(next)?.present, register.get(raw)?.linkType]).toEqual([
      false,
      false,
      101,
    ]);
    register.removeNamespace('7');
    expect(register.isPresent('7', 3)).toBe(false);
  });

  it('of an inventory’s change are only those of what is captured', () => {
    const link = { namespace: '7', index: 3, name: 'wan' };
    const delta = {
      ...{ sequence: 1, namespaces: [], removedNamespaces: ['8', '9'] },
      links: [link, { ...link, namespace: '6' }],
      removedLinks: ['7/5', '6/5'],
      ...{ routes: [], engines: [], removedEngines: [] },
    } as unknown as Parameters<typeof changesIn>[0];
    expect(changesIn(delta, new Set(['7', '9']))).toEqual({
      namespaces: ['9'],
      gone: [{ namespace: '7', index: 5 }],
      names: [link],
    });
    expect(changesIn(delta, new Set(['5']))).toBeNull();
  });
});

describe('a packet met again', () => {
  const echo = message('08 00 0000 1234 0001 00112233445566778899aabbccddeeff');
  const whole = frame(0x0800, packet4(1, echo));
  const identity = identityOf(dissect(whole, 1));

  it('is known behind a router and within a tunnel of any kind', () => {
    if (identity === null) throw new Error('no identity');
    expect(isWithin(identity, whole)).toBe(true);
    const routed = whole.slice();
    // Time to live, and the checksum over it; other cards.
    routed[22] = (routed[22] ?? 0) - 1;
    routed[24] = (routed[24] ?? 0) ^ 0xff;
    routed[0] = 0xaa;
    expect(isWithin(identity, routed)).toBe(true);
    expect(isWithin(identity, udpFrame(whole, { source: 40_000, destination: 5555 }))).toBe(true);
    expect(isWithin(identity, udpFrame(whole.slice(14), { source: 1, destination: 2 }))).toBe(true);
  });

  it('is not taken for the next one of its kind', () => {
    if (identity === null) throw new Error('no identity');
    const next = whole.slice();
    // Its sequence number.
    next[41] = (next[41] ?? 0) ^ 1;
    expect(isWithin(identity, next)).toBe(false);
    expect(isWithin(identity, whole.slice(0, 40))).toBe(false);
    expect(isWithin(identity, Uint8Array.of())).toBe(false);
  });
});
