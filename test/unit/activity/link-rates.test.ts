/** Rates from counters: what they are, and that nothing that befalls a counter makes a spike. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  counterIncrease,
  LinkRateTable,
  ratesBetween,
} from '../../../agent/activity/link-rates.ts';
import { RateHistory } from '../../../agent/activity/rate-history.ts';
import { type LinkCounters, linkCounterNames } from '../../../agent/api/link-counters.ts';

const zero: LinkCounters = {
  receivedPackets: 0,
  transmittedPackets: 0,
  receivedBytes: 0,
  transmittedBytes: 0,
  receiveErrors: 0,
  transmitErrors: 0,
  receiveDropped: 0,
  transmitDropped: 0,
};

const counters = (some: Partial<LinkCounters>): LinkCounters => ({ ...zero, ...some });
const reading = (some: Partial<LinkCounters>, index = 2) => ({ index, counters: counters(some) });

describe('a counter', () => {
  it('that comes to its end goes on from 0', () => {
    expect(counterIncrease(2 ** 32 - 100, 50)).toBe(150);
    expect(counterIncrease(2 ** 64 - 2 ** 20, 2 ** 20)).toBe(2 ** 21);
    expect(counterIncrease(5, 7)).toBe(2);
  });

  it('that has fallen otherwise says nothing', () => {
    expect(counterIncrease(1_000_000, 5)).toBeUndefined();
    expect(counterIncrease(2 ** 32 - 1, 2 ** 31 + 1)).toBeUndefined();
    expect(counterIncrease(2 ** 31 + 5, 2 ** 31 - 5)).toBeUndefined();
    expect(counterIncrease(2 ** 40, 2 ** 39)).toBeUndefined();
  });

  it('never adds more than it can have counted', () => {
    const count = fc.oneof(
      fc.nat(2 ** 31 - 1),
      fc.double({ min: 0, max: 2 ** 64 - 4096, noNaN: true }).map(Math.floor),
    );
    fc.assert(
      fc.property(count, count, (before, after) => {
        const added = counterIncrease(before, after);
        if (added === undefined) return;
        expect(added).toBeGreaterThanOrEqual(0);
        if (after < before) expect(added).toBeLessThan(before < 2 ** 32 ? 2 ** 31 : 2 ** 63);
      }),
    );
  });
});

describe('a link', () => {
  it('has no rate at first, then the mean since the reading before', () => {
    const table = new LinkRateTable();
    expect(table.update('one', 1000, [reading({ receivedBytes: 1e9 })])).toMatchObject([
      { kind: 'first', rates: null },
    ]);
    const [rate] = table.update('one', 1500, [
      reading({ receivedBytes: 1e9 + 1000, transmitDropped: 3 }),
    ]);
    expect(rate).toMatchObject({
      kind: 'rate',
      seconds: 0.5,
      rates: { receivedBytes: 2000, transmitDropped: 6, receivedPackets: 0 },
    });
  });

  it('whose counter of 32 bits comes to its end goes on', () => {
    const before = counters({ receivedBytes: 2 ** 32 - 1000, receivedPackets: 10 });
    const after = counters({ receivedBytes: 500, receivedPackets: 11 });
    expect(ratesBetween(before, after, 1)?.receivedBytes).toBe(1500);
  });

  it('that begins anew has no rate for that reading, even where its bytes look like an end', () => {
    const table = new LinkRateTable();
    table.update('one', 0, [reading({ receivedBytes: 4e9, receivedPackets: 3e6 })]);
    const [fallen] = table.update('one', 1000, [
      reading({ receivedBytes: 1e6, receivedPackets: 10 }),
    ]);
    expect(fallen).toMatchObject({ kind: 'reset', rates: null });
    const [next] = table.update('one', 2000, [
      reading({ receivedBytes: 1e6 + 5, receivedPackets: 11 }),
    ]);
    expect(next).toMatchObject({ kind: 'rate', rates: { receivedBytes: 5 } });
    expect(
      ratesBetween(counters({ receivedBytes: 4e9 }), counters({ receivedBytes: 1 }), 1),
    ).toBeUndefined();
  });

  it('that is missing in a reading begins anew', () => {
    const table = new LinkRateTable();
    table.update('one', 0, [reading({ receivedBytes: 5 }), reading({}, 3)]);
    table.update('one', 1000, [reading({}, 3)]);
    expect(table.size).toBe(1);
    expect(table.update('one', 2000, [reading({ receivedBytes: 1e12 })])).toMatchObject([
      { kind: 'first' },
    ]);
  });

  it('that is read again at the same time, or an earlier one, has no rate and keeps its reading', () => {
    const table = new LinkRateTable();
    table.update('one', 1000, [reading({})]);
    expect(table.update('one', 1000, [reading({ receivedBytes: 7 })])).toMatchObject([
      { kind: 'no-time' },
    ]);
    expect(table.update('one', 900, [reading({ receivedBytes: 8 })])).toMatchObject([
      { kind: 'no-time' },
    ]);
    expect(table.update('one', 2000, [reading({ receivedBytes: 10 })])).toMatchObject([
      { kind: 'rate', rates: { receivedBytes: 10 } },
    ]);
  });

  it('that moves to another namespace keeps its history and has no spike', () => {
    const table = new LinkRateTable({ slots: 10, millisecondsPerSlot: 1000 });
    table.update('one', 0, [reading({ receivedBytes: 1e9 })]);
    table.update('one', 1000, [reading({ receivedBytes: 1e9 + 100 })]);
    table.move({ namespace: 'one', index: 2 }, { namespace: 'two', index: 7 });
    const [rate] = table.update('two', 2000, [reading({ receivedBytes: 1e9 + 300 }, 7)]);
    expect(rate).toMatchObject({ kind: 'rate', rates: { receivedBytes: 200 } });
    expect(table.history('two', 7)?.series('receivedBytes').slice(-2)).toEqual([100, 200]);
    expect(table.history('one', 2)).toBeNull();
    // Nobody said that this one moved.
    expect(table.update('three', 3000, [reading({ receivedBytes: 2e9 })])).toMatchObject([
      { kind: 'first' },
    ]);
  });

  it('whose index another one gets is not that one', () => {
    const table = new LinkRateTable();
    table.update('one', 0, [reading({ receivedBytes: 5 })]);
    table.forgetLink('one', 2);
    expect(table.update('one', 1000, [reading({ receivedBytes: 1e12 })])).toMatchObject([
      { kind: 'first' },
    ]);
    table.forget('one');
    expect(table.size).toBe(0);
  });

  it('whose readings were missed for long has their mean, not their sum', () => {
    const table = new LinkRateTable({ slots: 100, millisecondsPerSlot: 100 });
    table.update('one', 0, [reading({})]);
    table.update('one', 100, [reading({ transmittedBytes: 100 })]);
    table.update('one', 5100, [reading({ transmittedBytes: 5100 })]);
    const known = table
      .history('one', 2)
      ?.series('transmittedBytes')
      .filter((rate) => rate !== null);
    expect(known).toEqual([1000, 1000]);
  });

  it('has rates that add up to what was counted, whenever it is read', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.nat(1e9)), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(steps, (parts) => {
        const table = new LinkRateTable({ slots: 4, millisecondsPerSlot: 100 });
        table.update('one', 0, [reading({})]);
        let [time, bytes, sum] = [0, 0, 0];
        for (const [milliseconds, added] of parts) {
          time += milliseconds;
          bytes += added;
          const [rate] = table.update('one', time, [reading({ receivedBytes: bytes })]);
          sum += (rate?.rates?.receivedBytes ?? NaN) * (rate?.seconds ?? NaN);
        }
        expect(sum).toBeCloseTo(bytes, 3);
      }),
    );
  });
});

describe('a history', () => {
  const rates = (value: number) => ({ ...zero, receivedBytes: value, transmitDropped: -value });

  it('keeps the newest slots, with nothing where nothing was read', () => {
    const history = new RateHistory({ slots: 4, millisecondsPerSlot: 100 });
    expect(history.series('receivedBytes')).toEqual([null, null, null, null]);
    expect(history.newestTime).toBeNull();
    history.add(1000, rates(1));
    history.add(1100, rates(2));
    history.add(1350, rates(4));
    expect(history.series('receivedBytes')).toEqual([1, 2, null, 4]);
    history.add(1400, rates(5));
    expect(history.series('receivedBytes')).toEqual([2, null, 4, 5]);
    expect(history.series('transmitDropped')).toEqual([-2, null, -4, -5]);
    expect(history.newestTime).toBe(1400);
    history.add(99_000, rates(6));
    expect(history.series('receivedBytes')).toEqual([null, null, null, 6]);
  });

  it('has the mean of what comes within a slot, and leaves out what is older', () => {
    const history = new RateHistory({ slots: 2, millisecondsPerSlot: 100 });
    for (const value of [1, 2, 6]) history.add(10 * value, rates(value));
    expect(history.series('receivedBytes')).toEqual([null, 3]);
    history.add(200, rates(9));
    history.add(150, rates(7));
    expect(history.series('receivedBytes')).toEqual([null, 9]);
  });

  it('has a series for each counter', () => {
    const history = new RateHistory({ slots: 1, millisecondsPerSlot: 100 });
    const each = { ...zero };
    for (const [at, name] of linkCounterNames.entries()) Object.assign(each, { [name]: at });
    history.add(0, each);
    expect(linkCounterNames.map((name) => history.series(name))).toEqual(
      linkCounterNames.map((_, at) => [at]),
    );
  });
});
