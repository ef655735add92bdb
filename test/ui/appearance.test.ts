/**
 * Every screen in both themes and both languages: it fits, says what it says in that language, and complains of
 * nothing. With NETLOOM_PICTURES set to a directory, each is also kept as a picture to be looked at.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  galleryNames,
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

const languages = {
  en: {
    locale: 'en-US',
    library: 'Library',
    topology: 'Topology',
    inventory: 'Host inventory',
    menu: 'Menu',
  },
  zh: { locale: 'zh-CN', library: /库/, topology: /拓扑/, inventory: /主机|清单/, menu: /菜单/ },
} as const;

let browser: Browser;
let home: Home;
let started: Started;

beforeAll(async () => {
  home = makeHome();
  browser = await launchChromium();
  started = await startNetloom(home);
  // One lab that is up, brought up the way a person does it.
  const { page, context } = await openWindow(browser, started.url);
  await page
    .getByTestId('gallery-one-bridge')
    .getByRole('button', { name: /^Bring up/ })
    .click();
  await page
    .locator('.canvas-layer .card[data-node="h1"][data-presence="real"]')
    .waitFor({ timeout: 60_000 });
  await context.close();
});

afterAll(async () => {
  await browser.close();
  await started.stop();
  removeHome(home);
});

async function keep(page: Page, name: string): Promise<void> {
  // Nothing may stick out of the window, in any language.
  const overflow = await page.evaluate(
    () =>
      document.documentElement.scrollWidth > window.innerWidth ||
      document.documentElement.scrollHeight > window.innerHeight,
  );
  expect(overflow, `${name} fits the window`).toBe(false);
  // A key without a text shows as the key itself.
  expect(await page.locator('body').innerText()).not.toMatch(
    /\b(?:library|inspector|drawer|plan|checks|console|status|lab|canvas)\.[a-z]+[A-Z]?\w*\b/,
  );
  if (pictures === undefined) return;
  await takePicture(page, pictures, name);
}

for (const theme of ['light', 'dark'] as const) {
  for (const [language, words] of Object.entries(languages)) {
    describe(`in ${language}, ${theme}`, () => {
      it('shows every screen', async () => {
        const { page, context, complaints } = await openWindow(browser, started.url, {
          colorScheme: theme,
          locale: words.locale,
        });
        const rail = page.getByRole('navigation').first();
        const show = (name: string | RegExp) => rail.getByRole('button', { name }).first().click();
        const name = (screen: string) => `${screen}-${theme}-${language}`;
        try {
          await show(words.library);
          await expect
            .poll(() => page.locator('[data-testid^="gallery-"]').count())
            .toBe(galleryNames.length);
          await keep(page, name('library'));
          await page
            .getByTestId('lab-one-bridge')
            .getByRole('button', { name: /one-bridge/ })
            .first()
            .click();
          const host = page.locator('.canvas-layer .card[data-node="h1"]');
          await expect.poll(() => host.getAttribute('data-presence')).toBe('real');
          const box = await host.boundingBox();
          if (box !== null) await page.mouse.click(box.x + 60, box.y + 14);
          await keep(page, name('topology'));
          const tabs = page.getByRole('tab');
          for (const index of [0, 1, 3, 4]) {
            const drawerTabs = page.locator('.drawer, [data-testid="drawer"]').getByRole('tab');
            const tab =
              (await drawerTabs.count()) > index ? drawerTabs.nth(index) : tabs.nth(index);
            await tab.click();
            await keep(page, name(`drawer-${String(index)}`));
          }
          await show(words.inventory);
          await expect.poll(() => page.getByText('port1').first().isVisible()).toBe(true);
          await keep(page, name('inventory'));
          await page.keyboard.press('?');
          await expect.poll(() => page.getByRole('dialog').isVisible()).toBe(true);
          await keep(page, name('shortcuts'));
          await page.keyboard.press('Escape');
          await show(words.topology);
          expect(complaints).toEqual([]);
        } finally {
          await context.close();
        }
      });
    });
  }
}
