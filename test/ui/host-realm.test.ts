/**
 * The machine itself as the realm of a lab, chosen in the window: on a machine of the test's own, with Netloom, its agent
 * and Chromium in it.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumPath } from '../harness/chromium-flags.ts';
import { HostMachine } from '../harness/host-machine.ts';
import {
  type Home,
  launchChromium,
  makeHome,
  openWindow,
  removeHome,
  type Started,
  startNetloom,
  takePicture,
} from '../harness/window.ts';

const pictures = process.env['NETLOOM_PICTURES'];

describe.skipIf(process.getuid?.() !== 0)('the realm of a lab', () => {
  let machine: HostMachine;
  let home: Home;
  let started: Started;
  let browser: Browser;
  let page: Page;
  let complaints: readonly string[];

  beforeAll(async () => {
    machine = await HostMachine.open();
    machine.script('ip link set lo up');
    const [, , pid = ''] = machine.enter;
    const wrapper = path.join(machine.labs, 'chromium');
    // Only its network: the rest of it is the test's.
    writeFileSync(wrapper, `#!/bin/sh\nexec nsenter -t ${pid} -n -- ${chromiumPath} "$@"\n`);
    chmodSync(wrapper, 0o755);
    home = makeHome();
    browser = await launchChromium(wrapper);
    started = await startNetloom(home, machine.enter);
    ({ page, complaints } = await openWindow(browser, started.url));
    await page
      .getByTestId('gallery-two-namespaces')
      .getByRole('button', { name: 'Two namespaces', exact: true })
      .click();
    await page.getByTestId('realm-badge').waitFor();
  });
  afterAll(async () => {
    await browser.close();
    await started.stop();
    removeHome(home);
    await machine.close();
  });

  const badge = () => page.getByTestId('realm-badge');
  const bar = (name: string) => page.locator('.lab-bar').getByRole('button', { name, exact: true });
  const names = (): string => machine.try(['ip', 'netns', 'list']).stdout;

  it('is no choice where the machine has no agent', async () => {
    await expect.poll(() => badge().innerText()).toContain('sandbox:two-namespaces');
    expect(await badge().evaluate((element) => element.tagName)).toBe('SPAN');
  });

  it('can be the machine itself once its agent answers, and stays a sandbox until that is chosen', async () => {
    // By the same person, whose key the agent is told.
    const person = Object.entries(home.environment)
      .filter(([name]) => name === 'HOME' || name.startsWith('XDG_'))
      .map(([name, value]) => `${name}=${value ?? ''}`);
    machine.look(['env', ...person, ...machine.command(['agent', 'start', '--realm', 'host'])]);
    await expect
      .poll(() => badge().evaluate((element) => element.tagName), { timeout: 30_000 })
      .toBe('BUTTON');
    expect(await badge().innerText()).toContain('sandbox:two-namespaces');
    await badge().click();
    await page.getByRole('menuitemradio', { name: /^host/ }).waitFor();
    if (pictures !== undefined) await takePicture(page, pictures, 'host-realm-choice');
    await page.getByRole('menuitemradio', { name: /^host/ }).click();
    await expect.poll(() => badge().innerText()).toBe('host');
  });

  it('is where the lab then is: planned, brought up and taken down there', async () => {
    const before = machine.state();
    await bar('Plan').click();
    await expect.poll(() => page.getByTestId('plan').innerText()).toContain('r1');
    await bar('Apply').click();
    await expect.poll(names, { timeout: 60_000 }).toContain('r1');
    await expect.poll(() => badge().innerText()).toBe('host');
    // While it is up there is nothing to choose.
    await expect.poll(() => badge().evaluate((element) => element.tagName)).toBe('SPAN');
    await expect.poll(() => page.getByTestId('check-count').innerText()).toContain('1/1');
    if (pictures !== undefined) await takePicture(page, pictures, 'host-realm-up');
    await bar('Take down').click();
    await expect.poll(() => page.getByTestId('plan-state').innerText()).not.toBe('');
    await expect.poll(() => bar('Apply').isEnabled()).toBe(true);
    await bar('Apply').click();
    await expect.poll(names, { timeout: 60_000 }).toBe('');
    expect(await machine.settledState(before)).toEqual(before);
    expect(complaints).toEqual([]);
  });
});
