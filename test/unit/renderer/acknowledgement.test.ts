import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { AcknowledgementCounter } from '../../../renderer/console/acknowledgement.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('says every byte that was taken, in few calls', () => {
  const said: number[] = [];
  const counter = new AcknowledgementCounter((bytes) => said.push(bytes));
  counter.taken(100);
  counter.taken(28);
  expect(said).toEqual([]);
  vi.runAllTimers();
  expect(said).toEqual([128]);
});

it('does not let a flood wait', () => {
  const said: number[] = [];
  const counter = new AcknowledgementCounter((bytes) => said.push(bytes));
  counter.taken(10_000);
  counter.taken(10_000);
  expect(said).toEqual([20_000]);
  vi.runAllTimers();
  expect(said).toEqual([20_000]);
});

it('says nothing any more once it is stopped', () => {
  const said: number[] = [];
  const counter = new AcknowledgementCounter((bytes) => said.push(bytes));
  counter.taken(10);
  counter.stop();
  vi.runAllTimers();
  expect(said).toEqual([]);
});
