/**
 * The window's question before a lab reaches the outside, and the mark of a realm that does. Window and browser run on a
 * machine on paper (`harness/outer-world.ts`). With NETLOOM_PICTURES set to a directory, what is seen is kept.
 */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromiumPath } from '../harness/chromium-flags.ts';
import { makeOuterWorld, type OuterWorld } from '../harness/outer-world.ts';
import {
  centreOf,
  type Home,
  keeperOf,
  launchChromium,
  makeHome,
  openWindow,
  removeHome,
  type Started,
  startNetloom,
  takePicture,
} from '../harness/window.ts';

const lab = path.resolve(import.meta.dirname, '../cli/internet.yaml');
const pictures = process.env['NETLOOM_PICTURES'];

let world: OuterWorld;
let browser: Browser;
let home: Home;
let started: Started;

beforeAll(async () => {
  world = await makeOuterWorld();
  home = makeHome();
  const labs = path.join(home.environment['XDG_DATA_HOME'] ?? '', 'netloom/labs');
  mkdirSync(labs, { recursive: true });
  copyFileSync(lab, path.join(labs, 'way-out.yaml'));
  const program = path.join(home.directory, 'chromium');
  writeFileSync(program, `#!/bin/sh\nexec ${world.enter.join(' ')} ${chromiumPath} "$@"\n`);
  chmodSync(program, 0o755);
  browser = await launchChromium(program);
  started = await startNetloom(home, world.enter);
});

afterAll(async () => {
  await browser.close();
  await started.stop();
  removeHome(home);
  world.end();
});

const words = {
  en: { locale: 'en-US', colorScheme: 'light', allow: 'Allow', cancel: 'Cancel', plan: /^Plan/ },
  zh: { locale: 'zh-CN', colorScheme: 'dark', allow: '允许', cancel: '取消', plan: /^规划/ },
} as const;

describe.each(['en', 'zh'] as const)('in %s', (language) => {
  const { locale, colorScheme, allow, cancel, plan } = words[language];
  const picture = async (page: Page, name: string): Promise<void> => {
    if (pictures !== undefined) await takePicture(page, pictures, `${name}-${language}`);
  };

  it('asks, takes no for an answer, and shows what was allowed until the realm ends', async () => {
    const { page, context, complaints } = await openWindow(browser, started.url, {
      locale,
      colorScheme,
    });
    try {
      const rows = page.getByTestId('lab-way-out');
      await page.getByRole('navigation').first().getByRole('button').nth(0).click();
      await rows.getByRole('button').first().click();
      await expect.poll(() => page.getByTestId('lab-name').textContent()).toBe('way-out');
      const dialog = page.getByRole('alertdialog');
      const badge = page.getByTestId('outside-badge');

      await page.getByRole('button', { name: plan }).first().click();
      await dialog.waitFor();
      expect(await dialog.textContent()).toContain('sandbox:way-out');
      await picture(page, 'internet-question');
      await dialog.getByRole('button', { name: cancel }).click();
      await dialog.waitFor({ state: 'detached' });
      expect(() => keeperOf(home, 'sandbox:way-out')).toThrow();
      await picture(page, 'internet-refused');
      expect(await page.locator('button.primary[aria-disabled="true"]').count()).toBe(1);
      expect(await badge.count()).toBe(0);

      await page.getByRole('button', { name: plan }).first().click();
      await dialog.getByRole('button', { name: allow }).click();
      const apply = page.locator('.lab-bar button.primary');
      await expect.poll(() => apply.isEnabled()).toBe(true);
      await picture(page, 'internet-plan');
      await apply.click();
      await expect
        .poll(() => page.getByTestId('check-count').textContent(), { timeout: 30_000 })
        .toContain('3/3');
      expect(await badge.getAttribute('data-outside')).toBe('open');
      // The canvas takes the pointer, not the cards above it.
      const { x, y } = await centreOf(page.locator('.card[data-node="internet"] .card-title'));
      await page.mouse.click(x, y);
      await picture(page, 'internet-up');

      await page.locator('.lab-bar .actions .icon-button').nth(2).click();
      await expect.poll(() => apply.isEnabled()).toBe(true);
      await apply.click();
      await expect.poll(() => badge.count(), { timeout: 30_000 }).toBe(0);
      expect(complaints).toEqual([]);
    } finally {
      await context.close();
    }
  });
});
