import { describe, expect, it } from 'vitest';
import { type LinkCounterName, linkCounterNames } from '../../../agent/api/index.ts';
import { DotTrain } from '../../../renderer/activity/dot-train.ts';
import { laneOf, pointOn } from '../../../renderer/activity/lane.ts';
import {
  dotsOf,
  levelOf,
  singlePackets,
  speedOf,
  thicknessOf,
} from '../../../renderer/activity/rate-scale.ts';
import { bitRateText, bytesText, packetRateText } from '../../../renderer/activity/rate-text.ts';
import { sparkline } from '../../../renderer/activity/sparkline.ts';
import type { LinkRates } from '../../../agent/activity/rate-history.ts';
import { isQuiet, rateOfWire } from '../../../renderer/activity/wire-rates.ts';

function rates(some: Partial<Record<LinkCounterName, number>>): LinkRates {
  const all: Partial<Record<LinkCounterName, number>> = {};
  for (const name of linkCounterNames) all[name] = some[name] ?? 0;
  return all as LinkRates;
}

describe('the scale of rates', () => {
  it('is 0 for nothing alone, and a tenth for the least there is', () => {
    expect([0, -1, NaN].map(levelOf)).toEqual([0, 0, 0]);
    expect(levelOf(1)).toBeCloseTo(0.1);
    expect(levelOf(100)).toBeCloseTo(0.1);
  });

  it('grows by the same step for every factor of ten, up to 10 Gbit/s', () => {
    const levels = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10].map(levelOf);
    for (const [place, level] of levels.slice(1).entries()) {
      expect(level - (levels[place] ?? 0)).toBeCloseTo(0.9 / 8);
    }
    expect(levels.at(-1)).toBeCloseTo(1);
    expect(levelOf(1e12)).toBe(1);
  });

  it('draws more as faster, denser and thicker', () => {
    expect(speedOf(levelOf(1e9))).toBeGreaterThan(speedOf(levelOf(1e3)));
    expect(thicknessOf(levelOf(1e9))).toBeGreaterThan(thicknessOf(levelOf(1e3)));
    expect(thicknessOf(0)).toBe(0);
    // Few packets are a dot each; a million do not become a wall.
    expect([0, 1, 5, singlePackets].map(dotsOf)).toEqual([0, 1, 5, singlePackets]);
    expect(dotsOf(1e6)).toBeGreaterThan(dotsOf(1e3));
    expect(dotsOf(1e6)).toBeLessThan(40);
  });
});

/** Frames of a sixtieth of a second; how many dots have set out, and how long until it was quiet. */
function run(train: DotTrain, crossing: number, limit = 600): { out: number; frames: number } {
  let out = 0;
  let before = 0;
  for (let frames = 1; frames <= limit; frames += 1) {
    train.advance(1 / 60, crossing);
    const now = train.positions.length;
    out += Math.max(0, now - before);
    before = now;
    if (train.quiet) return { out, frames };
  }
  throw new Error('it never gets quiet');
}

describe('a train of dots', () => {
  it('is quiet where nothing moves: no frame is asked for', () => {
    const train = new DotTrain();
    expect(train.quiet).toBe(true);
    train.pay(0, 0.5);
    expect(train.quiet).toBe(true);
  });

  it('shows one ping as one dot that crosses the wire, and then nothing', () => {
    const train = new DotTrain();
    train.pay(1, 0.5);
    expect(train.quiet).toBe(false);
    const { out, frames } = run(train, 2);
    expect(out).toBe(1);
    // The whole wire takes two seconds, and it sets out within half of one.
    expect(frames / 60).toBeGreaterThanOrEqual(2);
    expect(frames / 60).toBeLessThan(2.6);
  });

  it('moves on by the share of the time, the first dot ahead', () => {
    const train = new DotTrain();
    train.pay(2, 1);
    train.advance(0.5, 4);
    train.advance(0.5, 4);
    train.advance(0.25, 4);
    expect(train.positions).toHaveLength(2);
    const [first = 0, second = 0] = train.positions;
    expect(first).toBeGreaterThan(second);
    expect(first - second).toBeCloseTo(0.5 / 4, 1);
  });

  it('does not pile up what nobody drew', () => {
    const train = new DotTrain();
    for (let reading = 0; reading < 1_000; reading += 1) train.pay(100_000, 0.5);
    expect(run(train, 1, 100_000).out).toBeLessThanOrEqual(60);
  });
});

describe('a lane', () => {
  const segment = {
    wire: 'link:0',
    ends: [
      { node: 'a', interface: 'eth0' },
      { node: 'b', interface: 'eth0' },
    ],
    from: { x: 0, y: 0 },
    to: { x: 100, y: 0 },
  } as const;

  it('lies beside the wire, on the other side for the way back', () => {
    const there = laneOf(segment, false);
    const back = laneOf(segment, true);
    expect(there.length).toBe(100);
    expect(there.from.y).toBe(-back.from.y);
    expect(there.from.y).not.toBe(0);
    expect(pointOn(there, 0.25).x).toBeCloseTo(25);
    expect(pointOn(back, 0.25).x).toBeCloseTo(75);
  });

  it('of a wire without length is a point', () => {
    const lane = laneOf({ ...segment, to: segment.from }, false);
    expect(lane.length).toBe(0);
    expect(pointOn(lane, 0.5)).toEqual({ x: 0, y: 0 });
  });
});

describe('the rate of a wire', () => {
  it('is what one end sends and the other receives, each way', () => {
    const one = rates({ transmittedBytes: 100, transmittedPackets: 2, receivedBytes: 30 });
    const other = rates({ receivedBytes: 90, receivedPackets: 2, transmittedBytes: 40 });
    expect(rateOfWire(one, other)).toEqual({
      onward: { bytes: 100, packets: 2, lost: 0 },
      backward: { bytes: 40, packets: 0, lost: 0 },
    });
  });

  it('is known from one end alone, and not at all from none', () => {
    expect(rateOfWire(null, null)).toBeNull();
    expect(rateOfWire(null, rates({ receivedBytes: 5 }))?.onward.bytes).toBe(5);
  });

  it('counts what either end dropped on that way', () => {
    const one = rates({ transmitDropped: 1, receiveErrors: 16 });
    const other = rates({ receiveDropped: 2, receiveErrors: 4, transmitErrors: 8 });
    const rate = rateOfWire(one, other);
    expect([rate?.onward.lost, rate?.backward.lost]).toEqual([7, 24]);
    expect(rate !== null && isQuiet(rate)).toBe(false);
  });
});

describe('a rate as text', () => {
  it('is in bits a second, with three digits', () => {
    expect([0, 98, 125, 154_321, 1.25e9].map(bitRateText)).toEqual([
      '0 bit/s',
      '784 bit/s',
      '1 kbit/s',
      '1.23 Mbit/s',
      '10 Gbit/s',
    ]);
  });

  it('is a number of packets a second', () => {
    expect([0, 0.96, 5, 340, 12_345].map(packetRateText)).toEqual([
      '0',
      '1.0',
      '5.0',
      '340',
      '12.3 k',
    ]);
    expect([98, 1800, 782_000].map(bytesText)).toEqual(['98 B', '1800 B', '782 kB']);
  });
});

describe('a sparkline', () => {
  it('breaks where nothing is known', () => {
    expect(sparkline([null, 0, 10, null, 5], 10, 40, 20)).toEqual([
      '10.0,20.0 20.0,0.0',
      '40.0,10.0',
    ]);
  });

  it('stays within its height, and is nothing without readings', () => {
    expect(sparkline([20, 20], 10, 10, 10)).toEqual(['0.0,0.0 10.0,0.0']);
    expect(sparkline([], 10, 10, 10)).toEqual([]);
  });
});
