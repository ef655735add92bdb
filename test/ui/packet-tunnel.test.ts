/**
 * One packet followed through tunnels in real Chromium: on the device it is the inner packet, on the cable below it is in an
 * outer one, and the window knows that they are the same.
 */
import type { ChildProcess } from 'node:child_process';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { OwnWindow } from '../harness/own-window.ts';
import type { Person } from '../harness/person.ts';

let window: OwnWindow;
let page: Page;
let person: Person;
let ping: ChildProcess | null = null;

beforeAll(async () => {
  window = await OwnWindow.open();
  ({ page, person } = window);
});
afterEach(() => {
  ping?.kill('SIGKILL');
  ping = null;
});
afterAll(async () => {
  await window.close();
});

async function open(lab: string): Promise<void> {
  const screens = page.getByRole('navigation').first();
  await screens.getByRole('button', { name: 'Library' }).first().click();
  await page.getByTestId(`gallery-${lab}`).locator('button.cover').click();
  await expect.poll(() => page.getByTestId('lab-name').innerText()).toBe(lab);
  await person.planAndApply();
}

/** Begins a capture on the whole lab and a ping, and picks a request as soon as there is one: it is still on its way. */
async function pick(lab: string, from: string, to: string): Promise<void> {
  await page.getByRole('tab', { name: 'Packets' }).click();
  await page.getByTestId('capture-filter').fill('icmp or udp port 5555');
  await page.getByTestId('capture-start').click();
  await expect.poll(() => page.getByTestId('capture-start').isVisible()).toBe(false);
  ping = window.startIn(lab, from, ['ping', '-i', '0.3', to]);
  await page.getByTestId('packet').filter({ hasText: 'Echo request' }).first().click();
}

/** Every place where it was seen, as the window lists them: from where it was sent on. */
async function way(): Promise<readonly string[]> {
  const hops = await page.getByTestId('packet-way').locator('.hop').allInnerTexts();
  return hops.map((text) => text.trim().split(/\s/)[0] ?? '');
}

describe('a packet’s way through a tunnel', () => {
  it('of taps goes from the inner device over the cables below to the other inner device', async () => {
    await open('tap-tunnel');
    await pick('tap-tunnel', 'west', '10.30.0.2');
    await expect
      .poll(way)
      .toEqual([
        'west:tap0',
        ...['west:eth0', 'transit:eth0', 'transit:eth1', 'east:eth0'],
        'east:tap0',
      ]);
    await window.picture('tunnel-tap');
  });

  it('of tuns begins and ends in the networks that it joins', async () => {
    await open('tun-tunnel');
    await pick('tun-tunnel', 'desk', '192.168.20.10');
    await expect
      .poll(way)
      .toEqual([
        ...['desk:eth0', 'west:lan0', 'west:tun0'],
        ...['west:eth0', 'transit:eth0', 'transit:eth1', 'east:eth0'],
        ...['east:tun0', 'east:lan0', 'files:eth0'],
      ]);
    await window.picture('tunnel-tun');
  });

  it('is shown without a complaint', () => {
    expect(window.complaints).toEqual([]);
  });
});
