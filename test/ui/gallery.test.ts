/**
 * The drawing of every gallery lab, as a newcomer sees it first: all nodes are there, no card covers another and
 * nothing lies outside the window. With NETLOOM_PICTURES set to a directory, each is also kept as a picture.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  galleryNames,
  type Home,
  launchChromium,
  makeHome,
  type OpenWindow,
  openWindow,
  removeHome,
  type Started,
  startNetloom,
  takePicture,
} from '../harness/window.ts';

const labs = path.resolve(import.meta.dirname, '../../assets/labs');
const pictures = process.env['NETLOOM_PICTURES'];

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

interface Box {
  readonly node: string;
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

const overlaps = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** The smallest that a window is made for, and a usual one. */
const viewports = [
  { width: 1100, height: 700 },
  { width: 1440, height: 900 },
];

async function expectDrawn(page: Page, name: string, nodes: readonly string[]): Promise<void> {
  await page
    .getByRole('navigation')
    .first()
    .getByRole('button', { name: 'Library' })
    .first()
    .click();
  await page.getByTestId(`gallery-${name}`).locator('button.cover').click();
  await expect.poll(() => page.getByTestId('lab-name').innerText()).toBe(name);
  if (nodes.length === 0) {
    // Nothing but a split: its picture is the CPU screen's.
    const cells = page.getByTestId('cpu-cell');
    await expect.poll(() => cells.count()).toBeGreaterThan(1);
    const screen = await page.getByTestId('icicle').boundingBox();
    for (const cell of await cells.all()) {
      const box = await cell.boundingBox();
      expect(box?.x ?? -1).toBeGreaterThanOrEqual(screen?.x ?? 0);
      const right = (screen?.x ?? 0) + (screen?.width ?? 0);
      expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(right);
    }
    return;
  }
  const cards = page.locator('.canvas-layer .card[data-node]');
  await expect.poll(() => cards.count()).toBe(nodes.length);
  const boxes = await cards.evaluateAll((elements): Box[] =>
    elements.map((element) => {
      const { left, top, right, bottom } = element.getBoundingClientRect();
      return { node: element.getAttribute('data-node') ?? '', left, top, right, bottom };
    }),
  );
  expect(boxes.map(({ node }) => node).sort()).toEqual(nodes);
  const canvas = await page.getByTestId('topology-canvas').boundingBox();
  for (const [index, box] of boxes.entries()) {
    for (const other of boxes.slice(index + 1)) {
      expect(overlaps(box, other), `${box.node} and ${other.node} overlap`).toBe(false);
    }
    expect(box.left, box.node).toBeGreaterThanOrEqual(canvas?.x ?? 0);
    expect(box.top, box.node).toBeGreaterThanOrEqual(canvas?.y ?? 0);
    expect(box.right, box.node).toBeLessThanOrEqual((canvas?.x ?? 0) + (canvas?.width ?? 0));
    expect(box.bottom, box.node).toBeLessThanOrEqual((canvas?.y ?? 0) + (canvas?.height ?? 0));
  }
}

// Themes do not move anything: the second one is for the pictures.
describe.each(pictures === undefined ? (['light'] as const) : (['light', 'dark'] as const))(
  'in %s',
  (colorScheme) => {
    let window: OpenWindow;
    let complained = 0;

    beforeAll(async () => {
      window = await openWindow(browser, started.url, { colorScheme });
    });

    afterAll(async () => {
      await window.context.close();
    });

    it.each(galleryNames)('%s is drawn whole, with every card in sight', async (name) => {
      const document = parse(readFileSync(path.join(labs, `${name}.yaml`), 'utf8')) as {
        readonly topology: { readonly nodes: Readonly<Record<string, unknown>> };
      };
      const { page, complaints } = window;
      for (const viewport of viewports) {
        await page.setViewportSize(viewport);
        await expectDrawn(page, name, Object.keys(document.topology.nodes).sort());
        if (pictures === undefined) continue;
        await takePicture(page, pictures, `${name}-${colorScheme}-${String(viewport.width)}`);
      }
      const before = complained;
      complained = complaints.length;
      expect(complaints.slice(before)).toEqual([]);
    });
  },
);
