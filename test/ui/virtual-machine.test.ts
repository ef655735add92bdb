/** A virtual machine in the window: drawn, started, its console typed into, and its forms in both languages and themes. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  centreOf,
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
/** Milliseconds: it starts under emulation, on a machine that does other things too. */
const startUp = 120_000;
/** Milliseconds until a line that was typed again and again is answered. */
const answering = 60_000;
/** More than all of its waits together, so that the one that fails says what it saw. */
const wholeTest = 3 * startUp + 2 * answering;

let browser: Browser;
let home: Home;
let started: Started;

beforeAll(async () => {
  home = makeHome();
  browser = await launchChromium();
  started = await startNetloom(home);
});
afterAll(async () => {
  await browser.close();
  await started.stop();
  removeHome(home);
});

const card = (page: Page, node: string): Locator =>
  page.locator(`.canvas-layer .card[data-node="${node}"]`);

async function keep(page: Page, name: string): Promise<void> {
  if (pictures !== undefined) await takePicture(page, pictures, `vm-${name}`);
}

async function select(page: Page, node: string): Promise<void> {
  const { x, y } = await centreOf(card(page, node).locator('.card-title'));
  await page.mouse.click(x, y);
}

/** Waits until a console shows something; what it showed instead when it never does. */
async function untilShown(
  rows: Locator,
  wanted: RegExp,
  limit: number,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const end = performance.now() + limit;
  for (;;) {
    const screen = await rows.innerText();
    if (wanted.test(screen)) return;
    if (performance.now() > end) throw new Error(`The console never showed ${wanted}:\n${screen}`);
    await meanwhile();
    await delay(250);
  }
}

/** Types a line until it is answered: a console that nobody reads yet drops it, and a first packet may be lost. */
async function ask(page: Page, rows: Locator, line: string, answer: RegExp): Promise<void> {
  let again = 0;
  await untilShown(rows, answer, answering, async () => {
    if (performance.now() < again) return;
    again = performance.now() + 5_000;
    await page.keyboard.type(`${line}\n`);
  });
}

describe('a virtual machine', () => {
  it(
    'comes up from the gallery, runs, and answers on its console',
    { timeout: wholeTest },
    async () => {
      const { page, context, complaints } = await openWindow(browser, started.url);
      await page
        .getByTestId('gallery-virtual-machine')
        .getByRole('button', { name: /^Bring up/ })
        .click();
      const machine = card(page, 'vm1');
      await expect
        .poll(() => machine.getAttribute('data-presence'), { timeout: startUp })
        .toBe('real');
      expect(await machine.innerText()).toMatch(/QEMU (TCG|KVM) · 128 MiB/);
      // The port at the bridge is the tap, and says who holds it.
      expect(await page.locator('[data-port="br0:tap1"] .device-glyph').count()).toBe(1);
      const { x, y } = await centreOf(machine.locator('.card-title'));
      await page.mouse.dblclick(x, y);
      const terminal = page.getByTestId('terminal');
      await expect.poll(() => terminal.isVisible()).toBe(true);
      const rows = terminal.locator('.xterm-rows');
      await untilShown(rows, /vm1 is up/, startUp);
      await terminal.click();
      await ask(page, rows, 'ip -4 -o addr show eth0', /10\.90\.0\.11\/24/);
      await ask(page, rows, 'ping -c 1 -W 3 10.90.0.1', /1 packets received/);
      await keep(page, 'console');
      expect(complaints).toEqual([]);
      await context.close();
    },
  );

  for (const theme of ['light', 'dark'] as const) {
    for (const language of ['en-US', 'zh-CN'] as const) {
      it(`has its forms in ${language}, ${theme}`, async () => {
        const { page, context, complaints } = await openWindow(browser, started.url, {
          colorScheme: theme,
          locale: language,
        });
        await expect.poll(() => card(page, 'vm1').getAttribute('data-presence')).toBe('real');
        await select(page, 'vm1');
        const inspector = page.getByTestId('inspector');
        await expect.poll(() => inspector.innerText()).toContain('br0:tap1');
        await keep(page, `wanted-${theme}-${language}`);
        await inspector.getByRole('tab').nth(1).click();
        await expect.poll(() => inspector.innerText()).toContain('QEMU');
        await keep(page, `live-${theme}-${language}`);
        await inspector.getByRole('tab').nth(0).click();
        expect(complaints).toEqual([]);
        await context.close();
      });
    }
  }

  it('is added from the palette', async () => {
    const { page, context } = await openWindow(browser, started.url);
    await expect.poll(() => card(page, 'vm1').getAttribute('data-presence')).toBe('real');
    await page.getByTestId('palette-vm').click();
    await expect.poll(() => card(page, 'vm2').getAttribute('data-presence')).toBe('wanted');
    await keep(page, 'added');
    await page.keyboard.press('Control+z');
    await context.close();
  });
});
