/** What Netloom and its window cost while a lab is up, nothing moves and nobody touches anything. */
import { setTimeout as delay } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import {
  keeperOf,
  launchChromium,
  makeHome,
  openWindow,
  removeHome,
  startNetloom,
} from '../harness/window.ts';
import { companionsOf, costsOf, treeOf } from './processor-time.ts';

export interface WindowCost {
  /** Parts of a core: of the agent and the gateway together, and of everything of Chromium's. */
  readonly netloom: number;
  readonly chromium: number;
}

/** Whether a process is one of Chromium's. */
function isChromium(pid: number): boolean {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').includes('chromium');
  } catch {
    return false;
  }
}

/** With the gallery's two namespaces up and open. */
export async function measureIdleWindow(seconds: number): Promise<WindowCost> {
  const home = makeHome();
  const browser = await launchChromium();
  const started = await startNetloom(home);
  try {
    const { page } = await openWindow(browser, started.url);
    const entry = page.getByTestId('gallery-two-namespaces');
    await entry.getByRole('button', { name: 'Two namespaces', exact: true }).click();
    const actions = page.getByRole('toolbar', { name: 'Lab', exact: true });
    await actions.getByRole('button', { name: 'Plan', exact: true }).click();
    await actions.getByRole('button', { name: 'Apply', exact: true }).click();
    await page.locator('[data-node="r1"][data-presence="real"]').waitFor();
    // What new interfaces say of themselves comes first.
    await delay(8000);
    const keeper = keeperOf(home, 'sandbox:two-namespaces');
    const netloom = [...treeOf(started.process.pid ?? 0), ...companionsOf(keeper)];
    const chromium = treeOf(process.pid).filter(isChromium);
    const costs = await costsOf([...netloom, ...chromium], () => delay(seconds * 1000));
    const sum = (list: readonly number[]): number => list.reduce((total, one) => total + one, 0);
    return {
      netloom: sum(costs.slice(0, netloom.length)),
      chromium: sum(costs.slice(netloom.length)),
    };
  } finally {
    await browser.close();
    await started.stop();
    removeHome(home);
  }
}
